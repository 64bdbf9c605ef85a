"""Run by test_request_connect.py in a process of its own, because a process holds one kind of Spark session.

python request_connect_job.py REMOTE URL FOLDER       # prints one JSON object
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from trunkline.rest import request

remote, url, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
spark = SparkSession.builder.remote(remote).getOrCreate()
df = spark.range(0, 60, 1, 3).selectExpr("id", "concat('n', id) AS note")
options = {
    "url": url + "/users/{id}",
    "auth": {"type": "bearer", "token": "very-secret"},
    "responses": str(folder / "log"),
}
found = request(df, options, "name STRING, age INT")
count = found.count()
rows = [
    (row.id, row.note, row.response.outcome, row.response.response_body.name) for row in found.orderBy("id").collect()
]
df.write.parquet(str(folder / "in"))
feed = spark.readStream.schema("id long, note string").parquet(str(folder / "in"))
stream = request(feed, {"url": url + "/feed/{id}", "responses": str(folder / "feed")}, "name STRING").writeStream
stream = stream.format("parquet").option("path", str(folder / "out"))
stream = stream.option("checkpointLocation", str(folder / "checkpoint")).trigger(availableNow=True)
stream.start().awaitTermination(120)
followed = sorted(row.id for row in spark.read.parquet(str(folder / "out")).collect())
refused = ""
try:
    request(df, {"url": url + "/refused/{id}", "onError": "fail"}).collect()
except Exception as error:  # noqa: BLE001 - its text is what the test reads
    refused = str(error)
plan = found._explain_string(extended=True)
print(json.dumps({"count": count, "rows": rows, "followed": followed, "refused": refused, "plan": plan}))
spark.stop()
