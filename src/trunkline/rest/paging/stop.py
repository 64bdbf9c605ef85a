"""What an answer says about its being the last.

Stop(has_more="has_more").says(ask, answer)     # True: the last page; False: not the last; None: it does not say
total_of(answer, "header:X-Total-Count")        # 120
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from trunkline.errors import OptionError, ResponseError
from trunkline.rest.paging.ask import Answer, Ask, header, shown
from trunkline.rest.paths import at

HEADER = "header:"
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "": False}


@dataclass(frozen=True)
class Stop:
    """When the pages end.

    Attributes:
        rule: `page.stop`: `empty`, `short`, `total`, a field that is then absent, null, false or "", or
            `<field>=<value>`; None: each style's own.
        total: `page.totalField`.
        has_more: `page.hasMoreField`.
    """

    rule: str | None = None
    total: str | None = None
    has_more: str | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Stop:
        """As the options have it.

        Raises:
            OptionError: A rule lacks the option it counts with.
        """
        rule, total = options.get("page.stop"), options.get("page.totalField")
        if rule == "total" and not total:
            raise OptionError("page.stop=total needs page.totalField")
        if rule == "short" and not (options.get("page.size") and options.get("page.sizeParam")):
            raise OptionError(
                "page.stop=short needs page.size and page.sizeParam, or no page could be told to be short"
            )
        return cls(rule or None, total or None, options.get("page.hasMoreField") or None)

    def says(self, ask: Ask, answer: Answer, by_total: bool = False) -> bool | None:
        """Whether this page is the last: True, False, or None where it does not say.

        Args:
            ask: The page.
            answer: The page that came.
            by_total: Whether a total that is reached ends the pages without `page.stop`.
        """
        if self.rule is None:
            more = None if self.has_more is None else flag(answer, self.has_more)
            if more is not None:
                return not more
            return True if by_total and self._reached(ask, answer) else None
        if self.rule == "empty":
            return True if answer.count == 0 else None
        if self.rule == "short":
            return True if answer.count < (ask.size or 1) else None
        if self.rule == "total":
            return True if self._reached(ask, answer) else None
        field, equals, value = self.rule.partition("=")
        found = at(answer.document, field)
        if equals:
            return _spelled(found) == value
        return found is None or found is False or found == ""

    def _reached(self, ask: Ask, answer: Answer) -> bool:
        """Only what is exactly reached ends the pages: a total below the rows that came counts something else.

        The number of rows on the page looks like a total on the first page, when it is full.
        """
        total, rows = None if self.total is None else total_of(answer, self.total), ask.after(answer.count)
        full = ask.rows == 0 and answer.count == ask.size
        return total is not None and total == rows and not full


def total_of(answer: Answer, field: str) -> int | None:
    """How many rows there are in all, as an answer says; None where it does not.

    Args:
        answer: A page.
        field: A dotted path, or `header:` and a name. `Content-Range: items 0-99/120` says 120.

    Raises:
        ResponseError: What stands there is no number.
    """
    if field.lower().startswith(HEADER):
        value: Any = header(answer.headers, field[len(HEADER) :].strip())
        value = None if value is None else value.rpartition("/")[2].strip()
        if value in (None, "", "*"):
            return None
    else:
        value = at(answer.document, field)
        if value is None:
            return None
    total = number(value)
    if total is None:
        kind = "an object or a list" if isinstance(value, (dict, list)) else repr(value)[:40]
        raise ResponseError(f"{shown(answer)}: page.totalField={field} is {kind}, not a number of rows")
    return total


def number(value: Any) -> int | None:
    """A count, from a number or its text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, float) and value.is_integer() and value >= 0:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def flag(answer: Answer, field: str) -> bool | None:
    """Whether an answer says that there is more; None where it does not say.

    Raises:
        ResponseError: What stands there is neither true nor false.
    """
    value = at(answer.document, field)
    if value is None:
        return None
    said = None if isinstance(value, (dict, list)) else _FLAGS.get(str(value).lower())
    if said is None:
        raise ResponseError(f"{shown(answer)}: page.hasMoreField={field} is neither true nor false")
    return said


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
