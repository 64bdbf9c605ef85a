"""Pages whose URL the server gives. Where it may lead is for the caller to judge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trunkline.errors import ResponseError
from trunkline.rest.paging.ask import Answer, Ask, Place, header, shown
from trunkline.rest.paging.cursors import ended, in_document
from trunkline.rest.paging.stop import HEADER, Stop
from trunkline.rest.paths import MISSING

_TARGET = re.compile(r"<([^<>]*)>")
# RFC 8288 section 3: a parameter's value is a token or a quoted string.
_PARAM = re.compile(r'\s*;\s*([^\s=;,"]*)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s",;]*))?')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class LinkPaging:
    """By the Link header (RFC 8288).

        GET /rows              200, Link: <https://api.example.com/rows?page=2>; rel="next", <...>; rel="last"
        GET /rows?page=2       200, Link: <https://api.example.com/rows?page=1>; rel="prev"

    It ends where no link bears the relation, or where has-more says so.

    Attributes:
        place: Where the size goes on the first page; the links carry it on.
        rel: The relation to follow.
        stop: When else it ends.
        size: Rows to ask for; None: the server decides.
    """

    place: Place
    rel: str
    stop: Stop
    size: int | None = None

    def first(self, start: int | str | None = None) -> Ask:
        """The first page, or that of a URL."""
        return _first(self, start)

    def next(self, ask: Ask, answer: Answer) -> Ask | None:
        """The page after this one; None at the end.

        Raises:
            ResponseError: The answer says that there is more and has no such link, or names the next page elsewhere.
        """
        url = link_to(self.rel, answer)
        last = self.stop.says(ask, answer)
        name = f'a Link header with rel="{self.rel}"'
        if ended(name, url, last, self.stop, answer, missing=url is None) or url is None:
            return None
        return self.place.link(url, ask, ask.after(answer.count))

    def smaller(self, ask: Ask) -> Ask | None:
        """The first page with half the size; later ones are what their URL says."""
        return None if ask.url else self.place.halved(ask)


@dataclass(frozen=True)
class NextUrlPaging:
    """By a URL in the answer.

        GET /rows              {"value": [ ... ], "@odata.nextLink": "https://api.example.com/rows?$skiptoken=9"}
        GET /rows              {"data": [ ... ], "links": {"next": {"href": "/rows?page=2"}}}
        GET /rows?page=2       {"data": [ ... ], "links": {"next": null}}
        GET /rows              [ ... ]        and the header Next-Page: https://api.example.com/rows?_token=9

    It ends where the URL is absent, null, false or "", or where has-more says so. An empty page with a URL goes on.

    Attributes:
        place: Where the size goes on the first page; the URLs carry it on.
        field: Dotted path of the URL, or of an object whose `href` it is; or `header:` and the name of a header.
        stop: When else it ends.
        size: Rows to ask for; None: the server decides.
    """

    place: Place
    field: str
    stop: Stop
    size: int | None = None

    def first(self, start: int | str | None = None) -> Ask:
        """The first page, or that of a URL."""
        return _first(self, start)

    def next(self, ask: Ask, answer: Answer) -> Ask | None:
        """The page after this one; None at the end.

        Raises:
            ResponseError: What stands there is no text, the answer cannot hold a URL, says that there is more and holds
                none, or names it elsewhere.
        """
        last = self.stop.says(ask, answer)
        if self.field.lower().startswith(HEADER):
            found: Any = header(answer.headers, self.field[len(HEADER) :].strip())
        else:
            found = in_document(self.field, answer)
        missing = found is MISSING
        url = found.get("href") if isinstance(found, dict) else found
        if missing or url is None or url is False or url == "":
            url = None
        elif not isinstance(url, str):
            raise ResponseError(
                f"{shown(answer)}: page.nextField={self.field} is no URL; if it is a token, use pagination=cursor"
            )
        if ended(self.field, url, last, self.stop, answer, missing=missing) or url is None:
            return None
        return self.place.link(url, ask, ask.after(answer.count))

    def smaller(self, ask: Ask) -> Ask | None:
        """The first page with half the size; later ones are what their URL says."""
        return None if ask.url else self.place.halved(ask)


def link_to(rel: str, answer: Answer) -> str | None:
    """The target of the first link with a relation."""
    wanted = rel.lower()
    return next((url for url, rels in links(header(answer.headers, "Link") or "") if wanted in rels), None)


def links(value: str) -> Iterator[tuple[str, frozenset[str]]]:
    """The targets of a Link header and their relations in lower case.

    Links about another resource than the answer (with `anchor`) are left out.
    """
    position = 0
    while target := _TARGET.search(value, position):
        position = target.end()
        params: dict[str, str] = {}
        while param := _PARAM.match(value, position):
            position = param.end()
            text = param[2] or ""
            text = _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text
            # The first of several of one name counts (RFC 8288 section 3.3).
            params.setdefault(param[1].lower(), text)
        if "anchor" not in params:
            yield target[1].strip(), frozenset(params.get("rel", "").lower().split())


def _first(paging: LinkPaging | NextUrlPaging, start: int | str | None) -> Ask:
    first = paging.place.ask(None, paging.size)
    return first if start is None else first._replace(url=str(start), params=(), rows=None)
