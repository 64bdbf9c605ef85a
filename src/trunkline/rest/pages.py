"""One chain of pages: asked for over the engine, checked by the paging, opened, and handed on.

    with closing(Connection(options, tasks=1)) as connection:
        for page in Pages(connection, walk, requests):
            page.envelope.records     # the JSON array of the page's records

`read_ahead` does so in another thread, and asks for the next page before the one at hand is used up.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import TypeVar

from trunkline.errors import AuthError, RejectedError, ResponseError, TrunklineError, UnavailableError
from trunkline.http.auth import Auth
from trunkline.http.cleaner import Cleaner
from trunkline.http.client import Client
from trunkline.http.message import Exchange, Outcome, Request, head_of
from trunkline.http.prefetch import Prefetched
from trunkline.http.setup import open_client
from trunkline.http.verdict import CREDENTIAL_REFUSED
from trunkline.options import Options
from trunkline.rest.page_opener import MOST_REDIRECTS, REDIRECTS, Page, PageOpener
from trunkline.rest.page_request import PageRequests, Target, shown_query
from trunkline.rest.paging import Walk
from trunkline.values.from_json import Decoded

T = TypeVar("T")

# A page that is too large for the server, or takes it too long, may be asked for in halves.
_TOO_MUCH = frozenset({413, 504})
# What a stranger is not shown: everything that tells who asks.
_BARE_OPTIONS = {
    "headers": None, "secretHeaders": None, "auth.type": "none", "coordinator.url": None, "tls.cert": None,
    "tls.keyFile": None, "tls.keyPassword": None,
}  # fmt: skip


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
        if status in CREDENTIAL_REFUSED and outcome.kind in {"rejected", "unsent"}:
            return AuthError(f"{text}. Check auth.*.", status=status)
        if outcome.kind == "rejected":
            return RejectedError(text, status=status)
        if outcome.kind == "ambiguous":
            return RejectedError(text, status=status, outcome="ambiguous")
        return UnavailableError(f"{text}. Run it again later.", status=status or None)


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
