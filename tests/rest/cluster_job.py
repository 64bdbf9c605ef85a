"""Run by test_writer_cluster.py as the driver of a standalone cluster.

python cluster_job.py MASTER URL LOG CASE     # prints one JSON object; CASE is "speculation" or "lost executor"
"""

from __future__ import annotations

import json
import sys
import time

from pyspark import TaskContext
from pyspark.sql import SparkSession

import trunkline
from trunkline.http.message import Exchange
from trunkline.http.verdict import Verdict
from trunkline.rest import rejected, summary

ROWS, PARTITIONS = 1600, 4
_seen = {"answers": 0}


def stall(exchange: Exchange) -> Verdict | None:
    """A door at which the first attempt at the last partition stands still in the middle of its rows."""
    context = TaskContext.get()
    assert context is not None
    if context.partitionId() == PARTITIONS - 1 and context.attemptNumber() == 0:
        _seen["answers"] += 1
        if _seen["answers"] == 170:
            time.sleep(120)
    return None


def main(master: str, url: str, responses: str, case: str) -> None:
    spark = (
        SparkSession.builder.master(master)
        .appName(case)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.executor.memory", "600m")
        .config("spark.executor.cores", "2")
        .config("spark.sql.shuffle.partitions", PARTITIONS)
        .config("spark.speculation", str(case == "speculation").lower())
        .config("spark.speculation.interval", "100ms")
        .config("spark.speculation.multiplier", "1.1")
        .config("spark.speculation.quantile", "0.7")
        .getOrCreate()
    )
    trunkline.register(spark)
    df = spark.range(0, ROWS, 1, PARTITIONS).selectExpr("id", "concat('n', id) AS name")
    options: dict[str, str | int] = {
        "url": url,
        "responses": responses,
        "log.flush": "10s,50",
        "concurrency": 4,
        "idempotency.header": "Idempotency-Key",
    }
    if case == "speculation":
        options["judge"] = "tests.rest.cluster_job:stall"
    else:
        # The lost executor takes with it what it had shuffled, so that the stage before the write runs again.
        df = df.repartition(PARTITIONS, "id")
    spark.sparkContext.setJobGroup("write", case)
    df.write.format("rest").mode("append").options(**options).save()
    tracker = spark.sparkContext.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup("write")]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    log = spark.read.parquet(responses).where("outcome = 'accepted'")
    [told] = summary(responses)
    result = {
        "stage_attempts": 1 + max(stage.currentAttemptId for stage in stages if stage),
        "attempts_at_last": log.where(f"partition_id = {PARTITIONS - 1}").select("task_attempt_id").distinct().count(),
        "records": log.count(),
        "rows_logged": log.select("partition_id", "row_digest", "occurrence").distinct().count(),
        "rejected": rejected(spark, responses).count(),
        "summary": {name: told[name] for name in ("state", "rows", "accepted", "skipped", "unsent", "ambiguous")},
    }
    print(json.dumps(result))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
