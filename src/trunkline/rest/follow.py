"""What a stream follows: the values of a field, or pages to which rows are only ever added.

    source = source_of(plan)
    source.frontier(start, most=10_000)     # on the driver: where the next micro-batch ends
    source.rows(start, end)                 # in a task: what lies between

A task is told two offsets and nothing else, so that a replay reads the same rows as long as the API has them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urljoin

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import OptionError, ResponseError
from trunkline.options import Options
from trunkline.polling import NextOffset
from trunkline.rest.frontier import Ascending, PagePosition, field_frontier, field_values, page_frontier
from trunkline.rest.page_opener import Page
from trunkline.rest.page_request import PageRequests
from trunkline.rest.pages import Connection, Pages, read_ahead
from trunkline.rest.paging import Ask, Walk, paging_of
from trunkline.rest.position import VERSION, FieldPlace, Offset
from trunkline.rest.reading import PageDecoder, ReadPlan
from trunkline.rest.spool import Spool
from trunkline.values import DigestBag, row_digests

# The driver asks while a task reads.
_TASKS = 2


@dataclass(frozen=True)
class FieldSource:
    """A stream that follows a field.

    Attributes:
        plan: Of the stream.
        place: Of the field.
    """

    plan: ReadPlan
    place: FieldPlace

    def initial(self) -> Offset:
        """`incremental.start`, or before every row."""
        place = self.place
        return place.offset(place.start)

    def frontier(self, start: Offset, most: int | None) -> NextOffset | None:
        """Where the batch after `start` ends."""
        place = self.place
        low = place.value(start)
        cap = place.cap(time.time_ns() // 1000)
        if cap is not None and low is not None and cap <= low:
            return None
        with closing(Connection(self.plan.options, _TASKS)) as connection:
            found = field_frontier(self.plan, connection, place, low, cap, most)
        if found is not None:
            return NextOffset(place.offset(found.end, cut=found.cut), found.more)
        if place.lookback and self._late(start, place.offset(cap)):
            return NextOffset(place.offset(cap), more=False)
        return None

    def _late(self, start: Offset, end: Offset) -> bool:
        """Whether the look-back holds a row that no earlier batch kept: only a spool can tell."""
        spool = self.plan.options["incremental.spool"]
        if spool is None or self.place.value(start) is None:
            return False
        known = Known(self.before(Spool(spool), start))
        return any(known.new(batch).num_rows for batch in self.rows(start, end))

    def rows(self, start: Offset, end: Offset) -> Iterator[pa.RecordBatch]:
        """The rows of a micro-batch, those of the look-back among them."""
        options, place = self.plan.options, self.place
        low, high = place.value(start), place.value(end)
        if place.lookback and low is not None:
            low = low - place.lookback if place.start is None else max(place.start, low - place.lookback)
        window, before_end = place.window(low, high), place.window(None, high)
        decoder, order = PageDecoder(self.plan), Ascending()
        walk = Walk(paging_of(options), max_pages=options["maxPages"])
        requests = PageRequests(options, place.params(options, low, high))
        for page in _pages(options, walk, requests, decoder):
            batch = decoder.batch(page)
            values = field_values(batch, options["incremental.field"])
            inside = batch.filter(window.rows(values))
            if inside.num_rows:
                yield inside
            order.add(values)
            # What the driver cut in the middle of rows in order is not walked to its end here either.
            if end.get("cut") and order.kept and len(values) and not before_end.rows(values[-1:])[0].as_py():
                return

    def before(self, spool: Spool, start: Offset) -> list[pa.Table]:
        """What earlier batches kept of the rows that the look-back of this one reads again."""
        place = self.place
        low = place.value(start)
        if not place.lookback or low is None:
            return []
        return [
            spool.read(kept)
            for kept in spool.kept()
            if (end := place.value(kept.end)) is not None and low - place.lookback < end <= low
        ]

    def forget(self, spool: Spool, end: Offset) -> None:
        """Drop what lies before the look-back of the next batch."""
        place = self.place
        done = place.value(end)
        for kept in list(spool.kept()):
            until = place.value(kept.end)
            if done is not None and until is not None and until < (done - place.lookback if place.lookback else done):
                spool.drop(kept)


@dataclass(frozen=True)
class PageSource:
    """A stream that follows the pages of an API to which rows are only ever added."""

    plan: ReadPlan

    def initial(self) -> Offset:
        """The first row of the first page."""
        return {"v": VERSION, "ask": None, "skip": 0}

    def frontier(self, start: Offset, most: int | None) -> NextOffset | None:
        """Where the batch after `start` ends."""
        position = _page_position(start)
        with closing(Connection(self.plan.options, _TASKS)) as connection:
            found = page_frontier(self.plan, connection, position, most)
        return None if found.end == position else NextOffset(_page_offset(found.end), found.more)

    def rows(self, start: Offset, end: Offset) -> Iterator[pa.RecordBatch]:
        """The rows of a micro-batch."""
        options = self.plan.options
        first, last = _page_position(start), _page_position(end)
        decoder = PageDecoder(self.plan)
        walk = Walk(paging_of(options), max_pages=options["maxPages"], first=first.ask)
        skip, requests = first.skip, PageRequests(options)
        owed = _rows_between(first, last, options)
        for page in _pages(options, walk, requests, decoder):
            batch = decoder.batch(page)
            reached = owed is None and last.ask is not None and _same(requests, page, last.ask)
            if reached and batch.num_rows < last.skip:
                raise ResponseError(
                    f"a page held {last.skip} rows when the batch was planned and holds {batch.num_rows} now: the rows "
                    "of a stream by pages must stay; give incremental.field, or keep what was read in incremental.spool"
                )
            batch = batch.slice(skip, last.skip - skip) if reached else batch.slice(skip, owed)
            skip = 0
            if owed is not None:
                owed -= batch.num_rows
                reached = owed == 0
            if batch.num_rows:
                yield batch
            if reached:
                return
        raise ResponseError("the pages ended before the place where the batch was planned to end")

    def before(self, spool: Spool, start: Offset) -> list[pa.Table]:
        """Nothing: pages have no look-back."""
        return []

    def forget(self, spool: Spool, end: Offset) -> None:
        """Drop all but the batch that ends here."""
        for kept in list(spool.kept()):
            if end not in (kept.start, kept.end):
                spool.drop(kept)


def source_of(plan: ReadPlan) -> FieldSource | PageSource:
    """What the options of a stream say that it follows."""
    options = plan.options
    field = options["incremental.field"]
    if field is not None:
        return FieldSource(plan, FieldPlace(plan.schema.field(field).type, options))
    if options["mode"] == "DROPMALFORMED":
        raise OptionError("rest: mode=DROPMALFORMED needs incremental.field: pages are followed by counting their rows")
    return PageSource(plan)


def spooled(spool: Spool, source: FieldSource | PageSource, start: Offset, end: Offset) -> Iterator[pa.RecordBatch]:
    """The rows of a micro-batch, read from the API once and from then on from the spool."""
    kept = spool.batches(start, end)
    if kept is None:
        known = Known(source.before(spool, start))
        spool.keep(start, end, map(known.new, source.rows(start, end)), source.plan.schema)
        kept = spool.batches(start, end)
    return iter(()) if kept is None else kept


class Known:
    """The rows that earlier batches kept."""

    def __init__(self, tables: list[pa.Table]) -> None:
        self._any = bool(tables)
        self._kept = DigestBag()
        for table in tables:
            for batch in table.to_batches():
                self._kept.add(row_digests(batch))

    def new(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that are not among them; each of two equal rows counts once."""
        return batch.filter(pc.invert(pa.array(self._kept.take(row_digests(batch))))) if self._any else batch


