"""What headers say about waiting: `Retry-After`, and those of rate limits.

retry_after({"Retry-After": "120"})                                               # 120.0
quota_pause({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"})            # 30.0
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import Any

# Epoch values in rate-limit headers: above 1e12 they can only be milliseconds, above 1e9 only seconds.
_EPOCH_MILLIS, _EPOCH_SECONDS = 1e12, 1e9
# A century: of what a server may write, all that a calendar can show.
LONGEST = 100 * 365 * 86_400.0
_FAMILIES = tuple((f"{name}-Remaining", f"{name}-Reset") for name in ("X-RateLimit", "X-Rate-Limit", "RateLimit"))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `Retry-After`: a number or one of the three HTTP dates, against the answer's own `Date`.

    A time in the past is 0.0; something unreadable, or no header, is None.
    """
    value = headers.get("Retry-After")
    if value is None:
        return None
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        at = _http_date(value)
        if at is None:
            return None
        now = _http_date(headers.get("Date", ""))
        return max(0.0, at - (time.time() if now is None else now))
    # float() also reads "nan" and "inf", which no server means.
    return min(max(0.0, seconds), LONGEST) if math.isfinite(seconds) else None


def quota_pause(headers: Mapping[str, str]) -> float:
    """Seconds until the quota opens again when rate-limit headers say that none is left, else 0.0.

    Reads `RateLimit` (`"default";r=0;t=30`), and the families `X-RateLimit-*`, `X-Rate-Limit-*`, `RateLimit-*`
    with `Remaining` and `Reset` (delta seconds, epoch seconds, epoch milliseconds, or a date).
    """
    head: bytes = getattr(headers, "lower", b"rate")
    # Most answers say nothing of it: one look at the bytes, where a transport has kept them, instead of four.
    if b"rate" not in head:
        return 0.0
    modern = headers.get("RateLimit")
    if modern is not None:
        return max((_modern_pause(item) for item in modern.split(",")), default=0.0)
    for remaining_name, reset_name in _FAMILIES:
        remaining = headers.get(remaining_name)
        if remaining is not None:
            reset = headers.get(reset_name)
            return _reset_seconds(reset, headers) if remaining.strip() == "0" and reset is not None else 0.0
    return 0.0


def _modern_pause(item: str) -> float:
    values: dict[str, str] = {}
    for part in item.split(";")[1:]:
        name, _, value = part.strip().partition("=")
        values[name] = value
    if values.get("r") != "0":
        return 0.0
    try:
        seconds = float(values.get("t", "0"))
    except ValueError:
        return 0.0
    return min(max(0.0, seconds), LONGEST) if math.isfinite(seconds) else 0.0


def _reset_seconds(value: str, headers: Mapping[str, str]) -> float:
    now = _http_date(headers.get("Date", ""))
    now = time.time() if now is None else now
    try:
        number = float(value)
    except ValueError:
        at = _http_date(value)
        return 0.0 if at is None else max(0.0, at - now)
    if not math.isfinite(number):
        return 0.0
    if number >= _EPOCH_MILLIS:
        number = number / 1000 - now
    elif number >= _EPOCH_SECONDS:
        number -= now
    return min(max(0.0, number), LONGEST)


def _http_date(text: str) -> float | None:
    """Epoch seconds of an IMF-fixdate, RFC 850 or asctime date; all three are in GMT whatever they say."""
    try:
        parsed: Any = parsedate_tz(text)
        return None if parsed is None else float(mktime_tz((*parsed[:9], 0)))
    except (ValueError, OverflowError, IndexError, TypeError):  # it trips over some garbage
        return None
