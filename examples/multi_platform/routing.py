"""Routing is a column: one write starts the job of each batch where its size belongs, and waits for all of them.

    python routing.py data/late.csv
    DATABRICKS_TOKEN=... python routing.py data/batches.csv --platforms=platforms.json

The last line is JSON, the state of each run by its key. A run that fails, fails the write, and so this script.

References: references/jobs.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

import trunkline
from trunkline.session import get_spark

# `target` is the platform's own job, by its name in Databricks; the others are told by options.
# The key names a run for good on its platform: the same batches with the same {run} start nothing a second time. Their
# sizes are those of the file, which stays as it is: a batch that grew past a limit in between would run once more.
ROUTES = """
    SELECT
        'etl_job_factory' AS job,
        CASE
            WHEN gb >= 100 THEN 'emr-serverless'
            WHEN gb >= 10  THEN 'databricks'
            WHEN gb >= 1   THEN 'glue'
            ELSE 'local'
        END AS platform,
        CASE WHEN gb >= 10 AND gb < 100 THEN 'paid-orders' END AS target,
        struct(input_path, output_path) AS arguments,
        concat_ws('-', 'paid', batch, :run) AS run_key
    FROM {batches}
"""


def routed(batches: DataFrame, run: str) -> DataFrame:
    """`job, platform, target, arguments, run_key`: a row for each batch (`batch, gb, input_path, output_path`)."""
    return batches.sparkSession.sql(ROUTES, args={"run": run}, batches=batches)


def start(runs: DataFrame, options: dict[str, str]) -> None:
    """All of them, each once, on four platforms; over when all are."""
    runs.write.format("jobs").mode("append").option("wait", "true").options(**options).save()


def read_back(runs: DataFrame, options: dict[str, str]) -> DataFrame:
    """What became of them, asked of the platforms that they went to."""
    platforms = ",".join(sorted(row.platform for row in runs.select("platform").distinct().collect()))
    found = runs.sparkSession.read.format("jobs").options(**options, platform=platforms, since="7d").load()
    return found.join(runs.select("run_key"), "run_key", "semi")


def main(spark: SparkSession, batches: str, run: str, options: dict[str, Any]) -> dict[str, str]:
    """The states of the runs by their keys."""
    table = spark.read.csv(
        batches, schema="batch STRING, gb DOUBLE, input_path STRING, output_path STRING", header=True
    )
    runs = routed(table, run)
    start(runs, {**options["platforms"], **options["starts"]})
    found = read_back(runs, options["platforms"]).orderBy("run_key").cache()
    found.select("run_key", "platform", "state", "run_id", "error").show(truncate=60)
    return {row.run_key: row.state for row in found.collect()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Start a run for each batch, where its size belongs.")
    parser.add_argument("batches", help="CSV: batch, gb, input_path, output_path")
    today = datetime.now(timezone.utc).date().isoformat()
    parser.add_argument("--run", default=today, help="with the same word nothing starts twice")
    parser.add_argument("--platforms", help="JSON: options of the platforms, and those for starts")
    given = parser.parse_args()
    settings = json.loads(Path(given.platforms).read_text()) if given.platforms else {"platforms": {}, "starts": {}}
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # Spark's workers run in this environment too
    session = get_spark("routing")
    trunkline.register(session)
    print(json.dumps(main(session, given.batches, given.run, settings)))
