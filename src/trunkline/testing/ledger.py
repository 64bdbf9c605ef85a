"""What the fault server saw: one record per request, kept small in the server, read as `Exchange` in the test.

A record is a list, because a read may ask for some hundred thousand of them:

    [at, time, elapsed, head, body, status, route, fault, stored, connection, origin]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

from trunkline.testing.wire import BadRequestError, decode_content, parse_head, parse_json, split_rows

Record = list[Any]
AT, TIME, ELAPSED, HEAD, BODY, STATUS, ROUTE, FAULT, STORED, CONNECTION, ORIGIN = range(11)

# The fault of a request whose route had answered as often as it was told to.
NO_STEP_LEFT = "no step left"
# Starts the fault of what is no HTTP request, or whose body is not what its headers say.
MALFORMED = "malformed"


@dataclass(frozen=True, repr=False)
class Exchange:
    """One request and what was answered.

    Attributes:
        at: when the request was complete, seconds of `time.monotonic()` (one clock for all processes of a host).
        time: the same as epoch seconds.
        elapsed: seconds until the answer was written; None while open, and for ever when there was none.
        head: request line and headers as sent.
        body: as sent, without chunk framing, still compressed; `content` is decoded.
        status: the status sent; None when no status line went out.
        route: the route that answered, as declared ("POST /rows"); None for a request nobody declared.
        fault: the fault played, "incomplete" for a request that never ended, "malformed: ..." for one that is none.
        stored: whether the server kept the rows of this request.
        connection: number of the TCP connection, from 1.
        origin: "main", "other" or "tls".
    """

    at: float
    time: float
    elapsed: float | None
    head: bytes
    body: bytes
    status: int | None
    route: str | None
    fault: str | None
    stored: bool
    connection: int
    origin: str

    def __repr__(self) -> str:
        # Queries, headers and bodies may hold credentials: never in a repr, so never in a test's log.
        request = f"{self.method} {self.path}" if self.method else "no request"
        more = [f"fault={self.fault!r}"] if self.fault else []
        return f"Exchange({', '.join([f'{request!r}', f'status={self.status}', f'origin={self.origin!r}', *more])})"

    @property
    def method(self) -> str:
        """As sent; "" for what was no HTTP request."""
        return self._parsed[0]

    @property
    def target(self) -> str:
        """Path and query as sent."""
        return self._parsed[1]

    @property
    def path(self) -> str:
        """As sent, still percent-encoded, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """Decoded query values by name, in the order sent."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name; repeated ones joined with ", "."""
        return self._parsed[2]

    @property
    def content(self) -> bytes:
        """The body after Content-Encoding is undone; ValueError when it cannot be."""
        return decode_content(self.body, self.headers.get("content-encoding", ""))

    @property
    def json(self) -> Any:
        """The body as JSON; ValueError when it is not (NaN is not)."""
        return parse_json(self.content)

    @property
    def rows(self) -> list[Any]:
        """The rows in the body: elements of an array, lines of NDJSON, one object or form, or one text."""
        return split_rows(self.content, self.headers.get("content-type", ""))

    @cached_property
    def _parsed(self) -> tuple[str, str, dict[str, str]]:
        # When asked, not when fetched: reading a ledger of some hundred thousand would take twice as long.
        try:
            method, target, _, headers = parse_head(self.head)
        except BadRequestError:
            return "", "", {}
        return method, target, headers


def exchange(fields: list[Any]) -> Exchange:
    """An Exchange from a record as it comes over the control connection."""
    fields[HEAD], fields[BODY] = fields[HEAD].encode("latin-1"), fields[BODY].encode("latin-1")
    return Exchange(*fields)


def portable(record: Record) -> list[Any]:
    """A record as JSON can carry it: bytes as Latin-1 text."""
    return [*record[:HEAD], record[HEAD].decode("latin-1"), record[BODY].decode("latin-1"), *record[STATUS:]]


def select(
    records: list[Record],
    method: str | None = None,
    path: str | None = None,
    status: int | None = None,
    origin: str | None = None,
) -> Iterator[Record]:
    """The records with this method, path (as sent, or the path of the route that answered), status and origin."""
    for record in list(records):
        if status is not None and record[STATUS] != status:
            continue
        if origin is not None and record[ORIGIN] != origin:
            continue
        if method is not None or path is not None:
            words = record[HEAD].split(b" ", 2)
            if len(words) < 3 or (method is not None and words[0] != method.encode()):
                continue
            if path is not None and words[1].partition(b"?")[0] != path.encode():
                route = record[ROUTE]
                if route is None or route.partition(" ")[2] != path:
                    continue
        yield record
