"""The example `multi_platform`: its job with doubles, here and as a run; one write routed over four platforms."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.jobs.conftest import Told
from tests.jobs.four_platforms import EXAMPLE, FourPlatforms, four_platforms

import trunkline
from trunkline.jobs.options import read_options, write_options
from trunkline.testing import NoopNotification, NoopSink, NoopSource

COMMANDS = re.findall(r"```bash\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
ORDERS = "id LONG, customer STRING, country STRING, status STRING, amount DECIMAL(10, 2)"
GOOD = [("DE", 1), ("DE", 3), ("FR", 4), ("US", 7)]  # of data/orders.csv


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the example by name."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import etl_job  # type: ignore[import-not-found]
    import etl_job_factory  # type: ignore[import-not-found]
    import routing  # type: ignore[import-not-found]

    yield {module.__name__: module for module in (etl_job, etl_job_factory, routing)}
    for name in ("etl_job", "etl_job_factory", "routing"):
        del sys.modules[name]


@pytest.fixture
def four(spark: SparkSession, tmp_path: Path) -> Iterator[FourPlatforms]:
    """The four platforms, and Spark's Python workers in their environment: what a commit finds there."""
    with four_platforms(tmp_path) as four:
        # Spark hands this to every Python process of a function that is registered from now on.
        environment = spark.sparkContext.environment
        before = dict(environment)
        environment.update(four.environment)
        trunkline.register(spark)
        yield four
        environment.clear()
        environment.update(before)
        trunkline.register(spark)


def batches(folder: Path, *rows: tuple[str, float]) -> tuple[str, dict[str, dict[str, str]]]:
    """A table of batches, and the arguments of each by its name: they read the example's orders."""
    given = {
        name: {"input_path": str(EXAMPLE / "data" / "orders.csv"), "output_path": str(folder / name)}
        for name, _ in rows
    }
    lines = [",".join((name, str(gb), *given[name].values())) for name, gb in rows]
    path = folder / "batches.csv"
    path.write_text("\n".join(["batch,gb,input_path,output_path", *lines]))
    return str(path), given


def written(spark: SparkSession, path: str) -> list[tuple[str, int]]:
    rows = spark.read.parquet(path).select("country", "id").orderBy("id").collect()
    return [(row.country, row.id) for row in rows]


def test_the_job_keeps_good_orders(spark_session: SparkSession, example: dict[str, ModuleType]) -> None:
    rows = [
        (1, "ann", "DE", "paid", Decimal(1)),
        (2, "bob", "FR", "lost", Decimal(1)),
        (3, None, "FR", "paid", Decimal(1)),
        (4, "cid", "US", "paid", Decimal(0)),
        (5, "dan", "US", "paid", Decimal(2)),
    ]
    source, sink, told = NoopSource(spark_session.createDataFrame(rows, ORDERS)), NoopSink(), NoopNotification()
    job = example["etl_job"].EtlJob(source, sink, told)
    results = job.run(input_path="in", output_path="out", max_bad=0.6, platform="glue")
    assert [row.id for row in sink.written[0].collect()] == [1, 5]
    assert (source.reads, sink.calls) == ([(("in",), {})], [(("out", "country"), {})])
    assert told.sent == [("orders are in", {"read": 5, "kept": 2})]
    assert results == {
        "status": "SUCCESS",
        "artifacts": ["out"],
        "metrics": {"read": 5, "kept": 2},
        "quality": {"has_rows": True, "few_bad_rows": True},
        "platform": "glue",
    }


def test_too_many_bad_orders_wait_for_somebody(spark_session: SparkSession, example: dict[str, ModuleType]) -> None:
    orders = spark_session.createDataFrame([(1, None, "DE", "paid", Decimal(1))], ORDERS)
    sink, told = NoopSink(), NoopNotification()
    results = example["etl_job"].EtlJob(NoopSource(orders), sink, told).run(input_path="in", output_path="out")
    assert (results["status"], results["quality"]) == ("PENDING_APPROVAL", {"has_rows": True, "few_bad_rows": False})
    assert (sink.written, told.sent) == ([], [])


@pytest.mark.slow
@pytest.mark.usefixtures("example")
def test_the_entry_point_runs_it_by_its_factory(
    spark_session: SparkSession, run_job: Callable[..., Told], tmp_path: Path
) -> None:
    paths = {"input_path": str(EXAMPLE / "data" / "orders.csv"), "output_path": str(tmp_path / "paid")}
    told = run_job("--module_name=etl_job_factory", f"--etl_job={json.dumps(paths)}")
    result = told.result
    assert (told.code, result["status"], result["metrics"], result["artifacts"], result["quality"]) == (
        0,
        "SUCCESS",
        {"read": 7, "kept": 4},
        [paths["output_path"]],
        {"has_rows": True, "few_bad_rows": True},
    )
    assert result["output"] == {"platform": "local"}
    assert written(spark_session, paths["output_path"]) == GOOD
    assert sorted(path.name for path in (tmp_path / "paid").glob("country=*")) == [
        "country=DE",
        "country=FR",
        "country=US",
    ]


