"""Which micro-batch a task belongs to: a stream writer is told no other way."""

from __future__ import annotations

from typing import NamedTuple

from pyspark import TaskContext
from pyspark.sql.datasource import DataSourceStreamWriter

# Set by Spark for every task of a micro-batch.
_QUERY_ID, _BATCH_ID = "sql.streaming.queryId", "streaming.sql.batchId"


class MicroBatch(NamedTuple):
    """A micro-batch of a query; both are the same when it is replayed."""

    query_id: str
    number: int


def micro_batch(writer: object, context: TaskContext) -> MicroBatch | None:
    """The micro-batch of the task, None for a batch write: one inside of `foreachBatch` sees the properties too."""
    return micro_batch_around(context) if isinstance(writer, DataSourceStreamWriter) else None


def micro_batch_around(context: TaskContext) -> MicroBatch | None:
    """The micro-batch whose plan, or whose `foreachBatch`, the task belongs to; None outside of streams."""
    query, number = context.getLocalProperty(_QUERY_ID), context.getLocalProperty(_BATCH_ID)
    return None if query is None or number is None else MicroBatch(str(query), int(str(number)))


def task_context() -> TaskContext:
    """Of the task that this process runs.

    Raises:
        RuntimeError: It runs none.
    """
    context = TaskContext.get()
    if context is None:
        raise RuntimeError("write() is called by Spark, inside a task")
    return context
