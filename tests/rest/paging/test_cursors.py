"""Tokens, headers and last records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rest.paging.api import answer, read

from trunkline.errors import ResponseError
from trunkline.rest.paging import Ask, paging_of

ROWS = [{"id": 1}, {"id": 2}]
GRAPHQL = {
    "pagination": "cursor",
    "page.in": "body",
    "page.param": "variables.after",
    "page.size": 10,
    "page.sizeParam": "variables.first",
    "page.nextField": "data.users.pageInfo.endCursor",
    "page.hasMoreField": "data.users.pageInfo.hasNextPage",
}
CURSOR = {"pagination": "cursor", "page.nextField": "next"}
LAST = {"pagination": "lastRecord", "page.cursorField": "key.id", "page.size": 10, "page.sizeParam": "limit"}


def following(options: dict[str, Any], document: Any = None, rows: Any = ROWS, **headers: str) -> Ask | None:
    """What is asked for after the first page."""
    paging = paging_of(options)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return paging.next(paging.first(), answer(rows, document, named))


@pytest.mark.parametrize("token", ["b2Zm", 7, 0])
def test_a_token_is_sent_back(token: Any) -> None:
    assert following(CURSOR, {"next": token}) == Ask(params=(("cursor", str(token)),), rows=2)


@pytest.mark.parametrize("document", [{}, {"next": None}, {"next": ""}, {"next": False}, {"next": None, "total": 9}])
def test_no_token_is_the_end(document: Any) -> None:
    assert following(CURSOR, document) is None


@pytest.mark.parametrize("style", [CURSOR, {"pagination": "nextUrl", "page.nextField": "next"}])
@pytest.mark.parametrize(
    ("document", "headers", "sign"),
    [
        ({"nextPageToken": "b"}, {}, "nextPageToken names a next page"),
        ({"links": {"next": "/rows?page=2"}}, {}, "links.next names a next page"),
        ({"has_more": True}, {}, "has_more is true"),
        ({}, {"Link": '<u>; rel="next"'}, "the header Link names a next page"),
        ({}, {"x_ms_continuation": "b"}, "the header x-ms-continuation names a next page"),
    ],
)
def test_a_field_that_is_not_there_is_no_end_where_another_names_a_next_page(
    style: dict[str, Any], document: Any, headers: dict[str, str], sign: str
) -> None:
    with pytest.raises(ResponseError, match=f"next is not in the answer, but {sign}; correct page.nextField"):
        following(style, document, **headers)


@pytest.mark.parametrize("document", [None, [], [1]])
def test_an_answer_that_can_hold_no_token_is_no_end(document: Any) -> None:
    with pytest.raises(ResponseError, match="needs an answer that is a JSON object around the records"):
        following(CURSOR, document)
    assert following(CURSOR, document, rows=[]) is None


@pytest.mark.parametrize("token", [{"after": "b"}, ["b"], True])
def test_what_is_no_token_is_an_error(token: Any) -> None:
    with pytest.raises(ResponseError, match="not a cursor; name the field that holds it"):
        following(CURSOR, {"next": token})


def test_a_number_that_lost_digits_is_not_sent_back() -> None:
    with pytest.raises(ResponseError, match="too large to be sent back exactly"):
        following(CURSOR, {"next": 1.8446744073709552e19})


def test_a_cursor_in_the_body_keeps_its_type() -> None:
    page = {"data": {"users": {"pageInfo": {"endCursor": "c3Vn", "hasNextPage": True}}}}
    assert paging_of(GRAPHQL).first() == Ask(body=(("variables.first", 10),), size=10)
    assert following(GRAPHQL, page) == Ask(body=(("variables.first", 10), ("variables.after", "c3Vn")), size=10, rows=2)
    assert following({**CURSOR, "page.in": "body"}, {"next": 7}) == Ask(body=(("cursor", 7),), rows=2)


def test_has_more_ends_although_there_is_a_token() -> None:
    page = {"data": {"users": {"pageInfo": {"endCursor": "c3Vn", "hasNextPage": False}}}}
    assert following(GRAPHQL, page) is None


def test_more_without_a_token_is_an_error() -> None:
    page = {"data": {"users": {"pageInfo": {"endCursor": None, "hasNextPage": True}}}}
    with pytest.raises(
        ResponseError, match=r"says that there are more rows, but data\.users\.pageInfo\.endCursor holds"
    ):
        following(GRAPHQL, page)


def test_neither_has_more_nor_a_token_says_nothing() -> None:
    with pytest.raises(ResponseError, match=r"neither .*hasNextPage nor .*endCursor is in the answer"):
        following(GRAPHQL, {"data": {"users": {}}})


@pytest.mark.parametrize(
    ("stop", "document", "rows", "goes_on"),
    [
        ({"page.stop": "empty"}, {"next": "b"}, [], False),
        ({"page.stop": "empty"}, {"next": "b"}, ROWS, True),
        ({"page.stop": "empty"}, {"next": None}, ROWS, False),
        ({"page.stop": "next=-1"}, {"next": -1}, ROWS, False),
        ({"page.stop": "more"}, {"next": "b"}, ROWS, False),
        ({"page.stop": "short", "page.size": 3, "page.sizeParam": "limit"}, {"next": "b"}, ROWS, False),
        ({"page.totalField": "total"}, {"next": "b", "total": 2}, ROWS, True),
        ({"page.stop": "total", "page.totalField": "total"}, {"next": "b", "total": 2}, ROWS, False),
    ],
)
def test_where_else_tokens_end(stop: dict[str, Any], document: Any, rows: Any, goes_on: bool) -> None:
    assert (following({**CURSOR, **stop}, document, rows) is not None) is goes_on


def test_a_start_is_the_first_token() -> None:
    assert paging_of({**CURSOR, "page.start": "abc"}).first() == Ask(params=(("cursor", "abc"),), rows=None)
    assert paging_of(CURSOR).first(7) == Ask(params=(("cursor", "7"),), rows=None)


def test_a_header_is_found_in_any_case_and_its_token_goes_where_it_should() -> None:
    options = {"pagination": "headerCursor", "page.nextField": "X-MS-Continuation", "page.param": "x-ms-continuation"}
    ask = Ask(headers=(("x-ms-continuation", "b2Zm"),), rows=2)
    assert following({**options, "page.in": "header"}, x_ms_continuation="b2Zm") == ask
    assert following(options, x_ms_continuation="") is None
    assert following(options) is None


def test_a_header_may_hold_a_url() -> None:
    url = "https://api.example.com/rows?_token=b2Zm"
    options = {"pagination": "headerCursor", "page.nextField": "Next-Page", "page.size": 2, "page.sizeParam": "_limit"}
    assert following(options, Next_Page=url) == Ask(url=url, size=2, rows=2)


def test_the_last_record_names_the_next_page() -> None:
    rows = [{"key": {"id": "a"}}, {"key": {"id": "b"}}]
    first = Ask(params=(("limit", "10"),), size=10)
    after = Ask(params=(("limit", "10"), ("after", "b")), size=10, rows=2)
    assert (paging_of(LAST).first(), following(LAST, rows=rows), following(LAST, rows=[])) == (first, after, None)


@pytest.mark.parametrize("record", [{}, {"key": None}, {"key": {"id": None}}, {"key": {"id": ""}}, 7])
def test_a_last_record_without_the_field_is_an_error(record: Any) -> None:
    with pytest.raises(ResponseError, match=r"the last record has no key\.id to go on after; set page\.cursorField"):
        following(LAST, rows=[record])


def test_an_empty_page_is_no_end_of_last_records_where_more_are_promised() -> None:
    with pytest.raises(ResponseError, match="no rows, although the answer says that there are more"):
        following({**LAST, "page.hasMoreField": "has_more"}, {"has_more": True}, rows=[])


def test_a_server_that_does_not_go_by_the_last_record_is_found_out() -> None:
    """It gives the same rows again, which are an error and not an endless read."""
    with pytest.raises(ResponseError, match="page 2 holds the same 2 rows as page 1"):
        read({"pagination": "lastRecord", "page.cursorField": "id"}, lambda asked: (ROWS, None, {}))


@pytest.mark.parametrize(
    ("ask", "half"),
    [
        (Ask(params=(("limit", "10"),), size=10), Ask(params=(("limit", "5"),), size=5)),
        (
            Ask(params=(("limit", "10"), ("cursor", "b2Zm")), size=10, rows=9),
            Ask(params=(("limit", "5"), ("cursor", "b2Zm")), size=5, rows=9),
        ),
        (Ask(params=(("limit", "10"), ("cursor", "2")), size=10, rows=9), None),  # may be a page number
        (Ask(params=(("limit", "1"),), size=1), None),
        (Ask(), None),
    ],
)
def test_a_smaller_page_begins_at_the_same_token(ask: Ask, half: Ask | None) -> None:
    assert paging_of({**CURSOR, "page.size": 10, "page.sizeParam": "limit"}).smaller(ask) == half


VALUES = st.one_of(st.integers(-(2**63), 2**64 - 1), st.text(), st.none(), st.booleans(), st.floats(allow_nan=False))
PAIRS = st.lists(st.tuples(st.text(), st.text())).map(tuple)


@given(
    st.builds(
        Ask,
        url=st.none() | st.text(),
        params=PAIRS,
        headers=PAIRS,
        body=st.lists(st.tuples(st.text(), VALUES)).map(tuple),
        position=st.none() | st.integers(),
        size=st.none() | st.integers(1),
        rows=st.none() | st.integers(0),
        found=PAIRS,
    )
)
def test_an_ask_survives_json_and_can_be_hashed(ask: Ask) -> None:
    assert Ask.from_json(json.loads(json.dumps(ask.to_json()))) == ask
    assert hash(ask) == hash(Ask(*ask))
