"""`spark.readStream.format("rest")`: every row once, in exact batches, across restarts; and an API left in peace."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from trunkline.testing import FaultServer

pytestmark = pytest.mark.spark

ROW = "id LONG, name STRING, at TIMESTAMP, amount DOUBLE"
BY_TIME = {
    "incremental.field": "at", "incremental.param": "since", "incremental.untilParam": "until",
    "pagination": "offset", "pollInterval": "100ms", "incremental.settle": "0s",
}  # fmt: skip
BY_ID = {
    "incremental.field": "id", "incremental.param": "after", "pagination": "lastRecord", "page.cursorField": "id",
    "page.param": "after", "pollInterval": "100ms",
}  # fmt: skip
FILTERS = {"since": ["at", "ge"], "until": ["at", "lt"]}

Stream = Callable[..., DataFrame]


@pytest.fixture
def stream(spark: SparkSession, fault_server: FaultServer) -> Stream:
    """A stream of a path of the fault server."""

    def stream_of(path: str = "/items", schema: str = ROW, **options: object) -> DataFrame:
        given = {name.replace("__", "."): str(value) for name, value in options.items()}
        return spark.readStream.format("rest").schema(schema).options(**given).load(fault_server.url_for(path))

    return stream_of


def run_to_end(df: DataFrame, folder: Path) -> StreamingQuery:
    """All there is now, into Parquet, in as many batches as it takes."""
    query = (
        df.writeStream.format("parquet").option("checkpointLocation", str(folder / "checkpoint"))
        .option("path", str(folder / "rows")).trigger(availableNow=True).start()
    )  # fmt: skip
    query.awaitTermination(240)
    assert not query.isActive
    return query


def ids_in(spark: SparkSession, folder: Path) -> list[int]:
    """What the sink committed."""
    return sorted(row.id for row in spark.read.schema("id LONG").parquet(str(folder / "rows")).collect())


def offsets(folder: Path) -> list[dict[str, Any]]:
    """The offsets in the checkpoint, oldest first."""
    files = sorted((folder / "checkpoint" / "offsets").glob("[0-9]*"), key=lambda path: int(path.name))
    return [json.loads(path.read_text().splitlines()[2]) for path in files]


def test_a_stream_by_time_goes_on_where_it_stopped(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """Each run reads what is new, and nothing twice."""
    fault_server.dataset("GET /items", count=50, size=7, filters=FILTERS)
    run_to_end(stream(**BY_TIME), tmp_path)
    assert ids_in(spark, tmp_path) == list(range(50))
    now = datetime.now(timezone.utc)
    fault_server.add_rows("/items", [{"id": 50 + n, "name": "new", "at": now.isoformat()} for n in range(5)])
    time.sleep(0.01)
    run_to_end(stream(**BY_TIME), tmp_path)
    assert ids_in(spark, tmp_path) == list(range(55))


def test_a_stream_by_number_goes_on_where_it_stopped(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """Its offset is the greatest number that was read."""
    fault_server.dataset("GET /items", count=50, size=7, paging="lastRecord", sort="id")
    run_to_end(stream(**BY_ID), tmp_path)
    assert offsets(tmp_path)[-1] == {"v": 1, "until": "49"}
    fault_server.add_rows("/items", [{"id": 50 + n, "name": "new"} for n in range(5)])
    run_to_end(stream(**BY_ID), tmp_path)
    assert ids_in(spark, tmp_path) == list(range(55))


@pytest.mark.parametrize(
    ("served", "said"),
    [
        ({"paging": "offset", "size": 7}, {"pagination": "offset"}),
        pytest.param({"paging": "page", "size": 7}, {"pagination": "page"}, marks=pytest.mark.slow),
        ({"paging": "cursor", "size": 7, "keyset": True}, {"pagination": "cursor", "page.nextField": "next"}),
        pytest.param({"paging": "link", "size": 7}, {"pagination": "link"}, marks=pytest.mark.slow),
    ],
    ids=lambda options: options.get("paging"),
)
def test_a_stream_follows_pages_that_only_grow(
    served: dict[str, Any], said: dict[str, str], stream: Stream, spark: SparkSession, fault_server: FaultServer,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Without a field: the last page is looked at again, and its known rows are left out."""
    fault_server.dataset("GET /items", count=24, **served)
    run_to_end(stream(**said), tmp_path)
    assert ids_in(spark, tmp_path) == list(range(24))
    fault_server.add_rows("/items", [{"id": 24 + n, "name": "new"} for n in range(9)])
    run_to_end(stream(**said), tmp_path)
    assert ids_in(spark, tmp_path) == list(range(33))
    run_to_end(stream(**said), tmp_path)
    assert ids_in(spark, tmp_path) == list(range(33))


