"""From options to a style of paging; `auto` finds them itself.

paging = paging_of({"pagination": "offset", "page.size": 100, "page.sizeParam": "limit"})
ask = paging.first()                 # limit=100, offset=0
ask = paging.next(ask, answer)       # limit=100, offset=50 after 50 rows; None at the end
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from trunkline.errors import OptionError
from trunkline.rest.paging.ask import Answer, Ask, Pairs, Place
from trunkline.rest.paging.cursors import CursorPaging, HeaderCursorPaging, LastRecordPaging
from trunkline.rest.paging.detect import detect
from trunkline.rest.paging.links import LinkPaging, NextUrlPaging
from trunkline.rest.paging.numbered import OffsetPaging, PagePaging
from trunkline.rest.paging.stop import Stop

# `page.param` where it is not given.
_PARAMS = {"page": "page", "offset": "offset", "cursor": "cursor", "headerCursor": "cursor", "lastRecord": "after"}
# What `auto` takes from the options; the rest it finds.
_KEPT = ("page.size", "page.sizeParam", "page.in", "page.totalField", "page.hasMoreField")


@dataclass(frozen=True)
class SinglePage:
    """One page, which is all.

        GET /rows      [ ... ]

    Attributes:
        stop: Holds the total to check, if any.
    """

    stop: Stop

    def first(self, start: int | str | None = None) -> Ask:
        """The request as it is configured."""
        return Ask()

    def next(self, ask: Ask, answer: Answer) -> Ask | None:
        """Nothing."""
        return None

    def smaller(self, ask: Ask) -> Ask | None:
        """Nothing."""
        return None


@dataclass(frozen=True)
class AutoPaging:
    """By what the first answer shows (see `detect`); the `found` of each page after it says what that was.

        GET /rows                        {"items": [ ... ], "nextPageToken": "b2Zm"}
        GET /rows?pageToken=b2Zm         {"items": [ ... ]}

    `Walk` holds the second page against the first: a server that does not know the parameter gives that again.

    Attributes:
        given: The options that every style takes.
    """

    given: Pairs = ()

    @functools.cached_property
    def stop(self) -> Stop:
        """Holds the total to check, if it is given."""
        return Stop.from_options(dict(self.given))

    def first(self, start: int | str | None = None) -> Ask:
        """The request as it is configured, with the page size."""
        given = dict(self.given)
        return _place(given, "").ask(None, given.get("page.size"))

    def next(self, ask: Ask, answer: Answer) -> Ask | None:
        """The page after this one in the style that was found; None at the end.

        Raises:
            ResponseError: No style shows and there may be more, or what that style raises.
        """
        found = ask.found or tuple(detect(answer, dict(self.given)).items())
        following = _style(found, self.given).next(ask, answer)
        return None if following is None else following._replace(found=found)

    def following(self, ask: Ask, count: int) -> Ask | None:
        """The page behind one that holds so many rows, where the style that was found can tell."""
        style = _style(ask.found, self.given) if ask.found else None
        if not isinstance(style, (OffsetPaging, PagePaging)):
            return None
        return style.following(ask, count)._replace(found=ask.found)

    def smaller(self, ask: Ask) -> Ask | None:
        """As the style that was found does it."""
        if not ask.found:
            return _place(dict(self.given), "").halved(ask)
        half = _style(ask.found, self.given).smaller(ask)
        return None if half is None else half._replace(found=ask.found)


Paging: TypeAlias = (
    "SinglePage | PagePaging | OffsetPaging | CursorPaging | HeaderCursorPaging | LastRecordPaging | LinkPaging "
    "| NextUrlPaging | AutoPaging"
)


def paging_of(options: Mapping[str, Any]) -> Paging:
    """The style that options ask for.

    Args:
        options: `pagination` and `page.*`, parsed; what is absent or None takes its default.

    Raises:
        OptionError: The style lacks an option, or one does not fit.
    """
    style = options.get("pagination") or "none"
    stop, size = Stop.from_options(options), options.get("page.size")
    place = _place(options, _PARAMS.get(style, ""))
    start = options.get("page.start")
    if style == "none":
        return SinglePage(stop)
    if style == "auto":
        # page.in=query is the default: what is found may go elsewhere.
        kept = [(name, options.get(name)) for name in _KEPT]
        return AutoPaging(tuple((name, value) for name, value in kept if value not in (None, "query")))
    if style == "page":
        return PagePaging(place, stop, size, _number(start, 1))
    if style == "offset":
        return OffsetPaging(place, stop, size, _number(start, 0))
    if style == "cursor":
        return CursorPaging(place, _needed(options, "page.nextField"), stop, size, start)
    if style == "headerCursor":
        return HeaderCursorPaging(place, _needed(options, "page.nextField"), stop, size, start)
    if style == "lastRecord":
        return LastRecordPaging(place, _needed(options, "page.cursorField"), stop, size, start)
    if style == "link":
        return LinkPaging(place, options.get("page.nextField") or "next", stop, size)
    if style == "nextUrl":
        return NextUrlPaging(place, _needed(options, "page.nextField"), stop, size)
    raise OptionError(f"pagination={style} is unknown")


@functools.lru_cache(maxsize=64)
def _style(found: Pairs, given: Pairs) -> Paging:
    """The style that `auto` found: the same for every page of a chain."""
    return paging_of({**dict(found), **dict(given)})


def _place(options: Mapping[str, Any], param: str) -> Place:
    return Place(
        options.get("page.param") or param, options.get("page.sizeParam") or None, options.get("page.in") or "query"
    )


def _needed(options: Mapping[str, Any], name: str) -> str:
    value = options.get(name)
    if not value:
        raise OptionError(f"{name} is missing: pagination={options['pagination']} needs it")
    return str(value)


def _number(start: Any, default: int) -> int:
    try:
        return default if start is None else int(start)
    except ValueError:
        raise OptionError(f"page.start={start} is no number") from None
