"""Run by test_secrets.py in a process of its own: writes with every kind of credential to a server that echoes it.

python secrets_job.py URL TOKEN_URL FOLDER SECRETS_AS_JSON            # a session of its own
python secrets_job.py URL TOKEN_URL FOLDER REFERENCES_AS_JSON REMOTE  # over Spark Connect
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from pyspark.sql import SparkSession

import trunkline
from trunkline.rest import preview, rejected, summary
from trunkline.rest.options import write_options

url, token_url, folder, planted = sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4])
logging.basicConfig(level=logging.INFO)
# Only ours in full: py4j's own DEBUG prints every call with its arguments, options among them.
logging.getLogger("trunkline").setLevel(logging.DEBUG)
over_connect = len(sys.argv) > 5
if over_connect:
    spark = SparkSession.builder.remote(sys.argv[5]).getOrCreate()
else:
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.eventLog.enabled", "true")
        .config("spark.eventLog.compress", "false")  # what is compressed cannot be searched
        .config("spark.eventLog.dir", (folder / "events").as_uri())
        .getOrCreate()
    )
# Spark 4.3 then prints the local variables of every frame of a traceback; earlier ones do not know it.
spark.conf.set("spark.sql.execution.pyspark.udf.tracebackWithLocals.enabled", "true")
trunkline.register(spark)
kinds = {
    "basic": {"auth.type": "basic", "auth.username": "loader", "auth.password": planted["password"]},
    "bearer": {"auth.type": "bearer", "auth.token": planted["token"]},
    "apiKey": {"auth.type": "apiKey", "auth.in": "query", "auth.name": "k", "auth.token": planted["key"]},
    "oauth2": {
        "auth.type": "oauth2",
        "auth.tokenUrl": token_url,
        "auth.clientId": "client",
        "auth.clientSecret": planted["secret"],
    },
    "headers": {"secretHeaders": json.dumps({"X-Session": planted["header"]})},
}
df = spark.range(0, 3, 1, 1).selectExpr("id", "'row' AS name")
df.explain(True)
for kind, login in kinds.items():
    options = {"url": url, "onError": "deadLetter", "log.body": "always", "log.row": "always", **login}
    print(repr(write_options({**options, "responses": "/tmp/x"})), preview(df, {**login, "url": url}))
    for target in (f"/echo/{kind}",) if over_connect else (f"/echo/{kind}", f"/forbidden/{kind}"):
        responses = str(folder / "responses" / f"{kind}{target}")
        try:
            writer = df.write.format("rest").mode("append").options(**options)
            writer.option("url", url + target).option("responses", responses).save()
        except Exception as error:  # noqa: BLE001 - its text is what the test reads
            print(kind, target, error)
        print(summary(responses))
rejected(spark, str(folder / "responses/basic/echo/basic")).show(truncate=False)
for kind, login in kinds.items():
    try:
        df.write.format("rest").mode("append").options(**login).option("url", f"{url}/echo/{kind}").save()
    except Exception as error:  # noqa: BLE001 - as above
        print(kind, "fail", error)

# What is raised inside tasks and by the driver's checks, with two kinds of credential at work.
both = {**kinds["oauth2"], **kinds["headers"], "url": f"{url}/echo/headers"}
broken = {
    "broken rows": (df.selectExpr("id", "raise_error('broken row') AS name"), {}),
    "broken door": (df, {"judge": "tests.rest.doors:broken"}),
}
if over_connect:
    broken["wrong option"] = (df, {"concurrency": "many"})
    broken["wrong column"] = (df, {"keyColumns": "nowhere"})
for what, (rows, more) in broken.items():
    try:
        rows.write.format("rest").mode("append").options(**both, **more).save()
    except Exception as error:  # noqa: BLE001 - as above
        print("failed as meant:", what, error)
spark.stop()