def _pages(options: Options, walk: Walk, requests: PageRequests, decoder: PageDecoder) -> Iterator[Page]:
    connection = Connection(options, _TASKS)
    return read_ahead(connection, Pages(connection, walk, requests, decoder.decode))


def _rows_between(first: PagePosition, last: PagePosition, options: Options) -> int | None:
    """How many rows lie between two places of a log, None where only pages can tell.

    A log that grows while it is walked has its pages elsewhere a moment later, its rows not. Pages with numbers stay
    where they are, though, and one that was not full yet is counted wrong.
    """
    if last.ask is None or last.ask.rows is None or (first.ask is not None and first.ask.rows is None):
        return None
    if (dict(last.ask.found).get("pagination") or options["pagination"]) == "page":
        return None
    begin = first.skip + (0 if first.ask is None or first.ask.rows is None else first.ask.rows)
    return last.ask.rows + last.skip - begin


def _same(requests: PageRequests, page: Page, ask: Ask) -> bool:
    """Whether a page is the one that an offset names."""
    url = None if page.ask.url is None else requests.without_key(urljoin(page.came_from, page.ask.url))
    return page.ask._replace(url=url, rows=None) == ask._replace(rows=None)


def _page_position(offset: Offset) -> PagePosition:
    if offset.get("v") != VERSION or "skip" not in offset:
        raise OptionError(f"rest: the checkpoint belongs to a stream with other options: {offset}")
    return PagePosition(None if offset["ask"] is None else Ask.from_json(offset["ask"]), offset["skip"])


def _page_offset(position: PagePosition) -> Offset:
    return {"v": VERSION, "ask": None if position.ask is None else position.ask.to_json(), "skip": position.skip}
