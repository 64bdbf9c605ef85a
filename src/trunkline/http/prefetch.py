"""Reads an iterator one item ahead, in a thread of its own.

    for item in Prefetched(batches).items(may_block=lambda: nothing_in_flight):
        ...                       # None: the next item is not there yet

A slow upstream must not keep answers waiting: while Spark computes the next rows, the exchanges in flight go on, their
time-outs stay true and the response log is written.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# How long a blocked look waits before the caller gets its turn.
_PATIENCE = 0.5


class Prefetched(Generic[T]):
    """An iterator that can be asked without waiting.

    Args:
        source: Read in another thread, at most one item ahead of what is taken.
    """

    def __init__(self, source: Iterator[T]) -> None:
        self._source = source
        self._queue: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(maxsize=1)
        self._closed = False
        self._thread: threading.Thread | None = None

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
        while True:
            try:
                item, error, done = self._queue.get(timeout=_PATIENCE) if may_block() else self._queue.get_nowait()
            except queue.Empty:
                yield None
                continue
            if error is not None:
                raise error
            if done:
                return
            yield item

    def close(self) -> None:
        """Read no further than the item under way."""
        self._closed = True
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                return

    def _read(self) -> None:
        try:
            for item in self._source:
                self._put((item, None, False))
                if self._closed:
                    return
        except BaseException as error:  # noqa: BLE001 - handed to the thread that reads
            self._put((None, error, False))
            return
        self._put((None, None, True))

    def _put(self, entry: tuple[T | None, BaseException | None, bool]) -> None:
        while not self._closed:
            try:
                self._queue.put(entry, timeout=_PATIENCE)
            except queue.Full:
                continue
            return
