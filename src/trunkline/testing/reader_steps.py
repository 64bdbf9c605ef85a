"""What each of Spark's Python workers does for a data source reader: plan a read, read a partition, drive a stream.

Everything that another process made comes pickled, by Spark's own pickler. `reader_process` runs these functions.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.testing.writer_steps import pickled, unpickled

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

# The default of spark.sql.execution.arrow.maxRecordsPerBatch.
_BATCH_ROWS = 10_000
# Threads and connections that a closed read has let go need a moment to end: looks, a tenth of a second apart. Counted,
# not timed: a machine may stand still between two. So many, because one thread may stand still for some seconds alone.
_SETTLING = 50

_DRIVERS: dict[str, Any] = {}


@dataclass(frozen=True)
class Plan:
    """What the planner sends to the tasks of a batch read.

    Attributes:
        reader: Pickled.
        partitions: Pickled, one for each task.
        shown: The `repr` of the data source, of its reader and of the partitions.
        pushes: Whether the reader overrides `pushFilters`.
    """

    reader: bytes
    partitions: tuple[bytes, ...]
    shown: str
    pushes: bool


def create(source: bytes, options: Mapping[str, str]) -> bytes:
    """Make a data source, as Spark does once for each `load`; gives it pickled."""
    from pyspark.sql.datasource import CaseInsensitiveDict

    given = CaseInsensitiveDict()
    for name, value in options.items():
        given[name.lower()] = value
    return pickled(unpickled(source)(options=given))


def plan(source: bytes, schema: str) -> Plan:
    """Plan a batch read."""
    from pyspark.sql.datasource import DataSourceReader, InputPartition

    loaded = unpickled(source)
    # By keyword, as Spark does: the name of the parameter is part of the interface.
    reader = loaded.reader(schema=_struct(schema))
    if not isinstance(reader, DataSourceReader):
        raise TypeError(f"{type(reader).__name__} is no DataSourceReader")
    # Spark pickles the reader for the tasks before it asks for partitions.
    carried = pickled(reader)
    try:
        partitions = reader.partitions()
    except NotImplementedError:
        # The default up to Spark 4.1, which then runs one task, as where there is no partition.
        partitions = []
    if not isinstance(partitions, list):
        raise TypeError(f"partitions() returned {type(partitions).__name__} instead of a list")
    for partition in partitions:
        if not isinstance(partition, InputPartition):
            raise TypeError(f"partitions() holds a {type(partition).__name__} instead of InputPartitions")
    # Spark runs one task where there is no partition, and up to 4.1 gives it nothing at all.
    partitions = partitions or [InputPartition(None) if _version() >= (4, 2) else None]
    pushes = getattr(type(reader), "pushFilters", None) is not getattr(DataSourceReader, "pushFilters", None)
    shown = f"{loaded!r} {reader!r} {loaded} {reader} {partitions!r}"
    return Plan(carried, tuple(map(pickled, partitions)), shown, pushes)


def read(reader: bytes, partition: bytes, schema: str, source: bytes, attempt: int = 0) -> list[pa.RecordBatch]:
    """Read a partition to its end, and look at every batch as strictly as the strictest Spark."""
    with _task(attempt):
        return list(_batches(unpickled(reader).read(unpickled(partition)), _struct(schema), source))


def look(reader: bytes, partition: bytes) -> None:
    """Take the first rows of a partition and no more, as a limit does."""
    with _task(0):
        rows = unpickled(reader).read(unpickled(partition))
        next(rows, None)
        if hasattr(rows, "close"):
            rows.close()


def leftovers(reader: bytes, partition: bytes, times: int) -> tuple[int, int]:
    """How many threads and open files so many looks leave behind, beyond what the first one needs."""
    look(reader, partition)
    time.sleep(0.2)
    before = _resources()
    for _ in range(times):
        look(reader, partition)
    more = (0, 0)
    for _ in range(_SETTLING):
        gc.collect()
        threads, files = _resources()
        more = threads - before[0], files - before[1]
        if max(more) <= 0:
            break
        time.sleep(0.1)
    return more


def stream_reader(source: bytes, schema: str) -> bytes:
    """Make the stream reader that goes to the tasks, once for each run of a query; gives it pickled."""
    return pickled(_stream_reader(source, schema))


def start(run: str, source: bytes, schema: str) -> str:
    """Make the stream reader of a run's driver, which lives until `stop`; gives its `repr`."""
    _DRIVERS[run] = _stream_reader(source, schema)
    return f"{_DRIVERS[run]!r} {_DRIVERS[run]}"


def stop(run: str) -> None:
    """End a run: Spark kills the process."""
    _DRIVERS.pop(run, None)


def initial_offset(run: str) -> str:
    """Where a new query begins, as JSON."""
    return _text("initialOffset", _DRIVERS[run].initialOffset())


