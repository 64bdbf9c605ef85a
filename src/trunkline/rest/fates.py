"""What becomes of the rows of a task: counted, written down, and the first failure that ends the task.

fates = Fates(options, task, report, journal, flag, client, clean)
fates.accepted(outcome, chunk, rows, "")
fates.refused(outcome, chunk, rows, "rejected", 422, "status 422")     # ends the task, or is a dead letter
fates.report                                                           # what the driver is told
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from trunkline.errors import AuthError, ResponseLogError, UnavailableError
from trunkline.http.client import Client
from trunkline.http.message import Fault, Outcome, Request, head_of, origin
from trunkline.http.verdict import CREDENTIAL_REFUSED
from trunkline.options import Options
from trunkline.responses import Task
from trunkline.rest.journal import Journal
from trunkline.rest.report import Failure, Report
from trunkline.rest.rows import Chunk, Sent
from trunkline.rest.stop import StopFlag


class Fates:
    """Keeps the books of one task of a write.

    Args:
        options: Of the write.
        task: Which partition, which attempt.
        report: Filled in.
        journal: Where rows are written down, None where they are not.
        flag: Tells the tasks beside this one, and is told by them, that the write has failed.
        client: Stopped when nothing more is to be sent.
        clean: Cuts credentials out of texts.

    Attributes:
        report: What the driver is told.
        journal: None also once it could not be written.
    """

    def __init__(
        self,
        options: Options,
        task: Task,
        report: Report,
        journal: Journal | None,
        flag: StopFlag,
        client: Client,
        clean: Callable[[str], str],
    ) -> None:
        self.report = report
        self.journal = journal
        self._flag = flag
        self._client = client
        self._clean = clean
        self._origin = origin(options["url"])
        self._most_dead: int | None = options["maxFailedRows"]
        self._dead_letters = report.dead_letters = options["onError"] == "deadLetter"
        self._counts = report.counts
        context = {"run": task.run, "partition": task.partition, "attempt": task.attempt_id}
        self._logger = logging.LoggerAdapter(logging.getLogger("trunkline.rest"), context)

    def accepted(self, outcome: Outcome, chunk: Chunk, rows: Sequence[int], reason: str) -> None:
        """Rows that the server took."""
        self._counts.accepted += len(rows)
        self._record(outcome, chunk, rows, "accepted", outcome.status, reason)

    def refused(self, outcome: Outcome, chunk: Chunk, rows: Sequence[int], kind: str, status: int, reason: str) -> None:
        """Rows that were not accepted: the write stops, unless dead letters are wanted."""
        setattr(self._counts, kind, getattr(self._counts, kind) + len(rows))
        self._record(outcome, chunk, rows, kind, status, reason)
        # What another task's failure or a broken door cuts short is told by that failure.
        if kind == "unsent" or self.report.stopped_by_sibling or self._client.failure is not None:
            return
        refusal = Failure("rejected", self._describe(outcome, kind, reason, len(rows)), status, kind)
        if status in CREDENTIAL_REFUSED:
            refusal.kind = "auth"
            self.report.auth_refused += len(rows)
        elif kind == "exhausted":
            tls = outcome.exchange is not None and outcome.exchange.fault is Fault.TLS
            refusal.kind = "tls" if tls else "unavailable"
        if self.report.first_refusal is None:
            self.report.first_refusal = refusal
        if not self._dead_letters:
            self._fail(refusal)
        elif self._too_many_dead():
            self._client.stop("maxFailedRows is reached")
            self._flag.set()

    def unsendable(self, chunk: Chunk, row: int, reason: str) -> None:
        """A row that cannot become a request."""
        request = Request("", "", tag=Sent(chunk, (row,), [0]))
        self.refused(Outcome(request, "rejected", reason), chunk, (row,), "rejected", 0, f"not sent: {reason}")

    def superseded(self, chunk: Chunk) -> None:
        """Write down which rows were not sent because a newer version of their key was."""
        rows = range(len(chunk.batch))
        outcome = Outcome(Request("", "", tag=Sent(chunk, rows, [0])), "superseded")
        self._record(outcome, chunk, rows, "superseded", 0, "not sent: a newer version of its key was read before it")

    def unknown_earlier(self, message: str) -> None:
        """Rows that an earlier attempt may have got accepted are not sent again."""
        self.report.first_refusal = Failure("rejected", message, outcome="ambiguous")
        if not self._dead_letters:
            self._fail(self.report.first_refusal)

    def fail(self, kind: str, message: str, status: int = 0) -> None:
        """Remember the first failure, send nothing more and stop the siblings; `kind` as in `Failure`."""
        self._fail(Failure(kind, self._clean(message), status))

    def heed_siblings(self) -> None:
        """Stop when another task of the write has failed."""
        if self._client.stopped is None and self._flag.is_set():
            self.report.stopped_by_sibling = True
            self._client.stop("another task of this write failed")

    def explain_stop(self) -> None:
        """Turn the client's own stop into the report's failure."""
        client = self._client
        if client.stopped is None or self.report.failure is not None or self.report.stopped_by_sibling:
            return
        if self._dead_letters and self._too_many_dead():
            return
        first = self.report.first_refusal
        if client.failure is not None:
            kinds: dict[type, str] = {AuthError: "auth", UnavailableError: "unavailable"}
            self.fail(kinds.get(type(client.failure), "internal"), str(client.failure))
        elif client.schedule.auth_refused:
            detail = f" {first.message}" if first else ""
            self.fail("auth", f"stopped: {client.stopped}.{detail}", first.status if first else 0)
        else:
            self.fail("unavailable", f"{self._origin}: {client.stopped}")

    def guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        """Make a call that may fail on our side; then the task stops, and what is in flight is still settled."""
        try:
            call(*arguments)
        except ResponseLogError as error:
            # Nothing may be sent unrecorded.
            self.journal = None
            self.fail("log", str(error))
        except Exception as error:  # noqa: BLE001 - a bug of ours must not make Spark send everything again
            self.fail("internal", f"{type(error).__name__}: {error}")

    def _fail(self, failure: Failure) -> None:
        if self.report.failure is None:
            self.report.failure = failure
            self._logger.error("the task stops: %s", failure.message)
            self._flag.set()
        self._client.stop(failure.message)

    def _too_many_dead(self) -> bool:
        return self._most_dead is not None and self._counts.refused > self._most_dead

    def _record(self, outcome: Outcome, chunk: Chunk, rows: Sequence[int], kind: str, status: int, reason: str) -> None:
        if self.journal is not None:
            self.journal.record(outcome, chunk, rows, kind, status, reason)

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
