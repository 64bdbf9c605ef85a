"""Rows as Spark hands them to Python functions that take one at a time, to Arrow and back, without a change.

    batch = from_rows(rows, kinds, arrow_schema(kinds))
    tuples = to_rows(batch, kinds)

Spark gives a TIMESTAMP as a naive datetime of this process's time zone, and takes it back so, but forgets which of the
two hours is meant when clocks are set back: so they go back with a zone, which is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timezone
from typing import Any

import pyarrow as pa
from pyspark.sql import types as t

Change = Callable[[Any], Any]


def from_rows(rows: Sequence[Sequence[Any]], kinds: t.StructType, schema: pa.Schema) -> pa.RecordBatch:
    """A batch of the rows.

    Args:
        rows: Values in the order of the columns.
        kinds: Their types.
        schema: The same in Arrow.
    """
    arrays = []
    for at, (column, arrow) in enumerate(zip(kinds, schema, strict=True)):
        values: list[Any] = [row[at] for row in rows]
        change = _inward(column.dataType)
        arrays.append(pa.array(values if change is None else _changed(values, change), arrow.type))
    # The rows of a table without columns count too.
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def to_rows(batch: pa.RecordBatch, kinds: t.StructType) -> Iterable[tuple[Any, ...]]:
    """The rows of a batch, as Spark takes them from Python; structs are tuples."""
    columns = []
    for column, array in zip(kinds, batch.columns, strict=True):
        change = _outward(column.dataType)
        values = array.to_pylist()
        columns.append(values if change is None else _changed(values, change))
    return zip(*columns, strict=True)


def _changed(values: Iterable[Any], change: Change) -> list[Any]:
    return [None if value is None else change(value) for value in values]


def _inward(kind: t.DataType) -> Change | None:
    """What makes a value fit for Arrow; None where it is."""
    if isinstance(kind, t.TimestampType):
        return lambda value: value.astimezone(timezone.utc)
    if isinstance(kind, t.BinaryType):
        return bytes
    if isinstance(kind, t.VariantType):
        return lambda value: {"value": value.value, "metadata": value.metadata}
    if isinstance(kind, t.ArrayType):
        item = _inward(kind.elementType)
        return None if item is None else lambda values: _changed(values, item)
    if isinstance(kind, t.MapType):
        key, value = _or_same(_inward(kind.keyType)), _or_same(_inward(kind.valueType))
        return lambda values: [(key(one), None if other is None else value(other)) for one, other in values.items()]
    if isinstance(kind, t.StructType):
        names, fields = kind.names, [_or_same(_inward(one.dataType)) for one in kind]
        return lambda values: {
            name: None if one is None else change(one) for name, change, one in zip(names, fields, values, strict=True)
        }
    return None


def _outward(kind: t.DataType) -> Change | None:
    """What makes a value of Arrow's fit for Spark; None where it is."""
    if isinstance(kind, t.VariantType):
        return lambda value: t.VariantVal(value["value"], value["metadata"])
    if isinstance(kind, t.ArrayType):
        item = _outward(kind.elementType)
        return None if item is None else lambda values: _changed(values, item)
    if isinstance(kind, t.MapType):
        key, value = _or_same(_outward(kind.keyType)), _or_same(_outward(kind.valueType))
        return lambda values: {key(one): None if other is None else value(other) for one, other in values}
    if isinstance(kind, t.StructType):
        names, fields = kind.names, [_or_same(_outward(one.dataType)) for one in kind]
        return lambda values: tuple(
            None if values[name] is None else change(values[name]) for name, change in zip(names, fields, strict=True)
        )
    return None


def _or_same(change: Change | None) -> Change:
    return _same if change is None else change


def _same(value: Any) -> Any:
    return value
