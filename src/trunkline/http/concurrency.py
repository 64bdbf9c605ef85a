"""How many requests at once: fixed, or found. Pure: time comes in as an argument, in seconds."""

from __future__ import annotations

import math

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
# Twice as much in flight has to bring a seventh more done per second, or it was too much; later a window that brings
# an eighth less than the best one did, and is larger, is too large.
_GAIN, _LOSS = 1.15, 0.88
# What is learned of less time than this is luck, seconds.
_SHORTEST_LOOK = 0.01
# What is left in a minute of the most that was ever done: a server may have become slower for good.
_FORGOTTEN = 0.95
_MINUTE = 60.0
# Until a round trip has succeeded: how long it is taken to be.
_UNKNOWN_ROUND_TRIP = 0.25


class Concurrency:
    """How many exchanges may be in flight: fixed, or found by watching round trips and refusals.

    Adaptive: doubles from `FIRST_WAVE` until the first sign of pressure: a refusal, or a doubling that gets hardly more
    done, judged by the exchanges that began after it. From then on a refusal takes a tenth away (up to half when most
    were refused), and the window climbs back along a cubic: fast at first, flat around where it was refused, then
    faster again. (One more per round trip would ask a server for ten more at once where ten tasks share it.) Round
    trips well above their usual spread count as a refusal; round trips of twice the shortest of late end the growth,
    because a server that queues never refuses; and a window that gets less done than a smaller one did gives a tenth
    back, because a server that is overrun need not refuse either.

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
        # What was done per second of late; the most, and the window that did it.
        self._done = self._most_done = self._most_with = 0.0
        self._window_end = -math.inf

    @property
    def mean(self) -> float:
        """The usual round trip in seconds; a guess while unknown."""
        return self._mean or _UNKNOWN_ROUND_TRIP

    def restart(self) -> None:
        """Begin again with slow start, up to where it was refused last: the server has just come back."""
        self._slow_start = True
        self._done = 0.0
        self._set(min(FIRST_WAVE, self.most, self._top))

    def succeeded(self, now: float, elapsed: float) -> None:
        """Learn from an accepted exchange that took `elapsed` seconds."""
        if self.fixed is not None:
            self._mean += _EWMA_ALPHA * (elapsed - self._mean) if self._mean else elapsed
            self.limit = self.fixed
            return
        # What was under way when the window was doubled tells of the window before.
        if not self._slow_start or now - elapsed >= self._adjusted_at:
            self._sum += elapsed
            self._count += 1
        if now >= self._window_end and (not self._slow_start or self._count >= self.limit):
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
            window = self._window
            # By Little's law, where the window was used up.
            done = window / current if self.reached and current else 0.0
            if self._slow_start and window < self.most and 0.0 < done < _GAIN * self._done:
                self._shrink(now, _LARGEST_DECREASE)
            elif self._congested(current) or (
                window > max(_PACED, self._most_with) and 0.0 < done < _LOSS * self._most_done
            ):
                self._shrink(now, _DECREASE)
            elif self.reached:
                self._grow(now, current)
            self._done = done
            if done > self._most_done:
                self._most_done, self._most_with = done, window
        if current is not None:
            off = current - self._mean
            self._mean += _EWMA_ALPHA * off if self._mean else current
            if off != current:
                self._variance = (1 - _EWMA_ALPHA) * (self._variance + _EWMA_ALPHA * off * off)
        self._set(self._window)
        self._adjusted_at = now
        least = _SHORTEST_LOOK if self._slow_start else 0.0
        self._window_end = now + max(self.mean, self.spacing, least)
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
        if self._refused:
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
            self._most_done *= _FORGOTTEN
            self._minute_end = now + _MINUTE
        self._shortest = min(self._shortest, current)
        self._shortest_before = min(self._shortest_before, current)

    def _set(self, window: float) -> None:
        self._window = window
        self.limit = math.ceil(window)
        self.spacing = self.mean / window if self._paced and window < _PACED else 0.0