def latest_offset(run: str, since: str | None, most: int | None, times: int = 1) -> list[str]:
    """Where the next batch may end, as JSON, asked so many times.

    Args:
        run: Of a query.
        since: Where it stands; None calls without arguments, as Spark 4.0 and 4.1 do.
        most: A limit of rows; None for the reader's own.
        times: Spark asks about a hundred times a second.
    """
    reader = _DRIVERS[run]
    arguments: list[Any] = []
    if since is not None and inspect.signature(reader.latestOffset).parameters:
        from pyspark.sql.streaming.datasource import ReadMaxRows

        arguments = [json.loads(since), reader.getDefaultReadLimit() if most is None else ReadMaxRows(most)]
    return [_text("latestOffset", reader.latestOffset(*arguments)) for _ in range(times)]


def partitions(run: str, begin: str, end: str) -> list[bytes]:
    """The pickled partitions between two offsets."""
    from pyspark.sql.datasource import InputPartition

    found = list(_DRIVERS[run].partitions(json.loads(begin), json.loads(end)))
    for partition in found:
        if not isinstance(partition, InputPartition):
            raise TypeError(f"partitions() holds a {type(partition).__name__} instead of InputPartitions")
    return list(map(pickled, found))


def commit(run: str, end: str) -> None:
    """Tell the reader that a batch was written."""
    _DRIVERS[run].commit(json.loads(end))


def knows_limits() -> bool:
    """Whether this Spark tells stream readers where they stand and how much they may read (4.2 and later)."""
    try:
        import pyspark.sql.streaming.datasource  # noqa: F401
    except ImportError:
        return False
    return True


def _stream_reader(source: bytes, schema: str) -> Any:
    from pyspark.sql.datasource import DataSourceStreamReader

    reader = unpickled(source).streamReader(schema=_struct(schema))
    if not isinstance(reader, DataSourceStreamReader):
        raise TypeError(f"{type(reader).__name__} is no DataSourceStreamReader")
    return reader


def _text(name: str, offset: Any) -> str:
    if not isinstance(offset, dict):
        raise TypeError(f"{name}() returned {type(offset).__name__} instead of a dict")
    text = json.dumps(offset)
    if json.dumps(json.loads(text)) != text or json.loads(text) != offset:
        raise TypeError(f"{name}() returned {text}, which is another offset when it is read back from JSON")
    return text


def _struct(schema: str) -> StructType:
    from pyspark.sql.types import StructType

    return StructType.fromJson(json.loads(schema))


def _batches(rows: Any, schema: StructType, source: bytes) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyspark.sql.worker.plan_data_source_read import records_to_arrow_batches

    if not isinstance(rows, Iterator):
        raise TypeError(f"read() returned {type(rows).__name__} instead of an iterator")
    first = next(rows, None)
    if first is None:
        return
    rows = chain([first], rows)
    if not isinstance(first, pa.RecordBatch):
        yield from records_to_arrow_batches(rows, _BATCH_ROWS, schema, unpickled(source))
        return
    wanted = arrow_schema(schema)
    for batch in rows:
        if not wanted.equals(batch.schema):
            raise TypeError(
                f"read() yielded a RecordBatch of the schema\n{batch.schema}\ninstead of\n{wanted}\n"
                "Spark 4.2 and later refuse it; earlier ones take its memory for what the schema says"
            )
        batch.validate(full=True)
        for field, column in zip(wanted, batch.columns, strict=True):
            if column.null_count and not field.nullable:
                raise TypeError(f"read() yielded NULL in {field.name}, which the schema says is never NULL")
        yield batch


def _version() -> tuple[int, ...]:
    import pyspark

    return tuple(map(int, pyspark.__version__.split(".")[:2]))


def arrow_schema(schema: StructType) -> pa.Schema:
    """As Spark makes it for a read: timestamps are in UTC, whatever the zone of the session."""
    from pyspark.sql.pandas.types import to_arrow_schema

    # Its arguments are not the same in all versions; before 4.2, UTC is its default.
    zone = {"timezone": "UTC"} if "timezone" in inspect.signature(to_arrow_schema).parameters else {}
    return to_arrow_schema(schema, **zone)  # type: ignore[arg-type, unused-ignore]


@contextmanager
def _task(attempt: int) -> Iterator[None]:
    from pyspark import TaskContext

    context = TaskContext._getOrCreate()  # noqa: SLF001 - there is no public way to be in a task
    told = {
        "stageId": 1, "partitionId": 0, "attemptNumber": attempt, "taskAttemptId": attempt, "cpus": 1,
        "resources": {}, "localProperties": {},
    }  # fmt: skip
    for name, value in told.items():
        setattr(context, f"_{name}", value)
    try:
        yield
    finally:
        TaskContext._setTaskContext(None)  # type: ignore[arg-type, unused-ignore]  # noqa: SLF001


def _resources() -> tuple[int, int]:
    """Threads, and open files where the system says."""
    files = Path(f"/proc/{os.getpid()}/fd")
    return threading.active_count(), len(list(files.iterdir())) if files.is_dir() else 0
