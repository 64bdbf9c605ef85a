"""The DAGs of `examples/airflow`, run by a real Airflow; what they did is told by the API's ledger and by files."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.servers.airflow import DAY, Airflow

from trunkline.cli import main
from trunkline.testing import FaultServer

# The limit of one test holds the installation too, and DAGs that start Spark twice on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "airflow"
CUSTOMERS = [{"customer_id": number, "country": "DE" if number % 2 else "FR"} for number in range(1, 6)]


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """The environment of a worker, with the customers of the day in `tmp_path`."""
    folder = tmp_path / "customers" / DAY
    folder.mkdir(parents=True)
    (folder / "part-0.json").write_text("\n".join(json.dumps(one) for one in CUSTOMERS))
    return {
        "TRUNKLINE": str(Path(sys.executable).with_name("trunkline")),
        "TRUNKLINE_RUNS": str(tmp_path / "runs"),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "AIRFLOW_CONN_CUSTOMERS_API": json.dumps({"conn_type": "http", "password": "customers-hunter2"}),
        # Five minutes otherwise.
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
    }


def reports(folder: Path) -> list[dict[str, Any]]:
    """Of the runs in the one folder that the run of a DAG has, oldest first."""
    [own] = folder.iterdir()
    return [json.loads(path.read_text()) for path in sorted(own.glob("*-*/report.json"))]


def test_the_folder_loads_without_trunkline_and_without_spark(airflow: Airflow) -> None:
    found = airflow.load(EXAMPLE)
    assert (found.dags, found.errors) == (["customers", "totals"], {})
    packages = airflow.python.parents[1] / "lib"
    assert not [*packages.glob("python*/site-packages/pyspark*"), *packages.glob("python*/site-packages/trunkline*")]


def test_a_retry_goes_on_with_the_run_of_the_try_before(
    airflow: Airflow, fault_server: FaultServer, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """The index refuses a customer at first. Nobody is asked for twice, and what was accepted is not told again."""
    door = {"bearer": ["customers-hunter2"]}
    fault_server.route("GET /customers/{id}", [door, {"body": {"tier": "gold"}}])
    refusal = {"when": {"json": {"customer_id": 3}}, "times": 1, "status": 422, "body": "not yet"}
    fault_server.route("POST /index", [door, refusal, {"status": 201}], store=True)
    run = airflow.test(EXAMPLE, "customers", surroundings, {"api": fault_server.url, "root": str(tmp_path)})
    assert (run.state, run.tasks) == ("success", {"check": "success", "run": "success", "tell": "success"}), run.log
    assert run.returned["run"] == "success"
    asked = Counter(one.path for one in fault_server.ledger(method="GET"))
    assert asked == {f"/customers/{one['customer_id']}": 1 for one in CUSTOMERS}
    told = [{**one, "tier": "gold"} for one in CUSTOMERS]
    assert sorted(fault_server.stored("/index"), key=lambda row: row["customer_id"]) == told
    assert fault_server.count("POST /index", status=201) == len(CUSTOMERS)
    first, second = reports(tmp_path / "runs" / "customers")
    assert [first["outcome"], second["outcome"]] == ["failed", "success"]
    assert second["resumed_from"] == first["run_id"]
    outcomes = [{step["name"]: step["outcome"] for step in report["steps"]} for report in (first, second)]
    assert [(one["kept"], one["told"]) for one in outcomes] == [("success", "failed"), ("kept", "success")]
    kept = pq.read_table(tmp_path / "answers" / f"day={DAY}", partitioning=None).to_pylist()
    assert sorted(kept, key=lambda row: row["customer_id"]) == told
    assert "hunter2" not in run.log


@pytest.mark.parametrize(
    ("code", "state", "tasks", "returned"),
    [
        (4, "success", ["success", "success", "success"], "degraded"),
        (3, "success", ["success", "skipped", "skipped"], None),
    ],
)
def test_degraded_is_a_success_and_pending_approval_a_skip(
    airflow: Airflow,
    surroundings: dict[str, str],
    tmp_path: Path,
    code: int,
    state: str,
    tasks: list[str],
    returned: str | None,
) -> None:
    """A stand-in for the command, which only ends with that code; that ours does is in `test_run.py`."""
    stand_in = tmp_path / "trunkline"
    stand_in.write_text(f'#!/bin/sh\necho table\n[ "$1" = validate ] || exit {code}\n')
    stand_in.chmod(0o755)
    run = airflow.test(EXAMPLE, "customers", {**surroundings, "TRUNKLINE": str(stand_in)})
    assert (run.state, run.tasks) == (state, dict(zip(("check", "run", "tell"), tasks, strict=True))), run.log
    assert run.returned["run"] == returned


def test_a_file_that_is_wrong_fails_before_the_run_and_is_not_tried_again(
    airflow: Airflow, surroundings: dict[str, str]
) -> None:
    """The API's address is none. No run is begun."""
    run = airflow.test(EXAMPLE, "customers", surroundings, {"api": "no address"})
    assert (run.state, run.tasks["check"], run.tasks["run"]) == ("failed", "failed", "upstream_failed"), run.log
    assert run.log.count("steps.asked.request.options.url") == 1


def test_each_country_of_the_day_gets_a_run_of_the_job(
    airflow: Airflow, surroundings: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The DAG is run twice for the same day, as after a worker that was lost: nothing starts a second time."""
    seen = []
    for _ in range(2):
        run = airflow.test(EXAMPLE, "totals", surroundings, {"root": str(tmp_path)})
        assert (run.state, run.tasks) == ("success", {"check": "success", "run": "success"}), run.log
        assert main(["runs", "--json", "--option", f"local.folder={tmp_path}/jobs"]) == 0
        seen.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert seen[0] == seen[1]
    counted = {one["run_key"]: json.loads(one["result"])["metrics"] for one in seen[0]}
    assert counted == {f"totals-DE-{DAY}-0": {"customers": 3}, f"totals-FR-{DAY}-0": {"customers": 2}}
