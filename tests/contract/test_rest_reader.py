"""The format `rest` keeps the contract of every reader, whatever the pages, and of every stream reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from trunkline.rest.source import RestDataSource
from trunkline.testing import FaultServer
from trunkline.testing.reader_contract import ReaderContract
from trunkline.testing.reader_subject import ReaderSubject
from trunkline.testing.source_contract import shared_workers
from trunkline.testing.spark_reader_contract import SparkReaderContract, SparkStreamReaderContract
from trunkline.testing.stream_reader_contract import StreamReaderContract

TOKEN = "s3cr3t-of-the-reader"
SAID = {"auth.type": "bearer", "auth.token": TOKEN, "retry.maxAttempts": "2", "retry.maxDelay": "10ms"}


class RestApi(ReaderSubject):
    """A server that checks a bearer token; `served` is how it hands out pages, `said` what reads them."""

    source = RestDataSource
    secrets = ("auth.token",)
    served: Mapping[str, Any] = {}
    said: Mapping[str, str] = {}

    def options(self) -> dict[str, str]:
        return {"url": self.server.url_for("/rows"), **SAID, **self.said}

    def serve(self, records: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]] = ()) -> None:
        before = [{"bearer": [TOKEN]}, *steps]
        self.server.dataset("GET /rows", rows=records, steps=before, size=10, **self.served)


class TestRestReader(RestApi, SparkReaderContract):
    """The address of the next page in each answer, found without being told."""

    served: Mapping[str, Any] = {"paging": "nextUrl"}


@pytest.mark.slow
class TestRestReaderInParts(RestApi, ReaderContract):
    """Three tasks, each with its share of the pages."""

    served: Mapping[str, Any] = {"total": True}
    said: Mapping[str, str] = {
        "pagination": "offset", "page.size": "10", "page.sizeParam": "limit", "page.totalField": "total",
        "numPartitions": "3",
    }  # fmt: skip


@pytest.mark.slow
class TestRestReaderByCursor(RestApi, ReaderContract):
    """A token in each answer that names the next page."""

    served: Mapping[str, Any] = {"paging": "cursor"}
    said: Mapping[str, str] = {"pagination": "cursor", "page.nextField": "next", "records": "items"}


@pytest.mark.slow
class TestRestReaderByPageNumber(RestApi, ReaderContract):
    """Until a page is empty."""

    served: Mapping[str, Any] = {"paging": "page"}
    said: Mapping[str, str] = {"pagination": "page"}


@pytest.mark.slow
class TestRestReaderByLink(RestApi, ReaderContract):
    """A header names the next page."""

    served: Mapping[str, Any] = {"paging": "link"}
    said: Mapping[str, str] = {"pagination": "link", "records": "items"}


@pytest.mark.slow
class TestRestReaderInWindows(RestApi, ReaderContract):
    """Four tasks, each with the rows of a range of ids."""

    needed = ("id",)
    served: Mapping[str, Any] = {"filters": {"from": ["id", "ge"], "to": ["id", "lt"]}}
    said: Mapping[str, str] = {
        "pagination": "offset", "partition.by": "id", "lowerBound": "0", "upperBound": "1000", "numPartitions": "4",
        "partition.lowerParam": "from", "partition.upperParam": "to", "partitionColumn": "id",
    }  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        {"pagination": "cursor", "page.nextField": "next"},
        {"pagination": "nextUrl", "page.nextField": "next"},
        {"pagination": "link"},
    ],
    ids=lambda said: said["pagination"],
)
def test_an_error_with_status_200_is_no_record(
    fault_server: FaultServer, request: pytest.FixtureRequest, said: Mapping[str, str]
) -> None:
    """The answer to a request for a page that holds none of the schema's columns is not a page of one row."""
    contract = TestRestReader()
    contract.server, contract.said = fault_server, said
    contract.test_a_failure_is_an_error(shared_workers(request.config), "an error with status 200", 1)


class RestStream(RestApi):
    """The same server, to which rows are added."""

    def options(self) -> dict[str, str]:
        return {**super().options(), "pollInterval": "50ms"}

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.server.add_rows("/rows", records)

    def limited(self) -> dict[str, str]:
        return {"maxRecordsPerTrigger": "5"}


class TestRestStreamByTime(RestStream, SparkStreamReaderContract):
    """Rows of a time are read once the second they stand for is over."""

    served: Mapping[str, Any] = {"filters": {"since": ["at", "ge"], "until": ["at", "lt"]}}
    said: Mapping[str, str] = {
        "pagination": "offset", "incremental.field": "at", "incremental.param": "since",
        "incremental.untilParam": "until", "incremental.settle": "1s",
    }  # fmt: skip


@pytest.mark.slow
class TestRestStreamByNumber(RestStream, StreamReaderContract):
    """A column that grows with every row."""

    served: Mapping[str, Any] = {"paging": "lastRecord"}
    said: Mapping[str, str] = {
        "pagination": "lastRecord", "page.cursorField": "id", "page.param": "after", "incremental.field": "id",
        "incremental.param": "after",
    }  # fmt: skip


@pytest.mark.slow
class TestRestStreamByPages(RestStream, StreamReaderContract):
    """A log: rows are only ever added."""

    served: Mapping[str, Any] = {"paging": "link"}
    said: Mapping[str, str] = {"pagination": "link"}
