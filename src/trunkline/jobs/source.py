"""The format `jobs`: rows become job runs, and runs are rows.

    spark.dataSource.register(JobsDataSource)
    df.write.format("jobs").mode("append").option("platform", "databricks").save()
    spark.read.format("jobs").option("platform", "databricks").option("states", "FAILED").load()

This module is what Spark loads in every Python process to learn a name: the rest is loaded where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource

from trunkline.loading import WithoutFrames, append_only, loaded

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

    from trunkline.jobs.reader import JobsBatchReader
    from trunkline.jobs.stream import JobsStreamReader
    from trunkline.jobs.writer import JobsBatchWriter, JobsStreamWriter


class JobsDataSource(DataSource):
    """`format("jobs")`."""

    @classmethod
    def name(cls) -> str:
        """The short name after `format`."""
        return "jobs"

    def schema(self) -> StructType:
        """Of runs: what there is to know about one, on every platform."""
        return loaded("jobs.reader").SCHEMA  # type: ignore[no-any-return]

    def reader(self, schema: StructType) -> JobsBatchReader:
        """For `spark.read` and `SELECT`."""
        with WithoutFrames():
            return loaded("jobs.reader").JobsBatchReader(self.options, schema)  # type: ignore[no-any-return]

    def streamReader(self, schema: StructType) -> JobsStreamReader:  # noqa: N802 - Spark's name
        """For `spark.readStream`."""
        with WithoutFrames():
            return loaded("jobs.stream").JobsStreamReader(self.options, schema)  # type: ignore[no-any-return]

    def writer(self, schema: StructType, overwrite: bool) -> JobsBatchWriter:
        """For `df.write` and `INSERT INTO`."""
        append_only("jobs: runs that are over cannot be overwritten", overwrite=overwrite)
        with WithoutFrames():
            return loaded("jobs.writer").JobsBatchWriter(self.options, schema)  # type: ignore[no-any-return]

    def streamWriter(self, schema: StructType, overwrite: bool) -> JobsStreamWriter:  # noqa: N802 - Spark's name
        """For `df.writeStream`."""
        append_only("jobs: runs that are over cannot be overwritten", overwrite=overwrite)
        with WithoutFrames():
            return loaded("jobs.writer").JobsStreamWriter(self.options, schema)  # type: ignore[no-any-return]
