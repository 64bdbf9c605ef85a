"""From rows to requests: each row of a DataFrame names a job, its arguments and where it is to run.

    +-----------------+------------------------------+----------+----------------+
    | job             | arguments                    | platform | run_key        |
    +-----------------+------------------------------+----------+----------------+
    | my_project.etl  | {"day": "2026-05-01"}        | glue     | etl-2026-05-01 |

`arguments` and `labels` are a map, a struct or the text of a JSON object. A null field of a struct is left out, as
Spark's own `to_json` does; in a map or in a text null is null.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import pyarrow as pa
from pyspark.sql.types import DataType, MapType, StringType, StructType

from trunkline.errors import OptionError
from trunkline.jobs.platforms import PLATFORMS
from trunkline.jobs.run import RunRequest
from trunkline.values import JsonOptions, encode, row_digests

_TEXTS = ("job", "platform", "target", "run_key")
_OBJECTS = ("arguments", "labels")
# What every platform keeps whole: EMR Serverless allows 256 characters for the value of a tag, the shortest of all.
_LONGEST_KEY = 256


def check_columns(schema: StructType, *, platform: str | None) -> None:
    """Refuse a schema that is no list of runs.

    Args:
        schema: Of the DataFrame.
        platform: Of the options.

    Raises:
        OptionError: With every problem at once.
    """
    problems = [f"column {field.name}: {found}" for field in schema if (found := _problem(field.name, field.dataType))]
    if "job" not in schema.names:
        problems.append("the column job is missing: it names the module, such as my_project.etl")
    if platform is None and "platform" not in schema.names:
        problems.append(f"where? Add the option platform, or a column platform: {', '.join(PLATFORMS)}")
    if problems:
        raise OptionError("jobs: these columns are no runs", problems)


def requests(batch: pa.RecordBatch, platform: str | None) -> Iterator[tuple[bytes, RunRequest | str]]:
    """The digest of each row, and its request or what is wrong with it.

    Args:
        batch: Rows whose columns have been checked.
        platform: Of the options, where a row names none.
    """
    digests = row_digests(batch)
    encoded = encode(batch, JsonOptions(nulls="omit"))
    for index, digest in enumerate(digests):
        if index in encoded.errors:
            yield digest, encoded.errors[index]
            continue
        try:
            yield digest, _request(json.loads(encoded.row(index), parse_float=_exact), platform)
        except ValueError as error:
            yield digest, str(error)


def key_of(scope: str, digest: bytes, occurrence: int) -> str:
    """The key of a row that has none: the same for the same row of the same write, or of the same micro-batch.

    Args:
        scope: Names the write, or the query and the micro-batch.
        digest: Of the row.
        occurrence: 0 for the first of equal rows, 1 for the next.
    """
    return blake2b(f"{scope}/{digest.hex()}/{occurrence}".encode(), digest_size=16).hexdigest()


def _problem(name: str, kind: DataType) -> str | None:
    if name in _TEXTS:
        return None if kind == StringType() else f"is {kind.simpleString()}; CAST it to STRING"
    if name in _OBJECTS:
        fits = isinstance(kind, (MapType, StructType, StringType))
        return None if fits else f"is {kind.simpleString()}; give a MAP, a STRUCT, or STRING with a JSON object"
    near = difflib.get_close_matches(name, (*_TEXTS, *_OBJECTS), n=1)
    return f"is unknown{f': did you mean {near[0]}?' if near else ''}; drop it, or put it into arguments"


def _request(row: dict[str, Any], platform: str | None) -> RunRequest:
    where = str(row.get("platform") or platform or "").lower()
    if where not in PLATFORMS:
        raise ValueError(f"platform {where!r} is none of {', '.join(PLATFORMS)}" if where else "platform is null")
    job, key = row.get("job"), row.get("run_key")
    if not job:
        raise ValueError("job is null or empty")
    if not all(part.isidentifier() for part in job.replace(":", ".", 1).split(".")):
        raise ValueError(f"job {job!r} is no module: write my_project.etl or my_project.etl:function")
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isprintable()):
        raise ValueError(f"run_key {key[:40]!r} must have 1 to {_LONGEST_KEY} printable characters")
    labels = _object(row, "labels")
    for name, text in labels.items():
        if not isinstance(text, str):
            raise ValueError(f"labels: {name} is no text")
    return RunRequest(where, job, key or "", _object(row, "arguments"), row.get("target"), labels)


def _object(row: dict[str, Any], name: str) -> dict[str, Any]:
    found = row.get(name)
    if isinstance(found, str):
        try:
            found = json.loads(found, parse_float=_exact)
        except json.JSONDecodeError as error:
            raise ValueError(f"{name} is no JSON at character {error.pos + 1}: {error.msg}") from None
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"{name} is no JSON object")
    return found or {}


def _exact(text: str) -> float:
    number = float(text)
    if Decimal(repr(number)) != Decimal(text):
        raise ValueError(f"arguments: {text} has more digits than a number keeps; give it as text")
    return number
