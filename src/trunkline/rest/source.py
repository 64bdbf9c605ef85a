"""The format `rest`: rows to and from any REST API.

    spark.dataSource.register(RestDataSource)
    df = spark.read.format("rest").load("https://api.example.com/users")
    df.write.format("rest").mode("append").save("https://api.example.com/users")

This module is what Spark loads in every Python process to learn a name: the engine is loaded where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource

from trunkline.loading import WithoutFrames, append_only, loaded

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

    from trunkline.rest.reader import RestBatchReader
    from trunkline.rest.stream import RestStreamReader
    from trunkline.rest.writer import RestBatchWriter, RestStreamWriter


class RestDataSource(DataSource):
    """`format("rest")`."""

    @classmethod
    def name(cls) -> str:
        """The short name after `format`."""
        return "rest"

    def schema(self) -> StructType:
        """Of a sample of the API, where the user gives none."""
        with WithoutFrames():
            return loaded("rest.inference").inferred_schema(self.options)  # type: ignore[no-any-return]

    def reader(self, schema: StructType) -> RestBatchReader:
        """For `spark.read` and `SELECT`."""
        with WithoutFrames():
            return loaded("rest.reader").RestBatchReader(self.options, schema)  # type: ignore[no-any-return]

    def streamReader(self, schema: StructType) -> RestStreamReader:  # noqa: N802 - Spark's name
        """For `spark.readStream`."""
        with WithoutFrames():
            return loaded("rest.stream").RestStreamReader(self.options, schema)  # type: ignore[no-any-return]

    def writer(self, schema: StructType, overwrite: bool) -> RestBatchWriter:
        """For `df.write` and `INSERT INTO`."""
        append_only("rest: what an API holds cannot be overwritten", overwrite=overwrite)
        with WithoutFrames():
            return loaded("rest.writer").RestBatchWriter(self.options, schema)  # type: ignore[no-any-return]

    def streamWriter(self, schema: StructType, overwrite: bool) -> RestStreamWriter:  # noqa: N802 - Spark's name
        """For `df.writeStream`."""
        append_only("rest: what an API holds cannot be overwritten", overwrite=overwrite)
        with WithoutFrames():
            return loaded("rest.writer").RestStreamWriter(self.options, schema)  # type: ignore[no-any-return]
