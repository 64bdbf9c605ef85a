"""The streaming queries of a run: started together, awaited together, counted by the progress they report."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trunkline.pipelines.attempts import StepTimeoutError

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

# How often queries are looked at. Spark keeps the progress of the last hundred micro-batches.
_LOOK = 0.5
# How long a query that is told to end may work on its micro-batch, and how often it is looked at then: orchestrators
# kill what has not ended 30 s after SIGTERM.
_LONGEST_BATCH = 20.0
_LOOK_AT_THE_END = 0.05
ROWS = "trunkline_rows"


@dataclass
class Running:
    """A query that was started.

    Attributes:
        until: When it is ended, on the clock of `time.monotonic`; None for never.
        batches: What each micro-batch reported: rows in, and the observed numbers by name.
        last: The micro-batch that had been reported when the query was told to end, and when that was.
    """

    name: str
    query: StreamingQuery
    until: float | None = None
    batches: dict[int, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    last: tuple[int | None, float] | None = None

    def look(self) -> None:
        """Take over what micro-batches have reported."""
        for progress in self.query.recentProgress:
            seen = {name: row.asDict() for name, row in (progress["observedMetrics"] or {}).items()}
            # Over Connect the item is None, and the attribute adds up that of the sources.
            rows = int(progress.numInputRows)
            if rows or seen:
                self.batches[int(progress["batchId"])] = (rows, seen)

    def between_batches(self) -> bool:
        """Whether a query that is told to end may be stopped: its micro-batch is done, or takes too long."""
        progress = self.query.lastProgress
        reported = None if progress is None else int(progress["batchId"])
        if self.last is None:
            self.last = reported, time.monotonic()
        idle = not self.query.status["isTriggerActive"]
        return idle or reported != self.last[0] or time.monotonic() > self.last[1] + _LONGEST_BATCH

    @property
    def rows_in(self) -> int:
        """Rows that were read."""
        return sum(rows for rows, _ in self.batches.values())

    def observed(self, name: str, number: str) -> int | None:
        """The sum of an observed number over all micro-batches; None where one does not tell, as over Connect."""
        found = [seen[name] for _, seen in self.batches.values() if name in seen]
        return sum(int(row[number] or 0) for row in found) if all(number in row for row in found) else None


class Streams:
    """Queries that run.

    Args:
        stopping: Whether the process was told to end: the queries are stopped then, after the micro-batch that they
            are in, and have ended well.
        seen: Told of each query every time that it was looked at.
    """

    def __init__(self, stopping: Callable[[], bool], seen: Callable[[Running], None]) -> None:
        self._stopping = stopping
        self._seen = seen
        self.running: dict[str, Running] = {}

    def add(self, name: str, query: StreamingQuery, timeout: float | None) -> None:
        """Wait for this query from now on."""
        self.running[name] = Running(name, query, None if timeout is None else time.monotonic() + timeout)

    def wait(
        self,
        names: Collection[str] | None,
        ended: Callable[[Running, Exception | None], None],
        over: Callable[[], bool],
    ) -> None:
        """Until these queries have ended, all for None; all are looked at once in any case.

        Args:
            names: Of steps.
            ended: Told of each query that ended, of whichever step. May start it anew.
            over: Whether the run has failed: then too the queries are stopped, each after its micro-batch.
        """
        while True:
            for name, one in list(self.running.items()):
                one.look()
                self._seen(one)
                error: Exception | None = None
                if one.query.isActive:
                    if self._stopping() or over():
                        if not one.between_batches():
                            continue
                        one.query.stop()
                    elif one.until is not None and time.monotonic() > one.until:
                        one.query.stop()
                        error = StepTimeoutError("took longer than its timeout, and was stopped")
                    else:
                        continue
                one.look()
                del self.running[name]
                error = error or one.query.exception()
                ended(one, error)
            if not any(names is None or name in names for name in self.running):
                return
            time.sleep(_LOOK_AT_THE_END if self._stopping() or over() else _LOOK)

    def stop(self) -> None:
        """End all of them now."""
        for one in self.running.values():
            one.query.stop()
        self.running = {}
