"""The response log as `request()` keeps it: a record for each row, and each answer once, under the key of its request.

Bodies and headers are always there, because later evaluations are answered from them.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.http.cleaner import Cleaner
from trunkline.http.message import Request
from trunkline.options import Options
from trunkline.responses import Record, ResponseLog, Task, locate
from trunkline.rest.answered import LoggedAnswers
from trunkline.rest.answers import Answer, AnswerTexts
from trunkline.rest.journal import whole_rows
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
        self._row: str = options["log.row"]
        self._prefix = f"{task.run}-{task.partition}-{task.attempt_id}"
        self._refused = 0
        self._texts = AnswerTexts(cleaner.clean)
        self._clean = cleaner.clean
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

    def record(self, request: Request, part: Part, row: int, answer: Answer) -> None:
        """Write down the answer to a request, of one of its rows.

        Raises:
            ResponseLogError: It cannot be written.
        """
        texts = self._texts
        self._add(part, row, Record(
            request_id=part.keys[row].hex(),
            idempotency_key=request.idempotency_key,
            method=request.method,
            url=self._clean(request.url),
            outcome=answer.kind,
            status=answer.status,
            error=answer.error,
            attempts=answer.attempts,
            headers=None if answer.headers is None else texts.headers(answer.headers),
            body=None if answer.body is None else texts.body(answer.body),
            requested_at=request.first_at,
            elapsed=(answer.elapsed or 0) / 1000,
        ))  # fmt: skip

    def share(self, part: Part, row: int, answer: Answer) -> None:
        """Write down that a row shares the answer of another, with which it stands.

        Raises:
            ResponseLogError: It cannot be written.
        """
        method, url = part.method(row), self._clean(part.url(row))
        self._add(part, row, _untried(part.keys[row].hex(), method, url, answer))

    def refuse(self, part: Part, row: int, answer: Answer) -> None:
        """Write down a row that cannot be sent.

        Raises:
            ResponseLogError: It cannot be written.
        """
        self._refused += 1
        self._add(part, row, _untried(f"{self._prefix}-{self._refused}", "", "", answer))

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

    def _add(self, part: Part, row: int, record: Record) -> None:
        chunk = part.chunk
        kept = self._row == "always" or (self._row == "onError" and record.outcome != "accepted")
        texts = whole_rows(chunk.batch.slice(row, 1)) if kept else [None]
        self._log.add(record, [chunk.digests[row]], [chunk.occurrences[row]], texts)


def _untried(request_id: str, method: str, url: str, answer: Answer) -> Record:
    """The record of a row for which nothing was sent."""
    return Record(request_id, None, method, url, answer.kind, answer.status, answer.error, 0, None, None, 0.0, 0.0)
