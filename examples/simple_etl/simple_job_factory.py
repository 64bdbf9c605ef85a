"""What the job needs, put together: the only place that knows where it runs.

python -m trunkline.jobs --module_name=simple_job_factory --simple_job='{"input_path": "...", "output_path": "..."}'
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, SparkSession
from simple_job import SimpleJob

from trunkline.jobs import AbstractJobFactory, LogNotification, WebhookNotification


class CsvReader:
    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark

    def read(self, path: str) -> DataFrame:
        schema = "id LONG, customer STRING, status STRING, amount DECIMAL(10, 2)"
        return self.spark.read.csv(path, schema=schema, header=True, mode="FAILFAST")


class ParquetWriter:
    def write(self, rows: DataFrame, path: str) -> None:
        rows.write.mode("overwrite").parquet(path)


class SimpleJobFactory(AbstractJobFactory):
    def create_job(self, webhook_url: str | None = None, **kwargs: Any) -> SimpleJob:
        spark = self._get_spark_session(**kwargs)
        told = WebhookNotification(webhook_url) if webhook_url else LogNotification()
        return SimpleJob(CsvReader(spark), ParquetWriter(), told)


def main(**kwargs: Any) -> Any:
    return SimpleJobFactory().run(**kwargs)
