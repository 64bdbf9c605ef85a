"""`request()` where the answer to a row comes in pages: complete or an error, and never led astray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import LongType, StructType
from tests.rest.asking import answers, ask, asked, ids

from trunkline.errors import OptionError
from trunkline.rest.options import request_options
from trunkline.testing import FaultServer

ID = StructType().add("id", LongType())
# Six users with 0 to 5 orders each.
ORDERS = [{"id": 10 * user + i, "user": user} for user in range(6) for i in range(user)]
OF_USER: dict[str, Any] = {"rows": ORDERS, "filters": {"user": ["user", "eq"]}, "size": 2}
STYLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "offset": ({"paging": "offset", "total": True}, {"page__totalField": "total"}),
    "page": ({"paging": "page", "total": True}, {"page__totalField": "total"}),
    "cursor": ({"paging": "cursor"}, {"page__nextField": "next"}),
    "nextUrl": ({"paging": "nextUrl"}, {"page__nextField": "next"}),
    "link": ({"paging": "link"}, {}),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_row_has_the_records_of_all_of_its_pages(style: str, fault_server: FaultServer) -> None:
    """Under faults, and with the chains of many rows at once."""
    served, options = STYLES[style]
    steps = [{"probability": 0.1, "seed": 3, "status": 503, "retry_after": 0}]
    fault_server.dataset("GET /users/{user}/orders", steps=steps, **OF_USER, **served)
    rows = ask(fault_server, "/users/{id}/orders", ids(range(6)), schema=ID, pagination=style, **options)
    assert answers(rows, "outcome", "response_body") == [
        (user, "accepted", [{"id": 10 * user + i} for i in range(user)]) for user in range(6)
    ]


def test_without_a_schema_the_records_are_the_text_of_an_array(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /users/{user}/orders", **OF_USER, paging="nextUrl")
    options: dict[str, Any] = {"pagination": "nextUrl", "page__nextField": "next", "headers": {"X-User": "{id}"}}
    [row] = ask(fault_server, "/users/{id}/orders", ids([3]), **options)
    assert json.loads(row["response"]["response_body"]) == [one for one in ORDERS if one["user"] == 3]
    assert [one.headers["x-user"] for one in fault_server.ledger()] == ["3", "3"]


def test_records_may_be_taken_out_of_a_single_answer(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"body": {"data": {"items": [{"id": 1}, {"id": 2}]}}}])
    [row] = ask(fault_server, "/users/{id}", ids([1]), schema=ID, records="data.items")
    assert row["response"]["response_body"] == [{"id": 1}, {"id": 2}]


def test_pages_may_be_asked_for_in_a_body(fault_server: FaultServer) -> None:
    fault_server.dataset(
        "POST /search", rows=ORDERS, filters={"id": ["user", "eq"]}, size=2, paging="cursor", params_in="body"
    )
    options: dict[str, Any] = {"method": "POST", "repeatable": True, "pagination": "cursor", "page__nextField": "next"}
    [row] = ask(fault_server, "/search", ids([5]), schema=ID, page__in="body", **options)
    assert row["response"]["response_body"] == [{"id": 50 + i} for i in range(5)]


def test_a_body_that_takes_no_page_is_not_sent(fault_server: FaultServer) -> None:
    options: dict[str, Any] = {"method": "POST", "repeatable": True, "pagination": "cursor", "page__nextField": "next"}
    batch = ids([1], query=["[1]"])
    [row] = ask(fault_server, "/search", batch, page__in="body", bodyColumn="query", **options)
    assert row["response"]["error"] == "not sent: the body is no JSON object, so pages cannot be asked for with it"
    assert fault_server.count() == 0


def test_a_chain_that_breaks_leaves_no_part_of_itself(fault_server: FaultServer) -> None:
    """A page that is refused, and one that is none, end the row with an error."""
    first = {"unless": {"query": {"offset": {"over": 0}}}}
    fault_server.route(
        "GET /1", [{**first, "body": {"items": [{"id": 1}], "total": 2}}, {"status": 403, "body": "no more"}]
    )
    fault_server.route("GET /2", [{**first, "body": {"items": [{"id": 1}], "total": 2}}, {"body": "<html>"}])
    fault_server.route(
        "GET /3", [{**first, "body": {"items": [{"id": 1}], "total": 2}}, {"body": {"items": [], "total": 2}}]
    )
    options: dict[str, Any] = {"pagination": "offset", "page__totalField": "total", "records": "items"}
    rows = ask(fault_server, "/{id}", ids([1, 2, 3]), schema=ID, **options)
    told = answers(rows, "outcome", "response_body", "error")
    assert [one[1:3] for one in told] == [("rejected", None), ("malformed", None), ("malformed", None)]
    assert told[0][3] == "status 403: no more"
    assert "the pages ended after 1 rows, but total says 2" in told[2][3]


def test_a_link_to_another_host_is_not_followed(fault_server: FaultServer) -> None:
    """Nor is a credential sent there; a host that is named in allowedHosts may be asked."""
    fault_server.dataset("GET /users/{user}/orders", **OF_USER, paging="nextUrl", next_host="other")
    options: dict[str, Any] = {
        "pagination": "nextUrl",
        "page__nextField": "next",
        "auth__type": "bearer",
        "auth__token": "very-secret",
    }
    [row] = ask(fault_server, "/users/{id}/orders", ids([5]), schema=ID, **options)
    assert row["response"]["outcome"] == "malformed"
    assert "leads to another host" in row["response"]["error"]
    assert [one.origin for one in fault_server.ledger()] == ["main"]
    allowed = f"127.0.0.1:{fault_server.port('other')}"
    [row] = ask(fault_server, "/users/{id}/orders", ids([5]), schema=ID, allowedHosts=allowed, **options)
    assert [one["id"] for one in row["response"]["response_body"]] == [50, 51, 52, 53, 54]


def test_pages_count_towards_max_requests(fault_server: FaultServer) -> None:
    fault_server.dataset("GET /users/{user}/orders", **OF_USER, paging="nextUrl")
    options: dict[str, Any] = {"pagination": "nextUrl", "page__nextField": "next", "maxRequests": 2}
    [row] = ask(fault_server, "/users/{id}/orders", ids([5]), **options)
    assert (row["response"]["outcome"], fault_server.count()) == ("unsent", 2)


def test_a_row_with_pages_is_answered_from_the_log(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.dataset("GET /users/{user}/orders", **OF_USER, paging="nextUrl")
    options: dict[str, Any] = {
        "pagination": "nextUrl",
        "page__nextField": "next",
        "responses": str(tmp_path),
        "schema": ID,
    }
    first = ask(fault_server, "/users/{id}/orders", ids(range(6)), **options)
    before = asked(fault_server)
    again = ask(fault_server, "/users/{id}/orders", ids(range(6)), partition=1, **options)
    assert (asked(fault_server), answers(again, "response_body")) == (before, answers(first, "response_body"))


def test_pages_are_of_one_row_and_change_nothing() -> None:
    given: dict[str, Any] = {"url": "https://api.example.com/search", "method": "POST", "pagination": "page"}
    with pytest.raises(OptionError, match="it needs method=GET, or method=POST with repeatable=true"):
        request_options({**given, "responses": "/tmp/log"})
    with pytest.raises(OptionError, match="pagination is for the answer to one row"):
        request_options({**given, "repeatable": True, "batch.rows": 5, "results.path": "$"})
