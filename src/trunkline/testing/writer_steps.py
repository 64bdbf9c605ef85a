"""What each of Spark's Python workers does for a data source writer: make it, run a task, commit or abort.

Everything that another process made comes pickled, by Spark's own pickler. `writer_process` runs these functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Row
    from pyspark.sql.datasource import DataSource

# What is raised where rows are computed, in tasks that ask for it.
UPSTREAM = "the rows of this task could not be computed"


@dataclass(frozen=True)
class Task:
    """What Spark's `TaskContext` says in a task. `batch` and `query` are those of a stream."""

    partition: int
    attempt: int
    attempt_id: int
    batch: int | None = None
    query: str | None = None

    @property
    def properties(self) -> dict[str, str]:
        """The local properties by which a stream writer learns its micro-batch."""
        if self.batch is None or self.query is None:
            return {}
        return {"streaming.sql.batchId": str(self.batch), "sql.streaming.queryId": self.query}


def make(
    source: bytes, options: Mapping[str, str], schema: str, overwrite: bool, streaming: bool
) -> tuple[bytes, bytes, str]:
    """Make a data source and its writer, as Spark's planner does."""
    from pyspark.sql.datasource import CaseInsensitiveDict, DataSourceStreamWriter, DataSourceWriter

    given = CaseInsensitiveDict()
    for name, value in options.items():
        given[name.lower()] = value
    made = unpickled(source)(options=given)
    # Spark makes the source of a stream's commit apart from that of its tasks, so it is pickled before it is used.
    before_use = pickled(made)
    writer = _writer(made, schema, overwrite, streaming=streaming)
    wanted = DataSourceStreamWriter if streaming else DataSourceWriter
    if not isinstance(writer, (wanted, *_stream_arrow_writer(streaming=streaming))):
        raise TypeError(f"{type(writer).__name__} is no {wanted.__name__}")
    return before_use, pickled(writer), f"{made!r} {writer!r} {made} {writer}"


def run_task(writer: bytes, batches: Sequence[pa.RecordBatch], task: Task, broken: bool) -> bytes:
    """Run a task; gives the pickled commit message."""
    from pyspark import TaskContext
    from pyspark.sql.datasource import DataSourceArrowWriter, WriterCommitMessage

    context = TaskContext._getOrCreate()  # noqa: SLF001 - there is no public way to be in a task
    told = {
        "stageId": 1, "partitionId": task.partition, "attemptNumber": task.attempt, "taskAttemptId": task.attempt_id,
        "cpus": 1, "resources": {}, "localProperties": task.properties,
    }  # fmt: skip
    for name, value in told.items():
        setattr(context, f"_{name}", value)
    loaded = unpickled(writer)
    arrow = isinstance(loaded, (DataSourceArrowWriter, *_stream_arrow_writer(streaming=True)))
    source = _source(batches, broken=broken)
    try:
        message = loaded.write(source if arrow else _rows(source))
    finally:
        TaskContext._setTaskContext(None)  # type: ignore[arg-type, unused-ignore]  # noqa: SLF001
    if not isinstance(message, WriterCommitMessage):
        raise TypeError(f"write() returned {type(message).__name__} instead of a WriterCommitMessage")
    return pickled(message)


def finish_batch(writer: bytes, messages: Sequence[bytes | None], aborted: bool) -> None:
    """Commit or abort a batch write, on a new copy of the writer that the driver made."""
    loaded = unpickled(writer)
    (loaded.abort if aborted else loaded.commit)(_messages(messages))


def finish_stream(
    source: bytes, schema: str, overwrite: bool, messages: Sequence[bytes | None], batch: int, aborted: bool
) -> None:
    """Commit or abort a micro-batch, on a writer of its own."""
    writer = _writer(unpickled(source), schema, overwrite, streaming=True)
    (writer.abort if aborted else writer.commit)(_messages(messages), batch)


def pickled(value: Any) -> bytes:
    """As Spark pickles."""
    from pyspark.serializers import CPickleSerializer

    return bytes(CPickleSerializer().dumps(value))  # type: ignore[no-untyped-call, unused-ignore]


def unpickled(value: bytes) -> Any:
    """As Spark unpickles."""
    from pyspark.serializers import CPickleSerializer

    return CPickleSerializer().loads(value)  # type: ignore[no-untyped-call, unused-ignore]


def _writer(source: DataSource, schema: str, overwrite: bool, *, streaming: bool) -> Any:
    from pyspark.sql.types import StructType

    # By keyword: Spark calls it both ways, so the names of the parameters are part of the interface.
    arguments: dict[str, Any] = {"schema": StructType.fromJson(json.loads(schema)), "overwrite": overwrite}
    return source.streamWriter(**arguments) if streaming else source.writer(**arguments)


def _stream_arrow_writer(*, streaming: bool) -> tuple[type, ...]:
    from pyspark.sql import datasource

    found = getattr(datasource, "DataSourceStreamArrowWriter", None)  # since Spark 4.1
    return (found,) if streaming and found else ()


def _source(batches: Sequence[pa.RecordBatch], *, broken: bool) -> Iterator[pa.RecordBatch]:
    yield from batches
    if broken:
        raise ValueError(UPSTREAM)


def _rows(batches: Iterator[pa.RecordBatch]) -> Iterator[Row]:
    from pyspark.sql import Row

    for batch in batches:
        row = Row(*batch.schema.names)
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield row(*values)


def _messages(messages: Sequence[bytes | None]) -> list[Any]:
    return [None if message is None else unpickled(message) for message in messages]
