"""What paging asks for, and what it sees of an answer.

place = Place("offset", "limit")
place.ask(50, size=100)       # Ask(params=(("limit", "100"), ("offset", "50")), size=100): /rows?limit=100&offset=50
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from trunkline.errors import ResponseError
from trunkline.http.message import without_query

# From here on a float cannot tell neighbouring integers apart (IEEE 754, binary64).
_EXACT = 2**53

Pairs = tuple[tuple[str, Any], ...]


class Ask(NamedTuple):
    """One page to ask for: what it changes of the configured request.

    Attributes:
        url: Instead of the configured URL and its params: absolute, or relative to the URL of the page before.
        params: Set in the query, in the place of configured ones of the same name.
        headers: Set in the same way.
        body: Dotted path and value, set in the JSON body.
        position: The offset or number of the page.
        size: How many rows are asked for.
        rows: How many rows stand before this page; None where that is not known.
        found: The options of the style that `pagination=auto` goes by, once it has found one.
    """

    url: str | None = None
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: Pairs = ()
    position: int | None = None
    size: int | None = None
    rows: int | None = 0
    found: Pairs = ()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, without what is not set."""
        named = zip(self._fields, self, strict=True)
        return {name: value for name, value in named if value != _DEFAULTS[name]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Ask:
        """What `to_json` gave, after any trip through JSON."""
        pairs = {
            name: tuple((key, value) for key, value in document[name])
            for name in ("params", "headers", "body", "found")
            if name in document
        }
        return cls(**{**document, **pairs})

    def after(self, count: int) -> int | None:
        """How many rows stand before the next page, when this one held so many."""
        return None if self.rows is None else self.rows + count

    def __repr__(self) -> str:
        """Without the values: a link or a cursor may hold a credential."""
        names = [name for name, _ in (*self.params, *self.headers, *self.body)]
        where = without_query(self.url) if self.url else ", ".join(names)
        return f"<Ask {where or 'as configured'} position={self.position} size={self.size} rows={self.rows}>"


_DEFAULTS = Ask._field_defaults


class Answer(NamedTuple):
    """What paging sees of a page.

    Attributes:
        url: Where it came from, after redirects.
        headers: Of the answer.
        document: The parsed JSON around its records; None for formats that are not JSON.
        count: How many records it holds.
        last: Gives the last record, parsed; None where there is none.
        fingerprint: A digest of its records, empty where there are none.
    """

    url: str
    headers: Mapping[str, str]
    document: Any
    count: int  # type: ignore[assignment]  # nobody counts values in an answer
    last: Callable[[], Any]
    fingerprint: bytes


@dataclass(frozen=True)
class Place:
    """Where a page's parameters go.

    Attributes:
        param: Carries the page's number, offset or cursor.
        size_param: Carries the page size; None: the size is not told.
        where: `query`, `header`, or `body`, where names are dotted paths.
    """

    param: str
    size_param: str | None = None
    where: str = "query"

    def ask(self, value: Any, size: int | None, position: int | None = None, rows: int | None = 0) -> Ask:
        """The page at a value; None: the first, which needs none."""
        size = size if self.size_param else None
        given = ((self.size_param, size), (self.param, value))
        return self._put(Ask(position=position, size=size, rows=rows), given)

    def link(self, url: str, ask: Ask, rows: int | None) -> Ask:
        """The page at a URL, which holds all of the query but nothing of the headers and the body."""
        return ask._replace(url=url, params=(), rows=rows)

    def halved(self, ask: Ask) -> Ask | None:
        """The same place with half the size; None where the size is not told, or is 1."""
        if not self.size_param or not ask.size or ask.size < 2:
            return None
        return self._put(ask._replace(size=ask.size // 2), ((self.size_param, ask.size // 2),))

    def _put(self, ask: Ask, given: tuple[tuple[str | None, Any], ...]) -> Ask:
        values = {name: value for name, value in given if name and value is not None}
        old: dict[str, Any] = {
            "query": dict(ask.params), "header": dict(ask.headers), "body": dict(ask.body)
        }[self.where]  # fmt: skip
        if self.where == "body":
            return ask._replace(body=tuple({**old, **values}.items()))
        pairs = tuple({**old, **{name: _text(value) for name, value in values.items()}}.items())
        return ask._replace(params=pairs) if self.where == "query" else ask._replace(headers=pairs)


def header(headers: Mapping[str, str], name: str) -> str | None:
    """A header's value whatever its case; that of a repeated one is joined with a comma."""
    name = name.lower()
    values = [value for key, value in headers.items() if key.lower() == name]
    return ", ".join(values) if values else None


def cursor_value(value: Any, field: str, answer: Answer) -> str | int | float | None:
    """A cursor as it is sent back; None for what says that there is no next page: null, false and "".

    Raises:
        ResponseError: It is no text or number, or a number that lost digits when it was read.
    """
    if value is None or value is False or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        kind = "true" if value is True else "an object or a list"
        raise ResponseError(f"{shown(answer)}: {field} is {kind}, not a cursor; name the field that holds it")
    if isinstance(value, float) and abs(value) >= _EXACT:
        raise ResponseError(f"{shown(answer)}: {field} is {value!r}, a number too large to be sent back exactly")
    return value


def shown(answer: Answer) -> str:
    """Where an answer came from, for messages."""
    return without_query(answer.url)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
