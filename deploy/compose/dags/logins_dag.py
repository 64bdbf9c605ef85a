"""The pipelines of `examples/auth_pipelines`, one for each kind of login, after the table that they read."""

from __future__ import annotations

from airflow.sdk import DAG, TaskGroup
from pipeline_task import pipeline

API = "https://api:8443"
ROOT = "s3a://lake"
PIPELINES = ("none", "basic", "bearer", "oauth2_password", "oauth2_client_credentials")

with DAG("logins", schedule=None):
    with TaskGroup("customers") as customers:
        pipeline("customers.yaml", {"root": ROOT})
    for name in PIPELINES:
        with TaskGroup(name) as group:
            pipeline(f"/opt/compose/pipelines/{name}.yaml", {"root": ROOT, "api": API})
        customers >> group
