"""What all tasks of a query have done so far. Time comes in as an argument; any thread may ask.

    progress = Progress()
    progress.take("write/0/17", {"rows": 500, "accepted": 480}, latencies={24: 480}, now=12.5)
    progress.snapshot(13.0).accepted

A task reports totals of its attempt, so that a report that is lost or comes twice changes nothing.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

# What a task counts; a report that names anything else is none of ours.
COUNTS = (
    "rows", "accepted", "malformed", "rejected", "ambiguous", "exhausted", "unsent", "skipped", "superseded",
    "requests", "retries", "bytes_sent",
)  # fmt: skip
# Latencies are counted in buckets of which four double: a percentile is off by a tenth at most. From 1 ms to 17 min.
_FIRST, _PER_DOUBLING, _BUCKETS = 0.001, 4, 80
# A rate is that of the last so many seconds.
_RECENT = 5.0
# A task that has not reported for so long is gone; those of a worker that died never say that they are done.
_SILENT = 30.0
# Attempts whose counts are kept because more may come, and names of those of which no more is taken. Beyond, the oldest
# is closed, or its name forgotten; their counts stay in the totals.
_MOST_OPEN, _MOST_CLOSED = 10_000, 100_000


def bucket_of(seconds: float) -> int:
    """The bucket that counts a latency."""
    if seconds <= _FIRST:
        return 0
    return min(_BUCKETS, 1 + int(_PER_DOUBLING * math.log2(seconds / _FIRST)))


@dataclass(frozen=True)
class Snapshot:
    """How far a query is. `p50`, `p95` and `p99` are seconds of the exchanges that ended a request, 0 without any.

    Attributes:
        rows: Read so far.
        accepted, malformed, rejected, ambiguous, exhausted, unsent, skipped, superseded: What became of them.
        requests, retries, bytes_sent: What it took.
        rows_per_second, requests_per_second: Of the last five seconds.
        tasks_active, tasks_done: Attempts that are at work, and that have ended.
        seconds: Since the first report.
    """

    rows: int = 0
    accepted: int = 0
    malformed: int = 0
    rejected: int = 0
    ambiguous: int = 0
    exhausted: int = 0
    unsent: int = 0
    skipped: int = 0
    superseded: int = 0
    requests: int = 0
    retries: int = 0
    bytes_sent: int = 0
    rows_per_second: float = 0.0
    requests_per_second: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    tasks_active: int = 0
    tasks_done: int = 0
    seconds: float = 0.0


@dataclass
class _Attempt:
    counts: dict[str, int]
    latencies: dict[int, int]
    at: float


class Progress:
    """Adds up what tasks report."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, _Attempt] = {}
        self._closed: dict[str, None] = {}
        self._totals = dict.fromkeys(COUNTS, 0)
        self._latencies = [0] * (_BUCKETS + 1)
        self._done = 0
        self._began_at: float | None = None
        self._recent: deque[tuple[float, int, int]] = deque()

    def take(
        self, name: str, counts: Mapping[str, int], latencies: Mapping[int, int], now: float, *, done: bool = False
    ) -> None:
        """Take in the totals of one attempt at a task; once it is done, what comes of it is a repetition."""
        with self._lock:
            if name not in self._closed:
                self._add(name, counts, latencies, now)
                if done:
                    self._done += 1
                    self._close(name)

    def snapshot(self, now: float) -> Snapshot:
        """The totals of all attempts."""
        with self._lock:
            return self._snapshot(now)

    def _add(self, name: str, counts: Mapping[str, int], latencies: Mapping[int, int], now: float) -> None:
        if self._began_at is None:
            self._began_at = now
        attempt = self._open.get(name)
        if attempt is None:
            if len(self._open) >= _MOST_OPEN:
                self._close(next(iter(self._open)))
            attempt = self._open[name] = _Attempt({}, {}, now)
        attempt.at = now
        for field in COUNTS:
            self._totals[field] += counts.get(field, 0) - attempt.counts.get(field, 0)
        for bucket, count in latencies.items():
            self._latencies[min(max(bucket, 0), _BUCKETS)] += count - attempt.latencies.get(bucket, 0)
        attempt.counts, attempt.latencies = dict(counts), dict(latencies)

    def _close(self, name: str) -> None:
        del self._open[name]
        self._closed[name] = None
        if len(self._closed) > _MOST_CLOSED:
            del self._closed[next(iter(self._closed))]

    def _snapshot(self, now: float) -> Snapshot:
        recent = self._recent
        recent.append((now, self._totals["accepted"], self._totals["requests"]))
        while len(recent) > 2 and recent[1][0] <= now - _RECENT:
            recent.popleft()
        began = now if self._began_at is None else self._began_at
        since, accepted, requests = recent[0] if len(recent) > 1 else (began, 0, 0)
        elapsed = now - since
        active = sum(one.at > now - _SILENT for one in self._open.values())
        return Snapshot(
            **self._totals,
            rows_per_second=(self._totals["accepted"] - accepted) / elapsed if elapsed > 0 else 0.0,
            requests_per_second=(self._totals["requests"] - requests) / elapsed if elapsed > 0 else 0.0,
            p50=self._percentile(0.5),
            p95=self._percentile(0.95),
            p99=self._percentile(0.99),
            tasks_active=active,
            tasks_done=self._done,
            seconds=now - began,
        )

    def _percentile(self, share: float) -> float:
        owed = share * sum(self._latencies)
        if owed <= 0:
            return 0.0
        for bucket, count in enumerate(self._latencies):
            owed -= count
            if owed <= 0:
                return _FIRST * math.pow(2.0, (bucket - 0.5) / _PER_DOUBLING)
        return 0.0
