"""Reading: runs are rows. One task asks each platform for those that are wanted.

JobsReader                made on the driver: options are checked, credentials looked up
  JobsBatchReader         spark.read, SELECT
  JobsStreamReader        spark.readStream (in `stream`)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, InputPartition
from pyspark.sql.types import IntegerType, StringType, StructField, StructType, TimestampType

from trunkline.errors import OptionError
from trunkline.jobs.options import filter_of, read_options
from trunkline.jobs.platforms import platform_of
from trunkline.jobs.run import Run
from trunkline.literals import warn_of_literals
from trunkline.options import Options
from trunkline.values.spark_types import arrow_schema

_TYPES = {"started_at": TimestampType(), "ended_at": TimestampType(), "attempt": IntegerType()}
_NAMES = (
    "platform", "job", "run_id", "run_key", "state", "state_detail", "started_at", "ended_at", "attempt", "url",
    "error", "result",
)  # fmt: skip
SCHEMA = StructType([StructField(name, _TYPES.get(name, StringType())) for name in _NAMES])
# Rows of one batch: a page or two of most platforms.
_BATCH = 1000


class PlatformPartition(InputPartition):
    """The runs of one platform."""

    def __init__(self, platform: str) -> None:
        super().__init__(None)
        self.platform = platform


class JobsReader:
    """All that batch and stream reading share.

    Args:
        options: Parsed.
        schema: What Spark wants: all columns, or some of them.

    Raises:
        OptionError: Options or columns are wrong; nothing has been asked.
    """

    def __init__(self, options: Options, schema: StructType) -> None:
        warn_of_literals(options)
        problems = [
            f"column {field.name}: runs have {_known(field.name)}"
            for field in schema
            if field.name not in SCHEMA.names or field.dataType != SCHEMA[field.name].dataType
        ]
        if problems:
            raise OptionError("jobs: the schema does not fit; leave it out, or take some of the columns", problems)
        self._options = options.resolved()
        self._schema = arrow_schema(schema)
        for platform in self._options["platform"]:
            platform_of(platform)


class JobsBatchReader(JobsReader, DataSourceReader):
    """`spark.read.format("jobs")`."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(read_options(options), schema)

    def partitions(self) -> list[InputPartition]:
        """One for each platform."""
        return [PlatformPartition(platform) for platform in self._options["platform"]]

    def read(self, partition: PlatformPartition) -> Iterator[pa.RecordBatch]:  # type: ignore[override]
        """The runs of a platform that were asked for, newest first."""
        return batches(platform_of(partition.platform).list_runs(filter_of(self._options), self._options), self._schema)


def batches(runs: Iterable[Run], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Runs as record batches of some columns."""
    runs = iter(runs)
    while some := list(itertools.islice(runs, _BATCH)):
        columns = [pa.array([getattr(run, field.name) for run in some], field.type) for field in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _known(name: str) -> str:
    return f"{name} {SCHEMA[name].dataType.simpleString().upper()}" if name in SCHEMA.names else ", ".join(_NAMES)
