"""Links in headers and in answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rest.paging.api import answer

from trunkline.errors import OptionError, ResponseError
from trunkline.rest.paging import Ask, paging_of
from trunkline.rest.paging.links import links

NEXT = "https://api.example.com/rows?page=2"
LINK = {"pagination": "link"}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f'<{NEXT}>; rel="next"', [(NEXT, {"next"})]),
        (f"<{NEXT}>; rel=next", [(NEXT, {"next"})]),
        (f'<{NEXT}>;rel="NEXT last";title="a, b; c"', [(NEXT, {"next", "last"})]),
        (f'<{NEXT}> ; title="say \\"rel=prev\\"" ; rel = "next"', [(NEXT, {"next"})]),
        ('<a,b;c>; rel="prev", <d>; rel="next"', [("a,b;c", {"prev"}), ("d", {"next"})]),
        ("<a>; rel=first; rel=next", [("a", {"first"})]),
        ('<a>; anchor="#part"; rel=next, <b>; rel=next', [("b", {"next"})]),
        ("<a>; nofollow; rel=next", [("a", {"next"})]),
        ("<a>", [("a", set())]),
        (" , <a>; rel=next,,", [("a", {"next"})]),
        ("junk; rel=next, <a>; rel=next", [("a", {"next"})]),
        ("<a>; rel=next junk, <b>; rel=prev", [("a", {"next"}), ("b", {"prev"})]),
        ("", []),
    ],
)
def test_a_link_header_is_read_as_rfc_8288_has_it(header: str, found: list[Any]) -> None:
    assert [(url, set(rels)) for url, rels in links(header)] == found


@given(st.text("<>;,=\" \\relnxt'", max_size=60))
def test_no_link_header_breaks_the_reader(header: str) -> None:
    assert all(isinstance(url, str) for url, _ in links(header))


def following(options: dict[str, Any], document: Any = None, **headers: str) -> Ask | None:
    paging = paging_of(options)
    return paging.next(paging.first(), answer([1], document, headers))


def test_a_link_is_followed_until_there_is_none() -> None:
    assert following(LINK, link=f'<{NEXT}>; rel="next"') == Ask(url=NEXT, rows=1)
    assert following(LINK, link=f'<{NEXT}>; rel="prev"') is None
    assert following(LINK) is None


def test_the_relation_may_have_another_name() -> None:
    assert following({**LINK, "page.nextField": "Older"}, Link=f"<{NEXT}>; rel=older") == Ask(url=NEXT, rows=1)


def test_a_link_carries_the_query_but_not_headers_and_body() -> None:
    sized = {**LINK, "page.size": 5, "page.sizeParam": "size"}
    assert paging_of(sized).first() == Ask(params=(("size", "5"),), size=5)
    assert following(sized, Link=f"<{NEXT}>; rel=next") == Ask(url=NEXT, size=5, rows=1)
    in_header = {**sized, "page.in": "header"}
    assert following(in_header, Link=f"<{NEXT}>; rel=next") == Ask(url=NEXT, headers=(("size", "5"),), size=5, rows=1)


@pytest.mark.parametrize(
    ("field", "document"),
    [
        ("@odata.nextLink", {"@odata.nextLink": NEXT}),
        ("links.next", {"links": {"next": NEXT}}),
        ("links.next", {"links": {"next": {"href": NEXT}}}),
        ("_links.next.href", {"_links": {"next": {"href": NEXT}}}),
    ],
)
def test_a_url_in_the_answer_is_followed(field: str, document: Any) -> None:
    assert following({"pagination": "nextUrl", "page.nextField": field}, document) == Ask(url=NEXT, rows=1)


@pytest.mark.parametrize("document", [{}, {"next": None}, {"next": ""}, {"next": False}, {"next": {"href": None}}])
def test_no_url_is_the_end(document: Any) -> None:
    assert following({"pagination": "nextUrl", "page.nextField": "next"}, document) is None


@pytest.mark.parametrize("value", [7, ["u"], True, {"href": 7}])
def test_what_is_no_url_is_an_error(value: Any) -> None:
    with pytest.raises(ResponseError, match=r"page\.nextField=next is no URL; if it is a token, use pagination=cursor"):
        following({"pagination": "nextUrl", "page.nextField": "next"}, {"next": value})


@pytest.mark.parametrize("style", [LINK, {"pagination": "nextUrl", "page.nextField": "next"}])
def test_more_without_a_link_is_an_error(style: dict[str, Any]) -> None:
    with pytest.raises(ResponseError, match="the answer says that there are more rows, but"):
        following({**style, "page.hasMoreField": "has_more"}, {"has_more": True, "next": None})


def test_only_the_first_page_can_be_made_smaller() -> None:
    paging = paging_of({**LINK, "page.size": 5, "page.sizeParam": "size"})
    assert paging.smaller(paging.first()) == Ask(params=(("size", "2"),), size=2)
    assert paging.smaller(Ask(url=NEXT, size=5)) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pagination": "cursor"}, "page.nextField is missing: pagination=cursor needs it"),
        ({"pagination": "lastRecord"}, "page.cursorField is missing: pagination=lastRecord needs it"),
        ({"pagination": "pages"}, "pagination=pages is unknown"),
        ({"pagination": "page", "page.start": "a"}, "page.start=a is no number"),
        ({"pagination": "page", "page.stop": "total"}, "page.stop=total needs page.totalField"),
        (
            {"pagination": "page", "page.stop": "short"},
            "page.stop=short needs page.size and page.sizeParam, or no page could be told to be short",
        ),
    ],
)
def test_options_that_say_too_little_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as error:
        paging_of(options)
    assert str(error.value) == message


@pytest.mark.parametrize("style", [LINK, {"pagination": "nextUrl", "page.nextField": "next"}])
def test_a_start_is_the_url_of_the_first_page(style: dict[str, Any]) -> None:
    """How many rows lie before it is not known, so no total is held against it."""
    assert paging_of(style).first(NEXT) == Ask(url=NEXT, rows=None)


@pytest.mark.parametrize("name", ["header:Next-Page", "HEADER: next-page"])
def test_a_url_may_stand_in_a_header_of_its_own(name: str) -> None:
    """It ends where the header is absent."""
    paging = paging_of({"pagination": "nextUrl", "page.nextField": name})
    following = paging.next(paging.first(), answer([{"id": 1}], None, {"Next-Page": NEXT}))
    assert following is not None
    assert following.url == NEXT
    assert paging.next(following, answer([{"id": 2}], None, {})) is None
