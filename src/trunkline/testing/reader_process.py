"""The processes in which Spark runs a Python data source reader, without Spark: quick, and with every step in the open.

    workers = Workers()
    read = Read(workers, MySource, {"url": "..."}, schema)
    rows = [batch for number in range(read.tasks) for batch in read.task(number)]

    query = Query(workers, MySource, {"url": "..."}, schema)
    batch = query.batch()                    # None: there is nothing new
    query.restart()
    workers.close()

As in Spark, a read is planned in one process and tasks run in others; a stream has a driver of its own, and its tasks
get a reader that another process made. What goes from one to the next is pickled; nothing else connects them.
"""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trunkline.testing import reader_steps
from trunkline.testing.writer_process import COMMITTER, EXECUTORS, MAKER, CallError, Workers
from trunkline.testing.writer_steps import pickled

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.datasource import DataSource
    from pyspark.sql.types import StructType

# The default of spark.task.maxFailures.
ATTEMPTS = 4


class Read:
    """One batch read, step by step.

    Args:
        workers: Where it runs.
        source: The data source.
        options: As a user writes them; the reader gets their names in lower case.
        schema: What the user's `.schema()` says.

    Raises:
        CallError: The reader could not be made, or could not plan.
    """

    def __init__(
        self,
        workers: Workers,
        source: type[DataSource],
        options: Mapping[str, str],
        schema: StructType,
    ) -> None:
        self._workers = workers
        self._mark = workers.mark()
        self._source = _run(workers, MAKER, reader_steps.create, pickled(source), dict(options))
        self._schema = schema.json()
        self._plan: reader_steps.Plan = _run(workers, COMMITTER, reader_steps.plan, self._source, self._schema)

    @property
    def tasks(self) -> int:
        """How many there are."""
        return len(self._plan.partitions)

    @property
    def shown(self) -> str:
        """The `repr` of the data source, of its reader and of the partitions."""
        return self._plan.shown

    @property
    def pushes(self) -> bool:
        """Whether the reader has `pushFilters`."""
        return self._plan.pushes

    def task(self, number: int, *, attempts: int = 1, executor: int = 0) -> list[pa.RecordBatch]:
        """One task, tried again as Spark does; gives what the attempt that succeeded has read."""
        return _attempted(self._workers, executor, attempts, *self._arguments(number))

    def both(self, first: int, second: int) -> list[list[pa.RecordBatch]]:
        """Two tasks, or two attempts at one, at the same time in two processes."""
        steps = [_Step(reader_steps.read, self._arguments(number)) for number in (first, second)]
        calls = [(worker, "unpickled", (pickle.dumps(step),)) for worker, step in zip(EXECUTORS, steps, strict=True)]
        return self._workers.together(calls)

    def look(self) -> None:
        """Take the first rows of the first task and no more."""
        _run(self._workers, EXECUTORS[0], reader_steps.look, self._plan.reader, self._plan.partitions[0])

    def leftovers(self, times: int) -> tuple[int, int]:
        """Threads and open files that so many looks leave behind."""
        looked = (self._plan.reader, self._plan.partitions[0], times)
        threads, files = _run(self._workers, EXECUTORS[0], reader_steps.leftovers, *looked)
        return threads, files

    def printed(self) -> str:
        """What the processes printed and logged since this read began."""
        return self._workers.printed(self._mark)

    def _arguments(self, number: int) -> tuple[Any, ...]:
        return self._plan.reader, self._plan.partitions[number], self._schema, self._source


@dataclass(frozen=True)
class Batch:
    """A micro-batch: its offsets as texts, its pickled partitions, and what they hold."""

    start: str
    end: str
    partitions: tuple[bytes, ...]
    rows: tuple[pa.RecordBatch, ...]


