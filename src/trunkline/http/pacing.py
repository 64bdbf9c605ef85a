"""How fast: concurrency, rate, back-off, retry budget and the gate. Pure: time comes in as an argument, in seconds.

Nothing here reads a clock or sleeps, so tests and simulations run in virtual time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from random import Random

# Slow start begins here, with a fixed concurrency too: until the first answer nothing is known of the server, and
# a wrong password must not cost it a whole window of refused requests.
FIRST_WAVE = 4
MAX_CONCURRENCY = 200
# Weight of the newest round trip in the moving average, and how many deviations above it count as congestion.
_EWMA_ALPHA = 0.4
_DEVIATIONS = 2.5
_DECREASE = 0.9
_LARGEST_DECREASE = 0.5
_SHARE_ALPHA = 0.2
_CLIMB = 20
_COST_SHARE = 5
_LEAST = 0.01
_PACED = 8.0
_QUEUEING = 2.0
_NOISE = 1.5
_UNKNOWN_ROUND_TRIP = 0.25
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
# Permits are counted in fractions: a refill that is short by a rounding error is a whole permit.
_ROUNDING = 1e-9


class Concurrency:
    """How many exchanges may be in flight: fixed, or found by watching round trips and refusals.

    Adaptive: doubles once per mean round trip from `FIRST_WAVE` until the first sign of pressure. From then on a refusal
    takes a tenth away (up to half when most were refused), and the window climbs back along a cubic: fast at first,
    flat around where it was refused, then faster again. Round trips well above their usual spread count as a refusal;
    round trips twice the shortest of late end the growth, because a server that queues never refuses.

    The window may be a fraction: below `_PACED` sends are `spacing` seconds apart, so a hundred tasks can share what ten
    requests in flight would use up.

    Args:
        fixed: The number to keep; None finds it.
        most: The adaptive limit never passes it.

    Attributes:
        limit: Exchanges that may be in flight.
        spacing: Seconds between two sends, 0.0 for none.
        reached: Set by the caller when the limit or the spacing held a send back; without it nothing grows.
    """

    def __init__(self, fixed: int | None = None, most: int = MAX_CONCURRENCY) -> None:
        self.fixed = fixed
        self.most = fixed or most
        self.limit = min(FIRST_WAVE, self.most)
        self.spacing = 0.0
        self.reached = False
        self._window = float(self.limit)
        self._mean = self._variance = 0.0
        self._sum = 0.0
        self._count = 0
        self._refused = 0
        self._refused_share = 0.0
        self._cost = 0.0
        self._slow_start = True
        self._paced = False
        # The cubic: from `_low` at `_since` to `_top`, where it was refused, `_span` seconds later.
        self._low = self._since = 0.0
        self._top = math.inf
        self._span = 1.0
        # The shortest round trip of this minute and of the one before.
        self._shortest = self._shortest_before = math.inf
        self._minute_end = -math.inf
        self._window_end = -math.inf

    @property
    def mean(self) -> float:
        """The usual round trip in seconds; a guess while unknown."""
        return self._mean or _UNKNOWN_ROUND_TRIP

    def restart(self) -> None:
        """Begin again with slow start, up to where it was refused last: the server has just come back."""
        self._slow_start = True
        self._set(min(FIRST_WAVE, self.most, self._top))

    def answered(self, now: float, elapsed: float, *, success: bool, pressure: bool, cost: float = 0.0) -> None:
        """Learn from one finished exchange.

        Args:
            now: The time.
            elapsed: Its round trip in seconds.
            success: It was accepted: only then its round trip counts.
            pressure: It says that there was too much.
            cost: Seconds for which the refusal closes the task, by `Retry-After`.
        """
        if success:
            self._sum += elapsed
            self._count += 1
        if self.fixed is not None:
            if success:
                self._mean += _EWMA_ALPHA * (elapsed - self._mean) if self._mean else elapsed
            self.limit = self.fixed
            return
        if pressure:
            self._refused += 1
            self._cost = max(self._cost, cost)
        if now >= self._window_end:
            self._adjust(now)

    def _adjust(self, now: float) -> None:
        current = self._sum / self._count if self._count else None
        answers = self._count + self._refused
        if answers:
            self._refused_share += _SHARE_ALPHA * (self._refused / answers - self._refused_share)
        if self._refused:
            self._paced = True
            share = max(_LARGEST_DECREASE, min(_DECREASE, 1.0 - self._refused_share))
            self._shrink(now, _LARGEST_DECREASE if self._slow_start else share)
        elif current is not None:
            self._note_shortest(now, current)
            if self._slow_start and current > _QUEUEING * self._shortest_before:
                self._shrink(now, _LARGEST_DECREASE)
            elif self._congested(current):
                self._shrink(now, _DECREASE)
            elif self.reached:
                self._grow(now, current)
        if current is not None:
            off = current - self._mean
            self._mean += _EWMA_ALPHA * off if self._mean else current
            if off != current:
                self._variance = (1 - _EWMA_ALPHA) * (self._variance + _EWMA_ALPHA * off * off)
        self._set(self._window)
        self._window_end = now + max(self.mean, self.spacing)
        self._sum, self._count, self._refused, self._cost = 0.0, 0, 0, 0.0
        self.reached = False

    def _congested(self, current: float) -> bool:
        spread = _DEVIATIONS * math.sqrt(self._variance)
        return 0.0 < self._mean <= current - spread and current > _NOISE * self._shortest_before

    def _shrink(self, now: float, factor: float) -> None:
        self._slow_start = False
        self._top = self._window
        self._window = self._low = max(_LEAST, self._window * factor)
        self._since = now
        self._span = max(_CLIMB * self.mean, _COST_SHARE * self._cost)

    def _grow(self, now: float, current: float) -> None:
        if self._slow_start:
            self._window *= 2
            if self._window >= self._top:
                self._slow_start = False
                self._window = self._low = self._top * _DECREASE
                self._since = now
        elif current <= _QUEUEING * self._shortest_before:
            beyond = (now - self._since) / self._span - 1.0
            target = self._top + (self._top - self._low) * beyond**3
            self._window = min(self._window + 1.0, max(self._window, target))
        self._window = min(self._window, float(self.most))

    def _note_shortest(self, now: float, current: float) -> None:
        if now >= self._minute_end:
            self._shortest_before = self._shortest
            self._shortest = math.inf
            self._minute_end = now + 60.0
        self._shortest = min(self._shortest, current)
        self._shortest_before = min(self._shortest_before, current)

    def _set(self, window: float) -> None:
        self._window = window
        self.limit = math.ceil(window)
        self.spacing = self.mean / window if self._paced and window < _PACED else 0.0


class RateLimit:
    """Never more than `count` permits in any `seconds`, for several windows at once.

    The shortest window is paced evenly (a token bucket with a burst of one hundredth); longer ones are counted in
    sixty slots, so that a burst the shorter window allows stays possible until the longer one is used up.

        RateLimit([(10, 1.0), (5000, 3600.0)], share=0.25)   # a quarter of 10/s and 5000/h
    """

    def __init__(self, windows: Sequence[tuple[float, float]], share: float = 1.0) -> None:
        shortest, *longer = sorted(windows, key=lambda window: window[1])
        count, seconds = shortest
        self._per_second = count * share / seconds
        self._capacity = max(1.0, count * share * _BURST)
        self._tokens = 1.0
        self._at: float | None = None
        self._longer = [_Window(count * share, seconds) for count, seconds in longer]

    def ready_at(self, now: float, weight: int = 1) -> float:
        """When `weight` permits can be had: `now` or later."""
        tokens, need = self._refilled(now), min(float(weight), self._capacity)
        paced = now if tokens >= need - _ROUNDING else now + (need - tokens) / self._per_second
        return max([paced, *(window.ready_at(now, weight) for window in self._longer)])

    def take(self, now: float, weight: int = 1) -> None:
        """Use `weight` permits; a weight above the burst puts the bucket in debt, which later sends pay off."""
        self._tokens, self._at = self._refilled(now) - weight, now
        for window in self._longer:
            window.take(now, weight)

    def _refilled(self, now: float) -> float:
        if self._at is None:
            return self._tokens
        return min(self._capacity, self._tokens + (now - self._at) * self._per_second)


class _Window:
    """Counts permits in slots of a sixtieth of the window; a slot leaves when the whole of it is older than the window."""

    def __init__(self, count: float, seconds: float) -> None:
        self._most = count
        self._slot = seconds / _SLOTS
        self._used: deque[list[float]] = deque()
        self._total = 0.0

    def ready_at(self, now: float, weight: int) -> float:
        self._forget(now)
        over = self._total + min(weight, max(self._most, 1)) - max(self._most, 1)
        if over <= _ROUNDING:
            return now
        for slot, used in self._used:
            over -= used
            if over <= _ROUNDING:
                return (slot + _SLOTS + 1) * self._slot
        return now

    def take(self, now: float, weight: int) -> None:
        slot = math.floor(now / self._slot)
        if self._used and self._used[-1][0] == slot:
            self._used[-1][1] += weight
        else:
            self._used.append([slot, weight])
        self._total += weight

    def _forget(self, now: float) -> None:
        oldest = now / self._slot - _SLOTS - 1 + _ROUNDING
        while self._used and self._used[0][0] <= oldest:
            self._total -= self._used.popleft()[1]


class RetryBudget:
    """Stops a retry storm: retries spend, successes earn, and an empty budget says that the server is not well."""

    def __init__(self) -> None:
        self._left = _BUDGET

    def succeeded(self) -> None:
        if self._left < _BUDGET:
            self._left += 1

    def spend(self, *, throttled: bool) -> bool:
        """Pay for one retry; False when there was not enough left."""
        cost = _THROTTLE_COST if throttled else _RETRY_COST
        if self._left < cost:
            return False
        self._left -= cost
        return True

    def refill(self) -> None:
        self._left = _BUDGET


class Gate:
    """Holds every send to an origin back until a time: briefly after a 429/503, for longer when the origin is not well.

    After a longer closing (`trip`) it lets one probe through, then three more one by one, then opens.
    `unhealthy_since` is when the trouble began, None while the origin is well.
    """

    def __init__(self, random: Random) -> None:
        self.until = -math.inf
        self.unhealthy_since: float | None = None
        self._random = random
        self._closings = 0
        self._tripped_until = -math.inf
        self._probes_left = 0
        self._recent: deque[bool] = deque(maxlen=_REMEMBERED)
        self._failed = 0
        self._run = 0

    @property
    def probing(self) -> bool:
        """True while only one exchange at a time may be made."""
        return self._probes_left > 0

    def hold(self, now: float, seconds: float) -> None:
        """Nothing is sent for so long; a longer hold stays."""
        self.until = max(self.until, now + seconds)

    def throttled(self, now: float, mean: float) -> None:
        """A 429 or 503: if the gate is open, close it for about half a usual round trip to one."""
        if self.until <= now:
            self.until = now + mean * self._random.uniform(0.5, 1.0)

    def healthy(self, now: float) -> bool:
        """Record an answer of a healthy origin; True when this one opened the gate again after a trip."""
        self._record(failed=False)
        self._run = 0
        if self._probes_left and now >= self._tripped_until:
            self._probes_left -= 1
            if self._probes_left:
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
        if self.probing or self._run >= _RUN or share >= _SHARE:
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
        self._probes_left = _PROBES

    def _record(self, *, failed: bool) -> None:
        if len(self._recent) == _REMEMBERED:
            self._failed -= self._recent[0]
        self._recent.append(failed)
        self._failed += failed


def backoff(random: Random, retries: int, *, throttled: bool, cap: float) -> float:
    """Full jitter: seconds between 0 and `min(cap, base * 2^retries)`, base 1 s after throttling, 0.2 s after a fault."""
    base = THROTTLE_BASE if throttled else FAULT_BASE
    return random.uniform(0.0, min(cap, base * 2 ** min(retries, 30)))


def wait_at_least(random: Random, told: float, own: float) -> float:
    """Seconds to sleep when the server said `told`: never less than it, a little more so that tasks do not return as one."""
    longer = max(told, own)
    return longer + random.uniform(0.0, min(1.0, 0.1 * longer))
