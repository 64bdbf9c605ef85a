"""Bounds of windows: times and ids, read and written the way the user wrote them.

    low, high = parse_bound("2026-01-01", "time"), parse_bound("2026-01-03", "time")
    [(a.text, b.text) for a, b in split(low, high, 2)]    # [("2026-01-01", "2026-01-02"), ("2026-01-02", "2026-01-03")]

A time is held in microseconds since 1970, UTC. Its spelling says in what steps it can be cut: a date in days.
"""

from __future__ import annotations

import itertools
import re
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# Ten digits of seconds reach from 2001 to 2286, thirteen are the same in milliseconds.
_SECONDS, _MILLIS = re.compile(r"\d{9,10}"), re.compile(r"\d{12,13}")
# What each spelling can tell apart, in the unit it is held in.
STEPS = {"id": 1, "date": 86_400_000_000, "epochSeconds": 1_000_000, "epochMillis": 1_000, "seconds": 1_000_000,
         "micros": 1}  # fmt: skip


class Bound(NamedTuple):
    """A place on the line that is split.

    Attributes:
        value: The id, or the microseconds since 1970.
        spelling: How it is written: one of `STEPS`.
    """

    value: int
    spelling: str

    @property
    def text(self) -> str:
        """As the API is asked for it."""
        return spell(self.value, self.spelling)

    def before(self) -> Bound:
        """The last place before this one that the spelling can name."""
        return Bound(self.value - STEPS[self.spelling], self.spelling)


def parse_bound(text: str, kind: str) -> Bound:
    """A bound as the user wrote it.

    Args:
        text: `1000`; `2026-01-01`, `2026-01-01T00:00:00Z`, `1767225600` (seconds) or `1767225600000` (milliseconds).
        kind: `id` or `time`.

    Raises:
        ValueError: It is neither.
    """
    text = text.strip()
    if kind == "id":
        if re.fullmatch(r"[+-]?\d{1,18}", text) is None:
            message = f"{text!r} is no whole number"
            raise ValueError(message)
        return Bound(int(text), "id")
    if _SECONDS.fullmatch(text):
        return Bound(int(text) * 1_000_000, "epochSeconds")
    if _MILLIS.fullmatch(text):
        return Bound(int(text) * 1_000, "epochMillis")
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        message = f"{text!r} is no time: write 2026-01-01, 2026-01-01T00:00:00Z or seconds since 1970"
        raise ValueError(message) from None
    aware = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    value = micros(aware)
    if _DATE.fullmatch(text):
        return Bound(value, "date")
    return Bound(value, "micros" if value % 1_000_000 else "seconds")


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of a moment with a zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def spell(value: int, spelling: str) -> str:
    """A place as the API is asked for it; what the spelling cannot tell apart is rounded down."""
    if spelling == "id":
        return str(value)
    if spelling in {"epochSeconds", "epochMillis"}:
        return str(value // STEPS[spelling])
    moment = _EPOCH + timedelta(microseconds=value)
    if spelling == "date":
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if spelling == "seconds" else "%Y-%m-%dT%H:%M:%S.%fZ")


def split(low: Bound, high: Bound, parts: int, least: int = 0) -> list[tuple[Bound, Bound]]:
    """Half-open windows that cover [low, high) exactly once.

    Args:
        low: Where the first begins.
        high: Where the last ends.
        parts: The most windows.
        least: No window is cut shorter than this, in the unit of the values.

    Returns:
        At least one window. Cuts lie where the spelling can name them.
    """
    step = max(STEPS[low.spelling], 1)
    steps = -(-(high.value - low.value) // step)
    parts = max(1, min(parts, steps, (high.value - low.value) // least if least else steps))
    cuts = [low.value + (steps * part // parts) * step for part in range(parts)]
    ends = [*(Bound(cut, low.spelling) for cut in cuts), high]
    return list(itertools.pairwise(ends))
