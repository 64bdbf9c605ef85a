"""The streaming queries of a run: started together, awaited together, counted by the progress they report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trunkline.pipelines.attempts import StepTimeoutError

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

# How often queries are looked at. Spark keeps the progress of the last hundred micro-batches.
_LOOK = 0.5
ROWS = "trunkline_rows"


@dataclass
class Running:
    """A query that was started.

    Attributes:
        until: When it is ended, on the clock of `time.monotonic`; None for never.
        batches: What each micro-batch reported: rows in, and the observed numbers by name.
    """

    name: str
    query: StreamingQuery
    until: float | None = None
    batches: dict[int, tuple[int, dict[str, Any]]] = field(default_factory=dict)

    def look(self) -> None:
        """Take over what micro-batches have reported."""
        for progress in self.query.recentProgress:
            seen = {name: row.asDict() for name, row in (progress["observedMetrics"] or {}).items()}
            rows = int(progress["numInputRows"])
            if rows or seen:
                self.batches[int(progress["batchId"])] = (rows, seen)

    @property
    def rows_in(self) -> int:
        """Rows that were read."""
        return sum(rows for rows, _ in self.batches.values())

    def observed(self, name: str, number: str) -> int:
        """The sum of an observed number over all micro-batches."""
        return sum(int(seen[name][number] or 0) for _, seen in self.batches.values() if name in seen)


class Streams:
    """Queries that run.

    Args:
        stopping: Whether the process was told to end: the queries are stopped then, and have ended well.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self.running: dict[str, Running] = {}

    def add(self, name: str, query: StreamingQuery, timeout: float | None) -> None:
        """Wait for this query from now on."""
        self.running[name] = Running(name, query, None if timeout is None else time.monotonic() + timeout)

    def wait(self, names: Iterable[str] | None, ended: Callable[[Running, Exception | None], None]) -> None:
        """Until these queries have ended, all for None.

        Args:
            names: Of steps.
            ended: Told of each query that ended, of whichever step. May start it anew.
        """
        while waited := [name for name in self.running if names is None or name in names]:
            for name, one in list(self.running.items()):
                one.look()
                error: Exception | None = None
                if one.query.isActive:
                    if self._stopping():
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
            if any(name in self.running for name in waited):
                time.sleep(_LOOK)

    def stop(self) -> None:
        """End all of them now."""
        for one in self.running.values():
            one.query.stop()
        self.running = {}
