"""What the contracts of batch and stream readers share: the reader under test, and the API that it reads.

The API is a `FaultServer`, whose rows, pages and faults the tests choose; what a connector adds is one call of
`FaultServer.dataset` that says how its API hands out rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from trunkline.testing.owed import counted, differences
from trunkline.testing.server import FaultServer
from trunkline.testing.source_contract import SourceContract

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

# The time of row 0; later rows follow by the second. Long enough ago for a stream that lets rows settle.
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
# What an API that is not well answers, as steps of `FaultServer.route`: none of it says that there is no row.
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500, "body": {"error": "it is broken"}},
    "404": {"status": 404, "body": {"error": "there is no such thing"}},
    "401": {"status": 401, "body": {"error": "who are you?"}},
    "a page for humans": {
        "status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html><body>Please log in.</body></html>",
    },
    "an error with status 200": {"status": 200, "body": {"error": {"code": 7, "message": "try again later"}}},
    "an answer cut short": {"fault": "truncate", "dataset": {}},
    "a lost connection": {"fault": "reset"},
}  # fmt: skip

# A row: its number, and its time.
Numbered = tuple[int, datetime]


class ReaderSubject(SourceContract):
    """Override `source`, `options` and `serve`; `record`, `row` and `schema` where the rows do not suit.

    Attributes:
        server: What plays the API: the fixture `fault_server` of `trunkline.testing.plugin`.
    """

    server: FaultServer

    @pytest.fixture(autouse=True)
    def _api(self, fault_server: FaultServer) -> None:
        self.server = fault_server

    def options(self) -> dict[str, str]:
        """What a user writes to read the API: about ten rows in a page, few and short waits where a request fails."""
        raise NotImplementedError

    def serve(self, records: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]] = ()) -> None:
        """Declare the API with these records, in pages of about ten.

        Args:
            records: All that it holds.
            steps: What it answers first, as `FaultServer.dataset` takes them.
        """
        raise NotImplementedError

    def record(self, number: int, at: datetime) -> dict[str, Any]:
        """A record of the API that no other number gives; by default some have a null, and some lack a field."""
        found: dict[str, Any] = {"id": number, "name": f"name {number}", "at": at.isoformat(), "amount": number / 2}
        if number % 7 == 3:
            found["name"] = None
        if number % 7 == 5:
            del found["amount"]
        return found

    def row(self, number: int, at: datetime) -> dict[str, Any]:
        """What `record` is in a DataFrame, as Arrow's `to_pylist` gives it."""
        name = None if number % 7 == 3 else f"name {number}"
        return {"id": number, "name": name, "at": at, "amount": None if number % 7 == 5 else number / 2}

    def schema(self) -> StructType:
        """The schema of `row`."""
        from pyspark.sql.types import DoubleType, LongType, StringType, StructType, TimestampType

        found = StructType().add("id", LongType()).add("name", StringType())
        return found.add("at", TimestampType()).add("amount", DoubleType())

    # What the tests share

    def records(self, rows: Iterable[Numbered]) -> list[dict[str, Any]]:
        """These rows as the API holds them."""
        return [self.record(number, at) for number, at in rows]

    def expect(self, found: Iterable[pa.RecordBatch], rows: Iterable[Numbered], why: str, *columns: str) -> None:
        """What was read are these rows, each once, in any order; of some columns only where they are named."""
        wanted = counted(_chosen(self.row(number, at), columns) for number, at in rows)
        seen = counted(_chosen(row, columns) for batch in found for row in batch.to_pylist())
        assert seen == wanted, f"{why}: {differences(seen, wanted)}"

    def credentials_elsewhere(self) -> list[str]:
        """What another host was sent that looks like a credential."""
        values = [self.options()[name] for name in self.secrets]
        found = []
        for exchange in self.server.ledger(origin="other"):
            sent = exchange.head.decode("latin-1") + exchange.body.decode("latin-1")
            if any(value in sent for value in values) or {"authorization", "cookie"} & set(exchange.headers):
                found.append(f"{exchange.method} {exchange.path}")
        return found


def numbered(count: int, *, same_time: int = 1) -> list[Numbered]:
    """So many rows, of which every `same_time` have one time."""
    return [(number, BEGIN + timedelta(seconds=number // same_time)) for number in range(count)]


def _chosen(row: Mapping[str, Any], columns: Sequence[str]) -> Mapping[str, Any]:
    return {name: row[name] for name in columns} if columns else row
