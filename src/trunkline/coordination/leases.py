"""Leases of permits from the one bucket of a query. Pure: time comes in as an argument, in seconds.

    leases = Leases([(200, 1.0)])             # the coordinator's side
    rate = LeasedRate()                       # a worker's side; a `Schedule` takes it for its rate
    ask = rate.ask(now)                       # travels
    lease = leases.ask("worker-1", ask, now)  # travels back
    rate.granted(lease, now)

A worker gets the permits that have come together since others asked, no more than its share, and spreads them over the
time until it asks again. So the bucket of the query holds for all of them, but for what is leased and not yet used: at
most two periods' worth, and in the mean half a period's.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
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
# What a worker whose need is met asks for, as a multiple of what it used: room to grow.
_ROOM = 1.5
# What may gather while nobody asks, in periods: calls are not that punctual.
_GATHER = 1.5
# What a worker that was late may make up for: so many periods, and so many seconds, of its share.
_MAKE_UP_PERIODS, _MAKE_UP_SECONDS = 2.0, 0.5
# A worker that has used no permit for so long, and for two periods, may need none.
_IDLE = 0.5
# How often a task that waits for permits looks whether they have come.
_LOOK = 0.005
# How many sends a task may catch up on when it was busy elsewhere.
_CATCH_UP = 3.0
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
        worker = self._settled(name, ask, now)
        period = self.period
        self._bucket.gather(_GATHER * self._bucket.per_second * period)
        given_back = ask.back - worker.back
        worker.back = ask.back
        if given_back > 0:
            self._bucket.give_back(now, given_back)
        worker.need = math.inf if ask.want is None else 0.0 if ask.idle else (ask.want + ask.stock) / period
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


class LeasedRate:
    """A worker's side: what a `Schedule` asks instead of a `RateLimit`.

    Until the first lease nothing may be sent; `granted`, `unlimited` and `lost` say what holds from then on. They may
    be called from another thread than the rest.

    Args:
        awaken: Called while permits are waited for: whoever asks may have gone to rest.

    Attributes:
        touched_at: When it was last asked: a task that is over asks no more.
        usable_until: When the access token ends: from then on nothing may be sent, whatever the rate.
        give_up_at: When waiting ends all the same, so that the request is tried and the reason told.
    """

    def __init__(self, awaken: Callable[[], None] = lambda: None) -> None:
        self._awaken = awaken
        self.touched_at = -math.inf
        self.usable_until = math.inf
        self.give_up_at = math.inf
        self._lock = threading.Lock()
        self._limited = True
        self._static: RateLimit | None = None
        self._stock = 0
        self._used = self._back = 0
        self._asked_used = 0
        self._greedy = True
        self._waited = False
        self._asked_at = self._unused_since = -math.inf
        self._lease = Lease(0, SHORTEST, SHORTEST, 0)
        self._spacing = 0.0
        self._next_at = -math.inf

    def ready_at(self, now: float, weight: int = 1) -> float:
        """When a request may be sent, as far as is known."""
        self.touched_at = max(now, self.touched_at)
        if now >= self.give_up_at:
            return now
        if now >= self.usable_until:
            self._awaken()
            return now + _LOOK
        if not self._limited:
            return now
        if self._stock >= 1:
            at = max(now, self._next_at)
        elif self._static is not None:
            at = self._static.ready_at(now, weight)
        else:
            # More comes some time after the next call: look again and again, a little.
            self._awaken()
            at = max(now, self.ask_at()) + _LOOK
        if at > now:
            self._waited = True
        return at

    def take(self, now: float, weight: int = 1) -> None:
        """Use permits. A request of more than are at hand goes out alone; the coordinator's bucket pays for it."""
        with self._lock:
            self._used += weight
            self._unused_since = now
            if self._static is not None and self._stock < 1:
                self._static.take(now, weight)
                return
            self._stock -= weight
            self._next_at = max(self._next_at, now - _CATCH_UP * self._spacing) + self._spacing

    @property
    def can_go_on(self) -> bool:
        """Whether there is something to send by without the coordinator."""
        return not self._limited or self._static is not None or self._stock >= 1

    def ask_at(self) -> float:
        """When to ask next."""
        soon = self._waited and self._stock < 1
        return self._asked_at + (self._lease.soonest if soon else self._lease.next_in)

    def ask(self, now: float) -> Ask:
        """What to ask for; permits that are not needed leave the stock."""
        with self._lock:
            used = self._used - self._asked_used
            self._stock = max(0, self._stock)
            if self._stock:
                # It had to wait, and did not let the time of a permit go by: it could have used more.
                in_time = now - self._next_at <= self._spacing + _LOOK or used >= self._stock
                self._greedy = self._waited and in_time
            elif used:
                self._greedy = self._waited
            want: int | None = None
            unused_for = now - self._unused_since if self._stock else math.inf
            idle = not (self._greedy or used) and unused_for > max(_IDLE, 2.0 * self._lease.next_in)
            if not self._greedy:
                need = 1 if idle else max(math.ceil(_ROOM * used) + 1, 0 if used else self._stock)
                keep = 0 if idle else min(self._stock, need)
                self._back += self._stock - keep
                self._stock = keep
                want = need - keep
            self._asked_used = self._used
            self._asked_at = now
            self._waited = False
            told = self._lease
            spent = tuple(before + used * max(1, told.workers) for before in told.spent)
            return Ask(self._used, self._back, self._stock, want, idle, told.workers, spent)

    def leave(self) -> Ask:
        """Give everything back: no task needs it any more."""
        with self._lock:
            self._back += max(0, self._stock)
            self._stock = 0
            self._greedy = True
            self._asked_used = self._used
            self._asked_at = -math.inf
            return Ask(self._used, self._back, 0, 0, workers=self._lease.workers, spent=self._lease.spent)

    def granted(self, lease: Lease, now: float) -> None:
        """Take in what the coordinator gave."""
        with self._lock:
            self._limited = True
            self._static = None
            self._lease = lease
            if self._stock < 1:
                self._unused_since = now
            self._stock += lease.permits
            self._spacing = lease.next_in / max(1, self._stock)
            self._next_at = min(max(self._next_at, now), now + self._spacing)

    def unlimited(self, lease: Lease) -> None:
        """There is no rate to keep."""
        self._lease = lease
        self._limited = False

    def lost(self, windows: Sequence[tuple[float, float]], now: float) -> float:
        """Go on without the coordinator, with an even share of the rate.

        Returns:
            The share; 0 where none was ever told, and nothing may be sent.
        """
        with self._lock:
            workers = self._lease.workers
            if workers and self._limited and self._static is None:
                self._static = RateLimit(windows, 1 / workers)
                self._static.spend(now, [spent / workers for spent in self._lease.spent])
            return 1 / workers if workers else 0.0
