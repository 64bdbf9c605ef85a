r"""Work on the bytes of whole columns: escaping, base64, UTF-8.

    >>> escaped(pa.array(['say "hi"'], LARGE)).to_pylist()
    ['say \\"hi\\"']

A column of strings is one buffer of bytes and the offsets where each string begins, so that a rule for single bytes
is applied to all strings in one go, and the offsets are moved by what was inserted before them.
"""

from __future__ import annotations

import binascii
import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# 64-bit offsets everywhere: the JSON of a batch can pass the 2 GiB that 32-bit ones reach.
LARGE = pa.large_string()
NULL = pa.scalar(None, LARGE)

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
# RFC 8259 section 7: these must be escaped, and five of the control characters have a short form.
_SHORT_ESCAPES = dict(zip(b'\b\t\n\f\r"\\', (b"\\b", b"\\t", b"\\n", b"\\f", b"\\r", b'\\"', b"\\\\"), strict=True))
_ESCAPES = {code: _SHORT_ESCAPES.get(code, b"\\u%04x" % code) for code in (*range(0x20), _QUOTE, _BACKSLASH)}
_GROWTH = np.array([len(_ESCAPES.get(code, b"x")) - 1 for code in range(256)], np.int64)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's string types."""
    t = pa.types
    return t.is_string(kind) or t.is_large_string(kind) or (hasattr(t, "is_string_view") and t.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's binary types."""
    t = pa.types
    view = hasattr(t, "is_binary_view") and t.is_binary_view(kind)
    return t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or view


def escaped(texts: pa.Array) -> pa.Array:
    r"""The inside of JSON strings for a large_string column: `say "hi"` becomes `say \"hi\"`; UTF-8 stays as it is."""
    offsets, data = bytes_of(texts)
    special = (data < 0x20) | (data == _QUOTE) | (data == _BACKSLASH)
    if not special.any():
        return texts
    positions = np.flatnonzero(special)
    codes = data[positions]
    grown = np.concatenate(([0], np.cumsum(_GROWTH[codes])))
    text = data.tobytes()
    # The backslash first: the others bring new ones.
    for code in sorted(set(codes.tolist()), key=lambda code: code != _BACKSLASH):
        text = text.replace(bytes((code,)), _ESCAPES[code])
    return with_nulls_of(texts, from_bytes(offsets + grown[np.searchsorted(positions, offsets)], text))


def base64(array: pa.Array) -> pa.Array:
    """A binary column as base64 text, padded, from one call over all of its bytes."""
    offsets, data = bytes_of(array.cast(pa.large_binary()))
    padding = -np.diff(offsets) % 3
    padded = np.concatenate(([0], np.cumsum(np.diff(offsets) + padding)))
    ends = padded[1:]
    if padding.any():
        real = np.ones(padded[-1], bool)
        real[ends[padding > 0] - 1] = False
        real[ends[padding > 1] - 2] = False
        spread = np.zeros(padded[-1], np.uint8)
        spread[real] = data
        data = spread
    text = np.frombuffer(bytearray(binascii.b2a_base64(data.data, newline=False)), np.uint8)
    text[ends[padding > 0] // 3 * 4 - 1] = ord("=")
    text[ends[padding > 1] // 3 * 4 - 2] = ord("=")
    return with_nulls_of(array, from_bytes(padded // 3 * 4, text))


def not_utf8(texts: pa.Array) -> NDArray[Any]:
    """Which strings of a large_string column are no UTF-8: Spark casts any bytes to a string."""
    offsets, data = bytes_of(texts)
    none = np.zeros(len(texts), bool)
    if not (data & 0x80).any():
        return none
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return np.array([not _is_utf8(data[a:b].tobytes()) for a, b in itertools.pairwise(offsets)])
    return none


def bytes_of(array: pa.Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """Offsets (from 0, one more than values) and bytes of a large_string or large_binary column, slices respected."""
    if len(array) == 0:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    inside = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if data is not None else np.zeros(0, np.uint8)
    return ends - ends[0], inside


def from_bytes(offsets: NDArray[Any], data: Any) -> pa.Array:
    """A large_string column over offsets and bytes; they are not copied."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, np.int64)), pa.py_buffer(data)]
    return pa.Array.from_buffers(LARGE, len(offsets) - 1, buffers)


def with_nulls_of(array: pa.Array, texts: pa.Array) -> pa.Array:
    """`texts`, null where `array` is null."""
    return pc.if_else(array.is_valid(), texts, NULL) if array.null_count else texts


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
