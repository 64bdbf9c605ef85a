"""The contracts of readers in a real session: what cannot be seen without Spark.

    class TestMyReader(SparkReaderContract):
        ...                                     # as for ReaderContract, whose tests it holds too

    class TestMyStreamReader(SparkStreamReaderContract):
        ...                                     # as for StreamReaderContract

Wants pytest-spark, whose fixture `spark_session` gives the session.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.session import register_source
from trunkline.testing.owed import owed, owed_error
from trunkline.testing.reader_contract import ReaderContract
from trunkline.testing.reader_subject import Numbered, ReaderSubject, numbered
from trunkline.testing.spark_writer_contract import spark_errors
from trunkline.testing.stream_reader_contract import StreamReaderContract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Some pages, the last of them not full; of the rows that come later, half.
_ROWS = 25
_MORE = 12
# A query over so few rows ends within seconds, each of whose Python processes takes as long on a busy machine.
_STREAM_SECONDS = 120
# From 4.1 on; without it, Spark refuses readers that have `pushFilters`.
_PUSHDOWN = "spark.sql.python.filterPushdown.enabled"


class _SparkSubject(ReaderSubject):
    """What the contracts below share."""

    def register(self, spark: SparkSession) -> None:
        """Make the format known."""
        register_source(spark, self.source)

    def expect_frame(self, df: DataFrame, rows: Sequence[Numbered], why: str) -> None:
        """A DataFrame holds these rows, each once."""
        with owed("a query that succeeds", spark_errors()):
            found = df.toArrow().to_batches()
        self.expect(found, rows, why)


class SparkReaderContract(ReaderContract, _SparkSubject):
    """`ReaderContract`, and a handful of tests through `spark.read` and SQL.

    Attributes:
        infers: Whether the source has a schema of its own, so that users need not give one.
        key: A column of `row` that holds the row's number.
    """

    infers: bool = True
    key: str = "id"

    def test_spark_reads(self, spark_session: SparkSession) -> None:
        """`spark.read` gives every row once, each time the DataFrame is used."""
        self.serve(self.records(numbered(_ROWS)))
        df = self.frame(spark_session)
        for _ in range(2):
            self.expect_frame(df, numbered(_ROWS), "spark.read")

    def test_spark_reads_by_the_schema_of_the_source(self, spark_session: SparkSession) -> None:
        """Without a schema of the user's, the batches have that of the source."""
        if not self.infers:
            pytest.skip("this source has no schema of its own")
        self.serve(self.records(numbered(_ROWS)))
        self.register(spark_session)
        with owed("rows of exactly the schema that schema() gives", spark_errors()):
            df = spark_session.read.format(self.source.name()).options(**self.options()).load()
            found = sorted(row[self.key] for row in df.collect())
        assert found == list(range(_ROWS)), f"there are rows 0 to {_ROWS - 1}, and {found} were read"

    def test_spark_reads_from_sql(self, spark_session: SparkSession) -> None:
        """A temporary view USING the format gives every row once."""
        self.serve(self.records(numbered(_ROWS)))
        self.register(spark_session)
        options = ", ".join(f"`{name}` {_quoted(value)}" for name, value in self.options().items())
        columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in self.schema().fields)
        view = f"source_{uuid.uuid4().hex}"
        with owed("a view that can be read", spark_errors()):
            spark_session.sql(
                f"CREATE TEMPORARY VIEW {view} ({columns}) USING {self.source.name()} OPTIONS ({options})"
            )
        self.expect_frame(spark_session.table(view), numbered(_ROWS), "SELECT from a view")

    def test_spark_filters_a_frame_that_is_used_twice(self, spark_session: SparkSession) -> None:
        """A filter of one use of a DataFrame does not reach the others: with `pushFilters` it does, from 4.1 to 4.3."""
        self.serve(self.records(numbered(_ROWS)))
        before = spark_session.conf.get(_PUSHDOWN, None)
        spark_session.conf.set(_PUSHDOWN, "true")
        try:
            df = self.frame(spark_session)
            high = df.where(df[self.key] > _ROWS // 2)
            self.expect_frame(high, numbered(_ROWS)[_ROWS // 2 + 1 :], "the DataFrame was filtered")
            self.expect_frame(df, numbered(_ROWS), "the DataFrame was used again, without a filter")
            self.expect_frame(df.join(high, self.key, "left_semi"), numbered(_ROWS)[_ROWS // 2 + 1 :], "a self-join")
        finally:
            if before is None:
                spark_session.conf.unset(_PUSHDOWN)
            else:
                spark_session.conf.set(_PUSHDOWN, before)

    def test_spark_tells_of_a_failure(self, spark_session: SparkSession) -> None:
        """A read that fails raises, with no credential in the text."""
        self.serve(self.records(numbered(_ROWS)), [{"when": {"count": [2, None]}, "status": 500}])
        with owed_error("from spark.read when the server answers with 500", spark_errors()) as texts:
            self.frame(spark_session).collect()
        self.shown({"Spark's error, which holds the connector's traceback": texts[0]})

    def frame(self, spark: SparkSession) -> DataFrame:
        """The rows of the API, by the schema of `row`."""
        self.register(spark)
        return spark.read.format(self.source.name()).schema(self.schema()).options(**self.options()).load()


class SparkStreamReaderContract(StreamReaderContract, _SparkSubject):
    """`StreamReaderContract`, and two tests through `spark.readStream`."""

    def test_spark_streams_what_is_available(self, spark_session: SparkSession, tmp_path: Path) -> None:
        """AvailableNow gives every row once, ends, and goes on from its checkpoint when it is started again."""
        rows = numbered(_ROWS)
        self.serve(self.records(rows))
        self.stream_to(spark_session, tmp_path, len(rows))
        more = self.newly(range(_ROWS, _ROWS + _MORE))
        self.append(self.records(more))
        self.stream_to(spark_session, tmp_path, len(rows + more))
        self.stream(spark_session, tmp_path)
        found = spark_session.read.parquet(str(tmp_path / "rows"))
        self.expect_frame(found, rows + more, "the query ran to its end, and again when rows had been added")

    def test_spark_streams_on(self, spark_session: SparkSession, tmp_path: Path) -> None:
        """A query that goes on sees what is added, each row once."""
        rows = numbered(_ROWS)
        self.serve(self.records(rows))
        more: list[Numbered] = []
        name = f"seen_{uuid.uuid4().hex}"
        stream = self.frame(spark_session).writeStream.format("memory").queryName(name)
        with owed("a query that goes on", spark_errors()):
            query = stream.option("checkpointLocation", str(tmp_path)).start()
            try:
                for numbers in (range(_ROWS, _ROWS + _MORE), range(0)):
                    deadline = time.monotonic() + _STREAM_SECONDS
                    count = len(rows + more)
                    while spark_session.table(name).count() < count and time.monotonic() < deadline and query.isActive:
                        time.sleep(0.1)
                    more += self.newly(numbers)
                    self.append(self.records(more[: len(numbers)]))
                time.sleep(2 * self.interval)
                if query.exception() is not None:
                    raise query.exception()  # type: ignore[misc]
            finally:
                query.stop()
        self.expect_frame(spark_session.table(name), rows + more, "rows were added while the query ran")

    def frame(self, spark: SparkSession) -> DataFrame:
        """The rows of the API, as they come."""
        self.register(spark)
        return spark.readStream.format(self.source.name()).schema(self.schema()).options(**self.options()).load()

    def stream_to(self, spark: SparkSession, folder: Path, count: int) -> None:
        """Stream what is available, and once more, until so many rows have come."""
        import pyarrow.parquet as pq

        deadline = time.monotonic() + _STREAM_SECONDS
        found = -1
        while found < count and (found < 0 or time.monotonic() < deadline):
            self.stream(spark, folder)
            found = sum(pq.read_metadata(file).num_rows for file in (folder / "rows").glob("*.parquet"))

    def stream(self, spark: SparkSession, folder: Path) -> None:
        """Stream what is available into files, and wait for the end."""
        with owed("a query that ends", spark_errors()):
            query = (
                self.frame(spark)
                .writeStream.format("parquet")
                .option("checkpointLocation", str(folder / "checkpoint"))
                .option("path", str(folder / "rows"))
                .trigger(availableNow=True)
                .start()
            )
            if not query.awaitTermination(_STREAM_SECONDS):
                query.stop()
                pytest.fail(f"the query did not end within {_STREAM_SECONDS} s")


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
