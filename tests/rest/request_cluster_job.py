"""Run by test_request_cluster.py: a `request()` over executors that are processes of their own, one task each.

python request_cluster_job.py URL LOG OUT      # prints one JSON object
"""

from __future__ import annotations

import json
import sys

from pyspark.sql import SparkSession

from trunkline.rest import request, summary

ROWS = 1200
# Requests in flight of a task, and records that are not in a file yet.
CONCURRENCY, FLUSH = 4, 50

if __name__ == "__main__":
    url, log, out = sys.argv[1:]
    builder = SparkSession.builder.master("local-cluster[2,1,512]").config("spark.executor.memory", "512m")
    builder = builder.config("spark.ui.enabled", "false").config("spark.driver.bindAddress", "127.0.0.1")
    spark = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
    df = spark.range(0, ROWS, 1, 2).selectExpr("id", "concat('n', id) AS name")
    options = {
        "url": url, "method": "POST", "responses": log, "concurrency": CONCURRENCY, "log": {"flush": f"1s,{FLUSH}"},
    }  # fmt: skip
    request(df, options, "stored INT").write.parquet(out)
    rows = spark.read.parquet(out).selectExpr("id", "response.outcome").collect()
    [told] = summary(log)
    print(json.dumps({"rows": sorted([row.id, row.outcome] for row in rows), "summary": told}))
    spark.stop()
