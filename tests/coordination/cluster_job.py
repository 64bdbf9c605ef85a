"""Run by test_cluster.py as the driver of two executors with four tasks each.

python cluster_job.py MASTER URL ROWS      # prints the snapshot of the coordinator as one JSON object
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from pyspark.sql import SparkSession

import trunkline

PARTITIONS = 8


def main(master: str, url: str, rows: str) -> None:
    spark = (
        SparkSession.builder.master(master)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.executor.memory", "600m")
        .config("spark.driver.memory", "600m")
        .getOrCreate()
    )
    trunkline.register(spark)
    with trunkline.coordinator(spark, rateLimit="200/s") as c:
        df = spark.range(0, int(rows), 1, PARTITIONS)
        df.write.format("rest").mode("append").options(**c.options, **{"body.type": "none"}).save(url)
        print(json.dumps(asdict(c.progress())))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
