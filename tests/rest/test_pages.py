"""Pages of a known total on their way together: nothing about the rows changes, and a wrong guess costs little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from trunkline.errors import RejectedError
from trunkline.rest.options import read_options
from trunkline.rest.reading import ReadPlan, read_slices
from trunkline.rest.slices import Slice
from trunkline.testing import FaultServer

pytest_plugins = ["trunkline.testing.plugin"]

SCHEMA = pa.schema([("id", pa.int64())])
OFFSET = {"pagination": "offset", "page.size": "10", "page.sizeParam": "limit", "page.totalField": "total"}
PAGE = {"pagination": "page", "page.size": "10", "page.sizeParam": "page_size", "page.totalField": "total"}
# Slow enough that requests that may be in flight together are.
DELAY = 0.3


def batches(server: FaultServer, **options: str) -> Iterator[pa.RecordBatch]:
    """What a task gets of 200 rows in pages of ten."""
    parsed = read_options({"url": server.url_for("/items"), **options}).resolved()
    return iter(read_slices(ReadPlan(parsed, SCHEMA), (Slice(),), 1))


def ids(found: Iterator[pa.RecordBatch]) -> list[Any]:
    return [number for batch in found for number in batch.column("id").to_pylist()]


@pytest.mark.parametrize(
    ("served", "said"),
    [
        ({"paging": "offset", "total": True}, OFFSET),
        ({"paging": "offset", "total": True, "cap": 4}, OFFSET),
        ({"paging": "offset", "total": "header"}, {**OFFSET, "page.totalField": "header:X-Total-Count"}),
        ({"paging": "page", "total": True}, PAGE),
        ({"paging": "offset", "total": True, "size": 10}, {}),
    ],
    ids=["offset", "capped", "total in a header", "page", "auto"],
)
def test_they_come_in_order_and_each_is_asked_for_once(
    served: dict[str, Any], said: dict[str, str], fault_server: FaultServer
) -> None:
    """As many at once as `concurrency` says, whatever the style, and whatever page size the server has of its own."""
    fault_server.dataset("GET /items", count=200, delay=DELAY, **served)
    assert ids(batches(fault_server, concurrency="5", **said)) == list(range(200))
    assert Counter(fault_server.served("/items")) == Counter(range(200))
    assert fault_server.max_in_flight == 5


@pytest.mark.parametrize(
    ("served", "said"),
    [
        ({"total": True}, {**OFFSET, "concurrency": "1"}),
        ({}, {"pagination": "offset", "page.size": "10", "page.sizeParam": "limit", "concurrency": "5"}),
        ({"total": True}, {**OFFSET, "concurrency": "5", "maxRows": "150"}),
    ],
    ids=["concurrency=1", "no total", "maxRows"],
)
def test_one_page_at_a_time(served: dict[str, Any], said: dict[str, str], fault_server: FaultServer) -> None:
    """Where one is asked for, where the end is not known, and where rows are counted."""
    fault_server.dataset("GET /items", count=200, paging="offset", delay=DELAY, **served)
    assert ids(batches(fault_server, **said)) == list(range(150 if "maxRows" in said else 200))
    assert fault_server.max_in_flight == 1


def test_four_at_once_unless_told(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, delay=DELAY)
    assert ids(batches(fault_server, **OFFSET)) == list(range(200))
    assert fault_server.max_in_flight == 4


def test_a_short_page_ends_the_guessing(fault_server: FaultServer) -> None:
    """Every row once; what was asked for in vain are the pages in flight behind the short one, and no others."""
    short = {"when": {"query": {"offset": "50"}}, "dataset": {"cap": 3}}
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, delay=DELAY, steps=[short])
    assert ids(batches(fault_server, concurrency="5", **OFFSET)) == list(range(200))
    asked = [exchange.query["offset"][0] for exchange in fault_server.ledger("/items")]
    wanted = [str(offset) for offset in [*range(0, 60, 10), *range(53, 200, 10)]]
    assert Counter(asked) - Counter(wanted) <= Counter(["60", "70", "80", "90"])
    assert Counter(wanted) - Counter(asked) == Counter()


def test_an_error_stands_behind_the_rows_before_it(fault_server: FaultServer) -> None:
    """A page that was asked for early fails when its turn has come."""
    gone = {"when": {"query": {"offset": "30"}}, "status": 404}
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, delay=DELAY, steps=[gone])
    found = batches(fault_server, concurrency="5", **OFFSET)
    assert [next(found).num_rows for _ in range(3)] == [10, 10, 10]
    with pytest.raises(RejectedError, match="offset"):
        next(found)


def test_a_reader_that_stops_taking_stops_the_asking(fault_server: FaultServer) -> None:
    """With one page taken, one more waits than may be in flight; each that is taken makes room for one."""
    fault_server.dataset("GET /items", count=200, paging="offset", total=True)
    found = batches(fault_server, concurrency="3", **OFFSET)
    for taken in range(1, 6):
        next(found)
        fault_server.wait_for("/items", taken + 4)
        assert fault_server.count("/items") == taken + 4
    found.close()  # type: ignore[attr-defined]


def test_pages_that_are_wanted_late_are_tried_again(fault_server: FaultServer) -> None:
    """A 503 of a page that was asked for early is retried as that of any other."""
    fault_server.dataset(
        "GET /items", count=200, paging="offset", total=True,
        steps=[{"when": {"query": {"offset": "40"}}, "status": 503, "times": 2}],
    )  # fmt: skip
    assert ids(batches(fault_server, concurrency="5", **OFFSET)) == list(range(200))
    assert fault_server.count("/items", status=503) == 2
