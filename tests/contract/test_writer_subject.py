"""The rows that the contract of writers hands to a connector."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
from pyspark.sql.types import LongType, StructType, TimestampType

from trunkline.testing.writer_subject import WriterSubject

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Timed(WriterSubject):
    """Rows with a time."""

    def row(self, number: int) -> dict[str, Any]:
        return {"id": number, "at": BEGIN + timedelta(seconds=number)}

    def schema(self) -> StructType:
        return StructType().add("id", LongType()).add("at", TimestampType())


def test_rows_may_hold_times() -> None:
    """They come as Spark hands them over, in UTC, in several batches."""
    batches = Timed().batches(range(25))
    assert [batch.num_rows for batch in batches] == [10, 10, 5]
    assert batches[0].schema.field("at").type == pa.timestamp("us", "UTC")
    assert [row for batch in batches for row in batch.to_pylist()] == [Timed().row(number) for number in range(25)]
