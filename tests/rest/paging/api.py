"""An API in memory, with the habits and the faults of real ones, and a reader that drives a `Walk` against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from trunkline.errors import ResponseError
from trunkline.rest.paging import Answer, Ask, Paging, Walk, paging_of

BASE = "https://api.example.com/rows"

# A page: its rows, what stands around them (None: nothing), and headers.
Served = tuple[list[Any], Any, Mapping[str, str]]
Serve = Callable[[dict[str, Any]], Served]


def answer(rows: list[Any], document: Any = None, headers: Mapping[str, str] | None = None, url: str = BASE) -> Answer:
    """An answer with these rows."""
    digest = blake2b(json.dumps(rows).encode(), digest_size=16).digest() if rows else b""
    return Answer(url, headers or {}, document, len(rows), lambda: rows[-1] if rows else None, digest)


def read(options: Mapping[str, Any] | Paging, serve: Serve, **walk: Any) -> list[Any]:
    """All rows that a walk brings, in order.

    `serve` gets what it was asked for: the query, headers (by `header:` and name) and the body's paths.
    """
    return list(follow(Walk(paging_of(options) if isinstance(options, Mapping) else options, **walk), serve))


def attempt(options: Mapping[str, Any], serve: Serve) -> tuple[list[Any] | None, str]:
    """All rows, or None and what the error says."""
    try:
        return read(options, serve), ""
    except ResponseError as error:
        return None, str(error)


def follow(walk: Walk, serve: Serve) -> list[Any]:
    """All rows that are left of a walk."""
    rows: list[Any] = []
    came_from = BASE
    while (ask := walk.ask) is not None:
        url = BASE if ask.url is None else urljoin(came_from, ask.url)
        page, document, headers = serve(asked(ask, url))
        came_from = url
        rows += page
        walk.take(answer(page, document, headers, url))
    return rows


def asked(ask: Ask, url: str) -> dict[str, Any]:
    """What a request says about the page."""
    query = dict(parse_qsl(urlsplit(url).query)) if ask.url is not None else dict(ask.params)
    return {**query, **{f"header:{name}": text for name, text in ask.headers}, **dict(ask.body)}


@dataclass
class Api:
    """Rows handed out in one of the styles.

    Attributes:
        rows: All of them.
        style: As in `pagination`.
        cap: The most rows of a page, whatever is asked for.
        shows: Which of `total`, `has_more` stand in its answers.
        fault: What it does wrong: see `_cut` and `_next`.
        empty: The number of a page that comes empty, although more follow (cursor styles).
        change: Called with the number of the page before it is served.
    """

    rows: list[Any]
    style: str
    cap: int = 10
    shows: frozenset[str] = frozenset()
    fault: str = ""
    empty: int = -1
    change: Callable[[int, list[Any]], None] = lambda number, rows: None
    served: list[dict[str, Any]] = field(default_factory=list)

    @property
    def options(self) -> dict[str, Any]:
        """What reads it."""
        styles: dict[str, dict[str, Any]] = {
            "page": {"page.size": 7, "page.sizeParam": "size"},
            "offset": {"page.size": 7, "page.sizeParam": "size"},
            "cursor": {"page.nextField": "meta.next"},
            "nextUrl": {"page.nextField": "meta.next"},
            "headerCursor": {"page.nextField": "X-Next"},
            "lastRecord": {"page.cursorField": "id"},
        }
        flags = {"total": {"page.totalField": "total"}, "has_more": {"page.hasMoreField": "has_more"}}
        shown = {name: value for flag in self.shows for name, value in flags[flag].items()}
        return {"pagination": self.style, **styles.get(self.style, {}), **shown}

    def __call__(self, request: dict[str, Any]) -> Served:
        self.change(len(self.served), self.rows)
        self.served.append(request)
        size = min(int(request.get("size", self.cap)), self.cap)
        begin = self._begin(request, size)
        page = self.rows[begin : begin + size]
        end = begin + len(page)
        if len(self.served) - 1 == self.empty:
            page, end = [], begin
        document: dict[str, Any] = {"total": len(self.rows)} if "total" in self.shows else {}
        if "has_more" in self.shows:
            document["has_more"] = end < len(self.rows)
        token = self._token(begin, end)
        headers: dict[str, str] = {}
        if self.style == "cursor":
            document["meta"] = {"next": token}
        elif self.style == "nextUrl":
            document["meta"] = {"next": token and f"?{urlencode({'cursor': token})}"}
        elif self.style == "headerCursor" and token:
            headers["x-next"] = token
        elif self.style == "link" and token:
            headers["link"] = f'<{BASE}?cursor={token}>; rel="next", <{BASE}>; rel=first'
        return page, document, headers

    def _begin(self, request: dict[str, Any], size: int) -> int:
        if self.fault == "ignores":
            return 0
        if self.style == "offset":
            begin = int(request.get("offset", 0))
        elif self.style == "page":
            begin = (int(request.get("page", 1)) - 1) * size
        elif self.style == "lastRecord":
            after = request.get("after")
            return (
                0 if after is None else next((i for i, row in enumerate(self.rows) if row["id"] > float(after)), 10**6)
            )
        else:
            # The number of the page the token was made for keeps an empty page apart from the one before.
            begin = int(request.get("cursor", "0.0").split(".")[0])
        if self.rows and self.fault == "clamps":
            return min(begin, (len(self.rows) - 1) // size * size)
        if self.rows and self.fault == "wraps":
            return begin % (-(-len(self.rows) // size) * size)
        return begin

    def _token(self, begin: int, end: int) -> str | None:
        if self.fault == "repeats" and begin > 0:
            return f"{begin}.0"
        if self.fault == "circles" and end >= len(self.rows):
            return "0.0"
        if end >= len(self.rows):
            return None
        if self.fault == "forgets" and begin > 0:
            return None
        return f"{end}.{len(self.served)}"
