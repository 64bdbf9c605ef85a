"""The whole of what `preview()`, `rejected()` and `summary()` give, on every type that can be written."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.types import StructType, VariantVal
from tests.rest.conftest import Write

from trunkline.rest import preview, rejected, summary
from trunkline.testing import FaultServer

# Each type, and how its value stands in JSON.
VALUES = {
    "flag": ("true", True),
    "tiny": ("CAST(-128 AS TINYINT)", -128),
    "small": ("CAST(32767 AS SMALLINT)", 32767),
    "number": ("CAST(-2147483648 AS INT)", -2147483648),
    "big": ("9223372036854775807L", 9223372036854775807),
    "single": ("CAST(0.1 AS FLOAT)", 0.1),
    "real": ("1e300D", 1e300),
    "exact": ("CAST('-12345678901234567890.5' AS DECIMAL(38,18))", "-12345678901234567890.500000000000000000"),
    "text": ("concat('zoë \"q\" ', chr(10), chr(9), chr(92))", 'zoë "q" \n\t\\'),
    "raw": ("X'00FF'", "AP8="),
    "day": ("DATE'0001-01-01'", "0001-01-01"),
    "at": ("TIMESTAMP'2024-05-01 12:00:00.123456+02:00'", "2024-05-01T10:00:00.123456Z"),
    "local": ("TIMESTAMP_NTZ'1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999"),
    "open": ("""parse_json('{"a":[1,2.5,null]}')""", {"a": [1, 2.5, None]}),
    "list": ("array(1.5D, NULL)", [1.5, None]),
    "map": ("map('a', array(1, 2), 'b', NULL)", {"a": [1, 2], "b": None}),
    "wait": ("INTERVAL '1 02:03:04.5' DAY TO SECOND", "P1DT2H3M4.500000S"),
    "nested": (
        "named_struct('x', DATE'2024-02-29', 'y', array(named_struct('z', X'01')))",
        {"x": "2024-02-29", "y": [{"z": "AQ=="}]},
    ),
}
TIMES = {"finished_at", "task_seconds"}


def all_types(spark: SparkSession) -> DataFrame:
    """Row 0 holds a value of each type, row 1 nulls."""
    columns = [f"IF(id = 0, {value}, NULL) AS {name}" for name, (value, _) in VALUES.items()]
    return spark.range(0, 2, 1, 1).selectExpr("CAST(id AS INT) AS id", *columns)


def plain(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as dicts that can be compared: a variant only knows its JSON."""
    return [
        {name: value.toJson() if isinstance(value, VariantVal) else value for name, value in row.asDict(True).items()}
        for row in rows
    ]


def types_of(schema: StructType) -> list[tuple[str, str]]:
    return [(field.name, field.dataType.simpleString()) for field in schema.fields]


def test_preview_shows_each_request_as_it_would_be_sent(
    spark: SparkSession, write: Write, fault_server: FaultServer
) -> None:
    df = all_types(spark)
    options = {"auth.type": "bearer", "auth.token": "tok-5up3r", "headers": '{"X-Source": "spark"}'}
    shown = preview(df, {"url": fault_server.url_for("/rows"), **options})
    headers = {"X-Source": "spark", "Content-Type": "application/json", "Authorization": "***"}
    request = {"method": "POST", "url": fault_server.url_for("/rows"), "headers": headers}
    assert [{**one, "body": None} for one in shown] == [{**request, "body": None}] * 2
    expected: dict[str, Any] = {"id": 0, **{name: value for name, (_, value) in VALUES.items()}}
    # The decimal is a number with all its digits.
    assert json.loads(shown[0]["body"], parse_float=str)["exact"] == expected["exact"]
    assert json.loads(shown[0]["body"]) == {**expected, "exact": float(expected["exact"])}
    assert json.loads(shown[1]["body"]) == {"id": 1, **dict.fromkeys(VALUES)}
    # And as it is then sent.
    fault_server.route("POST /rows", [{"status": 201}])
    write(df, **{name.replace(".", "__"): value for name, value in options.items()})
    assert sorted(sent.body for sent in fault_server.ledger()) == sorted(one["body"].encode() for one in shown)


