"""`spark.readStream.format("rest")`: what Spark calls on the driver, and the reading of a micro-batch.

The driver finds where a micro-batch ends and writes it down as an offset. A task then reads the rows between two
offsets (`follow`), and nothing else decides what they are: a restarted query reads the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType

from trunkline.polling import AvailableNow, Polling
from trunkline.rest.follow import source_of, spooled
from trunkline.rest.options import stream_options
from trunkline.rest.position import Offset
from trunkline.rest.reader import RestReader, in_short
from trunkline.rest.spool import Spool


class StreamPartition(InputPartition):
    """The rows between two offsets."""

    def __init__(self, start: Offset, end: Offset) -> None:
        super().__init__(None)
        self.start = start
        self.end = end


class RestStreamReader(RestReader, DataSourceStreamReader, AvailableNow):  # type: ignore[misc]
    """`spark.readStream.format("rest")`.

    Args:
        options: As Spark hands them over.
        schema: Of the rows.
    """

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(stream_options(options), schema)
        parsed = self._plan.options
        self._source = source_of(self._plan)
        self._polling = Polling(parsed["pollInterval"], parsed["maxRecordsPerTrigger"])

    def initialOffset(self) -> Offset:  # noqa: N802 - Spark's name
        """Where a new stream begins: the same however often it is asked."""
        return self._source.initial()

    def latestOffset(self, start: Offset | None = None, limit: Any = None) -> Offset:  # noqa: N802 - Spark's name
        """Where the next micro-batch ends; `start` when there is nothing new."""
        return self._polling.latest(start or self._polling.last or self.initialOffset(), limit, self._source.frontier)

    def getDefaultReadLimit(self) -> Any:  # noqa: N802 - Spark's name
        """`maxRecordsPerTrigger`, for Spark 4.2 and later."""
        return self._polling.read_limit()

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        """End at the first end of the API's rows that is reached, whatever comes after."""
        self._polling.end_at_next_end()

    def partitions(self, start: Offset, end: Offset) -> list[InputPartition]:
        """One task per micro-batch. Before Spark 4.2 this is also how a restarted stream learns where it stands."""
        self._polling.learn(end)
        return [StreamPartition(start, end)] if start != end else []

    def read(self, partition: StreamPartition) -> Iterator[pa.RecordBatch]:  # type: ignore[override]
        """The rows between two offsets."""
        spool = self._plan.options["incremental.spool"]
        if spool is None:
            return in_short(self._source.rows(partition.start, partition.end))
        return in_short(spooled(Spool(spool), self._source, partition.start, partition.end))

    def commit(self, end: Offset) -> None:
        """A batch is done: what the spool kept for replays and look-back before it may go."""
        spool = self._plan.options["incremental.spool"]
        if spool is not None:
            self._source.forget(Spool(spool), end)
