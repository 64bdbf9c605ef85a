"""The quick start of the plan that jobs come from: as it stands there, but for the name of the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession
from tests.jobs.conftest import Told

QUICK_START = """
    from trunkline.jobs import AbstractJob, AbstractJobFactory


    class ParquetReader:
        def __init__(self, spark):
            self.spark = spark

        def read(self, path):
            return self.spark.read.parquet(path)


    class ParquetWriter:
        def __init__(self, spark):
            self.spark = spark

        def write(self, df, path):
            df.write.mode("overwrite").parquet(path)


    class MyETLJob(AbstractJob):
        def __init__(self, reader, writer):
            self.reader = reader
            self.writer = writer

        def execute_job(self, input_path: str, output_path: str, **kwargs):
            df = self.reader.read(input_path)
            transformed = df.filter(df.status == "active")
            self.writer.write(transformed, output_path)
            return {"records_written": transformed.count()}

        def on_success(self, results):
            print(f"Success! Wrote {results['records_written']} records")

        def on_failure(self, error_message):
            print(f"Failed: {error_message}")


    class MyETLJobFactory(AbstractJobFactory):
        def create_job(self, **kwargs):
            spark = self._get_spark_session(**kwargs)
            return MyETLJob(
                reader=ParquetReader(spark),
                writer=ParquetWriter(spark)
            )


    def main(**kwargs):
        factory = MyETLJobFactory()
        return factory.run(**kwargs)
"""


def test_the_quick_start_runs(
    spark_session: SparkSession,
    job_module: Callable[..., str],
    run_job: Callable[..., Told],
    tmp_path: Path,
) -> None:
    """With the command line of the plan the job reads, filters, writes and calls its hook."""
    name = job_module(QUICK_START)
    rows = [(1, "active"), (2, "gone"), (3, "active")]
    spark_session.createDataFrame(rows, "id long, status string").write.parquet(str(tmp_path / "in"))
    arguments = {"input_path": str(tmp_path / "in"), "output_path": str(tmp_path / "out")}
    told = run_job("--module_name", name, "--my_etl_job", json.dumps(arguments))
    assert (told.code, told.result["status"], told.result["output"]) == (0, "SUCCESS", {"records_written": 2})
    assert told.out.splitlines()[0] == "Success! Wrote 2 records"
    assert sorted(row.id for row in spark_session.read.parquet(str(tmp_path / "out")).collect()) == [1, 3]


def test_the_quick_start_tells_of_its_failure(
    spark_session: SparkSession, job_module: Callable[..., str], run_job: Callable[..., Told], tmp_path: Path
) -> None:
    """An input that is not there calls `on_failure` once, and the result names Spark's own error."""
    name = job_module(QUICK_START)
    arguments = {"input_path": str(tmp_path / "nowhere"), "output_path": str(tmp_path / "out")}
    told = run_job("--module_name", name, "--my_etl_job", json.dumps(arguments))
    assert (told.code, told.result["failure_type"]) == (1, "ERROR")
    assert told.result["error"]["type"].endswith("AnalysisException")
    assert "PATH_NOT_FOUND" in told.result["error"]["message"]
    assert told.out.count("Failed: MyETLJob failed: AnalysisException:") == 1
