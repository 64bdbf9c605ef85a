"""Columns of texts as dates, times, instants and durations, whole columns at a time.

    >>> instants(pa.array(["2024-05-01T12:00:00+02:00", "Wed, 01 May 2024 10:00:00 GMT"]), "UTC").to_pylist()
    [datetime.datetime(2024, 5, 1, 10, 0, tzinfo=...), datetime.datetime(2024, 5, 1, 10, 0, tzinfo=...)]

| wanted | read |
|---|---|
| date | `2024-05-01` |
| instant, local time | `2024-05-01T12:00:00.123456`, a space for the `T`, no seconds, no time of day |
| its zone | `Z`, `+02:00`, `+0200`, `+02`, none |
| the date of HTTP and mail (RFC 1123) | `Wed, 01 May 2024 12:00:00 GMT` |
| time | `12:00`, `12:00:00`, `12:00:00.123456789` |
| duration | `P1DT2H3M4.5S`, `-PT1H`: days and what is shorter |
Fractions have one to nine digits; timestamps and durations keep six of them, as Spark does. Years are 0001 to 9999.

Each function raises ValueError when one text of the column is not in its form; nulls stay null.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

INSTANT, LOCAL = pa.timestamp("us", "UTC"), pa.timestamp("us")

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
# 0001-01-01 and 10000-01-01 in microseconds since 1970: Spark's own range.
_FIRST, _END = -62_135_596_800 * _SECOND, 253_402_300_800 * _SECOND
_ISO = (
    r"^(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](?P<time>\d\d(?::\d\d(?::\d\d)?)?)(?P<fraction>\.\d{1,9})? ?(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?)?$"
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_RFC_1123 = (
    rf"^(?:[A-Z][a-z]{{2}}, )?(?P<day>\d{{1,2}}) (?P<month>{'|'.join(_MONTHS)}) (?P<year>\d{{4}}) "
    r"(?P<time>\d\d:\d\d(?::\d\d)?) (?P<zone>GMT|UTC|UT|[+-]\d{4})$"
)
_DURATION = (
    r"^(?P<sign>-?)P(?:(?P<days>\d{1,9})D)?"
    r"(?P<time>T(?:(?P<hours>\d{1,10})H)?(?:(?P<minutes>\d{1,12})M)?(?:(?P<seconds>\d{1,13})(?:\.(?P<fraction>\d{1,9}))?S)?)?$"
)


def dates(texts: pa.Array) -> pa.Array:
    """`2024-05-01` as date32."""
    return texts.cast(pa.date32())


def instants(texts: pa.Array, zone: str | None) -> pa.Array:
    """Timestamps in UTC; a text without a zone is in `zone`, or refused where that is None.

    A time that occurs twice as clocks go back is the earlier one, as in Spark; one that clocks skip is refused.
    """
    try:
        return _in_range(texts.cast(INSTANT))
    except pa.ArrowInvalid:
        pass
    iso, zoned = _normal(texts)
    if zone is None:
        if not pc.all(zoned).as_py():
            raise ValueError("a time without a zone")
        return _in_range(iso.cast(INSTANT))
    with_zone = pc.if_else(zoned, iso, None).cast(INSTANT)
    local = pc.if_else(zoned, None, iso).cast(LOCAL)
    # A cast takes a local time for one in UTC, without looking at a zone's rules.
    there = local.cast(INSTANT) if zone == "UTC" else _at(local, zone)
    return _in_range(pc.coalesce(with_zone, there))


def local_times(texts: pa.Array) -> pa.Array:
    """Timestamps without a zone; a text that has one is refused."""
    try:
        return _in_range(texts.cast(LOCAL))
    except pa.ArrowInvalid:
        pass
    iso, zoned = _normal(texts)
    if pc.any(zoned).as_py():
        raise ValueError("a zone where there must be none")
    return _in_range(iso.cast(LOCAL))


def times(texts: pa.Array) -> pa.Array:
    """`12:00:00.5` as time64[ns]."""
    on_day_0 = pc.binary_join_element_wise("1970-01-01T", texts, "").cast(pa.timestamp("ns"))
    ticks = on_day_0.cast(pa.int64())
    lengths = pc.min(pc.utf8_length(texts)).as_py()
    if lengths is not None and lengths < len("12:00"):
        raise ValueError("no minutes")
    return ticks.cast(pa.time64("ns"))


def durations(texts: pa.Array) -> pa.Array:
    """ISO 8601 durations of days, hours, minutes and seconds as duration[us]."""
    parts = _matched(texts, _DURATION)
    empty = pc.and_(pc.equal(parts["days"], ""), pc.less_equal(pc.utf8_length(parts["time"]), 1))
    dangling = pc.equal(parts["time"], "T")
    if pc.any(pc.or_(empty, dangling)).as_py():
        raise ValueError("a duration without parts")
    units = {"days": _DAY, "hours": 3600 * _SECOND, "minutes": 60 * _SECOND, "seconds": _SECOND}
    micros = pc.utf8_slice_codeunits(pc.utf8_rpad(parts["fraction"], 6, "0"), 0, 6)
    sums, near = _integers(micros), np.zeros(len(texts))
    # Downwards: the smallest duration has no positive counterpart.
    sums = -sums
    with np.errstate(over="ignore"):
        for name, unit in units.items():
            amount = _integers(parts[name])
            sums = sums - amount * unit
            near = near - amount.astype(np.float64) * unit
        negative = pc.fill_null(pc.equal(parts["sign"], "-"), False).to_numpy(zero_copy_only=False)
        signed = np.where(negative, sums, -sums)
    # 64-bit sums that ran over are off by 2**64, and floats are not.
    wrong = (np.abs(near - sums.astype(np.float64)) > 2.0**62) | (~negative & (signed < 0))
    if wrong.any():
        raise ValueError("a duration above 292,000 years")
    return pa.array(signed, mask=texts.is_null().to_numpy(zero_copy_only=False)).cast(pa.duration("us"))


def from_epochs(numbers: list[int | float | None], per_second: int) -> pa.Array:
    """Numbers since 1970, of which `per_second` make a second, as instants; what is below a microsecond is rounded."""
    factor = _SECOND // per_second
    micros = [number * factor if isinstance(number, int) else number and round(number * factor) for number in numbers]
    return _in_range(pa.array(micros, pa.int64()).cast(INSTANT))


def day_of(moments: pa.Array) -> pa.Array:
    """The UTC dates of instants."""
    return moments.cast(pa.date32())


def _in_range(moments: pa.Array) -> pa.Array:
    ends = pc.min_max(moments.cast(pa.int64()))
    first, last = ends["min"].as_py(), ends["max"].as_py()
    if first is not None and (first < _FIRST or last >= _END):
        raise ValueError("a year outside of 0001 to 9999")
    return moments


def _at(local: pa.Array, zone: str) -> pa.Array:
    return pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="raise").cast(INSTANT)


def _normal(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Texts in the one spelling that Arrow casts, and which of them have a zone."""
    found = pc.extract_regex(texts, _ISO)
    if found.null_count > texts.null_count:
        texts = _rfc_1123_as_iso(texts)
        found = pc.extract_regex(texts, _ISO)
    parts = _members(found, texts)
    zone = pc.utf8_upper(parts["zone"])
    time = pc.if_else(pc.equal(parts["time"], ""), "00:00", parts["time"])
    fraction = pc.utf8_slice_codeunits(parts["fraction"], 0, 7)
    return (
        pc.binary_join_element_wise(parts["day"], "T", time, fraction, zone, ""),
        pc.not_equal(zone, ""),
    )


