"""`rest_request` in SQL: each row of a table a request, each response a row."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from trunkline.rest import summary
from trunkline.testing import FaultServer

OK = [{"body": {"name": "Ann", "age": 7}}]
COLUMNS = """
id, CAST(id AS DECIMAL(20, 4)) AS amount, TIMESTAMP'2026-10-25 02:30:00 Europe/Berlin' AS at, map('a', id) AS tags,
TIMESTAMP_NTZ'2026-01-02 03:04:05' AS local, array(id, NULL) AS list, named_struct('x', id, 'y', 'z') AS place,
X'00FF' AS raw, INTERVAL '1' DAY AS length
"""


def call(server: FaultServer, path: str = "/users/{id}", table: str = "TABLE(users)", **options: object) -> str:
    """A table function call; `schema` is its third argument."""
    schema = options.pop("schema", "name STRING, age INT")
    given = {"url": server.url_for(path)} | {name.replace("__", "."): value for name, value in options.items()}
    pairs = ", ".join(f"'{name}', '{value}'" for name, value in given.items())
    return f"rest_request({table}, options => map({pairs}), schema => '{schema}')"


@pytest.fixture
def users(spark: SparkSession) -> None:
    """A view of 250 users in three partitions: the rows of a batch and more in two of them, an odd number in all."""
    spark.sql(f"SELECT {COLUMNS} FROM range(0, 250, 1, 3)").createOrReplaceTempView("users")


@pytest.mark.usefixtures("users")
def test_every_row_comes_out_once_with_its_answer(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """The columns unchanged, errors as rows; many at once; and no credential is in the plan."""
    fault_server.route("GET /users/{id}", [{"when": {"path": "/users/249"}, "status": 404, "body": "none"}, *OK])
    (tmp_path / "token").write_text("very-secret")
    more = {"auth__type": "bearer", "auth__token": f"file:{tmp_path / 'token'}"}
    asked = spark.sql(f"SELECT * FROM {call(fault_server, **more)}")
    assert "very-secret" not in asked._jdf.queryExecution().toString()
    assert fault_server.count() == 0
    # Not ordered by Spark, which would evaluate it twice.
    rows = sorted(asked.collect(), key=lambda row: int(row.id))
    users = spark.table("users").orderBy("id")
    assert [row[:-1] for row in rows] == [tuple(row) for row in users.collect()]
    assert asked.schema.fields[:-1] == users.schema.fields
    told = {(row.response.outcome, row.response.response_body, row.response.error) for row in rows if row.id == 249}
    assert told == {("rejected", None, "status 404: none")}
    assert {tuple(row.response.response_body) for row in rows if row.id != 249} == {("Ann", 7)}
    assert fault_server.count() == 250
    assert {one.headers["authorization"] for one in fault_server.ledger()} == {"Bearer very-secret"}


@pytest.mark.usefixtures("users")
def test_a_run_is_a_statement_unless_it_has_a_name(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """What its log holds is not asked again, by another evaluation of the plan or a statement with the same name."""
    fault_server.route("GET /users/{id}", OK)
    asked = spark.sql(f"SELECT id, response FROM {call(fault_server, responses=tmp_path / 'one')} WHERE id < 20")
    assert len(asked.collect()) == asked.count() == 20
    assert fault_server.count() == 250
    named = call(fault_server, responses=tmp_path / "two", runId="nightly", table="TABLE(SELECT id FROM users)")
    for _ in range(2):
        assert spark.sql(f"SELECT count(response.response_body.name) FROM {named}").head()[0] == 250  # type: ignore[index]
    assert fault_server.count() == 500
    [run] = summary(str(tmp_path / "two"))
    assert (run["run_id"], run["state"], run["rows"], run["accepted"]) == ("nightly", "asked", 250, 250)


@pytest.mark.usefixtures("users")
def test_partitions_are_those_that_the_statement_asks_for(spark: SparkSession, fault_server: FaultServer) -> None:
    """With a single partition all rows are in one task, and share batches; with a key, batches hold rows of one key."""
    fault_server.route("POST /scores", [{"body": [{"score": 1}, {"score": 2}, {"score": 3}]}])
    few = "TABLE(SELECT id, id % 2 AS odd FROM users WHERE id < 6)"
    options = {"method": "POST", "repeatable": "true", "batch__rows": 3, "results__path": "$", "schema": "score INT"}
    for clause, batches in [
        ("WITH SINGLE PARTITION", [[0, 1, 2], [3, 4, 5]]),
        ("PARTITION BY odd ORDER BY id", [[0, 2, 4], [1, 3, 5]]),
    ]:
        table = call(fault_server, "/scores", f"{few} {clause}", **options)
        rows = spark.sql(f"SELECT * FROM {table}").collect()
        sent = [[row["id"] for row in json.loads(one.body)] for one in fault_server.ledger()]
        assert sorted(sent) == batches
        assert sorted((row.id, row.odd, row.response.response_body.score) for row in rows) == sorted(
            (one, one % 2, place + 1) for batch in batches for place, one in enumerate(batch)
        )
        fault_server.clear()


@pytest.mark.usefixtures("users")
def test_what_is_wrong_is_told_when_the_statement_is_planned(spark: SparkSession, fault_server: FaultServer) -> None:
    url = fault_server.url_for("/users/{id}")
    for statement, told in [
        (call(fault_server, retyr__maxAttempts=3), "retyr.maxAttempts is unknown: did you mean retry.maxAttempts"),
        (call(fault_server, "/users/{uid}"), "no column uid; there are id"),
        (call(fault_server, schema="name STRNG"), "'name STRNG' cannot be read: a type is expected, found STRNG"),
        (call(fault_server, auth__type="bearer", auth__token="clear"), "auth.token: a statement is kept in clear"),
        (
            call(fault_server, table="TABLE(SELECT 1 AS id, INTERVAL '1' YEAR AS age)"),
            "column age: Spark gives no interval year to Python",
        ),
        (call(fault_server, table="1"), "the first argument is a table"),
        (f"rest_request(TABLE(users), options => map('url', '{url}', 'method', NULL))", "method: is null"),
        ("rest_request(TABLE(users), options => 'url')", "options must be a constant map of strings"),
    ]:
        with pytest.raises(AnalysisException, match="FAILED_TO_ANALYZE_IN_PYTHON") as error:
            spark.sql(f"SELECT * FROM {statement}")
        assert told in str(error.value)
    assert fault_server.count() == 0


def test_a_row_that_must_not_fail_fails_the_query(spark: SparkSession, fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"status": 404}])
    statement = call(fault_server, onError="fail", table="TABLE(SELECT id FROM range(0, 1, 1, 1))")
    with pytest.raises(PySparkException, match="a row was rejected: GET http"):
        spark.sql(f"SELECT * FROM {statement}").collect()


@pytest.mark.usefixtures("users")
def test_a_limit_asks_for_no_more_than_it_may(spark: SparkSession, fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", OK)
    statement = call(fault_server, maxRequests=10, table="TABLE(SELECT id FROM range(0, 30000, 1, 1))")
    assert len(spark.sql(f"SELECT * FROM {statement} LIMIT 5").collect()) == 5
    assert fault_server.count() <= 10


def test_a_replayed_micro_batch_asks_only_for_the_rest(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """A statement over a stream belongs to the run of its query, as in `request()`."""
    fault_server.route("GET /users/{id}", OK)
    spark.range(0, 20, 1, 2).write.parquet(str(tmp_path / "in"))
    statement = f"SELECT * FROM {call(fault_server, table='TABLE(feed)', responses=tmp_path / 'log')}"

    def run() -> None:
        spark.readStream.schema("id LONG").parquet(str(tmp_path / "in")).createOrReplaceTempView("feed")
        stream = spark.sql(statement).writeStream.format("parquet").option("path", str(tmp_path / "out"))
        stream = stream.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(availableNow=True)
        stream.start().awaitTermination(240)

    run()
    # As if the driver had died before the batch was committed.
    shutil.rmtree(tmp_path / "checkpoint" / "commits")
    shutil.rmtree(tmp_path / "out")
    run()
    assert spark.read.parquet(str(tmp_path / "out")).where("response.outcome = 'accepted'").count() == 20
    assert fault_server.count() == 20


@pytest.mark.slow
def test_it_works_over_connect_without_an_install_on_the_server(
    connect_server: str, fault_server: FaultServer, tmp_path: Path
) -> None:
    """Spark Connect plans a statement for each action: one run is what has one name."""
    fault_server.route("GET /users/{id}", OK)
    (tmp_path / "token").write_text("very-secret")
    script = Path(__file__).with_name("request_sql_job.py")
    job = [sys.executable, str(script), connect_server, fault_server.url, str(tmp_path)]
    done = subprocess.run(job, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["rows"] == [[i, f"n{i}", "accepted", "Ann"] for i in range(250)]
    assert "retyr.maxAttempts is unknown: did you mean retry.maxAttempts" in told["refused"]
    assert "very-secret" not in told["plan"]
    assert fault_server.count() == 250
    assert {one.headers["authorization"] for one in fault_server.ledger()} == {"Bearer very-secret"}
