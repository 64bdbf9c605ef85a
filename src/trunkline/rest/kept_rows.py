"""Rows that a response log kept as JSON, with the columns and types that they had.

with_types(log.select("row", "outcome"), StructType.fromDDL("id INT, wait INTERVAL DAY TO SECOND"))
# DataFrame[id: int, wait: interval day to second, outcome: string]

By our own decoder: Spark's `from_json` knows no day-time intervals, and makes a null of JSON of the null of a Variant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from trunkline.values import JsonDecoder, ReadOptions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


def with_types(kept: DataFrame, schema: StructType) -> DataFrame:
    """The columns of the rows, and what stands beside them.

    Args:
        kept: A column of rows as JSON, and others.
        schema: Of the rows.
    """
    from pyspark.sql.types import StructField, StructType

    from trunkline.values.spark_types import nullable

    columns = [*cast("StructType", nullable(schema)), *kept.schema.fields[1:]]
    # The names come last: one may stand twice, or hold a dot.
    plain = StructType([StructField(f"c{number}", column.dataType) for number, column in enumerate(columns)])
    return kept.mapInArrow(_typing(kept, schema.jsonValue()), plain).toDF(*(column.name for column in columns))


def typed_rows(schema: dict[str, Any], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same inside of a task.

    Args:
        schema: Of the rows, as Spark writes it.
        batches: A column of rows as JSON, and others.
    """
    from pyspark.sql.types import StructType

    from trunkline.values.spark_types import arrow_schema, nullable

    kinds = cast("StructType", nullable(StructType.fromJson(schema)))
    decoder = JsonDecoder(arrow_schema(kinds), ReadOptions())
    for batch in batches:
        rows = decoder.array(b"[" + b",".join(text.encode() for text in batch.column(0).to_pylist()) + b"]")
        columns = [*rows.columns, *batch.columns[1:]]
        yield pa.RecordBatch.from_arrays(columns, names=[f"c{number}" for number in range(len(columns))])


def _typing(kept: DataFrame, schema: dict[str, Any]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function that Spark runs for each partition."""
    if type(kept).__module__.startswith("pyspark.sql.connect"):
        from trunkline.carry import carried_function

        return carried_function("trunkline.rest.kept_rows", "typed_rows", schema)

    def typed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return typed_rows(schema, batches)

    return typed
