"""Pages of a known total on their way together: nothing about the rows changes, and a wrong guess costs little."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest

from trunkline.errors import RejectedError, UnavailableError
from trunkline.rest.options import read_options
from trunkline.rest.pages import Connection, Pages, read_ahead
from trunkline.rest.reading import ReadPlan, read_slices, requests_of, walk_of
from trunkline.rest.slices import Slice
from trunkline.testing import FaultServer

pytest_plugins = ["trunkline.testing.plugin"]

SCHEMA = pa.schema([("id", pa.int64())])
OFFSET = {"pagination": "offset", "page.size": "10", "page.sizeParam": "limit", "page.totalField": "total"}
PAGE = {"pagination": "page", "page.size": "10", "page.sizeParam": "page_size", "page.totalField": "total"}
# Slow enough that requests that may be in flight together are.
DELAY = 0.3
# Slow enough that they overlap.
BRIEF = 0.1


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
    fault_server.dataset("GET /items", count=200, paging="offset", delay=BRIEF, **served)
    assert ids(batches(fault_server, **said)) == list(range(150 if "maxRows" in said else 200))
    assert fault_server.max_in_flight == 1


def test_four_at_once_unless_told(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, delay=DELAY)
    assert ids(batches(fault_server, **OFFSET)) == list(range(200))
    assert fault_server.max_in_flight == 4


def test_a_short_page_ends_the_guessing(fault_server: FaultServer) -> None:
    """Every row once; what was asked for in vain are the pages in flight behind the short one, and no others."""
    short = {"when": {"query": {"offset": "50"}}, "dataset": {"cap": 3}}
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, delay=BRIEF, steps=[short])
    assert ids(batches(fault_server, concurrency="5", **OFFSET)) == list(range(200))
    asked = [exchange.query["offset"][0] for exchange in fault_server.ledger("/items")]
    wanted = [str(offset) for offset in [*range(0, 60, 10), *range(53, 200, 10)]]
    assert Counter(asked) - Counter(wanted) <= Counter(["60", "70", "80", "90"])
    assert Counter(wanted) - Counter(asked) == Counter()


def test_an_error_stands_behind_the_rows_before_it(fault_server: FaultServer) -> None:
    """A page that was asked for early fails when its turn has come."""
    gone = {"when": {"query": {"offset": "30"}}, "status": 404}
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, delay=BRIEF, steps=[gone])
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
        fault_server.wait_for("/items", taken + 4, timeout=60)
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


@pytest.mark.parametrize("concurrency", ["1", "4", "16"])
def test_pages_that_take_the_server_too_long_are_asked_for_in_halves(
    concurrency: str, fault_server: FaultServer
) -> None:
    """The pages beside them take it too long as well, and count for no outage: five tries, as one at a time has."""
    slow = [{"when": {"query": {"offset": str(offset), "limit": "10"}}, "status": 504} for offset in range(30, 200, 10)]
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, steps=slow)
    said = {"deadline": "2m", "retry.maxDelay": "50ms", **OFFSET}
    assert ids(batches(fault_server, concurrency=concurrency, **said)) == list(range(200))
    asked = Counter(exchange.query["offset"][0] for exchange in fault_server.ledger("/items", status=504))
    assert asked.pop("30") in {5, 6}
    assert set(asked.values()) <= {1}


@pytest.mark.parametrize("concurrency", ["1", "4", "16"])
def test_pages_that_fail_for_good_end_a_read_after_five_tries(concurrency: str, fault_server: FaultServer) -> None:
    """All from one on, as those beyond the depth that a server can go to: it answers others, so this is no outage."""
    deep = [{"when": {"query": {"offset": str(offset)}}, "status": 500} for offset in range(100, 200, 10)]
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, steps=deep)
    found = batches(fault_server, concurrency=concurrency, **{"retry.maxDelay": "50ms"}, **OFFSET)
    assert [next(found).num_rows for _ in range(10)] == [10] * 10
    # An outage would end with "no good answer for 600 s".
    with pytest.raises(UnavailableError, match=r"after \d+ tries: status 500[:.]"):
        next(found)
    asked = Counter(exchange.query["offset"][0] for exchange in fault_server.ledger("/items", status=500))
    assert 5 <= asked["100"] <= 10
    assert sum(asked.values()) <= 10 * int(concurrency)


def test_a_page_that_is_asked_for_again_to_find_out_about_an_outage_is_not_read_again(
    fault_server: FaultServer,
) -> None:
    failing = [
        {"when": {"query": {"offset": str(offset)}}, "status": 500, "times": 3} for offset in range(100, 200, 10)
    ]
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, steps=failing)
    assert ids(batches(fault_server, concurrency="5", **{"retry.maxAttempts": "10"}, **OFFSET)) == list(range(200))
    served = Counter(fault_server.served("/items"))
    assert (set(served), sum(served.values()) > 200) == (set(range(200)), True)


def test_a_page_that_nobody_wants_any_more_is_not_tried_again(fault_server: FaultServer) -> None:
    """Nor is it asked for at all where it had to wait for its turn."""
    short = {"when": {"query": {"offset": "50"}}, "dataset": {"cap": 3}}
    ill = [{"when": {"query": {"offset": str(offset)}}, "status": 500} for offset in range(60, 200, 10)]
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, delay=BRIEF, steps=[short, *ill])
    found = ids(batches(fault_server, concurrency="5", rateLimit="20/s", **OFFSET))
    assert found == list(range(200))
    assert max(Counter(exchange.query["offset"][0] for exchange in fault_server.ledger("/items")).values()) == 1


def test_what_one_chain_asked_for_in_vain_does_not_stay_for_the_next(fault_server: FaultServer) -> None:
    """A page that holds all that was left ends the chain while others are on their way; nothing of it is kept."""
    rest = {"when": {"query": {"offset": "20"}}, "dataset": {"cap": 180}}
    fault_server.dataset("GET /items", count=200, paging="offset", total=True, cap=10, delay=DELAY, steps=[rest])
    said = {**OFFSET, "page.size": "180", "concurrency": "5"}
    parsed = read_options({"url": fault_server.url_for("/items"), **said}).resolved()
    with closing(Connection(parsed, tasks=1)) as connection:
        connection.room = lambda: 5
        pages = Pages(connection, walk_of(parsed, Slice()), requests_of(parsed, Slice()))
        assert [page.count for page in pages] == [10, 10, 180]
        assert fault_server.count("/items") > 3
        assert connection._arrived == {}


def test_a_stream_that_stops_in_the_middle_has_asked_for_one_page_in_vain(fault_server: FaultServer) -> None:
    """It knows where its micro-batch ends only when it is there."""
    fault_server.dataset("GET /items", count=200, paging="offset", total=True)
    parsed = read_options({"url": fault_server.url_for("/items"), **OFFSET}).resolved()
    connection = Connection(parsed, tasks=1)
    found = read_ahead(connection, Pages(connection, walk_of(parsed, Slice()), requests_of(parsed, Slice())))
    assert [next(found).count for _ in range(3)] == [10, 10, 10]
    fault_server.wait_for("/items", 4, timeout=60)
    time.sleep(0.2)
    assert fault_server.count("/items") == 4
    found.close()  # type: ignore[attr-defined]