def test_preview_shows_every_part_of_a_request_and_why_a_row_cannot_be_sent(spark: SparkSession) -> None:
    df = spark.createDataFrame(
        [("a b", "x", 1.5), ("..", "y", 2.5), ("c", "z", float("nan"))], "id string, q string, v double"
    )
    shown = preview(
        df.coalesce(1),
        {
            "url": "https://api.example.com/users/{id}",
            "method": "PUT",
            "params": '{"q": "{q}"}',
            "headers": '{"X-Row": "{id}", "X-Source": "spark"}',
            "secretHeaders": '{"X-Session": "ses-5up3r"}',
            "auth.type": "apiKey",
            "auth.name": "X-Key",
            "auth.token": "key-5up3r",
            "compression": "gzip",
        },
    )
    assert shown == [
        {"refused": "column id is '..', which cannot fill a path segment"},
        {"refused": "column v is NaN or infinite, which JSON has no number for"},
        {
            "method": "PUT",
            "url": "https://api.example.com/users/a%20b?q=x",
            "headers": {
                "X-Row": "a b",
                "X-Source": "spark",
                "X-Session": "***",
                "X-Key": "***",
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
            },
            "body": '{"v":1.5}',
        },
    ]


def test_rejected_gives_back_what_json_has_no_number_for(spark: SparkSession, write: Write, tmp_path: Path) -> None:
    """Rows that could not be sent for it, in arrays, maps and structs too."""
    odd = "CAST('NaN' AS DOUBLE)", "CAST('-Infinity' AS FLOAT)"
    df = spark.range(0, 1, 1, 1).selectExpr(
        "CAST(id AS INT) AS id", f"array(1.5D, {odd[0]}, NULL) AS list", f"map('a', {odd[1]}) AS map",
        f"named_struct('x', {odd[0]}) AS `a.b`", "'own' AS response",
    )  # fmt: skip
    write(df, onError="deadLetter", responses=tmp_path)
    found = rejected(spark, str(tmp_path))
    assert found.columns == ["id", "list", "map", "a.b", "response", "response"]
    assert str(found.collect()[0][:5]) == "(0, [1.5, nan, None], {'a': -inf}, Row(x=nan), 'own')"


def test_rejected_gives_back_the_rows_with_their_types_and_what_the_server_said(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"status": 422, "body": "no such flag"}])
    df = all_types(spark)
    before = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)
    write(df, onError="deadLetter", responses=tmp_path, runId="r-1")
    found = rejected(spark, str(tmp_path)).orderBy("id")
    assert types_of(found.schema)[:-1] == types_of(df.schema)
    assert plain(found.drop("response").collect()) == plain(df.orderBy("id").collect())
    told = [row.response.asDict() for row in found.collect()]
    assert all(before <= one.pop("requested_at") for one in told)
    assert len({one.pop("request_id") for one in told}) == 2
    assert (
        told
        == [
            {
                "run_id": "r-1",
                "batch_id": None,
                "outcome": "rejected",
                "status_code": 422,
                "error": "status 422",
                "response_body": "no such flag",
            }
        ]
        * 2
    )


def test_rejected_rows_that_were_mended_are_written_again_and_rejected_no_more(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"when": {"json": {"id": 1}}, "status": 422}, {"status": 201}], store=True)
    df = all_types(spark)
    write(df, onError="deadLetter", responses=tmp_path, runId="r-1")
    again = rejected(spark, str(tmp_path)).drop("response")
    assert [row.id for row in again.collect()] == [1]
    fault_server.route("POST /rows", [{"status": 201}], store=True)
    write(again, onError="deadLetter", responses=tmp_path, runId="r-2")
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == [0, 1]
    assert rejected(spark, str(tmp_path)).count() == 0
    assert rejected(spark, str(tmp_path), "r-1").count() == 1


def test_summary_counts_every_row_of_each_run(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route(
        "POST /rows", [{"status": 503, "times": 1}, {"when": {"json": {"id": 1}}, "status": 422}, {"status": 201}]
    )
    df = all_types(spark)
    write(df, onError="deadLetter", responses=tmp_path, runId="r-1")
    sent = sum(len(one.body) for one in fault_server.ledger())
    fault_server.route("POST /rows", [{"status": 201}])
    write(df, onError="deadLetter", responses=tmp_path, runId="r-1")
    zero = dict.fromkeys(["ambiguous", "exhausted", "unsent", "superseded", "retries", "rejected", "skipped"], 0)
    run = {"run_id": "r-1", "batch_id": None, "state": "succeeded", "error": None, "tasks": 1, "rows": 2, **zero}
    found = summary(str(tmp_path))
    assert all(one.keys() >= TIMES for one in found)
    resent = len(fault_server.ledger()[-1].body)
    assert [{name: value for name, value in one.items() if name not in TIMES} for one in found] == [
        {**run, "accepted": 1, "rejected": 1, "requests": 3, "retries": 1, "bytes_sent": sent},
        {**run, "accepted": 1, "skipped": 1, "requests": 1, "bytes_sent": resent},
    ]
