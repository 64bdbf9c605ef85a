"""A stream that is stopped and killed again and again: its sink ends up with the source's rows, each once."""

from __future__ import annotations

import math
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
from tests.rest.stream_job import SETTLE, started

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
    feed = Feed(fault_server, chance, SETTLE if kind == "time" else math.inf)
    for _ in range(stops):
        query = started(spark, fault_server.url_for("/items"), tmp_path, kind)
        feed.grow(chance.uniform(0.2, 2.5))
        query.stop()
        if chance.random() < 0.5:
            forget_last_commit(tmp_path)
    query = started(spark, fault_server.url_for("/items"), tmp_path, kind)
    try:
        for _ in while_it_grows(tmp_path, feed):
            assert query.isActive, query.exception()
        time.sleep(1)
    finally:
        query.stop()
    feed.check(committed(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_stream_whose_process_is_killed_has_every_row_once(fault_server: FaultServer, tmp_path: Path) -> None:
    """With all its workers, in the middle of whatever they do."""
    chance = random.Random(7)
    fault_server.dataset("GET /items", rows=[], **KINDS["time"])
    feed = Feed(fault_server, chance, SETTLE)
    for last in (False, False, False, False, True):
        with running(fault_server.url_for("/items"), tmp_path) as process:
            feed.grow(chance.uniform(3, 6))
            for _ in while_it_grows(tmp_path, feed) if last else ():
                assert process.poll() is None
            kill(process)
    feed.check(committed(tmp_path))


class Feed:
    """Rows that are added while they are read, stamped with the time.

    Attributes:
        owed: The ids of those that were there within so many seconds of their time.
        late: The ids of the others, which whoever reads by time may have passed by.
    """

    def __init__(self, server: FaultServer, chance: random.Random, settle: float) -> None:
        self.owed: set[int] = set()
        self.late: set[int] = set()
        self._server, self._chance, self._settle = server, chance, settle

    def grow(self, seconds: float) -> None:
        """Add rows for so long, a few every tenth of a second."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            stamp, count = time.time(), len(self.owed) + len(self.late)
            at = datetime.fromtimestamp(stamp, timezone.utc).isoformat()
            numbers = range(count, count + self._chance.randint(1, 9))
            self._server.add_rows("/items", [{"id": number, "at": at} for number in numbers])
            (self.owed if time.time() < stamp + self._settle else self.late).update(numbers)
            time.sleep(self._chance.uniform(0.02, 0.2))

    def check(self, found: list[int]) -> None:
        """Every row once; those that came late once or not at all, which are few."""
        assert len(self.owed) > len(self.late)
        assert Counter(found) == Counter(self.owed | (self.late & set(found)))


def while_it_grows(folder: Path, feed: Feed) -> Iterator[None]:
    """Until all rows are there. It may take as long as it needs, but not stand still for a minute."""
    there: set[int] = set()
    until = time.monotonic() + 60
    while feed.owed - there and time.monotonic() < until:
        yield
        time.sleep(0.2)
        found = set(committed(folder))
        if len(found) > len(there):
            there, until = found, time.monotonic() + 60


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
