"""The contract of a writer in a real session: what `WriterContract` cannot see because no Spark takes part in it.

    class TestMyWriter(SparkWriterContract):
        ...                                     # as for WriterContract, whose tests it holds too

Wants pytest-spark, whose fixture `spark_session` gives the session.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.session import register_source
from trunkline.testing.owed import owed, owed_error
from trunkline.testing.writer_contract import WriterContract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# A micro-batch of the tests ends within seconds, each of whose Python processes takes as long on a busy machine.
_STREAM_SECONDS = 120


class SparkWriterContract(WriterContract):
    """`WriterContract`, and a handful of tests through `df.write`, SQL and `df.writeStream`."""

    def test_spark_appends(self, spark_session: SparkSession) -> None:
        """`df.write` in append mode delivers every row."""
        with owed("a write that succeeds", spark_errors()):
            self.save(self.frame(spark_session, range(50)))
        self.expect(range(50), "df.write returned")

    def test_spark_tells_of_a_refusal(self, spark_session: SparkSession) -> None:
        """`df.write` raises when the target refuses, with no credential in the text."""
        self.refuse_all()
        with owed_error("from df.write when every row was refused", spark_errors()) as texts:
            self.save(self.frame(spark_session, range(10)))
        shown = [name for name in self.secrets if self.options()[name] in texts[0]]
        assert shown == [], "Spark's error holds the connector's traceback, which must show no credential"

    def test_spark_inserts(self, spark_session: SparkSession) -> None:
        """SQL's INSERT INTO, through a temporary view with the format's options, delivers every row."""
        self.register(spark_session)
        options = ", ".join(f"`{name}` {_quoted(value)}" for name, value in self.options().items())
        columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in self.schema().fields)
        view, rows = f"sink_{uuid.uuid4().hex}", f"rows_{uuid.uuid4().hex}"
        with owed("an INSERT that succeeds", spark_errors()):
            spark_session.sql(
                f"CREATE TEMPORARY VIEW {view} ({columns}) USING {self.source.name()} OPTIONS ({options})"
            )
            self.frame(spark_session, range(20)).createTempView(rows)
            spark_session.sql(f"INSERT INTO {view} SELECT * FROM {rows}")  # noqa: S608 - names made above
        self.expect(range(20), "INSERT INTO returned")

    def test_spark_streams(self, spark_session: SparkSession, tmp_path: Path) -> None:
        """A stream that takes what is available delivers every row."""
        self.need_stream()
        self.add_file(tmp_path, range(20))
        self.stream(spark_session, tmp_path)
        self.expect(range(20), "the query ended")

    def test_spark_restarts_a_stream(self, spark_session: SparkSession, tmp_path: Path) -> None:
        """A stream that is started again from its checkpoint delivers what has come since, and only that."""
        self.need_stream()
        for numbers in (range(20), range(20, 30)):
            self.add_file(tmp_path, numbers)
            self.stream(spark_session, tmp_path)
        self.expect(range(30), "the query ran twice from one checkpoint")

    def test_spark_ends_a_refused_stream(self, spark_session: SparkSession, tmp_path: Path) -> None:
        """A stream whose rows are refused ends with an error and does not go on to the next micro-batch."""
        self.need_stream()
        self.refuse_all()
        self.add_file(tmp_path, range(5))
        with owed_error("from the query: a micro-batch that is committed is never run again", spark_errors()):
            self.stream(spark_session, tmp_path)

    # What the tests share

    def register(self, spark: SparkSession) -> None:
        """Make the format known."""
        register_source(spark, self.source)

    def frame(self, spark: SparkSession, numbers: Sequence[int]) -> DataFrame:
        """The rows of these numbers, in two partitions."""
        self.register(spark)
        rows = [tuple(row.values()) for row in self.rows(numbers)]
        return spark.createDataFrame(rows, self.schema()).repartition(2)

    def save(self, df: DataFrame) -> None:
        """Append to the target."""
        df.write.format(self.source.name()).mode("append").options(**self.options()).save()

    def add_file(self, folder: Path, numbers: Sequence[int]) -> None:
        """Add a file to the folder that `stream` reads."""
        lines = "".join(json.dumps(row) + "\n" for row in self.rows(numbers))
        (folder / "in").mkdir(exist_ok=True)
        (folder / "in" / f"{uuid.uuid4().hex}.json").write_text(lines, encoding="utf-8")

    def stream(self, spark: SparkSession, folder: Path) -> None:
        """Stream what is new in the folder to the target, and wait for the end."""
        self.register(spark)
        query = (
            spark.readStream.schema(self.schema())
            .json(str(folder / "in"))
            .writeStream.format(self.source.name())
            .options(**self.options())
            .option("checkpointLocation", str(folder / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )
        if not query.awaitTermination(_STREAM_SECONDS):
            query.stop()
            pytest.fail(f"the query did not end within {_STREAM_SECONDS} s")


def spark_errors() -> tuple[type[Exception], ...]:
    """What Spark raises in the user's process."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    return (PySparkException, Py4JJavaError)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
