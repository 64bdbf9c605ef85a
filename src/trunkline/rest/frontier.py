"""Where the next micro-batch of a stream ends: found on the driver, by asking the API.

A field's end is found in the values of that field, a page's by walking to the last one. Both walks are bounded by
`maxRecordsPerTrigger` and `maxPagesPerTrigger`; a walk that is cut short needs rows in ascending order, and checks it.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urljoin

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import ResponseError
from trunkline.rest.page_request import PageRequests
from trunkline.rest.pages import Connection, Pages
from trunkline.rest.paging import Ask, Walk, paging_of
from trunkline.rest.position import FieldPlace
from trunkline.rest.reading import PageDecoder, ReadPlan


class Frontier(NamedTuple):
    """An end that was found.

    Attributes:
        end: The value or page position; equal to the start when there is nothing new.
        more: Whether there is more already.
        cut: Whether the walk stopped in the middle of rows that were in ascending order so far.
    """

    end: Any
    more: bool
    cut: bool = False


class PagePosition(NamedTuple):
    """A row of a log of pages.

    Attributes:
        ask: What asks for the page; None for the first there is.
        skip: How many of its rows lie before the position.
    """

    ask: Ask | None
    skip: int


def field_frontier(
    plan: ReadPlan, connection: Connection, place: FieldPlace, low: Any, cap: Any, most: int | None
) -> Frontier | None:
    """Where the next window of a field ends, None when no row is in it.

    Args:
        plan: Of the stream.
        connection: To ask with.
        place: Of the field.
        low: Where the stream stands.
        cap: For a time: what is not settled yet is left alone.
        most: The most rows, None for all.

    Raises:
        ResponseError: The walk was cut short and the rows are not in ascending order, or one has no value.
    """
    options = plan.options
    name, pages_most = options["incremental.field"], options["maxPagesPerTrigger"]
    window = place.window(low, cap)
    # Columns of CSV without names go by position: all of them, or none.
    by_position = options["format"] == "csv" and not options["csv.header"]
    decoder = PageDecoder(plan if by_position else ReadPlan(options, pa.schema([plan.schema.field(name)])))
    walk = Walk(paging_of(options), max_pages=options["maxPages"])
    requests = PageRequests(options, place.params(options, low, cap))
    order = Ascending()
    found: list[pa.Array] = []
    rows = 0
    for number, page in enumerate(Pages(connection, walk, requests, decoder.decode), 1):
        values = field_values(decoder.batch(page), name)
        order.add(values)
        inside = values.filter(window.rows(values))
        found.append(inside)
        rows += len(inside)
        if rows and most is None and pages_most is None and place.of_time:
            # There is something, and the clock says where it ends.
            return Frontier(cap, more=False)
        full = (most is not None and rows > most) or (pages_most is not None and number >= pages_most)
        if full and walk.ask is not None and _two_places(found):
            if not order.kept:
                raise ResponseError(
                    f"the rows are not in ascending order of {name}, so a batch cannot be cut: ask the API to sort "
                    "them by params, or leave out maxRecordsPerTrigger and maxPagesPerTrigger"
                )
            return Frontier(_cut(place, found, most), more=True, cut=True)
    if not rows:
        return None
    if most is not None and rows > most and _two_places(found):
        return Frontier(_cut(place, found, most), more=True)
    return Frontier(cap if place.of_time else place.of(pc.max(pa.concat_arrays(found))), more=False)


def page_frontier(plan: ReadPlan, connection: Connection, start: PagePosition, most: int | None) -> Frontier:
    """Where a log of pages ends now, or the batch that begins at `start`.

    Raises:
        ResponseError: The page at which the stream stands holds fewer rows than it did.
    """
    options = plan.options
    pages_most = options["maxPagesPerTrigger"]
    walk = Walk(paging_of(options), max_pages=options["maxPages"], first=start.ask)
    requests = PageRequests(options)
    end, rows, walked = start, -start.skip, 0
    for number, page in enumerate(Pages(connection, walk, requests), 1):
        count, ask = page.count, page.ask
        if ask.url is not None:
            # What stands in an offset is kept in the checkpoint, in clear.
            ask = ask._replace(url=requests.without_key(urljoin(page.came_from, ask.url)))
        if number == 1 and count < start.skip:
            raise ResponseError(
                f"the page at which the stream stands holds {count} rows, and held {start.skip}: rows were removed, so "
                "the API is no log that can be followed by its pages; give incremental.field"
            )
        if count:
            rows += count
            # The page at which the stream stands is walked only if it has grown.
            walked += number > 1 or count > start.skip
            end = PagePosition(ask, count)
            if most is not None and rows > most:
                return Frontier(PagePosition(ask, count - (rows - most)), more=True)
        if walked == pages_most and walk.ask is not None:
            return Frontier(end, more=True)
    return Frontier(end, more=False)


def field_values(batch: pa.RecordBatch, name: str) -> pa.Array:
    """The values of `incremental.field`.

    Raises:
        ResponseError: One of them is null.
    """
    values = batch.column(name)
    if values.null_count:
        raise ResponseError(f"incremental.field {name} is null in {values.null_count} records: no batch owns them")
    return values


class Ascending:
    """Whether values seen page by page are in ascending order so far."""

    def __init__(self) -> None:
        self.kept = True
        self._last: pa.Scalar | None = None

    def add(self, values: pa.Array) -> None:
        """Look at the values of the next page."""
        if not len(values) or not self.kept:
            return
        if self._last is not None and not pc.less_equal(self._last, values[0]).as_py():
            self.kept = False
        if len(values) > 1 and not pc.all(pc.less_equal(values[:-1], values[1:])).as_py():
            self.kept = False
        self._last = values[-1]


def _two_places(found: list[pa.Array]) -> bool:
    """Whether there is more than one value: equal ones cannot be told apart by a cut."""
    known = [values for values in found if len(values)]
    if not known:
        return False
    low = min(pc.min(values).as_py() for values in known)
    return any(pc.max(values).as_py() > low for values in known)


def _cut(place: FieldPlace, found: list[pa.Array], most: int | None) -> Any:
    """The end of a window that holds `most` rows at the most, as far as equal values allow."""
    joined = pa.concat_arrays(found)
    values = joined.take(pc.array_sort_indices(joined))
    count = len(values) if most is None else min(most, len(values))
    if not place.of_time:
        return place.of(values[count - 1])
    # The end of a window of time is not in it: the first value that is left out.
    index = min(count, len(values) - 1)
    if values[index].equals(values[0]):
        return place.of(values.filter(pc.greater(values, values[0]))[0])
    return place.of(values[index])
