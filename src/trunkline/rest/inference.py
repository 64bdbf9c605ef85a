"""The schema of an API, made of a sample of its pages.

schema = inferred_schema(options)      # StructType; asks the API for `samplePages` pages
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import msgspec
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from trunkline.errors import OptionError, ResponseError
from trunkline.http.setup import check_files_and_doors
from trunkline.options import Options
from trunkline.rest.options import read_options, stream_options
from trunkline.rest.pages import Connection, Pages
from trunkline.rest.read_options import READ, STREAM
from trunkline.rest.read_rules import partition_kind
from trunkline.rest.reading import requests_of, walk_of
from trunkline.rest.slices import Slice, plan_slices
from trunkline.values.envelope import BOM
from trunkline.values.infer import infer

# As JSON writes numbers (RFC 8259 section 6).
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")

log = logging.getLogger("trunkline.rest")


def inferred_schema(raw: Mapping[str, str]) -> StructType:
    """The columns of the first `samplePages` pages.

    Args:
        raw: The options as Spark hands them over, of a batch or a stream: it does not say which.

    Raises:
        OptionError: `inferSchema=false` and no schema is given.
        ResponseError: The sample holds no record.
    """
    options = _options(raw)
    if options["format"] in {"text", "binary"}:
        return StructType([StructField("value", StringType() if options["format"] == "text" else BinaryType())])
    if not options["inferSchema"]:
        raise OptionError("rest: inferSchema=false needs a schema: add .schema(...)")
    resolved = options.resolved()
    check_files_and_doors(resolved)
    found = infer(record for body in _sample(resolved) for record in _records(body, options))
    schema, unknown = found.schema, found.unknown
    if not schema.fields:
        pages = options["samplePages"]
        more = f"the first {pages} pages hold" if pages > 1 else "the first page holds"
        raise ResponseError(f"{more} no record to infer a schema from: give it with .schema(...)")
    if unknown:
        log.warning("no value was seen of %s: read as STRING; give another type with .schema(...)", ", ".join(unknown))
    if options["mode"] == "PERMISSIVE":
        schema = schema.add(options["columnNameOfCorruptRecord"], StringType())
    return schema


def _records(body: bytes, options: Options) -> Iterator[Any]:
    """The records of a sampled page, parsed."""
    if options["format"] == "json":
        yield from msgspec.json.decode(body)
    elif options["format"] == "ndjson":
        for text in body.removeprefix(BOM).split(b"\n"):
            try:
                if text.strip():
                    yield msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                if options["mode"] in {None, "FAILFAST"}:
                    raise ResponseError(f"a line of the sample is no JSON ({error})") from None
    else:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig")), delimiter=options["csv.separator"])
        first = next(lines, [])
        names = first if options["csv.header"] else [f"_c{number}" for number in range(len(first))]
        for line in lines if options["csv.header"] else itertools.chain([first], lines):
            yield {name: _of_text(text) for name, text in zip(names, line, strict=False)}


def _of_text(text: str) -> Any:
    """What a field of CSV may stand for."""
    if not text:
        return None
    if text in {"true", "false"}:
        return text == "true"
    # A leading zero or plus is no number's: an identifier or a telephone number.
    return json.loads(text) if _NUMBER.fullmatch(text) else text


def _options(raw: Mapping[str, str]) -> Options:
    """Parsed as the use that they are for."""
    streaming = {option.name.lower() for option in READ if option.applies == STREAM}
    return stream_options(raw) if streaming & {key.lower() for key in raw} else read_options(raw)


def _sample(options: Options) -> list[bytes]:
    """The records of the first pages, each as the text of a JSON array; the bodies where the format is not JSON."""
    part = _first_slice(options)
    with closing(Connection(options, 1)) as connection:
        pages = Pages(connection, walk_of(options, part), requests_of(options, part))
        sampled = itertools.islice(pages, options["samplePages"])
        return [page.body if page.envelope is None else page.envelope.records for page in sampled]


def _first_slice(options: Options) -> Slice:
    """A slice that is asked for as in the read itself: an API may demand its parameters."""
    return Slice() if partition_kind(options) == "page" else plan_slices(options, _not_asked)[0]


def _not_asked() -> tuple[int, int]:
    return 0, 0
