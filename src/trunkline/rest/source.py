"""The format `rest`: rows to and from any REST API.

    spark.dataSource.register(RestDataSource)
    df.write.format("rest").mode("append").option("url", "https://api.example.com/users").save()

This module is what Spark loads in every Python process to learn a name: the engine is loaded where it is used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource

from trunkline.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from types import ModuleType

    from pyspark.sql.types import StructType

    from trunkline.rest.writer import RestBatchWriter, RestStreamWriter


class RestDataSource(DataSource):
    """`format("rest")`."""

    @classmethod
    def name(cls) -> str:
        """The short name after `format`."""
        return "rest"

    def schema(self) -> StructType:
        """For reading, which is to come."""
        raise OptionError("rest: reading is not in this release; df.write and df.writeStream are")

    def writer(self, schema: StructType, overwrite: bool) -> RestBatchWriter:
        """For `df.write` and `INSERT INTO`."""
        _refuse_overwrite(overwrite=overwrite)
        return _writers().RestBatchWriter(self.options, schema)  # type: ignore[no-any-return]

    def streamWriter(self, schema: StructType, overwrite: bool) -> RestStreamWriter:  # noqa: N802 - Spark's name
        """For `df.writeStream`."""
        _refuse_overwrite(overwrite=overwrite)
        return _writers().RestStreamWriter(self.options, schema)  # type: ignore[no-any-return]


def _refuse_overwrite(*, overwrite: bool) -> None:
    if overwrite:
        how = 'use .mode("append"), and outputMode append for a stream'
        raise OptionError(f"rest: what an API holds cannot be overwritten: {how}")


def _writers() -> ModuleType:
    try:
        from trunkline.rest import writer
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Spark's workers run {sys.executable}, which has no {error.name}: install trunkline's dependencies there "
            f"(`{sys.executable} -m pip install trunkline`), or name another interpreter in PYSPARK_PYTHON before the "
            "session starts"
        ) from None
    return writer
