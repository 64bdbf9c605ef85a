"""`format("jobs")` in Spark: rows become runs on this machine, runs are rows, and their changes are a stream."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import local
from trunkline.jobs.run import RunFilter

# Each run leaves a file of its own beside the others, and ends as its arguments say.
JOB = """
import os, pathlib, time

def main(key, status="SUCCESS", gate=None, **more):
    runs = pathlib.Path({folder!r})
    (runs / f"{{key}}-{{os.getpid()}}").write_text("")
    while gate and not pathlib.Path(gate).exists():
        time.sleep(0.02)
    if status == "ERROR":
        raise ValueError("no such table: orders")
    return {{"status": status, "metrics": {{"rows": 3}}}}
"""
COLUMNS = "job STRING, arguments MAP<STRING, STRING>, run_key STRING"
PATIENCE = 200.0


class Place:
    """A folder with the module `routed` and its runs."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.read_options = {"platform": "local", "local.folder": str(folder / "runs"), "pollInterval": "200ms"}
        self.write_options = {**self.read_options, "artifact": str(folder / "routed.py")}
        (folder / "ran").mkdir()
        (folder / "routed.py").write_text(JOB.format(folder=str(folder / "ran")))

    def rows(self, *rows: tuple[str, dict[str, str], str | None]) -> DataFrame:
        return self.spark.createDataFrame([*rows], COLUMNS)

    def write(self, df: DataFrame, **options: str) -> None:
        df.write.format("jobs").mode("append").options(**{**self.write_options, **options}).save()

    def read(self, **options: str) -> dict[str, Row]:
        df = self.spark.read.format("jobs").options(**{**self.read_options, **options}).load()
        return {row["run_key"]: row for row in df.collect()}

    def states(self, **options: str) -> dict[str, str]:
        return {key: row["state"] for key, row in self.read(**options).items()}

    def states_here(self) -> dict[str | None, str]:
        """The same without Spark, for a look again and again."""
        return {run.run_key: run.state for run in local.list_runs(RunFilter(), write_options(self.read_options))}

    def ran(self) -> list[str]:
        """The keys of the processes that ran, told by themselves."""
        return sorted(path.name.rpartition("-")[0] for path in (self.folder / "ran").iterdir())


@pytest.fixture
def place(spark: SparkSession, tmp_path: Path) -> Place:
    return Place(spark, tmp_path)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_rows_become_runs_and_runs_are_rows(place: Place) -> None:
    place.write(place.rows(("routed", {"key": "a"}, "a"), ("routed", {"key": "b"}, None)), wait="true")
    found = place.read()
    run = found["a"].asDict()
    assert place.ran() == ["a", "b"]
    assert (run["platform"], run["job"], run["state"], run["attempt"], run["error"]) == (
        "local", "routed", "SUCCEEDED", 1, None,
    )  # fmt: skip
    assert run["started_at"] <= run["ended_at"]
    assert json.loads(run["result"])["metrics"] == {"rows": 3}
    assert {row["state"] for row in found.values()} == {"SUCCEEDED"}


def test_a_failed_run_fails_a_write_that_waits_and_is_named(place: Place) -> None:
    rows = place.rows(("routed", {"key": "good"}, "good"), ("routed", {"key": "bad", "status": "ERROR"}, "bad"))
    with pytest.raises(Exception, match="RunError") as raised:
        place.write(rows, wait="true")
    assert "did not succeed: routed on local, run" in str(raised.value)
    assert "no such table: orders" in str(raised.value)
    assert place.states() == {"good": "SUCCEEDED", "bad": "FAILED"}


def test_the_same_keys_start_nothing_more(place: Place) -> None:
    rows = place.rows(("routed", {"key": "a"}, "a"), ("routed", {"key": "b"}, "b"))
    place.write(rows, wait="true")
    place.write(rows.repartition(3), wait="true")
    assert place.ran() == ["a", "b"]


def test_without_keys_every_row_of_every_write_runs(place: Place) -> None:
    rows = place.rows(("routed", {"key": "a"}, None), ("routed", {"key": "a"}, None))
    place.write(rows, wait="true")
    place.write(rows, wait="true")
    assert place.ran() == ["a"] * 4


def test_a_write_that_has_a_name_starts_its_rows_once(place: Place) -> None:
    """Equal rows are two runs, in whatever partitions they come; another name is another write."""
    rows = place.rows(("routed", {"key": "a"}, None), ("routed", {"key": "a"}, None))
    for name in ("one", "one", "two"):
        place.write(rows.repartition(3), wait="true", writeId=name)
    assert place.ran() == ["a"] * 4


def test_a_stream_is_given_no_name(spark: SparkSession, tmp_path: Path) -> None:
    """Its micro-batches have theirs: under one for all, a row that comes again would be no run of its own."""
    rows = spark.readStream.format("rate").load().selectExpr("'routed' AS job")
    options = {"platform": "local", "writeId": "one", "checkpointLocation": str(tmp_path)}
    with pytest.raises(Exception, match="writeId does nothing in a stream"):
        rows.writeStream.format("jobs").options(**options).start().processAllAvailable()


def test_a_task_that_fails_after_rows_were_collected_starts_nothing_twice(place: Place) -> None:
    flag = place.folder / "failed-once"

    def fail_once(batches: Any) -> Any:
        yield from batches
        if not flag.exists():
            flag.write_text("")
            raise ValueError("the task fails once it has handed on its rows")

    rows = place.rows(("routed", {"key": "a"}, "a"), ("routed", {"key": "b"}, None)).coalesce(1)
    place.write(rows.mapInArrow(fail_once, rows.schema), wait="true")
    assert flag.exists()
    assert place.ran() == ["a", "b"]


