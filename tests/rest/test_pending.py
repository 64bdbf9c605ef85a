"""Which rows a new run still owes, against logs that real writes left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from tests.rest.conftest import Write

from trunkline.errors import OptionError
from trunkline.rest import pending
from trunkline.testing import FaultServer

ROWS = (
    "SELECT * FROM VALUES (1, 'a', 0.5D), (1, 'a', 0.5D), (1, 'a', 0.5D), (2, NULL, NULL), (NULL, 'c', 1D),"
    " (NULL, NULL, NULL), (4, '', double('-0')) AS t (id, name, v)"
)


@pytest.fixture(autouse=True)
def _few_partitions(spark: SparkSession) -> Iterator[None]:
    """A handful of rows needs no two hundred tasks."""
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    yield
    spark.conf.unset("spark.sql.shuffle.partitions")


def counted(df: DataFrame) -> Counter[tuple[object, ...]]:
    return Counter(tuple(row) for row in df.collect())


def refuse(server: FaultServer, *conditions: dict[str, object], status: int = 422, times: int = 10**6) -> None:
    steps = [{"when": {"json": one}, "status": status, "times": times} for one in conditions]
    server.route("POST /rows", [*steps, {"status": 201}])


def log_of(write: Write, df: DataFrame, folder: Path, **options: object) -> str:
    write(df, responses=folder, onError="deadLetter", **options)
    return str(folder)


def test_of_three_equal_rows_of_which_two_were_accepted_one_is_pending(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    refuse(fault_server, {"id": 1}, times=1)
    df = spark.sql(ROWS).repartition(3)
    assert counted(pending(df, log_of(write, df, tmp_path))) == Counter({(1, "a", 0.5): 1})


def test_rows_with_nulls_are_told_from_each_other(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    refuse(fault_server, {"id": 2}, {"name": "c"})
    df = spark.sql(ROWS)
    assert counted(pending(df, log_of(write, df, tmp_path))) == Counter({(2, None, None): 1, (None, "c", 1.0): 1})


def test_the_order_of_columns_is_that_of_the_run_and_the_answer_has_the_asked_one(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    refuse(fault_server, {"id": 2})
    df = spark.sql(ROWS)
    folder = log_of(write, df, tmp_path, bodyColumns="v,id", idempotency__header="Idempotency-Key")
    again = pending(df.select("v", "name", "id"), folder)
    assert again.columns == ["v", "name", "id"]
    assert counted(again) == Counter({(None, None, 2): 1})


def test_other_columns_are_refused_because_no_row_would_be_recognised(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    refuse(fault_server)
    df = spark.sql(ROWS)
    folder = log_of(write, df, tmp_path)
    with pytest.raises(OptionError, match=r"the run wrote other columns.*: id int, name string, v double"):
        pending(df.withColumn("v", df.v.cast("string")), folder)


def test_a_log_of_several_runs_is_asked_for_the_newest_unless_told_otherwise(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    df = spark.range(6).selectExpr("id", "'x' AS name")
    refuse(fault_server, {"id": 1}, {"id": 2}, {"id": 3})
    folder = log_of(write, df, tmp_path, runId="first")
    owed = pending(df, folder, run_id="first")
    refuse(fault_server, {"id": 2})
    log_of(write, owed, tmp_path, runId="second")
    assert sorted(row.id for row in owed.collect()) == [1, 2, 3]
    assert [row.id for row in pending(owed, folder).collect()] == [2]
    assert sorted(row.id for row in pending(df, folder).collect()) == [0, 2, 4, 5]
    assert [row.id for row in pending(df, folder, run_id=["first", "second"]).collect()] == [2]


def test_what_may_have_been_taken_is_owed_only_if_asked_for(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"when": {"json": {"id": 3}}, "fault": "reset_after_store"}, {"status": 201}])
    df = spark.range(5).selectExpr("id", "'x' AS name")
    folder = log_of(write, df, tmp_path, delivery="atMostOnce")
    assert pending(df, folder).collect() == []
    assert [row.id for row in pending(df, folder, ambiguous=True).collect()] == [3]


def test_the_log_may_be_a_dataframe_or_a_table_and_its_records_may_stand_twice(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    refuse(fault_server, {"id": 1}, times=1)
    df = spark.sql(ROWS)
    log = spark.read.parquet(log_of(write, df, tmp_path))
    twice = log.union(log)
    twice.createOrReplaceTempView("pending_log")
    for sent in (twice, "pending_log"):
        assert counted(pending(df, sent)) == Counter({(1, "a", 0.5): 1})


def test_by_keys_another_version_of_an_accepted_row_is_not_owed(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    refuse(fault_server, {"id": 2})
    df = spark.sql("SELECT * FROM VALUES (1, 'a'), (2, 'b'), (NULL, 'c') AS t (id, name)")
    folder = log_of(write, df, tmp_path, keyColumns="id", log__row="always")
    newer = df.selectExpr("id", "upper(name) AS name", "true AS more")
    assert counted(pending(newer, folder, key_columns=["id"])) == Counter({(2, "B", True): 1})


def test_names_of_columns_may_hold_dots(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    refuse(fault_server, {"n": 2})
    df = spark.sql("SELECT * FROM VALUES (1, 'x', 1), (2, 'y', 2), (2, 'y', 2) AS t (`a.b`, `c``.d`, n)")
    folder = log_of(write, df, tmp_path, log__row="always")
    owed = pending(df, folder)
    assert (owed.columns, counted(owed)) == (["a.b", "c`.d", "n"], Counter({(2, "y", 2): 2}))
    assert counted(pending(df, folder, key_columns=["a.b"])) == Counter({(2, "y", 2): 2})


def test_by_keys_a_log_without_the_rows_is_an_error_not_a_guess(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    refuse(fault_server)
    df = spark.range(3).selectExpr("id", "'x' AS name")
    folder = log_of(write, df, tmp_path)
    with pytest.raises(PySparkException, match=r"write with log\.row=always"):
        pending(df, folder, key_columns=["id"]).collect()


def test_what_is_pending_can_be_written_and_then_nothing_is(
    spark: SparkSession, fault_server: FaultServer, write: Write, tmp_path: Path
) -> None:
    """Also an equal row in the partition and with the number of one that was accepted: it goes in a run of its own."""
    refuse(fault_server, {"id": 1}, times=1)
    df = spark.sql(ROWS).coalesce(1)
    folder = log_of(write, df, tmp_path, runId="first")
    log_of(write, pending(df, folder, run_id="first").coalesce(1), tmp_path, runId="second")
    assert len(fault_server.ledger(status=201)) == df.count()
    assert pending(df, folder, run_id=["first", "second"]).collect() == []
