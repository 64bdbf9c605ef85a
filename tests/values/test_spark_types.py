from __future__ import annotations

import inspect
import json
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import types as t
from pyspark.sql.pandas.types import to_arrow_schema

from trunkline.errors import OptionError
from trunkline.values import JsonDecoder, JsonOptions, ReadOptions, encode
from trunkline.values.spark_types import arrow_schema

SIMPLE: list[t.DataType] = [
    t.BooleanType(),
    t.ByteType(),
    t.ShortType(),
    t.IntegerType(),
    t.LongType(),
    t.FloatType(),
    t.DoubleType(),
    t.DecimalType(9, 2),
    t.StringType(),
    t.StringType("UTF8_LCASE"),
    t.BinaryType(),
    t.DateType(),
    t.TimestampType(),
    t.TimestampNTZType(),
    t.DayTimeIntervalType(),
    t.NullType(),
    t.VariantType(),
]


def schema() -> t.StructType:
    """Every type alone, in arrays, maps and structs, where null is allowed and where not."""
    fields = [t.StructField(f"c{i}", kind, i % 2 == 1) for i, kind in enumerate(SIMPLE)]
    nested: list[t.DataType] = [
        t.ArrayType(t.MapType(t.StringType(), t.LongType(), valueContainsNull=False), containsNull=False),
        t.MapType(t.DateType(), t.StructType(fields)),
        t.ArrayType(t.StructType(fields)),
    ]
    marked = t.StructField("marked", t.StringType(), metadata={"a": 1})
    return t.StructType([*fields, *(t.StructField(f"n{i}", kind) for i, kind in enumerate(nested)), marked])


def theirs(given: t.StructType) -> pa.Schema:
    named: Any = {"timezone": "UTC"} if "timezone" in inspect.signature(to_arrow_schema).parameters else {}
    return to_arrow_schema(given, **named)


def test_types_are_what_spark_expects() -> None:
    """Our map and that of the pyspark that is installed say the same, of every type and of what may be null."""
    assert arrow_schema(schema()) == theirs(schema())
    if hasattr(t, "TimeType"):
        times = t.StructType([t.StructField("x", t.TimeType())])
        assert arrow_schema(times) == theirs(times)


def test_all_types_that_cannot_be_read_are_named_at_once() -> None:
    """CHAR, VARCHAR, intervals of months and equal names are refused together, each by its path."""
    fields = [
        t.StructField("a", t.ArrayType(t.StructType([t.StructField("c", t.CharType(3))]))),
        t.StructField("m", t.MapType(t.VarcharType(4), t.YearMonthIntervalType())),
        t.StructField("ok", t.StringType()),
        t.StructField("void", t.NullType(), nullable=False),
        t.StructField("s", t.StructType([t.StructField("x", t.StringType()), t.StructField("x", t.StringType())])),
    ]
    with pytest.raises(OptionError) as caught:
        arrow_schema(t.StructType(fields))
    assert caught.value.problems == (
        "a[].c: CHAR(3) cannot be read into; use STRING and cast it",
        "m{key}: VARCHAR(4) cannot be read into; use STRING and cast it",
        "m{}: INTERVAL YEAR TO MONTH cannot be read into; use STRING and cast it",
        "void: VOID holds nothing but null, which it must not here; make it nullable, or use STRING",
        "s.x: the name stands more than once; give each field a name of its own",
    )


def test_variants_read_back() -> None:
    """A Variant takes any JSON, nested too, and is written as it was; null is no Variant."""
    variant = t.VariantType()
    kind = arrow_schema(t.StructType([t.StructField("v", variant), t.StructField("l", t.ArrayType(variant))]))
    body = b'[{"v":{"a":[1,2.5,"x",null]},"l":[true,null]},{"v":"\xc3\xa9","l":null},{"v":null,"l":[]}]'
    batch = JsonDecoder(kind, ReadOptions()).array(body)
    batch.validate(full=True)
    assert batch.schema.equals(kind, check_metadata=True)
    rows = encode(batch, JsonOptions())
    assert json.loads(b"[" + rows.join(0, 3) + b"]") == json.loads(body)
    drops = JsonDecoder(kind, ReadOptions(mode="DROPMALFORMED")).array(b'[{"v": 1}, 5]')
    assert encode(drops, JsonOptions()).join(0, 1) == b'{"v":1,"l":null}'
