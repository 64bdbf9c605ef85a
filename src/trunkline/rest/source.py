"""The format `rest`: rows to and from any REST API.

spark.dataSource.register(RestDataSource)
df.write.format("rest").mode("append").option("url", "https://api.example.com/users").save()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource

from trunkline.errors import OptionError
from trunkline.rest.writer import RestBatchWriter, RestStreamWriter

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


class RestDataSource(DataSource):
    """`format("rest")`."""

    @classmethod
    def name(cls) -> str:
        """The short name after `format`."""
        return "rest"

    def writer(self, schema: StructType, overwrite: bool) -> RestBatchWriter:
        """For `df.write` and `INSERT INTO`."""
        _refuse_overwrite(overwrite=overwrite)
        return RestBatchWriter(self.options, schema)

    def streamWriter(self, schema: StructType, overwrite: bool) -> RestStreamWriter:  # noqa: N802 - Spark's signature
        """For `df.writeStream`."""
        _refuse_overwrite(overwrite=overwrite)
        return RestStreamWriter(self.options, schema)


def _refuse_overwrite(*, overwrite: bool) -> None:
    if overwrite:
        how = 'use .mode("append"), and outputMode append for a stream'
        raise OptionError(f"rest: what an API holds cannot be overwritten: {how}")
