"""Spark's types as the Arrow types that Spark wants of a Python data source, and what only Spark can make.

    >>> arrow_schema(StructType.fromDDL("id BIGINT, at TIMESTAMP"))
    id: int64
    at: timestamp[us, tz=UTC]

Our own map, because pyspark's `to_arrow_schema` takes other arguments from 4.2 on, and because 4.0 and 4.1 do not look
at the types of a batch: they take its memory for what the schema says.
| Spark | Arrow |
|---|---|
| BOOLEAN, TINYINT ... BIGINT, FLOAT, DOUBLE | bool, int8 ... int64, float, double |
| DECIMAL(p,s) | decimal128(p, s) |
| STRING of any collation, BINARY | string, binary |
| DATE, TIMESTAMP, TIMESTAMP_NTZ, TIME | date32, timestamp[us, UTC], timestamp[us], time64[ns] |
| INTERVAL DAY TO SECOND | duration[us] |
| ARRAY, MAP, STRUCT, VOID | list, map, struct, null |
| VARIANT | struct of two binary fields, of which Spark marks the second |
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import types as t

from trunkline.errors import OptionError

_SIMPLE: dict[type[t.DataType], pa.DataType] = {
    t.BooleanType: pa.bool_(),
    t.ByteType: pa.int8(),
    t.ShortType: pa.int16(),
    t.IntegerType: pa.int32(),
    t.LongType: pa.int64(),
    t.FloatType: pa.float32(),
    t.DoubleType: pa.float64(),
    t.StringType: pa.string(),
    t.BinaryType: pa.binary(),
    t.DateType: pa.date32(),
    t.TimestampType: pa.timestamp("us", "UTC"),
    t.TimestampNTZType: pa.timestamp("us"),
    t.DayTimeIntervalType: pa.duration("us"),
    t.NullType: pa.null(),
    t.VariantType: pa.struct(
        [
            pa.field("value", pa.binary(), nullable=False),
            pa.field("metadata", pa.binary(), nullable=False, metadata={"variant": "true"}),
        ]
    ),
}
# From 4.1 on.
if hasattr(t, "TimeType"):
    _SIMPLE[t.TimeType] = pa.time64("ns")


def arrow_schema(schema: t.StructType) -> pa.Schema:
    """The Arrow schema of the batches Spark takes for a schema.

    Raises:
        OptionError: Types that nothing can be read into, or a name twice in one struct; all of them are named.
    """
    problems = list(_problems(schema, ""))
    if problems:
        raise OptionError("this schema cannot be read into", problems)
    return pa.schema([_field(field.name, field.dataType, nullable=field.nullable) for field in schema])


def nullable(kind: t.DataType) -> t.DataType:
    """The type with everything in it nullable: an API does not keep what a schema promises."""
    if isinstance(kind, t.StructType):
        fields = [t.StructField(field.name, nullable(field.dataType), True, field.metadata) for field in kind]
        return t.StructType(fields)
    if isinstance(kind, t.ArrayType):
        return t.ArrayType(nullable(kind.elementType), True)
    if isinstance(kind, t.MapType):
        return t.MapType(nullable(kind.keyType), nullable(kind.valueType), True)
    return kind


def variant(text: bytes) -> dict[str, bytes]:
    """JSON text as a Variant, in the struct that holds one.

    Raises:
        ValueError: It is no JSON, or too large for a Variant.
    """
    value = t.VariantVal.parseJson(text.decode())
    return {"value": value.value, "metadata": value.metadata}


def _problems(kind: t.DataType, path: str, *, nullable: bool = True) -> Iterator[str]:
    if isinstance(kind, t.StructType):
        prefix = f"{path}." if path else ""
        for name in sorted({name for name in kind.names if kind.names.count(name) > 1}):
            yield f"{prefix}{name}: the name stands more than once; give each field a name of its own"
        for field in kind:
            yield from _problems(field.dataType, prefix + field.name, nullable=field.nullable)
    elif isinstance(kind, t.ArrayType):
        yield from _problems(kind.elementType, path + "[]", nullable=kind.containsNull)
    elif isinstance(kind, t.MapType):
        yield from _problems(kind.keyType, path + "{key}", nullable=False)
        yield from _problems(kind.valueType, path + "{}", nullable=kind.valueContainsNull)
    elif type(kind) not in _SIMPLE and not isinstance(kind, t.DecimalType):
        yield f"{path}: {kind.simpleString().upper()} cannot be read into; use STRING and cast it"
    elif isinstance(kind, t.NullType) and not nullable:
        yield f"{path}: VOID holds nothing but null, which it must not here; make it nullable, or use STRING"


def _field(name: str, kind: t.DataType, *, nullable: bool) -> pa.Field:
    return pa.field(name, _arrow(kind), nullable=nullable)


def _arrow(kind: t.DataType) -> pa.DataType:
    if isinstance(kind, t.DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    if isinstance(kind, t.StructType):
        return pa.struct([_field(field.name, field.dataType, nullable=field.nullable) for field in kind])
    if isinstance(kind, t.ArrayType):
        return pa.list_(_field("element", kind.elementType, nullable=kind.containsNull))
    if isinstance(kind, t.MapType):
        key = _field("key", kind.keyType, nullable=False)
        return pa.map_(key, _field("value", kind.valueType, nullable=kind.valueContainsNull))
    return _SIMPLE[type(kind)]
