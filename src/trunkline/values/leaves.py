"""Columns without children, out of the values of a page: each type, what it takes, and how its column is made.

    >>> leaf(pa.int64(), Reading()).build([1, None], loose=False)
    <pyarrow.Int64Array ... [1, null]>

Every rule of what a value may look like has its home here, as those of writing have in `scalars`.
| Arrow type | read |
|---|---|
| boolean | `true`, `false` |
| integers | whole numbers in range, in any spelling: `12`, `1.0`, `1e3` |
| float, double | numbers in range; `"NaN"`, `"Infinity"`, `"-Infinity"` |
| decimal | numbers and texts of numbers that fit without rounding |
| string | strings; anything else as the JSON text it is |
| binary | base64 with padding |
| dates, timestamps, times, durations | see `timestamps`; numbers since 1970 where that is asked for |
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.values.timestamps import dates, day_of, durations, from_epochs, instants, local_times, times

# What decoding and building raise when a value does not fit its type. Arrow's own errors are among them.
FAILURES = (msgspec.DecodeError, ValueError, TypeError, OverflowError, ArithmeticError, RecursionError)

_NON_FINITE = {b'"NaN"': float("nan"), b'"Infinity"': float("inf"), b'"-Infinity"': float("-inf")}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,9})?", re.ASCII)
_PER_SECOND = {"epochSeconds": 1, "epochMillis": 1000}
_text = msgspec.json.Decoder(str).decode
_whole = msgspec.json.Decoder(int).decode
_double = msgspec.json.Decoder(float).decode


@dataclass(frozen=True)
class Reading:
    """How times are read: what numbers in columns of timestamps and dates are, and the zone of texts without one."""

    timestamps: Literal["iso", "epochSeconds", "epochMillis"] = "iso"
    zone: str = "UTC"


@dataclass(frozen=True)
class Misfit:
    """A value that does not fit: its path in the record, the type that was wanted, its JSON text (empty: absent)."""

    path: str
    wanted: pa.DataType
    found: bytes


class Leaf:
    """A column without children.

    Args:
        kind: Its Arrow type.
        strict: What msgspec decodes a value as, null aside; Raw: there is no strict way.
        column: Makes the column of what was decoded.
        loose: Makes of a value's JSON text what `column` takes.
        key: How the text of a map's key or of a CSV field becomes a value: it is one (`text`), it is one inside of
            JSON quotes (`quoted`), it is JSON (`json`).
    """

    def __init__(
        self,
        kind: pa.DataType,
        strict: Any,
        column: Callable[[Sequence[Any]], pa.Array],
        loose: Callable[[bytes], Any] | None = None,
        key: Literal["text", "quoted", "json"] = "json",
    ) -> None:
        self.kind, self.key = kind, key
        self._column = column
        self._of_raw = loose or msgspec.json.Decoder(strict).decode
        self._wires = {False: strict | None, True: msgspec.Raw if loose else strict | None}
        if strict is msgspec.Raw:
            self._wires[False] = msgspec.Raw

    def wire(self, *, loose: bool) -> Any:
        """The msgspec type of a value."""
        return self._wires[loose]

    def build(self, values: Sequence[Any], *, loose: bool) -> pa.Array:
        """The column of decoded values."""
        if self._wires[loose] is msgspec.Raw:
            of_raw = self._of_raw
            raws = [b"null" if value is None else bytes(value) for value in values]
            values = [None if raw == b"null" else raw if of_raw is bytes else of_raw(raw) for raw in raws]
        return self._whole_column(values)

    def value(self, raw: bytes, path: str, misfits: list[Misfit]) -> Any:
        """One value of its JSON text, as Python value that `pa.array` takes; None, and a misfit, where it is none."""
        if raw == b"null":
            return None
        try:
            array = self._whole_column([self._of_raw(raw)])
        except FAILURES:
            misfits.append(Misfit(path, self.kind, raw))
            return None
        return array.cast(pa.int64())[0].as_py() if _is_clock(self.kind) else array[0].as_py()

    def _whole_column(self, values: Sequence[Any]) -> pa.Array:
        array = self._column(values)
        if array.null_count and array.null_count != values.count(None):
            raise ValueError("a value became null")
        return array


def variant_leaf(kind: pa.DataType) -> Leaf:
    """What reads Variants: any JSON."""
    return Leaf(kind, msgspec.Raw, functools.partial(_variants, kind), bytes)


def leaf(kind: pa.DataType, reading: Reading) -> Leaf | None:
    """What reads a type without children; None when nothing does."""
    return _plain_leaf(kind) or _clock_leaf(kind, reading)


def _plain_leaf(kind: pa.DataType) -> Leaf | None:
    t = pa.types
    column = functools.partial(pa.array, type=kind)
    if t.is_boolean(kind):
        return Leaf(kind, bool, column)
    if t.is_integer(kind):
        return Leaf(kind, int, column, _loose_integer)
    if t.is_float32(kind):
        return Leaf(kind, float, _singles, _loose_double)
    if t.is_float64(kind):
        return Leaf(kind, float, column, _loose_double)
    if t.is_decimal(kind):
        return Leaf(kind, msgspec.Raw, functools.partial(_decimals, kind, _plain_decimals(kind)), bytes)
    if t.is_string(kind):
        return Leaf(kind, str, column, _loose_string, key="text")
    if t.is_binary(kind):
        return Leaf(kind, bytes, column, key="quoted")
    if t.is_null(kind):
        return Leaf(kind, type(None), column)
    return None


def _clock_leaf(kind: pa.DataType, reading: Reading) -> Leaf | None:
    per_second = _PER_SECOND.get(reading.timestamps)
    if kind == pa.timestamp("us", "UTC"):
        of_text = functools.partial(instants, zone=reading.zone)
        return _clock(kind, of_text) if per_second is None else _epochs(kind, of_text, per_second)
    if kind == pa.timestamp("us"):
        return _clock(kind, local_times)
    if kind == pa.date32():
        return _clock(kind, dates) if per_second is None else _epochs(kind, dates, per_second)
    if kind == pa.time64("ns"):
        return _clock(kind, times)
    if kind == pa.duration("us"):
        return _clock(kind, durations)
    return None


def _clock(kind: pa.DataType, of_text: Callable[[pa.Array], pa.Array]) -> Leaf:
    return Leaf(kind, str, lambda values: of_text(pa.array(values, pa.string())), key="text")


def _epochs(kind: pa.DataType, of_text: Callable[[pa.Array], pa.Array], per_second: int) -> Leaf:
    def column(values: Sequence[Any]) -> pa.Array:
        texts = [value if isinstance(value, str) else None for value in values]
        moments = from_epochs([None if isinstance(value, str) else value for value in values], per_second)
        numbers = day_of(moments) if pa.types.is_date(kind) else moments
        return numbers if not any(texts) else pc.coalesce(of_text(pa.array(texts, pa.string())), numbers)

    return Leaf(kind, int | float | str, column, key="text")


def _singles(values: Sequence[float | None]) -> pa.Array:
    array = pa.array(values, pa.float32())
    infinite = pc.sum(pc.is_inf(array)).as_py()
    if infinite and infinite != sum(value in (float("inf"), float("-inf")) for value in values):
        raise ValueError("out of the range of a float")
    return array


def _decimals(kind: pa.DataType, plain: str, values: Sequence[bytes | None]) -> pa.Array:
    # By Arrow's parser, because Python's takes blanks and underscores; but only what surely fits: Arrow 26 takes what
    # does not modulo 2**128, without an error (11 as DECIMAL(38,38)), and crashes the process on 1e-999999999.
    texts = pc.utf8_trim(pa.array(values, pa.binary()).cast(pa.string()), '"')
    if not pc.all(pc.match_substring_regex(texts, plain)).as_py():
        texts = pa.array([text and _fitting(text, kind) for text in texts.to_pylist()], pa.string())
    return texts.cast(kind)


def _plain_decimals(kind: pa.DataType) -> str:
    """A pattern of numbers that fit as they are spelled."""
    whole = kind.precision - kind.scale
    integer = f"(?:0|[1-9][0-9]{{0,{whole - 1}}})" if whole else "0"
    fraction = rf"(?:\.[0-9]{{1,{kind.scale}}})?" if kind.scale else ""
    return f"^-?{integer}{fraction}$"


def _fitting(text: str, kind: pa.DataType) -> str:
    """A number spelled plainly."""
    if not _NUMBER.fullmatch(text):
        raise InvalidOperation
    sign, digits, exponent = Decimal(text).as_tuple()
    zeros = len(digits) - len(bytes(digits).rstrip(b"\0"))
    digits = digits[: len(digits) - zeros]
    if not digits:
        return "0"
    exponent = int(exponent) + zeros
    if len(digits) + exponent > kind.precision - kind.scale or -exponent > kind.scale:
        raise InvalidOperation
    return format(Decimal((sign, digits, exponent)), "f")


def _variants(kind: pa.DataType, values: Sequence[bytes | None]) -> pa.Array:
    from trunkline.values.spark_types import variant

    return pa.array([None if value is None else variant(value) for value in values], kind)


def _loose_string(raw: bytes) -> str:
    return _text(raw) if raw[:1] == b'"' else raw.decode()


def _loose_double(raw: bytes) -> float:
    found = _NON_FINITE.get(raw)
    return _double(raw) if found is None else found


def _loose_integer(raw: bytes) -> int:
    try:
        return _whole(raw)
    except msgspec.ValidationError:
        if raw[:1] not in b"-0123456789":
            raise
    number = Decimal(raw.decode())
    if number.adjusted() > 20 or number != number.to_integral_value():
        raise InvalidOperation
    return int(number)


def _is_clock(kind: pa.DataType) -> bool:
    return pa.types.is_temporal(kind) and not pa.types.is_date(kind)
