"""What a task of `request()` sends: the requests of its rows, their pages, halves of refused batches, rows again.

request = sending.first(part, request)        # None where it cannot be sent; its rows are told
for row, entry in sending.ended(outcome): ...  # rows that have ended; the others are asked for again
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from trunkline.errors import TrunklineError
from trunkline.http.client import Client
from trunkline.http.message import Exchange, Outcome, Request
from trunkline.http.setup import rules_of
from trunkline.http.verdict import MAY_BE_ONE_ROW, TOO_LARGE
from trunkline.options import Options
from trunkline.rest.chain import Chain
from trunkline.rest.door import Door
from trunkline.rest.entries import Entry, entries_of
from trunkline.rest.page_opener import REDIRECTS
from trunkline.rest.parts import Part
from trunkline.rest.request_options import by_pages, may_ask_again
from trunkline.rest.results import ResultReader
from trunkline.rest.rows import RequestBuilder, Sent


class Asked(NamedTuple):
    """The rows that one request is for."""

    part: Part
    rows: Sequence[int]
    splits: list[int]  # how many halvings the batch that it came from has left, shared by all its parts
    chain: Chain | None = None  # of its pages


class Sending:
    """Makes requests ready to go out, and says what came of them.

    Args:
        options: Resolved.
        builder: Turns rows into requests.
        client: Sends them.
        scope: What makes idempotency keys of this run, or micro-batch, its own.
        clean: Cuts credentials out of errors.
        refuse: Told of a row that cannot be sent, and why.

    Attributes:
        asked: Requests made so far, tries of one counted once.
    """

    def __init__(
        self,
        options: Options,
        builder: RequestBuilder,
        client: Client,
        scope: bytes,
        clean: Callable[[str], str],
        refuse: Callable[[Part, int, str], None],
    ) -> None:
        self.asked = 0
        self._options = options
        self._builder = builder
        self._client = client
        self._scope = scope
        self._clean = clean
        self._refuse = refuse
        self._keyed = options["idempotency.header"] is not None
        self._most: int | None = options["maxRequests"]
        self._most_tries: int = options["retry.maxAttempts"]
        self._by_pages = by_pages(options)
        self._door = Door(options, batched=builder.batched)
        self._results = ResultReader.from_options(options)
        self._rules = rules_of(options, renewable=False, reading=may_ask_again(options))

    @property
    def full(self) -> bool:
        """Whether `maxRequests` have been made."""
        return self._most is not None and self.asked >= self._most

    @property
    def why_full(self) -> str:
        """The same, for people."""
        return f"this task has sent maxRequests={self._most} requests"

    def first(self, part: Part, request: Request) -> Request | None:
        """A request for rows of a part, ready to go out; None where it cannot be sent."""
        ready = self._ready(part, request)
        self.asked += ready is not None
        return ready

    def ended(self, outcome: Outcome) -> Sequence[tuple[int, Entry]]:
        """The rows that have ended with this outcome, each with its entry; the others have been asked for again."""
        asked: Asked = outcome.request.tag
        rows, exchange = asked.rows, outcome.exchange
        if asked.chain is not None and exchange is not None:
            entry = self._next_page(outcome, exchange, asked, asked.chain)
            return () if entry is None else [(rows[0], entry)]
        entries = None
        if self._results is not None:
            entries = entries_of(self._results, outcome, asked.part.chunk.batch, rows, self._rules)
        if entries is not None:
            return self._without_those_again(outcome, asked, entries)
        if len(rows) > 1 and outcome.kind == "rejected":
            if self._uncertain(outcome):
                reason = f"{outcome.reason}, after a try whose answer was lost"
                return [(row, Entry("ambiguous", outcome.status, reason, _body_of(outcome), own=False)) for row in rows]
            if self._split(outcome, asked):
                return ()
        entry = Entry(outcome.kind, outcome.status, outcome.reason, _body_of(outcome), own=len(rows) == 1)
        return [(row, entry) for row in rows]

    def _ready(self, part: Part, request: Request) -> Request | None:
        """The request with its key and through the user's door."""
        sent: Sent = request.tag
        if self._keyed:
            request.idempotency_key = self._builder.idempotency_key(request, self._scope, 0)
        chain = None
        if self._by_pages:
            try:
                chain = Chain(self._options, request, self._clean)
                request = chain.first()
            except TrunklineError as error:
                self._refuse(part, sent.rows[0], str(error))
                return None
            request.tag = sent
        opened = self._door.opened(request)
        if isinstance(opened, Request):
            opened.tag = Asked(part, sent.rows, sent.splits, chain)
            return opened
        for row in sent.rows:
            self._refuse(part, row, opened)
        return None

    def _next_page(self, outcome: Outcome, exchange: Exchange, asked: Asked, chain: Chain) -> Entry | None:
        """Ask for the page that follows; at the end of the pages, or where they cannot go on, the row's entry."""
        status = outcome.status
        if outcome.kind != "accepted" and not (outcome.kind == "rejected" and status in REDIRECTS):
            return Entry(outcome.kind, status, outcome.reason, exchange.body)
        try:
            following = chain.take(exchange)
        except TrunklineError as error:
            return Entry("malformed", status, str(error), b"")
        if following is None:
            return Entry("accepted", status, "", chain.body())
        if self._client.stopped is not None:
            return Entry("exhausted", status, self._client.stopped, b"")
        if self.full:
            return Entry("unsent", status, f"{self.why_full} before the last page", b"")
        self.asked += 1
        following.tag = Sent(asked.part.chunk, asked.rows, asked.splits)
        opened = self._door.opened(following)
        if isinstance(opened, str):
            return Entry("rejected", status, f"not sent: {opened}", b"")
        opened.tag = asked
        self._client.send_part(opened, outcome.request)
        # Each page has its own time for retries.
        opened.since = -1.0
        return None

    def _without_those_again(
        self, outcome: Outcome, asked: Asked, entries: Sequence[Entry]
    ) -> Sequence[tuple[int, Entry]]:
        """The entries of rows that have ended; those of which the answer says "later" are asked for again."""
        ended = list(zip(asked.rows, entries, strict=True))
        tries = outcome.request.strikes + 1
        again = [row for row, entry in ended if entry.kind == "retry"]
        if not again:
            return ended
        if tries < self._most_tries and not self.full and self._client.stopped is None:
            self._send_part(outcome, asked, again, attempts=tries)
            return [(row, entry) for row, entry in ended if entry.kind != "retry"]
        return [(row, entry._replace(kind="exhausted") if entry.kind == "retry" else entry) for row, entry in ended]

    def _uncertain(self, outcome: Outcome) -> bool:
        """Whether an earlier try of a refused batch may have been kept, and its halves could not be told from it."""
        lost = outcome.request.unknown and not self._rules.reading
        return lost and outcome.status in MAY_BE_ONE_ROW and (self._keyed or self._rules.at_most_once)

    def _split(self, outcome: Outcome, asked: Asked) -> bool:
        """Ask again in halves, so that a bad row ends up alone; False when that is not to be done."""
        if outcome.status not in MAY_BE_ONE_ROW or not asked.splits[0] or self._client.stopped is not None:
            return False
        if self._most is not None and self.asked + 2 > self._most:
            return False
        asked.splits[0] -= 1
        bodies, rows = asked.part.chunk.bodies, asked.rows
        if outcome.status == TOO_LARGE and bodies is not None:
            self._builder.lower_bytes(bodies.size(rows[0], rows[-1] + 1) // 2)
        middle = len(rows) // 2
        # The later half first: each part takes its place right behind the request it is a part of.
        for half in (rows[middle:], rows[:middle]):
            self._send_part(outcome, asked, half)
        return True

    def _send_part(self, outcome: Outcome, asked: Asked, rows: Sequence[int], attempts: int = 0) -> None:
        part = self._ready(asked.part, self._builder.request(asked.part.chunk, rows, asked.splits))
        if part is not None:
            self.asked += 1
            part.unknown = outcome.request.unknown
            self._client.send_part(part, outcome.request, attempts=attempts)


def _body_of(outcome: Outcome) -> bytes:
    return b"" if outcome.exchange is None else outcome.exchange.body