class Query:
    """One streaming query with its checkpoint, micro-batch by micro-batch, by the calls that Spark makes.

    Args:
        workers: Where it runs.
        source: The data source.
        options: As a user writes them.
        schema: Of the rows.
        limits: Whether Spark tells the reader where it stands and how much it may read, as 4.2 and later do.

    Attributes:
        shown: The `repr` of the driver's reader.
    """

    def __init__(
        self,
        workers: Workers,
        source: type[DataSource],
        options: Mapping[str, str],
        schema: StructType,
        *,
        limits: bool = False,
    ) -> None:
        self._workers = workers
        self._mark = workers.mark()
        self._made = (pickled(source), dict(options))
        self._schema = schema.json()
        self._limits = limits
        self._drivers = (MAKER, COMMITTER)
        self._planned: tuple[str, str] | None = None
        self._until: str | None = None
        self._to_commit = False
        self.shown = ""
        self._begin()

    def batch(self, *, most: int | None = None, attempts: int = ATTEMPTS) -> Batch | None:
        """The next micro-batch, None where there is nothing new.

        Args:
            most: A limit of rows, for Spark 4.2 and later.
            attempts: Of each task.

        Raises:
            CallError: The query ended; `restart` runs it again.
        """
        if self._planned is None:
            end = self.latest(most=most)
            start = self._until if self._until is not None else self.initial()
            if end == start:
                self._until = start
                return None
            # From here on the batch stands in the checkpoint: a restart runs it again.
            self._planned = (start, end)
            if self._to_commit:
                self.commit(start)
        batch = self.read(*self._planned, attempts=attempts)
        self._until, self._planned, self._to_commit = batch.end, None, True
        return batch

    def restart(self) -> None:
        """End the run and begin another from the checkpoint, in another process."""
        self._call(reader_steps.stop)
        self._drivers = self._drivers[::-1]
        self._begin()
        last = self._planned[1] if self._planned else self._until
        if not self._limits and last is not None:
            # How Spark 4.0 and 4.1 tell a reader where the query stands.
            self._call(reader_steps.partitions, last, last)

    def initial(self) -> str:
        """Where a new query begins."""
        return str(self._call(reader_steps.initial_offset))

    def latest(self, *, most: int | None = None) -> str:
        """Where the next batch may end."""
        return self.poll(1, most=most)[0]

    def poll(self, times: int, *, most: int | None = None) -> list[str]:
        """What the reader says so many times in a row."""
        since = None
        if self._limits:
            since = self._until if self._until is not None else self.initial()
        return list(self._call(reader_steps.latest_offset, since, most, times))

    def read(self, start: str, end: str, *, attempts: int = ATTEMPTS) -> Batch:
        """What lies between two offsets."""
        partitions = self._call(reader_steps.partitions, start, end)
        rows: list[pa.RecordBatch] = []
        for number, partition in enumerate(partitions):
            carried = (self._reader, partition, self._schema, self._source)
            rows += _attempted(self._workers, number, attempts, *carried)
        return Batch(start, end, tuple(partitions), tuple(rows))

    def read_again(self, batch: Batch, *, elsewhere: bool) -> list[pa.RecordBatch]:
        """The partitions of a batch once more and in another order, in the processes that read them, or in others."""
        rows: list[pa.RecordBatch] = []
        for number, partition in reversed(list(enumerate(batch.partitions))):
            carried = (self._reader, partition, self._schema, self._source)
            rows += _attempted(self._workers, number + elsewhere, 1, *carried)
        return rows

    def commit(self, end: str) -> None:
        """Tell the reader that everything up to here was written."""
        self._call(reader_steps.commit, end)

    def printed(self) -> str:
        """What the processes printed and logged since this query began."""
        return self._workers.printed(self._mark)

    def _begin(self) -> None:
        self._run = uuid.uuid4().hex
        self._source: bytes = _run(self._workers, self._drivers[0], reader_steps.create, *self._made)
        # State that the driver's reader gathers is never seen by the tasks: theirs is made by another call.
        planned = (reader_steps.stream_reader, self._source, self._schema)
        self._reader: bytes = _run(self._workers, self._drivers[1], *planned)
        self.shown = self._call(reader_steps.start, self._source, self._schema)

    def _call(self, step: Callable[..., Any], *args: Any) -> Any:
        return _run(self._workers, self._drivers[0], step, self._run, *args)


class _Step:
    """Pickles as a call, so that unpickling it is running it: the processes know the steps of writers by name only."""

    def __init__(self, step: Callable[..., Any], args: Sequence[Any]) -> None:
        self._call = (step, tuple(args))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def _run(workers: Workers, worker: int, step: Callable[..., Any], *args: Any) -> Any:
    return workers.call(worker, "unpickled", pickle.dumps(_Step(step, args)))


def _attempted(workers: Workers, executor: int, attempts: int, *args: Any) -> list[pa.RecordBatch]:
    worker = EXECUTORS[executor % len(EXECUTORS)]
    for attempt in range(attempts - 1):
        try:
            return list(_run(workers, worker, reader_steps.read, *args, attempt))
        except CallError:
            continue
    return list(_run(workers, worker, reader_steps.read, *args, attempts - 1))
