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
from dataclasses import replace
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import pyarrow as pa
from pyspark.sql.types import DataType, MapType, StringType, StructType

from trunkline.errors import OptionError
from trunkline.jobs.platforms import PLATFORMS
from trunkline.jobs.run import RunRequest
from trunkline.values import JsonOptions, encode, row_digests

_TEXTS = ("job", "platform", "target", "run_key", "artifact")
_OBJECTS = ("arguments", "labels")
# Stands for a key that is made later.
_UNNAMED = "-"


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
            yield digest, f"{_shown(encoded.row(index))}: {error}"


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
    labels = _object(row, "labels")
    for name, text in labels.items():
        if not isinstance(text, str):
            raise ValueError(f"labels: {name} is no text")
    arguments, target, artifact = _object(row, "arguments"), row.get("target"), row.get("artifact")
    request = RunRequest(where, job, key or _UNNAMED, arguments, target, labels, artifact)
    if problem := request.problem():
        raise ValueError(problem)
    return replace(request, run_key=key or "")


def _shown(text: bytes) -> str:
    """Which row it is: its job and key. Its arguments may hold what nobody is to see."""
    row = json.loads(text)
    return ", ".join(f"{name} {str(row[name])[:60]!r}" for name in ("job", "run_key") if row.get(name)) or "a row"


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
