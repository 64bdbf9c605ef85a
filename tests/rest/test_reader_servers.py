"""Reading from real servers: every record once, as it was stored, and as many as the server itself counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from pyspark.sql import SparkSession
from tests.rest.conftest import read_here, read_parts
from tests.servers.datasette import start_datasette
from tests.servers.fixtures import _served
from tests.servers.json_server import start_json_server
from tests.servers.kinto import Kinto
from tests.servers.moto import glue
from tests.servers.oidc import Oidc
from tests.servers.process import Server

from trunkline.errors import RejectedError

KINTO = "id STRING, last_modified LONG, n LONG, price DOUBLE, name STRING, deleted BOOLEAN"
# Kinto's pages: small, joined by a URL in a header, in the order of the last change.
KINTO_PAGES = {
    "pagination": "nextUrl",
    "page.nextField": "header:Next-Page",
    "page.size": "25",
    "page.sizeParam": "_limit",
    "params": '{"_sort": "last_modified"}',
}

ITEMS = [
    {
        "id": number,
        "name": f"item {number} é ☃",
        "price": number / 4 if number % 3 else None,
        "big": 9_007_199_254_740_000 + number,
        "at": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z",
        "tags": ["a", f"t{number % 5}"][: number % 3],
        "place": {"city": "Bonn", "zip": number % 7 or None},
        "ok": number % 2 == 0,
    }
    for number in range(1, 204)
]
ITEM = (
    "id LONG, name STRING, price DOUBLE, big LONG, at TIMESTAMP, tags ARRAY<STRING>, "
    "place STRUCT<city: STRING, zip: INT>, ok BOOLEAN"
)

# Prices repeat and are missing, and names hold what a URL, a CSV file and an alphabet can trip over.
TABLE = [
    (
        number,
        f'naïve & ☃, "{number}"\n',
        None if number % 4 == 0 else (number % 50) / 8,
        None if number % 3 else f"note {number}",
    )
    for number in range(1, 506)
]
COLUMNS = "id INTEGER PRIMARY KEY, name TEXT, price REAL, note TEXT"
ROW = "id LONG, name STRING, price DOUBLE, note STRING"


@pytest.fixture(scope="module")
def json_server() -> Iterator[Server]:
    """A server with a Link header and a total, over `ITEMS`."""
    yield from _served(lambda: start_json_server({"items": ITEMS}))


@pytest.fixture(scope="module")
def datasette() -> Iterator[Server]:
    """A server with a next URL, a token and a total in its answers, over `TABLE`."""
    yield from _served(lambda: start_datasette("items", COLUMNS, TABLE))


def basic(kinto: Kinto) -> dict[str, str]:
    user, password = kinto.auth
    return {"auth.type": "basic", "auth.username": user, "auth.password": password}


def fill(kinto: Kinto, path: str, numbers: range) -> None:
    """Records through Kinto's own API."""
    asked = [{"path": f"/v1{path}/r{n}", "body": {"data": {"n": n, "price": n / 4, "name": f"ü {n}"}}} for n in numbers]
    batch = {"defaults": {"method": "PUT"}, "requests": asked}
    answer = requests.post(f"{kinto.backend}/batch", json=batch, auth=kinto.auth, timeout=60)
    answer.raise_for_status()
    assert {one["status"] for one in answer.json()["responses"]} == {201}


def counted(kinto: Kinto, path: str) -> int:
    """How many records Kinto says there are: it does so in answer to HEAD only."""
    answer = requests.head(kinto.backend + path, auth=kinto.auth, timeout=60)
    return int(answer.headers["Total-Records"])


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in order of id and of change."""
    return sorted(rows, key=lambda row: (row["id"], row.get("last_modified") or 0))


def stored(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Kinto's records, with null where they have no such field; in the order of `in_order`."""
    names = ("id", "last_modified", "n", "price", "name", "deleted")
    return sorted(
        ({name: row.get(name) for name in names} for row in rows), key=lambda row: (row["id"], row["last_modified"])
    )


def test_pages_that_a_header_joins_are_read_whole(kinto: Kinto) -> None:
    """Kinto, with HTTP Basic: the next page is a URL in the header Next-Page."""
    path = kinto.new_collection()
    fill(kinto, path, range(310))
    rows = read_here(kinto.url + path, KINTO, **KINTO_PAGES, **basic(kinto))
    assert len(rows) == counted(kinto, path) == 310
    assert in_order(rows) == stored(kinto.records(path))


