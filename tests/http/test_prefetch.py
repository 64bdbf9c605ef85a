"""An iterator read one item ahead, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.http import prefetch
from trunkline.http.prefetch import Prefetched

WAIT = 60.0


def always() -> bool:
    return True


def never() -> bool:
    return False


class Source:
    """Gives 0, 1, 2 ... when it is allowed to; `asked` counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.allowed = threading.Semaphore(0)

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.asked += 1
        assert self.allowed.acquire(timeout=WAIT)
        return self.asked - 1


def wait_until_asked(source: Source, times: int) -> None:
    end = time.monotonic() + WAIT
    while source.asked < times:
        assert time.monotonic() < end
        time.sleep(0.001)


def present(items: Iterator[int | None]) -> int:
    """The next item, waited for."""
    return next(item for item in items if item is not None)


@given(st.lists(st.integers()))
def test_all_items_come_in_order(values: list[int]) -> None:
    assert [item for item in Prefetched(iter(values)).items(always) if item is not None] == values


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits at all waits for as long as anything here takes."""
    monkeypatch.setattr(prefetch, "_PATIENCE", WAIT)


@pytest.mark.usefixtures("patient")
def test_none_while_the_next_item_is_not_there() -> None:
    """The caller who has other things to do is not kept waiting."""
    source = Source()
    items = Prefetched(source).items(never)
    began = time.monotonic()
    assert [next(items) for _ in range(3)] == [None] * 3
    assert time.monotonic() - began < WAIT / 2
    source.allowed.release(2)
    assert present(items) == 0


def test_a_caller_with_nothing_to_do_waits_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the item, and is given None when that takes long."""
    source = Source()
    items = Prefetched(source).items(always)
    began = time.monotonic()
    assert next(items) is None
    assert 0.4 < time.monotonic() - began < WAIT / 2
    monkeypatch.setattr(prefetch, "_PATIENCE", WAIT)
    threading.Timer(0.05, source.allowed.release).start()
    assert next(items) == 0
    source.allowed.release()


@pytest.mark.usefixtures("patient")
def test_may_block_is_asked_for_each_item() -> None:
    source = Source()
    answers = iter([False, False, True])
    items = Prefetched(source).items(lambda: next(answers))
    assert [next(items), next(items)] == [None, None]
    source.allowed.release(2)
    assert next(items) == 0


def test_one_item_ahead_at_most() -> None:
    """With k items taken the source has been asked for k + 1, and no more however long it takes."""
    source = Source()
    source.allowed.release(10)
    items = Prefetched(source).items(always)
    for taken in range(1, 4):
        assert present(items) == taken - 1
        wait_until_asked(source, taken + 1)
        time.sleep(0.02)
        assert source.asked == taken + 1


def test_nothing_is_read_before_the_first_look() -> None:
    source = Source()
    Prefetched(source).items(always)
    time.sleep(0.02)
    assert source.asked == 0


def test_an_error_comes_through_after_the_items_before_it() -> None:
    """The very exception, once; after it there is nothing more."""
    error = OSError("disk on fire")

    def source() -> Iterator[int]:
        yield 1
        raise error

    items = Prefetched(source()).items(always)
    assert present(items) == 1
    with pytest.raises(OSError, match="disk on fire") as raised:
        present(items)
    assert raised.value is error
    assert list(items) == []


def test_an_interrupt_in_the_source_comes_through() -> None:
    """Not only what is an Exception."""

    def interrupted(_: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        present(Prefetched(map(interrupted, [1])).items(always))


def test_closing_early_does_not_hang() -> None:
    """Neither the caller, nor the thread once its item has come; the source is not asked again."""
    source = Source()
    prefetched = Prefetched(source)
    items = prefetched.items(always)
    source.allowed.release()
    assert present(items) == 0
    wait_until_asked(source, 2)
    began = time.monotonic()
    prefetched.close()
    assert time.monotonic() - began < WAIT / 2
    source.allowed.release()
    assert prefetched._thread is not None
    prefetched._thread.join(WAIT)
    assert (prefetched._thread.is_alive(), source.asked, list(items)) == (False, 2, [])


def test_closing_what_was_never_read() -> None:
    prefetched = Prefetched(iter([1]))
    prefetched.close()
    assert list(prefetched.items(always)) == []
