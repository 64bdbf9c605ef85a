"""Databricks, Glue and EMR Serverless as doubles whose runs go on by themselves; the fourth platform is this machine.

with four_platforms(tmp_path) as four:
    ...write with four.settings and four.environment...
    assert four.started() == {"databricks": ["k1"], "glue": [], "emr-serverless": []}
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trunkline.jobs.platforms.aws import given_in
from trunkline.testing.aws import AwsApi
from trunkline.testing.databricks import DatabricksApi

EXAMPLE = Path(__file__).parents[2] / "examples" / "multi_platform"
ROLE = "arn:aws:iam::123456789012:role/etl"
# How long a run of AWS stays in each state, seconds.
_STEP = 0.2


class FourPlatforms:
    """What a test gives to the example, and what it looks at.

    Attributes:
        databricks: With the job `paid-orders`, whose task is a Python wheel.
        aws: With the Glue job `trunkline` and the application `app1`.
        settings: As `platforms.json` of the example has them.
        environment: In which the example runs: credentials of the doubles and none of this machine.
        failing: Keys of runs on Glue that are to fail.
    """

    def __init__(self, databricks: DatabricksApi, aws: AwsApi, folder: Path) -> None:
        self.databricks, self.aws = databricks, aws
        self.failing: set[str] = set()
        databricks.add_job("paid-orders", tasks=[{"task_key": "etl_job", "python_wheel_task": {}}])
        aws.add_job("trunkline")
        aws.runs["app1"] = []
        self.settings: dict[str, dict[str, str]] = {
            "platforms": {
                "databricks.host": databricks.url,
                "databricks.token": "env:DATABRICKS_TOKEN",
                "glue.job": "trunkline",
                "glue.region": "eu-central-1",
                "emrServerless.application": "app1",
                "emrServerless.region": "eu-central-1",
                "aws.endpoint": aws.url,
                "local.folder": str(folder / "runs"),
                "pollInterval": "500ms",
            },
            "starts": {"emrServerless.role": ROLE, "emrServerless.entryPoint": "s3://lake/code/entry.py"},
        }
        self.environment = {
            "DATABRICKS_TOKEN": databricks.token,
            "AWS_ACCESS_KEY_ID": aws.key,
            "AWS_SECRET_ACCESS_KEY": "the-secret-key",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(EXAMPLE), os.environ.get("PYTHONPATH")))),
            "PYSPARK_PYTHON": sys.executable,
        }

    def started(self) -> dict[str, dict[str, Any]]:
        """By platform and key what each run was given, from the doubles' own lists; a key that is there twice fails."""
        found: dict[str, dict[str, Any]] = {"databricks": {}, "glue": {}, "emr-serverless": {}}
        for run in self.databricks.runs.values():
            named = run["overriding_parameters"]["python_named_params"]
            _add(found["databricks"], named["run_key"], (run["job_id"], named["module_name"], named["etl_job"]))
        for run in self.aws.glue["trunkline"]:
            named = run["Arguments"]
            _add(found["glue"], named["--run_key"], (named["--module_name"], named["--etl_job"]))
        for run in self.aws.runs["app1"]:
            words = run["jobDriver"]["sparkSubmit"]["entryPointArguments"]
            _add(found["emr-serverless"], given_in(words)[1], words)
        return found

    def go_on(self) -> None:
        """Every run on AWS is one state further."""
        for run in list(self.aws.glue["trunkline"]):
            if run["JobRunState"] == "STARTING":
                self.aws.set_glue(run["Id"], "RUNNING")
            elif run["JobRunState"] == "RUNNING" and run["Arguments"]["--run_key"] in self.failing:
                self.aws.set_glue(run["Id"], "FAILED", "no such table: orders")
            elif run["JobRunState"] == "RUNNING":
                self.aws.set_glue(run["Id"], "SUCCEEDED")
        for run in list(self.aws.runs["app1"]):
            after = {"SUBMITTED": "RUNNING", "RUNNING": "SUCCESS"}.get(run["state"])
            if after:
                self.aws.set_run(run["jobRunId"], after)


@contextmanager
def four_platforms(folder: Path) -> Iterator[FourPlatforms]:
    """Both doubles, and a thread that lets the runs of AWS go on; those of Databricks do so with each look."""
    over = threading.Event()
    with DatabricksApi(script=["PENDING", "RUNNING", "SUCCESS"]) as databricks, AwsApi() as aws:
        four = FourPlatforms(databricks, aws, folder)

        def go_on() -> None:
            while not over.wait(_STEP):
                four.go_on()

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        try:
            yield four
        finally:
            over.set()
            thread.join(5)


def _add(runs: dict[str, Any], key: str | None, given: Any) -> None:
    assert key is not None
    assert key not in runs, f"{key} was started twice"
    runs[key] = given
