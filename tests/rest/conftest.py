"""What the tests of `rest` share: a session that knows it, and how to read what a server and a log hold."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType
from tests.measures import most_in_a_second

from trunkline.rest.ddl import parse_ddl
from trunkline.rest.reader import RestBatchReader
from trunkline.testing import FaultServer

Write = Callable[..., None]


@pytest.fixture
def write(fault_server: FaultServer) -> Write:
    """Write a DataFrame to a path of the fault server."""

    def write_to(df: DataFrame, path: str = "/rows", **options: object) -> None:
        given = {name.replace("__", "."): str(value) for name, value in options.items()}
        df.write.format("rest").mode("append").options(**{"url": fault_server.url_for(path), **given}).save()

    return write_to


def numbered(spark: SparkSession, count: int, partitions: int = 2) -> DataFrame:
    """`id` 0 to count - 1 and a name."""
    return spark.range(0, count, 1, partitions).selectExpr("id", "concat('n', id) AS name")


def rows_of(server: FaultServer, path: str = "/rows") -> list[Any]:
    """Every row the server kept, in order of id."""
    return sorted(server.stored(path), key=lambda row: row["id"])


def most_within_a_second(server: FaultServer) -> int:
    """The most requests that came within any second."""
    return most_in_a_second(sent.at for sent in server.ledger())


def logged(spark: SparkSession, folder: Path) -> list[dict[str, Any]]:
    """The records of a response log, as dicts."""
    return [row.asDict(recursive=True) for row in spark.read.parquet(str(folder)).collect()]


def summaries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "_summary").iterdir())]


@pytest.fixture
def read(spark: SparkSession, fault_server: FaultServer) -> Callable[..., DataFrame]:
    """Read a path of the fault server."""

    def read_from(path: str = "/items", schema: str | None = None, **options: object) -> DataFrame:
        given = {name.replace("__", "."): str(value) for name, value in options.items()}
        reader = spark.read.format("rest").options(**given)
        return (reader if schema is None else reader.schema(schema)).load(fault_server.url_for(path))

    return read_from


def read_parts(url: str, schema: StructType | str, **options: object) -> list[list[dict[str, Any]]]:
    """The rows of each partition of a read in this process, or its error."""
    given = {name.replace("__", "."): str(value) for name, value in options.items()}
    kind = parse_ddl(schema) if isinstance(schema, str) else schema
    assert isinstance(kind, StructType)
    reader: RestBatchReader = pickle.loads(pickle.dumps(RestBatchReader({"url": url, **given}, kind)))
    parts: list[Any] = pickle.loads(pickle.dumps(reader.partitions()))
    return [[row for batch in reader.read(part) for row in batch.to_pylist()] for part in parts]


def read_here(url: str, schema: StructType | str, **options: object) -> list[dict[str, Any]]:
    """The rows of a read in this process, or its error: Spark would start four tasks to be sure of one."""
    return [row for part in read_parts(url, schema, **options) for row in part]


def ids(df: DataFrame) -> list[int]:
    """The column `id`, in order."""
    return sorted(row["id"] for row in df.select("id").collect())