def test_a_read_that_outlives_its_tokens_is_whole(guarded_kinto: Kinto, oidc: Oidc) -> None:
    """Kinto behind a real OAuth2 server: seven seconds of pages, tokens of five."""
    path = guarded_kinto.new_collection()
    fill(guarded_kinto, path, range(300))
    before = len(oidc.token_requests())
    secret = {
        "auth.type": "oauth2",
        "auth.tokenUrl": oidc.token_url,
        "auth.clientId": "basic",
        "auth.clientSecret": oidc.secret,
    }
    paced = {**KINTO_PAGES, "page.size": "3", "rateLimit": "14/s"}
    begun = time.monotonic()
    rows = read_here(guarded_kinto.url + path, KINTO, **paced, **secret)
    took = time.monotonic() - begun
    assert len(rows) == counted(guarded_kinto, path) == 300
    assert in_order(rows) == stored(guarded_kinto.records(path))
    # Two or three, and not one for each page; more where it took longer.
    assert 2 <= len(oidc.token_requests()) - before <= 2 + took / 3


def test_a_stream_follows_changes_across_a_restart(spark: SparkSession, kinto: Kinto, tmp_path: Path) -> None:
    """Kinto's feed of changes: each version of a record once, and the tombstone of a deleted one."""
    path = kinto.new_collection()
    fill(kinto, path, range(120))
    first = kinto.records(path)
    followed = {
        **KINTO_PAGES,
        **basic(kinto),
        "incremental.field": "last_modified",
        "incremental.param": "_since",
        "maxRecordsPerTrigger": "50",
    }

    def run() -> None:
        df = spark.readStream.format("rest").schema(KINTO).options(**followed).load(kinto.url + path)
        query = (
            df.writeStream.format("parquet")
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .option("path", str(tmp_path / "rows"))
            .trigger(availableNow=True)
            .start()
        )
        assert query.awaitTermination(240)

    def seen() -> list[dict[str, Any]]:
        found = spark.read.schema(KINTO).parquet(str(tmp_path / "rows")).collect()
        return in_order([row.asDict() for row in found])

    run()
    assert len(seen()) == counted(kinto, path) == 120
    assert seen() == stored(first)
    fill(kinto, path, range(120, 200))
    url = kinto.backend + path
    requests.patch(f"{url}/r7", json={"data": {"n": 700}}, auth=kinto.auth, timeout=60).raise_for_status()
    requests.delete(f"{url}/r8", auth=kinto.auth, timeout=60).raise_for_status()
    since = {"_since": str(max(row["last_modified"] for row in first))}
    changes = requests.get(url, params=since, auth=kinto.auth, timeout=60).json()["data"]
    assert len(changes) == 82
    run()
    assert seen() == stored([*first, *changes])
    run()
    assert len(seen()) == 202


@pytest.mark.parametrize(
    ("options", "partitions"),
    [
        ({"pagination": "link"}, 1),
        ({"pagination": "auto"}, 1),
        ({"pagination": "page", "page__param": "_page", "numPartitions": 3}, 3),
        (
            {"pagination": "link", "partition__by": "id", "partitionColumn": "id", "lowerBound": 1, "upperBound": 200,
             "partition__lowerParam": "id_gte", "partition__upperParam": "id_lte", "partition__upper": "inclusive",
             "numPartitions": 3},
            3,
        ),
    ],
    ids=["link", "auto", "page, by the total", "link, by id"],
)  # fmt: skip
def test_pages_of_a_link_header_are_read_whole(options: dict[str, Any], partitions: int, json_server: Server) -> None:
    """json-server: along the links, or side by side."""
    # It pages only when it is asked for a page, and its links begin at the one it was asked for.
    url = f"{json_server.url}/items" + ("" if options["pagination"] == "page" else "?_page=1")
    sized = {"page__size": 20, "page__sizeParam": "_limit", "page__totalField": "header:X-Total-Count"}
    parts = read_parts(url, ITEM, **options, **sized)
    rows = [row for part in parts for row in part]
    count = requests.get(url, params={"_page": "1", "_limit": "1"}, timeout=60).headers["X-Total-Count"]
    assert (len(rows), len(parts)) == (int(count), partitions)
    got = in_order(rows)
    assert [row.pop("at").astimezone(timezone.utc) for row in got] == [
        datetime.fromisoformat(str(item["at"]).replace("Z", "+00:00")) for item in ITEMS
    ]
    assert got == [{name: value for name, value in item.items() if name != "at"} for item in ITEMS]


