"""`spark.read.format("rest")`: complete, typed, parallel, or an error. What went out is counted by the server."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from tests.rest.conftest import ids, read_here, read_parts

from trunkline.errors import OptionError, ResponseError, TrunklineError
from trunkline.testing import FaultServer

Read = Callable[..., DataFrame]
ROW = "id LONG, name STRING, at TIMESTAMP, amount DOUBLE"

# What the server does, and what is said to read it.
STYLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "offset": (
        {"paging": "offset", "size": 7},
        {"pagination": "offset", "page__size": 7, "page__sizeParam": "limit"},
    ),
    "offset capped": (
        {"paging": "offset", "cap": 5},
        {"pagination": "offset", "page__size": 10, "page__sizeParam": "limit"},
    ),
    "page": ({"paging": "page", "size": 7}, {"pagination": "page"}),
    "page from zero": ({"paging": "page", "size": 7, "first_page": 0}, {"pagination": "page", "page__start": 0}),
    "cursor": ({"paging": "cursor", "size": 7}, {"pagination": "cursor", "page__nextField": "next"}),
    "link": ({"paging": "link", "size": 7, "links": "tricky"}, {"pagination": "link"}),
    "next url": (
        {"paging": "nextUrl", "size": 7, "next_field": ["@odata.nextLink"]},
        {"pagination": "nextUrl", "page__nextField": "@odata.nextLink"},
    ),
    "relative next url": (
        {"paging": "nextUrl", "size": 7, "next_form": "query"},
        {"pagination": "nextUrl", "page__nextField": "next"},
    ),
    "last record": (
        {"paging": "lastRecord", "size": 7, "records": ""},
        {"pagination": "lastRecord", "page__cursorField": "id"},
    ),
    "header cursor": (
        {"paging": "headerCursor", "size": 7},
        {"pagination": "headerCursor", "page__nextField": "X-Next-Cursor"},
    ),
    "body cursor": (
        {"paging": "cursor", "size": 7, "params_in": "body", "cursor_param": "variables.after",
         "records": "data.items.nodes", "next_field": "data.items.pageInfo.endCursor",
         "has_more": "data.items.pageInfo.hasNextPage", "next_missing": "token"},
        {"pagination": "cursor", "method": "POST", "requestBody": '{"query": "{items}"}', "page__in": "body",
         "page__param": "variables.after", "page__nextField": "data.items.pageInfo.endCursor",
         "page__hasMoreField": "data.items.pageInfo.hasNextPage", "records": "data.items.nodes"},
    ),
    "auto: link header": ({"paging": "link", "size": 7}, {}),
    "auto: next url": ({"paging": "nextUrl", "size": 7}, {}),
    "auto: nextPageToken": (
        {"paging": "cursor", "size": 7, "next_field": "nextPageToken", "cursor_param": "pageToken",
         "next_missing": "absent"},
        {},
    ),
    "auto: result beside errors": (
        {"paging": "nextUrl", "size": 7, "records": "result", "envelope": {"errors": []}},
        {"records": "result"},
    ),
}  # fmt: skip


def ids_here(server: FaultServer, path: str = "/items", /, **options: object) -> list[int]:
    """The ids of a path of the fault server, read in this process, in order."""
    return sorted(row["id"] for row in read_here(server.url_for(path), ROW, **options))


@pytest.mark.parametrize("style", STYLES)
def test_every_row_arrives_once(style: str, fault_server: FaultServer) -> None:
    """Whatever the paging; and the server was asked for none of them twice."""
    served, said = STYLES[style]
    method = "POST" if "method" in said else "GET"
    fault_server.dataset(f"{method} /items", count=20, **served)
    assert ids_here(fault_server, **said) == list(range(20))
    assert Counter(fault_server.served("/items")) == Counter(range(20))


INCOMPLETE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "auto with nothing to go by": ({"paging": "none", "size": 7, "records": ""}, {}, "pagination"),
    "two lists": ({"size": 7, "records": "result", "envelope": {"errors": []}}, {}, "records"),
    "more pages than allowed": ({"size": 7}, {"pagination": "offset", "maxPages": 2}, "more than 2 pages"),
    "a repeated token": (
        {"paging": "cursor", "size": 7, "next_page": {2: 2}},
        {"pagination": "cursor", "page__nextField": "next"},
        "circles",
    ),
    "fewer rows than the total": (
        {"size": 7, "total": True, "totals": [25]},
        {"pagination": "offset", "page__totalField": "total"},
        "25",
    ),
    "a parameter the server does not know": (
        {"size": 7, "offset_param": "skip"},
        {"pagination": "offset"},
        "same 7 rows",
    ),
    "a token that has run out": (
        {"paging": "cursor", "size": 7, "token_uses": 0},
        {"pagination": "cursor", "page__nextField": "next"},
        "410",
    ),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_what_cannot_be_complete_is_an_error(case: str, fault_server: FaultServer) -> None:
    """Never fewer rows."""
    served, said, words = INCOMPLETE[case]
    fault_server.dataset("GET /items", count=20, **served)
    with pytest.raises(TrunklineError, match=words):
        read_here(fault_server.url_for("/items"), ROW, **said)


def test_a_misspelt_field_is_no_column_of_nulls(fault_server: FaultServer) -> None:
    """The error comes with the first page and names what was meant; `missingFields=null` reads on."""
    fault_server.dataset("GET /items", count=20, paging="offset", size=5, total=True)
    said = {"pagination": "offset", "page__totalField": "total"}
    misspelt, url = "id LONG, nmae STRING", fault_server.url_for("/items")
    with pytest.raises(ResponseError, match=r"no record has nmae, but name, which .* did you mean name\?"):
        read_here(url, misspelt, **said)
    assert len(read_here(url, misspelt, **said, missingFields="null")) == 20
    with pytest.raises(ResponseError, match=r"no record has gone; beside what the schema takes they hold "):
        read_here(url, "id LONG, gone STRING", **said, missingFields="error")


def test_a_capped_server_gives_all(fault_server: FaultServer) -> None:
    """Asked for 100, it gives 50 at most, of 120."""
    fault_server.dataset("GET /items", count=120, cap=50, total=True)
    said = {"pagination": "offset", "page__size": 100, "page__sizeParam": "limit", "page__totalField": "total"}
    assert ids_here(fault_server, **said) == list(range(120))


def test_columns_are_typed_as_the_schema_says(read: Read, fault_server: FaultServer) -> None:
    """Nested, exact, and in the order of the schema, not of the answer."""
    row = {
        "tags": ["a", "b"], "price": "12.50", "at": "2026-01-02T03:04:05.678+01:00", "id": 9007199254740993,
        "address": {"city": "Bonn", "geo": [7.1, 50.7]}, "day": "2026-01-02", "props": {"k": 1}, "ok": True,
        "none": None,
    }  # fmt: skip
    fault_server.dataset("GET /items", rows=[row], paging="none")
    schema = (
        "id LONG, at TIMESTAMP, day DATE, price DECIMAL(10,2), ok BOOLEAN, tags ARRAY<STRING>, "
        "address STRUCT<city: STRING, geo: ARRAY<DOUBLE>>, props MAP<STRING, INT>, none STRING, absent INT"
    )
    (got,) = read(schema=schema, pagination="none").selectExpr("*", "CAST(at AS STRING) AS text").collect()
    assert got.asDict(recursive=True) | {"at": None, "text": None} == {
        "id": 9007199254740993, "at": None, "text": None, "day": dt.date(2026, 1, 2), "price": Decimal("12.50"),
        "ok": True, "tags": ["a", "b"], "address": {"city": "Bonn", "geo": [7.1, 50.7]}, "props": {"k": 1},
        "none": None, "absent": None,
    }  # fmt: skip


def test_a_schema_is_inferred_with_types(read: Read, fault_server: FaultServer) -> None:
    """Of the first page: no column is silently a string."""
    rows = [
        {"id": 1, "amount": 1.5, "at": "2026-01-01T00:00:00Z", "ok": True, "address": {"zip": 53113}, "n": None},
        {"id": 2, "amount": 2, "at": "2026-01-01T00:00:01Z", "ok": False, "tags": ["x"], "address": {"zip": 1}},
    ]
    fault_server.dataset("GET /items", rows=rows, paging="none")
    assert read(pagination="none").schema.simpleString() == (
        "struct<id:bigint,amount:double,at:timestamp,ok:boolean,address:struct<zip:bigint>,n:string,tags:array<string>>"
    )


def test_a_schema_of_fewer_columns_reads_fewer(fault_server: FaultServer) -> None:
    """As a projection."""
    fault_server.dataset("GET /items", count=3, paging="none")
    assert read_here(fault_server.url_for("/items"), "name STRING", pagination="none") == [
        {"name": "item-0"}, {"name": "item-1"}, {"name": "item-2"},
    ]  # fmt: skip


MALFORMED = [{"id": 1, "name": "a"}, {"id": "two", "name": "b"}, {"id": 3, "name": "c"}]


def test_a_record_that_does_not_fit_ends_the_read(fault_server: FaultServer) -> None:
    """By default: it is named, with the column, the type and the value."""
    fault_server.dataset("GET /items", rows=MALFORMED, paging="none")
    with pytest.raises(ResponseError, match=r"id.*two"):
        read_here(fault_server.url_for("/items"), "id LONG, name STRING", pagination="none")


def test_a_record_that_does_not_fit_is_kept_in_its_column(fault_server: FaultServer) -> None:
    """Where the schema has one."""
    fault_server.dataset("GET /items", rows=MALFORMED, paging="none")
    schema = "id LONG, name STRING, _corrupt_record STRING"
    kept = [tuple(row.values()) for row in read_here(fault_server.url_for("/items"), schema, pagination="none")]
    assert [(row[0], row[1]) for row in kept] == [(1, "a"), (None, "b"), (3, "c")]
    assert [row[2] is None for row in kept] == [True, False, True]


def test_a_record_that_does_not_fit_can_be_left_out(fault_server: FaultServer) -> None:
    """When asked to."""
    fault_server.dataset("GET /items", rows=MALFORMED, paging="none")
    url = fault_server.url_for("/items")
    found = read_here(url, "id LONG, name STRING", pagination="none", mode="DROPMALFORMED")
    assert found == [{"id": 1, "name": "a"}, {"id": 3, "name": "c"}]


def test_permissive_without_its_column_is_refused(read: Read, fault_server: FaultServer) -> None:
    """What does not fit would vanish."""
    with pytest.raises(PySparkException, match="add it, or use mode=FAILFAST"):
        read(schema="id LONG", mode="PERMISSIVE").collect()
    assert fault_server.ledger() == []


PARALLEL: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "offsets": (
        {"size": 10, "total": True},
        {"pagination": "offset", "page__size": 10, "page__sizeParam": "limit", "page__totalField": "total",
         "numPartitions": 4},
        4,
    ),
    "offsets of a capped server": (
        {"cap": 5, "total": "header"},
        {"pagination": "offset", "page__size": 100, "page__sizeParam": "limit", "numPartitions": 4,
         "page__totalField": "header:X-Total-Count"},
        4,
    ),
    "offsets without a size": (
        {"size": 10, "total": True},
        {"pagination": "offset", "page__totalField": "total", "numPartitions": 4},
        4,
    ),
    "pages": (
        {"paging": "page", "size": 10, "total": True},
        {"pagination": "page", "page__totalField": "total", "numPartitions": 3},
        3,
    ),
    "ids": (
        {"size": 10, "filters": {"from": ["id", "ge"], "to": ["id", "lt"]}},
        {"pagination": "offset", "lowerBound": 0, "upperBound": 90, "partition__lowerParam": "from",
         "partition__upperParam": "to", "numPartitions": 4, "partitionColumn": "id"},
        4,
    ),
    "ids with an inclusive end": (
        {"size": 10, "filters": {"from": ["id", "ge"], "to": ["id", "le"]}},
        {"pagination": "offset", "lowerBound": 10, "upperBound": 80, "partition__lowerParam": "from",
         "partition__upperParam": "to", "numPartitions": 4, "partition__upper": "inclusive"},
        4,
    ),
    "times": (
        {"size": 10, "filters": {"from": ["at", "ge"], "to": ["at", "le"]}},
        {"pagination": "offset", "lowerBound": "2026-01-01T00:00:00Z", "upperBound": "2026-01-01T00:02:00Z",
         "partition__lowerParam": "from", "partition__upperParam": "to", "numPartitions": 4, "partitionColumn": "at"},
        4,
    ),
    "times with an inclusive end": (
        {"size": 10, "filters": {"from": ["at", "ge"], "to": ["at", "le"]}},
        {"pagination": "offset", "lowerBound": "2026-01-01T00:00:00Z", "upperBound": "2026-01-01T00:02:00Z",
         "partition__lowerParam": "from", "partition__upperParam": "to", "numPartitions": 3, "partitionColumn": "at",
         "partition__upper": "inclusive"},
        3,
    ),
    "times that are refused until they are small": (
        {"size": 10, "filters": {"from": ["at", "ge"], "to": ["at", "lt"]}, "max_range_rows": 11},
        {"pagination": "offset", "lowerBound": "2026-01-01T00:00:00Z", "upperBound": "2026-01-01T00:02:00Z",
         "partition__lowerParam": "from", "partition__upperParam": "to", "numPartitions": 2},
        2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PARALLEL)
def test_a_split_read_holds_every_row_once(case: str, fault_server: FaultServer) -> None:
    """Whatever it is split by."""
    served, said, partitions = PARALLEL[case]
    fault_server.dataset("GET /items", count=97, **served)
    parts = read_parts(fault_server.url_for("/items"), ROW, **said)
    assert sorted(row["id"] for part in parts for row in part) == list(range(97))
    assert len(parts) == partitions


@pytest.mark.parametrize("case", ["offsets of a capped server", "times"])
def test_partitions_of_a_split_read_are_those_of_spark(case: str, read: Read, fault_server: FaultServer) -> None:
    """Each is a task of its own."""
    served, said, partitions = PARALLEL[case]
    fault_server.dataset("GET /items", count=97, **served)
    df = read(schema=ROW, **said)
    assert ids(df) == list(range(97))
    assert df.rdd.getNumPartitions() == partitions


def test_a_list_of_values_is_read_value_by_value(fault_server: FaultServer) -> None:
    """Each in its own requests, percent-encoded into the path."""
    for number, country in enumerate(["de", "fr", "a%20b"]):
        fault_server.dataset(f"GET /items/{country}", rows=[{"id": number}], paging="none")
    url = fault_server.url_for("/items/{partition}")
    parts = read_parts(url, "id LONG", pagination="none", partition__values='["de", "fr", "a b"]')
    assert parts == [[{"id": 0}], [{"id": 1}], [{"id": 2}]]


def test_a_look_asks_for_no_more_pages_than_it_needs(fault_server: FaultServer) -> None:
    """`maxRows` stops asking, in one task however the read is split."""
    fault_server.dataset("GET /items", count=100, size=10, total=True)
    said = {
        "pagination": "offset", "page__totalField": "total", "numPartitions": 4, "maxRows": 15, "page__size": 10,
        "page__sizeParam": "limit",
    }  # fmt: skip
    assert ids_here(fault_server, **said) == list(range(15))
    # One request to plan the split, two pages to read.
    assert fault_server.count("GET /items") == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "times": 2},
        {"status": 429, "retry_after": "0", "times": 1},
        {"fault": "reset", "times": 1},
        {"fault": "truncate", "times": 1, "dataset": {}},
        {"status": 500, "times": 1},
    ],
    ids=lambda fault: str(fault.get("fault") or fault["status"]),
)
def test_a_passing_fault_costs_no_row(fault: dict[str, Any], fault_server: FaultServer) -> None:
    """Asking again is always safe here."""
    fault_server.dataset("GET /items", count=20, size=7, steps=[fault])
    assert ids_here(fault_server, pagination="offset") == list(range(20))


LASTING: dict[str, tuple[dict[str, Any], str]] = {
    "a refusal": ({"status": 404, "body": {"error": "no such thing"}}, "RejectedError.*404.*no such thing"),
    "a wrong credential": ({"status": 401}, "AuthError.*401"),
    "a page of HTML": ({"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>Sign in</html>"},
                       "ResponseError.*text/html.*Sign in"),
    "an error with status 200": ({"status": 200, "body": {"error": {"code": 7, "message": "quota"}}},
                                 "items.*error"),
    "a server that is down": ({"status": 503}, "UnavailableError.*503"),
}  # fmt: skip


@pytest.mark.parametrize("case", LASTING)
def test_a_lasting_fault_is_named(case: str, fault_server: FaultServer) -> None:
    """A 500 is no empty table."""
    step, words = LASTING[case]
    fault_server.route("GET /items", [step])
    said = {"pagination": "none", "records": "items", "retry__maxAttempts": 2, "deadline": "500ms"}
    with pytest.raises(TrunklineError) as raised:
        read_here(fault_server.url_for("/items"), ROW, **said)
    assert re.search(words, f"{type(raised.value).__name__}: {raised.value}", re.DOTALL)


def test_a_refusal_reaches_the_user_through_spark(read: Read, fault_server: FaultServer) -> None:
    """With all that was said, though a task is tried four times, and without the way that it took through our code."""
    fault_server.route("GET /items", [{"status": 404, "body": {"error": "no such thing"}}])
    with pytest.raises(PySparkException, match=r"RejectedError: GET .*/items.* 404.*no such thing") as raised:
        read(schema=ROW, pagination="none").collect()
    assert str(raised.value).count("  File ") == 1


def test_no_credential_follows_a_link_to_another_host(fault_server: FaultServer) -> None:
    """The read fails and says what to set; the other host was not asked."""
    fault_server.dataset("GET /items", count=20, paging="nextUrl", size=7, next_host="other")
    said = {"pagination": "nextUrl", "page__nextField": "next", "auth__type": "bearer", "auth__token": "tok-3"}
    with pytest.raises(ResponseError, match=r"another host.*allowedHosts=127\.0\.0\.1:"):
        read_here(fault_server.url_for("/items"), ROW, **said)
    assert fault_server.ledger(origin="other") == []


def test_a_stranger_is_asked_without_credentials(fault_server: FaultServer) -> None:
    """With `crossOrigin=stripAuth`: no header of ours, no token, and all rows."""
    fault_server.dataset("GET /items", count=20, paging="nextUrl", size=7, next_host="other")
    said = {
        "pagination": "nextUrl", "page__nextField": "next", "auth__type": "bearer", "auth__token": "tok-3",
        "crossOrigin": "stripAuth", "headers": '{"X-Tenant": "t1"}',
    }  # fmt: skip
    assert ids_here(fault_server, **said) == list(range(20))
    seen = fault_server.ledger(origin="other")
    assert len(seen) == 2
    assert [name for entry in seen for name in entry.headers if name.lower() in {"authorization", "x-tenant"}] == []


def test_an_allowed_host_is_asked_with_credentials(fault_server: FaultServer) -> None:
    """It is one of the user's own."""
    fault_server.dataset("GET /items", count=20, paging="nextUrl", size=7, next_host="other")
    said = {
        "pagination": "nextUrl", "page__nextField": "next", "auth__type": "bearer", "auth__token": "tok-3",
        "allowedHosts": f"127.0.0.1:{fault_server.port('other')}",
    }  # fmt: skip
    assert ids_here(fault_server, **said) == list(range(20))
    assert {entry.headers["authorization"] for entry in fault_server.ledger(origin="other")} == {"Bearer tok-3"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_followed_at_home(status: int, fault_server: FaultServer) -> None:
    """Reading is safe to send elsewhere, as long as elsewhere is here."""
    fault_server.route("GET /old", [{"status": status, "headers": {"Location": "/items"}}])
    fault_server.dataset("GET /items", count=3, paging="none")
    assert ids_here(fault_server, "/old", pagination="none") == [0, 1, 2]


def test_a_redirect_to_another_host_is_not_followed(fault_server: FaultServer) -> None:
    """Nor are credentials sent there."""
    elsewhere = fault_server.url_for("/items", "other")
    fault_server.route("GET /old", [{"status": 302, "headers": {"Location": elsewhere}}])
    with pytest.raises(ResponseError, match=r"a redirect of .*/old leads to another host"):
        read_here(fault_server.url_for("/old"), ROW, pagination="none")
    assert fault_server.ledger(origin="other") == []


def test_a_token_that_expires_is_renewed_on_the_way(fault_server: FaultServer) -> None:
    """A read longer than its token misses nothing."""
    fault_server.oauth(clients={"c": "s"}, max_uses=5)
    steps = [{"bearer": "/token", "status": 401, "headers": {"WWW-Authenticate": "Bearer"}}]
    fault_server.dataset("GET /items", count=60, size=5, steps=steps)
    said = {
        "pagination": "offset", "auth__type": "oauth2", "auth__clientId": "c", "auth__clientSecret": "s",
        "auth__tokenUrl": fault_server.url_for("/token"),
    }  # fmt: skip
    assert ids_here(fault_server, **said) == list(range(60))
    # Twelve pages, and one that is empty.
    assert len(fault_server.issued("/token")) == 3


def test_a_page_that_is_too_large_is_asked_for_in_halves(fault_server: FaultServer) -> None:
    """413 for more than 20 rows at once."""
    steps = [{"when": {"query": {"limit": "80"}}, "status": 413}, {"when": {"query": {"limit": "40"}}, "status": 413}]
    fault_server.dataset("GET /items", count=97, steps=steps)
    said = {"pagination": "offset", "page__size": 80, "page__sizeParam": "limit"}
    assert ids_here(fault_server, **said) == list(range(97))


@pytest.mark.parametrize(
    ("kind", "schema", "rows"),
    [
        ("ndjson", "id LONG, name STRING", [(0, "item-0"), (1, "item-1")]),
        ("csv", "name STRING, id LONG", [("item-0", 0), ("item-1", 1)]),
    ],
)
def test_other_formats_are_read(kind: str, schema: str, rows: list[Any], fault_server: FaultServer) -> None:
    """By the same schema."""
    fault_server.dataset("GET /items", count=2, paging="none", format=kind)
    found = read_here(fault_server.url_for("/items"), schema, pagination="none", format=kind)
    assert [tuple(row.values()) for row in found] == rows


def test_text_and_bytes_are_one_column(read: Read, fault_server: FaultServer) -> None:
    """A row for each line, and a row for each answer."""
    fault_server.route("GET /text", [{"body": "one\ntwo\n"}])
    assert [row.value for row in read("/text", format="text", pagination="none").collect()] == ["one", "two"]
    assert [bytes(row.value) for row in read("/text", format="binary", pagination="none").collect()] == [b"one\ntwo\n"]


def test_it_is_a_view_in_sql(spark: SparkSession, fault_server: FaultServer) -> None:
    """And joins like one."""
    fault_server.dataset("GET /items", count=20, size=7)
    spark.sql(
        "CREATE OR REPLACE TEMPORARY VIEW items (id LONG, name STRING) USING rest OPTIONS "
        f"(url '{fault_server.url_for('/items')}', pagination 'offset')"
    )
    found = spark.sql("SELECT a.name FROM items a JOIN items b ON a.id = b.id + 1 WHERE b.id > 17").collect()
    assert [row.name for row in found] == ["item-19"]


def test_narrowing_one_use_of_a_dataframe_leaves_the_other_alone(read: Read, fault_server: FaultServer) -> None:
    """No filter is pushed down: with it, Spark 4.1 to 4.3 gave the second use the rows of the first."""
    fault_server.dataset("GET /items", count=20, size=7)
    df = read(schema=ROW, pagination="offset")
    assert (df.where("id < 3").count(), df.count()) == (3, 20)


def test_a_rate_is_shared_by_the_tasks_of_a_read(fault_server: FaultServer) -> None:
    """It needs no `rateLimitTasks`: a read knows its tasks."""
    fault_server.dataset("GET /items", count=40, size=5, total=True)
    said = {
        "pagination": "offset", "page__size": 5, "page__sizeParam": "limit", "page__totalField": "total",
        "numPartitions": 2, "rateLimit": "40/s",
    }  # fmt: skip
    parts = read_parts(fault_server.url_for("/items"), ROW, **said)
    assert [sorted(row["id"] for row in part) for part in parts] == [list(range(20)), list(range(20, 40))]


def test_a_body_is_of_the_type_that_is_said(fault_server: FaultServer) -> None:
    """JSON, or what the API calls it."""
    fault_server.dataset("POST /items", count=3, paging="none")
    said = {"pagination": "none", "method": "POST", "requestBody": '{"q": "all"}'}
    ids_here(fault_server, **said)
    ids_here(fault_server, **said, contentType="application/x-amz-json-1.1")
    seen = [(entry.headers["content-type"], entry.body) for entry in fault_server.ledger("POST /items")]
    assert seen == [("application/json", b'{"q":"all"}'), ("application/x-amz-json-1.1", b'{"q":"all"}')]


def test_a_list_that_only_tells_of_errors_holds_no_records(fault_server: FaultServer) -> None:
    """An answer of 200 that refuses is an error."""
    fault_server.route("GET /items", [{"body": {"data": None, "errors": [{"message": "denied"}]}}])
    with pytest.raises(ResponseError, match=r"only list is errors.*denied"):
        read_here(fault_server.url_for("/items"), ROW, pagination="none")


@pytest.mark.parametrize(("kind", "by"), [("LONG", "time"), ("STRING", "time"), ("STRING", "id")])
def test_a_split_needs_a_column_of_its_kind(kind: str, by: str, fault_server: FaultServer) -> None:
    """Otherwise its rows could not be told to be in a window."""
    bounds = {"time": ("2026-01-01", "2026-01-03"), "id": ("1", "9")}[by]
    said = {
        "lowerBound": bounds[0], "upperBound": bounds[1], "partition__lowerParam": "from", "partitionColumn": "at",
        "partition__by": by,
    }  # fmt: skip
    with pytest.raises(OptionError, match=f"partitionColumn=at must be a .* for partition.by={by}"):
        read_parts(fault_server.url_for("/items"), f"at {kind}", **said)
    assert fault_server.ledger() == []


def test_lone_carriage_returns_are_no_line_breaks(fault_server: FaultServer) -> None:
    """An offset counts the lines that a page is made of."""
    lines = ["a", "10%\r100%", "b", "c", "d", "e"]
    fault_server.dataset("GET /items", rows=lines, size=3, format="text")
    found = read_here(fault_server.url_for("/items"), "STRUCT<value: STRING>", format="text", pagination="offset")
    assert [row["value"] for row in found] == lines


def test_an_exclusive_beginning_loses_no_row(fault_server: FaultServer) -> None:
    """An API that leaves out the id it is given is asked for the one before."""
    fault_server.dataset("GET /items", count=97, size=10, filters={"from": ["id", "gt"], "to": ["id", "lt"]})
    said = {
        "pagination": "offset", "lowerBound": 10, "upperBound": 80, "partition__lowerParam": "from",
        "partition__upperParam": "to", "partition__lower": "exclusive", "numPartitions": 4,
    }  # fmt: skip
    assert ids_here(fault_server, **said) == list(range(97))
