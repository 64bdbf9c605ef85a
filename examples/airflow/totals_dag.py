"""A pipeline that hands work to jobs: a run of `totals.py` for each country of the day, waited for.

Where the runs go is said in `totals.yaml`: on this worker, or on Databricks, Glue, EMR by another `platform`.

How often a country is counted: the key of a run has `clear_number`, not the number of the try. A try after a lost
worker finds the runs of the try before it, waits for them, and starts only what is missing; so the write may be
repeated. A run that has failed stays failed until somebody clears the task: then there are new keys.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import DAG
from pipeline_task import FOLDER, pipeline

with DAG(
    "totals",
    schedule="@daily",
    start_date=datetime(2026, 11, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"root": "/data"},
):
    pipeline(
        "totals.yaml",
        {
            "day": "{{ ds }}",
            "root": "{{ params.root }}",
            "code": str(FOLDER),
            "key": "{{ ds }}-{{ dag_run.clear_number }}",
        },
        flags="--repeat started",
    )
