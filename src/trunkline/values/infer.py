"""A Spark schema out of a sample of records.

    >>> infer([{"id": 1, "at": "2024-05-01T12:00:00Z", "note": None}, {"id": 2, "tags": ["a"]}])
    Inferred(schema=StructType([id BIGINT, at TIMESTAMP, note STRING, tags ARRAY<STRING>]), unknown=['note'])

| seen in the sample | becomes |
|---|---|
| true and false | BOOLEAN |
| whole numbers of 64 bits; of up to 38 digits; of more | BIGINT; DECIMAL(38,0); STRING |
| numbers with a point or an exponent, among others | DOUBLE |
| texts that are all `2024-05-01` | DATE |
| texts that are all times, with a zone; without one | TIMESTAMP; TIMESTAMP_NTZ |
| other texts | STRING |
| objects | STRUCT of all fields that occur |
| arrays | ARRAY of what all elements are |
| kinds that do not go together | STRING: what is no text stays the JSON it is |
| only nulls, or nothing | STRING, and named in `unknown` |
Every field may be null, and they stand in the order in which they first occur. Records that are no objects are left to
the parse mode, unless all of them are none: then they are read into a column `value`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as t

from trunkline.values.timestamps import dates, instants, local_times

_DIGITS = 38  # of Spark's widest decimal
_LONG = range(-(2**63), 2**63)
# The shortest text taken for a time: a shorter one may be much else.
_TIME_LENGTH = len("2024-05-01T12:00")


@dataclass(frozen=True)
class Inferred:
    """A schema, and the paths of the columns of which the sample held nothing but nulls."""

    schema: t.StructType
    unknown: list[str]


@dataclass
class _Seen:
    """All that occurred in one place of the records."""

    kinds: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    fields: dict[str, _Seen] = field(default_factory=dict)
    elements: _Seen | None = None


def infer(records: Iterable[Any]) -> Inferred:
    """The schema of parsed JSON records; one without columns when there are none."""
    seen, bare = _Seen(), _Seen()
    for record in records:
        _add(seen if isinstance(record, dict) else bare, record)
    if not seen.kinds and (bare.kinds or bare.texts):
        seen = _Seen(fields={"value": bare})
    unknown: list[str] = []
    return Inferred(_struct(seen, "", unknown), unknown)


def _add(seen: _Seen, value: Any) -> None:
    if isinstance(value, str):
        seen.texts.append(value)
    elif isinstance(value, dict):
        seen.kinds.add("object")
        for name, member in value.items():
            _add(seen.fields.setdefault(name, _Seen()), member)
    elif isinstance(value, list):
        seen.kinds.add("array")
        seen.elements = seen.elements or _Seen()
        for element in value:
            _add(seen.elements, element)
    else:
        seen.kinds.add(_kind(value))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "long" if value in _LONG else "decimal" if abs(value) < 10**_DIGITS else "endless"
    return "double"


def _struct(seen: _Seen, prefix: str, unknown: list[str]) -> t.StructType:
    return t.StructType([t.StructField(name, _type(of, prefix + name, unknown)) for name, of in seen.fields.items()])


def _type(seen: _Seen, path: str, unknown: list[str]) -> t.DataType:
    kinds = seen.kinds - {"null"} | ({"text"} if seen.texts else set())
    if not kinds or (kinds == {"object"} and not seen.fields):
        unknown.append(path)
        return t.StringType()
    if kinds == {"object"}:
        return _struct(seen, path + ".", unknown)
    if kinds == {"array"} and seen.elements is not None:
        return t.ArrayType(_type(seen.elements, path + "[]", unknown))
    if kinds == {"text"}:
        return next(_times(pa.array(seen.texts, pa.string())), t.StringType())
    if kinds == {"boolean"}:
        return t.BooleanType()
    if kinds == {"long"}:
        return t.LongType()
    if kinds <= {"long", "decimal"}:
        return t.DecimalType(_DIGITS, 0)
    if kinds <= {"long", "decimal", "endless", "double"} and "double" in kinds:
        return t.DoubleType()
    return t.StringType()


def _times(texts: pa.Array) -> Iterator[t.DataType]:
    """What all of the texts are, if they are one kind of time."""
    shortest = pc.min(pc.utf8_length(texts)).as_py()
    if shortest == len("2024-05-01") and _all(dates, texts):
        yield t.DateType()
    if shortest >= _TIME_LENGTH:
        if _all(lambda found: instants(found, None), texts):
            yield t.TimestampType()
        if _all(local_times, texts):
            yield t.TimestampNTZType()


def _all(read: Callable[[pa.Array], pa.Array], texts: pa.Array) -> bool:
    try:
        read(texts)
    except (ValueError, OverflowError):
        return False
    return True
