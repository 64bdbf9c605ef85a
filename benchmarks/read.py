"""Rows a second of `spark.read.format("rest")` against bare loops, other ways to read an API, and itself.

    python -m venv ../dlt && ../dlt/bin/pip install "dlt[parquet]"      # without it, its row is left out
    python benchmarks/read.py --dlt ../dlt/bin/python                   # prints the tables of results/read.md
    python benchmarks/read.py --parts latency,memory --rounds 3         # some of it

One Spark session on `local[2]`, and on the same cores one server (`trunkline.testing`) that hands out 1,000,000 records
in pages of 1,000 by offset, each made ready before the clock starts. In each round every way is measured in turn; a
figure is the median of the rounds, a ratio the median of the rounds' ratios. A record is some 80 bytes:
`{"id": 999, "name": "item-999", "at": "2026-01-01T00:16:39Z", "amount": 499.5}`

The ceiling is a loop without Spark: aiohttp on uvloop asks for the next page while the one at hand becomes an Arrow
batch, by the faster of orjson with `pyarrow.array` and typed msgspec with an array for each column.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, cast

import aiohttp
import msgspec
import orjson
import pyarrow as pa
import requests
import uvloop
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType

from trunkline.rest import RestDataSource
from trunkline.rest.reader import RestBatchReader, RestPartition
from trunkline.testing import FaultServer

ROWS, PAGE = 1_000_000, 1000
# These are slow enough to be told from a tenth of the rows.
SLOW_ROWS = 100_000
DELAY = 0.05
DELAYED_ROWS = 1_000_000
SCHEMA = "id LONG, name STRING, at TIMESTAMP, amount DOUBLE"
PAGES = {"pagination": "offset", "page.size": PAGE, "page.sizeParam": "limit", "page.totalField": "total"}
FIELDS = [("id", pa.int64()), ("name", pa.string()), ("at", pa.string()), ("amount", pa.float64())]
PARTS = ("rows", "engine", "latency", "memory", "microbatch")


class Record(msgspec.Struct):
    id: int
    name: str
    at: str
    amount: float


class Answer(msgspec.Struct):
    items: list[Record]


def by_orjson(body: bytes) -> pa.RecordBatch:
    records = pa.array(orjson.loads(body)["items"], pa.struct(FIELDS))
    batch = pa.RecordBatch.from_struct_array(records)
    return batch.set_column(2, "at", batch.column(2).cast(pa.timestamp("us", "UTC")))


_ANSWERS = msgspec.json.Decoder(Answer)


def by_msgspec(body: bytes) -> pa.RecordBatch:
    records = _ANSWERS.decode(body).items
    columns = [
        pa.array([record.id for record in records], pa.int64()),
        pa.array([record.name for record in records], pa.string()),
        pa.array([record.at for record in records], pa.string()).cast(pa.timestamp("us", "UTC")),
        pa.array([record.amount for record in records], pa.float64()),
    ]
    return pa.RecordBatch.from_arrays(columns, names=[name for name, _ in FIELDS])


PARSERS: dict[str, Callable[[bytes], pa.RecordBatch]] = {"orjson": by_orjson, "msgspec": by_msgspec}


def loop(url: str, first: int, last: int, parser: str) -> int:
    return uvloop.run(_loop(url, first, last, PARSERS[parser]))


async def _loop(url: str, first: int, last: int, parse: Callable[[bytes], pa.RecordBatch]) -> int:
    async with aiohttp.ClientSession() as session:

        async def page(offset: int) -> bytes:
            async with session.get(url, params={"limit": PAGE, "offset": offset}) as response:
                assert response.status == 200
                return await response.read()

        rows = 0
        coming = asyncio.create_task(page(first))
        for offset in range(first, last, PAGE):
            body = await coming
            if offset + PAGE < last:
                coming = asyncio.create_task(page(offset + PAGE))
                await asyncio.sleep(0)
            rows += parse(body).num_rows
        return rows


class Loops:
    """The ceiling, in as many processes as there are partitions."""

    def __init__(self) -> None:
        self._processes = ProcessPoolExecutor(2, get_context("spawn"))

    def run(self, url: str, rows: int, processes: int, parser: str) -> int:
        share = rows // processes
        done = [self._processes.submit(loop, url, i * share, (i + 1) * share, parser) for i in range(processes)]
        return sum(one.result() for one in done)


def read(spark: SparkSession, url: str, partitions: int, **options: object) -> DataFrame:
    given = {**PAGES, **options} | ({"numPartitions": partitions} if partitions > 1 else {})
    return spark.read.format("rest").schema(SCHEMA).options(**given).load(url)  # type: ignore[arg-type]


def consume(df: DataFrame) -> None:
    df.write.format("noop").mode("overwrite").save()


def requests_loop(spark: SparkSession, url: str, rows: int) -> None:
    with requests.Session() as session:
        found: list[Any] = []
        for offset in range(0, rows, PAGE):
            found += session.get(url, params={"limit": PAGE, "offset": offset}, timeout=60).json()["items"]
    consume(spark.createDataFrame(found, "id LONG, name STRING, at STRING, amount DOUBLE"))


DLT = """
    import sys, tempfile
    import dlt
    from dlt.sources.rest_api import rest_api_source
    url, rows, page = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    base, _, path = url.rpartition("/")
    paginator = {"type": "offset", "limit": page, "total_path": "total", "maximum_offset": rows}
    source = rest_api_source({"client": {"base_url": base, "paginator": paginator},
        "resources": [{"name": "items", "endpoint": {"path": path, "data_selector": "items"}}]})
    with tempfile.TemporaryDirectory() as folder:
        import os
        os.environ["DESTINATION__FILESYSTEM__BUCKET_URL"] = f"file://{folder}/out"
        pipeline = dlt.pipeline("bench", destination="filesystem", dataset_name="d", pipelines_dir=f"{folder}/p")
        pipeline.run(source, loader_file_format="parquet")
        print(pipeline.last_trace.last_normalize_info.row_counts["items"])
