"""When a stream asks its source for news, and how much of it one micro-batch takes: the same for every format.

    class MyStreamReader(DataSourceStreamReader, AvailableNow):
        def latestOffset(self, start=None, limit=None):
            return self._polling.latest(start or self._polling.last or self.initialOffset(), limit, self._find)

Spark asks some hundred times a second; the source is asked once in an interval, and at once while there is more than a
micro-batch may hold. Before Spark 4.2 a reader is told neither where it stands nor how much it may take.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

try:  # Spark 4.2 and later
    from pyspark.sql.streaming import datasource as limits
except ImportError:  # before, a stream reads what its own options allow, and AvailableNow is one batch
    limits = None  # type: ignore[assignment]

AvailableNow: type = getattr(limits, "SupportsTriggerAvailableNow", object)

Offset = dict[str, Any]


class NextOffset(NamedTuple):
    """Where the next micro-batch ends, and whether there is more after it already."""

    end: Offset
    more: bool


class Polling:
    """What a stream reader knows between two of Spark's questions.

    Args:
        interval: Seconds between two looks at the source.
        most: The most rows of a micro-batch, None for all.

    Attributes:
        last: The newest offset that is known, None before the first.
    """

    def __init__(self, interval: float, most: int | None) -> None:
        self.last: Offset | None = None
        self._interval = interval
        self._most = most
        self._polled_at = float("-inf")
        self._more = False
        self._available_now = False
        self._reached_end = False

    def latest(self, start: Offset, limit: Any, find: Callable[[Offset, int | None], NextOffset | None]) -> Offset:
        """Where the next micro-batch ends; `start` when there is nothing new.

        Args:
            start: Where the stream stands.
            limit: Spark's, None before 4.2.
            find: Asks the source for the end of a micro-batch of at most so many rows; None when nothing is new.
        """
        if self._available_now and self._reached_end:
            return start
        now = time.monotonic()
        if not self._more and now - self._polled_at < self._interval:
            return start
        self._polled_at = now
        most = self._most
        if limit is not None:
            most = limit.max_rows if hasattr(limit, "max_rows") else None
        found = find(start, most)
        self._more = found is not None and found.more
        self._reached_end = not self._more
        self.last = start if found is None else found.end
        return self.last

    def read_limit(self) -> Any:
        """What Spark 4.2 and later asks for as the default limit."""
        return limits.ReadAllAvailable() if self._most is None else limits.ReadMaxRows(self._most)

    def end_at_next_end(self) -> None:
        """`Trigger.AvailableNow`: stop at the first end of the source that is reached, whatever comes after."""
        self._available_now, self._reached_end = True, False

    def learn(self, end: Offset) -> None:
        """Take the position of a restarted stream from the first micro-batch that is planned, if it is not known."""
        if self.last is None:
            self.last = end
