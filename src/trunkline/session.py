"""Finding a Spark session and making the formats known to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.datasource import DataSource


def sources() -> tuple[type[DataSource], ...]:
    """Every format of Trunkline."""
    from trunkline.rest.source import RestDataSource

    return (RestDataSource,)


def register_sources(spark: SparkSession) -> None:
    """Register every format with a session; see `trunkline.register`."""
    for source in sources():
        try:
            spark.dataSource.register(source)
        except Exception as error:
            # Spark 4.0 refuses a name that it has found by itself (the pyspark_trunkline_* modules): it is there then.
            if "DATA_SOURCE_ALREADY_EXISTS" not in str(error):
                raise