@pytest.mark.slow
def test_one_write_goes_to_four_platforms_and_each_batch_runs_once(
    spark: SparkSession, example: dict[str, ModuleType], four: FourPlatforms, tmp_path: Path
) -> None:
    """Twice with the same keys, the second time in other tasks: what the doubles and this machine hold is the same."""
    table, given = batches(tmp_path, ("year", 320.0), ("may", 41.5), ("june", 38.0), ("day", 2.3), ("late", 0.1))
    words = {name: json.dumps(arguments, separators=(",", ":")) for name, arguments in given.items()}
    keys = {name: f"paid-{name}-r1" for name in given}
    expected = {
        "databricks": {keys[name]: (1, "etl_job_factory", words[name]) for name in ("may", "june")},
        "glue": {keys["day"]: ("etl_job_factory", words["day"])},
        "emr-serverless": {
            keys["year"]: [
                "--module_name=etl_job_factory",
                f"--run_key={keys['year']}",
                f"--etl_job={words['year']}",
            ]
        },
    }
    states = example["routing"].main(spark, table, "r1", four.settings)
    assert states == dict.fromkeys(keys.values(), "SUCCEEDED")
    assert four.started() == expected
    assert four.aws.runs["app1"][0]["jobDriver"]["sparkSubmit"]["entryPoint"] == "s3://lake/code/entry.py"
    assert written(spark, given["late"]["output_path"]) == GOOD
    first = local_runs(spark, four)
    assert list(first) == [keys["late"]]
    assert json.loads(first[keys["late"]]["result"])["metrics"] == {"read": 7, "kept": 4}

    rows = example["routing"].routed(
        spark.read.csv(table, "batch STRING, gb DOUBLE, input_path STRING, output_path STRING", header=True), "r1"
    )
    example["routing"].start(rows.repartition(4), {**four.settings["platforms"], **four.settings["starts"]})
    assert four.started() == expected
    assert local_runs(spark, four) == first
    asked = [len(four.aws.server.of(name)) for name in ("glue.StartJobRun", "emr-serverless.StartJobRun")]
    assert asked == [1, 1]


@pytest.mark.slow
def test_a_batch_that_fails_fails_the_write_and_the_others_are_done(
    spark: SparkSession, example: dict[str, ModuleType], four: FourPlatforms, tmp_path: Path
) -> None:
    table, _ = batches(tmp_path, ("year", 320.0), ("may", 41.5), ("day", 2.3))
    four.failing.add("paid-day-r1")
    with pytest.raises(Exception, match="RunError") as raised:
        example["routing"].main(spark, table, "r1", four.settings)
    assert re.search(r"did not succeed: etl_job_factory on glue, run trunkline/jr_\d: FAILED", str(raised.value))
    assert "no such table: orders" in str(raised.value)
    assert [run["state"]["result_state"] for run in four.databricks.runs.values()] == ["SUCCESS"]
    assert [run["state"] for run in four.aws.runs["app1"]] == ["SUCCESS"]


def test_the_options_of_the_example_are_options_of_the_format() -> None:
    """The README's commands are tested with other ones, of the doubles."""
    settings = json.loads((EXAMPLE / "platforms.json").read_text())
    write_options({**settings["platforms"], **settings["starts"], "wait": "true"})
    read_options({**settings["platforms"], "platform": "databricks,emr-serverless,glue,local", "since": "7d"})


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_the_commands_of_the_readme_do_as_it_says(tmp_path: Path, number: int) -> None:
    """In a copy of the folder, with the doubles in place of the clouds of `platforms.json`."""
    assert len(COMMANDS) == 4
    folder = shutil.copytree(EXAMPLE, tmp_path / "multi_platform")
    for name in ("late.csv", "batches.csv"):
        (folder / "data" / name).write_text((folder / "data" / name).read_text().replace("/tmp/", f"{tmp_path}/"))
    with four_platforms(tmp_path) as four:
        (folder / "platforms.json").write_text(json.dumps(four.settings))
        command = COMMANDS[number].replace("/tmp/", f"{tmp_path}/").replace("=...", f"={four.databricks.token}")
        own = ("TRUNKLINE_", "PYSPARK_", "PYTHONPATH", "SPARK_REMOTE", "DATABRICKS_", "AWS_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        environment |= {name: value for name, value in four.environment.items() if name.startswith("AWS_")}
        environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        environment["HOME"] = str(tmp_path)
        done = subprocess.run(
            ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False,
            timeout=560,
        )  # fmt: skip
        started = four.started()
    said = done.stdout + done.stderr[-3000:]
    assert done.returncode == 0, said
    last = done.stdout.splitlines()[-1]
    today = datetime.now(timezone.utc).date().isoformat()
    if number == 0:
        assert json.loads(last)["metrics"] == {"read": 7, "kept": 4}
    elif number == 1:
        assert done.stdout.startswith("SUCCEEDED  etl_job_factory on local"), said
        assert re.search(r"local +etl_job_factory +SUCCEEDED", last), said
    elif number == 2:
        assert json.loads(last) == {f"paid-late-{today}": "SUCCEEDED"}
    else:
        assert set(json.loads(last).values()) == {"SUCCEEDED"}
        assert {platform: len(runs) for platform, runs in started.items()} == {
            "databricks": 2,
            "glue": 1,
            "emr-serverless": 1,
        }
    outputs = {path.name for path in (tmp_path / "paid").iterdir()}
    assert outputs == ({"orders"} if number < 2 else {"late"})


def local_runs(spark: SparkSession, four: FourPlatforms) -> dict[str, dict[str, Any]]:
    options = {"platform": "local", "local.folder": four.settings["platforms"]["local.folder"]}
    return {row.run_key: row.asDict() for row in spark.read.format("jobs").options(**options).load().collect()}
