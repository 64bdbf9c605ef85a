"""What a write puts into the response log: each row's fate, without a secret in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from trunkline.http.cleaner import Cleaner
from trunkline.http.message import Outcome, Request, loggable_headers
from trunkline.responses import Record, ResponseLog, Task
from trunkline.values import JsonOptions, encode

if TYPE_CHECKING:
    from trunkline.options import Options
    from trunkline.rest.rows import Chunk

# How a row is kept: complete, so that `rejected()` can give it back with its types.
_WHOLE_ROW = JsonOptions(non_finite="text", decimals="string")


class Journal:
    """Writes outcomes into a response log.

    Args:
        log: Where to.
        task: Whose outcomes.
        options: `log.body` and `log.row` say what is kept of which.
        cleaner: For texts.
    """

    def __init__(self, log: ResponseLog, task: Task, options: Options, cleaner: Cleaner) -> None:
        self.log = log
        self._body: str = options["log.body"]
        self._row: str = options["log.row"]
        self._clean: Callable[[str], str] = cleaner.clean
        self._prefix = f"{task.run}-{task.partition}-{task.attempt_id}"
        self._requests = 0
        self._last_url = ""
        self._last_clean_url = ""

    def record(self, outcome: Outcome, chunk: Chunk, rows: Sequence[int], kind: str, status: int, reason: str) -> None:
        """Write down what became of some rows of a request.

        Raises:
            ResponseLogError: The log cannot be written.
        """
        request, exchange = outcome.request, outcome.exchange
        failed = kind != "accepted"
        headers = body = None
        if exchange is not None and _wanted(self._body, failed=failed):
            headers = {name: self._clean(value) for name, value in loggable_headers(exchange.headers).items()}
            body = self._clean(exchange.body.decode("utf-8", "replace"))
        record = Record(
            request_id=self._id(request),
            idempotency_key=request.idempotency_key,
            method=request.method,
            url=self._url(request.url),
            outcome=kind,
            status=status,
            error=self._clean(reason) if reason else "",
            attempts=outcome.attempts,
            headers=headers,
            body=body,
            requested_at=outcome.requested_at,
            elapsed=outcome.elapsed,
        )
        texts: list[str | None] = [None] * len(rows)
        if _wanted(self._row, failed=failed):
            texts = whole_rows(chunk.batch.take(pa.array(rows, pa.int64())))
        digests = [chunk.digests[row] for row in rows]
        self.log.add(record, digests, [chunk.occurrences[row] for row in rows], texts)

    def _id(self, request: Request) -> str:
        if request.id is None:
            self._requests += 1
            request.id = f"{self._prefix}-{self._requests}"
        return request.id

    def _url(self, url: str) -> str:
        if url != self._last_url:
            self._last_url, self._last_clean_url = url, self._clean(url)
        return self._last_clean_url


def whole_rows(batch: pa.RecordBatch) -> list[str | None]:
    """Each row as JSON that reads back with its types; what JSON has no number for stands as text, `"NaN"`."""
    whole = encode(batch, _WHOLE_ROW)
    return [None if row in whole.errors else whole.row(row).decode() for row in range(len(whole))]


def _wanted(when: str, *, failed: bool) -> bool:
    return when == "always" or (when == "onError" and failed)
