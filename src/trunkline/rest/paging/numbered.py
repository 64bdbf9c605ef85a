"""Pages that are asked for by number, or by how many rows to skip.

Rows that are removed while they are read move all later ones forward, and one that stays may slip past unseen. Where
`page.totalField` is set, a total that falls is an error (see `Walk`); without it nobody can notice. Rows that are
inserted may make others come twice. A style that goes by cursor or link has neither weakness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trunkline.errors import ResponseError
from trunkline.rest.paging.ask import Answer, Ask, Place, shown
from trunkline.rest.paging.ranges import PageRange, offset_base, page_base
from trunkline.rest.paging.stop import Stop


@dataclass(frozen=True)
class OffsetPaging:
    """By the number of rows to skip.

        GET /rows?limit=100&offset=0      {"items": [ 50 rows ], "total": 120}
        GET /rows?limit=100&offset=50     {"items": [ 50 rows ], "total": 120}
        GET /rows?limit=100&offset=100    {"items": [ 20 rows ], "total": 120}

    It moves on by the rows that came, never by those asked for: this server gives 50 at most. It ends where has-more
    says so, where the total is reached, else at an empty page, never at a short one. A server that drops rows after it
    has counted them out (so that pages come short although more follow) makes rows come twice: use another style there.

    Attributes:
        place: Where offset and size go.
        stop: When it ends.
        size: Rows to ask for; None: the server decides.
        start: The first offset. 1 means that the server counts rows from 1.
        pages: The rows to stay within; None: all.
    """

    place: Place
    stop: Stop
    size: int | None = None
    start: int = 0
    pages: PageRange | None = None

    def first(self, start: int | str | None = None) -> Ask:
        """The first page, or that at an offset."""
        begin = self.start if self.pages is None else self.pages.lower
        position = begin if start is None else int(start)
        return self._ask(position, self.size, position - offset_base(self.start))

    def next(self, ask: Ask, answer: Answer) -> Ask | None:
        """The page after this one; None at the end.

        Raises:
            ResponseError: The page is empty although the answer says that there is more, or goes beyond the range.
        """
        position = self.start if ask.position is None else ask.position
        end = position + answer.count
        if self.pages is not None and end > self.pages.upper:
            raise ResponseError(
                f"{shown(answer)}: {answer.count} rows at offset {position}, where {self.pages.upper - position} were "
                "left of the range; set page.size and page.sizeParam, so that a task can ask for no more than its own"
            )
        last = self.stop.says(ask, answer, by_total=True)
        if answer.count == 0 and last is False:
            raise ResponseError(
                f"{shown(answer)}: no rows at offset {position}, although the answer says that there are more"
            )
        if last or answer.count == 0 or (self.pages is not None and end == self.pages.upper):
            return None
        return self.following(ask, answer.count)

    def following(self, ask: Ask, count: int) -> Ask:
        """The page behind one that holds so many rows."""
        position = self.start if ask.position is None else ask.position
        return self._ask(position + count, ask.size, ask.after(count))

    def smaller(self, ask: Ask) -> Ask | None:
        """Half as many rows from the same offset on; None where that cannot be asked for."""
        return self.place.halved(ask)

    def within(self, pages: PageRange) -> OffsetPaging:
        """The same, for a range of rows."""
        return replace(self, pages=pages)

    def _ask(self, position: int, size: int | None, rows: int | None) -> Ask:
        if self.pages is not None and size is not None:
            size = min(size, self.pages.upper - position)
        return self.place.ask(position, size, position, rows)


@dataclass(frozen=True)
class PagePaging:
    """By the number of the page.

        GET /rows?page_size=100&page=1    {"items": [ 50 rows ], "total": 70}
        GET /rows?page_size=100&page=2    {"items": [ 20 rows ], "total": 70}

    It ends where has-more says so, where the total is reached, else at an empty page: a page that is shorter than
    `page.size` only shows that the server gives less, as this one does.

    Attributes:
        place: Where number and size go.
        stop: When it ends.
        size: Rows to ask for; None: the server decides.
        start: The number of the first page: 0 or 1; a higher one leaves pages out.
        pages: The page numbers to stay within, counted in pages of `size` rows; None: all.
    """

    place: Place
    stop: Stop
    size: int | None = None
    start: int = 1
    pages: PageRange | None = None

    def first(self, start: int | str | None = None) -> Ask:
        """The first page, or that of a number."""
        if self.pages is not None and start is None:
            return self.place.ask(self.pages.lower, self.size, self.pages.lower, self.pages.before)
        number = self.start if start is None else int(start)
        # How many rows lie on the pages left out is not known.
        return self.place.ask(number, self.size, number, 0 if number == page_base(self.start) else None)

    def next(self, ask: Ask, answer: Answer) -> Ask | None:
        """The page after this one; None at the end."""
        number = 1 + (self.start if ask.position is None else ask.position)
        last = self.stop.says(ask, answer, by_total=True)
        upper = self._upper(ask)
        if last or (answer.count == 0 and last is None) or (upper is not None and number >= upper):
            return None
        return self.following(ask, answer.count)

    def following(self, ask: Ask, count: int) -> Ask:
        """The page behind one that holds so many rows."""
        number = 1 + (self.start if ask.position is None else ask.position)
        return self.place.ask(number, ask.size, number, ask.after(count))

    def smaller(self, ask: Ask) -> Ask | None:
        """The page of half the size that begins with the same row; None where there is none.

        Twice the number is the same row only where all pages, those before and those of the range, are as long as asked
        for: a server that gives less than it is asked for numbers its pages by what it gives.
        """
        base = page_base(self.start)
        position = self.start if ask.position is None else ask.position
        half = self.place.halved(ask)
        if half is None or ask.size is None or ask.size % 2 or ask.rows != (position - base) * ask.size:
            return None
        if self.pages is not None and self.pages.page_rows != self.size:
            return None
        number = base + 2 * (position - base)
        return self.place.ask(number, half.size, number, ask.rows)

    def within(self, pages: PageRange) -> PagePaging:
        """The same, for a range of page numbers."""
        return replace(self, pages=pages)

    def _upper(self, ask: Ask) -> int | None:
        if self.pages is None:
            return None
        shrunk = self.size // ask.size if self.size and ask.size else 1
        base = page_base(self.start)
        return base + (self.pages.upper - base) * shrunk
