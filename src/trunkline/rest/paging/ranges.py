"""Ranges for a parallel read: together they hold every row once.

    offset_ranges(120, 3)      # rows 0-40, 40-80, 80-120
    page_ranges(120, 50, 2)    # pages 1-2 (50 rows), 2-4 (70 rows): three pages of at most 50

They hold as long as nothing is inserted or removed. A range that ends with fewer rows than it owes raises; a removal
and an insertion that cancel each other out between two pages cannot be noticed.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple


class PageRange(NamedTuple):
    """Where a task begins and ends.

    Attributes:
        lower, upper: Offsets or page numbers, `upper` not included.
        rows: How many rows it owes.
        before: How many rows stand before it.
        page_rows: How many rows each of its pages holds, for page numbers.
    """

    lower: int
    upper: int
    rows: int
    before: int
    page_rows: int | None = None


def offset_ranges(total: int, parts: int, start: int = 0, step: int = 1) -> list[PageRange]:
    """Ranges of rows, as even as can be.

    Args:
        total: Rows the API has.
        parts: Ranges at most; fewer where there are fewer steps.
        start: `page.start`.
        step: A range begins at a multiple of it: 1 where a page can be asked for in any size, the rows of a page where
            the server decides.
    """
    base = offset_base(start)
    skipped = start - base
    cuts = _cuts(-(-max(total - skipped, 0) // step), parts)
    return [
        PageRange(start + a * step, start + b * step, min(b * step, total - skipped) - a * step, skipped + a * step)
        if step > 1
        else PageRange(start + a, start + b, b - a, skipped + a)
        for a, b in cuts
    ]


def page_ranges(total: int, page_rows: int, parts: int, start: int = 1) -> list[PageRange]:
    """Ranges of page numbers, as even as can be.

    Args:
        total: Rows the API has.
        page_rows: Rows on the first page, which is what the server gives at most, whatever it is asked for.
        parts: Ranges at most; fewer where there are fewer pages.
        start: `page.start`.

    Raises:
        ValueError: There are rows, and yet none on the first page.
    """
    if total > 0 and page_rows < 1:
        raise ValueError(f"{total} rows in all, and none on the first page")
    base = page_base(start)
    count = -(-total // page_rows) if total > 0 else 0
    left = max(count - (start - base), 0)
    return [
        PageRange(start + a, start + b, min((start - base + b) * page_rows, total) - before, before, page_rows)
        for a, b in _cuts(left, parts)
        for before in [(start - base + a) * page_rows]
    ]


def offset_base(start: int) -> int:
    """The offset of the very first row: 1 where `page.start` is 1, else 0, and a higher start leaves rows out."""
    return 1 if start == 1 else 0


def page_base(start: int) -> int:
    """The number of the very first page: 0 where `page.start` is 0, else 1, and a higher start leaves pages out."""
    return 0 if start == 0 else 1


def _cuts(count: int, parts: int) -> list[tuple[int, int]]:
    """Neighbours of as even a length as can be, none of them empty."""
    parts = max(1, min(parts, count))
    ends = [count * part // parts for part in range(parts + 1)]
    return [(a, b) for a, b in itertools.pairwise(ends) if a < b]
