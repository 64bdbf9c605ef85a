"""The Airflow DAGs of the example `multi_platform`, run by a real Airflow; what they did is told by the doubles."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import boto3
import pytest
from tests.jobs.four_platforms import EXAMPLE, four_platforms
from tests.servers.airflow import DAY, Airflow
from tests.servers.process import Server

from trunkline.testing.databricks import DatabricksApi

# The limit of one test holds the installation too, and DAGs that start Spark twice on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATHS = {"input_path": f"s3://lake/orders/{DAY}/", "output_path": f"s3://lake/paid/{DAY}/"}
REGION = "eu-central-1"


def test_airflow_loads_the_folder_and_finds_three_dags(airflow: Airflow) -> None:
    """Without Trunkline and without Spark in its environment."""
    found = airflow.load(EXAMPLE)
    assert (found.dags, found.errors) == (["paid_orders_databricks", "paid_orders_glue", "paid_orders_routed"], {})
    assert not list((airflow.python.parents[1] / "lib").glob("python*/site-packages/pyspark*"))
    assert not list((airflow.python.parents[1] / "lib").glob("python*/site-packages/trunkline*"))


@pytest.mark.parametrize(("result", "state"), [("SUCCESS", "success"), ("FAILED", "failed")])
def test_the_databricks_dag_submits_the_job_once(airflow: Airflow, result: str, state: str) -> None:
    with DatabricksApi(script=[result]) as api:
        run = airflow.test(EXAMPLE, "paid_orders_databricks", databricks_connection(api))
        assert (run.state, run.tasks) == (state, {"etl_job": state}), run.log[-4000:]
        [submitted] = api.server.of("runs/submit")
        [kept] = api.runs.values()
    assert submitted.json["idempotency_token"] == f"paid-{DAY.replace('-', '')}T000000-1"
    assert (kept["run_name"], kept["state"]["result_state"]) == (f"paid-{DAY}", result)
    assert kept["tasks"][0]["python_wheel_task"] == {
        "package_name": "trunkline",
        "entry_point": "trunkline-job",
        "parameters": [
            "--module_name=etl_job_factory",
            f"--run_key=paid-{DAY}-1",
            f"--etl_job={json.dumps(PATHS)}",
            "--run_id={{job.run_id}}",
        ],
    }


def test_the_glue_dag_starts_the_job_once(airflow: Airflow, moto: Server) -> None:
    """Against moto, whose runs succeed at once and never fail."""
    glue = boto3.client(
        "glue", region_name=REGION, endpoint_url=moto.url, aws_access_key_id="key", aws_secret_access_key="secret"
    )
    command = {"Name": "glueetl", "ScriptLocation": "s3://lake/code/entry.py"}
    glue.create_job(Name="trunkline", Role="arn:aws:iam::123456789012:role/etl", Command=command)
    try:
        connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": {"endpoint_url": moto.url}}
        given = {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection)}
        run = airflow.test(EXAMPLE, "paid_orders_glue", given)
        assert (run.state, run.tasks) == ("success", {"etl_job": "success"}), run.log[-4000:]
        [kept] = glue.get_job_runs(JobName="trunkline")["JobRuns"]
    finally:
        glue.delete_job(JobName="trunkline")
    assert run.returned == {"etl_job": kept["Id"]}
    assert kept["Arguments"] == {
        "--module_name": "etl_job_factory",
        "--run_key": f"paid-{DAY}-1",
        "--etl_job": json.dumps(PATHS),
    }


def test_the_jobs_dag_routes_over_four_platforms_and_a_second_try_starts_nothing(
    airflow: Airflow, tmp_path: Path
) -> None:
    """The DAG is run twice for the same day, as after a worker that was lost; the batch of this machine is real."""
    folder = shutil.copytree(EXAMPLE, tmp_path / "multi_platform")
    late = f"late,0.0,data/orders.csv,{tmp_path}/late"
    rest = [line for line in (folder / "data/batches.csv").read_text().splitlines() if not line.startswith("late")]
    (folder / "data/batches.csv").write_text("\n".join([*rest, late]))
    with four_platforms(tmp_path) as four:
        (folder / "platforms.json").write_text(json.dumps(four.settings))
        own = {name: value for name, value in four.environment.items() if name.startswith("AWS_")}
        given = {**own, **databricks_connection(four.databricks), "TRUNKLINE_PYTHON": sys.executable}
        first = airflow.test(folder, "paid_orders_routed", given)
        assert (first.state, first.tasks) == ("success", {"route": "success"}), first.log[-6000:]
        assert four.databricks.token not in first.log
        started = four.started()
        second = airflow.test(folder, "paid_orders_routed", given)
        assert (second.state, four.started()) == ("success", started), second.log[-6000:]
    keys = {batch: f"paid-{batch}-{DAY}-0" for batch in ("2026-q1", "2026-09", "2026-10", "2026-11-20", "late")}
    states = dict.fromkeys(keys.values(), "SUCCEEDED")
    assert [run.returned for run in (first, second)] == [{"route": states}] * 2
    assert {platform: sorted(runs) for platform, runs in started.items()} == {
        "databricks": [keys["2026-09"], keys["2026-10"]],
        "glue": [keys["2026-11-20"]],
        "emr-serverless": [keys["2026-q1"]],
    }
    assert sorted(path.name for path in (tmp_path / "late").glob("country=*")) == [
        "country=DE",
        "country=FR",
        "country=US",
    ]


def databricks_connection(api: DatabricksApi) -> dict[str, str]:
    port = int(api.url.rpartition(":")[2])
    connection = {
        "conn_type": "databricks",
        "host": "127.0.0.1",
        "port": port,
        "schema": "http",
        "password": api.token,
    }
    return {"AIRFLOW_CONN_DATABRICKS_DEFAULT": json.dumps(connection)}
