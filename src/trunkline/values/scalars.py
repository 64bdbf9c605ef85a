"""Columns without children as columns of text: numbers, strings, times and bytes.

    >>> scalar(pa.array([1.0, None, 0.1]), "price", JsonOptions(), print).texts.to_pylist()
    ['1.0', None, '0.1']

Every rule of how one value is written has its home here; `to_json` puts quotes, names and brackets around them.
| Arrow type | text |
|---|---|
| boolean, integers | `true`, `-12` |
| float, double | the shortest text that reads back as the same float: `1.0`, `-0.0`, `1e+16`, `5e-324` |
| decimal | all digits of its scale, never an exponent: `1.50`, `0.0000001` |
| string, binary | as it is; base64 with padding |
| date, time | `2024-05-01`, `12:00:00`, `12:00:00.500000` |
| timestamp | `2024-05-01T12:00:00Z`, `2024-05-01T12:00:00.123456Z` in UTC, no `Z` without a zone |
| duration | `P1DT2H3M4.500000S`, `-P0DT0H0M1S` (always all four parts) |
A fraction of zero is left out; any other has all digits of the column's unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trunkline.values.strings import LARGE, NULL, base64, from_bytes, is_bytes, is_text, not_utf8, with_nulls_of

_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# 0001-01-01 and 10000-01-01 in seconds since 1970: ISO 8601 years have four digits, and Spark's own range is the same.
_FIRST_SECOND, _END_SECOND = -62_135_596_800, 253_402_300_800
_DAY = 86_400
_BOOLEANS = pa.array(["false", "true"], LARGE)

# Rows a column cannot be written for: told (path, what is wrong, indexes of the column). None: write everything,
# in a form that keeps all values apart but need not be JSON, as digests want it.
Refuse: TypeAlias = Callable[[str, str, NDArray[Any]], None]


@dataclass(frozen=True)
class JsonOptions:
    r"""How values are written where JSON leaves a choice.

    Attributes:
        nulls: `keep` writes `"a":null`; `omit` leaves null fields of rows and structs out (elements of arrays and
            entries of maps stay).
        non_finite: NaN and the infinities, which JSON has no words for: `fail` refuses the row, `null` writes null,
            `text` writes `"NaN"`, `"Infinity"` and `"-Infinity"`, which `JsonDecoder` and Spark read back.
        decimals: `number` writes `1.50`, `string` writes `"1.50"`. Both are exact.
        timestamps: `iso`, or `epochSeconds` / `epochMillis`: whole numbers, rounded down. A timestamp without a zone
            is no instant and stays `iso`.
        separator: What stands between rows: `,` for arrays, `\n` for NDJSON.
    """

    nulls: Literal["keep", "omit"] = "keep"
    non_finite: Literal["fail", "null", "text"] = "fail"
    decimals: Literal["number", "string"] = "number"
    timestamps: Literal["iso", "epochSeconds", "epochMillis"] = "iso"
    separator: Literal[",", "\n"] = ","


class Scalars(NamedTuple):
    """A column as large_string texts (null stays null), whether JSON puts quotes around, what follows inside these."""

    texts: pa.Array
    quoted: bool
    suffix: str = ""


def scalar(array: pa.Array, path: str, options: JsonOptions, refuse: Refuse | None) -> Scalars | None:
    """The texts of a column without children; None when its type has children or no text form."""
    kind, t = array.type, pa.types
    if is_text(kind):
        return Scalars(_strings(array.cast(LARGE), path, refuse), quoted=True)
    if t.is_integer(kind):
        return Scalars(array.cast(LARGE), quoted=False)
    if t.is_floating(kind):
        return Scalars(_floats(array, path, options, refuse), quoted=False)
    if t.is_boolean(kind):
        return Scalars(_BOOLEANS.take(array.cast(pa.int8())), quoted=False)
    if t.is_decimal(kind):
        return Scalars(_decimals(array), quoted=options.decimals == "string")
    if t.is_timestamp(kind):
        return _timestamps(array, path, options, refuse)
    if t.is_date(kind):
        return Scalars(_dates(array, path, refuse), quoted=True)
    if t.is_time(kind):
        return Scalars(_without_zero_fraction(array.cast(LARGE), kind.unit), quoted=True)
    if t.is_duration(kind):
        return Scalars(_durations(array), quoted=True)
    if is_bytes(kind):
        return Scalars(base64(array), quoted=True)
    if t.is_null(kind):
        return Scalars(pa.nulls(len(array), LARGE), quoted=False)
    return None


def _strings(array: pa.Array, path: str, refuse: Refuse | None) -> pa.Array:
    if refuse is None:
        return array
    return _refused(array, array, not_utf8(array), path, "is not valid UTF-8", refuse)


def _floats(array: pa.Array, path: str, options: JsonOptions, refuse: Refuse | None) -> pa.Array:
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    # Nulls arrive as NaN.
    values = array.to_numpy(zero_copy_only=False)
    if refuse is None:
        # The bits: how a float is laid out is orjson's affair and may change, digests may not. One NaN for all.
        bits = np.where(np.isnan(values), np.nan, values).astype(np.float64).view(np.int64)
        return with_nulls_of(array, pa.array(bits).cast(LARGE))
    finite = np.isfinite(values)
    # orjson writes numbers with the shortest text that reads back the same, twice as fast as Arrow's cast and
    # with the .0 that keeps a float a float. The commas between them become the ends of the texts.
    written = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    commas = np.flatnonzero(np.frombuffer(written, np.uint8) == ord(","))
    ends = np.concatenate(([0], commas - np.arange(1, len(commas) + 1), [len(written) - len(commas) - 2]))
    texts = from_bytes(ends[: len(array) + 1], written.translate(None, b"[,]"))
    if finite.all():
        return texts
    if options.non_finite == "null":
        return pc.if_else(pa.array(finite), texts, NULL)
    if options.non_finite == "text":
        words = np.where(np.isnan(values), '"NaN"', np.where(values > 0, '"Infinity"', '"-Infinity"'))
        return with_nulls_of(array, pc.if_else(pa.array(finite), texts, pa.array(words, LARGE)))
    bad = ~finite & _valid(array)
    texts = pc.if_else(pa.array(finite), texts, NULL)
    return _refused(array, texts, bad, path, "is NaN or infinite, which JSON has no number for", refuse)


def _decimals(array: pa.Array) -> pa.Array:
    texts = array.cast(LARGE)
    # Arrow writes 1E-7 where the first digit stands at or behind the seventh decimal place, and 0E-7.
    if array.type.scale <= 6 and array.type.scale >= 0:
        return texts
    exponents = pc.match_substring(texts, "E")
    affected = pc.fill_null(exponents, False)
    if not pc.any(affected).as_py():
        return texts
    zero = format(Decimal(0).scaleb(-max(array.type.scale, 0)), "f")
    written = texts.filter(affected).to_pylist()
    plain = [zero if text.startswith("0E") else format(Decimal(text), "f") for text in written]
    return pc.replace_with_mask(texts, affected, pa.array(plain, LARGE))


def _timestamps(array: pa.Array, path: str, options: JsonOptions, refuse: Refuse | None) -> Scalars:
    unit, zoned = array.type.unit, array.type.tz is not None
    ticks = _ticks(array)
    per_second = _TICKS[unit]
    if zoned and options.timestamps != "iso":
        seconds = options.timestamps == "epochSeconds"
        divisor = per_second if seconds else max(per_second // 1000, 1)
        epochs = ticks // divisor * (1000 if unit == "s" and not seconds else 1)
        return Scalars(with_nulls_of(array, pa.array(epochs).cast(LARGE)), quoted=False)
    whole = ticks % per_second == 0
    seconds_only = bool(whole.all())
    texts = array.cast(pa.timestamp("s" if seconds_only else unit)).cast(LARGE)
    texts = pc.binary_replace_slice(texts, 10, 11, "T")
    if whole.any() and not seconds_only:
        texts = _without_zero_fraction(texts, unit)
    outside = _outside_years(array, ticks, per_second)
    if outside.any():
        texts = _outside(array, texts, ticks, outside, path, refuse)
    return Scalars(texts, quoted=True, suffix="Z" if zoned else "")


def _dates(array: pa.Array, path: str, refuse: Refuse | None) -> pa.Array:
    array = array.cast(pa.date32())
    days = array.cast(pa.int32()).cast(pa.int64())
    ticks = pc.fill_null(days, 0).to_numpy(zero_copy_only=False)
    texts = array.cast(LARGE)
    outside = _outside_years(array, ticks, 1, seconds=_DAY)
    if outside.any():
        texts = _outside(array, texts, ticks, outside, path, refuse)
    return texts


def _outside_years(array: pa.Array, ticks: NDArray[Any], per_second: int, seconds: int = 1) -> NDArray[Any]:
    if per_second == _TICKS["ns"]:
        return np.zeros(len(array), bool)  # 64 bits of nanoseconds end in 2262
    first, end = _FIRST_SECOND * per_second // seconds, _END_SECOND * per_second // seconds
    outside: NDArray[Any] = ((ticks < first) | (ticks >= end)) & _valid(array)
    return outside


def _outside(
    array: pa.Array,
    texts: pa.Array,
    ticks: NDArray[Any],
    outside: NDArray[Any],
    path: str,
    refuse: Refuse | None,
) -> pa.Array:
    if refuse is None:
        return pc.if_else(pa.array(outside), pa.array(ticks).cast(LARGE), texts)
    return _refused(array, texts, outside, path, "is outside the years 0001 to 9999", refuse)


def _durations(array: pa.Array) -> pa.Array:
    unit = array.type.unit
    per_second = _TICKS[unit]
    ticks = _ticks(array)
    # Part by part towards zero: the smallest integer has no positive counterpart, its parts do.
    days = _towards_zero(ticks, _DAY * per_second)
    rest = np.abs(ticks - days * (_DAY * per_second))
    seconds, fraction = np.divmod(rest, per_second)
    parts = [pa.array(part).cast(LARGE) for part in (np.abs(days), seconds // 3600, seconds // 60 % 60, seconds % 60)]
    if fraction.any():
        digits = len(str(per_second)) - 1
        point = pc.binary_join_element_wise(
            parts[3], pc.utf8_lpad(pa.array(fraction).cast(LARGE), digits, "0"), pa.scalar(".", LARGE)
        )
        parts[3] = pc.if_else(pa.array(fraction != 0), point, parts[3])
    sign = pc.if_else(pa.array(ticks < 0), pa.scalar("-P", LARGE), pa.scalar("P", LARGE))
    days_to_seconds = [
        piece
        for part, letters in zip(parts, ("DT", "H", "M", "S"), strict=True)
        for piece in (part, pa.scalar(letters, LARGE))
    ]
    return with_nulls_of(array, pc.binary_join_element_wise(sign, *days_to_seconds, pa.scalar("", LARGE)))


def _towards_zero(ticks: NDArray[Any], divisor: int) -> NDArray[Any]:
    quotients: NDArray[Any] = ticks // divisor + ((ticks < 0) & (ticks % divisor != 0))
    return quotients


def _ticks(array: pa.Array) -> NDArray[Any]:
    ticks: NDArray[Any] = pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return ticks


def _without_zero_fraction(texts: pa.Array, unit: str) -> pa.Array:
    return pc.replace_substring(texts, str(_TICKS[unit]).replace("1", ".", 1), "")


def _valid(array: pa.Array) -> NDArray[Any]:
    valid: NDArray[Any] = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _refused(array: pa.Array, texts: pa.Array, bad: NDArray[Any], path: str, problem: str, refuse: Refuse) -> pa.Array:
    bad &= _valid(array)
    if not bad.any():
        return texts
    refuse(path, problem, np.flatnonzero(bad))
    return pc.if_else(pa.array(bad), NULL, texts)
