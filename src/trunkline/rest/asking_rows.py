"""One task's share of a `rest_request` in SQL: rows given one by one, and taken back when they are answered.

    asking = AskingRows(plan, kinds, out)
    for row in rows:
        yield from asking.give(row) or ()
    yield from asking.rest()

Rows are gathered to batches for `request()`'s own `ask_partition`, which runs in a thread of its own: so as many
requests are under way as there. Whoever gives a batch gets back what is answered by then, and waits until the batch is
taken: no more rows are held than `request()` holds.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType

from trunkline.micro_batch import micro_batch_around, task_context
from trunkline.rest.ask import ask_partition
from trunkline.rest.asking import AskPlan
from trunkline.values.spark_rows import from_rows, to_rows
from trunkline.values.spark_types import arrow_schema

# As many as a `request()` asks for at a time, so that a `LIMIT` asks for few.
_BATCH_ROWS = 100
# How long whoever wants no more rows waits for the log to be written, seconds.
_CLOSING = 3.0
_TAKEN, _ENDED = object(), object()


class AskingRows:
    """Asks for the rows of a partition.

    Args:
        plan: Of the request.
        kinds: The columns of the rows.
        out: The columns of what is given back.
    """

    def __init__(self, plan: AskPlan, kinds: StructType, out: StructType) -> None:
        self._plan = plan
        self._kinds = kinds
        self._out_kinds = out
        self._arrow = arrow_schema(kinds)
        self._gathered: list[Any] = []
        self._in: queue.SimpleQueue[pa.RecordBatch | None] = queue.SimpleQueue()
        self._out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._unwanted = False
        self._thread: threading.Thread | None = None

    def give(self, row: Any) -> Iterable[tuple[Any, ...]] | None:
        """Take a row in; give those that are answered by now.

        Raises:
            TrunklineError: What `Asking.run` raises.
        """
        self._gathered.append(row)
        return self._handed_over() if len(self._gathered) >= _BATCH_ROWS else None

    def rest(self) -> Iterator[tuple[Any, ...]]:
        """All rows that are still out.

        Raises:
            TrunklineError: What `Asking.run` raises.
        """
        if self._gathered:
            yield from self._handed_over()
        if self._thread is not None:
            self._in.put(None)
            yield from self._until(_ENDED)

    def stop(self) -> None:
        """Ask no more, where not all rows are wanted."""
        self._unwanted = True
        self._in.put(None)
        if self._thread is not None:
            self._thread.join(_CLOSING)

    def _handed_over(self) -> Iterator[tuple[Any, ...]]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="trunkline-sql", daemon=True)
            self._thread.start()
        batch = from_rows(self._gathered, self._kinds, self._arrow)
        self._gathered = []
        self._in.put(batch)
        yield from self._until(_TAKEN)

    def _until(self, mark: object) -> Iterator[tuple[Any, ...]]:
        """What comes out before the mark."""
        while (item := self._out.get()) is not mark:
            if isinstance(item, BaseException):
                raise item
            yield from to_rows(item, self._out_kinds)

    def _work(self) -> None:
        end: object = _ENDED
        # `analyze` is not told whether the table is a stream; whoever names a run means it, there too.
        streaming = not self._plan.options["runId"] and micro_batch_around(task_context()) is not None
        plan = replace(self._plan, streaming=streaming)
        answered = ask_partition(plan, self._kinds.jsonValue(), self._batches())
        try:
            for batch in answered:
                self._out.put(batch)
                if self._unwanted:
                    break
            answered.close()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that gives the rows
            end = error
        self._out.put(end)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        while (batch := self._in.get()) is not None:
            self._out.put(_TAKEN)
            yield batch
