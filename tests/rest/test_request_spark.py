"""`request()` in Spark: evaluated twice, limited, in a stream, and looked back at."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from trunkline.errors import OptionError
from trunkline.rest import pending, rejected, request, summary
from trunkline.testing import FaultServer

OK = [{"body": {"name": "Ann", "age": 7}}]
ROWS = """
SELECT id, CAST(id AS DECIMAL(20, 4)) AS amount, TIMESTAMP'2026-01-02' AS at, map('a', id) AS tags,
       TIMESTAMP_NTZ'2026-01-02 03:04:05' AS local, array(id, NULL) AS list,
       named_struct('x', id, 'y', 'z') AS place, X'00FF' AS raw, INTERVAL '1' DAY AS length,
       NULL AS nothing, CAST(parse_json(concat('{"k":', id, '}')) AS STRING) AS json
FROM range(0, 40, 1, 3)
"""


def test_columns_pass_through_and_two_evaluations_ask_once(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """Also when the second has other partitions; and no credential is in the plan."""
    fault_server.route("GET /users/{id}", OK)
    df = spark.sql(ROWS)
    options = {
        "url": fault_server.url_for("/users/{id}"),
        "auth": {"type": "bearer", "token": "very-secret"},
        "responses": str(tmp_path),
    }
    asked = request(df, options, "name STRING, age INT")
    assert "very-secret" not in asked._jdf.queryExecution().toString()
    assert fault_server.count() == 0
    assert asked.count() == 40
    rows = asked.orderBy("id").collect()
    assert [row.asDict() for row in asked.coalesce(1).drop("response").orderBy("id").collect()] == [
        row.asDict() for row in df.orderBy("id").collect()
    ]
    assert {tuple(row.response.response_body) for row in rows} == {("Ann", 7)}
    assert fault_server.count() == 40
    assert {one.headers["authorization"] for one in fault_server.ledger()} == {"Bearer very-secret"}
    assert asked.schema.fields[:-1] == df.schema.fields


def test_large_types_variants_and_zones_arrive_as_they_are(spark: SparkSession, fault_server: FaultServer) -> None:
    """With Arrow's large types on, and a session in another time zone than the worker."""
    fault_server.route("GET /users/{id}", [{"body": {"at": "2026-01-02T03:04:05+01:00", "any": {"q": [1]}}}])
    df = spark.range(2).selectExpr("id", "'x' AS text", "parse_json('[1]') AS v", "map('k', X'00') AS m")
    with_large = {
        "spark.sql.execution.arrow.useLargeVarTypes": "true",
        "spark.sql.session.timeZone": "America/New_York",
    }
    before = {name: spark.conf.get(name) for name in with_large}
    try:
        for name, value in with_large.items():
            spark.conf.set(name, value)
        asked = request(df, {"url": fault_server.url_for("/users/{id}")}, "at TIMESTAMP, any VARIANT")
        told = asked.selectExpr(
            "id", "text", "to_json(v) AS v", "hex(m['k']) AS m", "string(response.response_body.at) AS at",
            "to_json(response.response_body.any) AS any", "response.response_headers['content-type'] AS kind",
            "abs(unix_seconds(response.requested_at) - unix_seconds(current_timestamp())) < 600 AS now",
        )  # fmt: skip
        found = [tuple(row) for row in told.orderBy("id").collect()]
    finally:
        for name, kept in before.items():
            spark.conf.set(name, kept or "")
    expected = ("x", "[1]", "00", "2026-01-01 21:04:05", '{"q":[1]}', "application/json", True)
    assert found == [(0, *expected), (1, *expected)]


