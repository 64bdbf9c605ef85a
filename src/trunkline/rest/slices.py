"""What a read is split into: slices that together hold every row once.

    plan_slices(options, count_pages)      # [Slice(value="de"), Slice(value="fr")] for partition.values=de,fr

A slice is read by one chain of pages. A task reads one or several, one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from trunkline.options import Options
from trunkline.rest.bounds import Bound, parse_bound, split
from trunkline.rest.paging import PageRange, offset_ranges, page_ranges
from trunkline.rest.read_rules import partition_kind

# Without numPartitions, a list or a known total is split into so many tasks at most.
_TASKS = 8


@dataclass(frozen=True)
class Slice:
    """A part of a read.

    Attributes:
        low, high: The window of `partitionColumn` it holds, `high` not included; None where it is open.
        value: Of `partition.values`.
        pages: The rows or page numbers it holds, for `partition.by=page`.
    """

    low: Bound | None = None
    high: Bound | None = None
    value: str | None = None
    pages: PageRange | None = None

    def params(self, options: Options) -> tuple[tuple[str, str], ...]:
        """What it adds to the query."""
        found = []
        if self.low is not None and options["partition.lowerParam"]:
            # An API that leaves out the bound it is given is asked for one step more; rows of a time are trimmed.
            low = self.low.before() if options["partition.lower"] == "exclusive" else self.low
            found.append((options["partition.lowerParam"], low.text))
        if self.high is not None and options["partition.upperParam"]:
            # Between two ids there is nothing; between two times there always is, so rows are trimmed instead.
            before = options["partition.upper"] == "inclusive" and self.high.spelling == "id"
            high = self.high.before() if before else self.high
            found.append((options["partition.upperParam"], high.text))
        if self.value is not None and options["partition.param"]:
            found.append((options["partition.param"], self.value))
        return tuple(found)

    def halves(self, options: Options) -> list[Slice]:
        """The window in two, or itself alone where it cannot be cut."""
        if self.low is None or self.high is None:
            return [self]
        least = round(options["partition.minWindow"] * 1_000_000) if self.low.spelling != "id" else 1
        return [Slice(low, high, self.value) for low, high in split(self.low, self.high, 2, least)]

    def __str__(self) -> str:
        if self.value is not None:
            return f"partition.values {self.value!r}"
        if self.low is not None or self.high is not None:
            return f"window {self.low.text if self.low else '...'} to {self.high.text if self.high else '...'}"
        return "all"


def plan_slices(options: Options, count_pages: Callable[[], tuple[int, int]]) -> list[Slice]:
    """The slices of a read.

    Args:
        options: Of the read.
        count_pages: Asks the API: how many records there are, and how many the first page holds.
    """
    kind = partition_kind(options)
    if kind in {"time", "id"}:
        low, high = (parse_bound(options[name], kind) for name in ("lowerBound", "upperBound"))
        windows = split(low, high, options["numPartitions"] or _TASKS)
        slices = [Slice(a, b) for a, b in windows]
        if kind == "id":
            # As in JDBC, the bounds say where to cut and leave nothing out.
            slices[0] = Slice(None, slices[0].high)
            slices[-1] = Slice(slices[-1].low, None)
        return slices
    if kind == "list":
        return [Slice(value=value) for value in options["partition.values"]]
    if kind == "page":
        total, on_first = count_pages()
        parts = options["numPartitions"] or _TASKS
        if options["pagination"] == "offset":
            # Where the size of a page cannot be asked for, a range ends where a page of the server's does.
            step = 1 if options["page.sizeParam"] else max(on_first, 1)
            ranges = offset_ranges(total, parts, int(options["page.start"] or 0), step)
        else:
            ranges = page_ranges(total, on_first, parts, start=int(options["page.start"] or 1))
        return [Slice(pages=pages) for pages in ranges] or [Slice()]
    return [Slice()]


def grouped(slices: list[Slice], tasks: int) -> list[tuple[Slice, ...]]:
    """The slices in at most so many groups of neighbours, as even as can be."""
    tasks = max(1, min(tasks, len(slices)))
    cuts = [len(slices) * task // tasks for task in range(tasks + 1)]
    return [tuple(slices[a:b]) for a, b in itertools.pairwise(cuts)]


def tasks_of(options: Options, slices: list[Slice]) -> int:
    """Into how many tasks slices go: `numPartitions`, and one where `maxRows` is counted."""
    if options["maxRows"] is not None:
        return 1
    return min(len(slices), options["numPartitions"] or _TASKS)
