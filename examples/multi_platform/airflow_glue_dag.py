"""The job on AWS Glue, by Airflow's own operator. Airflow needs no Trunkline for it.

    pip install apache-airflow-providers-amazon

The Glue job `trunkline` runs any job: its script is that of `trunkline new entry glue`, and its own arguments install
the two wheels (`--additional-python-modules`).
"""

from __future__ import annotations

import json
from datetime import datetime, timezone

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk import DAG

ARGUMENTS = {"input_path": "s3://lake/orders/{{ ds }}/", "output_path": "s3://lake/paid/{{ ds }}/"}

with DAG(
    "paid_orders_glue",
    schedule="@daily",
    start_date=datetime(2026, 11, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["orders"],
):
    GlueJobOperator(
        task_id="etl_job",
        job_name="trunkline",
        region_name="eu-central-1",
        script_args={
            "--module_name": "etl_job_factory",
            "--run_key": "paid-{{ ds }}-{{ ti.try_number }}",
            "--etl_job": json.dumps(ARGUMENTS),
        },
        stop_job_run_on_kill=True,
    )
