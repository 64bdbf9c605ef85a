"""The Delta sink of the examples, against real tables."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from tests.pipelines.test_kills import killed_when, started, steps_of

from trunkline.errors import OptionError
from trunkline.pipelines import Report, run_pipeline

deltalake = pytest.importorskip("deltalake", reason="delta-rs is not installed: pip install deltalake")

EXAMPLES = Path(__file__).parents[2] / "examples" / "pipelines"
NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def written(folder: Path, customers: dict[int, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"id": number, "name": name, "updated_at": NOON.isoformat()} for number, name in customers.items()]
    (folder / "a.json").write_text("\n".join(map(json.dumps, rows)))


def run(spark: SparkSession, file: str, folder: Path, **more: Any) -> Report:
    return run_pipeline(spark, file, overrides={"vars.root": str(folder)}, runs=str(folder / "runs"), **more)


def table(folder: Path) -> Any:
    return deltalake.DeltaTable(str(folder / "lake" / "customers"))


def rows(folder: Path) -> list[tuple[object, ...]]:
    held = pa.table(table(folder).to_pyarrow_table()).to_pydict()
    return sorted(zip(*held.values(), strict=True), key=str)


def names(folder: Path) -> dict[object, object]:
    return {row[0]: row[1] for row in rows(folder)}


def test_the_example_merges_by_key_and_commits_each_run_once(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run makes the table, the second updates and adds; one whose end nobody saw does not commit again."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    file = str(EXAMPLES / "lake.yaml")
    written(tmp_path / "customers", {1: "Ann", 2: "Bob"})
    run(spark, file, tmp_path)
    assert rows(tmp_path) == [(1, "Ann", NOON), (2, "Bob", NOON)]
    written(tmp_path / "customers", {2: "Bobby", 3: "Eve"})
    report = run(spark, file, tmp_path)
    assert names(tmp_path) == {1: "Ann", 2: "Bobby", 3: "Eve"}
    assert table(tmp_path).version() == 1
    # What a process leaves that is killed between the commit and the end of the step.
    held = tmp_path / "runs" / report.run_id / "report.json"
    held.write_text(held.read_text().replace('"success"', '"running"'))
    again = run(spark, file, tmp_path, resume="last")
    assert (again.outcome, again.origin) == ("success", report.run_id)
    assert table(tmp_path).version() == 1
    assert table(tmp_path).transaction_version(f"{report.run_id}/sink") == 1


APPENDING = """
name = appending
vars { root = /data }
spark { master = "local[2]", conf { spark.ui.enabled = false } }
steps = [
  { name = customers, read { format = json, path = ${vars.root}/customers, schema = "id BIGINT, name STRING" } }
  { name = slow, call = "tests.pipelines.steps_of_tests:slowly" }
  { name = sink, call = "delta_sink:DeltaSink", config { path = ${vars.root}/lake/customers } }
  { name = after, call = "tests.pipelines.steps_of_tests:asleep" }
]
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_append_that_is_killed_before_within_and_after_its_commit_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "customers", {number: f"n{number}" for number in range(500)})
    (tmp_path / "p.conf").write_text(APPENDING.replace("/data", f'"{tmp_path}"'))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))
    resumed: tuple[str, ...] = ()
    for step, after in (("slow", 0.0), ("sink", 0.0), ("sink", 0.3), ("sink", 1.0), ("after", 0.0), ("after", 0.0)):
        assert killed_when(tmp_path, step, after, *resumed)
        resumed = ("--resume", "last")
    assert started(tmp_path, *resumed).wait(250) == 0, (tmp_path / "log").read_text()[-3_000:]
    assert steps_of(tmp_path)["after"] == "success"
    assert names(tmp_path).keys() == set(range(500))
    assert table(tmp_path).to_pyarrow_table().num_rows == 500
    assert table(tmp_path).version() == 0


def test_what_the_sink_is_told_is_checked_before_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for config, told in (
        ("path = /x, mode = merge", "steps.a.config.: Value error, mode merge and merge_keys go together"),
        ("path = /x, mode = upsert", "steps.a.config.mode: Input should be 'append', 'overwrite' or 'merge'"),
        ("path = /x, keys = [id]", "steps.a.config.keys is unknown to DeltaConfig"),
    ):
        path = tmp_path / "p.conf"
        path.write_text(f'name = p\nsteps = [ {{ name = a, call = "delta_sink:DeltaSink", config {{ {config} }} }} ]')
        with pytest.raises(OptionError) as caught:
            run_pipeline(config_path=str(path), runs=str(tmp_path / "runs"))
        assert str(caught.value) == told
