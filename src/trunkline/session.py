"""Finding a Spark session and making the formats known to it."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trunkline.errors import MissingExtraError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.datasource import DataSource
    from pyspark.sql.udtf import UserDefinedTableFunction


def sources() -> tuple[type[DataSource], ...]:
    """Every format of Trunkline."""
    from trunkline.jobs.source import JobsDataSource
    from trunkline.rest.source import RestDataSource

    return (RestDataSource, JobsDataSource)


def register_sources(spark: SparkSession) -> None:
    """Register every format with a session; see `trunkline.register`."""
    from trunkline.carry import carried

    _warn_of_another_python(spark)
    remote = type(spark).__module__.startswith("pyspark.sql.connect")
    for source in sources():
        register_source(spark, carried(source) if remote else source)
    register_function(spark, remote=remote)


def register_function(spark: SparkSession, *, remote: bool) -> None:
    """Make the table function `rest_request` known to a session."""
    from pyspark.sql.functions import udtf

    from trunkline.carry import carried_table_function
    from trunkline.rest.sql import NAME, RestRequest

    handler = carried_table_function(RestRequest) if remote else RestRequest
    # Over Arrow, Spark would make a batch of every single row.
    spark.udtf.register(NAME, cast("UserDefinedTableFunction", udtf(handler, useArrow=False)))


def register_source(spark: SparkSession, source: type[DataSource]) -> None:
    """Register one data source, unless Spark has it: 4.0 refuses a name that it has found by itself (`pyspark_*`)."""
    try:
        spark.dataSource.register(source)
    except Exception as error:
        if "DATA_SOURCE_ALREADY_EXISTS" not in str(error):
            raise


def get_spark(app_name: str | None = None, config: Mapping[str, str] | None = None) -> SparkSession:
    """The Spark of this place: the session that is active, else one made as the place says.

        spark = get_spark(config={"spark.sql.shuffle.partitions": "8"})

    It never sets a master, because what code sets outranks spark-submit: that comes from spark-submit, Databricks, Glue
    or EMR, from `spark-defaults.conf` or `PYSPARK_SUBMIT_ARGS`; where nothing names one, Spark itself takes
    `local[*]`. `SPARK_REMOTE` makes it a Connect session. Works from pyspark 3.5 on.

    Args:
        app_name: Of a session that is made now; without, spark-submit's `--name` stands.
        config: More of its configuration; on a session that is there, what Spark lets change.

    Raises:
        MissingExtraError: There is no Spark here.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        advice = "run it with spark-submit or on a cluster, or pip install 'trunkline[spark]'"
        raise MissingExtraError(f"there is no Spark here: {advice}") from None
    active = SparkSession.getActiveSession()
    if active is not None and not config:
        return active
    builder = SparkSession.builder
    if app_name is not None and active is None:
        builder = builder.appName(app_name)
    for name, value in (config or {}).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


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
