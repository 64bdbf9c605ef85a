"""Independent tasks against one server, in virtual time: no clock, no sleep, no socket.

    result = simulate(tasks=8, server=RateServer(per_second=200), seconds=60)
    result.accepted / result.seconds      # ok/s

Every task has a `Schedule` of its own and no knowledge of the others; rows never run out. Request and answer travel
`TRAVEL` seconds each, so a refusal comes back sooner than an answer that was worked for.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from trunkline.coordination.leased_rate import LeasedRate
from trunkline.coordination.leases import SHORTEST, Ask, Lease, Leases
from trunkline.http.concurrency import Concurrency
from trunkline.http.message import Exchange, Request
from trunkline.http.pacing import RateLimit
from trunkline.http.schedule import Schedule
from trunkline.http.verdict import Rules, judge

TRAVEL = 0.005
SERVICE = 0.05
# Service times vary by so much in both directions.
SPREAD = 0.2
# Tasks of a Spark stage start within so many seconds of each other.
STAGGER = 0.1
RULES = Rules(success=frozenset(range(200, 300)), retry=frozenset({408, 425, 429, 500, 502, 503, 504}))


@dataclass
class Answer:
    """What the server sends at `at`."""

    at: float
    status: int
    headers: dict[str, str] = field(default_factory=dict)


class Server(Protocol):
    """Answers a request that arrives at `now`."""

    def receive(self, now: float) -> Answer: ...


class RateServer:
    """Allows `per_second` requests with a small burst, and answers 429 beyond it at once."""

    def __init__(self, per_second: float = 200.0, burst: float = 10.0, retry_after: str | None = None) -> None:
        self._random = Random(1)
        self._per_second = per_second
        self._burst = self._tokens = burst
        self._at = 0.0
        self._headers = {"Retry-After": retry_after} if retry_after is not None else {}

    def receive(self, now: float) -> Answer:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1.0:
            return Answer(now, 429, self._headers)
        self._tokens -= 1.0
        return Answer(now + _service(self._random), 200)


class SlotServer:
    """Works on `slots` requests at a time; the next one is refused with 503, or waits in a queue without end."""

    def __init__(self, slots: int = 20, *, queues: bool = False) -> None:
        self._random = Random(1)
        self._slots = slots
        self._queues = queues
        self._busy_until: list[float] = []

    def receive(self, now: float) -> Answer:
        busy = self._busy_until
        if self._queues and len(busy) == self._slots:
            end = max(now, busy[0]) + _service(self._random)
            heapq.heapreplace(busy, end)
            return Answer(end, 200)
        while not self._queues and busy and busy[0] <= now:
            heapq.heappop(busy)
        if len(busy) >= self._slots:
            return Answer(now, 503)
        end = now + _service(self._random)
        heapq.heappush(busy, end)
        return Answer(end, 200)


class OverrunServer:
    """Works on any number at a time, but beyond `slots` slower by the square, so that it gets less and less done."""

    def __init__(self, slots: int = 20) -> None:
        self._random = Random(1)
        self._slots = slots
        self._busy_until: list[float] = []

    def receive(self, now: float) -> Answer:
        busy = self._busy_until
        while busy and busy[0] <= now:
            heapq.heappop(busy)
        end = now + _service(self._random) * max(1.0, ((len(busy) + 1) / self._slots) ** 2)
        heapq.heappush(busy, end)
        return Answer(end, 200)


@dataclass
class Result:
    """What came of it; `waits` are seconds from pulling a row to its acceptance."""

    seconds: float
    accepted: int = 0
    refused: int = 0
    lost: int = 0
    waits: list[float] = field(default_factory=list)
    per_task: list[int] = field(default_factory=list)
    most_in_flight: int = 0
    sent_at: list[float] = field(default_factory=list)
    calls_at: list[float] = field(default_factory=list)

    def most_within(self, seconds: float) -> int:
        """The most requests that were sent in any such time."""
        return _most_within(sorted(self.sent_at), seconds)

    def most_calls_within(self, seconds: float) -> int:
        """The most calls of the coordinator in any such time."""
        return _most_within(sorted(self.calls_at), seconds)

    def wait(self, share: float) -> float:
        """The wait that this share of the accepted rows did not exceed."""
        return sorted(self.waits)[min(len(self.waits) - 1, int(share * len(self.waits)))] if self.waits else math.nan


def simulate(
    tasks: int,
    server: Server,
    seconds: float,
    *,
    concurrency: int | None = None,
    rate: Callable[[], RateLimit] | None = None,
    leases: Leases | None = None,
    rows: Callable[[int, float], bool] = lambda task, now: True,
    warm_up: float = 0.0,
    seed: int = 7,
) -> Result:
    """Run `tasks` independent tasks for so many seconds.

    Args:
        tasks: How many.
        server: Shared by them.
        seconds: Of virtual time that are counted.
        concurrency: Fixed; None is adaptive.
        rate: Makes each task's rate limit.
        leases: The coordinator that all tasks ask instead; a call travels as long as a request.
        rows: Whether a task has something to send at a time.
        warm_up: Seconds before counting begins.
        seed: Of all jitter.
    """
    random = Random(seed)
    end = warm_up + seconds
    result = Result(seconds, per_task=[0] * tasks)
    leased = [LeasedRate() for _ in range(tasks)] if leases is not None else []
    schedules = [
        Schedule(
            Concurrency(concurrency),
            rate=leased[task] if leased else rate() if rate else None,
            random=Random(random.random()),
        )
        for task in range(tasks)
    ]
    events: list[tuple[float, int, int, Exchange | Ask | Lease | str | None]] = []
    sequence = 0
    woken_at = [math.inf] * tasks

    def push(at: float, task: int, exchange: Exchange | Ask | Lease | str | None) -> None:
        nonlocal sequence
        sequence += 1
        heapq.heappush(events, (at, sequence, task, exchange))

    def pump(task: int, now: float) -> None:
        schedule = schedules[task]
        while schedule.room(now):
            request = schedule.next(now)
            if request is None:
                if not (schedule.wants_more and rows(task, now)):
                    break
                schedule.admit(Request("PUT", "http://sim/", tag=now))
                continue
            schedule.started(request, now)
            result.sent_at.append(now)
            answer = server.receive(now + TRAVEL)
            elapsed = answer.at + TRAVEL - now
            push(now + elapsed, task, Exchange(request, answer.status, answer.headers, elapsed=elapsed))
        at = schedule.wake(now, more=True)
        if not rows(task, now):
            # As the client does with a source that has nothing at the moment.
            at = max(at, now + 0.02)
        if at < math.inf and at != woken_at[task]:
            woken_at[task] = at
            push(at, task, None)

    def call(task: int, now: float, event: Ask | Lease | str) -> None:
        """A worker's thread asks, the coordinator answers, the worker has its lease."""
        if isinstance(event, str):
            if now < leased[task].ask_at():
                push(min(leased[task].ask_at(), now + SHORTEST), task, "call")
            else:
                push(now + TRAVEL, task, leased[task].ask(now))
        elif isinstance(event, Ask):
            assert leases is not None
            result.calls_at.append(now)
            push(now + TRAVEL, task, leases.ask(str(task), event, now))
        else:
            leased[task].granted(event, now)
            push(now + SHORTEST / 10, task, "call")

    for task in range(tasks):
        at = woken_at[task] = random.uniform(0, STAGGER)
        push(at, task, None)
        if leased:
            push(at, task, "call")
    while events:
        now, _, task, exchange = heapq.heappop(events)
        if now > end:
            break
        if isinstance(exchange, (Ask, Lease, str)):
            call(task, now, exchange)
            if not isinstance(exchange, Lease):
                continue
        elif exchange is None:
            if now != woken_at[task]:
                continue
            woken_at[task] = math.inf
        else:
            outcome = schedules[task].finished(exchange, judge(exchange, RULES), now)
            counted = now >= warm_up
            if exchange.status != 200 and counted:
                result.refused += 1
            if outcome is not None:
                schedules[task].release(outcome.request)
                if outcome.kind != "accepted":
                    result.lost += 1
                elif counted:
                    result.accepted += 1
                    result.per_task[task] += 1
                    result.waits.append(now - outcome.request.tag)
        pump(task, now)
    return result


def _most_within(times: list[float], seconds: float) -> int:
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _service(random: Random) -> float:
    return SERVICE * random.uniform(1 - SPREAD, 1 + SPREAD)
