"""What a write costs the server when something is wrong, read from the server's own ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from tests.rest.conftest import Write, logged, most_within_a_second, numbered
from tests.rest.test_writer_replay import KILL, KILL_ORDER, kill_after, shuffled, times_stored

from trunkline.testing import FaultServer

__all__ = ["kill_after"]  # a fixture, asked for by its name

CREATED = [{"status": 201}]


def test_one_refused_row_of_thousands_fails_the_query_once_and_from_commit(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("POST /rows", [{"when": {"json": {"id": 2000}}, "status": 422}, {"status": 201}], store=True)
    context = spark.sparkContext
    context.setJobGroup("refused-row", "one refused row")
    try:
        with pytest.raises(PySparkException) as raised:
            write(numbered(spark, 3000, 4))
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    sent = Counter(exchange.json["id"] for exchange in fault_server.ledger())
    assert set(sent.values()) == {1}
    assert sent[2000] == 1
    assert len(sent) == len(times_stored(fault_server)) + 1
    # Every task succeeded, once: what failed is the commit that came after them.
    tracker = context.statusTracker()
    [job] = tracker.getJobIdsForGroup("refused-row")
    told = tracker.getJobInfo(job)
    assert told is not None
    [stage] = [tracker.getStageInfo(number) for number in told.stageIds]
    assert stage is not None
    assert (stage.numCompletedTasks, stage.numFailedTasks) == (4, 0)
    assert str(raised.value).count("RejectedError") == 1
    assert ", in commit" in str(raised.value)


@pytest.mark.parametrize("order", ["as it comes", "shuffled"])
def test_a_worker_killed_among_thousands_of_rows_repeats_no_more_than_the_window(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path, kill_after: object, order: str
) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    kill_after(2000)  # type: ignore[operator]
    df = numbered(spark, 3000, 1)
    write(
        df if order == "as it comes" else shuffled(df),
        responses=tmp_path,
        log__flush="10s,100",
        concurrency=16,
        **KILL,
    )
    stored = times_stored(fault_server)
    assert not KILL_ORDER.exists()
    assert sorted(stored) == list(range(3000))
    assert sum(stored.values()) - 3000 <= 16 + 100
    # Readers of the log see each row once: what was repeated was in flight, or not yet written down.
    accepted = Counter((record["row_digest"], record["occurrence"]) for record in logged(spark, tmp_path))
    assert (len(accepted), set(accepted.values())) == (3000, {1})


def test_an_answer_that_comes_a_byte_at_a_time_is_waited_for(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("POST /rows", [{"fault": "drip_head", "interval": 0.002, "status": 201}], store=True)
    write(numbered(spark, 20, 2))
    assert times_stored(fault_server) == Counter(range(20))
    assert fault_server.count() == 20


def test_an_answer_that_never_ends_costs_no_more_than_the_total_timeout(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    """Bytes keep coming, so no read times out; the head never ends: the row may have been taken, and it is repeated."""
    endless = {"fault": "drip_head", "interval": 0.1, "status": 201, "headers": {"X-Long": "x" * 5000}, "times": 3}
    fault_server.route("POST /rows", [endless, {"status": 201}], store={"dedupe": True})
    write(numbered(spark, 20, 1), timeout__total="2s", idempotency__header="Idempotency-Key")
    assert times_stored(fault_server) == Counter(range(20))
    # More than once where a stalled machine was slower than the time-out; an answer to its end would take 500 s.
    tries = Counter(sent.json["id"] for sent in fault_server.ledger())
    assert sum(times > 1 for times in tries.values()) >= 3


def test_a_row_whose_success_was_told_is_not_sent_again_when_the_body_never_ends(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route(
        "POST /rows", [{"fault": "drip", "interval": 0.1, "status": 201, "body": "x" * 5000}], store=True
    )
    write(numbered(spark, 4, 1), timeout__total="5s", concurrency=4)
    assert times_stored(fault_server) == Counter(range(4))
    assert fault_server.count() == 4


def test_every_row_arrives_once_when_the_server_refuses_connections_for_a_while(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    refuse = {"when": {"count": [30, 30]}, "fault": "refuse", "seconds": 1.0, "times": 1}
    fault_server.route("POST /rows", [refuse, {"status": 201}], store=True)
    write(numbered(spark, 100, 1), concurrency=1)
    assert times_stored(fault_server) == Counter(range(100))
    assert fault_server.count() == 101


def test_a_server_that_refuses_connections_fails_the_write_and_says_where(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.listen("refuse")
    with pytest.raises(PySparkException, match=f"UnavailableError: .*{fault_server.url}") as raised:
        write(numbered(spark, 1000, 4), retry__maxAttempts=2, retry__maxDelay="100ms")
    assert "refused" in str(raised.value)
    fault_server.listen("accept")
    assert fault_server.count() == 0


def test_a_password_that_stops_being_good_costs_few_requests_after_the_first_refusal(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("POST /rows", [{"when": {"count": [1, 500]}, "status": 201}, {"status": 401}])
    with pytest.raises(PySparkException, match="AuthError"):
        write(
            numbered(spark, 2000, 20),
            auth__type="basic",
            auth__username="u",
            auth__password="changed-pass",
            concurrency=5,
        )
    # What each of the two tasks that run at once has in flight.
    assert 0 < fault_server.count(status=401) <= 2 * 5


def test_the_rate_is_kept_by_one_task_that_took_over_sixteen_partitions(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    fault_server.route("POST /rows", CREATED)
    write(numbered(spark, 150, 16).coalesce(1), rateLimit="100/s", rateLimitTasks=1, concurrency=2)
    assert fault_server.count() == 150
    # More: the first permit, what a hundredth of the window adds, and what may be in flight when the server stalls.
    assert most_within_a_second(fault_server) <= 100 + 2 + 2


def test_a_rate_for_sixteen_partitions_without_a_count_of_tasks_sends_nothing(
    spark: SparkSession, fault_server: FaultServer, write: Write
) -> None:
    with pytest.raises(PySparkException, match=r"add rateLimitTasks=N .* Nothing was sent"):
        write(numbered(spark, 1000, 16), rateLimit="100/s")
    assert fault_server.stats()["connections"] == 0
