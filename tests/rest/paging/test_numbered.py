"""Offsets, page numbers and the ranges of a parallel read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rest.paging.api import Api, answer, read

from trunkline.errors import ResponseError
from trunkline.rest.paging import (
    Ask,
    OffsetPaging,
    PagePaging,
    PageRange,
    Walk,
    offset_ranges,
    page_ranges,
    paging_of,
)

Rows = list[dict[str, int]]
OFFSET = {"pagination": "offset", "page.size": 100, "page.sizeParam": "limit"}
PAGE = {"pagination": "page", "page.size": 100, "page.sizeParam": "size"}


def rows(count: int, begin: int = 0) -> Rows:
    return [{"id": number} for number in range(begin, begin + count)]


def asks(options: dict[str, Any], *counts: int, document: Any = None) -> list[Ask | None]:
    """What is asked for, when the pages hold so many rows."""
    paging = paging_of(options)
    ask: Ask | None = paging.first()
    found = [ask]
    for count in counts:
        assert ask is not None
        ask = paging.next(ask, answer(rows(count), document))
        found.append(ask)
    return found


def test_offsets_move_on_by_the_rows_that_came() -> None:
    """Limit 100, pages of 50, 120 rows: all 120 are read."""
    served = []

    def serve(asked: dict[str, Any]) -> Any:
        served.append(asked)
        return rows(120)[int(asked["offset"]) :][:50], {"total": 120}, {}

    assert read({**OFFSET, "page.totalField": "total"}, serve) == rows(120)
    assert served == [{"limit": "100", "offset": at} for at in ("0", "50", "100")]


def test_page_numbers_go_by_one_and_a_short_page_is_not_the_end() -> None:
    assert asks(PAGE, 50, 50, 0) == [
        Ask(params=(("size", "100"), ("page", "1")), position=1, size=100, rows=0),
        Ask(params=(("size", "100"), ("page", "2")), position=2, size=100, rows=50),
        Ask(params=(("size", "100"), ("page", "3")), position=3, size=100, rows=100),
        None,
    ]


def test_parameters_go_into_headers_or_the_body() -> None:
    assert asks({**OFFSET, "page.in": "header", "page.param": "X-Skip", "page.sizeParam": "X-Take"}, 5)[1] == Ask(
        headers=(("X-Take", "100"), ("X-Skip", "5")), position=5, size=100, rows=5
    )
    assert asks({**OFFSET, "page.in": "body", "page.param": "v.skip", "page.sizeParam": "v.first"}, 5)[1] == Ask(
        body=(("v.first", 100), ("v.skip", 5)), position=5, size=100, rows=5
    )


def test_the_server_may_count_rows_from_one() -> None:
    """SCIM: startIndex=1 is the first row, and totalResults the number of all."""
    options = {"pagination": "offset", "page.param": "startIndex", "page.start": "1", "page.totalField": "totalResults"}
    served = []

    def serve(asked: dict[str, Any]) -> Any:
        served.append(asked["startIndex"])
        return rows(5)[int(asked["startIndex"]) - 1 :][:2], {"totalResults": 5}, {}

    assert (read(options, serve), served) == (rows(5), ["1", "3", "5"])


def test_a_start_further_on_leaves_rows_out_and_is_still_held_to_the_total() -> None:
    api = Api(rows(20), "offset", shows=frozenset({"total"}))
    assert read({**api.options, "page.start": 12}, api) == rows(8, 12)


def test_a_start_further_on_reads_numbered_pages_to_an_empty_one() -> None:
    """How many rows the pages left out hold is not known, so the total neither ends nor checks anything."""
    api = Api(rows(20), "page", shows=frozenset({"total"}))
    assert (read({**api.options, "page.start": 2}, api), len(api.served)) == (rows(13, 7), 3)


@pytest.mark.parametrize("options", [OFFSET, PAGE])
@pytest.mark.parametrize(
    ("stop", "document", "count", "goes_on"),
    [
        ({"page.stop": "short"}, None, 100, True),
        ({"page.stop": "short"}, None, 99, False),
        ({"page.stop": "empty", "page.totalField": "n"}, {"n": 5}, 5, True),
        ({"page.stop": "total", "page.totalField": "n"}, {"n": 5}, 5, False),
        ({"page.stop": "total", "page.totalField": "n"}, {"n": 6}, 5, True),
        ({"page.totalField": "n"}, {"n": 5}, 5, False),
        ({"page.totalField": "n"}, {"n": "5"}, 5, False),
        ({"page.totalField": "n"}, {}, 5, True),
        ({"page.totalField": "n"}, {"n": 3}, 5, True),  # below the rows that came: it counts something else
        ({"page.totalField": "n"}, {"n": 100}, 100, True),  # or the rows of this page
        ({"page.hasMoreField": "more"}, {"more": False}, 100, False),
        ({"page.hasMoreField": "more"}, {"more": "false"}, 100, False),
        ({"page.hasMoreField": "more"}, {"more": 1}, 1, True),
        ({"page.hasMoreField": "more"}, {}, 1, True),
        ({"page.hasMoreField": "more", "page.totalField": "n"}, {"more": True, "n": 5}, 5, True),
        ({"page.stop": "next"}, {"next": None}, 100, False),
        ({"page.stop": "next"}, {"next": "x"}, 1, True),
        ({"page.stop": "next"}, {}, 100, False),
        ({"page.stop": "last=true"}, {"last": True}, 100, False),
        ({"page.stop": "last=true"}, {"last": False}, 1, True),
        ({"page.stop": "left=0"}, {"left": 0}, 100, False),
    ],
)
def test_where_numbered_pages_end(
    options: dict[str, Any], stop: dict[str, Any], document: Any, count: int, goes_on: bool
) -> None:
    assert (asks({**options, **stop}, count, document=document)[1] is not None) is goes_on


def test_an_empty_page_of_which_the_server_says_that_more_follow() -> None:
    """Page numbers go on; an offset that does not move would ask for the same again."""
    more = {"page.hasMoreField": "more"}
    assert asks({**PAGE, **more}, 0, document={"more": True})[1] is not None
    with pytest.raises(ResponseError, match="no rows at offset 0, although the answer says that there are more"):
        asks({**OFFSET, **more}, 0, document={"more": True})


@pytest.mark.parametrize(("field", "value"), [("page.hasMoreField", "maybe"), ("page.totalField", {"value": 3})])
def test_a_field_that_does_not_say_what_it_should_is_an_error(field: str, value: Any) -> None:
    with pytest.raises(ResponseError, match=rf"{field}=f is"):
        asks({**OFFSET, field: "f"}, 1, document={"f": value})


def test_totals_of_headers_may_be_those_of_a_content_range() -> None:
    served = [(rows(2), None, {"Content-Range": "items 0-1/3"}), (rows(1, 2), None, {"Content-Range": "items 2-2/3"})]
    found = read({"pagination": "offset", "page.totalField": "header:content-range"}, lambda asked: served.pop(0))
    assert (found, served) == (rows(3), [])


@given(st.integers(0, 60), st.integers(1, 16), st.integers(1, 20), st.data())
def test_smaller_pages_hold_exactly_the_same_rows(count: int, size: int, cap: int, data: st.DataObject) -> None:
    """After any page the server may refuse the size; whatever can be asked for instead reads every row once."""
    for style in ("page", "offset"):
        api = Api(rows(count), style, cap)
        walk = Walk(paging_of({**api.options, "page.size": size}))
        found: Rows = []
        while walk.ask is not None:
            if data.draw(st.booleans()):
                walk.smaller()
            page, document, headers = api(dict(walk.ask.params))
            found += page
            walk.take(answer(page, document, headers))
        assert found == rows(count)


def test_half_a_page_is_another_number_only_where_all_pages_before_were_full() -> None:
    paging = paging_of(PAGE)
    third = Ask(params=(("size", "100"), ("page", "3")), position=3, size=100, rows=200)
    assert paging.smaller(third) == Ask(params=(("size", "50"), ("page", "5")), position=5, size=50, rows=200)
    assert paging.smaller(third._replace(rows=100)) is None
    assert paging.smaller(third._replace(size=25)) is None
    assert paging_of({"pagination": "page"}).smaller(Ask(position=1)) is None


@given(st.integers(0, 200), st.integers(1, 9), st.integers(1, 30), st.sampled_from([0, 1]))
def test_ranges_of_offsets_cover_every_row_once(total: int, parts: int, cap: int, start: int) -> None:
    options = {"pagination": "offset", "page.size": 7, "page.sizeParam": "size", "page.start": start}

    def serve(asked: dict[str, Any]) -> Any:
        begin = int(asked["offset"]) - start
        return rows(total)[begin : begin + min(int(asked["size"]), cap)], None, {}

    paging = paging_of(options)
    assert isinstance(paging, OffsetPaging)
    ranges = offset_ranges(total, parts, start)
    found = [row for part in ranges for row in read(paging.within(part), serve, owed=part.rows)]
    assert found == rows(total)
    assert (len(ranges), sum(part.rows for part in ranges)) == (min(parts, total), total)


@given(st.integers(0, 200), st.integers(1, 9), st.integers(1, 30))
def test_ranges_of_whole_pages_cover_every_row_once_where_the_server_decides_the_size(
    total: int, parts: int, cap: int
) -> None:
    paging = paging_of({"pagination": "offset"})
    assert isinstance(paging, OffsetPaging)
    ranges = offset_ranges(total, parts, step=cap)
    api = Api(rows(total), "offset", cap)
    assert [row for part in ranges for row in read(paging.within(part), api, owed=part.rows)] == rows(total)


@given(st.integers(0, 200), st.integers(1, 9), st.integers(1, 30), st.integers(1, 12), st.data())
def test_ranges_of_page_numbers_cover_every_row_once(
    total: int, parts: int, size: int, cap: int, data: st.DataObject
) -> None:
    """Also where the server gives less than it is asked for, and where it refuses the size on the way."""
    paging = paging_of({"pagination": "page", "page.size": size, "page.sizeParam": "size"})
    assert isinstance(paging, PagePaging)
    found: Rows = []
    for part in page_ranges(total, min(size, cap), parts):
        api = Api(rows(total), "page", cap)
        walk = Walk(paging.within(part), owed=part.rows)
        while walk.ask is not None:
            if data.draw(st.booleans()):
                walk.smaller()
            page, document, headers = api(dict(walk.ask.params))
            found += page
            walk.take(answer(page, document, headers))
    assert found == rows(total)


def test_ranges_as_they_are_written() -> None:
    assert offset_ranges(10, 3) == [PageRange(0, 3, 3, 0), PageRange(3, 6, 3, 3), PageRange(6, 10, 4, 6)]
    assert offset_ranges(25, 2, step=10) == [PageRange(0, 10, 10, 0), PageRange(10, 30, 15, 10)]
    assert offset_ranges(10, 2, start=6) == [PageRange(6, 8, 2, 6), PageRange(8, 10, 2, 8)]
    assert page_ranges(120, 50, 2) == [PageRange(1, 2, 50, 0, 50), PageRange(2, 4, 70, 50, 50)]
    assert page_ranges(120, 50, 2, start=0) == [PageRange(0, 1, 50, 0, 50), PageRange(1, 3, 70, 50, 50)]
    assert page_ranges(120, 50, 2, start=2) == [PageRange(2, 3, 50, 50, 50), PageRange(3, 4, 20, 100, 50)]
    assert (offset_ranges(0, 3), page_ranges(0, 0, 3)) == ([], [])
    with pytest.raises(ValueError, match="7 rows in all, and none on the first page"):
        page_ranges(7, 0, 3)


def test_a_range_asks_for_no_more_than_it_owes() -> None:
    paging = paging_of(OFFSET)
    assert isinstance(paging, OffsetPaging)
    served: list[str] = []

    def serve(asked: dict[str, Any]) -> Any:
        served.append(asked["limit"])
        return rows(int(asked["limit"]), int(asked["offset"])), None, {}

    found = read(paging.within(PageRange(50, 200, 150, 50)), serve, owed=150)
    assert (found, served) == (rows(150, 50), ["100", "50"])


def test_a_page_beyond_the_range_is_an_error() -> None:
    paging = paging_of({"pagination": "offset"})
    assert isinstance(paging, OffsetPaging)
    with pytest.raises(ResponseError, match=r"30 rows at offset 0, where 20 were left of the range; set page\.size"):
        read(paging.within(PageRange(0, 20, 20, 0)), lambda asked: (rows(30), None, {}), owed=20)


@pytest.mark.parametrize("style", ["page", "offset"])
def test_a_range_that_ends_early_is_an_error(style: str) -> None:
    api = Api(rows(20), style, 7)
    paging = paging_of(api.options)
    assert isinstance(paging, (OffsetPaging, PagePaging))
    part = (offset_ranges(25, 2) if style == "offset" else page_ranges(25, 7, 2))[-1]
    left = 20 - part.before
    with pytest.raises(ResponseError, match=rf"a range of {part.rows} rows ended after {left}: the API changed"):
        read(paging.within(part), api, owed=part.rows)
