"""`pagination=auto`: what a first answer shows, and that a guess is proved or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rest.paging.api import BASE, Api, Serve, Served, answer, attempt, follow, read

from trunkline.errors import ResponseError
from trunkline.rest.paging import Ask, Paging, Walk, paging_of, styles
from trunkline.rest.paging.detect import detect, told

AUTO = {"pagination": "auto"}
ROWS = [{"id": number} for number in range(10)]
URL = "https://api.example.com/rows?page=2"


def url_in(field: str, **more: Any) -> dict[str, Any]:
    return {"pagination": "nextUrl", "page.nextField": field, **more}


def token_in(field: str, param: str, **more: Any) -> dict[str, Any]:
    return {"pagination": "cursor", "page.nextField": field, "page.param": param, **more}


def counted(field: str) -> dict[str, Any]:
    return {"page.totalField": field}


OFFSET = {"pagination": "offset", "page.param": "offset"}
TOTAL = counted("total")
HAS_MORE = {"page.hasMoreField": "has_more"}


@pytest.mark.parametrize(
    ("document", "headers", "found"),
    [
        (None, {"Link": f'<{URL}>; rel="next"'}, {"pagination": "link"}),
        (
            None,
            {"link": f"<{URL}>; rel=next", "x-total-count": "40"},
            {"pagination": "link", "page.totalField": "header:X-Total-Count"},
        ),
        ({"next": URL}, {}, url_in("next")),
        ({"next": "/rows?page=2", "count": 40, "previous": None}, {}, url_in("next", **counted("count"))),
        ({"@odata.nextLink": URL, "@odata.count": 40}, {}, url_in("@odata.nextLink", **counted("@odata.count"))),
        ({"links": {"next": URL}}, {}, url_in("links.next")),
        ({"_links": {"next": {"href": "/rows?page=2"}}}, {}, url_in("_links.next.href")),
        ({"paging": {"cursors": {"after": "b"}, "next": URL}}, {}, url_in("paging.next")),
        (
            {"pagination": {"next": URL, "has_more": True}},
            {},
            url_in("pagination.next", **{"page.hasMoreField": "pagination.has_more"}),
        ),
        ({"d": {"__next": URL}}, {}, url_in("d.__next")),
        (
            {"nextRecordsUrl": "/query/01g-2000", "totalSize": 40, "done": False},
            {},
            url_in("nextRecordsUrl", **counted("totalSize")),
        ),
        ({"nextPageToken": "b"}, {}, token_in("nextPageToken", "pageToken")),
        ({"response_metadata": {"next_cursor": "b"}}, {}, token_in("response_metadata.next_cursor", "cursor")),
        ({"meta": {"nextCursor": "b"}, "total": 40}, {}, token_in("meta.nextCursor", "cursor", **TOTAL)),
        ({"next_cursor": "b", "has_more": True}, {}, token_in("next_cursor", "cursor", **HAS_MORE)),
        ({"continuation": "b"}, {}, token_in("continuation", "continuation")),
        ({"metadata": {"continue": "b"}}, {}, token_in("metadata.continue", "continue")),
        ({"paging": {"next": {"after": "10", "link": URL}}}, {}, token_in("paging.next.after", "after")),
        ({"offset": "itrA/recB"}, {}, token_in("offset", "offset")),
        ({"next_page": 2}, {}, token_in("next_page", "page")),
        (
            {"data": {"viewer": {"repos": {"pageInfo": {"endCursor": "b", "hasNextPage": True}}}}},
            {},
            token_in(
                "data.viewer.repos.pageInfo.endCursor",
                "variables.after",
                **{"page.in": "body", "page.hasMoreField": "data.viewer.repos.pageInfo.hasNextPage"},
            ),
        ),
        (
            {"pageInfo": {"endCursor": "b", "hasNextPage": True}},
            {},
            token_in("pageInfo.endCursor", "after", **{"page.hasMoreField": "pageInfo.hasNextPage"}),
        ),
        (
            None,
            {"x-ms-continuation": "b"},
            {
                "pagination": "headerCursor",
                "page.nextField": "x-ms-continuation",
                "page.param": "x-ms-continuation",
                "page.in": "header",
            },
        ),
        (None, {"next-page": URL}, {"pagination": "headerCursor", "page.nextField": "Next-Page", "page.param": "page"}),
        ({"total": 40}, {}, {**OFFSET, **TOTAL}),
        ({"total": 40, "has_more": True}, {}, {**OFFSET, **TOTAL, **HAS_MORE}),
        (None, {"Content-Range": "rows 0-9/40"}, {**OFFSET, **counted("header:Content-Range")}),
        ({"page": 1, "total": 40}, {}, {"pagination": "page", "page.param": "page", "page.start": 1, **TOTAL}),
        (
            {"page": {"number": 0, "totalPages": 4, "totalElements": 40}},
            {},
            {"pagination": "page", "page.param": "page", "page.start": 0, "page.totalField": "page.totalElements"},
        ),
        (
            {"startIndex": 1, "itemsPerPage": 10, "totalResults": 40},
            {},
            {"pagination": "offset", "page.param": "startIndex", "page.start": 1, "page.totalField": "totalResults"},
        ),
        ({"total": 10}, {}, {"pagination": "none"}),
        ({"has_more": False}, {}, {"pagination": "none"}),
        ({"done": True}, {}, {"pagination": "none"}),
        ({"next": None}, {}, {"pagination": "none"}),
        ({"nextPageToken": ""}, {}, {"pagination": "none"}),
        ({"page": 1, "total_pages": 1}, {}, {"pagination": "none"}),
        ({"data": {"x": {"pageInfo": {"endCursor": "b", "hasNextPage": False}}}}, {}, {"pagination": "none"}),
        (None, {"Link": f'<{URL}>; rel="first"'}, {"pagination": "none"}),
    ],
)  # fmt: skip
def test_what_a_first_answer_shows(document: Any, headers: dict[str, str], found: dict[str, Any]) -> None:
    assert detect(answer(ROWS, document, headers)) == found


NO_PROOF = "nothing says whether there is more than these 10 rows"


@pytest.mark.parametrize(
    ("document", "headers", "seen"),
    [
        (None, {}, NO_PROOF),
        ({}, {}, NO_PROOF),
        ({"status": "ok"}, {}, NO_PROOF),
        ({"count": 10}, {}, NO_PROOF),  # of the page or of all: it does not say
        ({"total": 3}, {}, NO_PROOF),  # of something else
        ({"user": {"next": None}}, {}, NO_PROOF),
        ({"pageInfo": {"endCursor": "b"}}, {}, NO_PROOF),
        (None, {"Link": "</style.css>; rel=preload"}, NO_PROOF),
        ({"has_more": True}, {}, "has_more says that there is more, but not how to ask for it"),
        ({"last": False}, {}, "the answer says that there is more, but not how to ask for it"),
        ({"has_more": True, "total": 10}, {}, "has_more says that there is more, but not how to ask for it"),
        ({"page": 1, "total_pages": 4}, {}, "total_pages says 4 pages, but not how many rows they hold"),
        ({"next": "b2Zm", "total": 40}, {}, "next holds a token, but not the parameter that takes it"),
        ({"offset": 20, "total": 40}, {}, "offset=20: this is not the first page"),
    ],
)
def test_one_page_is_never_taken_for_all(document: Any, headers: dict[str, str], seen: str) -> None:
    with pytest.raises(ResponseError) as error:
        detect(answer(ROWS, document, headers))
    text = str(error.value)
    assert text.startswith(f"{BASE}: pagination=auto cannot tell how to go on: {seen}. Set pagination=")
    assert text.endswith("; if this page is all there is, pagination=none")


def test_the_options_to_set_are_told() -> None:
    with pytest.raises(ResponseError) as error:
        detect(answer(ROWS, {"next": "b2Zm"}))
    assert "Set pagination=cursor and page.nextField=next and page.param=...;" in str(error.value)
    assert told({"pagination": "offset", "page.start": 1}) == "pagination=offset and page.start=1"


def test_no_rows_where_the_total_says_some_is_an_error_that_names_records() -> None:
    """As with {"errors": [], "result": [...]}, where the rows were looked for in the wrong list."""
    with pytest.raises(
        ResponseError, match=r"total says 3 rows, but none came; if they stand elsewhere .* set records"
    ):
        detect(answer([], {"errors": [], "total": 3}))


def test_no_rows_and_no_sign_of_any_are_all_there_is() -> None:
    assert detect(answer([], {})) == {"pagination": "none"}


def windows(param: str, around: Callable[[int, int, int], tuple[Any, dict[str, str]]], by: int = 1) -> Any:
    """A server that goes by an offset, a page number or a token of one parameter, and ignores all others."""

    def serve_of(rows: list[Any], cap: int) -> Serve:
        def serve(asked: dict[str, Any]) -> Served:
            begin = int(asked.get(param, 0)) * (cap if by else 1)
            page = rows[begin : begin + cap]
            return page, *around(begin, begin + len(page), len(rows))

        return serve

    return serve_of


def token(name: str, last: Any = None, prefix: str = "") -> Callable[[int, int, int], tuple[Any, dict[str, str]]]:
    def around(begin: int, end: int, total: int) -> tuple[Any, dict[str, str]]:
        return {name: f"{prefix}{end}" if end < total else last}, {}

    return around


def filtering(rows: list[Any], cap: int) -> Serve:
    """A server to which every parameter is a field to filter by."""

    def serve(asked: dict[str, Any]) -> Served:
        return ([], {"next_cursor": None}, {}) if asked else (rows[:cap], {"next_cursor": "7"}, {})

    return serve


SERVERS = {
    "nextPageToken": windows("pageToken", lambda b, e, n: ({"nextPageToken": str(e)} if e < n else {}, {}), by=0),
    "next_page_token": windows("page_token", token("next_page_token", ""), by=0),
    "next_cursor": windows("cursor", token("next_cursor"), by=0),
    "@odata.nextLink": windows(
        "$skip",
        lambda b, e, n: ({"@odata.count": n, **({"@odata.nextLink": f"?$skip={e}"} if e < n else {})}, {}),
        by=0,
    ),
    "@odata.nextLink, null": windows("$skip", token("@odata.nextLink", prefix=f"{BASE}?$skip="), by=0),
    "has_more, total": windows("offset", lambda b, e, n: ({"has_more": e < n, "total": n}, {}), by=0),
    "errors, result, total": windows("offset", lambda b, e, n: ({"errors": [], "total": n}, {}), by=0),
    "skip, total": windows("skip", lambda b, e, n: ({"skip": b, "limit": 10, "total": n}, {}), by=0),
    "page number from 0, total": windows("page", lambda b, e, n: ({"page": b // 10, "total": n}, {})),
    "X-Total-Count": windows("offset", lambda b, e, n: (None, {"x-total-count": str(n)}), by=0),
    "Link": windows("o", lambda b, e, n: (None, {"link": f"<?o={e}>; rel=next" if e < n else "<?>; rel=first"}), by=0),
    "headers": windows("cursor", lambda b, e, n: (None, {"x-next-cursor": str(e)} if e < n else {}), by=0),
    # What no convention tells, or tells wrongly.
    "other token": windows("start_cursor", token("next_cursor"), by=0),
    "token, other offset": windows("from", lambda b, e, n: ({"total": n}, {}), by=0),
    "page number, no echo": windows("page", lambda b, e, n: ({"total": n}, {})),
    "has_more alone": windows("offset", lambda b, e, n: ({"has_more": e < n}, {}), by=0),
    "bare": windows("offset", lambda b, e, n: (None, {}), by=0),
    "errors, result": windows("offset", lambda b, e, n: ({"errors": []}, {}), by=0),
    "count of the page": windows("offset", lambda b, e, n: ({"count": e - b}, {}), by=0),
    "total of something else": windows("offset", lambda b, e, n: ({"total": 15}, {}), by=0),
    "offset in pages": windows("offset", lambda b, e, n: ({"total": n}, {})),
    "page from 0 that says 1": windows("page", lambda b, e, n: ({"page": 1 + b // 10, "total": n}, {})),
    "filters by what it does not know": filtering,
}
# Those that must be read, not only refused.
READ = [name for name in SERVERS if list(SERVERS).index(name) < list(SERVERS).index("other token")]


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("count", [11, 20, 35])
def test_known_conventions_are_read_to_the_end(name: str, count: int) -> None:
    rows = [{"id": number} for number in range(count)]
    assert read(AUTO, SERVERS[name](rows, 10)) == rows


@given(st.sampled_from(list(SERVERS)), st.integers(0, 45))
def test_auto_reads_every_row_once_or_says_what_to_set(name: str, count: int) -> None:
    rows = [{"id": number} for number in range(count)]
    found, said = attempt(AUTO, SERVERS[name](rows, 10))
    assert found == rows or (found is None and "pagination=" in said)


def test_a_guess_that_fails_on_the_second_page_names_what_was_tried() -> None:
    rows = [{"id": number} for number in range(25)]
    with pytest.raises(ResponseError) as error:
        read(AUTO, SERVERS["other token"](rows, 10))
    assert str(error.value) == (
        f"{BASE}: page 2 holds the same 10 rows as page 1: the server does not go by cursor, or starts again at the "
        "end. Correct page.param and page.in; where it starts again, say when the pages end by page.totalField, "
        "page.hasMoreField or page.stop\n"
        "pagination=auto went by pagination=cursor and page.nextField=next_cursor and page.param=cursor; if the API "
        "has another way, set that instead"
    )


def test_a_server_that_filters_by_a_parameter_it_does_not_know_is_found_out() -> None:
    """An empty second page proves nothing, although it names no third."""
    with pytest.raises(ResponseError, match="no rows came after the first page, so it is not proved that the server"):
        read(AUTO, SERVERS["filters by what it does not know"](ROWS * 2, 10))


def test_a_walk_goes_on_by_the_style_that_was_found() -> None:
    """Each ask carries it, also through JSON: the last page alone would show nothing."""
    rows = [{"id": number} for number in range(25)]
    serve = SERVERS["nextPageToken"](rows, 10)
    walk = Walk(paging_of(AUTO))
    walk.take(answer(*serve({})))
    assert walk.ask is not None
    found = (("pagination", "cursor"), ("page.nextField", "nextPageToken"), ("page.param", "pageToken"))
    assert walk.ask == Ask(params=(("pageToken", "10"),), rows=10, found=found)
    later = Walk(paging_of(AUTO), first=Ask.from_json(walk.ask.to_json()))
    assert follow(later, serve) == rows[10:]


def test_the_style_that_was_found_is_made_once_for_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Mapping[str, Any]] = []

    def noted(options: Mapping[str, Any]) -> Paging:
        made.append(options)
        return paging_of(options)

    monkeypatch.setattr(styles, "paging_of", noted)
    styles._style.cache_clear()
    rows = [{"id": number} for number in range(100)]
    walk = Walk(paging_of({**AUTO, "page.size": 4, "page.sizeParam": "once"}))
    assert follow(walk, SERVERS["nextPageToken"](rows, 4)) == rows
    assert len(made) == 1


def test_what_is_given_is_kept_and_the_rest_is_found() -> None:
    options = {**AUTO, "page.size": 7, "page.sizeParam": "size", "page.totalField": "meta.n", "page.in": "query"}
    paging = paging_of(options)
    first = Ask(params=(("size", "7"),), size=7)
    found = (("pagination", "offset"), ("page.param", "offset"), ("page.totalField", "meta.n"))
    second = Ask(params=(("size", "7"), ("offset", "7")), position=7, size=7, rows=7, found=found)
    assert (paging.first(), paging.next(first, answer(ROWS[:7], {"meta": {"n": 9}}))) == (first, second)
    assert paging.smaller(first) == Ask(params=(("size", "3"),), size=3)
    assert paging.smaller(second) == second._replace(params=(("size", "3"), ("offset", "7")), size=3)


@pytest.mark.parametrize("style", ["link", "nextUrl"])
@given(st.integers(0, 60), st.integers(1, 12))
def test_links_are_found_and_read_whatever_the_size(style: str, count: int, cap: int) -> None:
    rows = [{"id": number} for number in range(count)]
    api = Api(rows, style, cap)
    found, said = attempt(AUTO, api)
    if found is None:
        # A bare array without a link to a next page proves nothing.
        assert (style, count <= cap, "nothing says whether there is more" in said) == ("link", True, True)
    else:
        assert found == rows


def test_a_smaller_page_keeps_the_style_that_was_found() -> None:
    paging = paging_of({**AUTO, "page.size": 10, "page.sizeParam": "size"})
    second = paging.next(paging.first(), answer(ROWS, {"page": 1, "total": 40}))
    assert second is not None
    third = second._replace(params=(("size", "5"), ("page", "3")), position=3, size=5)
    assert (paging.smaller(second), dict(second.found)["pagination"]) == (third, "page")
