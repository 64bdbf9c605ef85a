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

import heapq
import math
from collections import deque
from random import Random

from trunkline.http.concurrency import MAX_CONCURRENCY, Concurrency
from trunkline.http.message import Exchange, Fault, Outcome, Request
from trunkline.http.pacing import Gate, Rate, RetryBudget, backoff, wait_at_least
from trunkline.http.verdict import GATEWAY_TIMEOUT, Verdict

# An origin that has never answered well gets this long, not the whole deadline: it is more often a wrong address
# or a quota used up than an outage that has just begun, and the user should know soon.
START_PATIENCE = 60.0
# Refusals of the credential in a row that end the task: a table must not be poured out over an expired password.
AUTH_REFUSALS = 5
# After a wait the server asked for, it gets this long to keep its word.
_GRACE = 10.0
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
            nor is anything while the origin is not well: then it is the server's trouble, not the row's.
        max_delay: Cap of a back-off in seconds.
        deadline: Seconds without a good answer after which the task stops; also the longest one request is retried.
        random: Source of jitter.

    Attributes:
        in_flight: Exchanges started and not finished.
        stopped: Why nothing more is sent, None while all is well.
        auth_refused: True when `stopped` because the credential was refused.
        retries: Tries beyond the first.
        trouble: What the origin last said when it was not well; "" while it is.
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
        self.trouble = ""
        self._concurrency = concurrency
        self._rate = rate
        self._gate = Gate(random)
        self._budget = RetryBudget()
        self._max_attempts = max_attempts
        self._max_delay = max_delay
        self._deadline = deadline
        self._random = random
        self._ready: deque[Request] = deque()
        self._later: list[tuple[float, int, Request]] = []
        self._sequence = 0
        self._queues: dict[object, deque[Request]] = {}
        self._parked = 0
        self._auth_refusals = 0
        self._well_once = False
        self._trouble_since: float | None = None
        self._give_up_at = math.inf
        self._paced_until = -math.inf

    @property
    def limit(self) -> int:
        """Exchanges that may be in flight now."""
        return 1 if self._gate.probes_left else self._concurrency.limit

    @property
    def idle(self) -> bool:
        """True when nothing is in flight and nothing waits."""
        return not (self.in_flight or self._ready or self._later or self._parked)

    @property
    def wants_more(self) -> bool:
        """True when another request may be admitted: what waits already is bounded."""
        if self.stopped is not None or len(self._later) >= _MOST_LATER:
            return False
        return len(self._ready) + self._parked < self._concurrency.limit + _READY_AHEAD

    def admit(self, request: Request, *, due: float = 0.0, after: Request | None = None) -> None:
        """Take in a request; one whose keys are under way waits for the end of every earlier one with such a key.

        Args:
            request: To be sent.
            due: Not before this time.
            after: A request that has ended and is not yet `release`d, of which this one is a part: it takes its place
                before all that waits behind the same keys.
        """
        if not request.keys and not due:
            self._ready.append(request)
            return
        request.due = due
        if len(request.keys) > 1:
            # Named twice, a key would make the request wait for itself.
            request.keys = tuple(dict.fromkeys(request.keys))
        for key in request.keys:
            queue = self._queues.setdefault(key, deque())
            queue.insert(len(queue) if after is None else 1, request)
            request.blocked += len(queue) > 1
        if request.blocked:
            self._parked += 1
        else:
            self._make_ready(request)

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
        for key in request.keys:
            queue = self._queues.get(key)
            if queue is None or queue[0] is not request:
                continue
            queue.popleft()
            if not queue:
                del self._queues[key]
                continue
            following = queue[0]
            following.blocked -= 1
            if not following.blocked:
                self._parked -= 1
                self._make_ready(following)

    def withdraw(self, request: Request) -> None:
        """Do not send a request without keys any more; what is in flight is left to end."""
        request.unwanted = True
        self._ready = deque(one for one in self._ready if one is not request)
        self._later = [one for one in self._later if one[2] is not request]
        heapq.heapify(self._later)

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
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        return self._ready.popleft() if self._ready else None

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
        at = math.inf
        if self._ready or (more and self.wants_more):
            at = now
        elif self._later:
            at = max(now, self._later[0][0])
        if at < math.inf and self.in_flight < self.limit:
            at = max(at, self._gate.until, self._paced_until)
            if self._rate is not None:
                at = self._rate.ready_at(at, self._next_weight(at))
        else:
            at = math.inf
        return min(at, self._give_up_at)

    def finished(self, exchange: Exchange, verdict: Verdict, now: float) -> Outcome | None:
        """What becomes of the request: its outcome, or None when it will be sent again."""
        self._learn(exchange, verdict, now)
        request, kind = exchange.request, verdict.kind
        if kind == "accepted":
            self._auth_refusals = 0
            return Outcome(request, kind, verdict.reason, exchange)
        self._count_auth(verdict)
        if verdict.stop and self.stopped is None:
            self.stopped = verdict.reason
        if kind == "refresh":
            request.refreshed = True
            self._send_again(request, now)
            return None
        if kind == "retry":
            over = request.unwanted or _asked_too_much(exchange)
            reason = verdict.reason if over else self._plan_retry(request, verdict, now)
            if reason is None:
                return None
            return Outcome(request, "exhausted", reason, exchange)
        return Outcome(request, kind, verdict.reason, exchange)

    def given_up(self, now: float) -> bool:
        """Whether the origin has been unwell past all patience; then `stopped` says so."""
        if self.stopped is None and now >= self._give_up_at:
            if self.idle and now >= self._gate.until and now >= self._paced_until:
                # There was nothing to ask the origin for: nobody's patience ran.
                self._trouble_since, self._give_up_at = None, math.inf
                return False
            waited = now - (self._trouble_since if self._trouble_since is not None else now)
            patience = "" if self._well_once else ", and it has not answered well once"
            self.stopped = f"no good answer for {waited:.0f} s{patience} (last: {self.trouble})"
        return self.stopped is not None

    def stop(self, reason: str) -> None:
        """Send nothing more; what is in flight may still end."""
        if self.stopped is None:
            self.stopped = reason

    def abandon(self) -> list[Outcome]:
        """Give up everything that waits: never tried is `unsent`, tried in vain is `exhausted`."""
        waiting = [*(request for _, _, request in sorted(self._later)), *self._ready]
        blocked = {id(request): request for queue in self._queues.values() for request in queue if request.blocked}
        waiting.extend(blocked.values())
        self._later, self._parked = [], 0
        self._queues.clear()
        self._ready.clear()
        reason = self.stopped or "stopped"
        return [Outcome(request, "exhausted" if request.attempts else "unsent", reason) for request in waiting]

    def _learn(self, exchange: Exchange, verdict: Verdict, now: float) -> None:
        self.in_flight -= 1
        if verdict.kind == "accepted":
            self._concurrency.succeeded(now, exchange.elapsed)
        elif not verdict.auth:
            pressure = verdict.throttled or exchange.fault in _PRESSURE
            self._concurrency.failed(now, pressure=pressure, cost=verdict.wait or 0.0)
        if verdict.pause:
            self._gate.hold(now, verdict.pause)
        if _asked_too_much(exchange):
            # So may have those beside it; that says nothing of the origin.
            return
        if not (verdict.unhealthy or verdict.throttled):
            if self._gate.healthy(now):
                self._concurrency.restart()
                self._budget.refill()
            self._budget.succeeded()
            self._well_once = True
            if self._trouble_since is not None:
                self._trouble_since, self._give_up_at, self.trouble = None, math.inf, ""
            return
        self.trouble = verdict.reason
        if self._trouble_since is None:
            self._trouble_since = now
            self._give_up_at = now + (self._deadline if self._well_once else min(self._deadline, START_PATIENCE))
        # One wave refused at once is one failure: the concurrency was too high, which says little of the origin.
        same_wave = verdict.throttled and now < self._gate.until
        if verdict.unhealthy and not same_wave and self._gate.failed(now):
            self._concurrency.restart()
        if verdict.throttled:
            self._gate.throttled(now, self._concurrency.mean)
        if verdict.wait:
            self._gate.hold(now, wait_at_least(self._random, verdict.wait, 0.0))
            promised = min(now + verdict.wait, self._trouble_since + self._deadline) + _GRACE
            self._give_up_at = max(self._give_up_at, promised)

    def _count_auth(self, verdict: Verdict) -> None:
        if verdict.kind == "refresh":
            return
        self._auth_refusals = self._auth_refusals + 1 if verdict.auth else 0
        if self._auth_refusals >= AUTH_REFUSALS and self.stopped is None:
            self.stopped = f"the credential was refused {AUTH_REFUSALS} times in a row ({verdict.reason})"
            self.auth_refused = True

    def _plan_retry(self, request: Request, verdict: Verdict, now: float) -> str | None:
        """Put the request aside until it may be sent again; else why it is not sent again."""
        if not (verdict.throttled or self._gate.unhealthy_since is not None):
            request.strikes += 1
            if request.strikes >= self._max_attempts:
                return f"{verdict.reason}, after {request.attempts} tries"
        if not self._budget.spend(throttled=verdict.throttled):
            self._gate.trip(now)
        delay = backoff(self._random, request.attempts - 1, throttled=verdict.throttled, cap=self._max_delay)
        if verdict.wait is not None:
            delay = wait_at_least(self._random, verdict.wait, delay)
        trouble = self._gate.unhealthy_since is not None or not self._well_once
        if not trouble and now + delay - request.since > self._deadline:
            return f"{verdict.reason}, for {self._deadline:.0f} s while other requests were answered"
        self._send_again(request, now + delay)
        return None

    def _next_weight(self, now: float) -> int:
        """The weight of what `next` would give; 1 for a request yet to be admitted."""
        if self._later and self._later[0][0] <= now:
            return self._later[0][2].weight
        return self._ready[0].weight if self._ready else 1

    def _send_again(self, request: Request, at: float) -> None:
        self._sequence += 1
        heapq.heappush(self._later, (at, self._sequence, request))

    def _make_ready(self, request: Request) -> None:
        if request.due:
            self._send_again(request, request.due)
        else:
            self._ready.append(request)


def _asked_too_much(exchange: Exchange) -> bool:
    """Whether a request that nobody waits for yet may have been too large for the origin to answer in time."""
    return exchange.request.early and exchange.status == GATEWAY_TIMEOUT
