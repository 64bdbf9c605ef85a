"""What may be sent now, what waits until when, and what becomes of a request after an answer.

A `Schedule` does no I/O and reads no clock: every call is told the time, in seconds of any steady clock. The client
drives it; so does a simulation of a hundred tasks, in virtual time.

    schedule = Schedule(Concurrency(), random=Random(7))
    schedule.admit(request)
    while schedule.room(now) and (request := schedule.next(now)):
        transport.start(request); schedule.started(request, now)
    outcome = schedule.finished(exchange, verdict, now)      # None: it will be sent again
"""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

from trunkline.http.concurrency import MAX_CONCURRENCY, Concurrency
from trunkline.http.health import Health
from trunkline.http.message import Exchange, Fault, Outcome, Request
from trunkline.http.pacing import Rate, backoff, wait_at_least
from trunkline.http.probes import Probes
from trunkline.http.verdict import GATEWAY_TIMEOUT, Verdict
from trunkline.http.waiting import Waiting

# Refusals of the credential in a row that end the task: a table must not be poured out over an expired password.
AUTH_REFUSALS = 5
# Requests kept ready beyond what is in flight: enough to fill the limit when it doubles.
_READY_AHEAD = 16
# Requests that may wait for another try before no more are pulled: memory stays within twice what can be in flight.
_MOST_LATER = MAX_CONCURRENCY
# Faults that say that there was too much for the server.
_PRESSURE = frozenset({Fault.TIMEOUT, Fault.REFUSED, Fault.CONNECT_TIMEOUT})


