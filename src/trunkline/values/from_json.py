r"""JSON records as record batches of exactly one schema.

    >>> decoder = JsonDecoder(pa.schema({"id": pa.int64(), "at": pa.timestamp("us", "UTC")}), ReadOptions())
    >>> decoder.array(b'[{"id": 1, "at": "2024-05-01T12:00:00+02:00"}, {"id": 2}]').to_pylist()
    [{'id': 1, 'at': datetime.datetime(2024, 5, 1, 10, 0, tzinfo=...)}, {'id': 2, 'at': None}]

What each type takes is told in `leaves` and `columns`. A page is decoded as a whole, first the strict way, then the
loose one. Where neither takes it, it is taken apart: the records that fit are still read by columns, the others value
by value, and the parse mode says what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from trunkline.errors import ResponseError
from trunkline.values.columns import StructNode
from trunkline.values.envelope import BOM, head
from trunkline.values.leaves import FAILURES, Misfit, Reading
from trunkline.values.modes import ReadOptions, Records, told

# Records that are no longer halved: reading so few value by value costs about as much as another try.
_FEW = 8

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_any = msgspec.json.Decoder(msgspec.Raw).decode


class Decoded(NamedTuple):
    """Records that msgspec has read, the strict way or the loose one; their columns are still to be built."""

    rows: list[Any]
    loose: bool


class JsonDecoder:
    """Reads records into batches of one schema.

    Raises:
        OptionError: Nothing reads a type of the schema.
    """

    def __init__(self, schema: pa.Schema, options: ReadOptions) -> None:
        self._schema, self._options = schema, options
        self._rows = Records(schema, options)
        self._bare = [field.name for field in self._rows.fields] == ["value"]
        self._record = StructNode.of(self._rows.fields, Reading(options.timestamps, options.zone))
        wires = {loose: self._record.wire(loose=loose) for loose in (False, True)}
        self._pages = {loose: msgspec.json.Decoder(list[wire]) for loose, wire in wires.items()}  # type: ignore[valid-type]
        self._single = {loose: msgspec.json.Decoder(wire) for loose, wire in wires.items()}
        # Strict first, until a page needs the loose way: its next ones will as well.
        self._ways = [False, True]

    def __reduce__(self) -> tuple[Any, ...]:
        return JsonDecoder, (self._schema, self._options)

    @property
    def malformed(self) -> int:
        """How many records did not fit so far."""
        return self._rows.malformed

    def decoded(self, records: bytes) -> Decoded | None:
        """The records of a JSON array, for `array`; None where one does not fit. Safe in another thread."""
        for loose in self._ways:
            try:
                return Decoded(self._pages[loose].decode(records), loose)
            except FAILURES:
                continue
        return None

    def array(self, records: bytes, decoded: Decoded | None = None) -> pa.RecordBatch:
        """The rows of a JSON array.

        Elements that are no objects are malformed, except where the schema's only column is `value`.

        Args:
            records: The array.
            decoded: What `decoded` gave for it, if that was asked before.

        Raises:
            ResponseError: It is no JSON array, or a record does not fit and must.
        """

        def rows(loose: bool) -> list[Any]:
            if decoded is not None and decoded.loose == loose:
                return decoded.rows
            return self._pages[loose].decode(records)

        batch = self._at_once(rows)
        if batch is not None:
            return batch
        try:
            elements = _array(records)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ResponseError(f"the records are no JSON array ({error}): {head(records)}") from None
        return self._apart([bytes(element) for element in elements])

    def lines(self, body: bytes) -> pa.RecordBatch:
        """The rows of NDJSON, one a line; lines without anything are skipped.

        Raises:
            ResponseError: A line does not fit and must.
        """
        body = body.removeprefix(BOM)
        texts = [line for line in body.split(b"\n") if line and not line.isspace()]

        def decoded(loose: bool) -> list[Any]:
            body.decode()
            rows = self._single[loose].decode_lines(body)
            # It tells values apart by how they end: two on one line are not one record each.
            if len(rows) != len(texts):
                raise ValueError("lines that are not one value each")
            return rows

        batch = self._at_once(decoded)
        return self._apart([text.strip() for text in texts]) if batch is None else batch

    def documents(self, texts: Sequence[bytes]) -> tuple[pa.RecordBatch, dict[int, str]]:
        """A row for each text, whatever the parse mode, and what of which does not fit: there the row is null.

        Args:
            texts: A JSON object each.

        Returns:
            The rows, and for each text that does not fit, by its position, what is wrong first.
        """
        for loose in self._ways:
            try:
                rows = [self._single[loose].decode(text) for text in texts]
                for text in texts:
                    text.decode()  # fields that are not asked for are skipped without a look at their bytes
                return self._batch(rows, loose=loose), {}
            except FAILURES:
                continue
        problems: dict[int, str] = {}
        found: list[dict[str, Any]] = []
        for number, text in enumerate(texts):
            misfits: list[Misfit] = []
            found.append(self._record.members(text, "", "", misfits) or {})
            if misfits:
                problems[number] = told(misfits[0])
        columns = [pa.array([row.get(field.name) for row in found], field.type) for field in self._rows.fields]
        return self._rows.batch(columns), problems

    def _at_once(self, decoded: Callable[[bool], list[Any]]) -> pa.RecordBatch | None:
        for loose in self._ways:
            try:
                batch = self._batch(decoded(loose), loose=loose)
            except FAILURES:
                continue
            if loose:
                self._ways = [True]
            return batch
        return None

    def _apart(self, texts: list[bytes]) -> pa.RecordBatch:
        """The rows of records of which some do not fit: all that do are still built column by column."""
        rows = [self._decoded(text) for text in texts]
        parts: list[tuple[list[int], pa.RecordBatch]] = []
        left = [i for i, row in enumerate(rows) if row is None]
        left += self._fitting([i for i, row in enumerate(rows) if row is not None], rows, parts)
        parts.append(self._one_by_one(sorted(left), texts))
        numbers = [number for own, _ in parts for number in own]
        table = pa.Table.from_batches([batch for _, batch in parts], self._schema)
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        batches = table.take(pa.array(order, pa.int64())).combine_chunks().to_batches()
        return batches[0] if batches else parts[-1][1]

    def _decoded(self, text: bytes) -> Any:
        try:
            text.decode()  # fields that are not asked for are skipped without a look at their bytes
            return self._single[True].decode(self._record_of(text))
        except FAILURES:
            return None

    def _fitting(self, numbers: list[int], rows: list[Any], parts: list[tuple[list[int], pa.RecordBatch]]) -> list[int]:
        """Add the batches of the decoded rows that fit to `parts`, by halves; the numbers of the others."""
        try:
            parts.append((numbers, self._batch([rows[number] for number in numbers], loose=True)))
        except FAILURES:
            if len(numbers) <= _FEW:
                return numbers
            middle = len(numbers) // 2
            return self._fitting(numbers[:middle], rows, parts) + self._fitting(numbers[middle:], rows, parts)
        return []

    def _batch(self, rows: list[Any], *, loose: bool) -> pa.RecordBatch:
        if None in rows:
            raise ValueError("a record that is null")
        return self._rows.batch(self._record.columns(rows, loose=loose))

    def _one_by_one(self, numbers: list[int], texts: list[bytes]) -> tuple[list[int], pa.RecordBatch]:
        """The rows of single records, read value by value, and the numbers of those that stay."""
        stay: list[int] = []
        rows: list[dict[str, Any]] = []
        kept: list[str | None] = []
        for number in numbers:
            misfits: list[Misfit] = []
            found = self._record.members(self._record_of(texts[number]), "", "", misfits) or {}
            if misfits and not self._rows.keeps(number + 1, misfits, found):
                continue
            stay.append(number)
            rows.append(found)
            kept.append(texts[number].decode(errors="replace") if misfits else None)
        columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in self._rows.fields]
        return stay, self._rows.batch(columns, kept)

    def _record_of(self, text: bytes) -> bytes:
        """The record of an element: where `value` is all there is, it is one by itself."""
        if not self._bare or text[:1] == b"{":
            return text
        try:
            _any(text)
        except FAILURES:
            return text
        return b'{"value":' + text + b"}"
