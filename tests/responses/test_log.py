"""A task's records: written while it goes on, never further behind than promised, and found again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stores import store

from trunkline.errors import ResponseLogError
from trunkline.responses import Location, Record, ResponseLog, Task, locate

ACCEPTED = Record("r-1", None, "POST", "http://h/rows", "accepted", 201, "", 1, None, None, 1.5e9, 0.01)
TASK = Task("r", None, 0, 7)


def log_in(location: Location, rows: int, seconds: float = 1e9, clock: Any = lambda: 0.0) -> ResponseLog:
    return ResponseLog(location, TASK, flush_seconds=seconds, flush_rows=rows, clock=clock)


def add(log: ResponseLog, first: int, count: int = 1, body: str = "") -> None:
    """One request with so many rows, of digests `first`, `first + 1`, ..."""
    digests = [number.to_bytes(16, "big") for number in range(first, first + count)]
    log.add(ACCEPTED._replace(body=body), digests, [0] * count, [None] * count)


def written(folder: Path) -> list[int]:
    """Which records are in files that are whole."""
    files = [path for path in folder.rglob("*.parquet") if not path.name.startswith(".")]
    tables = [pq.read_table(path, columns=["row_digest"], partitioning=None) for path in files]
    return sorted(int.from_bytes(one, "big") for table in tables for one in table["row_digest"].to_pylist())


@contextmanager
def running(target: Any) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    yield thread
    thread.join(10)
    assert not thread.is_alive()


@settings(max_examples=40)
@given(flush=st.integers(1, 40), sizes=st.lists(st.integers(1, 30), max_size=30))
def test_what_a_crash_loses_is_less_than_a_flush_holds(flush: int, sizes: list[int]) -> None:
    """Whatever was added, fewer than `flush_rows` records are not in a finished file once `add` has returned."""
    with TemporaryDirectory() as folder:
        log = log_in(locate(folder), flush)
        total = 0
        for size in sizes:
            add(log, total, size)
            total += size
            assert total - len(written(Path(folder))) < flush
        log.flush()
        assert written(Path(folder)) == list(range(total))


def test_adding_goes_on_while_a_file_is_written_until_the_bound_is_reached(tmp_path: Path) -> None:
    opened, go_on = threading.Event(), threading.Event()

    def slow(_: str) -> None:
        opened.set()
        assert go_on.wait(10)

    log = log_in(Location(store(slow), str(tmp_path)), 100)
    for number in range(99):
        add(log, number)
    assert opened.wait(10)
    assert written(tmp_path) == []
    with running(lambda: add(log, 99)) as last:
        last.join(0.2)
        assert last.is_alive(), "the hundredth record is not taken before the first eighty are there"
        go_on.set()
    assert len(written(tmp_path)) >= 80
    log.flush()
    assert written(tmp_path) == list(range(100))


def test_long_bodies_are_bounded_by_their_length(tmp_path: Path) -> None:
    """Sixteen times 2^20 characters wait at most, however few rows they are."""
    log = log_in(locate(str(tmp_path)), 10**6)
    for number in range(40):
        add(log, number, body="x" * 1_000_000)
        assert (number + 1 - len(written(tmp_path))) * 1_000_000 < 16 * 2**20


def test_what_waited_long_enough_is_written_at_the_next_tick(tmp_path: Path) -> None:
    now = [0.0]
    log = log_in(locate(str(tmp_path)), 10**6, seconds=1.0, clock=lambda: now[0])
    add(log, 1)
    now[0] = 0.9
    log.tick()
    log._wait()
    assert written(tmp_path) == []
    now[0] = 1.0
    log.tick()
    log._wait()
    assert written(tmp_path) == [1]


def test_the_next_attempt_finds_all_that_was_added(tmp_path: Path) -> None:
    log = log_in(locate(str(tmp_path)), 10)
    add(log, 0, 25)
    add(log, 25, 3)
    found = log.settled(["accepted"])
    assert sorted(int.from_bytes(one, "big") for one in found["row_digest"].to_pylist()) == list(range(28))


@pytest.mark.parametrize("look", ["add", "tick", "flush", "settled"])
def test_a_file_that_cannot_be_written_is_told_at_every_later_look(tmp_path: Path, look: str) -> None:
    def full(_: str) -> None:
        raise OSError("no space left")

    log = log_in(Location(store(full), str(tmp_path)), 10)
    for number in range(8):
        add(log, number)
    assert log._thread is not None
    log._thread.join(10)
    looks: dict[str, Callable[[], object]] = {
        "add": lambda: add(log, 8),
        "tick": log.tick,
        "flush": log.flush,
        "settled": lambda: log.settled(["accepted"]),
    }
    for _ in range(2):
        with pytest.raises(ResponseLogError, match=r"part=00000 cannot be written: .*no space left"):
            looks[look]()


def test_text_that_no_file_can_hold_is_told_too(tmp_path: Path) -> None:
    log = log_in(locate(str(tmp_path)), 10)
    with pytest.raises(ResponseLogError, match=r"cannot be written: .*surrogates"):
        add(log, 0, 20, body="\ud800")


def test_a_local_reader_never_meets_half_a_file(tmp_path: Path) -> None:
    """While it is written it is hidden, and of a broken one nothing is seen."""
    log = log_in(locate(str(tmp_path)), 10)
    add(log, 0, 10)
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert [name.startswith("7-") and name.endswith("-000000.parquet") for name in names] == [True]
