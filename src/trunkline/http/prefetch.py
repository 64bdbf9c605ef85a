"""Reads an iterator ahead, in a thread of its own.

    for item in Prefetched(batches).items(may_block=lambda: nothing_in_flight):
        ...                       # None: the next item is not there yet

A slow upstream must not keep answers waiting: while Spark computes the next rows, the exchanges in flight go on, their
time-outs stay true and the response log is written.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# How long a blocked look waits before the caller gets its turn.
_PATIENCE = 0.5


class Prefetched(Generic[T]):
    """An iterator that can be asked without waiting.

    Args:
        source: Read in another thread, one item ahead of what is taken until `widen` says more.
        closes: Whether that thread closes the source, a generator, when nobody wants more of it.

    Attributes:
        error: What the source raised, known before the items ahead of it are used up.
    """

    def __init__(self, source: Iterator[T], *, closes: bool = False) -> None:
        self._source = source
        self._most = 1
        self._closes = closes
        self._queue: queue.SimpleQueue[tuple[T | None, BaseException | None, bool]] = queue.SimpleQueue()
        # One permit for each item that may be read; taking an item gives one back.
        self._permits = threading.Semaphore(1)
        self._closed = False
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def widen(self, most: int) -> None:
        """Let it be so many items ahead from now on; only the source may say so, while it is read."""
        for _ in range(most - self._most):
            self._permits.release()
        self._most = max(self._most, most)

    @property
    def room(self) -> int:
        """How many items the source may give, the one it is about to give included, before it has to wait."""
        return self._most - self._queue.qsize()

    def items(self, may_block: Callable[[], bool]) -> Iterator[T | None]:
        """The items; None when the next one is not there yet.

        Args:
            may_block: Whether there is nothing else to do: then it waits a little before it gives None.

        Raises:
            Exception: What the source raised, where it raised it.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="trunkline-prefetch", daemon=True)
            self._thread.start()
        while not self._closed:
            try:
                item, error, done = self._queue.get(timeout=_PATIENCE) if may_block() else self._queue.get_nowait()
            except queue.Empty:
                yield None
                continue
            if error is not None or done:
                self._closed = True
                if error is not None:
                    raise error
                return
            self._permits.release()
            yield item

    def drain(self, seconds: float) -> Iterator[T]:
        """What is left, for so long: a source that is read to its end leaves its process fit for the next task.

        What the source raises ends it without a word: whoever drains has a failure of his own to tell.
        """
        until = time.monotonic() + seconds
        while not self._closed and self._thread is not None:
            try:
                item, error, done = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            if error is not None or done or item is None:
                self._closed = True
                return
            self._permits.release()
            yield item

    def close(self) -> None:
        """Read no further than the item under way; does not wait for it."""
        self._closed = True
        self._permits.release()

    def _read(self) -> None:
        try:
            while True:
                self._permits.acquire()
                if self._closed:
                    return
                self._queue.put((next(self._source), None, False))
        except StopIteration:
            self._queue.put((None, None, True))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that reads
            self.error = error
            self._queue.put((None, error, False))
        finally:
            # In the thread that ran it: what a generator of ours holds open is not for another thread to close.
            if self._closes and isinstance(self._source, Generator):
                self._source.close()