def test_one_bad_row_starts_nothing(place: Place) -> None:
    rows = place.rows(("routed", {"key": "a"}, "a"), ("not a module", {}, "b"))
    with pytest.raises(Exception, match="1 row is no run; nothing was started") as raised:
        place.write(rows)
    assert "job 'not a module', run_key 'b': job 'not a module' is no module" in str(raised.value)
    assert (place.ran(), place.read()) == ([], {})


def test_a_column_that_is_none_of_ours_is_refused(place: Place) -> None:
    rows = place.rows(("routed", {}, "a")).withColumnRenamed("arguments", "argument")
    with pytest.raises(Exception, match=r"column argument: is unknown: did you mean arguments\?"):
        place.write(rows)


def test_arguments_of_a_struct_and_of_a_text_keep_their_types(place: Place) -> None:
    (place.folder / "routed.py").write_text("def main(**kwargs): return {'got': kwargs}")
    df = place.spark.sql(
        "SELECT 'routed' AS job, 's' AS run_key, struct(7 AS n, true AS b, CAST(NULL AS STRING) AS gone, "
        "array(1.5D) AS xs) AS arguments"
    )
    place.write(df, wait="true")
    text = place.spark.createDataFrame(
        [("routed", "t", '{"n": 7, "gone": null}')], "job STRING, run_key STRING, arguments STRING"
    )
    place.write(text, wait="true")
    got = {key: json.loads(row["result"])["output"]["got"] for key, row in place.read().items()}
    given = {
        key: {name: values[name] for name in ("n", "b", "gone", "xs") if name in values} for key, values in got.items()
    }
    assert given == {"s": {"n": 7, "b": True, "xs": [1.5]}, "t": {"n": 7, "gone": None}}


def test_runs_are_narrowed_by_options(place: Place) -> None:
    place.write(place.rows(("routed", {"key": "good"}, "good")), wait="true")
    middle = place.spark.sql("SELECT date_format(current_timestamp(), \"yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'\")").head()
    assert middle is not None
    with pytest.raises(Exception, match="RunError"):
        place.write(place.rows(("routed", {"key": "bad", "status": "failed"}, "bad")), wait="true")
    assert set(place.read(states="failed")) == {"bad"}
    assert set(place.read(since=middle[0])) == {"bad"}
    assert set(place.read(until=middle[0])) == {"good"}
    assert set(place.read(jobs="another")) == set()
    assert set(place.read(jobs="routed", since="1h")) == {"good", "bad"}


def test_sql_starts_runs_and_reads_them(place: Place) -> None:
    given = ", ".join(f"`{name}` '{value}'" for name, value in {**place.write_options, "wait": "true"}.items())
    place.spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW starts ({COLUMNS}) USING jobs OPTIONS ({given})")
    seen = ", ".join(f"`{name}` '{value}'" for name, value in place.read_options.items())
    place.spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW seen USING jobs OPTIONS ({seen})")
    try:
        place.spark.sql("INSERT INTO starts VALUES ('routed', map('key', 'a'), 'a')")
        found = place.spark.sql("SELECT job, state FROM seen").collect()
    finally:
        place.spark.catalog.dropTempView("starts")
        place.spark.catalog.dropTempView("seen")
    assert found == [Row(job="routed", state="SUCCEEDED")]


def test_an_event_starts_a_job_and_a_replay_starts_none(place: Place) -> None:
    events = place.folder / "events"
    place.rows(("routed", {"key": "a"}, None), ("routed", {"key": "b"}, None)).write.parquet(str(events))

    def run_all() -> None:
        stream = place.spark.readStream.schema(COLUMNS).parquet(str(events))
        query = stream.writeStream.format("jobs").options(**place.write_options, wait="true")
        query.option("checkpointLocation", str(place.folder / "check")).trigger(
            availableNow=True
        ).start().awaitTermination()

    run_all()
    for name in ("0", ".0.crc"):  # the driver died after the runs had started and before Spark wrote that down
        (place.folder / "check" / "commits" / name).unlink()
    run_all()
    assert place.ran() == ["a", "b"]


def test_each_change_of_a_state_is_seen_once_across_a_restart(place: Place) -> None:
    gate = place.folder / "gate"
    place.write(place.rows(("routed", {"key": "slow", "gate": str(gate)}, "slow")))
    until(lambda: place.states_here() == {"slow": "RUNNING"})

    query = followed(place)
    until(lambda: seen(place)[("slow", "RUNNING")] == 1)
    query.stop()
    place.write(place.rows(("routed", {"key": "quick"}, "quick")), wait="true")
    gate.write_text("")
    until(lambda: place.states_here()["slow"] == "SUCCEEDED")
    query = followed(place)
    until(lambda: len(seen(place)) == 3)
    time.sleep(1)  # time for what must not come
    query.stop()
    assert seen(place) == {("slow", "RUNNING"): 1, ("slow", "SUCCEEDED"): 1, ("quick", "SUCCEEDED"): 1}


def followed(place: Place) -> StreamingQuery:
    stream = place.spark.readStream.format("jobs").options(**place.read_options).load()
    written = stream.select("run_key", "state").writeStream.format("parquet").option("path", str(place.folder / "seen"))
    return written.option("checkpointLocation", str(place.folder / "seen-check")).start()


def seen(place: Place) -> Counter[tuple[str, str]]:
    """What micro-batches have committed, by the sink's own log; without Spark, for a look again and again."""
    log = place.folder / "seen" / "_spark_metadata"
    lines = [line for entry in log.glob("[0-9]*") for line in entry.read_text().splitlines()[1:]]
    files = {json.loads(line)["path"].removeprefix("file://") for line in lines}
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    return Counter((row["run_key"], row["state"]) for row in rows)
