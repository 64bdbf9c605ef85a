"""One task's share of a write: rows in, requests out, every row's fate counted and, where asked for, logged.

    report = Delivery(plan, task).run(record_batches)

Nothing the server says makes it raise: a permanent failure goes into the report, because Spark would answer an
exception by sending the whole partition again, up to four times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from trunkline.coordination.task import TaskProgress
from trunkline.errors import ResponseLogError
from trunkline.http.auth import Auth
from trunkline.http.cleaner import Cleaner
from trunkline.http.client import Client
from trunkline.http.message import Outcome, Request
from trunkline.http.prefetch import Prefetched
from trunkline.http.setup import link_of, open_client, rules_of
from trunkline.http.verdict import CREDENTIAL_REFUSED, MAY_BE_ONE_ROW, TOO_LARGE, refusal_kind
from trunkline.options import Options
from trunkline.responses import Location, ResponseLog, Task, locate
from trunkline.rest.door import Door
from trunkline.rest.fates import Fates
from trunkline.rest.identity import Identities
from trunkline.rest.journal import Journal
from trunkline.rest.report import Report
from trunkline.rest.results import ResultReader, ResultsError, RowResult
from trunkline.rest.rows import RequestBuilder, Sent
from trunkline.rest.stop import StopFlag
from trunkline.rest.write_options import content_type

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
        self._auth = Auth.from_options(options)
        cleaner = Cleaner(options, self._auth)
        journal: Journal | None = None
        location: Location | None = locate(options["responses"]) if options["responses"] else None
        if location is not None:
            flush = options["log.flush"]
            log = ResponseLog(location, task, flush_seconds=flush.seconds, flush_rows=flush.rows)
            journal = Journal(log, task, options, cleaner)
        link = link_of(options)
        self._client = self._open_client()
        report = Report(task.run, task.batch, task.partition, plan.nonce)
        flag = StopFlag(plan.nonce, location, link)
        self._fates = Fates(options, task, report, journal, flag, self._client, cleaner.clean)
        self._counts = report.counts
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

    def run(self, batches: Iterator[pa.RecordBatch]) -> Report:
        """Send all rows.

        Raises:
            Exception: Only what reading the rows raised, after what had been sent was settled and logged.
        """
        began = time.monotonic()
        source = Prefetched(batches)
        fates, report = self._fates, self._fates.report
        try:
            if fates.journal is not None:
                self._remember(fates.journal.log)
            for outcome in self._client.send(self._requests(source)):
                if outcome is not None:
                    fates.guarded(self._settle, outcome)
                    if self._progress.active and outcome.exchange is not None:
                        self._progress.seen(outcome.exchange.elapsed)
                else:
                    if fates.journal is not None:
                        fates.guarded(fates.journal.log.tick)
                    self._tell_progress()
                fates.heed_siblings()
                if source.error is not None:
                    # Spark has given this task up and may have begun the next attempt, which sends the rest.
                    self._client.stop(f"the rows to send could not be read: {source.error}")
            if source.error is not None:
                raise source.error
            fates.explain_stop()
        except ResponseLogError as error:
            fates.fail("log", str(error))
        finally:
            self._count_unsent(source)
            source.close()
            if fates.journal is not None:
                fates.guarded(fates.journal.log.flush)
            self._client.close()
            self._tell_progress(done=True)
            report.complete = self._client.stopped is None
            report.seconds = time.monotonic() - began
        return report

    def _requests(self, source: Prefetched[pa.RecordBatch]) -> Iterator[Request | None]:
        for batch in self._builder.rechunked(self._read(source)):
            # Also before the first row: of a hundred partitions most begin after the first has failed.
            self._fates.heed_siblings()
            if batch is None or self._client.stopped is not None:
                yield None
                continue
            try:
                chunk, superseded = self._identities.chunk(batch)
                if superseded is not None:
                    self._fates.superseded(superseded)
                for row, reason in sorted(chunk.refused.items()):
                    self._fates.unsendable(chunk, row, reason)
            except Exception as error:  # noqa: BLE001 - ours, not the source's: a replay would meet it again
                self._fates.fail("internal", f"{type(error).__name__}: {error}")
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
            self._fates.guarded(self._fates.unsendable, sent.chunk, row, opened)
        return None

    def _settle(self, outcome: Outcome) -> None:
        sent: Sent = outcome.request.tag
        if self._results is not None and self._settle_rows(outcome, sent, self._results):
            return
        if outcome.kind == "accepted":
            self._fates.accepted(outcome, sent.chunk, sent.rows, outcome.reason)
        elif outcome.kind == "rejected" and len(sent.rows) > 1 and self._split(outcome, sent):
            return
        else:
            self._fates.refused(outcome, sent.chunk, sent.rows, outcome.kind, outcome.status, outcome.reason)

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
            results = reader.read(
                outcome.exchange.body, len(sent.rows), lambda: reader.ids(sent.chunk.batch, sent.rows)
            )
        except ResultsError as error:
            if outcome.kind == "accepted":
                self._fates.refused(outcome, sent.chunk, sent.rows, "ambiguous", outcome.status, str(error))
                return True
            return False
        accepted = [row for row, result in zip(sent.rows, results, strict=True) if result.ok]
        if accepted:
            self._fates.accepted(outcome, sent.chunk, accepted, "")
        refused = [(row, result) for row, result in zip(sent.rows, results, strict=True) if not result.ok]
        kinds = {row: refusal_kind(result.status, outcome.request, self._rules) for row, result in refused}
        again = [row for row, kind in kinds.items() if kind == "retry"]
        tries = outcome.request.strikes + 1
        if again and tries < self._options["retry.maxAttempts"] and self._client.stopped is None:
            self._send_part(outcome.request, sent, again, attempts=tries)
            refused = [(row, result) for row, result in refused if kinds[row] != "retry"]
        for row, result in refused:
            kind = "exhausted" if kinds[row] == "retry" else kinds[row]
            self._fates.refused(outcome, sent.chunk, [row], kind, result.status or outcome.status, _told(result))
        return True

    def _split(self, outcome: Outcome, sent: Sent) -> bool:
        """Send a refused batch again in halves, so that a bad row ends up alone; False when that is not to be done."""
        if outcome.status not in MAY_BE_ONE_ROW or not sent.splits[0] or self._client.stopped is not None:
            return False
        if outcome.request.unknown and (self._keyed or self._rules.at_most_once):
            # The halves would have keys of their own, and the first try may have been kept.
            reason = f"{outcome.reason}, after a try whose answer was lost"
            self._fates.refused(outcome, sent.chunk, sent.rows, "ambiguous", outcome.status, reason)
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
            self._fates.unknown_earlier(text)

    def _open_client(self) -> Client:
        kind = content_type(self._options)
        headers = {} if kind is None else {"Content-Type": kind}
        if self._options["compression"] == "gzip" and kind is not None:
            headers["Content-Encoding"] = "gzip"
        return open_client(self._options, self._auth, headers, no_page="json" in (kind or ""))


def _told(result: RowResult) -> str:
    return f"status {result.status}: {result.reason}" if result.status else result.reason
