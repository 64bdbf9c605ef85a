"""One task's share of a `request()`: rows in, requests out, each row out again with its answer.

    for batch in Asking(plan, task).run(record_batches):
        ...                       # the rows as they came, and a struct with the answer of each

Rows go through in parts of about a hundred. A part leaves when all of its rows have ended; a bounded number of parts is
under way, so memory is flat, and a `limit` above stops the asking soon. Equal requests share one answer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from trunkline.errors import ResponseLogError, TrunklineError
from trunkline.http.auth import Auth
from trunkline.http.cleaner import Cleaner
from trunkline.http.message import Exchange, Outcome, Request, head_of, loggable_headers, without_query
from trunkline.http.prefetch import Prefetched
from trunkline.http.setup import open_client, rules_of
from trunkline.options import Options
from trunkline.responses import Task
from trunkline.rest.answers import Answer, AnswerMemory, ResponseColumn, answer_of
from trunkline.rest.ask_log import AskLog
from trunkline.rest.chain import Chain
from trunkline.rest.door import Door
from trunkline.rest.entries import Entry, entries_of
from trunkline.rest.pages import REDIRECTS
from trunkline.rest.parts import Part, Parts
from trunkline.rest.request_keys import RequestKeys
from trunkline.rest.request_options import by_pages, may_ask_again
from trunkline.rest.results import ResultReader
from trunkline.rest.rows import RequestBuilder, Sent
from trunkline.rest.standing import Standing
from trunkline.rest.write_options import content_type
from trunkline.values import ReadOptions

# Rows of a part: few, so that `limit(5)` asks for few; parts that need no request double up to the larger number.
_PART_ROWS, _MOST_PART_ROWS = 100, 6400
# Rows under way, in parts of the smallest size: thirty times as many as requests in flight at most.
_MOST_PARTS = 64
# Answers remembered for equal requests to come take about so much, bytes.
_MOST_REMEMBERED = 64 * 1024 * 1024
# Parts that wait to be taken before no more is asked for.
_MOST_READY = 2
# How long whoever wants no more rows waits for the log to be written, seconds.
_CLOSING = 3.0
# A refusal with one of these may be about one row of the batch, so the batch is halved to find it.
_SPLIT_STATUSES = frozenset({400, 413, 422})


@dataclass(frozen=True)
class AskPlan:
    """What all tasks of a `request()` share: made once on the driver.

    Attributes:
        options: Resolved.
        builder: Turns rows into requests.
        run_id: Names the run, which every evaluation of the DataFrame belongs to; a stream's is its query.
        streaming: Whether the DataFrame is a stream.
        column: Of the answers; a struct.
        reading: How bodies are parsed.
        parsed: Whether they are.
    """

    options: Options
    builder: RequestBuilder
    run_id: str
    streaming: bool
    column: pa.StructType
    reading: ReadOptions
    parsed: bool


class Asked(NamedTuple):
    """The rows that one request is for."""

    part: Part
    rows: Sequence[int]
    splits: list[int]  # how many halvings the batch that it came from has left, shared by all its parts
    chain: Chain | None = None  # of its pages


class Asking:
    """Asks for one partition.

    Args:
        plan: Of the request.
        task: Which partition, which attempt.
    """

    def __init__(self, plan: AskPlan, task: Task) -> None:
        options = plan.options
        self._options = options
        self._builder = plan.builder
        self._task = task
        self._scope = task.run.encode()
        self._auth = Auth.from_options(options)
        cleaner = Cleaner(options, self._auth)
        self._clean = cleaner.clean
        self._keys = RequestKeys(options)
        self._keyed = options["idempotency.header"] is not None
        self._door = Door(options, batched=plan.builder.batched)
        self._results = ResultReader.from_options(options)
        again = may_ask_again(options)
        self._rules = rules_of(options, renewable=False, reading=again)
        self._column = ResponseColumn(plan.column, plan.reading, parsed=plan.parsed)
        self._cleaner = cleaner
        self._log: AskLog | None = None
        self._out: queue.SimpleQueue[tuple[Part, list[Answer]] | BaseException | None] = queue.SimpleQueue()
        self._unwanted = False
        self._remembered = AnswerMemory(_MOST_REMEMBERED)
        self._flying: dict[bytes, list[tuple[Part, int]]] = {}
        self._part_rows = self._fitting(_PART_ROWS)
        self._parts = Parts(_MOST_PARTS * self._part_rows, keep_order=options["keepOrder"])
        self._asked = self._left = 0
        self._ended = False
        self._by_pages = by_pages(options)
        headers = {"Accept": "application/json"} if plan.parsed or self._by_pages else {}
        if (kind := content_type(options)) is not None:
            headers["Content-Type"] = kind
            if options["compression"] == "gzip":
                headers["Content-Encoding"] = "gzip"
        self._client = open_client(options, self._auth, headers, reading=again)
        self._standing = Standing(options, self._client, self._clean)

    def run(self, batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        """Every row with its answer.

        Raises:
            AuthError, UnavailableError: No row can be answered now.
            RejectedError: A row was refused, with `onError=fail`.
            ResponseError: A body does not fit the schema, with `mode=FAILFAST`.
            ResponseLogError: The log cannot be read or written.
        """
        worker = threading.Thread(target=self._work, args=(batches,), name="trunkline-asking", daemon=True)
        worker.start()
        try:
            while (item := self._out.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield self._batch(*item)
        finally:
            # Where the rows ended by themselves this does nothing.
            self._unwanted = True
            self._client.stop("the rows are not wanted any more")
            worker.join(_CLOSING)

    def _work(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Ask in a thread of its own: while whoever wants the rows is busy, what is in flight must not time out."""
        error: BaseException | None = None
        try:
            self._ask_for_all(batches)
        except BaseException as raised:  # noqa: BLE001 - handed to the thread that wants the rows
            error = raised
        self._out.put(error)

    def _ask_for_all(self, batches: Iterator[pa.RecordBatch]) -> None:
        source = Prefetched(batches)
        try:
            if self._options["responses"]:
                self._log = AskLog(self._options, self._task, self._cleaner)
            schedule = self._client.schedule
            pieces = self._pieces(source.items(may_block=lambda: schedule.idle))
            while not self._ended and self._client.stopped is None:
                for outcome in self._client.send(self._requests(pieces)):
                    if self._unwanted:
                        return
                    if outcome is not None:
                        self._guarded(self._settle, outcome)
                    elif self._log is not None:
                        self._guarded(self._log.tick)
                    if source.error is not None:
                        self._client.stop(f"the rows could not be read: {source.error}")
                    self._hand_over()
                self._hand_over()
            if source.error is not None:
                raise source.error
            self._standing.check()
            if self._parts:
                raise TrunklineError("a task ended before all of its rows were answered")
        finally:
            source.close()
            try:
                if self._log is not None:
                    self._log.flush()
            finally:
                self._client.close()

    def _pieces(self, batches: Iterator[pa.RecordBatch | None]) -> Iterator[pa.RecordBatch | None]:
        """The rows, cut into parts; None where the next are not there yet."""
        for batch in self._builder.rechunked(batches):
            if batch is None:
                yield None
                continue
            start = 0
            while start < len(batch):
                piece = batch.slice(start, self._part_rows)
                start += len(piece)
                yield piece

    def _requests(self, pieces: Iterator[pa.RecordBatch | None]) -> Iterator[Request | None]:
        """Requests for the rows, until all are asked for or rows can leave and nothing is on its way."""
        for piece in pieces:
            if piece is None:
                yield None
                continue
            part = self._part(piece)
            asked = self._asked
            yield from self._asking(part)
            self._part_rows = self._fitting(
                min(2 * self._part_rows, _MOST_PART_ROWS) if asked == self._asked else _PART_ROWS
            )
            if self._client.schedule.idle and self._parts.ready:
                return
            while (self._parts.full or self._out.qsize() >= _MOST_READY) and self._client.stopped is None:
                yield None
        self._ended = True

    def _part(self, piece: pa.RecordBatch) -> Part:
        """A part under way: what cannot be sent is refused, what is known is answered."""
        chunk = self._builder.chunk(piece)
        part = Part(chunk)
        self._parts.add(part)
        if self._log is not None:
            self._log.identify(chunk, self._builder)
        for row, reason in sorted(chunk.refused.items()):
            self._refuse_unsendable(part, row, reason)
        part.keys = self._keys.of(chunk)
        if self._keyed:
            chunk.names = part.keys
        return part

    def _asking(self, part: Part) -> Iterator[Request]:
        """The requests of the rows whose answers are neither known nor on their way."""
        chunk, keys = part.chunk, part.keys
        settled = dict.fromkeys(chunk.refused, "")
        rows = [row for row in range(len(chunk)) if row not in settled]
        known = {} if self._log is None else self._log.find([keys[row] for row in rows])
        for row in rows:
            key = keys[row]
            answer = known.get(key) or self._remembered.get(key)
            if answer is not None:
                settled[row] = ""
                if self._log is not None and key not in known:
                    self._log.share(part, row, answer)
                self._parts.answer(part, row, answer)
                self._heed(part, row, answer)
            elif key in self._flying:
                settled[row] = ""
                self._flying[key].append((part, row))
            else:
                self._flying[key] = []
        chunk.refused = settled
        most: int | None = self._options["maxRequests"]
        for request in self._builder.requests(chunk):
            if self._client.stopped is not None:
                return
            if most is not None and self._asked >= most:
                reason = f"not sent: {_most_sent(most)}"
                for row in request.tag.rows:
                    self._give(part, row, Answer("unsent", error=reason))
                continue
            prepared = self._finished(part, request)
            if prepared is not None:
                self._asked += 1
                yield prepared

    def _finished(self, part: Part, request: Request) -> Request | None:
        """The request with its key and through the user's door; None when it cannot be sent."""
        sent: Sent = request.tag
        if self._keyed:
            request.idempotency_key = self._builder.idempotency_key(request, self._scope, 0)
        chain = None
        if self._by_pages:
            try:
                chain = Chain(self._options, request, self._clean)
                request = chain.first()
            except TrunklineError as error:
                self._refuse_unsendable(part, sent.rows[0], str(error))
                return None
            request.tag = sent
        opened = self._door.opened(request)
        if isinstance(opened, Request):
            opened.tag = Asked(part, sent.rows, sent.splits, chain)
            return opened
        for row in sent.rows:
            self._refuse_unsendable(part, row, opened)
        return None

    def _settle(self, outcome: Outcome) -> None:
        asked: Asked = outcome.request.tag
        part, rows = asked.part, asked.rows
        entries: list[Entry] | None = None
        if asked.chain is not None and outcome.exchange is not None:
            entry = self._next_page(outcome, outcome.exchange, asked, asked.chain)
            if entry is None:
                return
            entries = [entry]
        if self._results is not None:
            entries = entries_of(self._results, outcome, part.chunk.batch, rows, self._rules)
        if entries is None:
            if outcome.kind == "rejected" and len(rows) > 1 and self._split(outcome, asked):
                return
            body = b"" if outcome.exchange is None else outcome.exchange.body
            entries = [Entry(outcome.kind, outcome.status, outcome.reason, body)] * len(rows)
        for row, entry in zip(rows, entries, strict=True):
            self._answer(outcome, part, row, entry)

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
        if self._options["maxRequests"] is not None and self._asked >= self._options["maxRequests"]:
            return Entry("unsent", status, f"{_most_sent(self._options['maxRequests'])} before the last page", b"")
        self._asked += 1
        following.tag = Sent(asked.part.chunk, asked.rows, asked.splits)
        opened = self._door.opened(following)
        if isinstance(opened, str):
            return Entry("rejected", status, f"not sent: {opened}", b"")
        opened.tag = asked
        self._client.send_part(opened, outcome.request)
        # Each page has its own time for retries.
        opened.since = -1.0
        return None

    def _split(self, outcome: Outcome, asked: Asked) -> bool:
        """Ask again in halves, so that a bad row ends up alone; False when that is not to be done."""
        if outcome.status not in _SPLIT_STATUSES or not asked.splits[0] or self._client.stopped is not None:
            return False
        if outcome.request.unknown and not self._rules.reading:
            return False
        if self._options["maxRequests"] is not None and self._asked + 2 > self._options["maxRequests"]:
            return False
        asked.splits[0] -= 1
        self._asked += 2
        middle = len(asked.rows) // 2
        for rows in (asked.rows[middle:], asked.rows[:middle]):
            half = self._finished(asked.part, self._builder.request(asked.part.chunk, rows, asked.splits))
            if half is not None:
                self._client.send_part(half, outcome.request)
        return True

    def _answer(self, outcome: Outcome, part: Part, row: int, entry: Entry) -> None:
        """Make the answer of one row, write it down and give it to all who wait for it."""
        kind, status, reason, body = entry
        exchange = outcome.exchange
        headers = text = None
        if exchange is not None:
            headers = {name: self._clean(value) for name, value in loggable_headers(exchange.headers).items()}
            text = self._clean(body.decode("utf-8", "replace"))
        error = self._clean(reason)
        if kind != "accepted" and (head := head_of(body)):
            error = f"{error}: {self._clean(head)}" if error else self._clean(head)
        answer = answer_of(outcome, kind, status, error, headers, text)
        if self._log is not None and kind != "unsent":
            self._log.record(outcome, part, row, answer, body)
        self._give(part, row, answer)

    def _give(self, part: Part, row: int, answer: Answer) -> None:
        """Give an answer to the row it was asked for and to all who wait for it."""
        key = part.keys[row]
        if answer.lasting:
            self._remembered.put(key, answer)
        self._parts.answer(part, row, answer)
        self._heed(part, row, answer)
        for other, place in self._flying.pop(key, ()):
            if self._log is not None and answer.kind != "unsent":
                self._log.share(other, place, answer)
            self._parts.answer(other, place, answer)

    def _heed(self, part: Part, row: int, answer: Answer) -> None:
        self._standing.heed(answer, lambda: self._named(part, row))

    def _hand_over(self) -> None:
        """Let the parts leave that are whole."""
        while self._parts.ready and self._client.stopped is None:
            self._left += 1
            # Whoever wants a few rows ends this process without a word; most of what it was shown is kept by then.
            if self._log is not None and self._left & (self._left - 1) == 0:
                self._log.flush()
            self._out.put(self._parts.leave())

    def _batch(self, part: Part, answers: list[Answer]) -> pa.RecordBatch:
        """The rows of a part as they came, with their answers."""
        batch = part.chunk.batch
        column = self._column.array(answers, lambda row: self._named(part, row))
        schema = batch.schema.append(pa.field(self._options["responseColumn"], column.type))
        return pa.RecordBatch.from_arrays([*batch.columns, column], schema=schema)

    def _refuse_unsendable(self, part: Part, row: int, reason: str) -> None:
        """A row that cannot become a request."""
        answer = Answer("rejected", error=self._clean(f"not sent: {reason}"))
        if self._log is not None:
            self._log.refuse(part, row, answer)
        self._parts.answer(part, row, answer)
        self._heed(part, row, answer)
        for other, place in self._flying.pop(part.keys[row], ()) if part.keys else ():
            self._refuse_unsendable(other, place, reason)

    def _named(self, part: Part, row: int) -> str:
        """A row's request, for an error."""
        return self._clean(f"{part.method(row)} {without_query(part.url(row))}")

    def _fitting(self, rows: int) -> int:
        """The rows of a part: so many that no request is cut short by where a part ends."""
        most: int = self._options["batch.rows"]
        return -(-rows // most) * most

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        """Make a call that may find the log broken: nothing may be sent unrecorded then."""
        try:
            call(*arguments)
        except ResponseLogError as error:
            self._standing.fail(error)


def _most_sent(most: int) -> str:
    return f"this task has sent maxRequests={most} requests"
