"""Datasets served in pages: every style, its flaws, and what the server says went out."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from tests.testing.client import exchange_bytes, get

from trunkline.testing import FaultServer

pytest_plugins = ["trunkline.testing.plugin"]

IDS: dict[str, Any] = {"template": {"id": {"times": 1}}}


def ask(server: FaultServer, target: str = "/items", **options: Any) -> requests.Response:
    return requests.get(urljoin(server.url, target), timeout=60, **options)


def body(server: FaultServer, target: str = "/items", **options: Any) -> Any:
    return ask(server, target, **options).json()


def ids(document: Any) -> list[Any]:
    return [row["id"] for row in (document["items"] if isinstance(document, dict) else document)]


def follow(server: FaultServer, most: int = 10, **params: Any) -> Iterator[list[Any]]:
    """The ids of each page, by the cursor in `next`."""
    for _ in range(most):
        page = body(server, params=params)
        yield ids(page)
        if page.get("next") is None:
            return
        params["cursor"] = page["next"]


def test_made_rows_have_an_id_a_name_a_time_and_an_amount(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=1_000_000, size=2, total=True)
    assert body(fault_server, "/items?offset=86399") == {
        "items": [
            {"id": 86399, "name": "item-86399", "at": "2026-01-01T23:59:59Z", "amount": 43199.5},
            {"id": 86400, "name": "item-86400", "at": "2026-01-02T00:00:00Z", "amount": 43200.0},
        ],
        "total": 1_000_000,
    }


def test_a_template_makes_numbers_texts_times_turns_objects_and_constants(fault_server: FaultServer) -> None:
    template = {
        "id": {"times": 2, "plus": 1},
        "mod": {"mod": 2},
        "code": "{i:03}-{i}",
        "at": {"time": "2026-02-28T23:59:30+01:00", "every": 90},
        "fine": {"time": "2026-01-01T00:00:00Z", "every": 0.5},
        "kind": {"of": ["a", "b", None]},
        "in": {"x": {"times": 1}, "tags": [1]},
        "unit": "EUR",
    }
    fault_server.dataset("GET /items", count=4, template=template, records="")
    assert body(fault_server, "/items?offset=2") == [
        {
            "id": 5, "mod": 0, "code": "002-2", "at": "2026-02-28T23:02:30Z", "fine": "2026-01-01T00:00:01Z",
            "kind": None, "in": {"x": 2, "tags": [1]}, "unit": "EUR",
        },
        {
            "id": 7, "mod": 1, "code": "003-3", "at": "2026-02-28T23:04:00Z", "fine": "2026-01-01T00:00:01.500000Z",
            "kind": "a", "in": {"x": 3, "tags": [1]}, "unit": "EUR",
        },
    ]  # fmt: skip


def test_without_paging_everything_comes_at_once(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=250, paging="none", **IDS)
    assert ids(body(fault_server, "/items?limit=1&offset=7")) == list(range(250))


def test_offset_paging_takes_a_limit_up_to_a_silent_cap(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=7, size=2, cap=3, **IDS)
    targets = ("", "?offset=2", "?offset=2&limit=3", "?offset=2&limit=100", "?offset=6", "?offset=7", "?offset=99")
    pages = [ids(body(fault_server, f"/items{query}")) for query in targets]
    assert pages == [[0, 1], [2, 3], [2, 3, 4], [2, 3, 4], [6], [], []]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "offset=-1", "offset="])
def test_a_parameter_that_is_no_number_is_refused(fault_server: FaultServer, query: str) -> None:
    fault_server.dataset("GET /items", count=3)
    assert ask(fault_server, f"/items?{query}").status_code == 400


def test_page_paging_counts_from_any_number(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=5, paging="page", size=2, first_page=0, page_param="p", **IDS)
    pages = [ids(body(fault_server, f"/items?{query}")) for query in ("", "p=1", "p=2", "p=3", "p=1&page_size=3")]
    assert pages == [[0, 1], [2, 3], [4], [], [3, 4]]


def test_an_unknown_parameter_gets_the_first_page_again(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=5, paging="page", size=2, page_param="p", **IDS)
    assert [ids(body(fault_server, f"/items?page={n}")) for n in (1, 2, 3)] == [[0, 1]] * 3


@pytest.mark.parametrize(("beyond", "seen"), [(200, (200, [])), (404, (404, None)), ("last", (200, [4]))])
def test_past_the_end_is_empty_or_refused_or_the_last_page_again(
    fault_server: FaultServer, beyond: Any, seen: tuple[int, Any]
) -> None:
    fault_server.dataset("GET /items", count=5, paging="page", size=2, beyond=beyond, **IDS)
    answer = ask(fault_server, "/items?page=9")
    assert (answer.status_code, ids(answer.json()) if answer.ok else None) == seen


def test_a_cursor_leads_through_all_rows(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=5, paging="cursor", size=2, **IDS)
    assert list(follow(fault_server)) == [[0, 1], [2, 3], [4]]
    assert list(follow(fault_server, limit=3)) == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize("count", [0, 1, 4, 5])
@pytest.mark.parametrize(
    "options",
    [
        {"paging": "cursor"}, {"paging": "cursor", "keyset": True}, {"paging": "cursor", "short_pages": {1: 0, 2: 1}},
        {"paging": "cursor", "next_missing": "token"}, {"paging": "nextUrl", "by": "page"},
        {"paging": "nextUrl", "by": "offset"}, {"paging": "nextUrl", "by": "cursor", "next_form": "query"},
    ],
)  # fmt: skip
def test_every_row_goes_out_once(fault_server: FaultServer, options: dict[str, Any], count: int) -> None:
    fault_server.dataset("GET /items", count=count, size=2, **options, **IDS)
    following = "/items"
    while following:
        following = body(fault_server, following)["next"] or ""
        if following and options["paging"] == "cursor":
            following = f"/items?cursor={following}"
        following = following and urljoin(fault_server.url_for("/items"), following)
    assert fault_server.served("/items") == list(range(count))


def test_a_cursor_is_opaque_and_bound_to_its_filters(fault_server: FaultServer) -> None:
    """It may come alone or with the filters it was made for; with others, or made up, it is refused."""
    fault_server.dataset("GET /items", count=9, paging="cursor", size=2, filters={"from": ["id", "ge"]}, **IDS)
    cursor = body(fault_server, "/items?from=4")["next"]
    answers = [ask(fault_server, f"/items?cursor={cursor}{more}") for more in ("", "&from=4", "&from=5", "x", "%00")]
    assert [ids(one.json()) if one.ok else one.json()["error"] for one in answers] == [
        [6, 7], [6, 7], "the cursor belongs to another query", "unknown cursor", "unknown cursor",
    ]  # fmt: skip


def test_a_cursor_of_another_dataset_is_refused(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=9, paging="cursor", size=2, filters={"from": ["id", "ge"]}, **IDS)
    fault_server.dataset("GET /others", count=9, paging="cursor", size=2, **IDS)
    cursor = body(fault_server, "/items?from=4")["next"]
    assert ask(fault_server, f"/others?cursor={cursor}").status_code == 400


def test_a_cursor_can_expire(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=9, paging="cursor", size=2, token_uses=1, **IDS)
    cursor = body(fault_server)["next"]
    assert [ask(fault_server, f"/items?cursor={cursor}").status_code for _ in range(2)] == [200, 410]


def test_cursors_travel_in_a_header_of_the_request(fault_server: FaultServer) -> None:
    options: Any = {"params_in": "header", "cursor_param": "X-Continue", "limit_param": "X-Max"}
    fault_server.dataset("GET /items", count=5, paging="cursor", **options, **IDS)
    first = body(fault_server, headers={"x-max": "3"})
    assert ids(body(fault_server, headers={"X-Continue": first["next"]})) == [3, 4]


def test_graphql_takes_variables_and_gives_page_info(fault_server: FaultServer) -> None:
    """The end cursor stands there on the last page too, and leads to an empty one."""
    fault_server.dataset(
        "POST /graphql", count=3, paging="cursor", params_in="body", cursor_param="variables.after",
        limit_param="variables.first", records="data.items.nodes", next_field="data.items.pageInfo.endCursor",
        has_more="data.items.pageInfo.hasNextPage", next_missing="token", total=True,
        total_field="data.items.totalCount", **IDS,
    )  # fmt: skip

    def query(after: str | None) -> Any:
        variables = {"first": 2, "after": after}
        answer = requests.post(
            fault_server.url_for("/graphql"), json={"query": "{ items }", "variables": variables}, timeout=5
        )
        return answer.json()["data"]["items"]

    first = query(None)
    second = query(first["pageInfo"]["endCursor"])
    third = query(second["pageInfo"]["endCursor"])
    assert [one["nodes"] for one in (first, second, third)] == [[{"id": 0}, {"id": 1}], [{"id": 2}], []]
    assert [one["pageInfo"]["hasNextPage"] for one in (first, second, third)] == [True, False, False]
    assert [set(one) for one in (first, second)] == [{"nodes", "pageInfo", "totalCount"}] * 2


def test_parameters_come_from_a_form(fault_server: FaultServer) -> None:
    fault_server.dataset("POST /search", count=5, params_in="body", **IDS)
    answer = requests.post(fault_server.url_for("/search"), data={"offset": "3", "limit": "1"}, timeout=60)
    assert ids(answer.json()) == [3]


def test_a_link_header_names_the_first_next_and_last_page(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=5, paging="link", size=2, records="", **IDS)
    url = fault_server.url_for("/items")
    assert ask(fault_server, "/items?x=a%20b").headers["Link"] == (
        f'<{url}?x=a+b&page=1>; rel="first", <{url}?x=a+b&page=2>; rel="next", <{url}?x=a+b&page=3>; rel="last"'
    )
    assert ask(fault_server, "/items?page=3").headers["Link"] == (
        f'<{url}?page=1>; rel="first", <{url}?page=3>; rel="last"'
    )


@pytest.mark.parametrize(
    ("links", "written"),
    [
        ("many", [b'</i?offset=0>; rel="first"', b'</i?offset=2>; rel="next"', b'</i?offset=2>; rel="last"']),
        ("bare", [b"</i?offset=0>; rel=first, </i?offset=2>; rel=next, </i?offset=2>; rel=last"]),
        (
            "tricky",
            [
                (
                    rb'</i?offset=0> ;title="a, <b>; rel=\"next\"" ; REL="chapter first", '
                    rb'</i?offset=2> ;title="a, <b>; rel=\"next\"" ; REL="chapter next", '
                    rb'</i?offset=2> ;title="a, <b>; rel=\"next\"" ; REL="chapter last"'
                )
            ],
        ),
    ],
)
def test_links_are_written_in_every_way_rfc_8288_allows(
    fault_server: FaultServer, links: str, written: list[bytes]
) -> None:
    options: Any = {"paging": "link", "by": "offset", "size": 2, "links": links, "next_form": "path"}
    fault_server.dataset("GET /i", count=3, **options)
    head = exchange_bytes(fault_server, get("/i"))[0].partition(b"\r\n\r\n")[0]
    assert [line[6:] for line in head.split(b"\r\n") if line.startswith(b"Link: ")] == written


def test_links_by_cursor_know_no_last_page(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=3, paging="link", by="cursor", size=2, **IDS)
    first = ask(fault_server)
    assert set(first.links) == {"next"}
    second = ask(fault_server, first.links["next"]["url"])
    assert (ids(second.json()), second.links) == ([2], {})


@pytest.mark.parametrize(
    ("form", "address"),
    [
        ("absolute", "{url}/v1/items?limit=2&page=2"), ("network", "//{host}/v1/items?limit=2&page=2"),
        ("path", "/v1/items?limit=2&page=2"), ("relative", "items?limit=2&page=2"), ("query", "?limit=2&page=2"),
    ],
)  # fmt: skip
def test_the_next_address_is_absolute_or_relative(fault_server: FaultServer, form: str, address: str) -> None:
    fault_server.dataset("GET /v1/items", count=4, paging="nextUrl", limit_param="limit", next_form=form, **IDS)
    url = fault_server.url_for("/v1/items?limit=2")
    following = body(fault_server, url)["next"]
    assert following == address.format(url=fault_server.url, host=fault_server.url.partition("//")[2])
    assert body(fault_server, urljoin(url, following)) == {"items": [{"id": 2}, {"id": 3}], "next": None}


def test_odata_names_the_next_address_and_the_count(fault_server: FaultServer) -> None:
    options: Any = {"next_field": "@odata.nextLink", "next_missing": "absent", "total_field": "@odata.count"}
    fault_server.dataset("GET /items", count=3, paging="nextUrl", size=2, records="value", total=True, **options, **IDS)
    url = fault_server.url_for("/items")
    assert body(fault_server) == {
        "value": [{"id": 0}, {"id": 1}], "@odata.nextLink": f"{url}?page=2", "@odata.count": 3,
    }  # fmt: skip
    assert body(fault_server, "/items?page=2") == {"value": [{"id": 2}], "@odata.count": 3}


def test_over_tls_the_next_address_is_https_unless_told_otherwise() -> None:
    with FaultServer(tls=True) as server:
        server.dataset("GET /items", count=3, paging="nextUrl", size=2)
        server.dataset("GET /down", count=3, paging="nextUrl", size=2, next_host="main")
        pages = [requests.get(server.tls_url + path, verify=server.ca_file, timeout=60) for path in ("/items", "/down")]
        assert [page.json()["next"] for page in pages] == [
            f"{server.tls_url}/items?page=2",
            f"{server.url}/down?page=2",
        ]


@pytest.mark.parametrize("host", ["other", "http://127.0.0.1:9"])
def test_the_next_address_can_lead_to_another_host(fault_server: FaultServer, host: str) -> None:
    fault_server.dataset("GET /items", count=3, paging="nextUrl", size=2, next_host=host)
    named = fault_server.other_url if host == "other" else host
    assert body(fault_server)["next"] == f"{named}/items?page=2"


def test_last_record_paging_goes_on_after_a_value_whether_the_row_still_stands_or_not(
    fault_server: FaultServer,
) -> None:
    fault_server.dataset("GET /items", rows=[{"id": n} for n in (5, 1, 9, 3, 7)], paging="lastRecord", size=2)
    assert [ids(body(fault_server, f"/items?{q}")) for q in ("", "after=3", "after=6", "after=9")] == [
        [1, 3], [5, 7], [7, 9], [],
    ]  # fmt: skip
    fault_server.dataset("GET /down", count=5, paging="lastRecord", size=2, sort="-id", after_param="max_id", **IDS)
    assert [ids(body(fault_server, f"/down?{q}")) for q in ("", "max_id=3", "max_id=0")] == [[4, 3], [2, 1], []]


def test_the_next_cursor_comes_in_a_header_of_the_answer(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=3, paging="headerCursor", size=2, records="", next_header="X-More", **IDS)
    first = ask(fault_server)
    second = ask(fault_server, params={"cursor": first.headers["X-More"]})
    assert (first.json(), second.json(), "X-More" in second.headers) == ([{"id": 0}, {"id": 1}], [{"id": 2}], False)


def test_an_envelope_has_constant_fields_and_a_flag(fault_server: FaultServer) -> None:
    options: Any = {"records": "result", "envelope": {"errors": []}, "has_more": "meta.has_more"}
    fault_server.dataset("GET /items", count=3, size=2, **options, **IDS)
    assert [body(fault_server, f"/items?offset={n}") for n in (0, 2)] == [
        {"errors": [], "result": [{"id": 0}, {"id": 1}], "meta": {"has_more": True}},
        {"errors": [], "result": [{"id": 2}], "meta": {"has_more": False}},
    ]


@pytest.mark.parametrize(("missing", "end"), [("null", {"next": None}), ("absent", {}), ("empty", {"next": ""})])
def test_the_end_is_null_or_absent_or_empty(fault_server: FaultServer, missing: str, end: dict[str, Any]) -> None:
    fault_server.dataset("GET /items", count=1, paging="cursor", next_missing=missing, **IDS)
    assert body(fault_server) == {"items": [{"id": 0}], **end}


def test_the_total_stands_in_the_answer_or_a_header_or_nowhere(fault_server: FaultServer) -> None:
    for path, total in (("/a", True), ("/b", "header"), ("/c", False)):
        fault_server.dataset(f"GET {path}", count=2, total=total, filters={"min": ["id", "ge"]}, **IDS)
    answers = [ask(fault_server, f"{path}?min=1") for path in ("/a", "/b", "/c")]
    assert [(one.json(), one.headers.get("X-Total-Count")) for one in answers] == [
        ({"items": [{"id": 1}], "total": 1}, None), ({"items": [{"id": 1}]}, "1"), ({"items": [{"id": 1}]}, None),
    ]  # fmt: skip


def test_a_total_can_change_and_lie(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=3, totals=[100, 90], **IDS)
    assert [body(fault_server)["total"] for _ in range(3)] == [100, 90, 90]


def test_filters_compare_numbers_texts_and_times(fault_server: FaultServer) -> None:
    filters = {
        "since": ["at", "ge"], "until": ["at", "lt"], "min": ["id", "ge"], "above": ["id", "gt"], "max": ["id", "le"],
        "kind": ["kind", "eq"], "not": ["kind", "ne"], "any": ["kind", "in"], "ids": ["id", "in"],
    }  # fmt: skip
    template = {"id": {"times": 1}, "at": {"time": "2026-01-01T00:00:00Z"}, "kind": {"of": ["a", "b", None]}}
    asked = {
        "since=2026-01-01T00:00:02Z&until=2026-01-01T00:00:04Z": [2, 3],
        "since=2026-01-01T01:00:02.000%2B01:00&until=1767225604": [2, 3],
        "since=1767225604000": [4, 5],
        "since=2025-12-31&until=2026-01-01T00:00:01.0001": [0, 1],
        "min=4": [4, 5],
        "above=4": [5],
        "min=4.5": [5],
        "max=1": [0, 1],
        "kind=b": [1, 4],
        "not=b": [0, 3],
        "any=a,b&min=3": [3, 4],
        "ids=1,5,9": [1, 5],
        "kind=zzz": [],
        "min=3&max=2": [],
    }
    rows = [{"id": n, "at": f"2026-01-01T00:00:0{n}Z", "kind": ["a", "b", None][n % 3]} for n in range(6)]
    fault_server.dataset("GET /made", count=6, template=template, filters=filters)
    fault_server.dataset("GET /given", rows=rows, filters=filters)
    for path in ("/made", "/given"):
        assert {query: ids(body(fault_server, f"{path}?{query}")) for query in asked} == asked
        assert ask(fault_server, f"{path}?min=x").json() == {"error": "'x' cannot be compared with id, such as 0"}


def test_filters_come_from_the_path_and_from_a_body_too(fault_server: FaultServer) -> None:
    rows = [{"id": n, "user": "u" if n % 2 else "v"} for n in range(4)]
    filters = {"user": ["user", "eq"], "where.min": ["id", "ge"]}
    fault_server.dataset("POST /users/{user}/search", rows=rows, filters=filters)
    url = fault_server.url_for("/users/u/search")
    assert ids(requests.post(url, json={"where": {"min": 2}}, timeout=60).json()) == [3]
    assert fault_server.served("/users/{user}/search") == [3]


@pytest.mark.parametrize(("sort", "order"), [("v", [3, 1, 0, 2]), ("-v", [2, 0, 1, 3]), (None, [0, 1, 2, 3])])
def test_rows_are_sorted_by_a_column_those_without_it_first(
    fault_server: FaultServer, sort: str | None, order: list[int]
) -> None:
    rows = [{"id": 0, "v": 2}, {"id": 1, "v": 1}, {"id": 2, "v": 3}, {"id": 3}]
    fault_server.dataset("GET /items", rows=rows, sort=sort)
    assert ids(body(fault_server)) == order


def test_too_large_a_range_is_refused(fault_server: FaultServer) -> None:
    filters = {"min": ["id", "ge"], "max": ["id", "le"]}
    fault_server.dataset("GET /items", count=100, filters=filters, max_range_rows=10, **IDS)
    assert ids(body(fault_server, "/items?min=50&max=59")) == list(range(50, 60))
    refused = ask(fault_server, "/items?min=50&max=60")
    assert (refused.status_code, refused.json()) == (422, {"error": "the range holds 11 rows, more than 10"})
    fault_server.dataset("GET /items", count=100, max_range_rows=10, range_status=413)
    assert ask(fault_server).status_code == 413


def test_rows_beyond_a_window_are_counted_but_never_served(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=100, window=5, size=3, paging="cursor", total=True, **IDS)
    assert list(follow(fault_server)) == [[0, 1, 2], [3, 4]]
    assert body(fault_server)["total"] == 100


def test_rows_are_added_updated_and_deleted_while_they_are_read(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=3, **IDS)
    fault_server.add_rows("/items", [{"id": 8}])
    fault_server.add_rows("/items", [{"id": 9}], at="front")
    assert fault_server.update_rows("/items", [{"id": 1, "new": True}, {"id": 7}]) == 1
    assert fault_server.delete_rows("/items", [0, 77]) == 1
    rows = [{"id": 9}, {"id": 2}, {"id": 8}, {"id": 1, "new": True}, {"id": 7}]
    assert (body(fault_server), fault_server.rows("/items")) == ({"items": rows}, rows)


def test_what_does_not_exist_is_refused(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=3)
    with pytest.raises(ValueError, match="no rows are declared under '/other'"):
        fault_server.add_rows("/other", [])
    with pytest.raises(ValueError, match="at='middle': expected 'end', 'front' or a place"):
        fault_server.add_rows("/items", [], at="middle")


def test_rows_inserted_or_deleted_mid_read_shift_positions(fault_server: FaultServer) -> None:
    """A row inserted before the position comes twice, a row deleted there hides another one."""
    inserted = [{"after": 1, "insert": [{"id": 100}]}]
    fault_server.dataset("GET /items", count=5, size=2, changes=inserted, **IDS)
    assert [ids(body(fault_server, f"/items?offset={n}")) for n in (0, 2, 4)] == [[0, 1], [1, 2], [3, 4]]
    deleted = [{"after": 1, "delete": [0]}, {"after": 2, "update": [{"id": 1, "v": 2}], "insert": [{"id": 9}], "at": 1}]
    fault_server.dataset("GET /items", count=5, size=2, paging="cursor", changes=deleted, **IDS)
    assert list(follow(fault_server)) == [[0, 1], [3, 4]]
    assert fault_server.rows("/items") == [{"id": 2}, {"id": 9}, {"id": 3}, {"id": 4}, {"id": 1, "v": 2}]


def test_a_keyset_cursor_survives_what_happens_before_it(fault_server: FaultServer) -> None:
    changes = [{"after": 1, "insert": [{"id": -1}], "delete": [1]}]
    fault_server.dataset("GET /items", count=5, size=2, paging="cursor", keyset=True, changes=changes, **IDS)
    assert list(follow(fault_server)) == [[0, 1], [2, 3], [4]]


def test_a_token_can_repeat_go_back_or_end_early(fault_server: FaultServer) -> None:
    for next_page, pages in (
        ({2: 2}, [[0, 1], [2, 3], [2, 3], [2, 3], [2, 3]]),
        ({3: 2}, [[0, 1], [2, 3], [4, 5], [2, 3], [4, 5]]),
        ({2: 4}, [[0, 1], [2, 3], [6, 7], [8, 9], [10, 11]]),
        ({2: None}, [[0, 1], [2, 3]]),
    ):
        fault_server.dataset("GET /items", count=20, size=2, paging="cursor", next_page=next_page, **IDS)
        assert list(follow(fault_server, 5)) == pages


def test_a_repeated_token_is_the_very_same(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=20, size=2, paging="cursor", next_page={2: 2}, **IDS)
    token = body(fault_server)["next"]
    assert body(fault_server, params={"cursor": token})["next"] == token


def test_a_page_can_be_empty_or_short_although_more_follow(fault_server: FaultServer) -> None:
    options: Any = {"count": 7, "size": 2, "short_pages": {2: 0, 4: 1}}
    fault_server.dataset("GET /items", paging="cursor", **options, **IDS)
    assert list(follow(fault_server)) == [[0, 1], [], [2, 3], [4], [5, 6]]
    fault_server.dataset("GET /pages", paging="page", **options, has_more="more", **IDS)
    pages = [body(fault_server, f"/pages?page={n}") for n in range(1, 7)]
    assert [ids(page) for page in pages] == [[0, 1], [], [2, 3], [4], [5, 6], []]
    assert [page["more"] for page in pages] == [True, True, True, True, False, False]


def test_steps_before_the_dataset_answer_first_and_can_serve_it_broken(fault_server: FaultServer) -> None:
    steps: Any = [
        {"status": 503, "times": 2},
        {"when": {"count": [4, 4]}, "fault": "truncate", "dataset": {}},
        {"when": {"query": {"offset": "2"}}, "times": 1, "status": 401},
        {"when": {"query": {"offset": "4"}}, "times": 1, "body": "<html>", "headers": {"Content-Type": "text/html"}},
        {"when": {"query": {"offset": "4"}}, "times": 1, "body": {"error": "later"}},
    ]
    fault_server.dataset("GET /items", count=5, size=2, steps=steps, **IDS)

    def seen(offset: int) -> Any:
        try:
            answer = ask(fault_server, f"/items?offset={offset}")
        except requests.exceptions.ChunkedEncodingError:
            return "cut"
        return answer.status_code if not answer.ok else answer.text

    assert [seen(n) for n in (0, 0, 0, 0, 0, 2, 2, 4, 4, 4)] == [
        503, 503, '{"items":[{"id":0},{"id":1}]}', "cut", '{"items":[{"id":0},{"id":1}]}', 401,
        '{"items":[{"id":2},{"id":3}]}', "<html>", '{"error": "later"}', '{"items":[{"id":4}]}',
    ]  # fmt: skip
    assert fault_server.served("/items") == [0, 1, 0, 1, 2, 3, 4]


def test_a_limit_that_is_too_large_can_be_refused(fault_server: FaultServer) -> None:
    steps: Any = [{"when": {"query": {"limit": {"over": 2}}}, "status": 413}]
    fault_server.dataset("GET /items", count=5, steps=steps, **IDS)
    assert [ask(fault_server, f"/items?limit={n}").status_code for n in (10, 3, 2, "x")] == [413, 413, 200, 400]
    body_steps = [{"when": {"json": {"limit": {"over": 2}}}, "status": 504}]
    fault_server.dataset("POST /items", count=5, params_in="body", steps=body_steps)
    url = fault_server.url_for("/items")
    assert [requests.post(url, json={"limit": n}, timeout=60).status_code for n in (3, 2)] == [504, 200]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_keeps_the_query(fault_server: FaultServer, status: int) -> None:
    steps: Any = [
        {"when": {"count": [n, n]}, "status": status, "redirect": to} for n, to in ((1, "main"), (2, "other"))
    ]
    fault_server.dataset("GET /items", count=5, size=2, steps=[*steps, {"redirect": "/v2"}], **IDS)
    answers = [ask(fault_server, "/items?offset=2", allow_redirects=False) for _ in range(3)]
    assert [(one.status_code, one.headers["Location"]) for one in answers] == [
        (status, f"{fault_server.url}/items?offset=2"), (status, f"{fault_server.other_url}/items?offset=2"),
        (307, "/v2?offset=2"),
    ]  # fmt: skip


def test_a_redirect_to_another_host_meets_the_dataset_there(fault_server: FaultServer) -> None:
    steps: Any = [{"when": {"count": [1, 1]}, "redirect": "other"}]
    fault_server.dataset("GET /items", count=5, size=2, steps=steps, **IDS)
    assert ids(body(fault_server, "/items?offset=2")) == [2, 3]
    assert [(e.origin, e.target) for e in fault_server.ledger()] == [
        ("main", "/items?offset=2"), ("other", "/items?offset=2"),
    ]  # fmt: skip


def test_tokens_of_the_bearer_expire_while_pages_are_read(fault_server: FaultServer) -> None:
    fault_server.oauth("/token", clients={"c": "s"}, max_uses=1)
    fault_server.dataset("GET /items", count=5, size=2, steps=[{"bearer": "/token"}], **IDS)
    form = {"grant_type": "client_credentials", "client_id": "c", "client_secret": "s"}
    token = requests.post(fault_server.url_for("/token"), data=form, timeout=60).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert [ask(fault_server, f"/items?offset={n}", headers=headers).status_code for n in (0, 2)] == [200, 401]


def test_a_page_is_compressed_chunked_marked_or_wrong_as_its_step_says(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=1, gzip=True, headers={"X-More": "1"}, **IDS)
    whole = b'{"items":[{"id":0}]}'
    for _ in range(2):
        head, _, packed = exchange_bytes(fault_server, get("/items"))[0].partition(b"\r\n\r\n")
        assert (gzip.decompress(packed), b"Content-Encoding: gzip" in head, b"X-More: 1" in head) == (whole, True, True)
    steps: list[dict[str, Any]] = [
        {"fault": "bom", "dataset": {}},
        {"fault": "bad_utf8", "dataset": {"records": ""}},
        {"chunked": 10, "dataset": {}},
        {"fault": "wrong_length", "dataset": {}},
    ]
    fault_server.dataset("GET /items", count=1, steps=steps, **IDS)
    bodies = [exchange_bytes(fault_server, get("/items"))[0].partition(b"\r\n\r\n")[2] for _ in steps]
    assert bodies == [
        b"\xef\xbb\xbf" + whole, b'[{"\xffid":0}]',
        b"a\r\n" + whole[:10] + b"\r\na\r\n" + whole[10:] + b"\r\n0\r\n\r\n", whole,
    ]  # fmt: skip


def test_rows_say_what_json_should_not(fault_server: FaultServer) -> None:
    """NaN, integers beyond 64 bits and non-ASCII as they are; bytes as given: duplicate keys, wrong UTF-8."""
    rows = [
        {"id": 2**63 + 1, "v": math.nan, "s": "\N{SNOWMAN}"},
        b'{"id": 2, "id": 3}',
        b'{"id": 4, "s": "\xff"}',
        b"{cut",
    ]
    fault_server.dataset("GET /items", rows=rows, records="")
    assert ask(fault_server).content == (
        b'[{"id":9223372036854775809,"v":NaN,"s":"\xe2\x98\x83"},{"id": 2, "id": 3},{"id": 4, "s": "\xff"},{cut]'
    )
    assert fault_server.served("/items") == [2**63 + 1, 3, 4, "{cut"]


def test_pages_come_as_ndjson_csv_text_and_bytes(fault_server: FaultServer) -> None:
    rows = [{"id": 0, "s": 'a,"b"\n', "n": None, "x": [1]}, {"id": 1, "s": "ü", "more": 1}]
    fault_server.dataset("GET /ndjson", rows=rows, format="ndjson")
    fault_server.dataset("GET /made", count=2, format="ndjson", **IDS)
    fault_server.dataset("GET /csv", rows=rows, format="csv")
    fault_server.dataset("GET /text", rows=["one", "two", {"id": 3}, b"\xff"], format="text")
    fault_server.dataset("GET /lines", count=3, template="line {i}", format="text", size=2)
    fault_server.dataset("GET /binary", rows=[b"\x00\x01", b'"\xff', "x"], format="binary", size=2)
    paths = ("/ndjson", "/made", "/csv", "/text", "/lines?offset=1", "/binary")
    answers = [ask(fault_server, path) for path in paths]
    assert [(one.headers["Content-Type"], one.content) for one in answers] == [
        (
            "application/x-ndjson",
            '{"id":0,"s":"a,\\"b\\"\\n","n":null,"x":[1]}\n{"id":1,"s":"ü","more":1}\n'.encode(),
        ),
        ("application/x-ndjson", b'{"id":0}\n{"id":1}\n'),
        ("text/csv; charset=utf-8", 'id,s,n,x\r\n0,"a,""b""\n",,[1]\r\n1,ü,,\r\n'.encode()),
        ("text/plain; charset=utf-8", b'one\ntwo\n{"id":3}\n\xff\n'),
        ("text/plain; charset=utf-8", b"line 1\nline 2\n"),
        ("application/octet-stream", b'\x00\x01"\xff'),
    ]
    assert fault_server.served("/lines") == ["line 1", "line 2"]


def test_every_page_can_be_slow(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=3, delay=0.05)
    ask(fault_server)
    assert (fault_server.ledger()[0].elapsed or 0) >= 0.05


def test_only_what_went_out_whole_counts_as_served(fault_server: FaultServer) -> None:
    faults = ["truncate", "close_after_headers", "reset", "wrong_length", "close_after_answer"]
    steps: list[dict[str, Any]] = [{"fault": fault, "dataset": {}} for fault in faults]
    changes = [{"after": 1, "insert": [{"id": 100}]}]
    fault_server.dataset("* /items", count=2, steps=steps, changes=changes, **IDS)
    for _ in faults:
        exchange_bytes(fault_server, get("/items"))
    requests.head(fault_server.url_for("/items"), timeout=60)
    assert fault_server.served("/items") == [0, 1]
    assert ids(body(fault_server)) == [100, 0, 1]


def test_two_routes_serve_the_same_rows(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=3, **IDS)
    fault_server.route("POST /search", [{"dataset": {"rows": "/items", "size": 2, "params_in": "body"}}])
    fault_server.delete_rows("/items", [0])
    assert (ids(body(fault_server)), ids(requests.post(fault_server.url_for("/search"), timeout=60).json())) == (
        [1, 2], [1, 2],
    )  # fmt: skip
    assert fault_server.served("/items") == [1, 2, 1, 2]


def test_clear_starts_a_dataset_over(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /items", count=3, changes=[{"after": 1, "delete": [0]}], **IDS)
    body(fault_server)
    fault_server.add_rows("/items", [{"id": 9}])
    fault_server.clear()
    assert (ids(body(fault_server)), fault_server.served("/items")) == ([0, 1, 2], [0, 1, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 1, "pages": 1}, "unknown option 'pages'"),
        ({"count": 1, "paging": "random"}, "step 1: paging='random': expected one of none, page, offset"),
        ({"count": 1, "paging": "cursor", "next_field": "items.next"}, "'items.next' has no place in the answer"),
        ({"count": 1, "paging": "cursor", "format": "csv"}, "paging='cursor' needs format='json'"),
        ({"count": 1, "filters": {"a": ["b", "like"]}}, "filter on b: 'like' is none of eq, ne"),
        ({"count": 1, "size": 0}, "size=0: expected at least 1"),
        ({"count": 1, "changes": [{"insert": []}]}, "expected `after` and some of"),
        ({"count": 1, "rows": []}, "give either rows or count"),
        ({}, "give either rows or count"),
    ],
)
def test_what_cannot_be_is_refused_when_declared(
    fault_server: FaultServer, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fault_server.dataset("GET /items", **options)


def test_a_step_without_declared_rows_is_refused(fault_server: FaultServer) -> None:
    with pytest.raises(ValueError, match="no rows are declared under '/items'"):
        fault_server.route("GET /items", [{"dataset": {}}])


def test_a_page_is_made_once(fault_server: FaultServer) -> None:
    """Asked for again, it costs no more than sending it: a tenth of what a thousand rows cost the first time."""
    fault_server.dataset("GET /items", count=20_000, size=1000)
    with requests.Session() as session:
        for _ in range(2):
            for offset in range(0, 20_000, 1000):
                session.get(fault_server.url_for(f"/items?offset={offset}"), timeout=60)
    times = [e.elapsed or 0 for e in fault_server.ledger()]
    # Page by page: a busy machine makes some slower, not most.
    quicker = [again < first / 3 for first, again in zip(times[:20], times[20:], strict=True)]
    assert sum(quicker) > 10
    assert json.dumps(fault_server.served("/items")) == json.dumps([*range(20_000), *range(20_000)])


@pytest.mark.parametrize(
    "step",
    [{"delay": 0.001}, {"gzip": True}, {"chunked": 7}, {"headers": {"X-A": "1"}}, {"fault": "drip", "interval": 0}, {}],
    ids=str,
)
def test_a_step_that_names_no_answer_serves_a_page(fault_server: FaultServer, step: dict[str, Any]) -> None:
    """With the options of the dataset: nobody who slows or packs a page means an empty one."""
    fault_server.dataset("GET /items", count=5, size=2, records="data", steps=[{**step, "times": 2}], **IDS)
    pages = [body(fault_server, params={"offset": place}) for place in (0, 2, 4)]
    assert [ids(page["data"]) for page in pages] == [[0, 1], [2, 3], [4]]
    assert fault_server.served("/items") == [0, 1, 2, 3, 4]


def test_a_fault_of_a_dataset_breaks_a_page(fault_server: FaultServer) -> None:
    """Half of a page is there when it is cut, and no row counts as served."""
    fault_server.dataset("GET /items", count=5, size=5, steps=[{"fault": "truncate"}], **IDS)
    received, end = exchange_bytes(fault_server, get("/items"))
    head, _, cut = received.partition(b"\r\n\r\n")
    whole = ask(fault_server).content
    assert (cut, end, f"Content-Length: {len(whole)}".encode() in head) == (whole[: len(whole) // 2], "closed", True)
    assert fault_server.served("/items") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("step", "status", "text"),
    [
        ({"status": 200}, 200, ""),
        ({"status": 503}, 503, ""),
        ({"body": "<html>"}, 200, "<html>"),
        ({"bearer": ["t"]}, 401, ""),
        ({"redirect": "/v2"}, 307, ""),
    ],
    ids=str,
)
def test_a_step_that_names_its_answer_gives_it(
    fault_server: FaultServer, step: dict[str, Any], status: int, text: str
) -> None:
    """A status, a body, a refusal or a redirect is no page."""
    fault_server.dataset("GET /items", count=5, steps=[{**step, "times": 1}], **IDS)
    answer = ask(fault_server, allow_redirects=False)
    assert (answer.status_code, answer.text) == (status, text)
