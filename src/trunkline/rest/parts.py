"""Rows on their way through `request()`: in parts that leave when all of their rows have their answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pyarrow as pa

from trunkline.http.message import without_query
from trunkline.rest.answers import Answer
from trunkline.rest.rows import Chunk

# Rows of a part; parts that need no request double up to the larger number, unless their answers take more than this,
# bytes.
_PART_ROWS, _MOST_PART_ROWS = 100, 6400
_LARGE_PART = 4 * 1024 * 1024
# Answers that wait for the rest of their part never take much more than this, bytes.
_MOST_WAITING = 64 * 1024 * 1024


class Part:
    """Rows that leave together.

    Attributes:
        chunk: The rows, and what was computed for them.
        keys: What tells the request of each from others.
        answers: Of each row, None while there is none.
        left: How many rows have none yet.
        size: About how much memory the answers take, bytes.
    """

    __slots__ = ("answers", "chunk", "keys", "left", "size")

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.keys: list[bytes] = []
        self.answers: list[Answer | None] = [None] * len(chunk)
        self.left = len(chunk)
        self.size = 0

    def method(self, row: int) -> str:
        """The method of a row's request."""
        return _at(self.chunk.methods, row)

    def url(self, row: int) -> str:
        """Its URL."""
        return _at(self.chunk.urls, row)

    def named(self, row: int) -> str:
        """A row's request, for an error; credentials in it are still to be cut out."""
        return f"{self.method(row)} {without_query(self.url(row))}"


class Cut:
    """Cuts rows into parts: few rows each, so that `limit(5)` asks for few; parts that need no request are larger.

    Args:
        together: Rows that share a request: none is cut short by where a part ends.

    Attributes:
        rows: Of the next part.
    """

    def __init__(self, together: int) -> None:
        self._together = together
        self.rows = self._fitting(_PART_ROWS)

    def pieces(self, batches: Iterator[pa.RecordBatch | None]) -> Iterator[pa.RecordBatch | None]:
        """The rows of the parts; None where the next are not there yet."""
        for batch in batches:
            if batch is None:
                yield None
                continue
            start = 0
            while start < len(batch):
                piece = batch.slice(start, self.rows)
                start += len(piece)
                yield piece

    def learn(self, part: Part, *, asked: bool) -> None:
        """Set the size of the next part by the last one, for which requests were made or were not."""
        grows = not asked and part.size < _LARGE_PART
        self.rows = self._fitting(min(2 * self.rows, _MOST_PART_ROWS) if grows else _PART_ROWS)

    def _fitting(self, rows: int) -> int:
        return -(-rows // self._together) * self._together


class Parts:
    """The parts under way: bounded, so that memory is flat.

    Args:
        most: Rows.
        keep_order: Whether parts leave in the order in which they came.
    """

    def __init__(self, most: int, *, keep_order: bool) -> None:
        self._most = most
        self._keep_order = keep_order
        self._open: deque[Part] = deque()
        self._whole: deque[Part] = deque()
        self._rows = self._waiting = 0

    def __len__(self) -> int:
        return len(self._open) + len(self._whole)

    @property
    def full(self) -> bool:
        """Whether no more may be taken in."""
        return self._rows >= self._most or self._waiting > _MOST_WAITING

    @property
    def ready(self) -> bool:
        """Whether a part can leave."""
        return bool(self._whole)

    def add(self, part: Part) -> None:
        """Take in a part."""
        self._open.append(part)
        self._rows += len(part.chunk)

    def answer(self, part: Part, row: int, answer: Answer) -> None:
        """Give a row its answer."""
        part.answers[row] = answer
        part.left -= 1
        part.size += answer.size
        self._waiting += answer.size
        if not part.left and not self._keep_order:
            self._open.remove(part)
            self._whole.append(part)
        while self._keep_order and self._open and not self._open[0].left:
            self._whole.append(self._open.popleft())

    def leave(self) -> tuple[Part, list[Answer]]:
        """A part that can leave, with its answers."""
        part = self._whole.popleft()
        answers = [answer for answer in part.answers if answer is not None]
        self._rows -= len(answers)
        self._waiting -= part.size
        return part, answers


def _at(values: list[str] | str, row: int) -> str:
    return values if isinstance(values, str) else values[row]
