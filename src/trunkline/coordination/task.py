"""How one task tells the coordinator what it has done.

progress = task_progress(options, "write", task)
progress.seen(0.052)                       # an exchange that ended a request took so long
progress.tell({"rows": 500, "accepted": 480})
progress.tell({...}, done=True)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trunkline.coordination.link import Link
from trunkline.coordination.progress import bucket_of


class TaskProgress:
    """Counts latencies, and hands totals to the link. Without a coordinator it does nothing.

    Args:
        link: To the coordinator, None without one.
        name: Of this attempt at the task, the same in all its reports and in no other's.
    """

    __slots__ = ("_latencies", "_link", "_name", "_rows", "active")

    def __init__(self, link: Link | None, name: str) -> None:
        self.active = link is not None
        self._link = link
        self._name = name
        self._latencies: dict[int, int] = {}
        self._rows: dict[str, int] = {}

    def seen(self, seconds: float) -> None:
        """An exchange took so long."""
        bucket = bucket_of(seconds)
        self._latencies[bucket] = self._latencies.get(bucket, 0) + 1

    def rows(self, outcomes: Iterable[str]) -> None:
        """So many rows more, each with its outcome, where the task itself does not count them."""
        for outcome in outcomes:
            self._rows[outcome] = self._rows.get(outcome, 0) + 1

    def tell(self, counts: Mapping[str, int], *, done: bool = False) -> None:
        """The totals so far, with those of `rows`; the link sends them on within a second."""
        if self._link is not None:
            if self._rows:
                counts = {"rows": sum(self._rows.values()), **self._rows, **counts}
            self._link.report(self._name, counts, self._latencies, done=done)
