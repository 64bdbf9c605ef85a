"""Pages that are asked for by what the page before gave: a token, a header, the key of the last record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.errors import ResponseError
from trunkline.rest.paging.ask import Answer, Ask, Place, cursor_value, header, shown
from trunkline.rest.paging.signs import more_elsewhere
from trunkline.rest.paging.stop import Stop
from trunkline.rest.paths import MISSING, at


@dataclass(frozen=True)
class CursorPaging:
    """By a token in the answer.

        GET /rows                   {"items": [ ... ], "meta": {"next": "b2Zm"}}
        GET /rows?cursor=b2Zm       {"items": [ ... ], "meta": {"next": null}}

    In a body, for instance of GraphQL (`page.in=body`, `page.param=variables.after`,
    `page.nextField=data.users.pageInfo.endCursor`, `page.hasMoreField=data.users.pageInfo.hasNextPage`):

        POST {"query": "...", "variables": {"after": "b2Zm"}}
        {"data": {"users": {"nodes": [ ... ], "pageInfo": {"endCursor": "c3Vn", "hasNextPage": true}}}}

    It ends where the token is absent, null, false or "", or where has-more says so. An empty page with a token goes on.

    Attributes:
        place: Where token and size go.
        field: Dotted path of the token in the answer.
        stop: When else it ends.
        size: Rows to ask for; None: the server decides.
        start: The token of the first page; None: it needs none.
    """

    place: Place
    field: str
    stop: Stop
    size: int | None = None
    start: int | str | None = None

    def first(self, start: int | str | None = None) -> Ask:
        """The first page, or that of a token."""
        return _first(self, start)

    def next(self, ask: Ask, answer: Answer) -> Ask | None:
        """The page after this one; None at the end.

        Raises:
            ResponseError: The answer cannot hold a token, says that there is more and holds none, or names it
                elsewhere.
        """
        last = self.stop.says(ask, answer)
        found = in_document(self.field, answer)
        token = None if found is MISSING else cursor_value(found, self.field, answer)
        if ended(self.field, token, last, self.stop, answer, missing=found is MISSING):
            return None
        return self.place.ask(token, ask.size, rows=ask.after(answer.count))

    def smaller(self, ask: Ask) -> Ask | None:
        """The same place with half the size; None where the token may be a page number, which would move with it."""
        return None if _may_be_number(self.place, ask) else self.place.halved(ask)


@dataclass(frozen=True)
class HeaderCursorPaging:
    """By a header of the answer that holds a token, or a URL as Kinto's `Next-Page` does.

        GET /rows                              200, x-ms-continuation: b2Zm
        GET /rows, x-ms-continuation: b2Zm     200                            (page.in=header)

    It ends where the header is absent or empty, or where has-more says so.

    Attributes:
        place: Where token and size go.
        field: The header's name.
        stop: When else it ends.
        size: Rows to ask for; None: the server decides.
        start: The token of the first page; None: it needs none.
    """

    place: Place
    field: str
    stop: Stop
    size: int | None = None
    start: int | str | None = None

    def first(self, start: int | str | None = None) -> Ask:
        """The first page, or that of a token."""
        return _first(self, start)

    def next(self, ask: Ask, answer: Answer) -> Ask | None:
        """The page after this one; None at the end.

        Raises:
            ResponseError: The answer says that there is more and has no such header, or names the next page elsewhere.
        """
        last = self.stop.says(ask, answer)
        token = header(answer.headers, self.field)
        name = f"the header {self.field}"
        if ended(name, token or None, last, self.stop, answer, missing=token is None) or token is None:
            return None
        if token.lower().startswith(("http://", "https://")):
            return self.place.link(token, ask, ask.after(answer.count))
        return self.place.ask(token, ask.size, rows=ask.after(answer.count))

    def smaller(self, ask: Ask) -> Ask | None:
        """The same place with half the size; None where the place is a URL, or may be a page number."""
        return None if ask.url or _may_be_number(self.place, ask) else self.place.halved(ask)


@dataclass(frozen=True)
class LastRecordPaging:
    """By a field of the last record.

        GET /rows?limit=2               [{"id": "a"}, {"id": "b"}]
        GET /rows?limit=2&after=b       [{"id": "c"}]
        GET /rows?limit=2&after=c       []

    It ends at an empty page, or where has-more says so. The rows must come in the order of that field, and no two may
    share a value: those after the first of them would be left out.

    Attributes:
        place: Where value and size go.
        field: Dotted path in the record.
        stop: When else it ends.
        size: Rows to ask for; None: the server decides.
        start: The value to begin after; None: at the beginning.
    """

    place: Place
    field: str
    stop: Stop
    size: int | None = None
    start: int | str | None = None

    def first(self, start: int | str | None = None) -> Ask:
        """The first page, or that after a value."""
        return _first(self, start)

    def next(self, ask: Ask, answer: Answer) -> Ask | None:
        """The page after this one; None at the end.

        Raises:
            ResponseError: The last record has no such field, or there is none although the answer says there is more.
        """
        last = self.stop.says(ask, answer)
        if answer.count == 0 and last is False:
            raise ResponseError(f"{shown(answer)}: no rows, although the answer says that there are more")
        if last or answer.count == 0:
            return None
        value = cursor_value(at(answer.last(), self.field), self.field, answer)
        if value is None:
            raise ResponseError(
                f"{shown(answer)}: the last record has no {self.field} to go on after; set page.cursorField to a field "
                "that every record has and that they are sorted by"
            )
        return self.place.ask(value, ask.size, rows=ask.after(answer.count))

    def smaller(self, ask: Ask) -> Ask | None:
        """Half as many rows after the same record; None where that cannot be asked for."""
        return self.place.halved(ask)


def ended(name: str, token: object, last: bool | None, stop: Stop, answer: Answer, *, missing: bool) -> bool:
    """Whether there is no next page, given what names it.

    Args:
        name: Where the next page is named, for messages.
        token: What stands there; None: nothing.
        last: What the answer says of itself.
        stop: The rules it was judged by.
        answer: The page.
        missing: Whether it is not even null there.

    Raises:
        ResponseError: There is no next page only because nobody looked in the right place.
    """
    if last:
        return True
    if token is not None:
        return False
    if last is False:
        raise ResponseError(
            f"{shown(answer)}: the answer says that there are more rows, but {name} holds nothing; correct "
            "page.nextField"
        )
    if missing and answer.count:
        if stop.has_more and stop.rule is None:
            raise ResponseError(
                f"{shown(answer)}: neither {stop.has_more} nor {name} is in the answer, so it does not say whether "
                "this was the last page; correct page.hasMoreField and page.nextField"
            )
        if sign := more_elsewhere(answer):
            raise ResponseError(f"{shown(answer)}: {name} is not in the answer, but {sign}; correct page.nextField")
    return True


def in_document(field: str, answer: Answer) -> Any:
    """What stands at a path of the answer, MISSING where nothing does.

    Raises:
        ResponseError: The answer holds rows and is no object, so that nothing can stand there.
    """
    if not isinstance(answer.document, dict) and answer.count:
        raise ResponseError(
            f"{shown(answer)}: page.nextField={field} needs an answer that is a JSON object around the records, and "
            "this one has nothing around them; use pagination link, headerCursor, lastRecord, offset or page"
        )
    return at(answer.document, field, MISSING)


def _first(paging: CursorPaging | HeaderCursorPaging | LastRecordPaging, start: int | str | None) -> Ask:
    token = paging.start if start is None else start
    # How many rows lie before a token is not known.
    return paging.place.ask(token, paging.size, rows=0 if token is None else None)


def _may_be_number(place: Place, ask: Ask) -> bool:
    token = {**dict(ask.params), **dict(ask.headers), **dict(ask.body)}.get(place.param)
    return isinstance(token, (int, float)) or (isinstance(token, str) and token.isdecimal())
