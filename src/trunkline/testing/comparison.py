"""Values of a column and values of a request, made comparable.

parse_like(comparable("2026-01-01T00:00:00Z"), "2026-01-01T01:00:00.000+01:00", "at") == comparable("2026-01-01")
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt,
}  # fmt: skip

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Epoch numbers above are milliseconds: as seconds they would lie beyond the year 5000.
_MILLISECONDS_FROM = 100_000_000_000


def comparable(value: Any) -> Any:
    """Numbers and texts as they are, times as instants, so that "Z", "+00:00" and ".000Z" mean the same."""
    if isinstance(value, str):
        instant = _instant(value)
        return value if instant is None else instant
    return value


def parse_like(sample: Any, text: str, column: str) -> Any:
    """A value of a request as what `comparable` makes of the column's values, of which `sample` is one.

    Raises:
        ValueError: it cannot be; names the column.
    """
    try:
        if isinstance(sample, datetime):
            return _instant(text) or _epoch(float(text))
        if isinstance(sample, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if isinstance(sample, (int, float)):
            return int(text) if text.lstrip("+-").isdigit() else float(text)
    except (ValueError, KeyError, OverflowError):
        raise ValueError(f"{text!r} cannot be compared with {column}, such as {sample}") from None
    return text


def order(value: Any) -> tuple[bool, Any]:
    """To sort by: rows without a value come first, whatever the type of the others."""
    return (value is not None, value)


def _instant(text: str) -> datetime | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    day, minute, second, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z") else f"{zone[:3]}:{zone[-2:]}"
    # Python 3.10 reads three or six digits after the point, and no "Z".
    clock = f"{minute or '00:00'}{second or ':00'}{(fraction or '.')[:7].ljust(7, '0')}"
    try:
        return datetime.fromisoformat(f"{day}T{clock}{zone}")
    except ValueError:
        return None


def _epoch(number: float) -> datetime:
    return _EPOCH + timedelta(seconds=number / 1000 if abs(number) >= _MILLISECONDS_FROM else number)
