"""All batches of a day, each on the platform of its size, by one write of the format `jobs`.

Why a `BashOperator` that calls `routing.py`, and no `@task` around the write: Spark and Airflow pin different versions
of the same packages, and a DAG file has to load within seconds and without either. So Trunkline and Spark live in an
environment of their own on the worker (`TRUNKLINE_PYTHON`), and Airflow needs no provider and no Trunkline. A DAG whose
runs are known when it is written needs no Spark either: one `trunkline submit ... --wait` for each.

Connection `databricks_default`: its password is the token. AWS's credentials are those of the worker.

How often a batch runs: the key of a run has `clear_number`, not the number of the try. A try after a lost worker or a
broken connection finds the runs of the try before it, waits for them, and starts only what is missing. A run that has
failed stays failed until somebody clears the task: then there are new keys, and all batches run again.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    "paid_orders_routed",
    schedule="@daily",
    start_date=datetime(2026, 11, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["orders"],
    params={"batches": "data/batches.csv", "platforms": "platforms.json"},
):
    BashOperator(
        task_id="route",
        bash_command='exec "$TRUNKLINE_PYTHON" routing.py "$BATCHES" --platforms="$PLATFORMS" --run="$RUN"',
        # Where the job's modules are, for the runs that are local to this worker.
        cwd=str(Path(__file__).parent),
        # Values go by the environment: in a command they would be read by the shell.
        env={
            "TRUNKLINE_PYTHON": os.environ.get("TRUNKLINE_PYTHON", "/opt/trunkline/bin/python"),
            "BATCHES": "{{ params.batches }}",
            "PLATFORMS": "{{ params.platforms }}",
            "RUN": "{{ ds }}-{{ dag_run.clear_number }}",
            "DATABRICKS_TOKEN": "{{ conn.databricks_default.password }}",
        },
        append_env=True,
        retries=3,
        retry_delay=timedelta(minutes=5),
        # The last line, the state of each run by its key, goes to XCom.
        do_xcom_push=True,
    )
