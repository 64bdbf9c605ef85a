"""A stream that is stopped and killed again and again: its sink ends up with the source's rows, each once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from tests.rest.stream_job import started

from trunkline.testing import FaultServer

KINDS: dict[str, dict[str, Any]] = {
    "time": {"size": 5, "filters": {"since": ["at", "ge"], "until": ["at", "lt"]}},
    "number": {"size": 5, "paging": "lastRecord", "sort": "id"},
    "pages": {"size": 5},
}


@pytest.mark.parametrize(
    ("kind", "stops"),
    [("time", 2), *(pytest.param(kind, 20, marks=[pytest.mark.slow, pytest.mark.timeout(1200)]) for kind in KINDS)],
)
def test_a_stream_stopped_at_any_moment_has_every_row_once(
    kind: str, stops: int, spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """Also where it dies between the write and the commit of a batch."""
    chance = random.Random(20)
    fault_server.dataset("GET /items", rows=[], **KINDS[kind])
    count = 0
    for _ in range(stops):
        query = started(spark, fault_server.url_for("/items"), tmp_path, kind)
        until = time.monotonic() + chance.uniform(0.2, 2.5)
        while time.monotonic() < until:
            rows = [{"id": count + n, "at": now()} for n in range(chance.randint(1, 9))]
            fault_server.add_rows("/items", rows)
            count += len(rows)
            time.sleep(chance.uniform(0.02, 0.2))
        query.stop()
        if chance.random() < 0.5:
            forget_last_commit(tmp_path)
    query = started(spark, fault_server.url_for("/items"), tmp_path, kind)
    try:
        for _ in while_it_grows(tmp_path, count):
            assert query.isActive, query.exception()
        time.sleep(1)
    finally:
        query.stop()
    assert Counter(committed(tmp_path)) == Counter(range(count))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_stream_whose_process_is_killed_has_every_row_once(fault_server: FaultServer, tmp_path: Path) -> None:
    """With all its workers, in the middle of whatever they do."""
    chance = random.Random(7)
    fault_server.dataset("GET /items", rows=[], **KINDS["time"])
    count = 0
    for last in (False, False, False, False, True):
        with running(fault_server.url_for("/items"), tmp_path) as process:
            until = time.monotonic() + chance.uniform(3, 6)
            while time.monotonic() < until:
                rows = [{"id": count + n, "at": now()} for n in range(chance.randint(1, 9))]
                fault_server.add_rows("/items", rows)
                count += len(rows)
                time.sleep(chance.uniform(0.02, 0.2))
            for _ in while_it_grows(tmp_path, count) if last else ():
                assert process.poll() is None
            kill(process)
    assert Counter(committed(tmp_path)) == Counter(range(count))


def while_it_grows(folder: Path, count: int) -> Iterator[None]:
    """Until all rows are there. It may take as long as it needs, but not stand still for a minute."""
    there, until = 0, time.monotonic() + 60
    while there < count and time.monotonic() < until:
        yield
        time.sleep(0.2)
        if len(committed(folder)) > there:
            there, until = len(committed(folder)), time.monotonic() + 60


@contextmanager
def running(url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The job in a process group of its own."""
    command = [sys.executable, str(Path(__file__).with_name("stream_job.py")), url, str(folder)]
    with (
        (folder / "job.log").open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"running\n"
            yield process
        finally:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """At once, with all its workers."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def forget_last_commit(folder: Path) -> None:
    """As if the process had died after the sink's write and before the query's commit."""
    commits = sorted((folder / "checkpoint" / "commits").glob("[0-9]*"), key=lambda path: int(path.name))
    if commits:
        commits[-1].unlink()
        commits[-1].with_name(f".{commits[-1].name}.crc").unlink(missing_ok=True)


def committed(folder: Path) -> list[int]:
    """The ids in the files that the sink's own log names."""
    log = folder / "rows" / "_spark_metadata"
    named: set[str] = set()
    for entry in log.glob("[0-9]*"):
        for line in entry.read_text().splitlines()[1:]:
            named.add(line.split('"path":"', 1)[1].split('"', 1)[0].rpartition("/")[2])
    files = [path for path in (folder / "rows").glob("part-*") if path.name in named]
    return [row for path in files for row in pq.read_table(path)["id"].to_pylist()]


def now() -> str:
    return datetime.now(timezone.utc).isoformat()
