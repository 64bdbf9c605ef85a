"""The format `rest`: rows to and from any REST API.

    spark.dataSource.register(RestDataSource)
    df = spark.read.format("rest").load("https://api.example.com/users")
    df.write.format("rest").mode("append").save("https://api.example.com/users")

This module is what Spark loads in every Python process to learn a name: the engine is loaded where it is used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource

from trunkline.errors import MissingExtraError, OptionError, TrunklineError

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

    from pyspark.sql.types import StructType

    from trunkline.rest.reader import RestBatchReader
    from trunkline.rest.stream import RestStreamReader
    from trunkline.rest.writer import RestBatchWriter, RestStreamWriter


class RestDataSource(DataSource):
    """`format("rest")`."""

    @classmethod
    def name(cls) -> str:
        """The short name after `format`."""
        return "rest"

    def schema(self) -> StructType:
        """Of a sample of the API, where the user gives none."""
        with _WithoutFrames():
            return _loaded("inference").inferred_schema(self.options)  # type: ignore[no-any-return]

    def reader(self, schema: StructType) -> RestBatchReader:
        """For `spark.read` and `SELECT`."""
        with _WithoutFrames():
            return _loaded("reader").RestBatchReader(self.options, schema)  # type: ignore[no-any-return]

    def streamReader(self, schema: StructType) -> RestStreamReader:  # noqa: N802 - Spark's name
        """For `spark.readStream`."""
        with _WithoutFrames():
            return _loaded("stream").RestStreamReader(self.options, schema)  # type: ignore[no-any-return]

    def writer(self, schema: StructType, overwrite: bool) -> RestBatchWriter:
        """For `df.write` and `INSERT INTO`."""
        _refuse_overwrite(overwrite=overwrite)
        with _WithoutFrames():
            return _loaded("writer").RestBatchWriter(self.options, schema)  # type: ignore[no-any-return]

    def streamWriter(self, schema: StructType, overwrite: bool) -> RestStreamWriter:  # noqa: N802 - Spark's name
        """For `df.writeStream`."""
        _refuse_overwrite(overwrite=overwrite)
        with _WithoutFrames():
            return _loaded("writer").RestStreamWriter(self.options, schema)  # type: ignore[no-any-return]


def _refuse_overwrite(*, overwrite: bool) -> None:
    if overwrite:
        how = 'use .mode("append"), and outputMode append for a stream'
        raise OptionError(f"rest: what an API holds cannot be overwritten: {how}")


class _WithoutFrames:
    """Lets an error of ours out without the frames it went through.

    With `tracebackWithLocals`, Spark 4.3 prints the local variables of each of them: on the way from the options to
    the place that refuses them, they hold credentials in clear.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, TrunklineError):
            raise error.with_traceback(None) from None


def _loaded(module: str) -> ModuleType:
    try:
        return importlib.import_module(f"trunkline.rest.{module}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Spark's workers run {sys.executable}, which has no {error.name}: install trunkline's dependencies there "
            f"(`{sys.executable} -m pip install trunkline`), or name another interpreter in PYSPARK_PYTHON before the "
            "session starts"
        ) from None
