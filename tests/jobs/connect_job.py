"""A client of Spark Connect that starts runs and reads them: for test_connect.py.

python connect_job.py sc://127.0.0.1:15002 http://127.0.0.1:8080 TOKEN FOLDER
"""

from __future__ import annotations

import json
import sys

from pyspark.sql import SparkSession

import trunkline

remote, host, token, folder = sys.argv[1:]
spark = SparkSession.builder.remote(remote).getOrCreate()
trunkline.register(spark)
options = {"platform": "databricks", "databricks.host": host, "databricks.token": token}

rows = spark.sql("SELECT 'my.etl' AS job, named_struct('n', id) AS arguments, concat('k', id) AS run_key FROM range(3)")
rows.write.format("jobs").mode("append").options(
    **options, **{"databricks.cluster": "c1", "artifact": "/my.whl"}
).save()

found = spark.read.format("jobs").options(**options).load().select("job", "run_key", "state").collect()

stream = spark.readStream.format("jobs").options(**options).load().select("run_key", "state")
query = stream.writeStream.format("parquet").option("path", f"{folder}/seen")
query.option("checkpointLocation", f"{folder}/check").trigger(availableNow=True).start().awaitTermination()
followed = spark.read.schema("run_key STRING, state STRING").parquet(f"{folder}/seen").collect()

print(json.dumps({"found": sorted(found), "followed": sorted(followed)}))
