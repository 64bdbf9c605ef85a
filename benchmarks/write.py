"""Rows a second of `df.write.format("rest")` against bare loops, other ways to send rows from Spark, and itself.

    pip install --target ../cyber cyber-spark-data-connectors==0.0.8   # without it, its row is left out
    python -m benchmarks.write --cyber ../cyber                        # prints the tables of results/write.md
    python -m benchmarks.write --parts latency,memory --rounds 3       # some of it
    python -m benchmarks.write --parts rows --master spark://127.0.0.1:7077   # on a cluster that is running
    python -m benchmarks.write --parts scale                           # 10,000 rows to 10,000,000: takes a while

One Spark session on `local[2]` or `--master`, one server on the same cores that answers every request at once
(`server.py`). In each round every way is measured in turn, so that a busy moment of the machine hits all of them; a
figure is the median of the rounds, a ratio the median of the rounds' ratios. A row is some 40 bytes:
`{"id":999,"name":"name 999","v":124.875}`

A write has a fixed cost, whatever it writes: Spark plans it in a Python process and starts two tasks. `rows/s` has it
in; `net` is without it, by a write of two rows measured in the same round. Bare loops have no such cost.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson
import psutil
import pyarrow as pa
import requests
import uvloop
from benchmarks.transport import bare_libcurl
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.functions import udf

from trunkline.rest import RestDataSource, request
from trunkline.values import JsonOptions, encode

TASKS = 2
IN_FLIGHT = 64
JSON = {"Content-Type": "application/json"}
DELAY = 0.05
DELAYED_IN_FLIGHT = 32
BATCH = 1000
UDF_LEVEL = "spark.sql.execution.pythonUDF.arrow.concurrency.level"
# A peak moves by a few percent between runs, and a run takes long.
MEMORY_ROUNDS = 3
SCALE = (10_000, 100_000, 1_000_000, 10_000_000)
PARTS = ("rows", "latency", "batched", "memory")  # and `scale`, when it is asked for


class Way(NamedTuple):
    """One way to send `rows` rows."""

    rows: int
    run: Callable[[int], object]


class Loops:
    """The same requests without Spark, in as many processes as Spark has tasks."""

    def __init__(self) -> None:
        self._processes = ProcessPoolExecutor(TASKS, get_context("spawn"))

    def run(self, way: Callable[[str, int, int, int], None], url: str, rows: int, in_flight: int = IN_FLIGHT) -> None:
        share = rows // TASKS
        for done in [self._processes.submit(way, url, i * share, share, in_flight) for i in range(TASKS)]:
            done.result()

    def close(self) -> None:
        self._processes.shutdown()


def plain_loop(url: str, start: int, rows: int, in_flight: int) -> None:
    asyncio.run(_post_all(url, start, rows, in_flight, lambda row: json.dumps(row).encode()))


def fast_loop(url: str, start: int, rows: int, in_flight: int) -> None:
    uvloop.run(_post_all(url, start, rows, in_flight, orjson.dumps))


def libcurl_loop(url: str, _start: int, rows: int, in_flight: int) -> None:
    assert in_flight == IN_FLIGHT
    bare_libcurl(url, rows)


async def _post_all(url: str, start: int, rows: int, in_flight: int, dumps: Callable[[Any], bytes]) -> None:
    numbers = iter(range(start, start + rows))

    async def work(session: aiohttp.ClientSession) -> None:
        for i in numbers:
            body = dumps({"id": i, "name": f"name {i}", "v": i / 8})
            async with session.post(url, data=body, headers=JSON) as response:
                await response.read()
                assert response.status == 201

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session) for _ in range(in_flight)))


class JsonOnly(DataSource):
    """Builds the bodies of batches and sends nothing."""

    @classmethod
    def name(cls) -> str:
        return "json_only"

    def writer(self, schema: Any, overwrite: bool) -> DataSourceArrowWriter:
        return JsonOnlyWriter()


class JsonOnlyWriter(DataSourceArrowWriter):
    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        for batch in iterator:
            rows = encode(batch, JsonOptions())
            for start in range(0, len(batch), BATCH):
                rows.join(start, min(start + BATCH, len(batch)))
        return WriterCommitMessage()


class Spark:
    """A session and the ways to send rows with it."""

    def __init__(self, master: str, *, reuse_workers: bool = True) -> None:
        with silent_children():
            builder = SparkSession.builder.master(master).config("spark.ui.enabled", "false")
            builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.log.level", "ERROR")
            builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
            self.session = builder.config("spark.python.worker.reuse", str(reuse_workers).lower()).getOrCreate()
        self.session.dataSource.register(RestDataSource)
        self.session.dataSource.register(JsonOnly)

    def rows(self, count: int) -> DataFrame:
        return self.session.range(0, count, 1, TASKS).selectExpr("id", "concat('name ', id) AS name", "id / 8D AS v")

    def write(self, url: str, count: int, source: str = "rest", **options: object) -> None:
        writer = self.rows(count).write.format(source).mode("append").option("url", url)
        for name, value in options.items():
            writer = writer.option(name.replace("_", "."), str(value))
        writer.save()

    def logged(self, url: str, count: int, **options: object) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.write(url, count, responses=folder, **options)

    def ask(self, url: str, count: int, **options: object) -> None:
        given = {"url": url, "method": "POST", "repeatable": True, **options}
        request(self.rows(count), given).write.format("noop").mode("overwrite").save()

    def loop(self, url: str, count: int) -> None:
        def send(rows: Iterator[Row]) -> None:
            with requests.Session() as session:
                for row in rows:
                    session.post(url, json=row.asDict()).raise_for_status()

        self.rows(count).foreachPartition(send)

    def udf(self, url: str, count: int, level: int) -> None:
        @udf(returnType="int", useArrow=True)
        def post(id: int, name: str, v: float) -> int:  # noqa: A002 - the column's name
            return requests.post(url, json={"id": id, "name": name, "v": v}).status_code

        self.session.conf.set(UDF_LEVEL, str(level))
        self.rows(count).select(post("id", "name", "v")).write.format("noop").mode("overwrite").save()


@contextmanager
def silent_children() -> Iterator[None]:
    """What is started inside has no stderr: workers print there what a connector prints of every row."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def server(delay: float = 0.0) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("server.py")), "--delay", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/rows"
        process.terminate()


