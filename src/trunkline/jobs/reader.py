"""Reading: runs are rows. The driver asks each platform for those that are wanted, and hands them to tasks.

JobsReader                made on the driver: options are checked, credentials looked up
  JobsBatchReader         spark.read, SELECT
  JobsStreamReader        spark.readStream (in `stream`)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, InputPartition
from pyspark.sql.types import IntegerType, StringType, StructField, StructType, TimestampType

from trunkline.errors import OptionError
from trunkline.jobs.options import filter_of, read_options, resolved_for
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
# Rows of one partition: a page or two of most platforms.
_ROWS = 1000


class RunsPartition(InputPartition):
    """Some runs, as they were when the read was planned."""

    def __init__(self, runs: list[Run]) -> None:
        super().__init__(None)
        self.runs = runs


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
        self._options = resolved_for(options, options["platform"])
        self._schema = arrow_schema(schema)
        for platform in self._options["platform"]:
            platform_of(platform)

    def read(self, partition: RunsPartition) -> Iterator[pa.RecordBatch]:
        """The rows of some runs."""
        runs = partition.runs
        if runs:
            columns = [pa.array([getattr(run, field.name) for run in runs], field.type) for field in self._schema]
            yield pa.RecordBatch.from_arrays(columns, schema=self._schema)


class JobsBatchReader(JobsReader, DataSourceReader):  # type: ignore[misc] # its own kind of partition
    """`spark.read.format("jobs")`."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(read_options(options), schema)

    def partitions(self) -> list[InputPartition]:
        """The runs, some in each. The driver asks for them: it is where runs are started, and has the credentials."""
        options, wanted = self._options, filter_of(self._options)
        found = (run for name in options["platform"] for run in platform_of(name).list_runs(wanted, options))
        planned: list[InputPartition] = []
        while some := list(itertools.islice(found, _ROWS)):
            planned.append(RunsPartition(some))
        return planned or [RunsPartition([])]


def _known(name: str) -> str:
    return f"{name} {SCHEMA[name].dataType.simpleString().upper()}" if name in SCHEMA.names else ", ".join(_NAMES)
