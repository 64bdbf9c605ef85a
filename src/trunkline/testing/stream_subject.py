"""What the contract of stream readers shares: an API that grows, and a query that follows it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from trunkline.testing.owed import owed
from trunkline.testing.reader_process import Batch, Query
from trunkline.testing.reader_subject import Numbered, ReaderSubject
from trunkline.testing.writer_process import CallError, Workers

if TYPE_CHECKING:
    import pyarrow as pa

# How many of its intervals a stream is watched for rows that come twice.
_WATCHED = 3
# Between two polls; Spark waits as long.
_PAUSE = 0.01


class StreamSubject(ReaderSubject):
    """Override what `ReaderSubject` says, and `append`; the rest says what else the connector can do.

    Attributes:
        interval: Seconds between two requests of an idle stream with `options()`: let them be few.
        patience: Seconds that rows may take from the API into a batch.
    """

    interval: float = 0.05
    patience: float = 60.0

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records to what the API serves."""
        raise NotImplementedError

    def limited(self) -> dict[str, str]:
        """What a user adds to `options` for batches of about five rows; empty where that cannot be had."""
        return {}

    # What the tests share

    def begin(self, workers: Workers, *, limits: bool = False, more: Mapping[str, str] | None = None) -> Query:
        """Begin a query with `options()` and more options."""
        with owed("a stream reader that can be made and pickled"):
            return Query(workers, self.source, {**self.options(), **(more or {})}, self.schema(), limits=limits)

    def follow(self, query: Query, count: int, *, most: int | None = None, restarts: int = 0) -> list[Batch]:
        """Run batches until they hold so many rows, and watch for a moment whether more come.

        Args:
            query: Goes on from where it stands.
            count: Rows that are there.
            most: A limit for Spark 4.2 and later.
            restarts: How often the query may end in an error.
        """
        batches: list[Batch] = []
        deadline = time.monotonic() + self.patience
        watched_from: float | None = None
        while time.monotonic() < deadline:
            try:
                batch = query.batch(most=most)
            except CallError as error:
                if restarts == 0:
                    pytest.fail(f"the connector owes a batch of rows\n\n{error}")
                restarts -= 1
                query.restart()
                continue
            if batch is not None:
                batches.append(batch)
                watched_from = None
                if count_rows(batches) > 3 * count + 3:
                    break
                continue
            if count_rows(batches) >= count:
                watched_from = watched_from or time.monotonic()
                if time.monotonic() - watched_from > _WATCHED * self.interval:
                    break
            time.sleep(_PAUSE)
        return batches

    def some_polls(self, query: Query, longest: float = math.inf) -> list[Batch]:
        """What comes within two intervals, and within so many seconds."""
        found = []
        deadline = time.monotonic() + min(2 * self.interval, longest)
        while time.monotonic() < deadline:
            batch = query.batch()
            if batch is not None:
                found.append(batch)
            time.sleep(_PAUSE)
        return found

    def newly(self, numbers: Sequence[int]) -> list[Numbered]:
        """Rows of this moment, as an API dates them whose clock counts seconds."""
        now = datetime.now(timezone.utc).replace(microsecond=0)
        return [(number, now) for number in numbers]

    def sorted_rows(self, batches: Sequence[pa.RecordBatch]) -> list[str]:
        """Rows that can be compared."""
        return sorted(str(row) for batch in batches for row in batch.to_pylist())


def rows_of(batches: Sequence[Batch]) -> list[pa.RecordBatch]:
    """What some micro-batches hold."""
    return [rows for batch in batches for rows in batch.rows]


def count_rows(batches: Sequence[Batch]) -> int:
    """How many rows that is."""
    return sum(rows.num_rows for rows in rows_of(batches))
