"""What the job needs, put together; the module that every platform starts.

python -m trunkline.jobs --module_name=etl_job_factory --etl_job='{"input_path": "...", "output_path": "..."}'
"""

from __future__ import annotations

from typing import Any

from etl_job import EtlJob
from pyspark.sql import DataFrame, SparkSession

from trunkline.jobs import AbstractJobFactory, LogNotification

SCHEMA = "id LONG, customer STRING, country STRING, status STRING, amount DECIMAL(10, 2)"


class CsvReader:
    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark

    def read(self, path: str) -> DataFrame:
        return self.spark.read.csv(path, schema=SCHEMA, header=True, mode="FAILFAST")


class PartitionedWriter:
    def write(self, rows: DataFrame, path: str, partition_by: str) -> None:
        # The whole of the path is replaced, so that a batch which is done again leaves nothing behind.
        rows.write.mode("overwrite").partitionBy(partition_by).parquet(path)


class EtlJobFactory(AbstractJobFactory):
    def create_job(self, **kwargs: Any) -> EtlJob:
        spark = self._get_spark_session(**kwargs)
        return EtlJob(CsvReader(spark), PartitionedWriter(), LogNotification())


def main(**kwargs: Any) -> Any:
    return EtlJobFactory().run(**kwargs)
