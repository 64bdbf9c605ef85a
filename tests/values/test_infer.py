from __future__ import annotations

from typing import Any

import orjson
import pytest

from trunkline.values import JsonDecoder, ReadOptions
from trunkline.values.infer import Inferred, infer
from trunkline.values.spark_types import arrow_schema


def inferred(*values: Any) -> str:
    """The type of a column with these values."""
    found = infer([{"x": value} for value in values])
    assert found.schema.names == ["x"]
    assert found.schema["x"].nullable
    return found.schema["x"].dataType.simpleString()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, None], "boolean"),
        ([1, -(2**63)], "bigint"),
        ([1, 2**63], "decimal(38,0)"),
        ([1, 10**38], "string"),
        ([1, 2.5], "double"),
        ([2**70, 2.5], "double"),
        ([True, 1], "string"),
        (["a", None, "2024-05-01"], "string"),
        (["2024-05-01", None, "2024-02-29"], "date"),
        (["2024-05-01", "2024-02-30"], "string"),
        (["2024-05-01T12:00:00Z", "2024-05-01 12:00:00.5+02:00"], "timestamp"),
        (["Wed, 01 May 2024 12:00:00 GMT"], "timestamp"),
        (["2024-05-01T12:00:00", "2024-05-01T12:00"], "timestamp_ntz"),
        (["2024-05-01T12:00:00", "2024-05-01T12:00:00Z"], "string"),
        (["2024-05-01T12:00:00", "2024-05-01"], "string"),
        (["2024-05-01T12:00:00Z", ""], "string"),
        (["2024", "12"], "string"),
        (["1", 1], "string"),
        ([{"a": 1}, {"b": "x", "a": 2.5}, None], "struct<a:double,b:string>"),
        ([{"a": {"b": [{"c": 1}, {"c": None}]}}], "struct<a:struct<b:array<struct<c:bigint>>>>"),
        ([[1], [2.5, None], []], "array<double>"),
        ([[{"a": 1}], [{"b": True}]], "array<struct<a:bigint,b:boolean>>"),
        ([[1, "a"]], "array<string>"),
        ([{"a": 1}, "x"], "string"),
        ([{"a": 1}, [1]], "string"),
        ([[1], 1], "string"),
    ],
)
def test_kinds_of_values(values: list[Any], kind: str) -> None:
    """What is seen of a column decides its type, in any order, and all of it is read into that type."""
    assert inferred(*values) == inferred(*reversed(values)) or "struct" in kind
    assert inferred(*values) == kind
    schema = arrow_schema(infer([{"x": value} for value in values]).schema)
    if max((abs(v) for v in values if type(v) is int), default=0) < 2**64:
        body = orjson.dumps([{"x": value} for value in values])
        column = JsonDecoder(schema, ReadOptions()).array(body).column(0)
        assert column.null_count == values.count(None)


def test_order_and_unknown_columns() -> None:
    """Columns stand as they first occur; those that were never more than null are strings, and named."""
    found = infer([{"b": None, "a": 1}, {"c": {"d": None, "e": {}}, "f": [], "g": [[]], "a": None}])
    assert found.schema.simpleString() == (
        "struct<b:string,a:bigint,c:struct<d:string,e:string>,f:array<string>,g:array<array<string>>>"
    )
    assert found.unknown == ["b", "c.d", "c.e", "f[]", "g[][]"]


def test_elements_that_are_no_records() -> None:
    """They make a column `value` if there is nothing else, and are left to the parse mode if there is."""
    assert infer([1, None, 2.5]).schema.simpleString() == "struct<value:double>"
    assert infer(["a"]).schema.simpleString() == "struct<value:string>"
    assert infer([[1], [2]]).schema.simpleString() == "struct<value:array<bigint>>"
    assert infer([1, {"a": 1}, None]).schema.simpleString() == "struct<a:bigint>"


def test_nothing_seen() -> None:
    """No records, no columns."""
    assert infer([]) == infer([{}]) == Inferred(infer([]).schema, [])
    assert infer([]).schema.names == []
