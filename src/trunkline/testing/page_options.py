"""The options of a dataset's pages: one table of names, meanings and defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from trunkline.testing.comparison import OPERATORS
from trunkline.testing.formats import CONTENT_TYPES

_STYLES = ("none", "page", "offset", "cursor", "link", "nextUrl", "lastRecord", "headerCursor")
_CHOICES = {
    "paging": _STYLES,
    "by": ("page", "offset", "cursor"),
    "params_in": ("query", "body", "header"),
    "next_form": ("absolute", "network", "path", "relative", "query"),
    "next_missing": ("null", "absent", "empty", "token"),
    "links": ("one", "many", "bare", "tricky"),
    "total": (False, True, "header"),
    "format": tuple(CONTENT_TYPES),
}


@dataclass(frozen=True)
class PageOptions:
    """How a dataset is served. A dotted path nests (`data.items`), except one that starts with "@"; a list is literal.

    Attributes:
        rows: name of the dataset; default the path of the route.
        paging: "none", "page", "offset", "cursor" (token in the answer), "link" (Link header), "nextUrl" (address in
            the answer), "lastRecord" (`after` = the last row's value of the column in `sort`, default the id),
            "headerCursor" (token in a header of the answer).
        by: what the addresses of "link" and "nextUrl" count in: "page", "offset" or "cursor".
        params_in: where the parameters are read from: "query", "body" (JSON or form; dotted paths such as
            "variables.after"), "header". A parameter under any other name or place is ignored, as servers do.
        limit_param: default "page_size" where pages are counted, else "limit"; "" when clients have no say.
        offset_param: see there.
        page_param: see there.
        cursor_param: see there.
        after_param: see there.
        first_page: number of the first page.
        size: rows of a page when no limit is asked for.
        cap: most rows of a page whatever is asked for; nobody is told.
        records: path to the rows in the answer; "" for a bare array.
        next_field: path to the token or address of the next page.
        next_header: the same for "headerCursor".
        next_missing: the end is "null", "absent", "empty" (text), or "token": one more token, which leads to an empty
            page (GraphQL's endCursor).
        next_form: "absolute", "network" (//host/..), "path" (/..), "relative" (to the path's last part), "query" (?..).
        next_host: an origin ("other") or a whole "http://host:port" that absolute addresses name.
        links: "one" header with all links, "many" headers, "bare" (rel unquoted), "tricky" (parameters with quotes,
            commas and semicolons, two relations in one).
        has_more: path to a flag; default none.
        total: count of the filtered rows: True in `total_field`, "header" in `total_header`, False nowhere.
        total_field: see there.
        total_header: see there.
        totals: what is said instead, by the number of pages that went out so far; the last one stays.
        envelope: constant fields beside the rows.
        filters: parameter -> [column, eq, ne, ge, gt, le, lt or in]; read from path, query and JSON body. Times are
            compared as instants (a number is epoch seconds or milliseconds).
        sort: column, "-column" for falling.
        max_range_rows: more filtered rows than this are refused.
        range_status: with this status.
        window: rows beyond so many are never served, though counted in `total`.
        short_pages: page number (from 1, in steps of `size`) -> rows it has, 0 for none; the rest of the rows come
            later, as if the missing places held rows nobody may see.
        next_page: page number -> page its token or address leads to: itself (repeated token), the one before it
            (A-B-A), or None (an early end).
        keyset: cursors hold the last row's value in `sort` (default the id) instead of a position, so that rows
            inserted or deleted before it shift nothing.
        token_uses: requests a cursor is good for; 410 after that.
        beyond: a page or offset past the end: 200 (empty), another status, or "last" (the last page again).
        format: "json", "ndjson", "csv", "text", "binary"; `next`, `has_more` and `total` have no place in the others.
    """

    rows: str = ""
    paging: str = "offset"
    by: str = "page"
    params_in: str = "query"
    limit_param: str | None = None
    offset_param: str = "offset"
    page_param: str = "page"
    cursor_param: str = "cursor"
    after_param: str = "after"
    first_page: int = 1
    size: int = 100
    cap: int | None = None
    records: str | list[str] = "items"
    next_field: str | list[str] = "next"
    next_header: str = "X-Next-Cursor"
    next_missing: str = "null"
    next_form: str = "absolute"
    next_host: str | None = None
    links: str = "one"
    has_more: str | list[str] | None = None
    total: bool | str = False
    total_field: str | list[str] = "total"
    total_header: str = "X-Total-Count"
    totals: list[int] = field(default_factory=list)
    envelope: dict[str, Any] = field(default_factory=dict)
    filters: dict[str, list[str]] = field(default_factory=dict)
    sort: str | None = None
    max_range_rows: int | None = None
    range_status: int = 422
    window: int | None = None
    short_pages: dict[Any, int] = field(default_factory=dict)
    next_page: dict[Any, int | None] = field(default_factory=dict)
    keyset: bool = False
    token_uses: int | None = None
    beyond: int | str = 200
    format: str = "json"

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(map(str, allowed))}")
        for column, name in self.filters.values():
            if name not in OPERATORS and name != "in":
                raise ValueError(f"filter on {column}: {name!r} is none of {', '.join(OPERATORS)}, in")
        if self.size < 1:
            raise ValueError(f"size={self.size}: expected at least 1")
        if self.format != "json" and self.paging in ("cursor", "nextUrl"):
            raise ValueError(f"paging={self.paging!r} needs format='json', which has a place for the next page")
        if self.short_pages and (self.keyset or self.paging == "lastRecord"):
            raise ValueError("short_pages counts positions, which keyset and lastRecord do not have")


PAGE_OPTIONS = tuple(one.name for one in fields(PageOptions))
