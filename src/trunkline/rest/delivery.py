"""One task's share of a write: rows in, requests out, every row's fate counted and, where asked for, logged.

    report = Delivery(plan, task).run(record_batches)

Nothing the server says makes it raise: a permanent failure goes into the report, because Spark would answer an
exception by sending the whole partition again, up to four times.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from trunkline.coordination.task import TaskProgress
from trunkline.errors import AuthError, ResponseLogError, UnavailableError
from trunkline.http.auth import Auth
from trunkline.http.cleaner import Cleaner
from trunkline.http.client import Client
from trunkline.http.message import Fault, Outcome, Request, head_of, origin
from trunkline.http.prefetch import Prefetched
from trunkline.http.setup import link_of, open_client, rules_of
from trunkline.http.verdict import CREDENTIAL_REFUSED, MAY_BE_ONE_ROW, TOO_LARGE, refusal_kind
from trunkline.options import Options
from trunkline.responses import Location, ResponseLog, Task, locate
from trunkline.rest.door import Door
from trunkline.rest.identity import Identities
from trunkline.rest.journal import Journal
from trunkline.rest.report import Failure, Report
from trunkline.rest.results import ResultReader, ResultsError, RowResult
from trunkline.rest.rows import Chunk, RequestBuilder, Sent
from trunkline.rest.stop import StopFlag
from trunkline.rest.write_options import content_type
from trunkline.values import texts

# A new Python worker takes about a second to start; computing rows nobody will send must not take longer.
_DRAIN_SECONDS = 1.0


@dataclass(frozen=True)
class WritePlan:
    """What all tasks of a write share: made once on the driver.

    Attributes:
        options: Resolved.
        builder: Turns rows into requests.
        run_id: Names the write.
        nonce: Names this try of it, for the stop flag.
    """

    options: Options
    builder: RequestBuilder
    run_id: str
    nonce: str


class Delivery:
    """Sends one partition.

    Args:
        plan: Of the write.
        task: Which partition, which attempt.
        scope: What makes idempotency keys of this run (and micro-batch) its own.
    """

    def __init__(self, plan: WritePlan, task: Task, scope: str) -> None:
        options = plan.options
        self._options = options
        self._builder = plan.builder
        self._task = task
        self._scope = scope.encode()
        self._report = Report(task.run, task.batch, task.partition, plan.nonce)
        self._counts = self._report.counts
        self._report.dead_letters = self._dead_letters = options["onError"] == "deadLetter"
        self._auth = Auth.from_options(options)
        cleaner = Cleaner(options, self._auth)
        self._clean = cleaner.clean
        self._journal: Journal | None = None
        location: Location | None = locate(options["responses"]) if options["responses"] else None
        if location is not None:
            flush = options["log.flush"]
            log = ResponseLog(location, task, flush_seconds=flush.seconds, flush_rows=flush.rows)
            self._journal = Journal(log, task, options, cleaner)
        link = link_of(options)
        self._flag = StopFlag(plan.nonce, location, link)
        self._progress = TaskProgress(link, f"{plan.nonce}/{task.batch}/{task.partition}/{task.attempt_id}")
        self._keyed = options["idempotency.header"] is not None
        self._identities = Identities(
            plan.builder,
            self._counts,
            identify=self._keyed or location is not None,
            keyed=self._keyed,
            order=options["orderColumn"],
        )
        self._results = ResultReader.from_options(options)
        self._rules = rules_of(options, renewable=False)
        self._door = Door(options, batched=plan.builder.batched)
        self._origin = origin(options["url"])
        self._client = self._open_client()
        context = {"run": task.run, "partition": task.partition, "attempt": task.attempt_id}
        self._logger = logging.LoggerAdapter(logging.getLogger("trunkline.rest"), context)

    def run(self, batches: Iterator[pa.RecordBatch]) -> Report:
        """Send all rows.

        Raises:
            Exception: Only what reading the rows raised, after what had been sent was settled and logged.
        """
        began = time.monotonic()
        source = Prefetched(batches)
        try:
            if self._journal is not None:
                self._remember(self._journal.log)
            for outcome in self._client.send(self._requests(source)):
                if outcome is not None:
                    self._guarded(self._settle, outcome)
                    if self._progress.active and outcome.exchange is not None:
                        self._progress.seen(outcome.exchange.elapsed)
                else:
                    if self._journal is not None:
                        self._guarded(self._journal.log.tick)
                    self._tell_progress()
                self._heed_siblings()
                if source.error is not None:
                    # Spark has given this task up and may have begun the next attempt, which sends the rest.
                    self._client.stop(f"the rows to send could not be read: {source.error}")
            if source.error is not None:
                raise source.error
            self._explain_stop()
        except ResponseLogError as error:
            self._fail(Failure("log", self._clean(str(error))))
        finally:
            self._count_unsent(source)
            source.close()
            if self._journal is not None:
                self._guarded(self._journal.log.flush)
            self._client.close()
            self._tell_progress(done=True)
            self._report.complete = self._client.stopped is None
            self._report.seconds = time.monotonic() - began
        return self._report

    def _requests(self, source: Prefetched[pa.RecordBatch]) -> Iterator[Request | None]:
        for batch in self._builder.rechunked(self._read(source)):
            # Also before the first row: of a hundred partitions most begin after the first has failed.
            self._heed_siblings()
            if batch is None or self._client.stopped is not None:
                yield None
                continue
            try:
                chunk, superseded = self._identities.chunk(batch)
                if superseded is not None:
                    self._record_superseded(superseded)
                for row, reason in sorted(chunk.refused.items()):
                    self._refuse_unsendable(chunk, row, reason)
            except Exception as error:  # noqa: BLE001 - ours, not the source's: a replay would meet it again
                self._fail(Failure("internal", self._clean(f"{type(error).__name__}: {error}")))
                return
            for request in self._builder.requests(chunk):
                prepared = self._finished_request(request)
                if prepared is not None:
                    yield prepared

    def _read(self, source: Prefetched[pa.RecordBatch]) -> Iterator[pa.RecordBatch | None]:
        """The rows as they come, counted; all of them first where an earlier attempt decides what may be sent."""
        schedule = self._client.schedule
        items = source.items(may_block=lambda: schedule.idle)
        kept: list[pa.RecordBatch] = []
        for batch in items:
            if batch is not None:
                self._counts.rows += len(batch)
                if self._identities.must_learn:
                    self._identities.learn(batch)
                    kept.append(batch)
                    continue
            yield batch
        yield from kept

    def _finished_request(self, request: Request) -> Request | None:
        """The request with its key and through the user's door; None when it cannot be sent."""
        if self._keyed:
            request.idempotency_key = self._builder.idempotency_key(request, self._scope, self._task.partition)
        opened = self._door.opened(request)
        if isinstance(opened, Request):
            return opened
        sent: Sent = request.tag
        for row in sent.rows:
            self._guarded(self._refuse_unsendable, sent.chunk, row, opened)
        return None

    def _settle(self, outcome: Outcome) -> None:
        sent: Sent = outcome.request.tag
        if self._results is not None and self._settle_rows(outcome, sent, self._results):
            return
        if outcome.kind == "accepted":
            self._counts.accepted += len(sent.rows)
            self._record(outcome, sent.chunk, sent.rows, "accepted", outcome.status, outcome.reason)
        elif outcome.kind == "rejected" and len(sent.rows) > 1 and self._split(outcome, sent):
            return
        else:
            self._refuse(outcome, sent.chunk, sent.rows, outcome.kind, outcome.status, outcome.reason)

    def _settle_rows(self, outcome: Outcome, sent: Sent, reader: ResultReader) -> bool:
        """Settle each row by what the answer says of it; False when it says nothing of rows."""
        if (
            outcome.kind not in {"accepted", "rejected"}
            or outcome.exchange is None
            or outcome.status in CREDENTIAL_REFUSED
        ):
            return False
        if not outcome.exchange.body and outcome.kind == "rejected":
            return False
        try:
            results = reader.read(outcome.exchange.body, len(sent.rows), lambda: self._ids(sent, reader))
        except ResultsError as error:
            if outcome.kind == "accepted":
                self._refuse(outcome, sent.chunk, sent.rows, "ambiguous", outcome.status, str(error))
                return True
            return False
        accepted = [row for row, result in zip(sent.rows, results, strict=True) if result.ok]
        if accepted:
            self._counts.accepted += len(accepted)
            self._record(outcome, sent.chunk, accepted, "accepted", outcome.status, "")
        refused = [(row, result) for row, result in zip(sent.rows, results, strict=True) if not result.ok]
        kinds = {row: refusal_kind(result.status, outcome.request, self._rules) for row, result in refused}
        again = [row for row, kind in kinds.items() if kind == "retry"]
        tries = outcome.request.strikes + 1
        if again and tries < self._options["retry.maxAttempts"] and self._client.stopped is None:
            self._send_part(outcome.request, sent, again, attempts=tries)
            refused = [(row, result) for row, result in refused if kinds[row] != "retry"]
        for row, result in refused:
            kind = "exhausted" if kinds[row] == "retry" else kinds[row]
            self._refuse(outcome, sent.chunk, [row], kind, result.status or outcome.status, _told(result))
        return True

    def _ids(self, sent: Sent, reader: ResultReader) -> list[str | None]:
        column = (reader.id_field or "").rpartition(".")[2]
        names = sent.chunk.batch.schema.names
        name = column if column in names else (self._options["keyColumns"] or [column])[0]
        if name not in names:
            message = f"results.id={reader.id_field}: there is no column of that name to tell rows by"
            raise ResultsError(message)
        found: list[str | None] = texts(sent.chunk.batch.column(name)).take(pa.array(sent.rows, pa.int64())).to_pylist()
        return found

    def _split(self, outcome: Outcome, sent: Sent) -> bool:
        """Send a refused batch again in halves, so that a bad row ends up alone; False when that is not to be done."""
        if outcome.status not in MAY_BE_ONE_ROW or not sent.splits[0] or self._client.stopped is not None:
            return False
        if outcome.request.unknown and (self._keyed or self._rules.at_most_once):
            # The halves would have keys of their own, and the first try may have been kept.
            reason = f"{outcome.reason}, after a try whose answer was lost"
            self._refuse(outcome, sent.chunk, sent.rows, "ambiguous", outcome.status, reason)
            return True
        sent.splits[0] -= 1
        if outcome.status == TOO_LARGE and sent.chunk.bodies is not None:
            self._builder.lower_bytes(sent.chunk.bodies.size(sent.rows[0], sent.rows[-1] + 1) // 2)
        middle = len(sent.rows) // 2
        # The later half first: each part takes its place right behind the request it is a part of.
        self._send_part(outcome.request, sent, sent.rows[middle:])
        self._send_part(outcome.request, sent, sent.rows[:middle])
        return True

    def _send_part(self, of: Request, sent: Sent, rows: Sequence[int], attempts: int = 0) -> None:
        part = self._finished_request(self._builder.request(sent.chunk, rows, sent.splits))
        if part is not None:
            part.unknown = of.unknown
            self._client.send_part(part, of, attempts=attempts)

    def _refuse_unsendable(self, chunk: Chunk, row: int, reason: str) -> None:
        request = Request("", "", tag=Sent(chunk, (row,), [0]))
        self._refuse(Outcome(request, "rejected", reason), chunk, (row,), "rejected", 0, f"not sent: {reason}")

    def _refuse(self, outcome: Outcome, chunk: Chunk, rows: Sequence[int], kind: str, status: int, reason: str) -> None:
        """Count and log rows that were not accepted, and stop the write unless dead letters are wanted."""
        setattr(self._counts, kind, getattr(self._counts, kind) + len(rows))
        self._record(outcome, chunk, rows, kind, status, reason)
        # What another task's failure or a broken door cuts short is told by that failure.
        if kind == "unsent" or self._report.stopped_by_sibling or self._client.failure is not None:
            return
        refusal = Failure("rejected", self._describe(outcome, kind, reason, len(rows)), status, kind)
        if status in CREDENTIAL_REFUSED:
            refusal.kind = "auth"
            self._report.auth_refused += len(rows)
        elif kind == "exhausted":
            tls = outcome.exchange is not None and outcome.exchange.fault is Fault.TLS
            refusal.kind = "tls" if tls else "unavailable"
        if self._report.first_refusal is None:
            self._report.first_refusal = refusal
        if not self._dead_letters:
            self._fail(refusal)
        elif self._too_many_dead():
            self._client.stop("maxFailedRows is reached")
            self._flag.set()

    def _too_many_dead(self) -> bool:
        most = self._options["maxFailedRows"]
        return most is not None and self._counts.refused > most

    def _describe(self, outcome: Outcome, kind: str, reason: str, rows: int) -> str:
        request = outcome.request
        many = f"{rows:,} rows" if rows > 1 else "a row"
        if not request.method:
            return self._clean(f"{many} could not be sent: {reason.removeprefix('not sent: ')}")
        parts = urlsplit(request.url)
        target = f"{request.method} {parts.scheme}://{parts.netloc}{parts.path}"
        tries = f"{outcome.attempts} {'try' if outcome.attempts == 1 else 'tries'}"
        fate = {"ambiguous": "may or may not have taken", "exhausted": "did not take"}.get(kind, "refused")
        text = f"{target} {fate} {many} after {tries}: {reason}"
        body = outcome.exchange.body if outcome.exchange is not None else b""
        head = head_of(body)
        return self._clean(f"{text}: {head}" if head else text)

    def _explain_stop(self) -> None:
        """Turn the client's own stop into the report's failure."""
        client = self._client
        if client.stopped is None or self._report.failure is not None or self._report.stopped_by_sibling:
            return
        if self._dead_letters and self._too_many_dead():
            return
        first = self._report.first_refusal
        detail = f" {first.message}" if first else ""
        if client.failure is not None:
            kinds: dict[type, str] = {AuthError: "auth", UnavailableError: "unavailable"}
            self._fail(Failure(kinds.get(type(client.failure), "internal"), self._clean(str(client.failure))))
        elif client.schedule.auth_refused:
            status = first.status if first else 0
            self._fail(Failure("auth", self._clean(f"stopped: {client.stopped}.{detail}"), status))
        else:
            self._fail(Failure("unavailable", self._clean(f"{self._origin}: {client.stopped}")))

    def _count_unsent(self, source: Prefetched[pa.RecordBatch]) -> None:
        """After a stop, count what was read and not sent.

        Reading goes on for a moment: Spark keeps a worker for its next task only if it has read all rows of this one.
        """
        if self._client.stopped is not None:
            counts = self._counts
            counts.rows += sum(len(batch) for batch in source.drain(_DRAIN_SECONDS))
            counts.unsent = counts.rows - counts.accepted - counts.refused - counts.skipped - counts.superseded

    def _tell_progress(self, *, done: bool = False) -> None:
        self._counts.requests = self._client.requests
        self._counts.retries = self._client.schedule.retries
        self._counts.bytes_sent = self._client.sent_bytes
        if self._progress.active:
            self._progress.tell(asdict(self._counts), done=done)

    def _remember(self, log: ResponseLog) -> None:
        """Leave out what earlier attempts settled: accepted, and with atMostOnce also what they may have sent."""
        unknown = log.settled(["ambiguous"]) if self._options["delivery"] == "atMostOnce" else None
        self._identities.leave_out(log.settled(["accepted"]), unknown)
        if unknown is not None and unknown.num_rows:
            text = (
                f"an earlier attempt of run {self._task.run} may have got {unknown.num_rows:,} more rows accepted; "
                "with delivery=atMostOnce they are not sent again: look for outcome='ambiguous' in the response log"
            )
            self._report.first_refusal = Failure("rejected", text, outcome="ambiguous")
            if not self._dead_letters:
                self._fail(self._report.first_refusal)

    def _heed_siblings(self) -> None:
        """Stop when another task of the write has failed."""
        if self._client.stopped is None and self._flag.is_set():
            self._report.stopped_by_sibling = True
            self._client.stop("another task of this write failed")

    def _fail(self, failure: Failure) -> None:
        """Remember the first failure, send nothing more and stop the siblings."""
        if self._report.failure is None:
            self._report.failure = failure
            self._logger.error("the task stops: %s", failure.message)
            self._flag.set()
        self._client.stop(failure.message)

    def _record(self, outcome: Outcome, chunk: Chunk, rows: Sequence[int], kind: str, status: int, reason: str) -> None:
        if self._journal is not None:
            self._journal.record(outcome, chunk, rows, kind, status, reason)

    def _record_superseded(self, chunk: Chunk) -> None:
        """Write down which rows were not sent because a newer version of their key was."""
        rows = range(len(chunk.batch))
        outcome = Outcome(Request("", "", tag=Sent(chunk, rows, [0])), "superseded")
        self._record(outcome, chunk, rows, "superseded", 0, "not sent: a newer version of its key was read before it")

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        """Make a call that may fail on our side; then the task stops, and what is in flight is still settled."""
        try:
            call(*arguments)
        except ResponseLogError as error:
            # Nothing may be sent unrecorded.
            self._journal = None
            self._fail(Failure("log", self._clean(str(error))))
        except Exception as error:  # noqa: BLE001 - a bug of ours must not make Spark send everything again
            self._fail(Failure("internal", self._clean(f"{type(error).__name__}: {error}")))

    def _open_client(self) -> Client:
        kind = content_type(self._options)
        headers = {} if kind is None else {"Content-Type": kind}
        if self._options["compression"] == "gzip" and kind is not None:
            headers["Content-Encoding"] = "gzip"
        return open_client(self._options, self._auth, headers)


def _told(result: RowResult) -> str:
    return f"status {result.status}: {result.reason}" if result.status else result.reason