@pytest.mark.parametrize("said", [BY_TIME, BY_ID, {"pagination": "offset"}], ids=["time", "number", "pages"])
def test_batches_hold_no_more_rows_than_asked(
    said: dict[str, str], stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """`maxRecordsPerTrigger`, also for all that is available now."""
    paging = "lastRecord" if said is BY_ID else "offset"
    fault_server.dataset("GET /items", count=50, size=7, filters=FILTERS, paging=paging)
    query = run_to_end(stream(**said, maxRecordsPerTrigger=20), tmp_path)
    sizes = [progress["numInputRows"] for progress in query.recentProgress if progress["numInputRows"]]
    assert (sizes, ids_in(spark, tmp_path)) == ([20, 20, 10], list(range(50)))


@pytest.mark.parametrize("said", [BY_ID, {"pagination": "offset"}], ids=["number", "pages"])
def test_batches_hold_no_more_pages_than_asked(
    said: dict[str, str], stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """`maxPagesPerTrigger`: one page each, to the end."""
    fault_server.dataset("GET /items", count=20, size=7, paging="lastRecord" if said is BY_ID else "offset")
    run_to_end(stream(**said, maxPagesPerTrigger=1), tmp_path)
    assert ids_in(spark, tmp_path) == list(range(20))


def test_an_idle_stream_leaves_the_api_in_peace(stream: Stream, fault_server: FaultServer, tmp_path: Path) -> None:
    """Spark asks a hundred times a second; the server is asked once in `pollInterval`."""
    fault_server.dataset("GET /items", count=5, filters=FILTERS)
    query = (
        stream(**{**BY_TIME, "pollInterval": "1h"}).writeStream.format("noop")
        .option("checkpointLocation", str(tmp_path)).start()
    )  # fmt: skip
    try:
        query.processAllAvailable()
        asked = fault_server.count("GET /items")
        time.sleep(0.5)
        assert fault_server.count("GET /items") == asked
        assert asked <= 4
    finally:
        query.stop()


def test_a_running_stream_sees_new_rows(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """Within a poll."""
    fault_server.dataset("GET /items", count=5, filters=FILTERS)
    query = (
        stream(**BY_TIME).writeStream.format("memory").queryName("seen")
        .option("checkpointLocation", str(tmp_path)).start()
    )  # fmt: skip
    try:
        wait_for(query, lambda: spark.table("seen").count() == 5)
        fault_server.add_rows("/items", [{"id": 5, "at": datetime.now(timezone.utc).isoformat()}])
        wait_for(query, lambda: sorted(row.id for row in spark.table("seen").collect()) == list(range(6)))
    finally:
        query.stop()


def test_rows_of_a_time_wait_until_they_are_settled(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """What the API may still be writing is left for the next batch."""
    now = datetime.now(timezone.utc)
    rows = [{"id": 0, "at": (now - timedelta(hours=2)).isoformat()}, {"id": 1, "at": now.isoformat()}]
    fault_server.dataset("GET /items", rows=rows, filters=FILTERS)
    run_to_end(stream(**{**BY_TIME, "incremental.settle": "1h"}), tmp_path)
    assert ids_in(spark, tmp_path) == [0]


def test_late_rows_within_the_lookback_arrive_once_with_a_spool(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """It knows what earlier batches read; a late row is news even where it is the only one."""
    start = datetime.now(timezone.utc) - timedelta(seconds=60)
    rows = [{"id": n, "at": (start + timedelta(seconds=n)).isoformat()} for n in range(10)]
    fault_server.dataset("GET /items", rows=rows, filters=FILTERS)
    said = {**BY_TIME, "incremental.lookback": "1h", "incremental.spool": str(tmp_path / "spool")}
    run_to_end(stream(**said), tmp_path)
    fault_server.add_rows("/items", [{"id": 10, "at": (start + timedelta(seconds=3)).isoformat()}])
    run_to_end(stream(**said), tmp_path)
    assert ids_in(spark, tmp_path) == list(range(11))


def test_without_a_spool_the_lookback_comes_again_with_the_next_rows(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """At least once: a late row waits for the next batch, which repeats what the look-back reads again."""
    start = datetime.now(timezone.utc) - timedelta(seconds=60)
    rows = [{"id": n, "at": (start + timedelta(seconds=n)).isoformat()} for n in range(10)]
    fault_server.dataset("GET /items", rows=rows, filters=FILTERS)
    said = {**BY_TIME, "incremental.lookback": "1h"}
    run_to_end(stream(**said), tmp_path)
    now = datetime.now(timezone.utc)
    late = [{"id": 10, "at": (start + timedelta(seconds=3)).isoformat()}, {"id": 11, "at": now.isoformat()}]
    fault_server.add_rows("/items", late)
    run_to_end(stream(**said), tmp_path)
    assert Counter(ids_in(spark, tmp_path)) == Counter([*range(10), *range(12)])


def test_a_replay_reads_the_spool_and_not_the_api(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """What a batch read stays what it was, though the API says otherwise by now."""
    fault_server.dataset("GET /items", count=20, size=7)
    said = {"pagination": "offset", "incremental.spool": str(tmp_path / "spool")}
    run_to_end(stream(**said), tmp_path)
    for name in ("0", ".0.crc"):
        (tmp_path / "checkpoint" / "commits" / name).unlink()
    for kept in (tmp_path / "rows").rglob("*"):
        if kept.is_file():
            kept.unlink()
    fault_server.dataset("GET /items", rows=[{"id": n, "name": "changed"} for n in range(20)], size=7)
    query = (
        stream(**said).writeStream.format("parquet").option("checkpointLocation", str(tmp_path / "checkpoint"))
        .option("path", str(tmp_path / "again")).trigger(once=True).start()
    )  # fmt: skip
    query.awaitTermination(240)
    found = spark.read.schema("id LONG, name STRING").parquet(str(tmp_path / "again")).orderBy("id").collect()
    assert [row.name for row in found] == [f"item-{n}" for n in range(20)]


def test_rows_out_of_order_cannot_be_cut(stream: Stream, fault_server: FaultServer, tmp_path: Path) -> None:
    """A batch that ends in the middle of rows without order would lose some: it is an error that says what to do."""
    fault_server.dataset("GET /items", count=50, size=7, sort="-id", filters={"after": ["id", "gt"]})
    said = {**BY_ID, "pagination": "offset", "page.cursorField": None, "page.param": None}
    options = {name: value for name, value in said.items() if value is not None}
    with pytest.raises(PySparkException, match="not in ascending order of id"):
        run_to_end(stream(**options, maxRecordsPerTrigger=5), tmp_path)


def test_the_checkpoint_of_another_stream_is_refused(stream: Stream, fault_server: FaultServer, tmp_path: Path) -> None:
    """Rather than read from a place that means something else."""
    fault_server.dataset("GET /items", count=5, filters=FILTERS)
    run_to_end(stream(**BY_TIME), tmp_path)
    with pytest.raises(PySparkException, match="the checkpoint belongs to a stream with other options"):
        run_to_end(stream(pagination="offset"), tmp_path)


def test_it_takes_a_watermark(stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path) -> None:
    """`withWatermark` works on the stream: a repeated row within it comes once."""
    start = datetime.now(timezone.utc) - timedelta(hours=2)
    rows = [{"id": n % 20, "at": (start + timedelta(seconds=n)).isoformat()} for n in range(30)]
    fault_server.dataset("GET /items", rows=rows, filters=FILTERS)
    counted = stream(**BY_TIME).withWatermark("at", "5 minutes").dropDuplicatesWithinWatermark(["id"])
    run_to_end(counted, tmp_path)
    assert ids_in(spark, tmp_path) == list(range(20))


def wait_for(query: StreamingQuery, happened: Callable[[], bool], seconds: float = 120) -> None:
    """Look until a query that runs has made it happen."""
    until = time.monotonic() + seconds
    while not happened():
        assert query.isActive, query.exception()
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_batch_is_cut_where_all_rows_were_seen_whatever_their_order(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """The driver walks a feed without order to its end, and so does the task."""
    rows = [{"id": number} for number in (1, 2, 3, 10, 4, 5)]
    fault_server.dataset("GET /items", rows=rows, size=4, paging="link")
    run_to_end(stream(**{"incremental.field": "id", "pagination": "link"}, maxRecordsPerTrigger=4), tmp_path)
    assert ids_in(spark, tmp_path) == [1, 2, 3, 4, 5, 10]


def test_pages_that_grow_while_a_batch_is_planned_are_read_to_the_same_row(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """A place is a number of rows, however they lie on pages a moment later."""
    changes = [{"after": 1, "insert": [{"id": 50 + n} for n in range(20)], "at": "end"}]
    fault_server.dataset("GET /items", rows=[{"id": n} for n in range(50)], size=100, changes=changes)
    run_to_end(stream(pagination="offset"), tmp_path)
    assert ids_in(spark, tmp_path) == list(range(70))


def test_two_equal_late_rows_arrive_as_two(
    stream: Stream, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """The spool counts rows: a second event like one that was read is another event."""
    at = (datetime.now(timezone.utc) - timedelta(seconds=30)).isoformat()
    fault_server.dataset("GET /items", rows=[{"id": 1, "at": at}], filters=FILTERS)
    said = {**BY_TIME, "incremental.lookback": "1h", "incremental.spool": str(tmp_path / "spool")}
    run_to_end(stream(**said), tmp_path)
    fault_server.add_rows("/items", [{"id": 1, "at": at}])
    run_to_end(stream(**said), tmp_path)
    assert ids_in(spark, tmp_path) == [1, 1]
