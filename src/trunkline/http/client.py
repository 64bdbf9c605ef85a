"""A lazy pipe: requests go in as slots come free, outcomes come out as they are known.

    client = Client(transport, schedule, rules, auth, headers={"Content-Type": "application/json"})
    for outcome in client.send(requests):
        ...
    if client.stopped: ...

Memory is bounded by what is in flight: a request is pulled only when it may be sent.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol
from urllib.parse import urlencode

from trunkline.errors import TrunklineError
from trunkline.http.logins import Logins
from trunkline.http.message import Exchange, Outcome, Request
from trunkline.http.oauth2 import Masked
from trunkline.http.schedule import Schedule
from trunkline.http.verdict import Rules, Verdict, judge

# Long enough to be no load, short enough to notice that a slow upstream has rows again.
_UPSTREAM_WAIT = 0.02
# The caller is given the turn this often whatever happens, seconds.
_TICK = 1.0
# A pause worth telling people about, and how often.
_LONG_PAUSE, _WARN_EVERY = 5.0, 60.0

log = logging.getLogger("trunkline.http")


class Transport(Protocol):
    """What moves the bytes; see `trunkline.http.transport`."""

    def start(self, request: Request, url: str, headers: Mapping[str, str]) -> None:
        """Begin an exchange."""

    def poll(self, wait: float | None) -> list[Exchange]:
        """What has finished, waiting up to `wait` seconds for the first."""

    def close(self) -> None:
        """Drop all connections."""


class Credential(Protocol):
    """What logs in; see `trunkline.http.auth`."""

    @property
    def renewable(self) -> bool:
        """Whether a 401 may be cured by a new credential."""

    @property
    def query(self) -> Mapping[str, str]:
        """Query parameters to add, not encoded."""

    def headers(self) -> Mapping[str, str]:
        """Headers to add: the same object until they change."""

    def expired(self, headers: Mapping[str, str]) -> None:
        """A request sent with these was answered 401."""


class Client:
    """Sends requests to one origin.

    Args:
        transport: Moves the bytes.
        schedule: Says what may be sent when.
        rules: How answers are judged.
        auth: Adds the credential to each try, fresh.
        headers: Sent with every request.
        idempotency_header: Name of the header that carries a request's key, None for none.
        clean: Cuts credentials out of what is logged: a server may say in a refusal what it was sent.
        clock: A steady clock in seconds; tests pass their own.

    Attributes:
        requests, sent_bytes: Exchanges made; bytes of their bodies.
        failure: The error that stopped the client from within (login failed, the user's `judge` raised), or None.
    """

    def __init__(
        self,
        transport: Transport,
        schedule: Schedule,
        rules: Rules,
        auth: Credential,
        *,
        headers: Mapping[str, str],
        idempotency_header: str | None = None,
        clean: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.schedule = schedule
        self.requests = 0
        self.sent_bytes = 0
        self.failure: TrunklineError | None = None
        self._transport = transport
        self._rules = rules
        self._auth = auth
        self._static = Masked(headers)
        self._idempotency_header = idempotency_header
        self._clean = clean
        self._clock = clock
        self._login: Mapping[str, str] | None = None
        self._base: dict[str, str] = self._static
        self._logins = Logins()
        self._sent_with: dict[Request, Mapping[str, str]] = {}
        self._warn_at = -math.inf
        self._tick_at = -math.inf
        self._never_started: list[Outcome] = []

    @property
    def stopped(self) -> str | None:
        """Why nothing more is sent, None while all is well."""
        return self.schedule.stopped

    def stop(self, reason: str) -> None:
        """Send nothing more; what is in flight still ends and its outcomes come out."""
        self.schedule.stop(reason)

    def send_part(self, request: Request, of: Request, *, attempts: int = 0) -> None:
        """Send a part of a request whose outcome has just been yielded: it goes before what waits behind the same keys.

        Args:
            request: The part.
            of: The request it is a part of.
            attempts: Tries these rows have behind them: there is a back-off before the next.
        """
        self.schedule.admit_part(request, of, attempts, self._clock())

    def begin(self, request: Request) -> None:
        """Send a request now, if there is room for it; its outcome comes out of a `send` that goes on."""
        now = self._clock()
        self.schedule.admit(request)
        while self.schedule.room(now) and (ready := self.schedule.next(now)) is not None:
            outcome = self._start(ready, now)
            if outcome is not None:
                self._never_started.append(outcome)

    def withdraw(self, request: Request) -> None:
        """Nobody wants the outcome of a request that has begun: it is not sent any more."""
        self.schedule.withdraw(request)

    def send(self, requests: Iterator[Request | None]) -> Iterator[Outcome | None]:
        """Send every request and yield its outcome, in the order they end.

        Args:
            requests: Pulled one by one as slots come free. None means: nothing at the moment, ask again soon.

        Yields:
            Exactly one outcome for each request pulled or handed to `send_part`, and None at least once a second, so
            that the caller can look after other things. After a stop, what waits comes out `unsent` or `exhausted`,
            and the rest of `requests` is not pulled.
        """
        schedule, clock = self.schedule, self._clock
        source_error: BaseException | None = None
        done = False
        while True:
            now = clock()
            upstream_slow = False
            while self._never_started:
                outcome = self._never_started.pop(0)
                yield outcome
                schedule.release(outcome.request)
            while schedule.room(now):
                request = schedule.next(now)
                if request is None:
                    if done or not schedule.wants_more:
                        break
                    try:
                        pulled = next(requests)
                        now = clock()  # the source may have taken its time
                    except StopIteration:
                        done = True
                        break
                    except Exception as error:  # noqa: BLE001 - raised again once all that was sent is accounted for
                        source_error, done = error, True
                        schedule.stop(f"the rows to send could not be read: {error}")
                        break
                    if pulled is None:
                        upstream_slow = True
                        break
                    schedule.admit(pulled)
                    # Room was made sure of for one that weighs 1, before the source was asked, which may stop it all.
                    request = schedule.next(now) if pulled.weight == 1 and schedule.stopped is None else None
                    if request is None:
                        continue
                failed = self._start(request, now)
                if failed is not None:
                    yield failed
                    schedule.release(request)
                now = clock()
            if schedule.given_up(now) and not schedule.in_flight:
                yield from schedule.abandon()
                if schedule.idle:
                    break
                continue
            if done and schedule.idle:
                break
            # Of a source that has nothing at the moment there is nothing to wake for.
            yield from self._collect(now, more=not (done or upstream_slow), upstream_slow=upstream_slow)
        if source_error is not None:
            raise source_error

    def close(self) -> None:
        """Drop all connections."""
        self._transport.close()

    def _collect(self, now: float, *, more: bool, upstream_slow: bool) -> Iterator[Outcome | None]:
        schedule = self.schedule
        wait = math.inf
        if schedule.stopped is None:
            wait = max(0.0, schedule.wake(now, more=more) - now)
            if _LONG_PAUSE < wait < math.inf and not schedule.in_flight:
                self._tell_pause(now, wait)
            if upstream_slow:
                wait = min(wait, _UPSTREAM_WAIT)
        wait = min(wait, max(0.0, self._tick_at - now))
        for exchange in self._transport.poll(wait):
            outcome = self._finish(exchange)
            if outcome is not None:
                yield outcome
                schedule.release(outcome.request)
        now = self._clock()
        if now >= self._tick_at:
            self._tick_at = now + _TICK
            yield None

    def _start(self, request: Request, now: float) -> Outcome | None:
        """Begin an exchange; the request's outcome where it cannot even begin."""
        try:
            login = self._auth.headers()
            if login is not self._login:
                self._login, self._base = login, Masked({**self._static, **login})
            headers = self._base
            if request.headers is not None or request.idempotency_key is not None:
                headers = Masked({**headers, **(request.headers or {})})
                if request.idempotency_key is not None and self._idempotency_header is not None:
                    headers[self._idempotency_header] = request.idempotency_key
            query = self._auth.query
            self._transport.start(request, _with_query(request.url, query) if query else request.url, headers)
        except TrunklineError as error:
            self.failure = error
            self.schedule.stop(str(error))
            if request.unwanted:  # a probe: nobody waits for its outcome
                return None
            return Outcome(request, "exhausted" if request.attempts else "unsent", str(error))
        if self._rules.renewable:
            self._logins.sent(request)
            self._sent_with[request] = login
        if not request.attempts:
            request.first_at = time.time()
        self.schedule.started(request, now)
        self.requests += 1
        if request.body is not None:
            self.sent_bytes += len(request.body)
        return None

    def _finish(self, exchange: Exchange) -> Outcome | None:
        try:
            verdict = judge(exchange, self._rules, self._logins)
        except Exception as error:  # noqa: BLE001 - the user's code: its bug must not lose the row
            reason = f"judge raised {type(error).__name__}: {error}"
            self.failure = TrunklineError(reason)
            self.schedule.stop(reason)
            verdict = Verdict("ambiguous", reason)
        if self._rules.renewable:
            request = exchange.request
            sent_with = self._sent_with.pop(request, None)
            self._logins.ended(request, accepted=verdict.kind == "accepted")
            if verdict.kind == "refresh" and sent_with is not None:
                self._auth.expired(sent_with)
                self._logins.renew(request)
        return self.schedule.finished(exchange, verdict, self._clock())

    def _tell_pause(self, now: float, wait: float) -> None:
        if now >= self._warn_at:
            self._warn_at = now + _WARN_EVERY
            log.warning("waiting %.0f s: %s", wait, self._clean(self.schedule.trouble) or "the rate limit")


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
