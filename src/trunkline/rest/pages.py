"""One chain of pages: asked for over the engine, checked by the paging, opened, and handed on.

    with closing(Connection(options, tasks=1)) as connection:
        for page in Pages(connection, walk, requests):
            page.envelope.records     # the JSON array of the page's records

`read_ahead` does so in another thread, and asks for the next page before the one at hand is used up. Where a style
counts its pages and it is known how many rows there are, more pages are on their way: those that follow if all are as
full as the last one. The walk takes one page after the other, and only those that it would have asked for itself, so a
wrong guess costs requests and nothing else; after the first there is no other.
"""

from __future__ import annotations

import itertools
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
from trunkline.http.verdict import CREDENTIAL_REFUSED, GATEWAY_TIMEOUT, TOO_LARGE
from trunkline.options import Options
from trunkline.rest.page_opener import MOST_REDIRECTS, REDIRECTS, Page, PageOpener
from trunkline.rest.page_request import PageRequests, Target, shown_query
from trunkline.rest.paging import Ask, Walk
from trunkline.values.from_json import Decoded

T = TypeVar("T")

# A page that is too large for the server, or takes it too long, may be asked for in halves.
_TOO_MUCH = frozenset({TOO_LARGE, GATEWAY_TIMEOUT})
# Pages in flight at most where `concurrency` is auto: as many are kept in memory, and each may be large.
_PAGES_IN_FLIGHT = 4
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

    Attributes:
        room: How many pages may be in flight, for whoever knows more than the next; `read_ahead` says more than one.
    """

    def __init__(self, options: Options, tasks: int) -> None:
        self.options = options
        self.room: Callable[[], int] = lambda: 1
        self._tasks = tasks
        self._auth = Auth.from_options(options)
        self._clean = Cleaner(options, self._auth).clean
        accept = {"json": "application/json", "ndjson": "application/x-ndjson, application/json", "csv": "text/csv"}
        headers = {"Accept": accept.get(options["format"], "*/*")}
        if options["method"] != "GET":
            headers["Content-Type"] = options["contentType"] or "application/json"
        self._client = open_client(options, self._auth, headers, reading=True, tasks=tasks)
        self._stranger: Client | None = None
        self._outcomes: Iterator[Outcome | None] | None = None
        self._arrived: dict[Request, Outcome | None] = {}

    def begin(self, request: Request) -> None:
        """Send a request as soon as there is room: somebody will `ask` for its answer, or `forget` it."""
        request.early = True
        self._begin(request)

    def forget(self, request: Request) -> None:
        """Nobody wants the answer of a request that has begun."""
        self._arrived.pop(request, None)
        self._client.withdraw(request)

    def ask(self, request: Request) -> Exchange:
        """Send one request, unless it has begun, and wait for its answer.

        Raises:
            AuthError, RejectedError, UnavailableError: There is none that could be used.
        """
        outcome = self._stranger_outcome(request) if _bare(request) else self._outcome(request)
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

    def _begin(self, request: Request) -> None:
        self._arrived[request] = None
        self._client.begin(request)

    def _outcome(self, request: Request) -> Outcome:
        request.early = False
        if request not in self._arrived:
            self._begin(request)
        while (outcome := self._arrived[request]) is None:
            if self._outcomes is None:
                self._outcomes = self._client.send(itertools.repeat(None))
            try:
                ended = next(self._outcomes)
            except StopIteration:
                # The client has stopped before it came to this one.
                self._outcomes = None
                outcome = Outcome(request, "unsent", self._client.stopped or "nothing was sent")
                break
            if ended is not None and ended.request in self._arrived:
                self._arrive(ended)
        del self._arrived[request]
        return outcome

    def _arrive(self, ended: Outcome) -> None:
        request = ended.request
        if request.early and ended.status == GATEWAY_TIMEOUT and self._client.stopped is None:
            # It was not tried again, and begins anew when it is wanted, as the pages before it may be made smaller.
            del self._arrived[request]
            request.attempts, request.since = 0, -1.0
        else:
            self._arrived[request] = ended

    def _stranger_outcome(self, request: Request) -> Outcome:
        if self._stranger is None:
            bare = self.options.replaced(_BARE_OPTIONS)
            self._stranger = open_client(bare, Auth.from_options(bare), {}, reading=True, tasks=self._tasks)
        outcomes = list(filter(None, self._stranger.send(iter((request,)))))
        return outcomes[0] if outcomes else Outcome(request, "unsent", self._stranger.stopped or "nothing was sent")

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
        self._early: dict[Ask, Request] = {}
        self._guesses_hold = True

    def __iter__(self) -> Iterator[Page]:
        before = ""
        try:
            while (ask := self._walk.ask) is not None:
                request = self._early.pop(ask, None) or self._asked_for(ask, before)
                self._ask_early()
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
        finally:
            # The connection goes on to other chains.
            self._forget_early()

    def _asked_for(self, ask: Ask, before: str) -> Request:
        """The request of a page that was not expected: nor are those behind it what was expected."""
        self._guesses_hold = self._guesses_hold and not self._early
        self._forget_early()
        return self._requests.following(ask, before)

    def _forget_early(self) -> None:
        for request in self._early.values():
            self._connection.forget(request)
        self._early.clear()

    def _ask_early(self) -> None:
        """Ask for the pages that are expected after the one that is wanted, as far as there is room."""
        if not self._guesses_hold:
            return
        for ask in self._walk.expected(tuple(self._early)):
            # Asked only where more is known: from then on the reader's thread may be more than a page behind.
            if len(self._early) >= self._connection.room() - 1:
                return
            self._early[ask] = request = self._requests.first(ask)
            self._connection.begin(request)

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


def read_ahead(connection: Connection, source: Iterable[T], *, pages: int = 1) -> Iterator[T]:
    """What a generator of pages gives, with the next items on their way in another thread; closes the connection.

    Args:
        connection: What the generator asks with. It is stopped when nobody wants more.
        source: Closed by the thread that ran it.
        pages: How many may be on their way; 0 to ask for a page only when it is wanted.
    """

    def closing_at_the_end() -> Generator[T]:
        with closing(connection):
            yield from source

    if not pages:
        yield from closing_at_the_end()
        return
    # One page ahead until more are known: whoever stops in the middle has asked for one in vain.
    prefetched = Prefetched(closing_at_the_end(), closes=True)

    def room() -> int:
        # One more than may be in flight, which waits to be taken while the reader is busy with another.
        prefetched.widen(pages + 1)
        # The generator is not held up while something is in flight: what nobody looks after runs into its time-out.
        return min(pages, prefetched.room)

    if pages > 1:
        connection.room = room
    try:
        yield from (item for item in prefetched.items(may_block=lambda: True) if item is not None)
    finally:
        prefetched.close()
        connection.stop()


def pages_in_flight(options: Options) -> int:
    """How many pages one task may have on their way; 0 where `maxRows` is counted page by page."""
    if options["maxRows"] is not None:
        return 0
    concurrency = options["concurrency"]
    return concurrency if isinstance(concurrency, int) else _PAGES_IN_FLIGHT


def _bare(request: Request) -> bool:
    return isinstance(request.tag, Target) and request.tag.bare
