"""Names under which APIs say where the next page is, whether there is one, and how many rows there are.

    list(fields({"meta": {"next_cursor": "b2Zm"}}))     # [Field("meta.next_cursor", "next_cursor", "b2Zm")]

Only objects known to hold such things are looked into: a `next` anywhere else is about something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from trunkline.rest.paging.ask import Answer, header
from trunkline.rest.paging.stop import number


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Objects around the records in which APIs describe a page.
_CONTAINERS = _words(
    "_links _meta _metadata cursor cursors d data info links meta metadata nav navigation page pageInfo page_info "
    "pager pages paging pagination response responseMetadata response_metadata result result_info"
)
_DEEPEST = 4
# In an answer of GraphQL a connection may lie this deep under `data`.
_DEEPEST_CONNECTION = 6

# Fields that hold the URL of the next page. `next.href` is `href` in an object `next`.
URLS = _words(
    "@nextLink @odata.nextLink __next next next.href next.url nextHref nextLink nextPage nextPageLink nextPageUri "
    "nextPageUrl nextRecordsUrl nextUri nextURL nextUrl next_href next_link next_page next_page_link next_page_uri "
    "next_page_url next_uri next_url odata.nextLink"
)
# Fields that hold the token of the next page, and the parameter that takes it by convention.
TOKENS = {
    "NextMarker": "marker",
    "NextToken": "NextToken",
    "continuation": "continuation",
    "continuationToken": "continuationToken",
    "continuation_token": "continuation_token",
    "continue": "continue",
    "next.after": "after",
    "next.cursor": "cursor",
    "nextContinuationToken": "continuationToken",
    "nextCursor": "cursor",
    "nextMarker": "marker",
    "nextOffset": "offset",
    "nextPage": "page",
    "nextPageToken": "pageToken",
    "nextToken": "nextToken",
    "next_cursor": "cursor",
    "next_marker": "marker",
    "next_offset": "offset",
    "next_page": "page",
    "next_page_token": "page_token",
    "next_token": "next_token",
}
# Headers of the same kind: where the token goes (`page.in`) and in which parameter.
TOKEN_HEADERS = {
    "Next-Page": ("query", "page"),
    "X-Next-Cursor": ("query", "cursor"),
    "X-Next-Page": ("query", "page"),
    "X-Next-Page-Token": ("query", "pageToken"),
    "x-ms-continuation": ("header", "x-ms-continuation"),
    "x-ms-continuationtoken": ("query", "continuationToken"),
}
MORE = _words(
    "IsTruncated hasMore hasMoreItems hasMoreResults hasNext hasNextPage has_more has_more_items has_next "
    "has_next_page isTruncated is_truncated more moreAvailable more_available"
)
LAST = _words("done isLast isLastPage is_last is_last_page last lastPage last_page")
TOTALS = _words(
    "@odata.count numFound odata.count recordsTotal total totalCount totalElements totalHits totalItems totalRecords "
    "totalResults totalRows totalSize total_count total_elements total_hits total_items total_records total_results "
    "total_rows total_size"
)
# Some mean all rows by it and some those of the page: it says that there are more, never that there are none.
COUNT = "count"
TOTAL_HEADERS = ("X-Total-Count", "X-Total", "X-WP-Total", "Total-Count", "Total-Records", "Total-Objects",
                 "Content-Range")  # fmt: skip
# Fields that repeat the page asked for, and the parameter that asks for another.
PAGE_ECHOES = {
    "current_page": "page",
    "currentPage": "page",
    "number": "page",
    "page": "page",
    "pageIndex": "pageIndex",
    "pageNumber": "pageNumber",
    "page_index": "page_index",
    "page_number": "page_number",
}
OFFSET_ECHOES = {name: name for name in ("offset", "skip", "start", "startAt", "startIndex", "start_index")}
PAGE_COUNTS = _words("last_page page_count pageCount pages totalPages total_pages")


class Field(NamedTuple):
    """A scalar in an answer: its path, its name (the last of its keys) and its value."""

    path: str
    name: str
    value: Any


def fields(document: Any) -> Iterator[Field]:
    """What an answer says about its page, outermost first."""
    yield from _fields(document, "", _DEEPEST)
    if isinstance(document, dict):
        yield from _connections(document.get("data"), "data.", _DEEPEST_CONNECTION)


def more_elsewhere(answer: Answer) -> str | None:
    """A sign that there is a next page, in words; None where there is none.

    A token of the kind that stands on every page (`endCursor`) is no sign, nor is a total.
    """
    for field in fields(answer.document):
        if (field.name in URLS or field.name in TOKENS) and is_token(field.value):
            return f"{field.path} names a next page"
        if field.name in MORE and field.value is True:
            return f"{field.path} is true"
    for name in TOKEN_HEADERS:
        if header(answer.headers, name):
            return f"the header {name} names a next page"
    if "rel=next" in (header(answer.headers, "Link") or "").lower().replace('"', ""):
        return "the header Link names a next page"
    return None


def is_url(value: Any) -> bool:
    """Whether a value is a URL or a relative reference that looks like one."""
    return isinstance(value, str) and value.lower().startswith(("http://", "https://", "/", "?", "./", "../"))


def is_token(value: Any) -> bool:
    """Whether a value can name a next page."""
    return value not in (None, False, "") and isinstance(value, (str, int)) and value is not True


def total_field(answer: Answer, found: list[Field]) -> tuple[str, int] | None:
    """Where an answer says how many rows there are in all, and how many.

    `count` is taken for that only where it is more than the rows of the page.
    """
    for field in found:
        total = number(field.value)
        if total is not None and (field.name in TOTALS or (field.name == COUNT and total > answer.count)):
            return field.path, total
    for name in TOTAL_HEADERS:
        total = number((header(answer.headers, name) or "").rpartition("/")[2].strip())
        if total is not None:
            return f"header:{name}", total
    return None


def _fields(document: Any, prefix: str, deeper: int) -> Iterator[Field]:
    if not isinstance(document, dict):
        return
    for name, value in document.items():
        if not isinstance(value, (dict, list)):
            yield Field(f"{prefix}{name}", name, value)
        elif name == "next" and isinstance(value, dict):
            yield from (Field(f"{prefix}next.{key}", f"next.{key}", inner) for key, inner in value.items())
    for name, value in document.items():
        if deeper and name in _CONTAINERS:
            yield from _fields(value, f"{prefix}{name}.", deeper - 1)


def _connections(document: Any, prefix: str, deeper: int) -> Iterator[Field]:
    if not isinstance(document, dict) or not deeper:
        return
    for name, value in document.items():
        if name in ("pageInfo", "page_info"):
            yield from _fields(value, f"{prefix}{name}.", 0)
        else:
            yield from _connections(value, f"{prefix}{name}.", deeper - 1)
