"""Writing to a real API, Kinto, behind a real OAuth2 server whose tokens live five seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.rest.conftest import logged
from tests.servers.kinto import Kinto
from tests.servers.oidc import Oidc


@pytest.mark.parametrize("client", ["basic", "post"])
def test_a_write_that_outlives_its_tokens_delivers_each_record_once(
    spark: SparkSession, guarded_kinto: Kinto, oidc: Oidc, client: str
) -> None:
    path = guarded_kinto.new_collection()
    before = len(oidc.token_requests())
    begun = time.monotonic()
    df = spark.range(0, 140, 1, 2).selectExpr(
        "concat('record-', id) AS name", "to_json(struct(struct(id AS n) AS data)) AS payload"
    )
    (
        df.write.format("rest")
        .mode("append")
        .option("url", f"{guarded_kinto.url}{path}/{{name}}")
        .option("method", "PUT")
        .option("bodyColumn", "payload")
        .options(
            **{
                "auth.type": "oauth2",
                "auth.tokenUrl": oidc.token_url,
                "auth.clientId": client,
                "auth.clientSecret": oidc.secret,
                "auth.clientAuth": client,
                "rateLimit": "20/s",
                "rateLimitTasks": "2",
            }
        )
        .save()
    )
    assert sorted(record["n"] for record in guarded_kinto.records(path)) == list(range(140))
    # Seven seconds of work, tokens of five: two or three of them for the two tasks together, more if it took longer.
    assert 2 <= len(oidc.token_requests()) - before <= 2 + (time.monotonic() - begun) / 3


def test_a_batch_with_a_status_per_record_is_settled_record_by_record(
    spark: SparkSession, kinto: Kinto, tmp_path: Path
) -> None:
    path = kinto.new_collection()
    user, password = kinto.auth
    options = {
        "url": f"{kinto.url}/batch",
        "auth.type": "basic",
        "auth.username": user,
        "auth.password": password,
        "batch.rows": "50",
        "batch.format": "envelope",
        "batch.envelope": '{"defaults": {"method": "PUT", "headers": {"If-None-Match": "*"}}, "requests": "{rows}"}',
        "results.path": "responses",
        "results.ok": "status",
        "results.error": "body.message",
        "onError": "deadLetter",
        "responses": str(tmp_path),
    }
    once = spark.range(0, 100, 1, 1).selectExpr(
        f"concat('/v1{path}/r', id) AS path", "struct(struct(id AS n) AS data) AS body"
    )
    once.limit(10).coalesce(1).write.format("rest").mode("append").options(**options).option("runId", "first").save()
    once.write.format("rest").mode("append").options(**options).option("runId", "second").save()
    assert sorted(record["n"] for record in kinto.records(path)) == list(range(100))
    refused = [r for r in logged(spark, tmp_path) if r["outcome"] == "rejected"]
    assert {r["status_code"] for r in refused} == {412}
    assert len(refused) == 10
