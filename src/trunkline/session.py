"""Finding a Spark session and making the formats known to it."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path
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
    from trunkline.carry import carried

    _warn_of_another_python(spark)
    remote = type(spark).__module__.startswith("pyspark.sql.connect")
    for source in sources():
        register_source(spark, carried(source) if remote else source)


def register_source(spark: SparkSession, source: type[DataSource]) -> None:
    """Register one data source, unless Spark has it: 4.0 refuses a name that it has found by itself (`pyspark_*`)."""
    try:
        spark.dataSource.register(source)
    except Exception as error:
        if "DATA_SOURCE_ALREADY_EXISTS" not in str(error):
            raise


def _warn_of_another_python(spark: SparkSession) -> None:
    """A local Spark runs `python3` from the path, which is often not the environment that the user works in."""
    context = getattr(spark, "_sc", None)
    if context is None or not str(context.master).startswith("local"):
        return
    workers = shutil.which(context.pythonExec)
    # Not the interpreters themselves: those of two virtual environments are links to the same file.
    if not workers or not Path(workers).parent.samefile(Path(sys.executable).parent):
        advice = "set os.environ['PYSPARK_PYTHON'] = sys.executable before the session starts"
        warnings.warn(
            f"Spark's workers run {workers or context.pythonExec}, not {sys.executable}: {advice}", stacklevel=4
        )
