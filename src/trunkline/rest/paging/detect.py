"""How an API hands out its pages, told from its first answer.

    detect(answer)    # {"pagination": "cursor", "page.nextField": "nextPageToken", "page.param": "pageToken"}

What is found are options, as somebody who knows the API would have set them. An answer from which it cannot be told
whether there is more raises: one page is never taken for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.errors import ResponseError
from trunkline.rest.paging.ask import Answer, header, shown
from trunkline.rest.paging.links import link_to, links
from trunkline.rest.paging.signs import (
    LAST,
    MORE,
    OFFSET_ECHOES,
    PAGE_COUNTS,
    PAGE_ECHOES,
    TOKEN_HEADERS,
    TOKENS,
    URLS,
    Field,
    fields,
    is_token,
    is_url,
    total_field,
)
from trunkline.rest.paging.stop import flag, number, total_of

Found = dict[str, Any]

# The styles whose parameter is a guess, however good: the second page has to prove it.
GUESSED = frozenset({"cursor", "headerCursor", "offset", "page"})
_NEXT_RELATIONS = frozenset({"prev", "previous", "first", "last"})
_ONLY_PAGE = "if this page is all there is, pagination=none"


def detect(answer: Answer, given: Mapping[str, Any] | None = None) -> Found:
    """The options of the style an answer shows; `pagination` none where it proves to be all there is.

    Args:
        answer: The first page.
        given: `page.totalField`, `page.hasMoreField`, where they are known.

    Raises:
        ResponseError: There is more, or may be, and no style shows; the message has the options to set.
    """
    given = given or {}
    found = list(fields(answer.document))
    total = _total(answer, found, given.get("page.totalField"))
    more = _more(answer, found, given.get("page.hasMoreField"))
    checks = {"page.totalField": total[0]} if total else {}
    style = _linked(answer, found) or _by_token(answer, found)
    if style is not None:
        return {**style, **checks}
    unknown = next((field for field in found if field.name == "next" and is_token(field.value)), None)
    if unknown is not None:
        raise _unclear(
            answer,
            f"{unknown.path} holds a token, but not the parameter that takes it",
            told({"pagination": "cursor", "page.nextField": unknown.path, "page.param": "..."}),
        )
    if total is not None and total[1] > answer.count:
        flagged = {"page.hasMoreField": more[0]} if more and more[0] else {}
        return {**_numbered(answer, found, total), **flagged, **checks}
    _refuse_more(answer, found, more)
    if _proved(answer, found, total, more):
        return {"pagination": "none"}
    raise _unclear(answer, f"nothing says whether there is more than these {answer.count} rows", _ways())


def told(options: Mapping[str, Any]) -> str:
    """Options for people: `.option("page", "2")` is not how all of them are given."""
    return " and ".join(f"{name}={value}" for name, value in options.items())


def _total(answer: Answer, found: list[Field], given: str | None) -> tuple[str, int] | None:
    if given is None:
        return total_field(answer, found)
    total = total_of(answer, given)
    return None if total is None else (given, total)


def _more(answer: Answer, found: list[Field], given: str | None) -> tuple[str, bool] | None:
    """Where an answer says whether there is more, and what; the path is empty where it speaks of the last page."""
    if given is not None:
        said = flag(answer, given)
        return None if said is None else (given, said)
    for field in found:
        if field.name in MORE and isinstance(field.value, bool):
            return field.path, field.value
        if field.name in LAST and isinstance(field.value, bool):
            return "", not field.value
    return None


def _linked(answer: Answer, found: list[Field]) -> Found | None:
    if link_to("next", answer) is not None:
        return {"pagination": "link"}
    for field in found:
        if field.name in URLS and is_url(field.value):
            return {"pagination": "nextUrl", "page.nextField": field.path, **_beside(field, found)}
    return None


def _by_token(answer: Answer, found: list[Field]) -> Found | None:
    for field in found:
        if field.name in TOKENS and is_token(field.value):
            style = {"pagination": "cursor", "page.nextField": field.path, "page.param": TOKENS[field.name]}
            return {**style, **_beside(field, found)}
        if field.name in ("endCursor", "end_cursor") and is_token(field.value):
            beside = _beside(field, found)
            if not any(f.path == beside.get("page.hasMoreField") and f.value is True for f in found):
                continue
            graphql = field.path.startswith("data.")
            place = {"page.in": "body", "page.param": "variables.after"} if graphql else {"page.param": "after"}
            return {"pagination": "cursor", "page.nextField": field.path, **place, **beside}
        if field.path == "offset" and isinstance(field.value, str) and field.value and number(field.value) is None:
            return {"pagination": "cursor", "page.nextField": "offset", "page.param": "offset"}
    for name, (where, param) in TOKEN_HEADERS.items():
        if header(answer.headers, name):
            place = {"page.in": where} if where != "query" else {}
            return {"pagination": "headerCursor", "page.nextField": name, "page.param": param, **place}
    return None


def _beside(field: Field, found: list[Field]) -> Found:
    """The has-more that stands in the same object."""
    parent = field.path.removesuffix(field.name)
    near = (f.path for f in found if f.path == f"{parent}{f.name}" and f.name in MORE and isinstance(f.value, bool))
    path = next(near, None)
    return {} if path is None else {"page.hasMoreField": path}


def _numbered(answer: Answer, found: list[Field], total: tuple[str, int]) -> Found:
    if answer.count == 0:
        raise _unclear(
            answer,
            f"{total[0]} says {total[1]} rows, but none came; if they stand elsewhere in the answer, set records",
            _ways(),
        )
    paged = any(field.name in PAGE_COUNTS for field in found)
    for style, echoes in (("page", PAGE_ECHOES), ("offset", OFFSET_ECHOES)):
        for field in found:
            start = number(field.value) if field.name in echoes else None
            if start is None or (field.name == "number" and not paged):
                continue
            if start > 1:
                options = told({"pagination": style, "page.param": echoes[field.name], "page.start": start})
                raise _unclear(answer, f"{field.path}={start}: this is not the first page", options)
            return {"pagination": style, "page.param": echoes[field.name], "page.start": start}
    return {"pagination": "offset", "page.param": "offset"}


def _refuse_more(answer: Answer, found: list[Field], more: tuple[str, bool] | None) -> None:
    if more is not None and more[1]:
        raise _unclear(answer, f"{more[0] or 'the answer'} says that there is more, but not how to ask for it", _ways())
    for field in found:
        count = number(field.value) if field.name in PAGE_COUNTS else None
        if count is not None and count > 1:
            raise _unclear(answer, f"{field.path} says {count} pages, but not how many rows they hold", _ways())


def _proved(answer: Answer, found: list[Field], total: tuple[str, int] | None, more: tuple[str, bool] | None) -> bool:
    if answer.count == 0 or (total is not None and total[1] == answer.count):
        return True
    if more is not None and not more[1]:
        return True
    for field in found:
        if field.name in URLS or field.name in TOKENS:
            # Null, false or "": a token or URL would have been found before.
            return True
        if field.name in PAGE_COUNTS and number(field.value) in (0, 1):
            return True
    return any(rels & _NEXT_RELATIONS for _, rels in links(header(answer.headers, "Link") or ""))


def _ways() -> str:
    offset = told({"pagination": "offset", "page.param": "offset"})
    page = told({"pagination": "page", "page.param": "page"})
    return f"{page}, or {offset}, with the name the API documents, or another style"


def _unclear(answer: Answer, seen: str, options: str) -> ResponseError:
    return ResponseError(
        f"{shown(answer)}: pagination=auto cannot tell how to go on: {seen}. Set {options}; {_ONLY_PAGE}"
    )
