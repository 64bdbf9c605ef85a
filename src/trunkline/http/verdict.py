"""What an answer means: the one place where a status is judged.

    rules = Rules(success=CodeSet.parse("2XX"), retry=CodeSet.parse("429,503"))
    judge(exchange, rules).kind   # "accepted", "retry", "refresh", "rejected", "ambiguous" or "exhausted"

A verdict of `accepted`, `rejected`, `ambiguous` or `exhausted` ends the request; `retry` sends it again later;
`refresh` sends it again with a fresh credential.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from trunkline.http.logins import Logins
from trunkline.http.message import Exchange, Fault, Request
from trunkline.http.retry_headers import LONGEST, quota_pause, retry_after

# RFC 9110 section 9.2.2: a repeat of these has the effect of one.
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
# Section 9.2.1: nothing is changed by these.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
GATEWAY_TIMEOUT = 504
# The server, or a gateway before it, may have done the work before it answered one of these.
_UNKNOWN_OUTCOME = frozenset({500, 502, GATEWAY_TIMEOUT})
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, TOO_LARGE, _TOO_MANY, _UNAVAILABLE = 401, 403, 404, 413, 429, 503
# The credential is what was refused.
CREDENTIAL_REFUSED = frozenset({_UNAUTHORIZED, _FORBIDDEN})
# How a page for people begins, after blanks and a byte order mark.
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+)?html\b", re.IGNORECASE)
# A refusal with one of these may be about one row of the batch, so the batch is halved to find it.
MAY_BE_ONE_ROW = frozenset({400, TOO_LARGE, 422})


@dataclass(frozen=True)
class Verdict:
    """What an exchange means.

    Attributes:
        kind: `accepted`, `retry`, `refresh`, `rejected`, `ambiguous` or `exhausted`.
        reason: One line for people.
        wait: Seconds the server asked to be left alone, None where it did not say.
        throttled: The server is there and asks for less (429, 503): its load speaks, not the row.
        unhealthy: Evidence that the origin is not well: a transport fault, a timeout, a 5xx.
        auth: The credential is what was refused; with `retry`, by chance perhaps.
        pause: Seconds for which nothing at all should be sent to this origin (a rate-limit header ran to zero).
        stop: No other request can fare better now: stop sending instead of spending every row on it.
    """

    kind: str
    reason: str = ""
    wait: float | None = None
    throttled: bool = False
    unhealthy: bool = False
    auth: bool = False
    pause: float = 0.0
    stop: bool = False


ACCEPTED = Verdict("accepted")
KINDS = ("accepted", "retry", "refresh", "rejected", "ambiguous", "exhausted")


@dataclass(frozen=True)
class Rules:
    """By what answers are judged.

    Attributes:
        success: Statuses that mean accepted.
        retry: Statuses worth another try.
        at_most_once: Never send again what the server may have acted on.
        max_wait: The longest `Retry-After` that is waited for, seconds.
        renewable: The credential can be fetched anew when a 401 says that it has run out.
        reading: Nothing is changed by these requests whatever their method: a search by POST may be repeated.
        no_page: Requests are made of JSON, or ask for it: a page of HTML is no sign that an API took them.
        door: The user's `judge(exchange) -> Verdict | None`, asked first for every complete answer.
    """

    success: frozenset[int]
    retry: frozenset[int]
    at_most_once: bool = False
    max_wait: float = 600.0
    door: Callable[[Exchange], Verdict | None] | None = None
    renewable: bool = False
    reading: bool = False
    no_page: bool = False


def judge(exchange: Exchange, rules: Rules, logins: Logins | None = None) -> Verdict:
    """The verdict on one exchange. Marks `exchange.request.unknown` when the server may have acted on it unheard.

    Args:
        exchange: To be judged.
        rules: By which.
        logins: Which logins were good.
    """
    status, fault = exchange.status, exchange.fault
    if status == 0:
        return _judge_fault(exchange, rules)
    if fault is not None:
        # A refusal is one with half a body too.
        cut_off = status in rules.success
        return _judge_cut_off(exchange, rules) if cut_off else _judge_refusal(exchange, rules, logins)
    if rules.door is not None:
        verdict = rules.door(exchange)
        if verdict is not None:
            return _of_door(verdict, exchange, rules, logins)
    if status in rules.success:
        if rules.no_page and _is_page(exchange):
            reason = (
                f"status {status}, but a page of HTML: a login page, a proxy's notice or another url than the API's"
            )
            return Verdict("ambiguous", reason, auth=True)
        pause = quota_pause(exchange.headers)
        # A quota that is closed for longer than is waited for stops the task at the next refusal, which tells why.
        return Verdict("accepted", pause=pause) if 0.0 < pause <= rules.max_wait else ACCEPTED
    return _judge_refusal(exchange, rules, logins)


def _is_page(exchange: Exchange) -> bool:
    """Whether an answer is a page for people. Both name and text count: many a server calls a bare `ok` HTML."""
    return _PAGE.match(exchange.body) is not None and "html" in exchange.headers.get("Content-Type", "").lower()


def _of_door(verdict: object, exchange: Exchange, rules: Rules, logins: Logins | None) -> Verdict:
    """What the user's door said, where the engine can act on it.

    Raises:
        TypeError: It is no verdict.
    """
    if not isinstance(verdict, Verdict) or verdict.kind not in KINDS:
        raise TypeError(f"it must return None or a Verdict of {', '.join(KINDS)}, not {verdict!r}")
    if verdict.kind == "refresh":
        return replace(verdict, kind=_login_kind(exchange.request, rules, logins), auth=True)
    if verdict.kind == "retry" and verdict.wait is not None and not verdict.wait <= rules.max_wait:
        return _too_long(verdict, verdict.wait)
    return verdict


def _judge_cut_off(exchange: Exchange, rules: Rules) -> Verdict:
    """A status that means accepted, and a body that is not all there: cut off, or not to be read."""
    fault = exchange.fault or Fault.RESET
    said = f"status {exchange.status}, but {fault.value}" + (f" ({exchange.detail})" if exchange.detail else "")
    if not rules.reading and exchange.request.method not in _SAFE:
        # The server has said that it took it; sending it again would store it twice.
        return Verdict("accepted", said)
    if fault in (Fault.TOO_LARGE, Fault.MALFORMED):
        return Verdict("rejected", said)  # another try brings the same body
    return _judge_fault(exchange, rules)


def _judge_fault(exchange: Exchange, rules: Rules) -> Verdict:
    fault = exchange.fault or Fault.RESET
    reason = f"{fault.value}: {exchange.detail}" if exchange.detail else fault.value
    if fault.lasting:
        return Verdict("exhausted", reason, unhealthy=True, stop=True)
    if not fault.unsent:
        exchange.request.unknown = True
        if not _may_repeat(exchange.request, rules):
            return Verdict("ambiguous", reason, unhealthy=True)
    return Verdict("retry", reason, unhealthy=True)


def _login_kind(request: Request, rules: Rules, logins: Logins | None) -> str:
    """What becomes of a request whose credential was refused."""
    if not rules.renewable:
        return "rejected"
    if not request.refreshed or (logins is not None and logins.was_good(request)):
        return "refresh"
    # Another try tells, without another credential: for whoever is on its way with this one, it may be good.
    return "retry" if logins is not None and logins.may_be_good(request) else "rejected"


def _judge_refusal(exchange: Exchange, rules: Rules, logins: Logins | None) -> Verdict:
    status, request = exchange.status, exchange.request
    reason = _reason(exchange, rules)
    if status == _UNAUTHORIZED:
        return Verdict(_login_kind(request, rules, logins), reason, auth=True)
    if status in CREDENTIAL_REFUSED:
        return Verdict("rejected", reason, auth=True)
    if request.unknown and not rules.reading and status == _NOT_FOUND and request.method == "DELETE":
        return Verdict("accepted", "404 after a try whose answer was lost: the first try deleted it")
    if request.unknown and not rules.reading and status in (409, 412):
        return Verdict("ambiguous", f"{reason}, after a try whose answer was lost")
    unhealthy = status >= 500
    told = retry_after(exchange.headers)
    # A server that says when to come back with the same large body is short of room for a while, not for good.
    if status in rules.retry or (status == TOO_LARGE and told is not None):
        # These say that nothing was done: 429 and 413 by their meaning, 503 when it names a time to come back.
        untouched = status in (_TOO_MANY, TOO_LARGE) or (status == _UNAVAILABLE and told is not None)
        throttled = status in (_TOO_MANY, _UNAVAILABLE)
        # Where both speak, Retry-After is meant for this very answer.
        wait = told if told is not None else quota_pause(exchange.headers) or None
        if not untouched:
            request.unknown = True
            if not _may_repeat(request, rules):
                return Verdict("ambiguous", reason, wait, throttled, unhealthy)
        verdict = Verdict("retry", reason, wait, throttled, unhealthy)
        return verdict if wait is None or wait <= rules.max_wait else _too_long(verdict, wait)
    if status in _UNKNOWN_OUTCOME and not _may_repeat(request, rules):
        return Verdict("ambiguous", reason, unhealthy=unhealthy)
    return Verdict("rejected", reason, unhealthy=unhealthy)


def _too_long(verdict: Verdict, wait: float) -> Verdict:
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + min(LONGEST, wait)))
    more = f"the server asks to wait {wait:.0f} s (until {until}), longer than retry.maxRetryAfter"
    return replace(verdict, kind="exhausted", reason=f"{verdict.reason}: {more}", stop=True)


def refusal_kind(status: int, request: Request, rules: Rules) -> str:
    """What a status other than success means for one row of a batch: `retry`, `ambiguous` or `rejected`."""
    if status in _UNKNOWN_OUTCOME and not _may_repeat(request, rules):
        return "ambiguous"
    return "retry" if status in rules.retry else "rejected"


def _may_repeat(request: Request, rules: Rules) -> bool:
    if rules.reading or request.method in IDEMPOTENT:
        return True
    return not rules.at_most_once or request.idempotency_key is not None


def _reason(exchange: Exchange, rules: Rules) -> str:
    status = exchange.status
    if 300 <= status < 400 and not rules.reading:
        target = exchange.headers.get("Location", "nowhere").split("?", 1)[0]
        return f"status {status}: redirects to {target}, which a write does not follow"
    return f"status {status}"
