"""A worker's side of the leases: what a `Schedule` asks instead of a `RateLimit`. Time comes in as an argument.

rate = LeasedRate()
ask = rate.ask(now)                       # travels to `Leases.ask`
rate.granted(lease, now)                  # what came back
rate.ready_at(now); rate.take(now)        # the schedule
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence

from trunkline.coordination.leases import SHORTEST, Ask, Lease
from trunkline.http.pacing import RateLimit

# What a worker whose need is met asks for, as a multiple of what it used: room to grow.
_ROOM = 1.5
# A worker that has used no permit for so long, and for two periods, may need none.
_IDLE = 0.5
# How often a task that waits for permits looks whether they have come.
_LOOK = 0.005
# How many sends a task may catch up on when it was busy elsewhere.
_CATCH_UP = 3.0


class LeasedRate:
    """A rate that a coordinator leases out.

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
        # Looked at once: the link's thread takes it away when the coordinator is back.
        static = self._static
        if self._stock >= 1:
            at = max(now, self._next_at)
        elif static is not None:
            at = static.ready_at(now, weight)
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