def measured(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one short turn of each to warm up."""
    for way in ways.values():
        way.run(max(TASKS, way.rows // 5))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way.run(way.rows)
            seconds[name].append(time.perf_counter() - began)
    return seconds


class Rates(NamedTuple):
    """Rows a second of each round."""

    whole: list[float]
    net: list[float]


def rates_of(ways: dict[str, Way], seconds: dict[str, list[float]]) -> dict[str, Rates]:
    fixed = seconds["two rows"]
    found = {}
    for name, way in ways.items():
        if name == "two rows":
            continue
        whole = [way.rows / took for took in seconds[name]]
        net = [way.rows / (took - cost) for took, cost in zip(seconds[name], fixed, strict=True)]
        found[name] = Rates(whole, whole if name.startswith(("aiohttp", "libcurl")) else net)
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def print_rates(ways: dict[str, Way], rates: dict[str, Rates], ours: str, unit: str = "rows/s") -> None:
    print(f"| way | rows | {unit} | least to most | net {unit} | ours to it | net |\n|---|---|---|---|---|---|---|")
    for name, rate in rates.items():
        whole, net = statistics.median(rate.whole), statistics.median(rate.net)
        ratios = f"{ratio(rates[ours].whole, rate.whole):.2f}x | {ratio(rates[ours].net, rate.net):.2f}x"
        spread = f"{min(rate.whole):,.0f} to {max(rate.whole):,.0f}"
        print(f"| {name} | {ways[name].rows:,} | {whole:,.0f} | {spread} | {net:,.0f} | {ratios} |")


def one_row_each(spark: Spark, loops: Loops, arguments: argparse.Namespace, cyber: str | None) -> None:
    """Parts 1 to 5 and 9: one row per request, no latency."""
    many, few = arguments.rows, arguments.rows // 10
    with server() as url:
        ways = {
            "two rows": Way(TASKS, lambda n: spark.write(url, n)),
            "rest": Way(many, lambda n: spark.write(url, n)),
            "rest, concurrency=64": Way(many, lambda n: spark.write(url, n, concurrency=IN_FLIGHT)),
            "rest, transport=aiohttp": Way(many, lambda n: spark.write(url, n, transport="aiohttp")),
            "request()": Way(many, lambda n: spark.ask(url, n)),
            "request(), transport=aiohttp": Way(many, lambda n: spark.ask(url, n, transport="aiohttp")),
            "libcurl, one body after the other": Way(many, lambda n: loops.run(libcurl_loop, url, n)),
            "aiohttp on asyncio, json": Way(many, lambda n: loops.run(plain_loop, url, n)),
            "aiohttp on uvloop, orjson": Way(many, lambda n: loops.run(fast_loop, url, n)),
            "foreachPartition, requests.Session": Way(few, lambda n: spark.loop(url, n)),
            "arrow UDF, requests.post, 32 threads": Way(few, lambda n: spark.udf(url, n, 32)),
            "rest, responses": Way(many, lambda n: spark.logged(url, n)),
            "rest, idempotency.header": Way(many, lambda n: spark.write(url, n, idempotency_header="Idempotency-Key")),
            "rest, both": Way(many, lambda n: spark.logged(url, n, idempotency_header="Idempotency-Key")),
        }
        if cyber:
            ways[cyber] = Way(few, lambda n: spark.write(url, n, "cyber"))
        seconds = measured(ways, arguments.rounds)
    print(f"\nOne row per request; a write of two rows takes {statistics.median(seconds['two rows']):.2f} s.\n")
    print_rates(ways, rates_of(ways, seconds), "rest")


def latency(spark: Spark, loops: Loops, arguments: argparse.Namespace) -> None:
    """Part 6: a server that takes its time."""
    possible = TASKS * DELAYED_IN_FLIGHT / DELAY
    count = int(possible * arguments.seconds) // TASKS * TASKS
    with server(DELAY) as url:
        ways = {
            "two rows": Way(TASKS, lambda n: spark.write(url, n)),
            "rest, concurrency=32": Way(count, lambda n: spark.write(url, n, concurrency=DELAYED_IN_FLIGHT)),
            "aiohttp on uvloop, orjson": Way(count, lambda n: loops.run(fast_loop, url, n, DELAYED_IN_FLIGHT)),
            "rest": Way(count, lambda n: spark.write(url, n)),
            "arrow UDF, requests.post, 32 threads": Way(count // 4, lambda n: spark.udf(url, n, DELAYED_IN_FLIGHT)),
        }
        rates = rates_of(ways, measured(ways, arguments.rounds))
    ours = rates["rest, concurrency=32"]
    whole, net = (statistics.median(rates) / possible for rates in ours)
    print(
        f"\n{DELAY * 1000:.0f} ms before each answer. {TASKS} tasks x {DELAYED_IN_FLIGHT} in flight / {DELAY} s",
        end=" ",
    )
    print(
        f"make {possible:,.0f} rows/s possible: concurrency={DELAYED_IN_FLIGHT} reaches {whole:.2f} (net {net:.2f}).\n"
    )
    print_rates(ways, rates, "rest, concurrency=32")


def batched(spark: Spark, arguments: argparse.Namespace) -> None:
    """Part 7: a thousand rows per request against only building their JSON."""
    count = arguments.batched_rows
    with server() as url:
        ways = {
            "two rows": Way(TASKS, lambda n: spark.write(url, n, batch_rows=BATCH)),
            "rest, batch.rows=1000": Way(count, lambda n: spark.write(url, n, batch_rows=BATCH)),
            "only the JSON": Way(count, lambda n: spark.write(url, n, "json_only")),
            "rest, batch.rows=1000, responses": Way(count // 4, lambda n: spark.logged(url, n, batch_rows=BATCH)),
        }
        rates = rates_of(ways, measured(ways, arguments.rounds))
    print(f"\n{BATCH:,} rows per request.\n")
    print_rates(ways, rates, "rest, batch.rows=1000")


def scale(master: str) -> None:
    """What a row costs, and the peak of a fresh Python worker, when there are more and more rows."""
    spark = Spark(master, reuse_workers=False)
    print("\nOne row per request, concurrency=64; the peak is of the larger of the two Python workers.\n")
    print("| rows | seconds | rows/s | microseconds a row, to the least rows | peak, MB |\n|---|---|---|---|---|")
    first = 0.0
    with server() as url:
        spark.write(url, TASKS)
        for count in SCALE:
            began = time.perf_counter()
            with peak_of_workers() as peak:
                spark.write(url, count, concurrency=IN_FLIGHT)
            took = time.perf_counter() - began
            first = first or took / count
            each = f"{took / count * 1e6:.0f}, {took / count / first:.2f}x"
            print(f"| {count:,} | {took:.1f} | {count / took:,.0f} | {each} | {max(peak) / 1e6:.0f} |")
    spark.session.stop()


def memory(master: str) -> None:
    """Part 8: the peak of a fresh Python worker by rows written."""
    spark = Spark(master, reuse_workers=False)
    few, many = 100_000, 2_000_000
    print("\nPeak resident memory of the larger of the two Python workers, MB.\n")
    print(f"| | {few:,} rows | {many:,} rows | ratio | more by, bytes a row |\n|---|---|---|---|---|")
    with server() as url:
        for name, run in {"rest, batch.rows=1000": spark.write, "and responses": spark.logged}.items():
            peaks: dict[int, list[float]] = {few: [], many: []}
            for _ in range(MEMORY_ROUNDS):
                for count, found in peaks.items():
                    with peak_of_workers() as peak:
                        run(url, count, batch_rows=BATCH)
                    found.append(max(peak))
            small, large = statistics.median(peaks[few]), statistics.median(peaks[many])
            more = (large - small) / ((many - few) / TASKS)
            print(f"| {name} | {small / 1e6:.0f} | {large / 1e6:.0f} | {large / small:.2f}x | {more:.0f} |")
    spark.session.stop()


@contextmanager
def peak_of_workers() -> Iterator[list[float]]:
    """The peak in bytes of every Python worker seen while it is open (`VmHWM`, which Linux keeps)."""
    found, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.03):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error, OSError, IndexError):
                    if "pyspark.daemon" in process.cmdline():
                        status = Path(f"/proc/{process.pid}/status").read_text()
                        found.append(int(status.split("VmHWM:")[1].split()[0]) * 1024.0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def register_cyber(spark: Spark) -> str | None:
    """The competitor under a name of its own; None, with a word, where it is not installed."""
    try:
        from cyber_connectors.RestApi import RestApiDataSource
    except ImportError as error:
        print(f"cyber-spark-data-connectors is left out: {error}; see --cyber", file=sys.stderr)
        return None

    class Cyber(RestApiDataSource):  # type: ignore[misc, unused-ignore]
        @classmethod
        def name(cls) -> str:
            return "cyber"

    spark.session.dataSource.register(Cyber)
    return f"cyber-spark-data-connectors {importlib.metadata.version('cyber-spark-data-connectors')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="which, of " + ", ".join((*PARTS, "scale")))
    parser.add_argument("--master", default=f"local[{TASKS}]", help="a cluster with two free cores on this machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=12_000, help="one row per request; slow ways send a tenth")
    parser.add_argument("--batched-rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a write to the slow server, at best")
    parser.add_argument("--cyber", default=os.environ.get("CYBER"), help="folder with cyber-spark-data-connectors")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    if arguments.cyber:
        arguments.cyber = str(Path(arguments.cyber).resolve())
        sys.path.append(arguments.cyber)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), arguments.cyber]))
    began, load = time.perf_counter(), os.getloadavg()[0]
    packages = ["pyspark", "pyarrow", "aiohttp", "uvloop", "orjson", "requests"]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions};", end=" ")
    print(f"medians of {arguments.rounds} rounds; load before the run {load:.1f}")
    if {"rows", "latency", "batched"} & set(parts):
        spark, loops = Spark(arguments.master), Loops()
        if "rows" in parts:
            one_row_each(spark, loops, arguments, register_cyber(spark))
        if "latency" in parts:
            latency(spark, loops, arguments)
        if "batched" in parts:
            batched(spark, arguments)
        loops.close()
        spark.session.stop()
    if "memory" in parts:
        memory(arguments.master)
    if "scale" in parts:
        scale(arguments.master)
    print(f"\nThe run took {time.perf_counter() - began:.0f} s; load after it {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
