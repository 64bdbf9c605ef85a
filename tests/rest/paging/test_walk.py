"""Every style against every habit and fault of a server: all rows once, or an error that says why."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rest.paging.api import Api, answer, follow, read

from trunkline.errors import ResponseError
from trunkline.rest.paging import Ask, Walk, paging_of

STYLES = ["page", "offset", "cursor", "link", "nextUrl", "lastRecord", "headerCursor"]
NUMBERED = ["page", "offset"]
BY_TOKEN = ["cursor", "link", "nextUrl", "headerCursor"]
SHOWN = st.sets(st.sampled_from(["total", "has_more"])).map(frozenset)
FAULTS = ["", "ignores", "clamps", "wraps", "repeats", "circles", "forgets"]


def rows(count: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(count)]


@given(st.sampled_from(STYLES), st.integers(0, 60), st.integers(1, 12), SHOWN)
def test_every_style_reads_every_row_once(style: str, count: int, cap: int, shows: frozenset[str]) -> None:
    api = Api(rows(count), style, cap, shows)
    assert read(api.options, api) == rows(count)


@given(
    st.sampled_from(STYLES), st.integers(0, 40), st.integers(1, 12), SHOWN, st.sampled_from(FAULTS), st.integers(-1, 5)
)
def test_a_fault_ends_in_all_rows_once_or_in_an_error(
    style: str, count: int, cap: int, shows: frozenset[str], fault: str, empty: int
) -> None:
    if fault == "forgets" and style in BY_TOKEN:
        shows |= {"total"}  # a token that is not there is how these styles end: only a total tells that it was lost
    if style in (*NUMBERED, "lastRecord"):
        empty = -1  # an empty page is how these styles end
    api = Api(rows(count), style, cap, shows, fault, empty)
    try:
        found = read(api.options, api)
    except ResponseError:
        assert fault
        return
    assert found == rows(count)


@pytest.mark.parametrize("style", STYLES)
def test_a_flag_that_no_page_has_is_misspelt(style: str) -> None:
    misspelt = {"page.hasMoreField": "hasMore"}
    api = Api(rows(25), style, shows=frozenset({"has_more"}))
    with pytest.raises(ResponseError, match=r"(no answer has page\.hasMoreField=|neither )hasMore"):
        read({**api.options, **misspelt}, api)


@pytest.mark.parametrize("style", ["nextUrl", "cursor"])
def test_a_flag_may_be_left_out_where_one_page_is_all_there_is(style: str) -> None:
    api = Api(rows(5), style)
    assert read({**api.options, "page.hasMoreField": "has_more"}, api) == rows(5)


@pytest.mark.parametrize("style", BY_TOKEN)
def test_an_empty_page_that_names_a_next_one_goes_on(style: str) -> None:
    api = Api(rows(25), style, empty=1)
    assert (read(api.options, api), len(api.served)) == (rows(25), 4)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shows", [frozenset(), frozenset({"total"})])
def test_a_server_that_gives_the_first_page_again_is_found_out_on_the_second(style: str, shows: frozenset[str]) -> None:
    api = Api(rows(25), style, shows=shows, fault="ignores")
    with pytest.raises(ResponseError, match=r"page 2 holds the same \d+ rows as page 1: the server does not go by"):
        read(api.options, api)
    assert len(api.served) == 2


@pytest.mark.parametrize("style", BY_TOKEN)
def test_a_token_that_comes_again_is_an_error(style: str) -> None:
    """The second page names itself as the next: it is not asked for a second time."""
    api = Api(rows(25), style, fault="repeats")
    with pytest.raises(ResponseError, match="page 2"):
        read(api.options, api)
    assert len(api.served) <= 3


def test_pages_in_a_circle_are_an_error_even_when_they_are_empty() -> None:
    pages = {None: "a", "a": "b", "b": "a"}
    with pytest.raises(ResponseError, match="page 3 names page 2 as the next one: the pages run in circles"):
        read(
            {"pagination": "cursor", "page.nextField": "next"},
            lambda asked: ([], {"next": pages[asked.get("cursor")]}, {}),
        )


def test_relative_links_are_told_apart_by_where_they_lead() -> None:
    """The same text under another URL is another page."""
    served = []

    def serve(asked: dict[str, Any]) -> Any:
        served.append(asked)
        return [{"id": len(served)}], {"next": "next/" if len(served) < 4 else None}, {}

    assert read({"pagination": "nextUrl", "page.nextField": "next"}, serve) == [{"id": n} for n in (1, 2, 3, 4)]


def test_more_pages_than_allowed_fail_and_are_not_cut_off() -> None:
    api = Api(rows(25), "link")
    with pytest.raises(ResponseError) as error:
        read(api.options, api, max_pages=2)
    assert str(error.value) == (
        "https://api.example.com/rows: there are more than 2 pages, 20 rows so far; raise maxPages, or ask for larger "
        "pages by page.size"
    )
    assert read(api.options, api, max_pages=3) == rows(25)


def test_empty_pages_without_end_are_given_up() -> None:
    options = {"pagination": "cursor", "page.nextField": "next"}
    served: list[Any] = []

    def serve(asked: dict[str, Any]) -> Any:
        served.append(asked)
        assert len(served) <= 1000
        return [], {"next": len(served)}, {}

    with pytest.raises(ResponseError, match="1000 pages in a row were empty"):
        read(options, serve)


def test_fewer_rows_than_the_total_are_an_error_that_names_both() -> None:
    with pytest.raises(ResponseError, match="the pages ended after 2 rows, but total says 3"):
        read(
            {"pagination": "cursor", "page.nextField": "next", "page.totalField": "total"},
            lambda asked: (rows(2), {"total": 3, "next": None}, {}),
        )


def test_one_page_is_held_to_its_total_too() -> None:
    with pytest.raises(ResponseError, match="the pages ended after 2 rows, but header:X-Total-Count says 3"):
        read(
            {"pagination": "none", "page.totalField": "header:X-Total-Count"},
            lambda asked: (rows(2), None, {"x-total-count": "3"}),
        )


def test_a_total_that_is_in_no_answer_is_an_error() -> None:
    with pytest.raises(ResponseError, match=r"no answer has page\.totalField=totl; correct it or leave it out"):
        read({"pagination": "none", "page.totalField": "totl"}, lambda asked: (rows(2), {"total": 2}, {}))


def test_more_rows_than_the_total_are_no_error() -> None:
    options = {"pagination": "cursor", "page.nextField": "next", "page.totalField": "total"}
    assert read(options, lambda asked: (rows(3), {"total": 2, "next": None}, {})) == rows(3)


def test_cursors_may_see_the_total_shrink() -> None:
    """What was removed moves nothing there, so the last total counts."""

    def remove(number: int, kept: list[Any]) -> None:
        if number == 2:
            del kept[24]

    api = Api(rows(25), "cursor", shows=frozenset({"total"}), change=remove)
    assert read(api.options, api) == rows(24)


@given(st.sampled_from(NUMBERED), st.integers(1, 40), st.integers(1, 9), st.integers(0, 5), st.data())
def test_a_row_removed_while_numbered_pages_are_read_hides_no_other(
    style: str, count: int, cap: int, when: int, data: st.DataObject
) -> None:
    """Where the server tells a total, every row that was there all along is read, or there is an error."""
    gone = data.draw(st.integers(0, count - 1))

    def remove(number: int, kept: list[Any]) -> None:
        if number == when:
            kept.remove({"id": gone})

    api = Api(rows(count), style, cap, frozenset({"total"}), change=remove)
    try:
        found = read(api.options, api)
    except ResponseError:
        return
    assert [row for row in found if row["id"] != gone] == [row for row in rows(count) if row["id"] != gone]


@given(st.sampled_from(STYLES), st.integers(0, 40), st.integers(1, 9), st.integers(0, 5), SHOWN, st.data())
def test_a_row_inserted_while_pages_are_read_hides_no_other(
    style: str, count: int, cap: int, when: int, shows: frozenset[str], data: st.DataObject
) -> None:
    """Rows after it may come twice in numbered pages; none is left out."""
    place = data.draw(st.integers(0, count))

    def insert(number: int, kept: list[Any]) -> None:
        if number == when:
            kept.insert(place, {"id": place - 0.5})

    api = Api(rows(count), style, cap, shows, change=insert)
    try:
        found = read(api.options, api)
    except ResponseError:
        return
    assert {row["id"] for row in rows(count)} <= {row["id"] for row in found}


def test_a_total_that_falls_while_numbered_pages_are_read_is_an_error() -> None:
    """A row before the second page is removed: another takes its place on the first, and nobody sees it."""

    def remove(number: int, kept: list[Any]) -> None:
        if number == 1:
            del kept[0]

    api = Api(rows(20), "offset", shows=frozenset({"total"}), change=remove)
    with pytest.raises(ResponseError, match="total fell from 20 to 19 while the pages were read: rows were removed"):
        read(api.options, api)


def test_a_total_of_nothing_behind_the_last_row_is_ignored() -> None:
    """Servers that count with a window function count nothing on an empty page."""
    pages: dict[str, Any] = {"1": (rows(2), {"total": 2}, {}), "2": ([], {"total": 0}, {})}
    options = {"pagination": "page", "page.totalField": "total", "page.stop": "empty"}
    assert read(options, lambda asked: pages[asked["page"]]) == rows(2)


@given(st.sampled_from(STYLES), st.integers(0, 40), st.integers(1, 12), SHOWN, st.integers(0, 6))
def test_a_walk_goes_on_from_any_page(style: str, count: int, cap: int, shows: frozenset[str], pages: int) -> None:
    """The ask of a page, kept as JSON, is all that is needed, and the total is still held to."""
    api = Api(rows(count), style, cap, shows)
    walk = Walk(paging_of(api.options))
    before: list[Any] = []
    for _ in range(pages):
        if walk.ask is None or walk.ask.url is not None:
            break
        page, document, headers = api({**dict(walk.ask.params)})
        before += page
        walk.take(answer(page, document, headers))
    if walk.ask is None or walk.ask.url is not None:
        return
    later = Walk(pickle.loads(pickle.dumps(paging_of(api.options))), first=Ask.from_json(walk.ask.to_json()))
    assert before + follow(later, api) == rows(count)


def test_a_walk_that_has_ended_takes_no_page() -> None:
    walk = Walk(paging_of({"pagination": "none"}))
    walk.take(answer(rows(1)))
    with pytest.raises(ValueError, match="the walk has ended"):
        walk.take(answer(rows(1)))
    assert (walk.ask, walk.pages, walk.rows, walk.smaller()) == (None, 1, 1, None)


def test_no_message_holds_a_link_or_a_token() -> None:
    link = "https://api.example.com/rows?cursor=1&access_token=s3cret"
    walk = Walk(paging_of({"pagination": "nextUrl", "page.nextField": "next"}))
    walk.take(answer(rows(1), {"next": link}))
    assert "s3cret" not in repr(walk.ask)
    with pytest.raises(ResponseError) as error:
        walk.take(answer(rows(1), {"next": link}, url=link))
    assert "s3cret" not in str(error.value)


def test_a_walk_that_goes_on_does_not_miss_a_total_that_only_the_first_page_tells() -> None:
    options = {"pagination": "cursor", "page.nextField": "next", "page.totalField": "total"}
    later = Walk(paging_of(options), first=Ask(params=(("cursor", "b"),), rows=2))
    assert follow(later, lambda asked: (rows(1), {"next": None}, {})) == rows(1)


@pytest.mark.parametrize(
    "options",
    [
        {"pagination": "cursor", "page.nextField": "wrong"},
        {"pagination": "nextUrl", "page.nextField": "wrong"},
        {"pagination": "link"},
    ],
    ids=lambda options: options["pagination"],
)
def test_one_page_that_says_it_is_one_of_more_is_not_all(options: dict[str, str]) -> None:
    """A next field that is spelled wrong looks like the end: a total that stands beside it says otherwise."""
    walk = Walk(paging_of(options))
    with pytest.raises(ResponseError, match=r"holds 2 rows, but meta.total says 1037: correct pagination and page"):
        walk.take(answer([{"id": 1}, {"id": 2}], {"items": None, "meta": {"total": 1037}}))


@given(
    total=st.integers(0, 200),
    size=st.integers(1, 30),
    cap=st.integers(1, 30),
    style=st.sampled_from(["offset", "page"]),
    most=st.none() | st.integers(1, 20),
)
def test_expected_pages_are_those_that_the_walk_asks_for(
    total: int, size: int, cap: int, style: str, most: int | None
) -> None:
    """Where all pages are full but the last one: no more, no fewer, in their order."""
    options = {"pagination": style, "page.size": size, "page.sizeParam": "limit", "page.totalField": "total"}
    walk = Walk(paging_of(options), max_pages=most)
    full, rows = min(size, cap), list(range(total))
    assert list(walk.expected()) == []
    start, expected = 0, None
    while (ask := walk.ask) is not None:
        if expected is not None:
            assert ask == expected.pop(0)
        page = rows[start : start + full]
        start += len(page)
        try:
            walk.take(answer(page, {"total": total}))
        except ResponseError:
            assert most is not None
            break
        if expected is None:
            expected = [*filter(None, [walk.ask]), *walk.expected()]
    assert not expected or (most is not None and len(expected) < 2)


def test_after_a_page_in_halves_none_is_expected_until_one_has_come() -> None:
    """The last page was twice as large: those behind the half would be other ones."""
    options = {"pagination": "offset", "page.size": 10, "page.sizeParam": "limit", "page.totalField": "total"}
    walk = Walk(paging_of(options))
    walk.take(answer(list(range(10)), {"total": 40}))
    assert [ask.position for ask in walk.expected()] == [20, 30]
    walk.smaller()
    assert list(walk.expected()) == []
    walk.take(answer(list(range(10, 15)), {"total": 40}))
    assert [ask.position for ask in walk.expected()] == [20, 25, 30, 35]
