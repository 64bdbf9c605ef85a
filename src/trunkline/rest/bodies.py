"""The bodies of requests: what the columns of a batch of rows become, and how rows share one body.

bodies = Bodies(options, ["id", "name"], used={"id"})
rows = bodies.of(record_batch, refused)      # the texts of all rows, in one buffer
bodies.body(rows, range(0, 2))               # b'[{"name":"Ann"},{"name":"Bob"}]', with batch.rows=2
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.options import Options
from trunkline.rest.template import Refused
from trunkline.rest.write_options import batch_format
from trunkline.values import JsonOptions, JsonRows, encode, texts

# zlib's own default: on JSON, higher levels cost twice the time for a few percent.
_GZIP_LEVEL, _GZIP_WRAPPER = 6, 31


class Bodies:
    """Knows what bodies are made of.

    Args:
        options: Of a write.
        columns: Names of the DataFrame's columns.
        used: Those that stand elsewhere in a request.

    Attributes:
        whole: Whether a body holds every column of its rows.
        around: Bytes of a body that belong to no row.
    """

    def __init__(self, options: Options, columns: Sequence[str], used: Collection[str]) -> None:
        self._kind: str = options["body.type"]
        self._ready: str | None = options["bodyColumn"]
        self._gzip = options["compression"] == "gzip"
        self._shape = batch_format(options)
        self._before, self._after = _brackets(self._shape, options["batch.envelope"])
        self._json = JsonOptions(
            nulls=options["body.nulls"],
            non_finite=options["body.nonFinite"],
            decimals=options["body.decimals"],
            timestamps=options["body.timestamps"],
            separator="\n" if self._shape == "ndjson" else ",",
        )
        self._columns: list[str] = list(options["bodyColumns"] or [name for name in columns if name not in used])
        self.whole = self._columns == list(columns)
        self.around = len(self._before) + len(self._after)
        if self._kind == "text" and not self._ready and len(self._columns) == 1:
            self._ready = self._columns[0]

    def problems(self, columns: Sequence[str]) -> list[str]:
        """Why these columns make no body; nothing where they do."""
        if self._kind == "text" and not self._ready:
            return [f"body.type=text sends one column; name it in bodyColumn ({', '.join(columns)})"]
        if self._kind in {"json", "form"} and not self._ready and not self._columns:
            return ["no column is left for the body: name them in bodyColumns, or set body.type=none"]
        return []

    def of(self, batch: pa.RecordBatch, refused: Refused) -> JsonRows | None:
        """The texts of the rows; None where requests have no body. Rows that make none are added to `refused`."""
        if self._kind == "none":
            return None
        if self._ready:
            return _ready_bodies(batch.column(self._ready), self._ready, self._json.separator, refused)
        if self._kind == "form":
            return _form_bodies(batch.select(self._columns), refused)
        rows = encode(batch.select(self._columns), self._json)
        for row, reason in rows.errors.items():
            refused.setdefault(row, reason)
        return rows

    def body(self, bodies: JsonRows, rows: Sequence[int]) -> bytes:
        """The body of one request."""
        if len(rows) == 1:
            body = bodies.row(rows[0])
        elif isinstance(rows, range):
            body = bodies.join(rows[0], rows[-1] + 1)
        else:
            body = self._json.separator.encode().join([bodies.row(row) for row in rows])
        if self._shape is not None:
            body = self._before + body + self._after
        if not self._gzip:
            return body
        packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WRAPPER)
        return packer.compress(body) + packer.flush()


def _brackets(shape: str | None, envelope: tuple[str, str] | None) -> tuple[bytes, bytes]:
    """What stands around the rows in a body."""
    if shape == "envelope" and envelope is not None:
        prefix, suffix = envelope
        return f"{prefix}[".encode(), f"]{suffix}".encode()
    if shape == "ndjson":
        return b"", b"\n"
    return b"[", b"]"


def _ready_bodies(column: pa.Array, name: str, separator: str, refused: Refused) -> JsonRows:
    """Bodies that stand ready in a column; a null is refused, for an empty body would be a guess."""
    binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    ready = column.cast(pa.large_binary()) if binary else texts(column).cast(pa.large_binary())
    if ready.null_count:
        for row in pc.indices_nonzero(pc.is_null(ready)).to_pylist():
            refused.setdefault(row, f"column {name} is null, and it is the body")
        ready = ready.fill_null(b"")
    if separator == "\n":
        broken = pc.match_substring(ready, b"\n")
        for row in pc.indices_nonzero(broken).to_pylist():
            refused.setdefault(row, f"column {name} holds a line break, which would make two rows of one")
    return _rows_of(ready, separator, refused)


def _form_bodies(batch: pa.RecordBatch, refused: Refused) -> JsonRows:
    """`name=value&...` of each row; a null column is left out."""
    names = [quote_plus(name) for name in batch.schema.names]
    columns = [
        texts(column, name=name, errors=refused).to_pylist()
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    bodies = [
        "&".join(f"{name}={quote_plus(value)}" for name, value in zip(names, row, strict=True) if value is not None)
        for row in zip(*columns, strict=True)
    ]
    return _rows_of(pa.array(bodies, pa.large_string()).cast(pa.large_binary()), ",", refused)


def _rows_of(column: pa.Array, separator: str, refused: Refused) -> JsonRows:
    end = pa.scalar(separator.encode(), pa.large_binary())
    empty = pa.scalar(b"", pa.large_binary())
    joined = pc.binary_join_element_wise(column, end, empty)
    _, offsets, data = joined.buffers()
    view = memoryview(offsets).cast("q")[joined.offset : joined.offset + len(joined) + 1] if len(joined) else [0]
    return JsonRows(memoryview(data or b""), list(view), dict(refused))
