"""Positions of a stream, and the windows between two of them.

    place = FieldPlace(pa.timestamp("us", "UTC"), options)      # how a field is compared, asked for and written down
    place.window(low, high)                                     # the rows between two values

A stream stands either at a value of `incremental.field`, or, without one, at a row of a page:

    {"v": 1, "until": "2026-01-01T00:00:00.000000Z"}            # a time: rows before it have been read
    {"v": 1, "until": "4711"}                                   # a number or text: rows up to and with it
    {"v": 1, "ask": {...}, "skip": 20}                          # a page, and how many of its rows have been read

Spark compares offsets as texts, so their keys stand in one order.
"""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import OptionError
from trunkline.options import Options
from trunkline.rest.bounds import STEPS, micros, parse_bound, spell

VERSION = 1
Offset = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """Rows of a field's value: a time from `low` on and before `high`; a number or text after `low`, up to `high`.

    Attributes:
        low, high: None where it is open.
        of_time: Which of the two it is. A clock may give two rows one time and the second of them later, so what is at
            the end of a window belongs to the next; a number that is there is there.
    """

    low: Any
    high: Any
    of_time: bool

    def rows(self, values: pa.Array) -> pa.Array:
        """Which values lie inside, as booleans."""
        above, below = (pc.greater_equal, pc.less) if self.of_time else (pc.greater, pc.less_equal)
        everywhere = pa.array([True] * len(values), pa.bool_())
        inside = everywhere if self.low is None else above(values, self._scalar(self.low, values))
        return inside if self.high is None else pc.and_(inside, below(values, self._scalar(self.high, values)))

    def _scalar(self, value: Any, values: pa.Array) -> pa.Scalar:
        if not self.of_time:
            return pa.scalar(value, values.type)
        if pa.types.is_date(values.type):
            # A date stands for its first moment.
            return pa.scalar(-(-value // 86_400_000_000), pa.int32()).cast(values.type)
        return pa.scalar(value, pa.int64()).cast(pa.timestamp("us")).cast(values.type)


class FieldPlace:
    """How the values of `incremental.field` are compared, asked for and written down.

    Args:
        kind: The column's type.
        options: Of the stream.

    Raises:
        OptionError: The type has no order a stream could follow, or `incremental.start` is no value of it.
    """

    def __init__(self, kind: pa.DataType, options: Options) -> None:
        field, start = options["incremental.field"], options["incremental.start"]
        self.of_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        self._of_date = pa.types.is_date(kind)
        # Dates and timestamps without a zone are read off a clock on the API's wall.
        self._wall = ZoneInfo(options["timeZone"]) if self._of_date or self._is_local(kind) else None
        self._number = pa.types.is_integer(kind) or pa.types.is_decimal(kind)
        if not (self.of_time or self._number or pa.types.is_string(kind)):
            raise OptionError(
                f"rest: incremental.field={field} has no order to follow: a timestamp, number or text has"
            )
        if options["incremental.untilParam"] is not None and not (self.of_time or pa.types.is_integer(kind)):
            raise OptionError(f"rest: incremental.untilParam needs a time or whole number, which {field} is not")
        if self.of_time and options["incremental.lookback"] is not None:
            self.lookback = round(options["incremental.lookback"] * 1_000_000)
        elif options["incremental.lookback"] is not None:
            raise OptionError("rest: incremental.lookback is a time, so incremental.field must be a TIMESTAMP or DATE")
        else:
            self.lookback = 0
        self.settle: int = round(options["incremental.settle"] * 1_000_000)
        spelled: str = options["timestamps"]
        self._spelling = "date" if self._of_date and spelled == "iso" else spelled
        self.start = None
        if start is not None:
            try:
                self.start = self._parsed_start(start)
            except decimal.InvalidOperation:
                raise OptionError(f"rest: incremental.start: {start!r} is no number") from None
            except ValueError as error:
                raise OptionError(f"rest: incremental.start: {error}") from None

    def cap(self, now: int) -> int | None:
        """Up to where rows of a time are settled; a date is, once its day is over.

        Args:
            now: Microseconds since 1970.
        """
        if not self.of_time:
            return None
        settled = now - self.settle
        if self._wall is not None:
            there = datetime.fromtimestamp(now / 1_000_000, self._wall).utcoffset()
            settled += 0 if there is None else round(there.total_seconds()) * 1_000_000
        return settled - settled % STEPS["date"] if self._of_date else settled

    def offset(self, value: Any, *, cut: bool = False) -> Offset:
        """The offset that stands for a value; `cut` where rows came in order and it lies among them."""
        if value is None:
            return {"v": VERSION, "until": None}
        if self.of_time:
            text = spell(value, "micros")
        else:
            text = format(value, "f") if isinstance(value, decimal.Decimal) else str(value)
        return {"v": VERSION, "until": text, "cut": True} if cut else {"v": VERSION, "until": text}

    def value(self, offset: Offset) -> Any:
        """The value that an offset stands for.

        Raises:
            OptionError: It is an offset of another kind of stream.
        """
        if offset.get("v") != VERSION or "until" not in offset:
            raise OptionError(f"rest: the checkpoint belongs to a stream with other options: {offset}")
        text = offset["until"]
        if text is None:
            return None
        if self.of_time:
            return micros(datetime.fromisoformat(text.replace("Z", "+00:00")))
        return decimal.Decimal(text) if self._number and "." in text else int(text) if self._number else text

    def of(self, scalar: pa.Scalar) -> Any:
        """The value of a column's element."""
        found = scalar.as_py()
        if not self.of_time:
            return found
        if isinstance(found, datetime):
            return micros(found if found.tzinfo else found.replace(tzinfo=timezone.utc))
        return micros(datetime(found.year, found.month, found.day, tzinfo=timezone.utc))

    def window(self, low: Any, high: Any) -> Window:
        """The rows between two values."""
        return Window(low, high, self.of_time)

    def params(self, options: Options, low: Any, high: Any) -> tuple[tuple[str, str], ...]:
        """What asks the API for a window, or for a little more: whether it takes a bound as included is not known."""
        found = []
        lower, upper = options["incremental.param"], options["incremental.untilParam"]
        if lower is not None and low is not None:
            found.append((lower, self._asked(low, up=False)))
        if upper is not None and high is not None:
            found.append((upper, self._asked(high, up=True)))
        return tuple(found)

    @staticmethod
    def _is_local(kind: pa.DataType) -> bool:
        return pa.types.is_timestamp(kind) and kind.tz is None

    def _asked(self, value: Any, *, up: bool) -> str:
        if not self.of_time:
            # One more, for an API that leaves out the end it is given; what is too much is left out here.
            return str(value + 1 if up else value)
        spelling = self._spelling
        if spelling == "iso":
            spelling = "micros" if value % 1_000_000 else "seconds"
        step = STEPS[spelling]
        # One step earlier, for an API that leaves out the time it is given.
        text = spell(value + step - 1 if up else value - step, spelling)
        return text.removesuffix("Z") if self._wall is not None else text

    def _parsed_start(self, start: str) -> Any:
        if not self.of_time:
            return start if not self._number else decimal.Decimal(start) if "." in start else int(start)
        bound = parse_bound(start, "time")
        self._spelling = "iso" if bound.spelling in {"seconds", "micros"} else bound.spelling
        return bound.value
