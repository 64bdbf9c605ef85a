"""Run by test_connect.py in a process of its own, because a process holds one kind of Spark session.

python connect_job.py REMOTE URL OPTIONS      # prints one JSON object; OPTIONS is what `trunkline coordinator` wrote
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

import trunkline
from trunkline.errors import OptionError
from trunkline.rest import request

remote, url, file = sys.argv[1:]
spark = SparkSession.builder.remote(remote).getOrCreate()
trunkline.register(spark)
options = json.loads(Path(file).read_text())
rows = spark.range(0, 60, 1, 3)
rows.write.format("rest").mode("append").options(url=f"{url}/rows", **options).save()
found = request(rows, {"url": url + "/users/{id}", **options}, "name STRING")
names = sorted(row.name for row in found.select("response.response_body.name").collect())
plan = found._explain_string(extended=True)
refused = ""
try:
    trunkline.coordinator(spark)
except OptionError as error:
    refused = str(error)
print(json.dumps({"names": names, "plan": plan, "refused": refused}))
spark.stop()
