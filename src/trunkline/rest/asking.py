"""One task's share of a `request()`: rows in, requests out, each row out again with its answer.

    for batch in Asking(plan, task).run(record_batches):
        ...                       # the rows as they came, and a struct with the answer of each

Rows go through in parts of about a hundred. A part leaves when all of its rows have ended; a bounded number of parts is
under way, so memory is flat, and a `limit` above stops the asking soon. Equal requests share one answer.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from trunkline.coordination.task import TaskProgress
from trunkline.errors import ResponseLogError, TrunklineError
from trunkline.http.auth import Auth
from trunkline.http.cleaner import Cleaner
from trunkline.http.message import Outcome, Request
from trunkline.http.prefetch import Prefetched
from trunkline.http.setup import link_of, open_client
from trunkline.options import Options
from trunkline.responses import Task
from trunkline.rest.answers import Answer
from trunkline.rest.ask_log import AskLog
from trunkline.rest.leaving import Leaving
from trunkline.rest.parts import Cut, Part, Parts
from trunkline.rest.request_keys import RequestKeys
from trunkline.rest.request_options import by_pages, may_ask_again
from trunkline.rest.request_sending import Sending
from trunkline.rest.rows import RequestBuilder
from trunkline.rest.shared_answers import SharedAnswers
from trunkline.rest.standing import Standing
from trunkline.rest.write_options import content_type
from trunkline.values import ReadOptions

# Rows under way, in parts of the smallest size: thirty times as many as requests in flight at most.
_MOST_PARTS = 64
# Parts that wait to be taken before no more is asked for.
_MOST_READY = 2
# How long whoever wants no more rows waits for the log to be written, seconds.
_CLOSING = 3.0


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
        self._auth = Auth.from_options(options)
        self._cleaner = Cleaner(options, self._auth)
        self._clean = self._cleaner.clean
        self._keys = RequestKeys(options)
        self._keyed = options["idempotency.header"] is not None
        # Used in the thread that wants the rows.
        self._leaving = Leaving(options, plan.column, plan.reading, Cleaner(options, self._auth).clean, plan.parsed)
        self._out: queue.SimpleQueue[tuple[Part, list[Answer]] | BaseException | None] = queue.SimpleQueue()
        self._unwanted_since: float | None = None
        self._cut = Cut(options["batch.rows"])
        self._parts = Parts(_MOST_PARTS * self._cut.rows, keep_order=options["keepOrder"])
        self._left = 0
        self._ended = False
        headers = {"Accept": "application/json"} if plan.parsed or by_pages(options) else {}
        if (kind := content_type(options)) is not None:
            headers["Content-Type"] = kind
            if options["compression"] == "gzip":
                headers["Content-Encoding"] = "gzip"
        api = any("json" in value for value in headers.values())
        self._client = open_client(options, self._auth, headers, reading=may_ask_again(options), no_page=api)
        self._standing = Standing(options, self._client, self._clean)
        self._answers = SharedAnswers(self._parts, self._standing, self._clean)
        name = f"request/{task.run}/{task.batch}/{task.partition}/{task.attempt_id}"
        self._progress = TaskProgress(link_of(options), name)
        scope = task.run if task.batch is None else f"{task.run}/{task.batch}"
        self._sending = Sending(options, plan.builder, self._client, scope.encode(), self._clean, self._answers.refuse)

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
                yield from self._leaving.batches(*item)
        finally:
            # Where the rows ended by themselves this does nothing.
            self._unwanted_since = time.monotonic()
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
                self._answers.log = AskLog(self._options, self._task, self._cleaner)
            schedule = self._client.schedule
            pieces = self._cut.pieces(self._builder.rechunked(source.items(may_block=lambda: schedule.idle)))
            while not self._ended and self._client.stopped is None:
                for outcome in self._client.send(self._requests(pieces)):
                    if self._nobody_waits():
                        return
                    if outcome is not None:
                        self._guarded(self._settle, outcome)
                        if self._progress.active and outcome.exchange is not None:
                            self._progress.seen(outcome.exchange.elapsed)
                    else:
                        if self._answers.log is not None:
                            self._guarded(self._answers.log.tick)
                        self._tell_progress()
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
                if self._answers.log is not None:
                    self._answers.log.flush()
            finally:
                self._client.close()
                self._tell_progress(done=True)

    def _requests(self, pieces: Iterator[pa.RecordBatch | None]) -> Iterator[Request | None]:
        """Requests for the rows, until all are asked for or rows can leave and nothing is on its way."""
        for piece in pieces:
            if piece is None:
                yield None
                continue
            while self._out.qsize() >= _MOST_READY and self._client.stopped is None:
                yield None
            part = self._part(piece)
            asked = self._sending.asked
            yield from self._asking(part)
            self._cut.learn(part, asked=asked != self._sending.asked)
            if self._client.schedule.idle and self._parts.ready:
                return
            while self._parts.full and self._client.stopped is None:
                yield None
        self._ended = True

    def _part(self, piece: pa.RecordBatch) -> Part:
        """A part under way: what cannot be sent is refused, what is known is answered."""
        chunk = self._builder.chunk(piece)
        part = Part(chunk)
        self._parts.add(part)
        if self._answers.log is not None:
            self._answers.log.identify(chunk, self._builder)
        for row, reason in sorted(chunk.refused.items()):
            self._answers.refuse(part, row, reason)
        part.keys = self._keys.of(chunk)
        if self._keyed:
            chunk.names = part.keys
        return part

    def _asking(self, part: Part) -> Iterator[Request]:
        """The requests of the rows whose answers are neither known nor on their way."""
        chunk = part.chunk
        chunk.refused = dict.fromkeys(chunk.refused, "") | dict.fromkeys(self._answers.known(part), "")
        for request in self._builder.requests(chunk):
            if self._client.stopped is not None:
                return
            if self._sending.full:
                for row in request.tag.rows:
                    self._answers.give(part, row, Answer("unsent", error=f"not sent: {self._sending.why_full}"))
                continue
            ready = self._sending.first(part, request)
            if ready is not None:
                yield ready

    def _settle(self, outcome: Outcome) -> None:
        part = outcome.request.tag.part
        for row, entry in self._sending.ended(outcome):
            self._answers.settle(outcome, part, row, entry)

    def _hand_over(self) -> None:
        """Let the parts leave that are whole."""
        while self._parts.ready and self._client.stopped is None:
            self._left += 1
            # Whoever wants a few rows ends this process without a word; most of what it was shown is kept by then.
            if self._answers.log is not None and self._left & (self._left - 1) == 0:
                self._answers.log.flush()
            left = self._parts.leave()
            if self._progress.active:
                self._progress.rows(answer.kind for answer in left[1])
            self._out.put(left)

    def _tell_progress(self, *, done: bool = False) -> None:
        if self._progress.active:
            client = self._client
            sent = {"requests": client.requests, "retries": client.schedule.retries, "bytes_sent": client.sent_bytes}
            self._progress.tell(sent, done=done)

    def _nobody_waits(self) -> bool:
        """Whether no more rows are wanted, and what was in flight has been written down or has had its time."""
        since = self._unwanted_since
        return since is not None and (self._answers.log is None or time.monotonic() > since + _CLOSING)

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        """Make a call that may find the log broken: nothing may be sent unrecorded then."""
        try:
            call(*arguments)
        except ResponseLogError as error:
            self._standing.fail(error)
