"""Run by test_connect.py in a process of its own, because a process holds one kind of Spark session.

python connect_job.py REMOTE URL FOLDER       # prints one JSON object
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

import trunkline

remote, url, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
spark = SparkSession.builder.remote(remote).getOrCreate()
trunkline.register(spark)
df = spark.range(100).selectExpr("id", "concat('n', id) AS name")
df.write.format("rest").mode("append").option("url", url + "/batch").option("responses", str(folder / "log")).save()
df.write.parquet(str(folder / "in"))
query = (
    spark.readStream.schema("id long, name string")
    .parquet(str(folder / "in"))
    .writeStream.format("rest")
    .option("url", url + "/stream")
    .option("checkpointLocation", str(folder / "checkpoint"))
    .trigger(availableNow=True)
    .start()
)
query.awaitTermination(120)
refused = ""
try:
    df.write.format("rest").mode("append").save(url + "/refused")
except Exception as error:  # noqa: BLE001 - its text is what the test reads
    refused = str(error)
items = spark.read.format("rest").option("pagination", "offset").option("page.totalField", "total")
read = sorted(row.id for row in items.option("numPartitions", 3).load(url + "/items").collect())
feed = (
    spark.readStream.format("rest").schema("id LONG, name STRING").option("pagination", "offset").load(url + "/items")
)
follow = (
    feed.writeStream.format("parquet")
    .option("path", str(folder / "out"))
    .option("checkpointLocation", str(folder / "feed"))
    .trigger(availableNow=True)
    .start()
)
follow.awaitTermination(120)
followed = sorted(row.id for row in spark.read.parquet(str(folder / "out")).collect())
logged = spark.read.parquet(str(folder / "log")).where("outcome = 'accepted'").count()
print(json.dumps({"refused": refused, "logged": logged, "read": read, "followed": followed}))
spark.stop()
