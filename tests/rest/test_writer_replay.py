"""What arrives when workers die, connections break after the row was kept, and streams are restarted."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from tests.rest.conftest import Write, logged, numbered, rows_of
from tests.rest.test_delivery import batch_of, deliver, writer_to

from trunkline.rest.report import conclude
from trunkline.testing import FaultServer

CREATED = [{"status": 201}]
KILL_ORDER = Path(os.environ.setdefault("TRUNKLINE_TEST_KILL", f"/tmp/trunkline-test-kill-{os.getpid()}"))
KILL = {"judge": "tests.rest.doors:kill_once"}


@pytest.fixture
def kill_after() -> Iterator[object]:
    """Order the first worker that gets so many rows accepted to be killed."""
    yield lambda rows: KILL_ORDER.write_text(str(rows))
    KILL_ORDER.unlink(missing_ok=True)


def shuffled(df: DataFrame) -> DataFrame:
    """The same rows, in another order whenever a task runs."""

    def shuffle(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            order = list(range(len(batch)))
            random.shuffle(order)
            yield batch.take(pa.array(order, pa.int64()))

    return df.mapInArrow(shuffle, df.schema)


def times_stored(server: FaultServer, path: str = "/rows") -> Counter[int]:
    return Counter(row["id"] for row in server.stored(path))


def test_without_a_log_a_killed_worker_repeats_its_partition_under_the_same_keys(
    spark: SparkSession, fault_server: FaultServer, write: Write, kill_after: object
) -> None:
    fault_server.route("POST /rows", CREATED, store={"dedupe": True})
    kill_after(200)  # type: ignore[operator]
    write(shuffled(numbered(spark, 500, 1)), idempotency__header="Idempotency-Key", **KILL)
    assert fault_server.count() > 500
    assert times_stored(fault_server) == Counter(range(500))
    keys: dict[int, set[str]] = {}
    for sent in fault_server.ledger():
        keys.setdefault(sent.json["id"], set()).add(sent.headers["idempotency-key"])
    assert {len(of_one) for of_one in keys.values()} == {1}
    assert len(set.union(*keys.values())) == 500


def test_two_equal_rows_arrive_as_two_even_when_the_task_is_repeated(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path, kill_after: object
) -> None:
    fault_server.route("POST /rows", CREATED, store={"dedupe": True})
    kill_after(150)  # type: ignore[operator]
    twins = spark.range(0, 200, 1, 1).selectExpr("id div 2 AS id")
    write(
        twins,
        responses=tmp_path,
        log__flush="10s,20",
        concurrency=4,
        idempotency__header="Idempotency-Key",
        **KILL,
    )
    assert times_stored(fault_server) == Counter(dict.fromkeys(range(100), 2))


def test_a_second_run_with_the_same_run_id_sends_only_what_is_missing(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    poison = {"when": {"json": {"id": {"mod": [10, 3]}}}, "status": 500}
    fault_server.route("POST /rows", [poison, {"status": 201}], store=True)
    options = {"responses": tmp_path, "runId": "night-1", "retry__maxAttempts": 1}
    with pytest.raises(PySparkException, match=r"UnavailableError|RejectedError"):
        write(numbered(spark, 60), **options)
    first = len(fault_server.stored("/rows"))
    fault_server.route("POST /rows", CREATED, store=True)
    write(numbered(spark, 60), **options)
    assert times_stored(fault_server) == Counter(range(60))
    assert len(fault_server.ledger(status=201)) == 60
    assert 0 < first < 60


def test_a_stream_stopped_before_its_commit_sends_only_the_rest_when_it_is_restarted(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    numbered(spark, 100, 1).write.parquet(str(tmp_path / "in"))

    def run() -> None:
        query = (
            spark.readStream.schema("id long, name string")
            .parquet(str(tmp_path / "in"))
            .writeStream.format("rest")
            .option("url", fault_server.url_for("/rows"))
            .option("responses", str(tmp_path / "responses"))
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )
        assert query.awaitTermination(240)

    fault_server.route("POST /rows", [{"when": {"json": {"id": 99}}, "status": 422}, {"status": 201}], store=True)
    with pytest.raises(PySparkException, match="RejectedError"):
        run()
    accepted = set(times_stored(fault_server))
    fault_server.route("POST /rows", CREATED, store=True)
    run()
    assert times_stored(fault_server) == Counter(range(100))
    records = logged(spark, tmp_path / "responses")
    assert {record["batch_id"] for record in records} == {0}
    assert len(accepted) > 50


def test_with_a_key_a_row_that_was_kept_before_the_reset_is_kept_once(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route(
        "POST /rows", [{"fault": "reset_after_store", "times": 5}, {"status": 201}], store={"dedupe": True}
    )
    write(numbered(spark, 40), idempotency__header="Idempotency-Key")
    assert times_stored(fault_server) == Counter(range(40))


def test_at_most_once_never_sends_again_what_may_have_been_kept(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"fault": "reset_after_store", "times": 5}, {"status": 201}], store=True)
    write(numbered(spark, 40), delivery="atMostOnce", onError="deadLetter", responses=tmp_path)
    assert max(times_stored(fault_server).values()) == 1
    assert fault_server.count() == 40
    outcomes = Counter(record["outcome"] for record in logged(spark, tmp_path))
    assert outcomes == Counter(accepted=35, ambiguous=5)


def test_an_older_version_never_overwrites_a_newer_one(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route(
        "PUT /rows/{id}",
        [{"probability": 0.05, "seed": 7, "status": 502}, {"status": 200, "delay": [0.0, 0.02]}],
        store={"key": "id", "version": "version"},
    )
    versions = [(key, version) for version in range(6) for key in range(15)]
    random.Random(3).shuffle(versions)
    df = spark.createDataFrame(versions, "id int, version int").coalesce(1)
    write(df, "/rows/{id}", method="PUT", keyColumns="id", orderColumn="version", bodyColumns="id,version")
    assert fault_server.overwrites("/rows/{id}") == []
    latest = {row["id"]: row["version"] for row in fault_server.latest("/rows/{id}").values()}
    assert latest == dict.fromkeys(range(15), 5)


@pytest.mark.parametrize("with_log", [True, False])
def test_a_wrong_password_costs_the_server_few_requests_however_many_partitions(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path, with_log: bool
) -> None:
    fault_server.route("POST /rows", [{"status": 401}])
    options = {"responses": tmp_path} if with_log else {}
    with pytest.raises(PySparkException, match="AuthError"):
        write(
            numbered(spark, 2000, 20),
            auth__type="basic",
            auth__username="u",
            auth__password="wrong-pass",
            concurrency=50,
            **options,
        )
    assert fault_server.count() <= 2 * 5


def test_a_log_that_cannot_be_written_stops_the_write(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", CREATED)
    responses = tmp_path / "responses"
    (responses / "run=r").mkdir(parents=True)
    (responses / "run=r" / "batch=0").write_text("a file where a folder must be")
    with pytest.raises(PySparkException, match="ResponseLogError"):
        write(numbered(spark, 5000), responses=responses, runId="r", log__flush="10s,10")
    assert fault_server.count() < 1000


def test_an_error_in_the_rows_is_raised_as_it_is_and_stops_the_task(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    # Slow enough that the rows of the first batch outlast the others, on a machine that stalls too.
    fault_server.route("POST /rows", [{"status": 201, "delay": 0.1}], store=True)
    df = spark.range(0, 20_000, 1, 1).selectExpr("id", "IF(id = 15000, raise_error('broken row'), id) AS v")
    with pytest.raises(PySparkException, match="broken row"):
        write(df, responses=tmp_path, log__flush="10s,100", concurrency=16)
    # Ten thousand rows stood ready in each of four tries: a try stops when its rows break off.
    assert fault_server.count() < 10_000


FAULTS: dict[str, dict[str, object]] = {
    "reset": {"fault": "reset"},
    "close after headers": {"fault": "close_after_headers", "status": 503},
    "garbage": {"fault": "garbage"},
    "429": {"status": 429},
    "429 Retry-After seconds": {"status": 429, "retry_after": 1},
    "429 Retry-After IMF date": {"status": 429, "retry_after": {"imf": 1}},
    "429 Retry-After RFC 850 date": {"status": 429, "retry_after": {"rfc850": 1}},
    "429 Retry-After asctime date": {"status": 429, "retry_after": {"asctime": 1}},
    "429 Retry-After past": {"status": 429, "retry_after": "past"},
    "429 Retry-After garbage": {"status": 429, "retry_after": "garbage"},
    "503": {"status": 503},
    "502": {"status": 502},
    "408": {"status": 408},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_row_arrives_through_a_passing_fault(fault_server: FaultServer, fault: str) -> None:
    fault_server.route("POST /rows", [{**FAULTS[fault], "times": 3}, {"status": 201}], store=True)
    report = deliver(writer_to(fault_server), [batch_of([(i, 0) for i in range(20)])])
    assert conclude([report], None) is None
    assert times_stored(fault_server) == Counter(range(20))
    assert fault_server.count() == 23


def test_every_row_arrives_where_some_are_never_answered(fault_server: FaultServer) -> None:
    """Each is tried again when its time is over; what a stalled machine answers too late is, too."""
    fault_server.route("POST /rows", [{"fault": "hang", "times": 3}, {"status": 201}], store={"dedupe": True})
    writer = writer_to(
        fault_server, timeout__total="1s", timeout__read="10m", retry__maxAttempts=20,
        idempotency__header="Idempotency-Key",
    )  # fmt: skip
    report = deliver(writer, [batch_of([(i, 0) for i in range(20)])])
    assert conclude([report], None) is None
    assert times_stored(fault_server) == Counter(range(20))
    assert fault_server.count() >= 23


KEPT = {
    "204": {"status": 204, "body": b""},
    "truncated body": {"status": 201, "fault": "truncate", "body": "x" * 1000},
    "gzip bomb": {"status": 201, "fault": "gzip_bomb", "size": 300_000_000},
    "double gzip": {"status": 201, "fault": "double_gzip", "body": "{}"},
    "byte order mark": {"status": 201, "fault": "bom", "body": "{}"},
    "bad UTF-8": {"status": 201, "fault": "bad_utf8"},
}


@pytest.mark.parametrize("answer", KEPT)
def test_a_row_whose_success_was_told_is_not_sent_again_whatever_is_wrong_with_the_body(
    fault_server: FaultServer, answer: str
) -> None:
    fault_server.route("POST /rows", [KEPT[answer]], store=True)
    report = deliver(writer_to(fault_server), [batch_of([(i, 0) for i in range(10)])])
    assert conclude([report], None) is None
    assert times_stored(fault_server) == Counter(range(10))


def test_a_retry_after_of_a_day_fails_now_and_says_until_when(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("POST /rows", [{"status": 429, "retry_after": "day"}])
    with pytest.raises(PySparkException, match=r"UnavailableError: .*until .* UTC"):
        write(numbered(spark, 100))
    assert fault_server.count() <= 8


def test_an_answer_of_200_with_an_error_is_refused_by_the_door(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("POST /rows", [{"status": 200, "body": {"error": "quota"}}])
    with pytest.raises(PySparkException, match=r"RejectedError: .*the body says error"):
        write(numbered(spark, 10), judge="tests.rest.doors:error_in_body")


def test_a_door_that_raises_stops_the_write_and_says_so(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("POST /rows", CREATED)
    with pytest.raises(PySparkException, match="judge raised KeyError: 'no such thing'"):
        write(numbered(spark, 1000), judge="tests.rest.doors:broken")
    assert fault_server.count() <= 8


def test_the_door_prepare_signs_each_request(spark: SparkSession, fault_server: FaultServer, write: Write) -> None:
    fault_server.route("POST /rows", CREATED)
    write(numbered(spark, 12), prepare="tests.rest.doors:sign")
    signed = {sent.json["id"]: sent.headers["x-signature"] for sent in fault_server.ledger()}
    assert signed[11] == "11/22"
    assert len(signed) == 12


def test_the_door_prepare_cannot_lead_to_another_host(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    with pytest.raises(PySparkException, match="which is not the origin of url"):
        write(numbered(spark, 12), prepare="tests.rest.doors:elsewhere")
    assert fault_server.count() == 0


def test_rows_of_one_id_are_stored_in_order(spark: SparkSession, fault_server: FaultServer, write: Write) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    write(numbered(spark, 30, 1), keyColumns="name", concurrency=8)
    assert [row["id"] for row in rows_of(fault_server)] == list(range(30))
