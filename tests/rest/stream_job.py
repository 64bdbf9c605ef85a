"""A stream into Parquet: for test_stream_kills.py, here and in a process of its own that is killed.

python stream_job.py URL FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

import trunkline

# How long a row may take from its time to be there, seconds.
SETTLE = 0.3
OPTIONS: dict[str, dict[str, str]] = {
    "time": {"incremental.field": "at", "incremental.param": "since", "incremental.untilParam": "until",
             "incremental.settle": f"{SETTLE * 1000:.0f}ms", "pagination": "offset"},
    "number": {"incremental.field": "id", "pagination": "lastRecord", "page.cursorField": "id", "page.param": "after",
               "incremental.param": "after"},
    "pages": {"pagination": "offset"},
}  # fmt: skip


def started(spark: SparkSession, url: str, folder: Path, kind: str) -> StreamingQuery:
    """The query, from its checkpoint on."""
    stream = spark.readStream.format("rest").schema("id LONG, at TIMESTAMP").options(**OPTIONS[kind])
    rows = stream.option("pollInterval", "50ms").option("maxRecordsPerTrigger", 7).load(url)
    written = rows.writeStream.format("parquet").option("path", str(folder / "rows"))
    return written.option("checkpointLocation", str(folder / "checkpoint")).start()


if __name__ == "__main__":
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    trunkline.register(session)
    query = started(session, sys.argv[1], Path(sys.argv[2]), "time")
    print("running", flush=True)
    query.awaitTermination()
