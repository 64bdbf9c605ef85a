"""Leases of permits from the one bucket of a query. Pure: time comes in as an argument, in seconds.

    leases = Leases([(200, 1.0)])
    lease = leases.ask("worker-1", ask, now)  # of what `LeasedRate.ask` said; the answer goes to `LeasedRate.granted`

A worker gets the permits that have come together since others asked, no more than its share, and spreads them over the
time until it asks again. So the bucket of the query holds for all of them, but for what is leased and not yet used: at
most two periods' worth, and in the mean half a period's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.http.pacing import RateLimit

# A worker asks this often at most: short enough that a share follows the need, long enough to be no load.
SHORTEST = 0.1
# And this often at least, where permits are rarer than that: needs change, and a dead worker is noticed.
LONGEST = 1.0
# Calls a second that a coordinator answers without being felt on the driver; beyond, the period grows.
CALLS = 200.0
# A worker that has not asked for so many periods, and not for so many seconds, is gone.
_LAPSE_PERIODS, _LAPSE_SECONDS = 3.0, 3.0
# What may gather while nobody asks, in periods: calls are not that punctual.
_GATHER = 1.5
# What a worker that was late may make up for: so many periods, and so many seconds, of its share.
_MAKE_UP_PERIODS, _MAKE_UP_SECONDS = 2.0, 0.5
# A coordinator that came back waits so long for the workers that it does not know any more.
_RETURN = 3.0


@dataclass(frozen=True)
class Ask:
    """What a worker says when it asks. Totals, so that a lost call does no harm.

    Attributes:
        used: Permits used so far.
        back: Permits given back so far.
        stock: Permits at hand.
        want: Permits wanted on top of them; None for all there are.
        idle: It used none since it asked last: whether it needs any, only having one will tell.
        workers: How many workers there were when it was last told, 0 at first.
        spent: What was used up of the longer windows then, as far as it can know.
    """

    used: int = 0
    back: int = 0
    stock: int = 0
    want: int | None = None
    idle: bool = False
    workers: int = 0
    spent: tuple[float, ...] = ()


@dataclass(frozen=True)
class Lease:
    """What it is told.

    Attributes:
        permits: To be used until the next call, evenly.
        next_in: Seconds until that call.
        soonest: Seconds until it may call when it has none left.
        workers: Among how many workers the rate is shared.
        spent: What is used up of the longer windows.
    """

    permits: int
    next_in: float
    soonest: float
    workers: int
    spent: tuple[float, ...] = ()


@dataclass
class _Worker:
    at: float
    used: int
    back: int
    credit: float = 1.0
    need: float = math.inf
    held: int = 0


class Leases:
    """The coordinator's side: one bucket, shared by need and otherwise evenly (max-min fairness).

    Args:
        windows: Permits and seconds of each window of the rate.
    """

    def __init__(self, windows: Sequence[tuple[float, float]]) -> None:
        self.windows = tuple(sorted(windows, key=lambda window: window[1]))
        self._bucket = RateLimit(self.windows)
        self._workers: dict[str, _Worker] = {}
        self._held = 0
        self._slot = -math.inf
        self._expected = 0
        self._expected_until = -math.inf
        self._began_at: float | None = None
        self._lapse_at = -math.inf

    @property
    def period(self) -> float:
        """Seconds between two calls of a worker that needs permits."""
        many = len(self._workers)
        return max(many / CALLS, min(LONGEST, max(SHORTEST, many / self._bucket.per_second)))

    @property
    def at_large(self) -> float:
        """How many permits may be leased and unused: two periods' worth, and one where that is less."""
        return max(1.0, 2.0 * self._bucket.per_second * self.period)

    def ask(self, name: str, ask: Ask, now: float) -> Lease:
        """Settle what a worker used, and give it what it may use next."""
        self._lapse(now)
        known = self._workers.get(name)
        used = 0 if known is None else ask.used - known.used
        worker = self._settled(name, ask, now)
        period = self.period
        self._bucket.gather(_GATHER * self._bucket.per_second * period)
        given_back = ask.back - worker.back
        worker.back = ask.back
        if given_back > 0:
            self._bucket.give_back(now, given_back)
        if ask.want is None:
            worker.need = math.inf
        else:
            # One that used nothing and wants nothing sits on what it has to see whether it needs it.
            worker.need = (ask.want + ask.stock) / period if used or (ask.want and not ask.idle) else 0.0
        share = self._share(worker, now)
        late = max(_MAKE_UP_PERIODS * period, _MAKE_UP_SECONDS)
        worker.credit = min(worker.credit + share * (now - worker.at), max(1.0, share * late))
        worker.at = now
        permits = self._permits(worker, ask, given_back, now)
        self._bucket.take(now, permits)
        worker.credit = max(-1.0, worker.credit - permits)
        self._hold(worker, worker.held + permits)
        # One that may need nothing asks seldom, but early once it has used the one permit it has.
        next_in = period if ask.idle else self._next_in(permits, now)
        later = max(period, LONGEST) if ask.idle and permits else next_in
        return Lease(permits, later, next_in, len(self._workers), tuple(self._bucket.spent(now)))

    def leave(self, name: str, ask: Ask, now: float) -> None:
        """A worker goes: take back what it has."""
        worker = self._workers.get(name)
        if worker is not None:
            self._settled(name, ask, now)
            self._bucket.give_back(now, max(0, ask.back - worker.back))
            self._drop(name)

    def workers(self) -> int:
        """How many share the rate."""
        return len(self._workers)

    def idle(self, now: float) -> bool:
        """Whether no worker is left."""
        self._lapse(now)
        return not self._workers

    def _settled(self, name: str, ask: Ask, now: float) -> _Worker:
        worker = self._workers.get(name)
        if self._began_at is None:
            self._began_at = now
        if worker is None:
            worker = self._workers[name] = _Worker(now, ask.used, ask.back)
            if ask.workers and now < self._began_at + _RETURN:
                # It knew another coordinator, whose other workers will be here in a moment.
                self._expected = max(self._expected, ask.workers)
                self._expected_until = self._began_at + _RETURN
                self._bucket.spend(now, ask.spent)
        used = ask.used - worker.used
        if used > worker.held:
            self._bucket.take(now, used - worker.held)
        worker.used = ask.used
        self._hold(worker, ask.stock)
        return worker

    def _permits(self, worker: _Worker, ask: Ask, given_back: int, now: float) -> int:
        most = min(float(self._bucket.available(now)), math.inf if ask.want is None else ask.want)
        if ask.idle:
            # One that did not use what it had goes to the end of the queue: the next to ask may need it.
            return 0 if given_back > 0 or self._held + 1 > max(1.0, self.at_large / 2) else int(min(most, 1))
        return max(0, math.floor(min(most, worker.credit + 1e-6, self.at_large - self._held)))

    def _share(self, worker: _Worker, now: float) -> float:
        """Permits a second: those who need little get it, the others share the rest evenly."""
        left = self._bucket.per_second
        sharing = len(self._workers)
        if now < self._expected_until:
            sharing = max(sharing, self._expected)
        for need in sorted([one.need for one in self._workers.values() if one.need < math.inf]):
            if need > left / sharing:
                break
            left -= need
            sharing -= 1
            if worker.need == need:
                return need
        return min(worker.need, left / max(1, sharing))

    def _next_in(self, permits: int, now: float) -> float:
        """A place of its own for each worker within the period, so that neither calls nor sends come in waves."""
        period = self.period
        active = len(self._workers) - [worker.need for worker in self._workers.values()].count(0.0)
        self._slot = min(max(self._slot + period / max(1, active), now + 0.8 * period), now + 1.5 * period)
        next_in = self._slot - now
        if not permits and period <= SHORTEST:
            next_in = min(next_in, max(self._bucket.ready_at(now) - now, SHORTEST / 5, active / CALLS))
        return next_in

    def _hold(self, worker: _Worker, held: int) -> None:
        self._held += held - worker.held
        worker.held = held

    def _drop(self, name: str) -> None:
        self._held -= self._workers.pop(name).held

    def _lapse(self, now: float) -> None:
        """Forget workers that are gone. What they held counts as used: nobody can know."""
        if now < self._lapse_at:
            return
        self._lapse_at = now + LONGEST / 2
        limit = now - max(_LAPSE_PERIODS * self.period, _LAPSE_SECONDS)
        for name in [name for name, worker in self._workers.items() if worker.at < limit]:
            self._drop(name)
