"""Reading: what Spark calls, and nothing else. The work of a task is in `reading`, a stream's positions in `position`.

    RestReader                made on the driver: options are checked, credentials looked up
      RestBatchReader         spark.read, SELECT
      RestStreamReader        spark.readStream (in `stream`)

There is no `pushFilters`: with it, Spark 4.1 to 4.3 return wrong rows when a DataFrame is used twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSourceReader, InputPartition
from pyspark.sql.types import (
    BinaryType,
    DataType,
    DateType,
    DecimalType,
    IntegralType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from trunkline.errors import OptionError, TrunklineError
from trunkline.http.setup import check_files_and_doors
from trunkline.literals import warn_of_literals
from trunkline.options import Options
from trunkline.rest.options import read_options
from trunkline.rest.pages import Connection, Pages
from trunkline.rest.read_rules import partition_kind
from trunkline.rest.reading import ReadPlan, read_slices, requests_of, walk_of
from trunkline.rest.slices import Slice, grouped, plan_slices, tasks_of
from trunkline.values.spark_types import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

_SPLIT_TYPES: dict[object, tuple[type[DataType], ...]] = {
    "time": (TimestampType, TimestampNTZType, DateType),
    "id": (IntegralType, DecimalType),
}
_VALUE = {"text": StringType(), "binary": BinaryType()}


class RestPartition(InputPartition):
    """What one task reads; everything it needs is in here.

    Args:
        slices: Read one after the other.
        tasks: How many tasks the read has.
    """

    def __init__(self, slices: tuple[Slice, ...], tasks: int) -> None:
        super().__init__(None)
        self.slices = slices
        self.tasks = tasks


class RestReader:
    """All that batch and stream reading share.

    Args:
        options: Parsed.
        schema: What Spark wants: the user's own, or the one that was inferred.

    Raises:
        OptionError: Options, columns, certificates or doors are wrong; nothing has been asked.
    """

    def __init__(self, options: Options, schema: StructType) -> None:
        warn_of_literals(options)
        parsed = options.resolved()
        check_schema(schema, parsed)
        check_files_and_doors(parsed)
        self._plan = ReadPlan(parsed, arrow_schema(schema))


class RestBatchReader(RestReader, DataSourceReader):
    """`spark.read.format("rest")`."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(read_options(options), schema)

    def partitions(self) -> list[InputPartition]:
        """One per task. Asks the API for its first page where a split by pages needs the total."""
        options = self._plan.options
        slices = plan_slices(options, self._count_pages)
        groups = grouped(slices, tasks_of(options, slices))
        return [RestPartition(group, len(groups)) for group in groups]

    def read(self, partition: RestPartition) -> Iterator[pa.RecordBatch]:  # type: ignore[override]
        """The rows of a partition."""
        return in_short(read_slices(self._plan, partition.slices, partition.tasks))

    def _count_pages(self) -> tuple[int, int]:
        """How many records there are, and how many the first page holds."""
        options = self._plan.options
        walk = walk_of(options, Slice())
        with closing(Connection(options, 1)) as connection:
            page = next(iter(Pages(connection, walk, requests_of(options, Slice()))))
        if walk.total is None or page.envelope is None:
            raise OptionError(f"rest: page.totalField={options['page.totalField']} is not in the answer")
        return walk.total, page.envelope.count


def in_short(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches; what ends them is said without the way it came.

    Spark shows the traceback of a task three times over, around its own, and what to do stands in the last line of it.
    """
    try:
        yield from batches
    except TrunklineError as error:
        raise error.with_traceback(None) from None


def check_schema(schema: StructType, options: Options) -> None:
    """Refuse a schema that the format or the options cannot fill."""
    problems = []
    kind = options["format"]
    if kind in _VALUE and schema != StructType([StructField("value", _VALUE[kind])]):
        problems.append(f"format={kind} has one column: value {_VALUE[kind].simpleString().upper()}")
    corrupt = options["columnNameOfCorruptRecord"]
    if corrupt in schema.names:
        if schema[corrupt].dataType != StringType() or not schema[corrupt].nullable:
            problems.append(f"{corrupt} keeps the text of records that do not fit: make it a nullable STRING")
    elif options["mode"] == "PERMISSIVE":
        problems.append(
            f"mode=PERMISSIVE needs the column {corrupt} STRING in the schema, or what does not fit would vanish; "
            "add it, or use mode=FAILFAST or DROPMALFORMED"
        )
    split = options["partitionColumn"] in schema.names and partition_kind(options)
    if split in _SPLIT_TYPES and not isinstance(schema[options["partitionColumn"]].dataType, _SPLIT_TYPES[split]):
        wanted = "TIMESTAMP or DATE" if split == "time" else "whole number or DECIMAL"
        problems.append(f"partitionColumn={options['partitionColumn']} must be a {wanted} for partition.by={split}")
    for name in ("partitionColumn", "incremental.field"):
        column = options[name]
        if column is not None and column not in schema.names:
            problems.append(f"{name}={column} is no column of the schema ({', '.join(schema.names)})")
    if problems:
        raise OptionError("rest: the schema does not fit", problems)
