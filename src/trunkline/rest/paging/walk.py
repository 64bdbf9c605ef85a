"""One chain of pages, and the promise that it is complete.

walk = Walk(paging_of(options), max_pages=options["maxPages"])
while walk.ask is not None:
    answer = ...                    # ask for walk.ask
    walk.take(answer)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from urllib.parse import urljoin

from trunkline.errors import ResponseError
from trunkline.rest.paging.ask import Answer, Ask, shown
from trunkline.rest.paging.detect import GUESSED, told
from trunkline.rest.paging.numbered import OffsetPaging, PagePaging
from trunkline.rest.paging.signs import fields, total_field
from trunkline.rest.paging.stop import total_of
from trunkline.rest.paging.styles import AutoPaging, Paging, SinglePage
from trunkline.rest.paths import MISSING, at

# A server may filter after it has cut its pages, so that many are empty; one that never ends looks the same. Without
# maxPages it is given up after so many in a row.
_EMPTY_PAGES = 1000


class Walk:
    """Follows pages to their end and raises rather than end early, run in circles or go on for ever.

    Args:
        paging: Says what comes next.
        max_pages: Fail when there are more. None: as many as there are.
        total_field: Where answers say how many rows there are; None: where `paging` has it from.
        first: Where to begin, or to go on; None: at the first page.
        owed: How many rows a range holds; None: it is not a range, and `total_field` says how many.

    Attributes:
        ask: The next page to ask for; None at the end.
        pages: How many were taken.
        rows: How many rows they held.
    """

    def __init__(
        self,
        paging: Paging,
        max_pages: int | None = None,
        total_field: str | None = None,
        first: Ask | None = None,
        owed: int | None = None,
    ) -> None:
        begin = paging.first() if first is None else first
        self.ask: Ask | None = begin
        self.pages = 0
        self.rows = 0
        self._paging = paging
        self._most = max_pages
        self._total_field = total_field or paging.stop.total
        self._owed = owed
        # The rows of the last page.
        self._last = 0
        self._before = begin.rows
        self._whole = begin.rows == 0
        # Whether the style is known to work: given, or proved by rows that were not on the first page.
        self._proved = True
        self._total: int | None = None
        self._flagged = False
        self._empty = 0
        self._asked = {_key(begin, ""): 1}
        self._seen: dict[bytes, int] = {}

    @property
    def _end(self) -> int | None:
        """How many rows stand before the end, as far as that is known."""
        if self._owed is not None:
            return None if self._before is None else self._before + self._owed
        return self._total

    @property
    def total(self) -> int | None:
        """How many rows there are by the last answer that said so."""
        return self._total

    def take(self, answer: Answer) -> Ask | None:
        """Take the answer to `ask`; gives the next page to ask for, None at the end.

        Raises:
            ResponseError: The page was there before, the pages run in circles or are more than allowed, rows are
                missing at the end, or the answer does not say what the style needs to know.
        """
        ask = self.ask
        if ask is None:
            raise ValueError("there is no page to take: the walk has ended")
        self.pages += 1
        self.rows += answer.count
        self._last = answer.count
        self._empty = 0 if answer.count else self._empty + 1
        found = ask.found
        try:
            self._check_new(ask, answer)
            following = self._paging.next(ask, answer)
            found = found or (following.found if following is not None else ())
            flag = self._paging.stop.has_more
            self._flagged = self._flagged or flag is None or at(answer.document, flag, MISSING) is not MISSING
            self._note_total(answer, dict(found).get("page.totalField"), numbered=self._numbered(dict(found)))
            if following is None:
                self._check_complete(ask, answer)
            else:
                if following.found and not ask.found:
                    self._proved = dict(following.found)["pagination"] not in GUESSED
                self._check_onward(following, answer)
        except ResponseError as error:
            if not found:
                raise
            hint = f"pagination=auto went by {told(dict(found))}; if the API has another way, set that instead"
            raise ResponseError(f"{error}\n{hint}") from None
        self.ask = following
        return following

    def expected(self, known: Sequence[Ask] = ()) -> Iterator[Ask]:
        """The pages behind `ask`, if each holds as many rows as the last one did.

        None where no answer has come, the style does not count its pages, or it is not known how many rows there are.

        Args:
            known: The first of them, which are left out.
        """
        ask, paging = known[-1] if known else self.ask, self._paging
        if not isinstance(paging, (OffsetPaging, PagePaging, AutoPaging)) or not self._last or self._end is None:
            return
        most = math.inf if self._most is None else self._most - self.pages - 1 - len(known)
        while ask is not None and ask.rows is not None and ask.rows + self._last < self._end and most > 0:
            ask = paging.following(ask, self._last)
            most -= 1
            if ask is not None:
                yield ask

    def smaller(self) -> Ask | None:
        """After an answer that the page is too large: ask for less; None, and `ask` as it was, where that cannot be."""
        half = None if self.ask is None else self._paging.smaller(self.ask)
        if half is not None:
            self.ask = half
            # How full pages of this size are is not known yet.
            self._last = 0
        return half

    def _check_new(self, ask: Ask, answer: Answer) -> None:
        if not answer.fingerprint:
            return
        before = self._seen.setdefault(answer.fingerprint, self.pages)
        if before != self.pages:
            names = ", ".join(name for name, _ in (*ask.params, *ask.headers, *ask.body)) or "its URL"
            raise ResponseError(
                f"{shown(answer)}: page {self.pages} holds the same {answer.count} rows as page {before}: the server "
                f"does not go by {names}, or starts again at the end. Correct page.param and page.in; where it starts "
                "again, say when the pages end by page.totalField, page.hasMoreField or page.stop"
            )
        if self.pages > 1:
            self._proved = True

    def _note_total(self, answer: Answer, found: str | None, *, numbered: bool) -> None:
        field = self._total_field or found
        # Behind the last row some servers count nothing.
        total = None if field is None or (self.rows and not answer.count) else total_of(answer, field)
        if total is None:
            return
        if numbered and self._total is not None and total < self._total:
            raise ResponseError(
                f"{shown(answer)}: {field} fell from {self._total} to {total} while the pages were read: rows were "
                "removed, and others may have moved past unseen. Read again while nothing is removed, by cursor or "
                "lastRecord if the API can, or leave out page.totalField if this is no number of rows"
            )
        self._total = total

    def _check_onward(self, following: Ask, answer: Answer) -> None:
        if self._most is not None and self.pages >= self._most:
            raise ResponseError(
                f"{shown(answer)}: there are more than {self._most} pages, {self.rows} rows so far; raise maxPages, or "
                "ask for larger pages by page.size"
            )
        if self._most is None and self._empty >= _EMPTY_PAGES:
            raise ResponseError(
                f"{shown(answer)}: {self._empty} pages in a row were empty and named a next one; set "
                "page.stop=empty if the first empty page is the end, or maxPages if they are to be read"
            )
        before = self._asked.setdefault(_key(following, answer.url), self.pages + 1)
        if before != self.pages + 1:
            raise ResponseError(
                f"{shown(answer)}: page {self.pages} names page {before} as the next one: the pages run in circles. If "
                "that is how the server marks the end, set page.stop"
            )

    def _check_complete(self, ask: Ask, answer: Answer) -> None:
        if not self._flagged and self.pages > 1:
            # An API may leave the flag out where it is false, but not on every page of several.
            flag = self._paging.stop.has_more
            raise ResponseError(f"{shown(answer)}: no answer has page.hasMoreField={flag}; correct it or leave it out")
        if self._owed is not None:
            if self.rows < self._owed:
                raise ResponseError(
                    f"{shown(answer)}: a range of {self._owed} rows ended after {self.rows}: the API changed while it "
                    "was read. Read again, or by one task, without numPartitions"
                )
            return
        field = self._total_field or dict(ask.found).get("page.totalField")
        rows = ask.after(answer.count)
        if field is not None and self._total is None and self.rows and self._whole:
            raise ResponseError(f"{shown(answer)}: no answer has page.totalField={field}; correct it or leave it out")
        if self._total is not None and rows is not None and rows < self._total:
            raise ResponseError(
                f"{shown(answer)}: the pages ended after {rows} rows, but {field} says {self._total}. If the API "
                "removes rows while they are read, read again; if it hands out fewer rows than it has, narrow the "
                f"request by params or partition.by; if {field} is no number of rows, leave out page.totalField"
            )
        self._check_visible_total(answer, rows, field)
        if not self._proved:
            raise ResponseError(
                f"{shown(answer)}: no rows came after the first page, so it is not proved that the server knows the "
                "parameter for more"
            )

    def _check_visible_total(self, answer: Answer, rows: int | None, field: str | None) -> None:
        """A chain of one page that says it is one of more: where the next page is named was not found."""
        if (
            field is not None
            or self.pages > 1
            or not rows
            or self._paging.stop.rule
            or isinstance(self._paging, SinglePage)
        ):
            return
        there = total_field(answer, list(fields(answer.document)))
        if there is not None and there[1] > rows:
            raise ResponseError(
                f"{shown(answer)}: the first page names no next one and holds {rows} rows, but {there[0]} says "
                f"{there[1]}: correct pagination and page.*; if {there[0]} is no number of rows, say when the pages "
                "end by page.stop, or how many rows there are by page.totalField"
            )

    def _numbered(self, found: dict[str, object]) -> bool:
        return isinstance(self._paging, (OffsetPaging, PagePaging)) or found.get("pagination") in {"offset", "page"}


def _key(ask: Ask, came_from: str) -> bytes:
    """What tells a page from all others, in 16 bytes: links and tokens can be long, and chains too."""
    url = None if ask.url is None else urljoin(came_from, ask.url)
    return blake2b(repr((url, ask.params, ask.headers, ask.body)).encode(), digest_size=16).digest()
