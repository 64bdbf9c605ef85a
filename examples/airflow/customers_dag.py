"""A pipeline every day: the customers of that day, and what an API says of each.

Connection `customers_api`: its password is the API's token. What becomes of each exit code and of a retry is in
`pipeline_task.py`.
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone

from airflow.sdk import DAG, task
from pipeline_task import pipeline

with DAG(
    "customers",
    schedule="@daily",
    start_date=datetime(2026, 11, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"api": "https://api.example.com", "root": "/data"},
):

    @task
    def tell(outcome: str) -> None:
        """Where somebody is told that a step was skipped or replaced; here it is a line in the log."""
        if outcome == "degraded":
            logging.getLogger(__name__).warning("not all of it worked: see the report of the run")

    tell(
        pipeline(
            "customers.yaml",
            {"day": "{{ ds }}", "api": "{{ params.api }}", "root": "{{ params.root }}"},
            {"API_TOKEN": "{{ conn.customers_api.password }}"},
        )
    )