class Schedule:
    """The plan of one task towards one origin.

    Args:
        concurrency: How many may be in flight.
        rate: This task's share of the query's rate, None for no limit.
        max_attempts: Tries of one request that may fail before it is `exhausted`. Being throttled is not counted,
            nor is anything while the origin is not well: then it is the server's trouble, not the row's. Where
            requests are `early`, one that was answered well before is sent again to find out which of the two it is:
            `next` gives a request that nobody admitted then, and it has no outcome.
        max_delay: Cap of a back-off in seconds.
        deadline: Seconds without a good answer after which the task stops; also the longest one request is retried.
        random: Source of jitter.

    Attributes:
        in_flight: Exchanges started and not finished.
        stopped: Why nothing more is sent, None while all is well.
        auth_refused: True when `stopped` because the credential was refused.
        retries: Tries beyond the first.
    """

    def __init__(
        self,
        concurrency: Concurrency,
        *,
        rate: Rate | None = None,
        max_attempts: int = 5,
        max_delay: float = 30.0,
        deadline: float = 600.0,
        random: Random,
    ) -> None:
        self.in_flight = 0
        self.retries = 0
        self.stopped: str | None = None
        self.auth_refused = False
        self._concurrency = concurrency
        self._rate = rate
        self._health = Health(random, deadline)
        self._gate = self._health.gate
        self._max_attempts = max_attempts
        self._max_delay = max_delay
        self._deadline = deadline
        self._random = random
        self._waiting = Waiting()
        self._auth_refusals = 0
        self._paced_until = -math.inf
        self._probes = Probes()

    @property
    def limit(self) -> int:
        """Exchanges that may be in flight now."""
        return 1 if self._gate.probes_left else self._concurrency.limit

    @property
    def trouble(self) -> str:
        """What the origin last said when it was not well; "" while it is."""
        return self._health.trouble

    @property
    def idle(self) -> bool:
        """True when nothing is in flight and nothing waits."""
        return not (self.in_flight or self._waiting)

    @property
    def wants_more(self) -> bool:
        """True when another request may be admitted: what waits already is bounded."""
        waiting = self._waiting
        if self.stopped is not None or len(waiting.later) >= _MOST_LATER:
            return False
        return len(waiting.ready) + waiting.behind < self._concurrency.limit + _READY_AHEAD

    def admit(self, request: Request, *, due: float = 0.0, after: Request | None = None) -> None:
        """Take in a request; one whose keys are under way waits for the end of every earlier one with such a key.

        Args:
            request: To be sent.
            due: Not before this time.
            after: A request that has ended and is not yet `release`d, of which this one is a part: it takes its place
                before all that waits behind the same keys.
        """
        if request.early:
            self._probes.used = True
        self._waiting.add(request, due, after)

    def admit_part(self, request: Request, of: Request, attempts: int, now: float) -> None:
        """Take in a part of a request that has ended: rows to be sent again, or half of a refused batch.

        Args:
            request: The part.
            of: What it is a part of.
            attempts: Tries its rows have behind them, 0 for none that count.
            now: The time.
        """
        due = now + backoff(self._random, attempts - 1, throttled=True, cap=self._max_delay) if attempts else 0.0
        request.strikes = attempts
        request.since = of.since
        self.admit(request, due=due, after=of)

    def release(self, request: Request) -> None:
        """Let the requests go on that wait for the end of this one; call it once for each outcome."""
        if request.keys:
            self._waiting.release(request)

    def withdraw(self, request: Request) -> None:
        """Do not send a request without keys any more; what is in flight is left to end."""
        request.unwanted = True
        self._waiting.withdraw(request)

    def room(self, now: float) -> bool:
        """Whether one more exchange may start now."""
        gate = self._gate
        if self.in_flight >= (1 if gate.probes_left else self._concurrency.limit) or now < self._paced_until:
            self._concurrency.reached = True
            return False
        if now < gate.until or self.stopped is not None:
            return False
        return self._rate is None or self._rate.ready_at(now, self._next_weight(now)) <= now

    def next(self, now: float) -> Request | None:
        """The request to send now: retries that are due come first."""
        if self._gate.probes_left and (probe := self._probes.make(self._waiting.first(now))) is not None:
            return probe
        return self._waiting.take(now)

    def started(self, request: Request, now: float) -> None:
        """Record that an exchange for this request has begun."""
        self.in_flight += 1
        if request.attempts:
            self.retries += 1
        elif request.since < 0.0:
            request.since = now
        request.attempts += 1
        if self._concurrency.spacing:
            self._paced_until = now + self._concurrency.spacing
        if self._rate is not None:
            self._rate.take(now, request.weight)

    def wake(self, now: float, *, more: bool = False) -> float:
        """The next time at which something may be sent, or must be given up, without another answer.

        Args:
            now: The time.
            more: There are requests that have not been admitted yet.
        """
        if self.stopped is not None:
            return now
        at = now if more and self.wants_more else self._waiting.next_at(now)
        if at < math.inf and self.in_flight < self.limit:
            at = max(at, self._gate.until, self._paced_until)
            if self._rate is not None:
                at = self._rate.ready_at(at, self._next_weight(at))
        else:
            at = math.inf
        return min(at, self._health.give_up_at)

    def finished(self, exchange: Exchange, verdict: Verdict, now: float) -> Outcome | None:
        """What becomes of the request: its outcome, or None when it will be sent again."""
        request, kind, probes = exchange.request, verdict.kind, self._probes
        probe = request is probes.latest
        self._learn(exchange, verdict, now, probe)
        if kind == "accepted" and not probe:
            if probes.used:
                probes.good = request
            self._auth_refusals = 0
            return Outcome(request, kind, verdict.reason, exchange)
        if verdict.stop and self.stopped is None:
            self.stopped = verdict.reason
        if probe:
            probes.ended(accepted=kind == "accepted")
            return None
        if request.unwanted and verdict.auth:
            # What is wanted finds out for itself, and counts.
            return Outcome(request, "rejected", verdict.reason, exchange)
        if kind == "refresh":
            if self._plan_login(request, now):
                return None
            verdict = replace(verdict, kind="rejected")
            kind = "rejected"
        if kind == "retry":
            over = request.unwanted or _asked_too_much(exchange)
            reason = verdict.reason if over else self._plan_retry(request, verdict, now)
            if reason is None:
                if not verdict.auth:
                    self._auth_refusals = 0
                return None
            verdict = replace(verdict, kind="rejected" if verdict.auth else "exhausted", reason=reason)
            kind = verdict.kind
        self._count_auth(verdict)
        return Outcome(request, kind, verdict.reason, exchange)

    def given_up(self, now: float) -> bool:
        """Whether the origin has been unwell past all patience; then `stopped` says so."""
        health = self._health
        if self.stopped is None and now >= health.give_up_at:
            if self.idle and now >= self._gate.until and now >= self._paced_until:
                # There was nothing to ask the origin for: nobody's patience ran.
                health.forget_trouble()
                return False
            self.stopped = health.complaint(now)
        return self.stopped is not None

    def stop(self, reason: str) -> None:
        """Send nothing more; what is in flight may still end."""
        if self.stopped is None:
            self.stopped = reason

    def abandon(self) -> list[Outcome]:
        """Give up everything that waits: never tried is `unsent`, tried in vain is `exhausted`."""
        reason = self.stopped or "stopped"
        waiting = self._waiting.clear()
        return [Outcome(request, "exhausted" if request.attempts else "unsent", reason) for request in waiting]

    def _learn(self, exchange: Exchange, verdict: Verdict, now: float, probe: bool) -> None:
        accepted = verdict.kind == "accepted"
        self.in_flight -= 1
        if accepted:
            self._concurrency.succeeded(now, exchange.elapsed)
        elif not verdict.auth:
            pressure = verdict.throttled or exchange.fault in _PRESSURE
            self._concurrency.failed(now, pressure=pressure, cost=verdict.wait or 0.0)
        if verdict.pause:
            self._gate.hold(now, verdict.pause)
        if not accepted and _asked_too_much(exchange):
            # So may have those beside it; that says nothing of the origin.
            return
        if verdict.unhealthy or verdict.throttled:
            anew = self._health.failed(verdict, now, self._concurrency.mean, probe=probe)
        else:
            anew = self._health.answered(now, again=probe and accepted)
        if anew:
            self._concurrency.restart()

    def _count_auth(self, verdict: Verdict) -> None:
        self._auth_refusals = self._auth_refusals + 1 if verdict.auth else 0
        if self._auth_refusals >= AUTH_REFUSALS and self.stopped is None:
            self.stopped = f"the credential was refused {AUTH_REFUSALS} times in a row ({verdict.reason})"
            self.auth_refused = True

    def _plan_retry(self, request: Request, verdict: Verdict, now: float) -> str | None:
        """Put the request aside until it may be sent again; else why it is not sent again."""
        if self._health.counts(verdict):
            request.strikes += 1
            if request.strikes >= self._max_attempts:
                return verdict.reason
        if not verdict.auth:
            self._health.retried(verdict, now)
        delay = backoff(self._random, request.attempts - 1, throttled=verdict.throttled, cap=self._max_delay)
        if verdict.wait is not None:
            delay = wait_at_least(self._random, verdict.wait, delay)
        if self._health.answers_others and now + delay - request.since > self._deadline:
            return f"{verdict.reason}, for {self._deadline:.0f} s while other requests were answered"
        self._waiting.put_off(request, now + delay)
        return None

    def _plan_login(self, request: Request, now: float) -> bool:
        """Put the request aside until it may be sent with another login; False when it has had enough of them."""
        delay = 0.0
        if request.refreshed:
            # The login is good for others: it has run out, or only this request is refused.
            request.strikes += 1
            if request.strikes >= self._max_attempts:
                return False
            delay = backoff(self._random, request.strikes, throttled=False, cap=self._max_delay)
        request.refreshed = True
        self._waiting.put_off(request, now + delay)
        return True

    def _next_weight(self, now: float) -> int:
        """The weight of what `next` would give; 1 for a request yet to be admitted."""
        first = self._waiting.first(now)
        return 1 if first is None else first.weight


def _asked_too_much(exchange: Exchange) -> bool:
    """Whether a request that nobody waits for yet may have been too large for the origin to answer in time."""
    return exchange.request.early and exchange.status == GATEWAY_TIMEOUT