def _rfc_1123_as_iso(texts: pa.Array) -> pa.Array:
    found = pc.extract_regex(texts, _RFC_1123)
    day, month, year, time, zone = (pc.struct_field(found, i) for i in range(5))
    number = pc.utf8_lpad(pc.add(pc.index_in(month, pa.array(_MONTHS)), 1).cast(pa.string()), 2, "0")
    offset = pc.if_else(pc.starts_with(zone, "U"), "Z", pc.if_else(pc.equal(zone, "GMT"), "Z", zone))
    date = pc.binary_join_element_wise(year, number, pc.utf8_lpad(day, 2, "0"), "-")
    iso = pc.binary_join_element_wise(date, "T", time, offset, "")
    return pc.if_else(found.is_valid(), iso, texts)


def _matched(texts: pa.Array, pattern: str) -> dict[str, pa.Array]:
    return _members(pc.extract_regex(texts, pattern), texts)


def _members(found: pa.Array, texts: pa.Array) -> dict[str, pa.Array]:
    if found.null_count > texts.null_count:
        raise ValueError("a text of another form")
    return {found.type.field(i).name: column for i, column in enumerate(found.flatten())}


def _integers(texts: pa.Array) -> NDArray[Any]:
    filled = pc.if_else(pc.equal(pc.fill_null(texts, ""), ""), "0", pc.fill_null(texts, ""))
    numbers: NDArray[Any] = filled.cast(pa.int64()).to_numpy()
    return numbers
