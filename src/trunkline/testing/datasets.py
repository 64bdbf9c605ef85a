"""The rows a read endpoint serves: given or made, filtered, sorted, changed while they are read, and what went out.

    rows = Dataset({"count": 1_000_000})
    view = rows.view((("at", "ge", "2026-01-01T01:00:00Z"),), "id")
    page = rows.page(view, 0, 1000, "json")          # page.data: b'{"id":3600,...},{...'

How rows are cut into pages and put on the wire is the business of paging.py.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from trunkline.testing.comparison import OPERATORS, comparable, order, parse_like
from trunkline.testing.formats import encode_csv, encode_lines
from trunkline.testing.names import check_names
from trunkline.testing.templates import DEFAULT_TEMPLATE, Template
from trunkline.testing.wire import pick

# (column, operator, value as text)
Filter = tuple[str, str, str]

# A million small rows fit; the oldest pages go first.
_CACHE_BYTES = 256 * 1024 * 1024
_CACHED_VIEWS = 256
_OPTIONS = ("rows", "count", "template", "key", "changes")
_CHANGE_KEYS = ("after", "insert", "at", "update", "delete")


class Page:
    """Some rows in a row, encoded, and their ids; `packed` is for whoever compresses it."""

    __slots__ = ("data", "dataset", "ids", "packed")

    def __init__(self, dataset: Dataset, data: bytes, ids: Sequence[Any]) -> None:
        self.dataset = dataset
        self.data = data
        self.ids = ids
        self.packed: Any = None


class View:
    """The rows that pass some filters, in order: `numbers` are their places in the dataset."""

    __slots__ = ("column", "down", "key", "numbers")

    def __init__(self, key: Any, numbers: Sequence[int], column: str | None, down: bool) -> None:
        self.key = key
        self.numbers = numbers
        self.column = column
        self.down = down


class _Kept(NamedTuple):
    value: Any
    json: bytes
    given: Any


class Dataset:
    """Rows by their place; the meaning of the options stands in `FaultServer.dataset`.

    Attributes:
        key: dotted path to the id of a row.
        pages: how many pages went out whole.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        check_names("option of rows", options, _OPTIONS)
        if ("rows" in options) == ("count" in options):
            raise ValueError("give either rows or count")
        self.key: str = options.get("key", "id")
        self.pages = 0
        self._sent: list[Sequence[Any]] = []
        self._changes = [dict(change) for change in options.get("changes", [])]
        for change in self._changes:
            if "after" not in change or not set(change) <= set(_CHANGE_KEYS):
                raise ValueError(f"change {change!r}: expected `after` and some of {', '.join(_CHANGE_KEYS[1:])}")
        self._template: Template | None = None
        self._kept: list[_Kept] = []
        self._count: int = options.get("count", 0)
        if "count" in options:
            self._template = Template(options.get("template", DEFAULT_TEMPLATE))
            self._template.rows(range(1))
        self._forget()
        if "rows" in options:
            self.add(options["rows"])

    def rows(self) -> Iterator[Any]:
        """All rows as they are now."""
        for at in range(0, self._count, 1000):
            yield from self._slice(range(at, min(at + 1000, self._count)))

    def served(self) -> Iterator[Any]:
        """The ids that went out in whole answers, in order, as often as they did."""
        for ids in list(self._sent):
            yield from ids

    def add(self, rows: list[Any], at: str | int = "end") -> None:
        """Insert rows at the "end", the "front" or before a place."""
        place = {"end": self._count, "front": 0}.get(at, at) if isinstance(at, str) else at
        if not isinstance(place, int):
            raise ValueError(f"at={at!r}: expected 'end', 'front' or a place")
        self._keep_rows()
        self._kept[place:place] = [_kept(row) for row in rows]
        self._count = len(self._kept)
        self._forget()

    def update(self, rows: list[Any]) -> int:
        """Replace rows by their id and move them to the end, as in a feed by time of change; how many there were."""
        gone = self.delete([self._id(_kept(row).value) for row in rows])
        self.add(rows)
        return gone

    def delete(self, ids: list[Any]) -> int:
        """Remove the rows with these ids; how many there were."""
        gone, before = set(ids), self._count
        self._keep_rows()
        self._kept = [row for row in self._kept if self._id(row.value) not in gone]
        self._count = len(self._kept)
        self._forget()
        return before - self._count

    def view(self, filters: tuple[Filter, ...], sort: str | None) -> View:
        """The rows that pass all filters, by a column ("-column": falling), else in the order of the dataset.

        Raises:
            ValueError: a value that cannot be compared with its column.
        """
        key = (filters, sort)
        if key not in self._views:
            if len(self._views) >= _CACHED_VIEWS:
                self._views.clear()
            numbers: Sequence[int] = range(self._count)
            for one in filters:
                numbers = self._narrow(numbers, *one)
            column = sort.removeprefix("-") if sort else None
            down = column != sort
            if column is not None and not self._rises(column):
                value = self._getter(column)
                numbers = sorted(numbers, key=lambda i: order(value(i)))
            self._views[key] = View(key, numbers[::-1] if down else numbers, column, down)
        return self._views[key]

    def after(self, view: View, text: str) -> int:
        """Where in a view the rows start that come after the one with this value in the column it is sorted by."""
        assert view.column is not None
        value = self._getter(view.column)
        wanted = order(self._wanted(view.column, text))
        if not view.down:
            return bisect_right(view.numbers, wanted, key=lambda i: order(value(i)))
        return len(view.numbers) - bisect_left(view.numbers[::-1], wanted, key=lambda i: order(value(i)))

    def value(self, view: View, place: int) -> Any:
        """What the row at a place of a view has in the column the view is sorted by."""
        assert view.column is not None
        return pick(self._slice([view.numbers[place]])[0], view.column)

    def page(self, view: View, start: int, stop: int, form: str) -> Page:
        """The rows from `start` to before `stop` of a view, in a format (formats.py)."""
        key = (view.key, start, stop, form)
        page = self._pages.get(key)
        if page is None:
            numbers = view.numbers[start:stop]
            page = self._pages[key] = Page(self, self._encode(numbers, form), self._ids(numbers))
            self._cached += len(page.data)
            while self._cached > _CACHE_BYTES and len(self._pages) > 1:
                self._cached -= len(self._pages.pop(next(iter(self._pages))).data)
        return page

    def sent(self, page: Page) -> None:
        """A page went out whole; changes scripted for this moment happen."""
        self._sent.append(page.ids)
        self.pages += 1
        for change in self._changes:
            if change["after"] == self.pages:
                self.delete(change.get("delete", []))
                self.update(change.get("update", []))
                self.add(change.get("insert", []), change.get("at", "front"))

    def _forget(self) -> None:
        self._views: dict[Any, View] = {}
        self._pages: dict[Any, Page] = {}
        self._cached = 0
        self._columns: dict[str, list[Any]] = {}

    def _keep_rows(self) -> None:
        """Rows made on demand become rows kept, because they are about to change."""
        if self._template is not None:
            self._kept = [_Kept(row, orjson.dumps(row), row) for row in self._template.rows(range(self._count))]
            self._template = None

    def _slice(self, numbers: Sequence[int]) -> Sequence[Any]:
        if self._template is not None:
            return self._template.rows(numbers)
        return [self._kept[i].value for i in numbers]

    def _encode(self, numbers: Sequence[int], form: str) -> bytes:
        if form == "json":
            if self._template is not None:
                return orjson.dumps(self._template.rows(numbers))[1:-1]
            return b",".join([self._kept[i].json for i in numbers])
        if form == "csv":
            columns = next((list(row) for row in self._slice(range(min(1, self._count))) if isinstance(row, dict)), [])
            return encode_csv(self._slice(numbers), columns)
        if form == "ndjson" and self._template is None:
            return b"".join([self._kept[i].json + b"\n" for i in numbers])
        given = self._slice(numbers) if self._template is not None else [self._kept[i].given for i in numbers]
        return encode_lines(given, "" if form == "binary" else "\n")

    def _ids(self, numbers: Sequence[int]) -> Sequence[Any]:
        if self._template is not None:
            ids = self._template.column(self.key, numbers)
            if len(numbers) == 0 or ids[0] is not None:
                return ids
        return [self._id(row) for row in self._slice(numbers)]

    def _id(self, row: Any) -> Any:
        return pick(row, self.key) if isinstance(row, dict) else row

    def _rises(self, column: str) -> bool:
        return self._template is not None and self._template.rises(column)

    def _getter(self, column: str) -> Callable[[int], Any]:
        """The value of a column at a place, as it is compared."""
        template = self._template
        if template is not None and template.rises(column):
            return lambda i: comparable(template.column(column, (i,))[0])
        if column not in self._columns:
            if template is not None:
                values = template.column(column, range(self._count))
            else:
                values = [pick(row.value, column) for row in self._kept]
            self._columns[column] = [comparable(value) for value in values]
        return self._columns[column].__getitem__

    def _wanted(self, column: str, text: str) -> Any:
        """A value from a request as the column has it; None when the column is empty."""
        value = self._getter(column)
        sample = next((v for i in range(self._count) if (v := value(i)) is not None), None)
        return None if sample is None else parse_like(sample, text, column)

    def _narrow(self, numbers: Sequence[int], column: str, name: str, text: str) -> Sequence[int]:
        value = self._getter(column)
        if name == "in":
            some = [self._wanted(column, one) for one in text.split(",")]
            return [i for i in numbers if value(i) in some and value(i) is not None]
        wanted = self._wanted(column, text)
        if wanted is None:
            return range(0)
        if isinstance(numbers, range) and self._rises(column) and name != "ne":
            first, behind = bisect_left(numbers, wanted, key=value), bisect_right(numbers, wanted, key=value)
            low = {"eq": first, "ge": first, "gt": behind}.get(name, 0)
            high = {"eq": behind, "lt": first, "le": behind}.get(name, len(numbers))
            return numbers[low:high]
        holds = OPERATORS[name]
        return [i for i in numbers if (v := value(i)) is not None and holds(v, wanted)]


def _kept(row: Any) -> _Kept:
    """A row given as bytes counts as what a lenient reader makes of it, and goes out as it is."""
    if not isinstance(row, bytes):
        # NaN and integers of any size go out as Python writes them.
        return _Kept(row, json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode(), row)
    text = row.decode("utf-8", "replace")
    try:
        return _Kept(json.loads(text), row, row)
    except ValueError:
        return _Kept(text, row, row)
