"""Rows become requests: what `url`, `params`, `headers`, `method`, `body` and `batch` say, a batch of rows at a time.

    builder = RequestBuilder(options, ["id", "name"])
    chunk = builder.chunk(record_batch)
    for request in builder.requests(chunk):
        ...                                      # request.tag is a Sent: the chunk and which of its rows

Everything is computed per column; what is left per row is cutting a slice out of one buffer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import OptionError
from trunkline.http.message import Request
from trunkline.options import Options
from trunkline.rest.bodies import Bodies
from trunkline.rest.results import ResultReader
from trunkline.rest.template import Refused, Template, UrlTemplate
from trunkline.values import JsonRows, row_digests, texts

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
# Rows held back to fill a request never take more memory than this, bytes.
_MOST_KEPT = 64 * 1024 * 1024


class Chunk:
    """Rows on their way out, and all that was computed for them by column.

    Attributes:
        batch: The rows as they came.
        bodies: Their texts in one buffer, None where requests have no body.
        urls, methods: One for all rows or one each.
        headers: By name, one value for all rows or one each.
        keys: The digest of each row's `keyColumns`, None without them.
        names: The digest of `keyColumns` and `orderColumn`: what an idempotency key is made of, None without keys.
        refused: Why a row cannot be sent at all, by position.
        digests, occurrences: Who each row is; empty where nobody asks.
    """

    __slots__ = ("batch", "bodies", "digests", "headers", "keys", "methods", "names", "occurrences", "refused", "urls")

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.refused: Refused = {}
        self.bodies: JsonRows | None = None
        self.urls: list[str] | str = ""
        self.methods: list[str] | str = "POST"
        self.headers: dict[str, list[str] | str] = {}
        self.keys: list[bytes] | None = None
        self.names: list[bytes] | None = None
        self.digests: list[bytes] = []
        self.occurrences: list[int] = []

    def __len__(self) -> int:
        return len(self.batch)


class Sent(NamedTuple):
    """The rows one request carries."""

    chunk: Chunk
    rows: Sequence[int]
    splits: list[int]  # how many halvings the batch that it came from has left, shared by all its parts


class RequestBuilder:
    """Knows how a row becomes a request. Made on the driver, where wrong columns are told; pickled to the tasks.

    Args:
        options: Of a write.
        columns: Names of the DataFrame's columns.

    Raises:
        OptionError: An option names a column that is not there, or nothing is left for the body.
    """

    def __init__(self, options: Options, columns: Sequence[str]) -> None:
        self._url = UrlTemplate(options["url"], options["params"] or ())
        self._headers = {
            name: Template(value, encode=False) for name, value in (options["headers"] or {}).items() if "{" in value
        }
        self._method: str = options["method"]
        self._method_column: str | None = options["methodColumn"]
        self._keys: tuple[str, ...] = tuple(options["keyColumns"] or ())
        self._order: str | None = options["orderColumn"]
        self._rows: int = options["batch.rows"]
        self._bytes: int = options["batch.bytes"]
        self._max_splits: int = options["batch.maxSplits"]
        self._quote_key: bool = options["idempotency.quote"]
        self._named: bool = options["idempotency.header"] is not None
        used = {*self._url.columns, *(c for t in self._headers.values() for c in t.columns)}
        used |= {self._method_column} if self._method_column else set()
        self._bodies = Bodies(options, columns, used)
        self._check(options, columns, used)

    @property
    def batched(self) -> bool:
        """Whether a request may carry several rows."""
        return self._rows > 1

    def _check(self, options: Options, columns: Sequence[str], used: set[str]) -> None:
        problems = []
        wanted = {
            "url, params or headers": sorted(used - {self._method_column}),
            "methodColumn": [self._method_column] if self._method_column else [],
            "bodyColumn": [options["bodyColumn"]] if options["bodyColumn"] else [],
            "bodyColumns": list(options["bodyColumns"] or ()),
            "keyColumns": list(self._keys),
            "orderColumn": [self._order] if self._order else [],
        }
        for option, names in wanted.items():
            missing = [name for name in names if name not in columns]
            if missing:
                problems.append(f"{option}: no column {', '.join(missing)}; there are {', '.join(columns)}")
        problems += self._bodies.problems(columns)
        results = ResultReader.from_options(options)
        if results is not None and options["results.id"] and results.column(columns) is None:
            problems.append(f"results.id={options['results.id']}: {results.wanted}")
        if problems:
            raise OptionError(f"{options.format}: the options do not fit the columns", problems)

    def rechunked(self, batches: Iterator[pa.RecordBatch | None]) -> Iterator[pa.RecordBatch | None]:
        """Batches whose length is a multiple of `batch.rows`, so that no request is cut short by where Arrow cut."""
        kept: list[pa.RecordBatch] = []
        size = 0
        for batch in batches:
            if batch is None or (self._rows == 1 and len(batch)):
                yield batch
                continue
            if not len(batch):
                continue
            kept.append(batch)
            size += len(batch)
            if sum(one.nbytes for one in kept) > _MOST_KEPT:
                # Rows this large never fill a batch by their number.
                yield from kept
                kept, size = [], 0
            elif size >= self._rows:
                whole = size - size % self._rows
                joined = _one_batch(kept)
                yield joined.slice(0, whole)
                size -= whole
                kept = [joined.slice(whole)] if size else []
        yield from kept

    @property
    def keyed(self) -> bool:
        """Whether rows have keys of their own."""
        return bool(self._keys)

    def keys_of(self, batch: pa.RecordBatch) -> tuple[list[bytes] | None, list[bytes] | None]:
        """The digests of each row's `keyColumns`, and of what an idempotency key is made of; None without keys."""
        if not self._keys:
            return None, None
        keys = row_digests(batch.select(list(self._keys)))
        if self._order and self._named:
            return keys, row_digests(batch.select([*self._keys, self._order]))
        return keys, keys

    def ordered(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows in the order they are to go out: by `orderColumn`, unknown versions first."""
        if not self._order:
            return batch
        column = batch.column(self._order)
        order = pc.sort_indices(column)
        known = len(order) - column.null_count
        return batch.take(pa.concat_arrays([order[known:], order[:known]]))

    def lower_bytes(self, most: int) -> None:
        """Make bodies no larger than this from now on: the server has said that one was too large."""
        self._bytes = max(1, min(self._bytes, most))

    def chunk(self, batch: pa.RecordBatch) -> Chunk:
        """Compute everything about these rows that can be computed by column."""
        chunk = Chunk(batch)
        refused = chunk.refused
        chunk.urls = self._url.fill(batch, refused)
        chunk.methods = self._methods(batch, refused)
        chunk.headers = {name: template.fill(batch, refused) for name, template in self._headers.items()}
        chunk.bodies = self._bodies.of(batch, refused)
        if self._keys:
            chunk.keys, chunk.names = self.keys_of(batch)
        return chunk

    def whole_rows(self, chunk: Chunk) -> JsonRows | None:
        """The bodies where they hold every column of the rows, None where they leave one out."""
        return chunk.bodies if self._bodies.whole else None

    def requests(self, chunk: Chunk) -> Iterator[Request]:
        """The requests for a chunk, made one by one as they are asked for; refused rows are left out."""
        refused, bodies = chunk.refused, chunk.bodies
        if self._rows == 1:
            for row in range(len(chunk)):
                if row not in refused:
                    yield self.request(chunk, (row,))
            return
        start, end = 0, len(chunk)
        while start < end:
            room = max(1, self._bytes - self._bodies.around)
            stop = min(start + self._rows, end) if bodies is None else bodies.end_within(start, self._rows, room)
            rows: Sequence[int] = range(start, stop)
            if refused:
                rows = [row for row in rows if row not in refused]
            if rows:
                yield self.request(chunk, rows)
            start = stop

    def request(self, chunk: Chunk, rows: Sequence[int], splits: list[int] | None = None) -> Request:
        """One request for these rows of a chunk; `splits` where it is a part of another."""
        first = rows[0]
        urls, methods = chunk.urls, chunk.methods
        headers = None
        if chunk.headers:
            headers = {name: v if isinstance(v, str) else v[first] for name, v in chunk.headers.items()}
        keys: Sequence[bytes] = ()
        if chunk.keys is not None:
            keys = (chunk.keys[first],) if len(rows) == 1 else list(dict.fromkeys(chunk.keys[row] for row in rows))
        return Request(
            methods if isinstance(methods, str) else methods[first],
            urls if isinstance(urls, str) else urls[first],
            headers,
            None if chunk.bodies is None else self._bodies.body(chunk.bodies, rows),
            Sent(chunk, rows, [self._max_splits] if splits is None else splits),
            keys,
        )

    def idempotency_key(self, request: Request, scope: bytes, partition: int) -> str:
        """A UUID (version 5) of the scope and who the request's rows are: the same for every try of the same rows.

        A row is its `keyColumns` (and `orderColumn`). Without them it is its partition, its digest and its number
        among equal rows.
        """
        sent: Sent = request.tag
        chunk = sent.chunk
        who = hashlib.sha1(scope, usedforsecurity=False)
        for row in sent.rows:
            if chunk.names is not None:
                who.update(chunk.names[row])
            else:
                who.update(b"%d/%d/" % (partition, chunk.occurrences[row]))
                who.update(chunk.digests[row])
        key = _uuid5(who.digest())
        return f'"{key}"' if self._quote_key else key

    def _methods(self, batch: pa.RecordBatch, refused: Refused) -> list[str] | str:
        if not self._method_column:
            return self._method
        column = pc.utf8_upper(texts(batch.column(self._method_column)).fill_null(""))
        methods: list[str] = column.to_pylist()
        if not set(pc.unique(column).to_pylist()) <= METHODS:
            for row, method in enumerate(methods):
                if method not in METHODS:
                    known = ", ".join(sorted(METHODS))
                    refused.setdefault(row, f"column {self._method_column} holds {method!r}, none of {known}")
        return methods


def _one_batch(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _uuid5(digest: bytes) -> str:
    """The text form of a version 5 UUID (RFC 9562 section 5.5) made of a SHA-1 digest."""
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF000 << 64) | 0x5000 << 64
    number = number & ~(0xC000 << 48) | 0x8000 << 48
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
