"""The response log as `request()` keeps it: a record for each row, and each answer once, under the key of its request.

Bodies and headers are always there, because later evaluations are answered from them.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.http.cleaner import Cleaner
from trunkline.http.message import Exchange, Outcome, Request
from trunkline.options import Options
from trunkline.responses import ResponseLog, Task, locate
from trunkline.rest.answered import LoggedAnswers
from trunkline.rest.answers import Answer
from trunkline.rest.journal import Journal
from trunkline.rest.parts import Part
from trunkline.rest.rows import Chunk, RequestBuilder
from trunkline.values import Occurrences, row_digests


class AskLog:
    """One task's side of it.

    Args:
        options: With `responses`.
        task: Whose records they are.
        cleaner: For texts.

    Raises:
        ResponseLogError: What the run was answered so far cannot be read.
    """

    def __init__(self, options: Options, task: Task, cleaner: Cleaner) -> None:
        location, flush = locate(options["responses"]), options["log.flush"]
        # A micro-batch is replayed as itself, a batch in whatever partitions.
        folders = task.folder[: 1 if task.batch is None else 2]
        self._answered = LoggedAnswers(location.within(*folders), ambiguous=options["delivery"] == "atMostOnce")
        self._log = ResponseLog(location, task, flush_seconds=flush.seconds, flush_rows=flush.rows)
        self._whole = Journal(self._log, task, options.replaced({"log.body": "always"}), cleaner)
        self._bare = Journal(self._log, task, options.replaced({"log.body": "never"}), cleaner)
        self._occurrences = Occurrences()

    def identify(self, chunk: Chunk, builder: RequestBuilder) -> None:
        """Say who each row is."""
        chunk.digests = row_digests(chunk.batch, builder.whole_rows(chunk))
        chunk.occurrences = self._occurrences.number(chunk.digests)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """What the run was answered before this task began.

        Raises:
            ResponseLogError: It cannot be read.
        """
        return self._answered.find(keys)

    def record(self, outcome: Outcome, part: Part, row: int, answer: Answer, body: bytes) -> None:
        """Write down the answer of a row.

        Args:
            outcome: Of its request.
            part: Which row it is.
            row: See `part`.
            answer: What it comes to.
            body: The row's part of what came back.

        Raises:
            ResponseLogError: It cannot be written.
        """
        request, exchange = outcome.request, outcome.exchange
        own = Request(request.method, request.url, idempotency_key=request.idempotency_key)
        own.id, own.attempts, own.first_at = part.keys[row].hex(), request.attempts, request.first_at
        if exchange is not None:
            exchange = Exchange(own, answer.status, exchange.headers, body, elapsed=exchange.elapsed)
        self._add(self._whole, Outcome(own, answer.kind, answer.error, exchange), part, row, answer)

    def share(self, part: Part, row: int, answer: Answer) -> None:
        """Write down that a row shares the answer of another, with which it stands.

        Raises:
            ResponseLogError: It cannot be written.
        """
        shared = Request(part.method(row), part.url(row))
        shared.id = part.keys[row].hex()
        self._add(self._bare, Outcome(shared, answer.kind, answer.error), part, row, answer)

    def refuse(self, part: Part, row: int, answer: Answer) -> None:
        """Write down a row that cannot be sent.

        Raises:
            ResponseLogError: It cannot be written.
        """
        self._add(self._bare, Outcome(Request("", ""), answer.kind, answer.error), part, row, answer)

    def tick(self) -> None:
        """Begin to write what has waited long enough.

        Raises:
            ResponseLogError: It cannot be written.
        """
        self._log.tick()

    def flush(self) -> None:
        """Write everything, and wait until it is there.

        Raises:
            ResponseLogError: It cannot be written.
        """
        self._log.flush()

    def _add(self, journal: Journal, outcome: Outcome, part: Part, row: int, answer: Answer) -> None:
        journal.record(outcome, part.chunk, [row], answer.kind, answer.status, answer.error)
