"""What travels through the engine: a `Request` goes in, an `Exchange` is one try at it, an `Outcome` is its end.

Request("POST", "https://api.example.com/rows", body=b'{"id":1}', tag=row_number)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

# Methods whose empty body needs no Content-Length: 0 (RFC 9110 section 8.6).
BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
# All that may stand in a URL that is encoded already, "%" among it.
_URL_SAFE = "".join(map(chr, range(0x21, 0x7F)))
# A header name or value with one of these would start a header of its own (request splitting).
_HEADER_BREAKS = frozenset("\r\n\0")
# How much of an answer's body stands in an error.
_HEAD = 300
_COOKIES = frozenset({"set-cookie", "set-cookie2"})
NO_HEADERS: Mapping[str, str] = {}


class Request:
    """One request to be made, and what the caller wants to know it by.

    Args:
        method: Upper case.
        url: Absolute, already encoded.
        headers: Beyond those the client sends with every request. Names keep their case.
        body: Bytes as they travel.
        tag: The caller's own: comes back on the `Outcome` untouched.
        keys: Requests that share one of these are never in flight together; they go out in the order they came.
        idempotency_key: Sent in the header that `idempotency.header` names.
        weight: How many permits of the rate limit it takes.

    `id` is the caller's to set. The engine keeps here what it must remember between tries: `attempts` made, `strikes`
    that count against `retry.maxAttempts`, `first_at` (epoch seconds), `since` (engine clock of the first try, negative
    before it), how often the `login` had been renewed when it was last sent, whether it was `refreshed` for this one,
    whether an earlier try ended `unknown` (the server may have acted on it), by how many earlier requests with its keys
    it is `blocked`, and when it is `due` once it is not.
    The caller says that it is `early`, so that a 504 ends it: it may have asked for too much, and nobody waits for it
    yet; or `unwanted`, so that there is no other try.
    """

    __slots__ = (
        "attempts", "blocked", "body", "due", "early", "first_at", "headers", "id", "idempotency_key", "keys", "login",
        "method", "refreshed", "since", "strikes", "tag", "unknown", "unwanted", "url", "weight",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        tag: Any = None,  # the engine never looks inside
        keys: Collection[object] = (),
        idempotency_key: str | None = None,
        weight: int = 1,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.tag = tag
        self.keys = keys
        self.idempotency_key = idempotency_key
        self.weight = weight
        self.id: str | None = None
        self.attempts = 0
        self.strikes = 0
        self.first_at = 0.0
        self.since = -1.0
        self.login = 0
        self.refreshed = False
        self.unknown = False
        self.blocked = 0
        self.due = 0.0
        self.early = False
        self.unwanted = False

    def __repr__(self) -> str:
        size = 0 if self.body is None else len(self.body)
        return f"<Request {self.method} {without_query(self.url)} {size} bytes>"


class Fault(str, Enum):
    """Why an exchange has no complete answer. The comment says whether the server may have acted on it."""

    DNS = "the host name does not resolve"  # never sent
    REFUSED = "the connection was refused"  # never sent
    CONNECT_TIMEOUT = "no connection within timeout.connect"  # never sent
    TLS = "the TLS connection failed"  # never sent
    PROXY = "the proxy refused the connection"  # never sent
    RESET = "the connection broke before the answer was complete"  # may have been acted on
    TIMEOUT = "no complete answer in time"  # may have been acted on
    TOO_LARGE = "the answer is larger than maxResponseBytes"  # was acted on
    MALFORMED = "the answer is not valid HTTP"  # may have been acted on

    @property
    def unsent(self) -> bool:
        """True when the request cannot have reached the server."""
        return self in _UNSENT

    @property
    def lasting(self) -> bool:
        """True when trying again cannot help: the set-up is wrong, not the moment."""
        return self is Fault.TLS


_UNSENT = frozenset({Fault.DNS, Fault.REFUSED, Fault.CONNECT_TIMEOUT, Fault.TLS, Fault.PROXY})


class Exchange:
    """One try: the request and an answer (`status` > 0), a `fault`, or both: an answer that broke off after its status.

    `headers` are looked up without regard to case; `elapsed` is in seconds; `detail` is what was said of a fault.
    """

    __slots__ = ("body", "detail", "elapsed", "fault", "headers", "request", "status")

    def __init__(
        self,
        request: Request,
        status: int = 0,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes = b"",
        fault: Fault | None = None,
        detail: str = "",
        elapsed: float = 0.0,
    ) -> None:
        self.request = request
        self.status = status
        self.headers = headers
        self.body = body
        self.fault = fault
        self.detail = detail
        self.elapsed = elapsed

    def __repr__(self) -> str:
        end = self.status or (self.fault and self.fault.name)
        return f"<Exchange {self.request.method} {without_query(self.request.url)} -> {end}>"


class Outcome:
    """The end of one request.

    `kind` is one of `accepted`, `rejected`, `ambiguous`, `exhausted`, `unsent` (see `trunkline.http.verdict`);
    `requested_at` is the epoch second of its first try (0.0: never tried), `elapsed` the seconds of the last.
    """

    __slots__ = ("attempts", "elapsed", "exchange", "kind", "reason", "request", "requested_at")

    def __init__(self, request: Request, kind: str, reason: str = "", exchange: Exchange | None = None) -> None:
        self.request = request
        self.kind = kind
        self.reason = reason
        self.exchange = exchange
        self.attempts = request.attempts
        self.requested_at = request.first_at
        self.elapsed = exchange.elapsed if exchange is not None else 0.0

    @property
    def status(self) -> int:
        """The status of the last answer, 0 where there was none."""
        return self.exchange.status if self.exchange is not None else 0

    def __repr__(self) -> str:
        return f"<Outcome {self.kind} {self.status} {self.reason!r} {self.request!r}>"


def header_problem(name: str, value: str) -> str | None:
    """Why this header may not be sent, or None. A line break in it would forge headers or a whole request."""
    if not _is_header_name(name):
        return f"{name!r} is not a header name"
    if not _HEADER_BREAKS.isdisjoint(value):
        return f"the value of header {name} holds a line break or NUL"
    return None


@lru_cache(maxsize=256)
def _is_header_name(name: str) -> bool:
    """Cached: the same few names go out with every request."""
    return bool(name) and name.isascii() and all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in name)


def origin(url: str) -> str:
    """`scheme://host:port` of an absolute URL, lower case, with the port spelled out."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


