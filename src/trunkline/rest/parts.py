"""Rows on their way through `request()`: in parts that leave when all of their rows have their answers."""

from __future__ import annotations

from collections import deque

from trunkline.rest.answers import Answer
from trunkline.rest.rows import Chunk

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
