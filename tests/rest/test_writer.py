"""What `df.write.format("rest")` sends, seen by the server that gets it."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from tests.rest.conftest import Write, logged, most_within_a_second, numbered, rows_of, summaries

from trunkline.testing import FaultServer

CREATED = [{"status": 201}]


def test_each_row_is_one_post_of_its_json(spark: SparkSession, fault_server: FaultServer, write: Write) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    fault_server.expect("POST /rows", times=100)
    write(numbered(spark, 100))
    assert rows_of(fault_server) == [{"id": i, "name": f"n{i}"} for i in range(100)]
    headers = fault_server.ledger()[0].headers
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("trunkline/")


def test_save_takes_the_url_as_its_path(spark: SparkSession, fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    numbered(spark, 3).write.format("rest").mode("append").save(fault_server.url_for("/rows"))
    assert [row["id"] for row in rows_of(fault_server)] == [0, 1, 2]


def test_every_type_of_spark_arrives_as_json(spark: SparkSession, fault_server: FaultServer, write: Write) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    df = spark.sql(
        """SELECT 1 AS id, true AS flag, 1.5D AS real, CAST('12.340' AS DECIMAL(10,3)) AS price,
        DATE'2024-02-29' AS day, TIMESTAMP'2024-05-01 12:00:00.5+00:00' AS at,
        TIMESTAMP_NTZ'2024-05-01 12:00:00' AS local,
        X'00FF' AS raw, INTERVAL '1 02:03:04' DAY TO SECOND AS took, array(1, NULL) AS list, map('a', 1) AS map,
        named_struct('x', 'q"\n', 'y', NULL) AS nested, CAST(NULL AS STRING) AS nothing, 'zoë' AS text"""
    )
    write(df)
    body = fault_server.ledger()[0].body
    assert json.loads(body, parse_float=Decimal) == {
        "id": 1,
        "flag": True,
        "real": Decimal("1.5"),
        "price": Decimal("12.340"),
        "day": "2024-02-29",
        "at": "2024-05-01T12:00:00.500000Z",
        "local": "2024-05-01T12:00:00",
        "raw": "AP8=",
        "took": "P1DT2H3M4S",
        "list": [1, None],
        "map": {"a": 1},
        "nested": {"x": 'q"\n', "y": None},
        "nothing": None,
        "text": "zoë",
    }
    assert "zoë".encode() in body


def test_url_params_and_headers_take_values_from_the_row_and_the_rest_is_the_body(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("PUT /users/{id}", [{"status": 200}])
    df = spark.createDataFrame([("a b", "ü&", "t1", 7)], "id string, q string, trace string, n int")
    write(
        df,
        "/users/{id}",
        method="PUT",
        params='{"q": "{q}", "tag": ["x", "y"]}',
        headers='{"X-Trace": "{trace}", "X-Source": "spark"}',
    )
    sent = fault_server.ledger()[0]
    assert sent.target == "/users/a%20b?q=%C3%BC%26&tag=x&tag=y"
    assert sent.headers["x-trace"] == "t1"
    assert sent.headers["x-source"] == "spark"
    assert sent.json == {"n": 7}


def test_a_column_can_hold_the_method(spark: SparkSession, fault_server: FaultServer, write: Write) -> None:
    fault_server.route("* /users/{id}", [{"status": 200}])
    df = spark.createDataFrame([(1, "put", "a"), (2, "DELETE", "b")], "id int, op string, name string")
    write(df, "/users/{id}", methodColumn="op")
    assert sorted((sent.method, sent.path, sent.json) for sent in fault_server.ledger()) == [
        ("DELETE", "/users/2", {"name": "b"}),
        ("PUT", "/users/1", {"name": "a"}),
    ]


def test_a_ready_made_body_is_sent_as_it_stands(spark: SparkSession, fault_server: FaultServer, write: Write) -> None:
    fault_server.route("POST /rows", CREATED)
    write(spark.sql("SELECT to_json(struct(1 AS a, 'x' AS b)) AS payload"), bodyColumn="payload")
    assert fault_server.ledger()[0].body == b'{"a":1,"b":"x"}'


def test_form_bodies_are_urlencoded(spark: SparkSession, fault_server: FaultServer, write: Write) -> None:
    fault_server.route("POST /rows", CREATED)
    write(spark.sql("SELECT 'a b&c' AS name, 1 AS n, CAST(NULL AS STRING) AS gone"), body__type="form")
    sent = fault_server.ledger()[0]
    assert sent.body == b"name=a+b%26c&n=1"
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("options", "first", "content_type"),
    [
        ({}, b'[{"id":0},{"id":1},{"id":2}]', "application/json"),
        ({"batch__format": "ndjson"}, b'{"id":0}\n{"id":1}\n{"id":2}\n', "application/x-ndjson"),
        (
            {"batch__format": "envelope", "batch__envelope": '{"records": "{rows}", "v": 1}'},
            b'{"records":[{"id":0},{"id":1},{"id":2}],"v":1}',
            "application/json",
        ),
    ],
)
def test_batches_share_a_body(
    spark: SparkSession,
    fault_server: FaultServer,
    write: Write,
    options: dict[str, str],
    first: bytes,
    content_type: str,
) -> None:
    fault_server.route("POST /rows", CREATED)
    write(spark.range(0, 7, 1, 1), batch__rows=3, **options)
    bodies = sorted((sent.body for sent in fault_server.ledger()), key=len, reverse=True)
    assert len(bodies) == 3
    assert first in bodies
    assert fault_server.ledger()[0].headers["content-type"] == content_type


def test_batches_stay_below_their_bytes_and_arrive_gzipped(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    write(numbered(spark, 1000, 1), batch__rows=500, batch__bytes="1kB", compression="gzip")
    ledger = fault_server.ledger()
    assert max(len(gzip.decompress(sent.body)) for sent in ledger) <= 1000
    assert {sent.headers["content-encoding"] for sent in ledger} == {"gzip"}
    assert [row["id"] for row in rows_of(fault_server)] == list(range(1000))


def test_batches_do_not_end_where_arrow_cut(spark: SparkSession, fault_server: FaultServer, write: Write) -> None:
    fault_server.route("POST /rows", CREATED)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 7)
    try:
        write(spark.range(0, 100, 1, 1), batch__rows=10)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert sorted(len(sent.json) for sent in fault_server.ledger()) == [10] * 10


@pytest.mark.parametrize("status", [307, 409])
def test_a_refusal_fails_the_write_and_says_what_was_refused(
    spark: SparkSession, fault_server: FaultServer, write: Write, status: int
) -> None:
    headers = {"Location": fault_server.other_url + "/rows"} if status < 400 else {}
    fault_server.route("POST /rows", [{"status": status, "headers": headers, "body": {"error": "no such thing"}}])
    with pytest.raises(PySparkException) as raised:
        write(numbered(spark, 50))
    text = str(raised.value)
    assert "RejectedError" in text
    assert f"POST {fault_server.url}/rows refused a row after 1 try: status {status}" in text
    assert "no such thing" in text
    assert "Of " in text
    assert fault_server.count(origin="other") == 0
    # Four at first in each of two tasks, and no task is repeated.
    assert fault_server.count() <= 8


def test_a_failed_write_leaves_one_summary(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    """Spark calls abort after a commit that raised."""
    fault_server.route("POST /rows", [{"status": 422}])
    with pytest.raises(PySparkException, match="RejectedError"):
        write(numbered(spark, 5), responses=tmp_path)
    assert [summary["state"] for summary in summaries(tmp_path)] == ["failed"]


def test_a_refused_credential_is_an_auth_error(spark: SparkSession, fault_server: FaultServer, write: Write) -> None:
    fault_server.route("POST /rows", [{"status": 403}])
    with pytest.raises(PySparkException, match=r"AuthError: POST .* status 403"):
        write(numbered(spark, 50))


def test_dead_letters_hold_every_refused_row_and_the_others_arrive(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route(
        "POST /rows",
        [{"when": {"json": {"id": 7}}, "status": 422, "body": "name is taken"}, {"status": 201}],
        store=True,
    )
    write(numbered(spark, 20), onError="deadLetter", responses=tmp_path)
    assert [row["id"] for row in rows_of(fault_server)] == [i for i in range(20) if i != 7]
    dead = [record for record in logged(spark, tmp_path) if record["outcome"] != "accepted"]
    assert [(r["outcome"], r["status_code"], r["response_body"], json.loads(r["row"])) for r in dead] == [
        ("rejected", 422, "name is taken", {"id": 7, "name": "n7"})
    ]
    [summary] = summaries(tmp_path)
    assert (summary["state"], summary["rows"], summary["accepted"], summary["rejected"]) == ("succeeded", 20, 19, 1)


def test_with_dead_letters_a_server_that_refuses_all_leaves_every_row_in_the_log(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"status": 422}])
    write(numbered(spark, 30), onError="deadLetter", responses=tmp_path)
    records = logged(spark, tmp_path)
    assert sorted(json.loads(record["row"])["id"] for record in records) == list(range(30))
    assert {(record["outcome"], record["status_code"]) for record in records} == {("rejected", 422)}


def test_dead_letters_beyond_the_bound_fail_the_write(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"status": 422}])
    with pytest.raises(PySparkException, match="more than maxFailedRows=10"):
        write(numbered(spark, 500), onError="deadLetter", responses=tmp_path, maxFailedRows=10)
    assert fault_server.count() < 100


def test_a_credential_that_is_refused_stops_the_write_with_dead_letters_too(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"status": 401}])
    with pytest.raises(PySparkException, match=r"AuthError: .*401"):
        write(numbered(spark, 5000), onError="deadLetter", responses=tmp_path)
    assert fault_server.count() <= 2 * 2 * 5


def test_a_partly_accepted_batch_is_settled_row_by_row(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route(
        "POST /rows",
        [{"each": [{"when": {"json": {"id": 3}}, "status": 409, "error": "exists"},
                   {"when": {"json": {"id": 5}}, "status": 503, "times": 1}]}],
        store=True,
    )  # fmt: skip
    write(
        spark.range(0, 10, 1, 1),
        batch__rows=10,
        results__path="$",
        results__ok="status",
        results__error="error",
        onError="deadLetter",
        responses=tmp_path,
    )
    assert [row["id"] for row in rows_of(fault_server)] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert [len(sent.json) for sent in fault_server.ledger()] == [10, 1]
    dead = [r for r in logged(spark, tmp_path) if r["outcome"] != "accepted"]
    assert [(json.loads(r["row"]), r["status_code"], r["error"]) for r in dead] == [
        ({"id": 3}, 409, "status 409: exists")
    ]


def test_an_answer_that_does_not_account_for_every_row_is_ambiguous(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("POST /rows", [{"status": 207, "body": [{"status": 201}]}])
    with pytest.raises(PySparkException, match=r"may or may not have taken 10 rows .* 1 results at \$ for 10 rows"):
        write(spark.range(0, 10, 1, 1), batch__rows=10, results__path="$", results__ok="status")


def test_a_refused_batch_is_halved_until_the_bad_row_stands_alone(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route(
        "POST /rows", [{"when": {"text": '"id":11}'}, "status": 400, "body": "bad id"}, {"status": 201}], store=True
    )
    write(spark.range(0, 16, 1, 1), batch__rows=16, onError="deadLetter", responses=tmp_path)
    assert [row["id"] for row in rows_of(fault_server)] == [i for i in range(16) if i != 11]
    assert fault_server.count() <= 2 * 16 - 1
    dead = [r for r in logged(spark, tmp_path) if r["outcome"] != "accepted"]
    assert [json.loads(r["row"]) for r in dead] == [{"id": 11}]


def test_rows_that_cannot_be_sent_are_refused_with_the_reason(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route("POST /users/{id}", CREATED)
    df = spark.createDataFrame(
        [("1", 1.0), ("..", 1.0), (None, 1.0), ("a/b", 1.0), ("2", float("nan"))], "id string, v double"
    )
    write(df, "/users/{id}", onError="deadLetter", responses=tmp_path)
    assert [sent.path for sent in fault_server.ledger()] == ["/users/1"]
    dead = sorted(r["error"] for r in logged(spark, tmp_path) if r["outcome"] != "accepted")
    assert dead == [
        "not sent: column id holds a slash, a backslash or a control character, which cannot fill a path segment",
        "not sent: column id is '..', which cannot fill a path segment",
        "not sent: column id is null, and the url needs it",
        "not sent: column v is NaN or infinite, which JSON has no number for",
    ]


def test_insert_into_a_view_writes(spark: SparkSession, fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    spark.sql(
        f"CREATE OR REPLACE TEMPORARY VIEW api (id INT, name STRING) USING rest OPTIONS (url '{fault_server.url}/rows')"
    )
    spark.sql("INSERT INTO api VALUES (1, 'a'), (2, 'b')")
    assert rows_of(fault_server) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


def test_overwriting_is_refused(spark: SparkSession, fault_server: FaultServer) -> None:
    with pytest.raises(PySparkException, match=r"cannot be overwritten: use .mode"):
        numbered(spark, 1).write.format("rest").mode("overwrite").save(fault_server.url_for("/rows"))


def test_all_wrong_options_are_told_at_once_and_nothing_is_sent(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    with pytest.raises(PySparkException) as raised:
        write(numbered(spark, 5), retries="3", batch__row="2", onError="ignore")
    text = str(raised.value)
    assert "did you mean retry.maxAttempts?" in text
    assert "did you mean batch.rows?" in text
    assert "onError: 'ignore' is none of fail, deadLetter" in text


def test_a_column_that_is_not_there_is_told_before_anything_is_sent(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    with pytest.raises(PySparkException, match="no column uid; there are id, name"):
        write(numbered(spark, 5), "/users/{uid}")


def test_a_rate_without_a_count_of_tasks_is_refused(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    with pytest.raises(PySparkException, match="add rateLimitTasks=N"):
        write(numbered(spark, 5), rateLimit="10/s")


@pytest.mark.parametrize(("partitions", "tasks"), [(16, 2), (1, 1)])
def test_the_rate_of_the_whole_query_is_kept(
    spark: SparkSession, fault_server: FaultServer, write: Write, partitions: int, tasks: int
) -> None:
    fault_server.route("POST /rows", CREATED)
    write(numbered(spark, 150, partitions), rateLimit="100/s", rateLimitTasks=tasks, concurrency=2)
    assert fault_server.count() == 150
    # More for each task: its first permit, what a hundredth of the window adds, and what may be in flight when the
    # server stalls.
    assert most_within_a_second(fault_server) <= 100 + (2 + 2) * tasks


def test_a_stream_writes_each_micro_batch_once(spark: SparkSession, fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    source, responses = tmp_path / "in", tmp_path / "responses"
    numbered(spark, 50, 1).write.parquet(str(source))
    query = (
        spark.readStream.schema("id long, name string")
        .parquet(str(source))
        .writeStream.format("rest")
        .option("url", fault_server.url_for("/rows"))
        .option("responses", str(responses))
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    assert query.awaitTermination(240)
    assert [row["id"] for row in rows_of(fault_server)] == list(range(50))
    records = logged(spark, responses)
    assert {(record["run_id"], record["batch_id"]) for record in records} == {(str(query.id), 0)}
    [summary] = summaries(responses)
    assert (summary["batch_id"], summary["accepted"]) == (0, 50)


def test_the_log_tells_what_was_sent_and_what_came_back(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    before = datetime.now(timezone.utc).replace(tzinfo=None)
    fault_server.route(
        "POST /rows", [{"status": 503, "times": 1}, {"status": 201, "body": '{"ok":true}', "headers": {"X-Id": "9"}}]
    )
    write(numbered(spark, 1, 1), responses=tmp_path, log__body="always", log__row="always", runId="r-1")
    [record] = logged(spark, tmp_path)
    assert (record["run_id"], record["outcome"], record["status_code"], record["attempts"]) == (
        "r-1",
        "accepted",
        201,
        2,
    )
    assert record["response_body"] == '{"ok":true}'
    assert record["response_headers"]["x-id"] == "9"
    assert (record["method"], record["url"]) == ("POST", fault_server.url_for("/rows"))
    assert json.loads(record["row"]) == {"id": 0, "name": "n0"}
    assert record["requested_at"] >= before
    assert record["error"] is None
