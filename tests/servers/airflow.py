"""Airflow 3.3 in an environment of its own: loads DAG files as its scheduler does, and runs one with `dag.test()`.

    airflow = make_airflow()
    run = airflow.test(folder, "paid_orders_glue", {"AIRFLOW_CONN_AWS_DEFAULT": "{...}"})
    assert (run.state, run.tasks) == ("success", {"etl_job": "success"})

Shows: that a file loads with the providers it names and nothing else, what operators really send, what
templates become.

Cannot show: the scheduler, executors, a worker that dies.

Installing takes 145 s and 720 MB on two cores, once; the database 5 s. Airflow's own list of versions that fit together
is no package, so it is not to be had from a package index: what is pinned is what is tested, and the rest is pip's
choice.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.install import ISOLATED, install_python, store

REQUIREMENTS = (
    "apache-airflow-core==3.3.2",
    "apache-airflow-task-sdk==1.3.2",
    "apache-airflow-providers-amazon==9.39.0",
    "apache-airflow-providers-databricks==7.23.0",
    "apache-airflow-providers-standard==1.21.0",
)
# Day of every test run: `{{ ds }}` of its tasks.
DAY = "2026-11-20"
# A DAG takes Airflow ten seconds; what its tasks start, and start again, may take minutes on a busy machine.
_SECONDS = 800

# Runs in Airflow's environment. Its last line is for us.
_TEST = """
import json, sys
from datetime import datetime, timezone
from airflow import settings
from airflow.dag_processing.dagbag import BundleDagBag

day, dag_id, conf = sys.argv[1:]
# With the folder on the path of modules, as the dag processor and the workers have it.
bag = BundleDagBag(settings.DAGS_FOLDER, bundle_path=settings.DAGS_FOLDER)
found = {"dags": sorted(bag.dags), "errors": bag.import_errors}
if dag_id:
    at = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
    run = bag.dags[dag_id].test(logical_date=at, run_conf=json.loads(conf))
    tasks = run.get_task_instances()
    found["state"] = str(run.state)
    found["tasks"] = {one.task_id: str(one.state) for one in tasks}
    found["returned"] = {one.task_id: one.xcom_pull(task_ids=one.task_id) for one in tasks}
print()
print(json.dumps(found))
"""


@dataclass(frozen=True)
class DagRun:
    """What Airflow made of a folder and, if one was run, of a DAG.

    Attributes:
        dags: Ids of all DAGs of the folder.
        errors: Of each file that could not be loaded, why.
        state: Of the run.
        tasks: Of each task the state.
        returned: Of each task what it left in XCom; a text that is JSON as what it holds.
        log: All that was printed.
    """

    dags: list[str]
    errors: dict[str, str]
    state: str | None
    tasks: dict[str, str]
    returned: dict[str, Any]
    log: str


@dataclass(frozen=True)
class Airflow:
    """An installed Airflow.

    Attributes:
        python: Its interpreter.
        home: Its database, logs and configuration.
    """

    python: Path
    home: Path

    def load(self, folder: Path) -> DagRun:
        """Load all DAG files of a folder."""
        return self.test(folder, "", {})

    def test(
        self, folder: Path, dag_id: str, environment: Mapping[str, str], conf: Mapping[str, Any] | None = None
    ) -> DagRun:
        """Load a folder and run one of its DAGs once, for `DAY`.

        Args:
            folder: With the DAG files.
            dag_id: Of the one that is run.
            environment: Added to what is left of ours without the paths of Python: connections and the like.
            conf: Given to the run; values of the DAG's `params`.

        Raises:
            RuntimeError: Airflow itself failed.
        """
        given = {**environment, "AIRFLOW__CORE__DAGS_FOLDER": str(folder)}
        done = self._run(["-c", _TEST, DAY, dag_id, json.dumps(conf or {})], given)
        found = json.loads(done.stdout.splitlines()[-1])
        log = done.stdout + done.stderr
        return DagRun(
            found["dags"],
            found["errors"],
            found.get("state"),
            found.get("tasks", {}),
            found.get("returned", {}),
            log,
        )

    def stop(self) -> None:
        """Remove what it wrote."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, words: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        own = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHONPATH"))}
        done = subprocess.run(
            [str(self.python), *ISOLATED, *words], env={**ours, **own, **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            said = (done.stdout + done.stderr)[-4000:]
            raise RuntimeError(f"Airflow ended with exit code {done.returncode}: {said}")
        return done


def make_airflow() -> Airflow:
    """Install Airflow unless it is there, and make a database."""
    python = install_python("airflow", REQUIREMENTS) / "bin" / "python"
    runs = store() / "run"
    runs.mkdir(parents=True, exist_ok=True)
    airflow = Airflow(python, Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-airflow-", dir=runs)))
    airflow._run(["-m", "airflow", "db", "migrate"], {})
    return airflow
