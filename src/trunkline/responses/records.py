"""What stands in a response log: one record per row sent."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

SCHEMA_VERSION = "1"
SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("batch_id", pa.int64()),
        pa.field("partition_id", pa.int32(), nullable=False),
        pa.field("task_attempt_id", pa.int64(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("row_digest", pa.binary(), nullable=False),
        pa.field("occurrence", pa.int32(), nullable=False),
        pa.field("idempotency_key", pa.string()),
        pa.field("method", pa.string()),
        pa.field("url", pa.string()),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("status_code", pa.int32()),
        pa.field("error", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("response_headers", pa.map_(pa.string(), pa.string())),
        pa.field("response_body", pa.string()),
        pa.field("requested_at", pa.timestamp("us", "UTC")),
        pa.field("elapsed_ms", pa.int32()),
        pa.field("worker", pa.string(), nullable=False),
        pa.field("row", pa.string()),
    ],
    metadata={"trunkline.responses": SCHEMA_VERSION},
)
_ONCE = frozenset({"response_headers", "response_body"})


@dataclass(frozen=True)
class Task:
    """Who writes: one attempt at one partition of one run. `batch` is None outside streams."""

    run: str
    batch: int | None
    partition: int
    attempt_id: int

    @property
    def folder(self) -> tuple[str, str, str]:
        """Where its records stand below the log's folder."""
        return (f"run={self.run}", f"batch={self.batch or 0}", f"part={self.partition:05d}")


class Record(NamedTuple):
    """What one request says about each of its rows; the rest of a log record."""

    request_id: str
    idempotency_key: str | None
    method: str
    url: str
    outcome: str
    status: int
    error: str
    attempts: int
    headers: dict[str, str] | None
    body: str | None
    requested_at: float
    elapsed: float


class Gathered:
    """Records on their way into a file. Those of one request share its `Record`.

    Attributes:
        size: Characters of the bodies and rows among them, which is what makes records large.
    """

    def __init__(self) -> None:
        self.size = 0
        self._records: list[Record] = []
        self._counts: list[int] = []
        self._digests: list[bytes] = []
        self._occurrences: list[int] = []
        self._row_texts: list[str | None] = []

    def __len__(self) -> int:
        return len(self._digests)

    def add(
        self, record: Record, digests: Sequence[bytes], occurrences: Sequence[int], rows: Sequence[str | None]
    ) -> None:
        """Add a record for each row of one request."""
        self._records.append(record)
        self._counts.append(len(digests))
        self._digests.extend(digests)
        self._occurrences.extend(occurrences)
        self._row_texts.extend(rows)
        self.size += len(record.body or "") + sum(map(len, filter(None, rows)))

    def table(self, task: Task) -> pa.Table:
        """All of them, as they stand in a file.

        Raises:
            ValueError: A text cannot be written, such as one with half a surrogate pair.
        """
        records, counts = self._records, self._counts
        # One request's facts are told once and repeated for its rows by Arrow, not by Python.
        index = pa.array([i for i, count in enumerate(counts) for _ in range(count)], pa.int32())
        per_request: dict[str, pa.Array] = {
            "request_id": pa.array([r.request_id for r in records], pa.string()),
            "idempotency_key": pa.array([r.idempotency_key for r in records], pa.string()),
            "method": pa.array([r.method for r in records], pa.string()),
            "url": pa.array([r.url for r in records], pa.string()),
            "outcome": pa.array([r.outcome for r in records], pa.string()),
            "status_code": pa.array([r.status or None for r in records], pa.int32()),
            "error": pa.array([r.error or None for r in records], pa.string()),
            "attempts": pa.array([r.attempts for r in records], pa.int32()),
            "response_headers": pa.array(
                [None if r.headers is None else list(r.headers.items()) for r in records],
                SCHEMA.field("response_headers").type,
            ),
            "response_body": pa.array([r.body for r in records], pa.string()),
            "requested_at": pa.array(
                [int(r.requested_at * 1e6) if r.requested_at else None for r in records], pa.timestamp("us", "UTC")
            ),
            "elapsed_ms": pa.array([round(r.elapsed * 1000) if r.attempts else None for r in records], pa.int32()),
        }
        one_row_each = len(index) == len(records)
        rows = len(self._digests)
        # What may be long stands with the first row of a request only; `request_id` leads there.
        once = index if one_row_each else pa.array([i if first else None for i, first in _firsts(counts)], pa.int32())
        columns: dict[str, Any] = {
            name: array if one_row_each else array.take(once if name in _ONCE else index)
            for name, array in per_request.items()
        }
        columns |= {
            "run_id": pa.repeat(pa.scalar(task.run, pa.string()), rows),
            "batch_id": pa.repeat(pa.scalar(task.batch, pa.int64()), rows),
            "partition_id": pa.repeat(pa.scalar(task.partition, pa.int32()), rows),
            "task_attempt_id": pa.repeat(pa.scalar(task.attempt_id, pa.int64()), rows),
            "row_digest": pa.array(self._digests, pa.binary()),
            "occurrence": pa.array(self._occurrences, pa.int32()),
            "worker": pa.repeat(pa.scalar(f"{socket.gethostname()}:{os.getpid()}", pa.string()), rows),
            "row": pa.array(self._row_texts, pa.string()),
        }
        return pa.table([columns[field.name] for field in SCHEMA], schema=SCHEMA)


def _firsts(counts: Sequence[int]) -> Iterator[tuple[int, bool]]:
    """For each row its request's position, and whether it is the request's first row."""
    for i, count in enumerate(counts):
        yield from ((i, row == 0) for row in range(count))
