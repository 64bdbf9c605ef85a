"""Writing rows of a batch, or of a micro-batch: to files, to a table, by MERGE INTO.

    write(df, Sink(format="parquet", path="/data/users"), "overwrite", {})
    merge(Sink(table="lake.users", merge_keys=("id",)), {}, df)

Nothing here needs more than Spark: over Connect a micro-batch is merged on the server, where nothing else may be
installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Sink(NamedTuple):
    """Where rows go: a table of the catalog, or a format with a path or without one.

    Attributes:
        partition_by: Columns that make folders.
        merge_keys: The columns by which a row is the same row.
    """

    format: str | None = None
    table: str | None = None
    path: str | None = None
    partition_by: tuple[str, ...] = ()
    merge_keys: tuple[str, ...] = ()


def write(df: DataFrame, sink: Sink, mode: str, options: Mapping[str, Any]) -> None:
    """Write rows, all of them before this returns.

    Args:
        df: The rows.
        sink: Where they go.
        mode: Of Spark's writer.
        options: Of the format.
    """
    writer = df.write.options(**options)
    if sink.format:
        writer = writer.format(sink.format)
    if sink.partition_by:
        writer = writer.partitionBy(*sink.partition_by)
    writer = writer.mode(mode)
    if sink.table:
        writer.saveAsTable(sink.table)
    else:
        writer.save(sink.path) if sink.path else writer.save()


def merge(sink: Sink, options: Mapping[str, Any], df: DataFrame) -> None:
    """Update the rows whose keys are there, and add the others; where nothing is there yet, make it.

    Args:
        sink: Of a format that can.
        options: Of the format, when it is made.
        df: The rows.
    """
    if _exists(df.sparkSession, sink):
        df.sparkSession.sql(merge_statement(sink), source=df)
    else:
        # It must not meet another that began at the same time.
        write(df, sink, "error", options)


def merge_statement(sink: Sink) -> str:
    """MERGE INTO for a target that is there. Keys that are null are the same key."""
    on = " AND ".join(f"t.{quoted(key)} <=> s.{quoted(key)}" for key in sink.merge_keys)
    target = sink.table or f"{sink.format}.`{sink.path}`"
    matched = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    return f"MERGE INTO {target} AS t USING {{source}} AS s ON {on} {matched}"


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return name if _PLAIN_NAME.fullmatch(name) else f"`{name}`"


def _exists(spark: SparkSession, sink: Sink) -> bool:
    from pyspark.errors import AnalysisException

    if sink.table:
        return bool(spark.catalog.tableExists(sink.table))
    try:
        spark.sql(f"DESCRIBE TABLE {sink.format}.`{sink.path}`")
    except AnalysisException:
        return False
    return True
