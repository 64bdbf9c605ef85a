"""Paging: what to ask for next, as small state machines that do no I/O.

    walk = Walk(paging_of({"pagination": "nextUrl", "page.nextField": "next"}))
    walk.ask                            # Ask(): the first page, as configured
    walk.take(answer)                   # Ask(url="https://..."), None at the end

Each style of `pagination` is a class whose docstring shows the answers it handles. A `Walk` follows one chain of pages
and holds it to its promise: complete, or an error.
"""

from __future__ import annotations

from trunkline.rest.paging.ask import Answer, Ask
from trunkline.rest.paging.cursors import CursorPaging, HeaderCursorPaging, LastRecordPaging
from trunkline.rest.paging.links import LinkPaging, NextUrlPaging
from trunkline.rest.paging.numbered import OffsetPaging, PagePaging
from trunkline.rest.paging.ranges import PageRange, offset_ranges, page_ranges
from trunkline.rest.paging.stop import total_of
from trunkline.rest.paging.styles import AutoPaging, Paging, SinglePage, paging_of
from trunkline.rest.paging.walk import Walk

__all__ = [
    "Answer",
    "Ask",
    "AutoPaging",
    "CursorPaging",
    "HeaderCursorPaging",
    "LastRecordPaging",
    "LinkPaging",
    "NextUrlPaging",
    "OffsetPaging",
    "PagePaging",
    "PageRange",
    "Paging",
    "SinglePage",
    "Walk",
    "offset_ranges",
    "page_ranges",
    "paging_of",
    "total_of",
]