@pytest.mark.parametrize(
    "options",
    [
        {"pagination": "nextUrl", "page__nextField": "next_url"},
        {"pagination": "nextUrl", "page__nextField": "next_url", "page__size": 200, "page__sizeParam": "_size"},
        {"pagination": "cursor", "page__nextField": "next", "page__param": "_next"},
        {"pagination": "cursor", "page__nextField": "next", "page__param": "_next", "params": '{"_sort": "price"}'},
        {"pagination": "link"},
        {"pagination": "auto"},
    ],
    ids=["next url", "next url, larger pages", "token", "token of a repeated and missing value", "link", "auto"],
)
def test_pages_of_tokens_and_urls_are_read_whole(options: dict[str, Any], datasette: Server) -> None:
    """Datasette: 505 rows, of which it hands out a hundred unless it is asked for more."""
    found = read_here(
        f"{datasette.url}/test/items.json?_shape=objects", ROW, records="rows",
        page__totalField="filtered_table_rows_count", **options,
    )  # fmt: skip
    rows = sorted(tuple(row.values()) for row in found)
    answer = requests.get(f"{datasette.url}/test/items.json?_shape=objects&_size=0", timeout=60).json()
    assert len(rows) == answer["filtered_table_rows_count"] == 505
    assert rows == TABLE


def test_a_page_larger_than_the_server_gives_is_an_error(datasette: Server) -> None:
    """In the server's words."""
    with pytest.raises(RejectedError, match=r"400.*_size must be <= 1000"):
        read_here(
            f"{datasette.url}/test/items.json?_shape=objects", ROW, records="rows", pagination="nextUrl",
            page__nextField="next_url", page__size=2000, page__sizeParam="_size",
        )  # fmt: skip


def test_types_are_inferred_of_what_a_real_server_sends(spark: SparkSession, datasette: Server) -> None:
    """Also those of columns that begin with nulls."""
    said = {"records": "rows", "pagination": "nextUrl", "page.nextField": "next_url"}
    df = spark.read.format("rest").options(**said).load(f"{datasette.url}/test/items.json?_shape=objects")
    assert df.schema.simpleString() == "struct<id:bigint,name:string,price:double,note:string>"
    assert sorted(tuple(row) for row in df.collect()) == TABLE


def test_a_table_is_read_as_csv(datasette: Server) -> None:
    """Quotes, commas and line breaks inside fields, and empty ones."""
    url = f"{datasette.url}/test/items.csv?_stream=on"
    rows = read_here(url, ROW, format="csv", pagination="none")
    assert sorted(tuple(row.values()) for row in rows) == TABLE


@pytest.mark.slow
def test_pages_of_a_token_in_the_body_are_read_whole(moto: Server) -> None:
    """AWS Glue as moto has it: every page is a POST, and a door gives it the headers of AWS."""
    names = [f"job-{number:03}" for number in range(47)]
    for name in names:
        command = {"Name": "glueetl", "ScriptLocation": f"s3://b/{name}.py"}
        glue(moto, "CreateJob", {"Name": name, "Role": "r", "Command": command, "MaxRetries": 2})
    rows = read_here(
        moto.url, "Name STRING, Command STRUCT<Name: STRING, ScriptLocation: STRING>, MaxRetries INT",
        method="POST", headers='{"X-Amz-Target": "AWSGlue.GetJobs"}', prepare="tests.servers.moto:signed",
        records="Jobs", pagination="cursor", page__in="body", page__param="NextToken", page__nextField="NextToken",
        page__size=10, page__sizeParam="MaxResults",
    )  # fmt: skip
    got = sorted(rows, key=lambda row: row["Name"])
    assert [row["Name"] for row in got] == sorted(glue(moto, "ListJobs", {"MaxResults": 1000})["JobNames"]) == names
    assert got[3] == {
        "Name": "job-003",
        "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/job-003.py"},
        "MaxRetries": 2,
    }
