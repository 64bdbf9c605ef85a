"""How fast: rate, back-off, retry budget and the gate. Pure: time comes in as an argument, in seconds.

Nothing here reads a clock or sleeps, so tests and simulations run in virtual time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Protocol

# botocore's retry quota: a bucket of 500, 14 for a retry (5 after throttling), 1 back for a success.
_BUDGET, _RETRY_COST, _THROTTLE_COST = 500, 14, 5
THROTTLE_BASE, FAULT_BASE = 1.0, 0.2
# The breaker: this many outcomes are remembered, this many needed to judge, this share or run of failures trips it.
_REMEMBERED, _ENOUGH, _SHARE, _RUN = 100, 20, 0.5, 10
_CLOSED_BASE, _CLOSED_CAP = 1.0, 60.0
# After a pause: one probe, then three more one at a time, then open.
_PROBES = 4
# A rate's burst is a hundredth of its window, at least one request: servers count in windows of their own.
_BURST = 0.01
_SLOTS = 60
# Permits are counted in fractions: a refill that is short by a rounding error is a whole permit. Of a clock that shows
# weeks, a double's last digit is 1e-10 s, which at 10,000 requests/s are 1e-6 permits.
_ROUNDING = 1e-6


class Rate(Protocol):
    """What a schedule keeps to."""

    def ready_at(self, now: float, weight: int = 1) -> float:
        """When `weight` permits can be had: `now` or later."""

    def take(self, now: float, weight: int = 1) -> None:
        """Use them."""


class RateLimit:
    """Never more than `count` permits in any `seconds`, for several windows at once.

    The shortest window is paced evenly: a token bucket whose burst, a hundredth of the window, is taken off its rate.
    Longer ones are counted in sixty slots, so that what the shorter window allows stays possible until the longer one
    is used up. One request of a greater weight than a window holds still goes out, alone; later ones pay for it.

        RateLimit([(10, 1.0), (5000, 3600.0)], share=0.25)   # a quarter of 10/s and 5000/h
    """

    def __init__(self, windows: Sequence[tuple[float, float]], share: float = 1.0) -> None:
        shortest, *longer = sorted(windows, key=lambda window: window[1])
        count, seconds = shortest[0] * share, shortest[1]
        self._burst = self._capacity = max(1.0, count * _BURST)
        # A full bucket at the window's begin plus what flows in meanwhile, its end excluded, is `count`.
        self.per_second = (count - self._burst + 1.0) / seconds if count > 1 else count / seconds
        self._tokens = 1.0
        self._at: float | None = None
        self._longer = [_Window(count * share, seconds) for count, seconds in longer]

    def ready_at(self, now: float, weight: int = 1) -> float:
        """When `weight` permits can be had: `now` or later. Changes nothing, so any future time may be asked about."""
        tokens = self._tokens_at(now)
        need = min(float(weight), self._capacity)
        ready = now
        if tokens < need - _ROUNDING:
            # Before the first send the bucket fills for nobody: the first request goes out, and is paid for later.
            ready = now if self._at is None else now + (need - tokens) / self.per_second
        for window in self._longer:
            ready = max(ready, window.ready_at(now, weight))
        return ready

    def take(self, now: float, weight: float = 1) -> None:
        """Use `weight` permits; a weight above the burst puts the bucket in debt, which later sends pay off."""
        self._tokens = self._tokens_at(now) - weight
        self._at = now
        for window in self._longer:
            window.take(now, weight)

    def available(self, now: float) -> int:
        """How many permits can be had at once."""
        room = min([self._tokens_at(now), *(window.room(now) for window in self._longer)])
        return max(0, math.floor(room + _ROUNDING))

    def give_back(self, now: float, permits: float) -> None:
        """Take in permits that nobody used; what the bucket cannot hold is lost."""
        self._tokens = min(self._capacity, self._tokens_at(now) + permits)
        self._at = now
        for window in self._longer:
            window.give_back(permits)

    def gather(self, permits: float) -> None:
        """Let so many permits gather beyond the burst, for those who fetch several at a time."""
        self._capacity = self._burst + permits

    def spent(self, now: float) -> list[float]:
        """What is used up of each window but the shortest, in the order of their length."""
        return [window.spent(now) for window in self._longer]

    def spend(self, now: float, spent: Sequence[float]) -> None:
        """Begin with windows that are used up so far already."""
        for window, used in zip(self._longer, spent, strict=False):
            window.take(now, max(0.0, used - window.spent(now)))

    def _tokens_at(self, now: float) -> float:
        since = now if self._at is None else self._at
        return min(self._capacity, self._tokens + (now - since) * self.per_second)


class _Window:
    """Counts permits in slots of a sixtieth of the window; a slot leaves when all of it is older than the window."""

    def __init__(self, count: float, seconds: float) -> None:
        # A share of less than one permit is one permit in a longer window.
        stretch = max(1.0, 1.0 / count)
        self._most = count * stretch
        self._slot = seconds * stretch / _SLOTS
        self._used: deque[list[float]] = deque()
        self._total = 0.0

    def ready_at(self, now: float, weight: int) -> float:
        over = self._total + min(weight, self._most) - self._most
        ready = now
        for slot, used in self._used:
            if over <= _ROUNDING:
                break
            over -= used
            ready = max(ready, (slot + _SLOTS + 1) * self._slot)
        return ready

    def room(self, now: float) -> float:
        self._forget(now)
        return self._most - self._total

    def spent(self, now: float) -> float:
        self._forget(now)
        return self._total

    def give_back(self, permits: float) -> None:
        while self._used and permits > 0.0:
            slot = self._used[-1]
            taken = min(slot[1], permits)
            slot[1] -= taken
            permits -= taken
            self._total -= taken
            if slot[1] <= 0.0:
                self._used.pop()

    def take(self, now: float, weight: float) -> None:
        self._forget(now)
        slot = math.floor(now / self._slot)
        if self._used and self._used[-1][0] == slot:
            self._used[-1][1] += weight
        else:
            self._used.append([slot, weight])
        self._total += weight

    def _forget(self, now: float) -> None:
        while self._used and (self._used[0][0] + _SLOTS + 1) * self._slot <= now:
            self._total -= self._used.popleft()[1]


class RetryBudget:
    """Stops a retry storm: retries spend, successes earn, and an empty budget says that the server is not well.

    Attributes:
        spent: What has not been earned back.
    """

    def __init__(self) -> None:
        self.spent = 0

    def succeeded(self) -> None:
        """Earn one back."""
        if self.spent:
            self.spent -= 1

    def spend(self, *, throttled: bool) -> bool:
        """Pay for one retry; False when there was not enough left."""
        cost = _THROTTLE_COST if throttled else _RETRY_COST
        if self.spent + cost > _BUDGET:
            return False
        self.spent += cost
        return True

    def refill(self) -> None:
        """Begin anew: the origin is well again."""
        self.spent = 0


class Gate:
    """Holds every send to an origin back until a time: briefly after a 429/503, for longer when the origin is not well.

    After a longer closing (`trip`) it lets one probe through, then three more one by one, then opens; answers that come
    while it is still closed are of sends from before, and count for neither.
    `unhealthy_since` is when the trouble began, None while the origin is well; while there are `probes_left`, only one
    exchange at a time may be made.
    """

    def __init__(self, random: Random) -> None:
        self.until = -math.inf
        self.unhealthy_since: float | None = None
        self.probes_left = 0
        self._random = random
        self._closings = 0
        self._tripped_until = -math.inf
        self._recent: deque[bool] = deque(maxlen=_REMEMBERED)
        self._failed = 0
        self._run = 0

    def hold(self, now: float, seconds: float) -> None:
        """Nothing is sent for so long; a longer hold stays."""
        self.until = max(self.until, now + seconds)

    def throttled(self, now: float, mean: float) -> None:
        """A 429 or 503: if the gate is open, close it for about half a usual round trip to one."""
        if self.until <= now:
            self.until = now + mean * self._random.uniform(0.5, 1.0)

    def healthy(self, now: float, *, sure: bool = False) -> bool:
        """Record an answer of a healthy origin; True when this one opened the gate again after a trip.

        Args:
            now: The time.
            sure: No other probe is needed.
        """
        self._run = 0
        self._record(failed=False)
        if self.probes_left and now >= self._tripped_until:
            self.probes_left = 0 if sure else self.probes_left - 1
            if self.probes_left:
                return False
            self._closings = 0
            self.unhealthy_since = None
            self._recent.clear()
            self._failed = 0
            return True
        return False

    def failed(self, now: float) -> bool:
        """Record a failure; True when it closed the gate."""
        self._record(failed=True)
        self._run += 1
        share = self._failed / len(self._recent) if len(self._recent) >= _ENOUGH else 0.0
        if self.probes_left or self._run >= _RUN or share >= _SHARE:
            self.trip(now)
            return True
        return False

    def trip(self, now: float) -> None:
        """Close for one more, longer, while: exchanges already in flight when it closed do not lengthen it."""
        if now < self._tripped_until:
            return
        if self.unhealthy_since is None:
            self.unhealthy_since = now
        self._tripped_until = now + min(_CLOSED_BASE * 2**self._closings, _CLOSED_CAP) * self._random.uniform(0.5, 1.0)
        self.until = max(self.until, self._tripped_until)
        self._closings = min(self._closings + 1, 16)
        self.probes_left = _PROBES

    def _record(self, *, failed: bool) -> None:
        if len(self._recent) == _REMEMBERED:
            self._failed -= self._recent[0]
        self._recent.append(failed)
        self._failed += failed


def backoff(random: Random, retries: int, *, throttled: bool, cap: float) -> float:
    """Full jitter: seconds up to `min(cap, base * 2^retries)`; base 1 s after throttling, 0.2 s after a fault."""
    base = THROTTLE_BASE if throttled else FAULT_BASE
    return random.uniform(0.0, min(cap, base * 2 ** min(retries, 30)))


def wait_at_least(random: Random, told: float, own: float) -> float:
    """Seconds to sleep when the server said `told`: never less, a little more so that tasks do not return as one."""
    longer = max(told, own)
    return longer + random.uniform(0.0, min(1.0, 0.1 * longer))