def test_a_limit_asks_for_no_more_than_it_may(spark: SparkSession, fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", OK)
    options = {"url": fault_server.url_for("/users/{id}"), "maxRequests": 10}
    rows = request(spark.range(0, 30_000, 1, 1), options).limit(5).collect()
    assert len(rows) == 5
    assert fault_server.count() <= 10


def test_a_replayed_micro_batch_asks_only_for_the_rest(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.route("GET /users/{id}", [{"when": {"path": "/users/2"}, "times": 1, "status": 404}, *OK])
    spark.range(0, 20, 1, 2).write.parquet(str(tmp_path / "in"))
    options = {"url": fault_server.url_for("/users/{id}"), "responses": str(tmp_path / "log")}

    def run() -> None:
        feed = request(spark.readStream.schema("id LONG").parquet(str(tmp_path / "in")), options, "name STRING")
        found = feed.select("id", f.col("response.response_body.name").alias("name"))
        stream = found.writeStream.format("parquet").option("path", str(tmp_path / "out"))
        stream = stream.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(availableNow=True)
        stream.start().awaitTermination(240)

    run()
    assert fault_server.count() == 20
    # As if the driver had died before the batch was committed.
    shutil.rmtree(tmp_path / "checkpoint" / "commits")
    shutil.rmtree(tmp_path / "out")
    run()
    assert fault_server.count() == 20
    names = Counter(row.name for row in spark.read.parquet(str(tmp_path / "out")).collect())
    assert names == {"Ann": 19, None: 1}
    [one] = summary(str(tmp_path / "log"))
    assert (one["state"], one["rows"], one["accepted"], one["rejected"]) == ("asked", 20, 19, 1)


def test_the_log_tells_what_is_pending_and_what_was_rejected(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.route("GET /users/{id}", [{"when": {"path": "/users/7"}, "status": 404, "body": "none"}, *OK])
    log = str(tmp_path)
    df = spark.range(0, 10, 1, 2).selectExpr("id", "concat('n', id) AS name")
    options = {"url": fault_server.url_for("/users/{id}"), "responses": log, "runId": "enrich-1"}
    request(df.where("id > 3"), options).collect()
    assert sorted(row.id for row in pending(df, log).collect()) == [0, 1, 2, 3, 7]
    [row] = rejected(spark, log).collect()
    assert (row.id, row.name, row.response.status_code, row.response.error) == (7, "n7", 404, "status 404: none")
    [one] = summary(log)
    told = {name: one[name] for name in ("run_id", "state", "rows", "accepted", "rejected", "requests", "retries")}
    assert told == {
        "run_id": "enrich-1", "state": "asked", "rows": 6, "accepted": 5, "rejected": 1, "requests": 6, "retries": 0,
    }  # fmt: skip


def test_wrong_columns_and_schemas_are_told_before_anything_is_sent(
    spark: SparkSession, fault_server: FaultServer
) -> None:
    options = {"url": fault_server.url_for("/users/{id}")}
    df = spark.range(1)
    bulk = {"url": fault_server.url_for("/bulk"), "method": "POST", "repeatable": True, "batch.rows": 5}
    bulk["results.path"] = "$"
    for given, schema, told in [
        ({**options, "responseColumn": "ID"}, None, "column ID is there already"),
        (
            {"url": fault_server.url_for("/users/{uid}")},
            None,
            "request: the options do not fit.*\n.*no column uid; there",
        ),
        (options, "name STRNG", "cannot be read"),
        ({**options, "rateLimit": "10/s"}, None, "^request: rateLimit is for the whole query.*rateLimitTasks"),
        (options, " ", "the schema is empty"),
        (options, {"name": "STRING"}, "not dict"),
        (options, "a INTERVAL YEAR", "INTERVAL YEAR cannot be read into"),
        ({**bulk, "results.id": "a.key"}, None, "no column key to tell rows"),
    ]:
        with pytest.raises(OptionError, match=told):
            request(df, given, schema)
    for odd, told in [
        (df.select(), "there is no column"),
        (df.selectExpr("id", "array(INTERVAL '1' YEAR) AS v"), "column v: Spark gives no interval year to Python"),
    ]:
        with pytest.raises(OptionError, match=told):
            request(odd, {"url": fault_server.url_for("/users")})


def test_columns_with_dots_in_their_names_come_out_as_they_were(spark: SparkSession, fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"body": {"name": "Ann"}}])
    df = spark.range(7, 8, 1, 1).selectExpr("id", "'x' AS `a.b`", "named_struct('c d', id) AS `q``r`")
    asked = request(df, {"url": fault_server.url_for("/users/{id}")}, "name STRING")
    assert asked.columns == ["id", "a.b", "q`r", "response"]
    [row] = asked.collect()
    assert (row.id, row["a.b"], row["q`r"]["c d"], row.response.response_body.name) == (7, "x", 7, "Ann")
    assert asked.select("`a.b`", "response.outcome").collect() == [("x", "accepted")]


def test_an_error_of_a_task_names_the_request(spark: SparkSession, fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"status": 404, "body": "no such user"}])
    options = {"url": fault_server.url_for("/users/{id}"), "onError": "fail"}
    with pytest.raises(PySparkException, match=r"RejectedError: a row was rejected: GET .*/users/0 after 1 try"):
        request(spark.range(0, 1, 1, 1), options).collect()
