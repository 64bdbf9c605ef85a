"""One task of a read: slices in, record batches out.

    for batch in read_slices(plan, partition.slices, tasks=8):
        ...                       # pyarrow.RecordBatch of exactly the plan's schema

The engine, the paging and the opening of answers work in a thread of their own, some pages ahead; here records become
columns. Memory is bounded by the pages on their way (`pages_in_flight`) and three more: one that waits, one that is
opened and one that is parsed.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.coordination.task import TaskProgress
from trunkline.errors import RejectedError, ResponseError, UnavailableError
from trunkline.http.setup import link_of
from trunkline.options import Options
from trunkline.rest.bounds import Bound
from trunkline.rest.page_opener import Page
from trunkline.rest.page_request import PageRequests
from trunkline.rest.pages import Connection, Pages, pages_in_flight, read_ahead
from trunkline.rest.paging import OffsetPaging, PagePaging, Walk, paging_of
from trunkline.rest.slices import Slice
from trunkline.values.absent import AbsentFields
from trunkline.values.envelope import Envelope
from trunkline.values.from_json import Decoded, JsonDecoder
from trunkline.values.from_text import CsvDecoder, binary_batch, text_batch
from trunkline.values.modes import ReadOptions

# A window that holds too much is refused with one of these.
_WINDOW_REFUSALS = frozenset({400, 413, 422, 504})

# What became of records that do not fit, by parse mode; with FAILFAST the error says it.
_FATES = {"DROPMALFORMED": "left out", "PERMISSIVE": "kept as text"}

log = logging.getLogger("trunkline.rest")


@dataclass(frozen=True)
class ReadPlan:
    """What all tasks of a read share: made once on the driver.

    Attributes:
        options: Resolved.
        schema: Of the batches.
        read: Names it.
    """

    options: Options
    schema: pa.Schema
    read: str = field(default_factory=lambda: uuid.uuid4().hex)


class PageDecoder:
    """Makes a record batch of a page.

    Args:
        plan: Of the read.
    """

    def __init__(self, plan: ReadPlan) -> None:
        self._schema = plan.schema
        self._format: str = plan.options["format"]
        self._checked = False
        options = record_options(plan.options, plan.schema.names)
        self.mode = options.mode
        self._json = JsonDecoder(plan.schema, options) if self._format in {"json", "ndjson"} else None
        self._csv = CsvDecoder(plan.schema, options) if self._format == "csv" else None
        self._read = [number for number, name in enumerate(plan.schema.names) if name != options.corrupt_column]
        self._absent = AbsentFields(
            [plan.schema.field(number) for number in self._read], options.missing, read=plan.read
        )

    @property
    def malformed(self) -> int:
        """Records that did not fit the schema so far."""
        decoder = self._json or self._csv
        return decoder.malformed if decoder is not None else 0

    @property
    def decode(self) -> Callable[[bytes], Decoded | None] | None:
        """How `Pages` may read records; None where it cannot, because they are no JSON array."""
        return self._json.decoded if self._json is not None and self._format == "json" else None

    def batch(self, page: Page) -> pa.RecordBatch:
        """The records of a page.

        Raises:
            ResponseError: A record does not fit, with `mode=FAILFAST`; or a field of the schema is in none of them, and
                should be.
        """
        if page.envelope is not None and page.count and not self._checked:
            self._checked = True
            self._check_columns(page.envelope)
        if self._json is not None:
            envelope = page.envelope
            if envelope is None:
                batch = self._json.lines(page.body)
            else:
                batch = self._json.array(envelope.records, page.decoded)
            columns = [batch.column(number) for number in self._read]
            self._absent.look(columns, lambda: page.body.splitlines() if envelope is None else envelope.texts())
            return batch
        if self._csv is not None:
            return self._csv.batch(page.body)
        return (text_batch if self._format == "text" else binary_batch)(page.body, self._schema)

    def _check_columns(self, envelope: Envelope) -> None:
        """Refuse records that have nothing of the schema: they would all be rows of nulls.

        A schema of one column may well name a field that is often left out.
        """
        record, columns = envelope.last(), self._schema.names
        single = envelope.path == "$"
        if not isinstance(record, dict) or set(record) & set(columns) or (len(columns) == 1 and not single):
            return
        held = ", ".join(list(record)[:5]) or "nothing"
        cure = "where the records are further down, name them in records" if single else "names are told apart by case"
        raise ResponseError(f"a record holds {held}, and none of the columns {', '.join(columns[:5])}: {cure}")


def record_options(options: Options, columns: list[str]) -> ReadOptions:
    """How records are read; without a column for what does not fit, it ends the read."""
    corrupt = options["columnNameOfCorruptRecord"]
    kept = corrupt in columns
    return ReadOptions(
        mode=options["mode"] or ("PERMISSIVE" if kept else "FAILFAST"),
        corrupt_column=corrupt if kept else None,
        timestamps=options["timestamps"],
        zone=options["timeZone"],
        csv_header=options["csv.header"],
        csv_separator=options["csv.separator"],
        missing=options["missingFields"],
    )


def read_slices(plan: ReadPlan, slices: tuple[Slice, ...], tasks: int) -> Iterator[pa.RecordBatch]:
    """The rows of some slices.

    Args:
        plan: Of the read.
        slices: Read one after the other.
        tasks: Among how many tasks the rate limit is shared.

    Raises:
        TrunklineError: The slices cannot be read whole.
    """
    most = plan.options["maxRows"]
    decoder = PageDecoder(plan)
    connection = Connection(plan.options, tasks)
    progress = TaskProgress(link_of(plan.options), f"read/{uuid.uuid4().hex}")
    rows = 0
    try:
        pages = _pages(plan.options, connection, slices, decoder)
        for part, page in read_ahead(connection, pages, pages=pages_in_flight(plan.options)):
            batch = within(decoder.batch(page), plan.options["partitionColumn"], part.low, part.high)
            if most is not None:
                batch = batch.slice(0, most - rows)
            rows += batch.num_rows
            if progress.active:
                progress.tell({"rows": rows, "accepted": rows, "requests": connection.requests})
            if batch.num_rows:
                yield batch
            if rows == most:
                return
    finally:
        if progress.active:
            progress.tell({"rows": rows, "accepted": rows, "requests": connection.requests}, done=True)
        if decoder.malformed and (fate := _FATES.get(decoder.mode)):
            log.warning("records that did not fit the schema and were %s: %d", fate, decoder.malformed)


def within(batch: pa.RecordBatch, column: str | None, low: Bound | None, high: Bound | None) -> pa.RecordBatch:
    """The rows of a window: those outside of it belong to a neighbour, who reads them too."""
    if column is None:
        return batch
    values = batch.column(column)
    if values.null_count:
        raise ResponseError(f"partitionColumn {column} is null in {values.null_count} records: no window owns them")
    if low is None and high is None:
        return batch
    inside = None
    if low is not None:
        inside = pc.greater_equal(values, _scalar(low, values.type))
    if high is not None:
        below = pc.less(values, _scalar(high, values.type))
        inside = below if inside is None else pc.and_(inside, below)
    return batch.filter(inside)


def _scalar(bound: Bound, kind: pa.DataType) -> pa.Scalar:
    if bound.spelling == "id":
        return pa.scalar(bound.value, kind)
    if pa.types.is_date(kind):
        return pa.scalar(bound.value // 86_400_000_000, pa.int32()).cast(kind)
    return pa.scalar(bound.value, pa.int64()).cast(pa.timestamp("us")).cast(kind)


def _pages(
    options: Options, connection: Connection, slices: tuple[Slice, ...], decoder: PageDecoder
) -> Iterator[tuple[Slice, Page]]:
    waiting = list(reversed(slices))
    while waiting:
        part = waiting.pop()
        answered = False
        try:
            for page in Pages(connection, walk_of(options, part), requests_of(options, part), decoder.decode):
                answered = True
                yield part, page
        except (RejectedError, UnavailableError) as refused:
            halves = part.halves(options) if refused.status in _WINDOW_REFUSALS and not answered else [part]
            if len(halves) == 1:
                raise
            log.info("%s is refused with status %s: read in halves", part, refused.status)
            waiting += reversed(halves)


def walk_of(options: Options, part: Slice) -> Walk:
    """The chain of pages of a slice."""
    paging = paging_of(options)
    if part.pages is None:
        return Walk(paging, max_pages=options["maxPages"])
    if not isinstance(paging, (OffsetPaging, PagePaging)):
        raise TypeError(f"only pages with numbers are split, not {type(paging).__name__}")
    return Walk(paging.within(part.pages), max_pages=options["maxPages"], owed=part.pages.rows)


def requests_of(options: Options, part: Slice) -> PageRequests:
    """What makes its requests."""
    return PageRequests(options, part.params(options), part.value)