"""


def dlt(python: str, url: str, rows: int) -> None:
    command = [python, "-c", textwrap.dedent(DLT), url, str(rows), str(PAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == str(rows), done.stdout


def measured(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round, after a round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(a: list[float], b: list[float]) -> float:
    """How many times as fast `a` is."""
    return statistics.median(y / x for x, y in zip(a, b, strict=True))


def rows_part(spark: SparkSession, url: str, arguments: argparse.Namespace) -> None:
    loops = Loops()
    sizes = {"rest, 1 partition": ROWS, "rest, 2 partitions": ROWS, "requests + createDataFrame": SLOW_ROWS}
    ways: dict[str, Callable[[], object]] = {
        "rest, 1 partition": lambda: consume(read(spark, url, 1)),
        "rest, 2 partitions": lambda: consume(read(spark, url, 2)),
        "requests + createDataFrame": lambda: requests_loop(spark, url, SLOW_ROWS),
    }
    for parser in PARSERS:
        for processes in (1, 2):
            name = f"bare loop, {parser}, {processes} process{'es' if processes > 1 else ''}"
            ways[name] = lambda parser=parser, processes=processes: loops.run(url, ROWS, processes, parser)  # type: ignore[misc]
            sizes[name] = ROWS
    if arguments.dlt:
        ways["dlt rest_api to Parquet"] = lambda: dlt(arguments.dlt, url, SLOW_ROWS)
        sizes["dlt rest_api to Parquet"] = SLOW_ROWS
    seconds = measured(ways, arguments.rounds)
    print(
        f"\n## {ROWS:,} records in pages of {PAGE:,}\n\n| way | rows/s | ours with 1 partition to it |\n|---|---|---|"
    )
    per_row = {name: [second / sizes[name] for second in seconds[name]] for name in ways}
    for name in ways:
        print(f"| {name} | {1 / statistics.median(per_row[name]):,.0f} | "
              f"{ratio(per_row['rest, 1 partition'], per_row[name]):.2f}x |")  # fmt: skip
    for processes, ours in ((1, "rest, 1 partition"), (2, "rest, 2 partitions")):
        names = [name for name in ways if name.startswith("bare") and f", {processes} process" in name]
        best = min(names, key=lambda name: statistics.median(per_row[name]))
        print(f"\n{ours}: {ratio(per_row[ours], per_row[best]):.2f} of the ceiling ({best}).")


def engine_part(url: str, rounds: int) -> None:
    """What a page costs without Spark, in one process: the reader on each transport, and the bare loop."""
    rows = ROWS // 5

    def by(transport: str) -> int:
        options = {"url": url, "transport": transport, **{name: str(value) for name, value in PAGES.items()}}
        reader = RestBatchReader(options, cast("StructType", StructType.fromDDL(SCHEMA)))
        parts = cast("list[RestPartition]", reader.partitions())
        return sum(batch.num_rows for part in parts for batch in reader.read(part))

    ways: dict[str, Callable[[], int]] = {
        "bare loop, msgspec": lambda: loop(url, 0, rows, "msgspec"),
        "reader, transport=libcurl": lambda: by("libcurl"),
        "reader, transport=aiohttp": lambda: by("aiohttp"),
    }
    cpu = dict.fromkeys(ways, math.inf)
    wall = dict(cpu)
    for _ in range(rounds):
        for name, way in ways.items():
            began, used = time.perf_counter(), time.process_time()
            assert way() == rows
            cpu[name] = min(cpu[name], time.process_time() - used)
            wall[name] = min(wall[name], time.perf_counter() - began)
    print(
        "\n## A page without Spark, least of the rounds\n\n| way | ms CPU | ms | CPU to the loop |\n|---|---|---|---|"
    )
    pages = rows // PAGE
    for name in ways:
        share = cpu["bare loop, msgspec"] / cpu[name]
        print(f"| {name} | {1000 * cpu[name] / pages:.2f} | {1000 * wall[name] / pages:.2f} | {share:.2f} |")


def latency_part(spark: SparkSession, url: str, arguments: argparse.Namespace) -> None:
    ways: dict[str, Callable[[], object]] = {
        "1 partition, concurrency=1": lambda: consume(read(spark, url, 1, concurrency=1)),
        "4 partitions, concurrency=1": lambda: consume(read(spark, url, 4, concurrency=1)),
        "1 partition": lambda: consume(read(spark, url, 1)),
        "1 partition, concurrency=16": lambda: consume(read(spark, url, 1, concurrency=16)),
        "4 partitions": lambda: consume(read(spark, url, 4)),
    }
    seconds = measured(ways, arguments.rounds)
    print(f"\n## {DELAYED_ROWS:,} records with {DELAY * 1000:.0f} ms of latency, local[4]\n")
    for name in ways:
        print(f"- {name}: {DELAYED_ROWS / statistics.median(seconds[name]):,.0f} rows/s")
    one = seconds["1 partition, concurrency=1"]
    for name in list(ways)[1:]:
        print(f"- {name} to 1 partition, concurrency=1: {ratio(seconds[name], one):.2f}x")


def memory_part(server: FaultServer) -> None:
    """Peak memory of a process that reads, for few pages and for many."""
    job = """
        import resource, sys
        from pyspark.sql.types import DoubleType, LongType, StringType, StructType, TimestampType
        from trunkline.rest.reader import RestBatchReader, RestPartition
        options = {"url": sys.argv[1], "pagination": "offset", "page.size": "1000", "page.sizeParam": "limit"}
        schema = StructType().add("id", LongType()).add("name", StringType())
        schema = schema.add("at", TimestampType()).add("amount", DoubleType())
        reader = RestBatchReader(options, schema)
        rows = 0
        for part in reader.partitions():
            for batch in reader.read(part):
                rows += batch.num_rows
        print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    """
    print("\n## Peak memory of a reading process\n")
    for rows in (20_000, ROWS):
        server.dataset(f"GET /memory{rows}", count=rows, size=PAGE)
        command = [sys.executable, "-c", textwrap.dedent(job), server.url_for(f"/memory{rows}")]
        found, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        print(f"- {int(found):,} rows in {rows // PAGE:,} pages: {float(peak):.0f} MB")


class Nothing(DataSource):
    """A Python source of a stream that has one more row in each batch, and asks nobody."""

    @classmethod
    def name(cls) -> str:
        return "nothing"

    def schema(self) -> str:
        return SCHEMA

    def streamReader(self, schema: Any) -> DataSourceStreamReader:  # noqa: N802
        return NothingReader()


class NothingReader(DataSourceStreamReader):
    def __init__(self) -> None:
        self.at = 0

    def initialOffset(self) -> dict[str, int]:  # noqa: N802
        return {"at": 0}

    def latestOffset(self, start: Any = None, limit: Any = None) -> dict[str, int]:  # noqa: N802
        self.at += 1
        return {"at": self.at}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[InputPartition]:
        return [InputPartition(0)]

    def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
        yield 1, "one", None, 0.5


def microbatch_part(spark: SparkSession, server: FaultServer) -> None:
    """The time of a micro-batch of one row, beside one of a source that asks nobody."""
    server.dataset("GET /feed", count=300, size=1)

    def trigger_ms(source: DataFrame) -> float:
        with tempfile.TemporaryDirectory() as folder:
            query = source.writeStream.format("noop").option("checkpointLocation", folder).start()
            try:
                until = time.monotonic() + 60
                while query.lastProgress is None or query.lastProgress["batchId"] < 40:
                    assert time.monotonic() < until
                    time.sleep(0.2)
                progress = [one for one in query.recentProgress if one["numInputRows"]][10:]
            finally:
                query.stop()
        return float(statistics.median(one["durationMs"]["triggerExecution"] for one in progress))

    nothing = [trigger_ms(spark.readStream.format("nothing").load()) for _ in range(3)]
    options: dict[str, str] = {"pagination": "offset", "maxRecordsPerTrigger": "1", "pollInterval": "1ms"}
    rest = [
        trigger_ms(spark.readStream.format("rest").schema(SCHEMA).options(**options).load(server.url_for("/feed")))
        for _ in range(3)
    ]
    print("\n## A micro-batch of one row, median\n")
    print(f"- a source that does nothing: {statistics.median(nothing):.0f} ms")
    print(f"- rest: {statistics.median(rest):.0f} ms, {statistics.median(rest) / statistics.median(nothing):.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--dlt", help="an interpreter that has dlt")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    builder = SparkSession.builder.master("local[4]" if parts == ["latency"] else "local[2]")
    builder = builder.config("spark.ui.enabled", "false").config("spark.log.level", "ERROR")
    spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    spark.dataSource.register(RestDataSource)
    spark.dataSource.register(Nothing)
    with FaultServer() as server:
        server.dataset("GET /items", count=ROWS, size=PAGE, total=True)
        server.dataset("GET /late", count=DELAYED_ROWS, size=PAGE, total=True, delay=DELAY)
        if "rows" in parts:
            rows_part(spark, server.url_for("/items"), arguments)
        if "engine" in parts:
            server.dataset("GET /fewer", count=ROWS // 5, size=PAGE, total=True)
            engine_part(server.url_for("/fewer"), max(5, arguments.rounds))
        if "latency" in parts:
            latency_part(spark, server.url_for("/late"), arguments)
        if "memory" in parts:
            memory_part(server)
        if "microbatch" in parts:
            microbatch_part(spark, server)
    spark.stop()


if __name__ == "__main__":
    main()
