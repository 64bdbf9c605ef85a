"""One chain of pages: asked for over the engine, checked by the paging, opened, and handed on.

    with closing(Connection(options, tasks=1)) as connection:
        for page in Pages(connection, walk, requests):
            page.envelope.records     # the JSON array of the page's records

`read_ahead` does so in another thread, and asks for the next page before the one at hand is used up.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from trunkline.errors import AuthError, RejectedError, ResponseError, TrunklineError, UnavailableError
from trunkline.http.auth import Auth
from trunkline.http.cleaner import Cleaner
from trunkline.http.client import Client
from trunkline.http.message import Exchange, Outcome, Request, head_of
from trunkline.http.prefetch import Prefetched
from trunkline.http.setup import open_client
from trunkline.options import Options
from trunkline.rest.page_request import PageRequests, Target, shown_query
from trunkline.rest.paging import Answer, Ask, Walk
from trunkline.values.envelope import Envelope, open_envelope
from trunkline.values.from_json import Decoded

T = TypeVar("T")

# How many redirects one page may take; browsers stop at 20, curl at 50 and most libraries at 10 to 30.
MOST_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A page that is too large for the server, or takes it too long, may be asked for in halves.
_TOO_MUCH = frozenset({413, 504})
_UNAUTHORIZED = frozenset({401, 403})
_NO_CONTENT = 204
_NOTHING = Envelope(None, b"[]", "$")
# What stands beside records and is not one: names that tell of pages, links and the fate of the request.
_ABOUT_PAGES = re.compile(
    r"total|count|size|limit|offset|page|next|prev|more|cursor|token|link|meta|error|warn|status|success|ok$|kind|etag"
    r"|message|self|first|last|per_|result|@odata|object|url|time|date|version|request|query",
    re.IGNORECASE,
)
# What a stranger is not shown: everything that tells who asks.
_BARE_OPTIONS = {
    "headers": None, "secretHeaders": None, "auth.type": "none", "coordinator.url": None, "tls.cert": None,
    "tls.keyFile": None, "tls.keyPassword": None,
}  # fmt: skip


@dataclass(frozen=True)
class Page:
    """A page that has arrived.

    Attributes:
        ask: What it was asked for with.
        came_from: The URL of the page before, to which `ask` may be relative.
        url: Where it came from.
        body: As it came, decompressed.
        envelope: Its JSON records and what stands around them; None for other formats.
        count: Its records.
        decoded: The records, if whoever wanted the pages said how to read them, and they could be.
    """

    ask: Ask
    came_from: str
    url: str
    body: bytes
    envelope: Envelope | None
    count: int
    decoded: Decoded | None = None


class Connection:
    """The engine as a read uses it: a client for the host of `url`, and one without credentials for strangers.

    Args:
        options: Resolved.
        tasks: Among how many tasks the rate limit is shared.
    """

    def __init__(self, options: Options, tasks: int) -> None:
        self.options = options
        self._tasks = tasks
        self._auth = Auth.from_options(options)
        self._clean = Cleaner(options, self._auth).clean
        accept = {"json": "application/json", "ndjson": "application/x-ndjson, application/json", "csv": "text/csv"}
        headers = {"Accept": accept.get(options["format"], "*/*")}
        if options["method"] != "GET":
            headers["Content-Type"] = options["contentType"] or "application/json"
        self._client = open_client(options, self._auth, headers, reading=True, tasks=tasks)
        self._stranger: Client | None = None

    def ask(self, request: Request) -> Exchange:
        """Send one request and wait for its answer.

        Raises:
            AuthError, RejectedError, UnavailableError: There is none that could be used.
        """
        outcome = self._outcome(request)
        if outcome.kind == "accepted" and outcome.exchange is not None:
            return outcome.exchange
        exchange = outcome.exchange
        if exchange is not None and outcome.kind == "rejected" and exchange.status in REDIRECTS:
            return exchange
        raise self._error(outcome)

    @property
    def requests(self) -> int:
        """Exchanges made so far."""
        return sum(client.requests for client in (self._client, self._stranger) if client is not None)

    def clean(self, text: str) -> str:
        """The text without any credential."""
        return self._clean(text)

    def stop(self) -> None:
        """Send nothing more: whoever read has gone."""
        for client in filter(None, (self._client, self._stranger)):
            client.stop("the rows are not wanted any more")

    def close(self) -> None:
        """Drop all connections."""
        self._client.close()
        if self._stranger is not None:
            self._stranger.close()

    def _outcome(self, request: Request) -> Outcome:
        target = request.tag
        client = self._client
        if isinstance(target, Target) and target.bare:
            if self._stranger is None:
                bare = self.options.replaced(_BARE_OPTIONS)
                self._stranger = open_client(bare, Auth.from_options(bare), {}, reading=True, tasks=self._tasks)
            client = self._stranger
        # One request at a time: the schedule keeps its state from one to the next.
        outcomes = client.send(iter((request,)))
        for outcome in outcomes:
            if outcome is not None:
                for _ in outcomes:
                    pass
                return outcome
        reason = client.stopped or "nothing was sent"
        return Outcome(request, "unsent", reason)

    def _error(self, outcome: Outcome) -> TrunklineError:
        if self._client.failure is not None:
            failure = self._client.failure
            return type(failure)(self._clean(str(failure)))
        request, status = outcome.request, outcome.status
        shown = shown_query(request.url)
        tries = f"{outcome.attempts} {'try' if outcome.attempts == 1 else 'tries'}"
        body = outcome.exchange.body if outcome.exchange is not None else b""
        head = head_of(body)
        text = self._clean(f"{request.method} {shown} after {tries}: {outcome.reason}" + (f": {head}" if head else ""))
        if status in _UNAUTHORIZED and outcome.kind in {"rejected", "unsent"}:
            return AuthError(f"{text}. Check auth.*.", status=status)
        if outcome.kind == "rejected":
            return RejectedError(text, status=status)
        if outcome.kind == "ambiguous":
            return RejectedError(text, status=status, outcome="ambiguous")
        return UnavailableError(f"{text}. Run it again later.", status=status or None)


class PageOpener:
    """Finds the records in the answers of one chain.

    Args:
        options: `format` and `records` say where they are.
        clean: Cuts credentials out of errors.
        decode: Reads the JSON array of a page's records.
    """

    def __init__(
        self,
        options: Options,
        clean: Callable[[str], str],
        decode: Callable[[bytes], Decoded | None] | None = None,
    ) -> None:
        self._options = options
        self._clean = clean
        self._decode = decode
        self._json = options["format"] == "json"
        self._records: str | None = options["records"]

    def page(self, ask: Ask, came_from: str, exchange: Exchange, url: str) -> Page:
        """The page that an answer holds.

        Args:
            ask: What it was asked for with.
            came_from: The URL of the page before.
            exchange: The answer.
            url: Where it came from.

        Raises:
            ResponseError: It holds none.
        """
        body = exchange.body
        if not self._json:
            return Page(ask, came_from, url, body, None, self._counted(body))
        if exchange.status == _NO_CONTENT and not body:
            return Page(ask, came_from, url, body, _NOTHING, 0)
        try:
            envelope = open_envelope(body, self._records)
            if self._records is None:
                self._pin(envelope)
            decoded = None if self._decode is None else self._decode(envelope.records)
            count = envelope.count if decoded is None else len(decoded.rows)
            return Page(ask, came_from, url, body, envelope, count, decoded)
        except ResponseError as error:
            kind = exchange.headers.get("Content-Type")
            said = f", status {exchange.status}" + (f", {kind}" if kind else "")
            text = self._clean(f"{exchange.request.method} {shown_query(url)}{said}: {error}")
            raise ResponseError(text) from None

    def answer(self, page: Page, exchange: Exchange) -> Answer:
        """What the walk is told of a page."""
        envelope, count = page.envelope, page.count
        records = page.body if envelope is None else envelope.records
        # A keyed hash of 64 bits tells the pages of one chain apart at a fifth of what a digest costs.
        fingerprint = b"%d:%d" % (hash(records), len(records)) if count else b""
        if envelope is not None:
            return Answer(page.url, exchange.headers, envelope.document, count, envelope.last, fingerprint)
        return Answer(page.url, exchange.headers, None, count, lambda: _last_line(page.body), fingerprint)

    def _pin(self, envelope: Envelope) -> None:
        """Take the records of all pages from where those of the first were found.

        Raises:
            ResponseError: The only list is empty, and the answer might as well be one record that has an empty list.
        """
        if envelope.count:
            self._records = envelope.path
        elif isinstance(envelope.document, dict) and envelope.path != "$":
            others = [name for name in envelope.document if name != envelope.path and not _ABOUT_PAGES.search(name)]
            if others:
                raise ResponseError(
                    f"{envelope.path} is empty beside {', '.join(others[:5])}: no records, or one record with an empty "
                    f'list? Add .option("records", "{envelope.path}") or .option("records", "$")'
                )

    def _counted(self, body: bytes) -> int:
        """The records of an answer that is no JSON: what its decoder will make of it."""
        options = self._options
        kind = options["format"]
        if kind == "binary":
            return 1
        lines = body.replace(b"\r\n", b"\n").split(b"\n")
        if kind == "text":
            return len(lines) - (not lines[-1])
        if kind == "csv" and b'"' in body:
            # A field in quotes may hold line breaks.
            text = io.StringIO(body.decode("utf-8-sig", "replace"), newline="")
            count = sum(1 for fields in csv.reader(text, delimiter=options["csv.separator"]) if fields)
        else:
            count = sum(1 for line in lines if (line if kind == "csv" else line.strip()))
        return max(0, count - 1) if kind == "csv" and options["csv.header"] else count


class Pages:
    """Iterates over the pages of one chain.

    Args:
        connection: Sends the requests.
        walk: Says what to ask for next, and when it is enough.
        requests: Makes requests of what the walk says.
        decode: Reads the JSON array of a page's records, in the thread that asks: so they are counted without another
            look through their text.

    Raises:
        AuthError, RejectedError, UnavailableError, ResponseError: While iterating; complete or an error, never less.
    """

    def __init__(
        self,
        connection: Connection,
        walk: Walk,
        requests: PageRequests,
        decode: Callable[[bytes], Decoded | None] | None = None,
    ) -> None:
        self._connection = connection
        self._walk = walk
        self._requests = requests
        self._opener = PageOpener(connection.options, connection.clean, decode)

    def __iter__(self) -> Iterator[Page]:
        before = ""
        while (ask := self._walk.ask) is not None:
            request = self._requests.following(ask, before)
            try:
                exchange, url = self._followed(request)
            except (RejectedError, UnavailableError) as refused:
                if refused.status not in _TOO_MUCH or not self._walk.smaller():
                    raise
                continue
            page = self._opener.page(ask, before, exchange, url)
            before = url
            self._walk.take(self._opener.answer(page, exchange))
            yield page

    def _followed(self, request: Request) -> tuple[Exchange, str]:
        """The answer, after redirects, and where it came from."""
        for _ in range(MOST_REDIRECTS + 1):
            exchange = self._connection.ask(request)
            location = exchange.headers.get("Location")
            if exchange.status not in REDIRECTS:
                return exchange, request.url
            if location is None:
                raise ResponseError(f"{shown_query(request.url)} answered {exchange.status} without a Location")
            request = self._requests.redirected(request, location)
        raise ResponseError(f"{shown_query(request.url)}: more than {MOST_REDIRECTS} redirects")


def read_ahead(connection: Connection, source: Iterable[T], *, ahead: bool = True) -> Iterator[T]:
    """What a generator of pages gives, with the next item on its way in another thread; closes the connection.

    Args:
        connection: What the generator asks with. It is stopped when nobody wants more.
        source: Closed by the thread that ran it.
        ahead: False to ask for a page only when it is wanted.
    """

    def closing_at_the_end() -> Generator[T]:
        with closing(connection):
            yield from source

    if not ahead:
        yield from closing_at_the_end()
        return
    prefetched = Prefetched(closing_at_the_end(), closes=True)
    try:
        yield from (item for item in prefetched.items(may_block=lambda: True) if item is not None)
    finally:
        prefetched.close()
        connection.stop()


def _last_line(body: bytes) -> Any:
    """The last record of an NDJSON page, None where there is none that could be read."""
    lines = [line for line in body.splitlines() if line.strip()]
    try:
        return json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
