"""Rows made from their number, so that a million of them need not be sent, nor kept.

    {"id": {"times": 1}, "name": "item-{i}", "at": {"time": "2026-01-01T00:00:00Z"}, "amount": {"times": 0.5}}
    {"id": 3, "name": "item-3", "at": "2026-01-01T00:00:03Z", "amount": 1.5}                    # row 3, from 0

A column is one of these, `i` being the number of the row:

    "item-{i}", "{i:06}"                 text
    {"times": 2, "plus": 1, "mod": 10}   (i % 10) * 2 + 1; each part may be left out
    {"time": "2026-01-01T00:00:00Z", "every": 60}   ISO time, so many seconds (1) after the row before
    {"of": ["a", "b", null]}             the values in turn
    {"x": ..., "y": ...}                 a nested object of columns
    anything else                        itself
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

DEFAULT_TEMPLATE: dict[str, Any] = {
    "id": {"times": 1},
    "name": "item-{i}",
    "at": {"time": "2026-01-01T00:00:00Z"},
    "amount": {"times": 0.5},
}

_SECONDS = [f"{second:02}Z" for second in range(60)]

_Make = Callable[[Sequence[int]], Sequence[Any]]


class Template:
    """Makes rows, columns at a time."""

    def __init__(self, spec: Any) -> None:
        self._spec = spec
        self._make = _column(spec)
        self._columns: dict[str, _Make] = {}

    def rows(self, numbers: Sequence[int]) -> Sequence[Any]:
        """The rows of these numbers."""
        return self._make(numbers)

    def column(self, path: str, numbers: Sequence[int]) -> Sequence[Any]:
        """The values at a dotted path in the rows of these numbers."""
        if path not in self._columns:
            self._columns[path] = _column(self._at(path))
        return self._columns[path](numbers)

    def rises(self, path: str) -> bool:
        """Whether the values at a path never fall from row to row, so that they can be searched by halves."""
        spec = self._at(path)
        if not isinstance(spec, dict) or "mod" in spec:
            return False
        return spec.get("times", 0) > 0 or ("time" in spec and spec.get("every", 1) > 0)

    def _at(self, path: str) -> Any:
        spec = self._spec
        for name in path.split("."):
            spec = spec.get(name) if isinstance(spec, dict) else None
        return spec


def _column(spec: Any) -> _Make:
    if isinstance(spec, str) and "{i" in spec:
        before, found, after = spec.partition("{i}")
        if found and "{i" not in before + after:
            return lambda numbers: [f"{before}{i}{after}" for i in numbers]
        return lambda numbers: [spec.format(i=i) for i in numbers]
    if isinstance(spec, dict):
        if spec and spec.keys() <= {"times", "plus", "mod"}:
            return _number(spec.get("times", 1), spec.get("plus", 0), spec.get("mod"))
        if "time" in spec and spec.keys() <= {"time", "every"}:
            return _time(spec["time"], spec.get("every", 1))
        if spec.keys() == {"of"}:
            values = spec["of"]
            return lambda numbers: [values[i % len(values)] for i in numbers]
        names = list(spec)
        columns = [_column(spec[name]) for name in names]
        return lambda numbers: [
            # Not strict: it would cost a third more, and all columns are as long as the numbers.
            dict(zip(names, values))  # noqa: B905
            for values in zip(*[column(numbers) for column in columns])  # noqa: B905
        ]
    return lambda numbers: [spec] * len(numbers)


def _number(times: float, plus: float, mod: int | None) -> _Make:
    if mod is not None:
        return lambda numbers: [(i % mod) * times + plus for i in numbers]
    if (times, plus) == (1, 0):
        return lambda numbers: numbers
    return lambda numbers: [i * times + plus for i in numbers]


def _time(start: str, every: float) -> _Make:
    base = datetime.fromisoformat(start.replace("Z", "+00:00")).astimezone(timezone.utc).replace(tzinfo=None)
    if isinstance(every, int) and not base.microsecond:
        return lambda numbers: _whole_seconds(base, every, numbers)
    return lambda numbers: [f"{(base + timedelta(0, i * every)).isoformat()}Z" for i in numbers]


def _whole_seconds(base: datetime, every: int, numbers: Sequence[int]) -> list[str]:
    # Rows of one minute share all but the last two digits; formatting each anew takes three times as long.
    hour = base.replace(second=0)
    minutes: dict[int, str] = {}
    times = []
    for i in numbers:
        minute, second = divmod(base.second + i * every, 60)
        if minute not in minutes:
            minutes[minute] = (hour + timedelta(minutes=minute)).isoformat()[:17]
        times.append(minutes[minute] + _SECONDS[second])
    return times
