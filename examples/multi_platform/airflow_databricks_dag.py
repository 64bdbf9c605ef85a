"""The job as a one-time run on Databricks, by Airflow's own operator. Airflow needs no Trunkline for it.

    pip install apache-airflow-providers-databricks

Connection `databricks_default`: the workspace and a token. Both wheels lie in a volume of the workspace.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone

from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator
from airflow.sdk import DAG

WHEELS = [
    "/Volumes/main/code/wheels/trunkline-0.1.0-py3-none-any.whl",
    "/Volumes/main/code/wheels/paid_orders-1.0-py3-none-any.whl",
]
ARGUMENTS = {"input_path": "s3://lake/orders/{{ ds }}/", "output_path": "s3://lake/paid/{{ ds }}/"}

with DAG(
    "paid_orders_databricks",
    schedule="@daily",
    start_date=datetime(2026, 11, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["orders"],
):
    DatabricksSubmitRunOperator(
        task_id="etl_job",
        run_name="paid-{{ ds }}",
        # Databricks starts one run for a token, also when the answer to a start is lost and it is asked again. A new
        # try of the task is a new run; on a worker's death Airflow (from 3.3 on) goes back to the one under way.
        idempotency_token="paid-{{ ts_nodash }}-{{ ti.try_number }}",
        tasks=[
            {
                "task_key": "etl_job",
                "environment_key": "orders",
                "python_wheel_task": {
                    "package_name": "trunkline",
                    "entry_point": "trunkline-job",
                    "parameters": [
                        "--module_name=etl_job_factory",
                        "--run_key=paid-{{ ds }}-{{ ti.try_number }}",
                        f"--etl_job={json.dumps(ARGUMENTS)}",
                        # For Databricks to fill in, not for Airflow.
                        "{% raw %}--run_id={{job.run_id}}{% endraw %}",
                    ],
                },
            }
        ],
        environments=[
            {"environment_key": "orders", "spec": {"environment_version": "4", "dependencies": WHEELS}},
        ],
    )
