"""Whether the origin is well, and how long it is waited for while it is not.

health = Health(Random(7), deadline=600.0)
health.answered(now)                  # after every exchange: this,
health.failed(verdict, now, mean)     # or this, where it tells that the origin is not well, or was asked for too much
health.gate.until                     # nothing is sent before
health.give_up_at                     # infinite while it is well
"""

from __future__ import annotations

import math
from random import Random

from trunkline.http.pacing import Gate, RetryBudget, wait_at_least
from trunkline.http.verdict import Verdict

# An origin that has never answered well gets this long, not the whole deadline: it is more often a wrong address
# or a quota used up than an outage that has just begun, and the user should know soon.
START_PATIENCE = 60.0
# After a wait the server asked for, it gets this long to keep its word.
_GRACE = 10.0


class Health:
    """What the answers of an origin say of the origin.

    Args:
        random: Source of jitter.
        deadline: Seconds without a good answer after which it is given up.

    Attributes:
        gate: Holds sends back.
        give_up_at: When it is given up, infinite while it is well.
        trouble: What it last said when it was not well; "" while it is.
    """

    def __init__(self, random: Random, deadline: float) -> None:
        self.gate = Gate(random)
        self.give_up_at = math.inf
        self.trouble = ""
        self._random = random
        self._deadline = deadline
        self._budget = RetryBudget()
        self._well_once = False
        self._trouble_since: float | None = None
        # Whether what was answered last was a probe, as well as it was before.
        self._probe_only = False

    @property
    def answers_others(self) -> bool:
        """Whether what fails now fails by itself."""
        return self._well_once and self.gate.unhealthy_since is None

    def answered(self, now: float, *, again: bool = False) -> bool:
        """Learn from an answer of an origin that is well.

        Args:
            now: The time.
            again: It was a probe, and is accepted as it was before.

        Returns:
            Whether sending begins anew: the origin has come back.
        """
        self._probe_only = again
        back = self.gate.healthy(now, sure=again)
        if back:
            self._budget.refill()
        if self._budget.spent:
            self._budget.succeeded()
        self._well_once = True
        if self._trouble_since is not None:
            self.forget_trouble()
            self.trouble = ""
        return back

    def failed(self, verdict: Verdict, now: float, mean: float, *, probe: bool = False) -> bool:
        """Learn from an exchange that was not answered well.

        Args:
            verdict: On it.
            now: The time.
            mean: The usual round trip in seconds.
            probe: The same request was answered well before.

        Returns:
            Whether sending begins anew: the origin has just gone.
        """
        if probe:
            self._probe_only = False
        self.trouble = verdict.reason
        if self._trouble_since is None:
            self._trouble_since = now
            self.give_up_at = now + (self._deadline if self._well_once else min(self._deadline, START_PATIENCE))
        # One wave refused at once is one failure: the concurrency was too high, which says little of the origin.
        same_wave = verdict.throttled and now < self.gate.until
        # A probe that is refused is one too: its request has no back-off of its own.
        closed = (probe or (verdict.unhealthy and not same_wave)) and self.gate.failed(now)
        if verdict.throttled:
            self.gate.throttled(now, mean)
        if verdict.wait:
            self.gate.hold(now, wait_at_least(self._random, verdict.wait, 0.0))
            promised = min(now + verdict.wait, self._trouble_since + self._deadline) + _GRACE
            self.give_up_at = max(self.give_up_at, promised)
        return closed

    def counts(self, verdict: Verdict) -> bool:
        """Whether a failure is that of the request: not where the origin is not well, or was asked for too much."""
        if self._probe_only and verdict.unhealthy and verdict.wait is None:
            # It answers what it answered before, with as little to do.
            return True
        return not verdict.throttled and self.gate.unhealthy_since is None

    def retried(self, verdict: Verdict, now: float) -> None:
        """Record that a request will be sent again: too many of them say that the origin is not well."""
        if not self._budget.spend(throttled=verdict.throttled):
            self.gate.trip(now)

    def forget_trouble(self) -> None:
        """Begin to be patient anew."""
        self._trouble_since, self.give_up_at = None, math.inf

    def complaint(self, now: float) -> str:
        """Why it is given up."""
        waited = now - (self._trouble_since if self._trouble_since is not None else now)
        never = "" if self._well_once else ", and it has not answered well once"
        return f"no good answer for {waited:.0f} s{never} (last: {self.trouble})"
