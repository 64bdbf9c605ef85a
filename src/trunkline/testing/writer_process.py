"""The processes in which Spark runs a Python data source writer, without Spark: quick, and with every step in the open.

    workers = Workers()
    write = Write(workers, MySource, {"url": "..."}, schema)
    messages = write.tasks([[batch, batch], [batch]])        # two partitions at the same time
    write.commit(messages)
    workers.close()

As in Spark, the data source and its writer are made in one process, tasks run in others, and the commit runs in a
fourth one. What goes from one to the next is pickled; nothing else connects them.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import sys
import tempfile
import traceback
import uuid
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.testing import writer_steps
from trunkline.testing.writer_steps import Task, pickled

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.datasource import DataSource
    from pyspark.sql.types import StructType

# No step of a contract test comes near it; a connector that hangs ends here.
PATIENCE = 60.0
# What the four processes do; two of them run tasks at the same time.
MAKER, COMMITTER, EXECUTORS = 0, 1, (2, 3)


class CallError(Exception):
    """What a connector raised in one of the processes, as text."""


class Workers:
    """Four processes that live until `close`, as Spark keeps its Python workers."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="writer-contract-", suffix=".log")
        os.close(handle)
        self._log = Path(name)
        self._context = multiprocessing.get_context("spawn")
        self._running = [self._start() for _ in range(2 + len(EXECUTORS))]

    def call(self, worker: int, function: str, *args: Any) -> Any:
        """Run a function of `writer_steps` in a process.

        Raises:
            CallError: It raised, or did not end in time.
        """
        (answer,) = self.together([(worker, function, args)])
        return answer

    def together(self, calls: Sequence[tuple[int, str, Sequence[Any]]]) -> list[Any]:
        """Run one function in each of several processes at the same time.

        Raises:
            CallError: One raised, or did not end in time; all have ended then.
        """
        for worker, function, args in calls:
            self._running[worker][1].send((function, tuple(args)))
        answers = [self._answer(worker, function) for worker, function, _ in calls]
        for fine, value in answers:
            if not fine:
                raise CallError(value)
        return [value for _, value in answers]

    def mark(self) -> int:
        """Where the log ends now."""
        return self._log.stat().st_size

    def printed(self, mark: int) -> str:
        """What the processes printed and logged since a mark."""
        return self._log.read_bytes()[mark:].decode("utf-8", "replace")

    def close(self) -> None:
        """End the processes."""
        for process, connection in self._running:
            connection.close()
            process.join(2)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._running = []
        self._log.unlink(missing_ok=True)

    def _start(self) -> tuple[Any, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, str(self._log)), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def _answer(self, worker: int, function: str) -> tuple[bool, Any]:
        process, connection = self._running[worker]
        try:
            if connection.poll(PATIENCE):
                answer: tuple[bool, Any] = connection.recv()
                return answer
            said = f"{function} did not end within {PATIENCE:g} s"
        except EOFError:
            said = f"the process ended in {function}"
        process.kill()
        process.join()
        connection.close()
        self._running[worker] = self._start()
        return False, said


class Write:
    """One batch write, or one micro-batch of a stream, step by step.

    Args:
        workers: Where it runs.
        source: The data source.
        options: As a user writes them; the writer gets their names in lower case.
        schema: Of the DataFrame.
        overwrite: Whether the save mode, or the output mode, asks for it.
        batch: The micro-batch of a stream, None for a batch write.
        query: The id of the streaming query, which a restart keeps.

    Raises:
        CallError: The writer could not be made.
    """

    _attempt_ids = itertools.count()

    def __init__(
        self,
        workers: Workers,
        source: type[DataSource],
        options: Mapping[str, str],
        schema: StructType,
        *,
        overwrite: bool = False,
        batch: int | None = None,
        query: str | None = None,
    ) -> None:
        self._workers = workers
        self._batch = batch
        self._query = query or str(uuid.uuid4())
        self._mark = workers.mark()
        self._rest: tuple[Any, ...] = (schema.json(), overwrite)
        made = workers.call(MAKER, "make", pickled(source), dict(options), *self._rest, batch is not None)
        self._source: bytes
        self._writer: bytes
        self.shown: str
        """The `repr` of the data source and of its writer."""
        self._source, self._writer, self.shown = made

    def task(
        self, batches: Sequence[pa.RecordBatch], *, partition: int = 0, attempt: int = 0, broken: bool = False
    ) -> bytes:
        """One task; gives its pickled commit message.

        Args:
            batches: The partition.
            partition: Its number.
            attempt: 0, and 1 when the task is repeated.
            broken: Whether what computes the rows fails after the last batch.
        """
        function, args = self._call(batches, partition, attempt, broken=broken)
        return bytes(self._workers.call(EXECUTORS[0], function, *args))

    def tasks(self, partitions: Sequence[Sequence[pa.RecordBatch]]) -> list[bytes]:
        """Two partitions at the same time."""
        calls = [self._call(batches, number, 0) for number, batches in enumerate(partitions)]
        return self._workers.together([(worker, *call) for worker, call in zip(EXECUTORS, calls, strict=True)])

    def attempts(self, batches: Sequence[pa.RecordBatch]) -> list[bytes]:
        """Two attempts at partition 0 at the same time."""
        calls = [self._call(batches, 0, attempt) for attempt in (0, 1)]
        return self._workers.together([(worker, *call) for worker, call in zip(EXECUTORS, calls, strict=True)])

    def commit(self, messages: Sequence[bytes | None]) -> None:
        """What the driver calls when every task has ended."""
        self._finish(messages, aborted=False)

    def abort(self, messages: Sequence[bytes | None]) -> None:
        """What the driver calls when a task failed for good, and after a commit that failed."""
        self._finish(messages, aborted=True)

    def printed(self) -> str:
        """What the processes printed and logged since this write began."""
        return self._workers.printed(self._mark)

    def _call(
        self, batches: Sequence[pa.RecordBatch], partition: int, attempt: int, *, broken: bool = False
    ) -> tuple[str, tuple[Any, ...]]:
        query = self._query if self._batch is not None else None
        task = Task(partition, attempt, next(self._attempt_ids), self._batch, query)
        return "run_task", (self._writer, list(batches), task, broken)

    def _finish(self, messages: Sequence[bytes | None], *, aborted: bool) -> None:
        if self._batch is None:
            self._workers.call(COMMITTER, "finish_batch", self._writer, list(messages), aborted)
        else:
            finish = (self._source, *self._rest, list(messages), self._batch, aborted)
            self._workers.call(COMMITTER, "finish_stream", *finish)


def _serve(connection: Connection, log: str) -> None:
    """Answer calls until the other end is gone."""
    sys.stdout.flush()
    handle = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    logging.basicConfig(level=logging.DEBUG)
    while True:
        try:
            function, args = connection.recv()
        except EOFError:
            return
        try:
            answer = (True, getattr(writer_steps, function)(*args))
        except BaseException:  # noqa: BLE001 - the test says what is to become of it
            answer = (False, traceback.format_exc())
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(answer)
