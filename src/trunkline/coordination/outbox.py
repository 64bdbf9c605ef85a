"""What the tasks of a process have to tell the coordinator and want to hear of it, until a call has carried it.

    outbox = Outbox()
    report = outbox.report("write/0/17", counts, latencies, done=True)
    outbox.stop(nonce); outbox.stopped(nonce)
    load = outbox.load()                 # what the next call carries
    outbox.carried(load, stopped=[...])  # it was taken in
    report.sent

All of it is bounded: a coordinator may be away for long, and a process serve thousands of tasks meanwhile. No locks,
no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Reports that one call carries, each of a kilobyte or so: far from the bytes that a coordinator reads.
_MOST_CARRIED = 200
# Reports that wait for a coordinator that is away; beyond, the oldest of tasks that have ended are not counted.
_MOST_WAITING = 1000
# Writes that a process asks about: it works at a few at a time, and one that was forgotten is asked about again.
_MOST_WATCHED = 100


@dataclass
class Report:
    """The totals of one attempt at a task, as it told them last."""

    counts: Mapping[str, int]
    latencies: Mapping[int, int]
    done: bool = False
    sent: bool = False


@dataclass(frozen=True)
class Load:
    """What one call carries."""

    tasks: Mapping[str, Report]
    stop: tuple[str, ...]
    watch: tuple[str, ...]

    def wire(self) -> dict[str, Any]:
        """Its part of the call."""
        told = {
            name: {"counts": report.counts, "latencies": report.latencies, "done": report.done}
            for name, report in self.tasks.items()
        }
        return {"tasks": told, "stop": self.stop, "watch": self.watch}


class Outbox:
    """Reports, and flags that stop writes."""

    def __init__(self) -> None:
        self._tasks: dict[str, Report] = {}
        self._stop: dict[str, None] = {}
        self._watched: dict[str, bool] = {}

    @property
    def overfull(self) -> bool:
        """Whether one call does not carry all that waits."""
        return sum(not report.sent for report in self._tasks.values()) > _MOST_CARRIED

    def report(self, task: str, counts: Mapping[str, int], latencies: Mapping[int, int], *, done: bool) -> Report:
        """Keep the totals of an attempt, in place of what it told before."""
        report = self._tasks[task] = Report(dict(counts), dict(latencies), done)
        if len(self._tasks) > _MOST_WAITING:
            oldest = next((name for name, told in self._tasks.items() if told.done), next(iter(self._tasks)))
            del self._tasks[oldest]
        return report

    def stop(self, nonce: str) -> None:
        """Tell that a write is to be stopped."""
        self._stop[nonce] = None
        self._watch(nonce, known=True)

    def stopped(self, nonce: str) -> bool:
        """Whether it is; from the first question on, calls ask."""
        known = self._watched.get(nonce)
        if known is None:
            self._watch(nonce, known=False)
        return bool(known)

    def forget(self, nonce: str) -> None:
        """The write is over."""
        self._watched.pop(nonce, None)

    def load(self) -> Load:
        """What waits, as much of it as one call carries."""
        waiting = [(name, report) for name, report in self._tasks.items() if not report.sent]
        watch = tuple(nonce for nonce, known in self._watched.items() if not known)
        return Load(dict(waiting[:_MOST_CARRIED]), tuple(self._stop), watch)

    def carried(self, load: Load, stopped: Iterable[str]) -> None:
        """A call was answered."""
        for name, report in load.tasks.items():
            report.sent = True
            if report.done and self._tasks.get(name) is report:
                del self._tasks[name]
        for nonce in load.stop:
            self._stop.pop(nonce, None)
        for nonce in stopped:
            if nonce in self._watched:
                self._watched[nonce] = True

    def _watch(self, nonce: str, *, known: bool) -> None:
        self._watched[nonce] = known
        if len(self._watched) > _MOST_WATCHED:
            del self._watched[next(iter(self._watched))]
