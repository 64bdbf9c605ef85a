"""Run by test_request_sql.py in a process of its own, because a process holds one kind of Spark session.

python request_sql_job.py REMOTE URL FOLDER       # prints one JSON object
"""

from __future__ import annotations

import json
import sys

from pyspark.sql import SparkSession

import trunkline

remote, url, folder = sys.argv[1:]
spark = SparkSession.builder.remote(remote).getOrCreate()
trunkline.register(spark)
spark.range(0, 250, 1, 3).selectExpr("id", "concat('n', id) AS note").createOrReplaceTempView("users")
given = f"'url', '{url}/users/{{id}}', 'auth.type', 'bearer', 'auth.token', 'file:{folder}/token'"
given += f", 'responses', '{folder}/log', 'runId', 'nightly'"
call = f"rest_request(TABLE(users), options => map({given}), schema => 'name STRING, age INT')"
asked = spark.sql(f"SELECT * FROM {call}")
asked.count()
rows = [
    (row.id, row.note, row.response.outcome, row.response.response_body.name) for row in asked.orderBy("id").collect()
]
refused = ""
try:
    spark.sql(
        f"SELECT * FROM rest_request(TABLE(users), options => map('url', '{url}', 'retyr.maxAttempts', '3'))"
    ).collect()
except Exception as error:  # noqa: BLE001 - its text is what the test reads
    refused = str(error)
plan = asked._explain_string(extended=True)  # type: ignore[operator]
print(json.dumps({"rows": rows, "refused": refused, "plan": plan}))
spark.stop()
