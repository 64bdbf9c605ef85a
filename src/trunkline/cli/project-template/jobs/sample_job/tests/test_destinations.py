from pathlib import Path

from pyspark.sql import SparkSession

from jobs.sample_job.destinations import write_totals


def test_a_second_run_replaces_the_first(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "totals")
    for customer in ("Ann", "Bob"):
        write_totals(spark.createDataFrame([(customer,)], "customer STRING"), path)
    assert [tuple(row) for row in spark.read.parquet(path).collect()] == [("Bob",)]