@lru_cache(maxsize=1024)
def split_url(url: str) -> tuple[str, str]:
    """`https://host:port` as it is written, and the target of the request line: path and query, without the fragment.

    Raises:
        ValueError: It holds a control character.
    """
    cut = len(url)
    start = url.find("://") + 3
    for mark in "/?#":
        at = url.find(mark, start, cut)
        if at >= 0:
            cut = at
    target = url[cut:].partition("#")[0]
    if not target.startswith("/"):
        target = f"/{target}"
    if not target.isascii() or not target.isprintable() or " " in target:
        if any(ord(character) < 0x20 or character == "\x7f" for character in target):
            raise ValueError("the URL holds a control character")
        target = quote(target, safe=_URL_SAFE)
    return url[:cut], target


def without_query(url: str) -> str:
    """The URL as it may stand in messages and logs: in one line, without the query, which may hold a secret."""
    shown = url.split("?", 1)[0]
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode()


def head_of(body: bytes) -> str:
    """The beginning of a body, in one line, for an error."""
    return " ".join(body[: _HEAD * 4].decode("utf-8", "replace").split())[:_HEAD]


def loggable_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Response headers by lower-case name, a repeated one joined with a comma, without `Set-Cookie` (a credential)."""
    joined: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        if key not in _COOKIES:
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
