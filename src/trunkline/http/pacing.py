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
# A refusal takes a tenth of the window, up to half when most of what was sent is refused (a moving share).
_DECREASE, _LARGEST_DECREASE, _SHARE_ALPHA = 0.9, 0.5, 0.2
# The way back to where it was refused takes this many round trips, more for windows below one (by the root: longer
# keeps refusals rare, equal keeps tasks alike), and ten times as long as a `Retry-After` closed the task, so that the
# price of asking is bounded.
_CLIMB, _COST_SHARE = 30, 10
# What every task gains alike, so that small windows catch up with large ones: a hundredth of a request per round trip.
_EVENING = 0.01
# Below eight in flight one more or less is a step of over a tenth, so sends are spaced instead; a task keeps asking
# at least once in twenty round trips, or it would never learn that others have gone.
_PACED, _LEAST = 8.0, 0.05
# Round trips of twice the shortest of late are a queue; growth below half as much again is noise.
_QUEUEING, _NOISE = 2.0, 1.5
_MINUTE = 60.0
# Until a round trip has succeeded: how long it is taken to be.
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
# Permits are counted in fractions: a refill that is short by a rounding error is a whole permit. Of a clock that shows
# weeks, a double's last digit is 1e-10 s, which at 10,000 requests/s are 1e-6 permits.
_ROUNDING = 1e-6


class Concurrency:
    """How many exchanges may be in flight: fixed, or found by watching round trips and refusals.

    Adaptive: doubles once per mean round trip from `FIRST_WAVE` until the first sign of pressure. From then on a
    refusal takes a tenth away (up to half when most were refused), and the window climbs back along a cubic: fast at
    first, flat around where it was refused, then faster again. (One more per round trip would ask a server for ten
    more at once where ten tasks share it.) Round trips well above their usual spread count as a refusal; round trips
    of twice the shortest of late end the growth, because a server that queues never refuses.

    The window may be a fraction: below `_PACED` sends are `spacing` seconds apart, so that a hundred tasks can share
    what ten requests in flight would use up.

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
        self._dear = 0.0
        self._adjusted_at = 0.0
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

    def succeeded(self, now: float, elapsed: float) -> None:
        """Learn from an accepted exchange that took `elapsed` seconds."""
        if self.fixed is not None:
            self._mean += _EWMA_ALPHA * (elapsed - self._mean) if self._mean else elapsed
            self.limit = self.fixed
            return
        self._sum += elapsed
        self._count += 1
        if now >= self._window_end:
            self._adjust(now)

    def failed(self, now: float, *, pressure: bool, cost: float = 0.0) -> None:
        """Learn from an exchange that was not accepted, other than for its credential.

        Args:
            now: The time.
            pressure: It says that there was too much.
            cost: Seconds for which the refusal closes the task, by `Retry-After`.
        """
        if self.fixed is not None:
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
        self._adjusted_at = now
        self._window_end = now + max(self.mean, self.spacing)
        self._sum, self._count, self._refused, self._cost = 0.0, 0, 0, 0.0
        self.reached = False

    def _congested(self, current: float) -> bool:
        spread = _DEVIATIONS * math.sqrt(self._variance)
        return 0.0 < self._mean <= current - spread and current > _NOISE * self._shortest_before

    def _shrink(self, now: float, factor: float) -> None:
        self._slow_start = False
        # Refused below where it was refused before: there are more tasks now, and half the step is left to them.
        self._top = self._window if self._window >= self._top else self._window * (1 + factor) / 2
        self._window = self._low = max(_LEAST, self._window * factor)
        self._since = now
        self._dear = _COST_SHARE * self._cost
        self._span = self._climb()

    def _grow(self, now: float, current: float) -> None:
        if self._slow_start:
            self._window *= 2
            if self._window >= self._top:
                self._slow_start = False
                self._window = self._low = self._top * _DECREASE
                self._since = now
        elif current <= _QUEUEING * self._shortest_before:
            beyond = (now - self._since) / self._span - 1.0
            if beyond < 1.0:
                # At the floor there is nothing between the two: a tenth keeps the curve rising.
                target = self._top + max(self._top - self._low, 0.1 * self._top) * beyond**3
            else:
                # Not refused well above where it once was: others have gone, or the server has grown.
                target = self._window * (1.0 + (now - self._adjusted_at) / self._climb())
            self._window = min(self._window + 1.0, self._window * 2, max(self._window, target) + _EVENING)
        self._window = min(self._window, float(self.most))

    def _climb(self) -> float:
        """Seconds for the way back to where it was refused."""
        return max(_CLIMB * self.mean / math.sqrt(min(1.0, self._window)), self._dear)

    def _note_shortest(self, now: float, current: float) -> None:
        if now >= self._minute_end:
            self._shortest_before = self._shortest
            self._shortest = math.inf
            self._minute_end = now + _MINUTE
        self._shortest = min(self._shortest, current)
        self._shortest_before = min(self._shortest_before, current)

    def _set(self, window: float) -> None:
        self._window = window
        self.limit = math.ceil(window)
        self.spacing = self.mean / window if self._paced and window < _PACED else 0.0


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
        self._capacity = max(1.0, count * _BURST)
        # A full bucket at the window's begin plus what flows in meanwhile, its end excluded, is `count`.
        self._per_second = (count - self._capacity + 1.0) / seconds if count > 1 else count / seconds
        self._tokens = 1.0
        self._at: float | None = None
        self._longer = [_Window(count * share, seconds) for count, seconds in longer]

    def ready_at(self, now: float, weight: int = 1) -> float:
        """When `weight` permits can be had: `now` or later. Changes nothing, so any future time may be asked about."""
        since = now if self._at is None else self._at
        tokens = min(self._capacity, self._tokens + (now - since) * self._per_second)
        need = min(float(weight), self._capacity)
        ready = now
        if tokens < need - _ROUNDING:
            # Before the first send the bucket fills for nobody: the first request goes out, and is paid for later.
            ready = now if self._at is None else now + (need - tokens) / self._per_second
        for window in self._longer:
            ready = max(ready, window.ready_at(now, weight))
        return ready

    def take(self, now: float, weight: int = 1) -> None:
        """Use `weight` permits; a weight above the burst puts the bucket in debt, which later sends pay off."""
        since = now if self._at is None else self._at
        self._tokens = min(self._capacity, self._tokens + (now - since) * self._per_second) - weight
        self._at = now
        for window in self._longer:
            window.take(now, weight)


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

    def take(self, now: float, weight: int) -> None:
        while self._used and (self._used[0][0] + _SLOTS + 1) * self._slot <= now:
            self._total -= self._used.popleft()[1]
        slot = math.floor(now / self._slot)
        if self._used and self._used[-1][0] == slot:
            self._used[-1][1] += weight
        else:
            self._used.append([slot, weight])
        self._total += weight


class RetryBudget:
    """Stops a retry storm: retries spend, successes earn, and an empty budget says that the server is not well."""

    def __init__(self) -> None:
        self._left = _BUDGET

    def succeeded(self) -> None:
        """Earn one back."""
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
        """Begin anew: the origin is well again."""
        self._left = _BUDGET


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

    def healthy(self, now: float) -> bool:
        """Record an answer of a healthy origin; True when this one opened the gate again after a trip."""
        self._run = 0
        self._record(failed=False)
        if self.probes_left and now >= self._tripped_until:
            self.probes_left -= 1
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
