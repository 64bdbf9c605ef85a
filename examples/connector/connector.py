"""A small connector of one's own: the rows of an API as a DataFrame, and rows sent to it.

    spark.dataSource.register(ShopDataSource)
    said = {"url": "https://shop.example.com/orders", "api.token": "..."}
    orders = spark.read.format("shop").options(**said).load()
    orders.write.format("shop").mode("append").options(**said | {"url": "https://shop.example.com/copies"}).save()

    GET /orders                {"items": [{"id": 1, "name": "Ann"}], "next": "https://shop.example.com/orders?page=2"}
    GET /orders?page=2         {"items": [{"id": 2, "name": "Bob"}], "next": null}
    POST /copies               [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]

`test_connector.py` beside it holds it to what every connector owes to Spark.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pyarrow as pa
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    DataSourceStreamWriter,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.types import DataType, StructType, TimestampType

_TRIES, _TIMEOUT = 5, 60


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The credential goes to the host that the user named, and to no other."""

    def redirect_request(self, *args: Any) -> None:
        return None


class Api:
    """Sends requests: waits and tries again where the server asks for it."""

    def __init__(self, options: dict[str, str]) -> None:
        self.url = options["url"]
        self.token = options["api.token"]

    def send(self, url: str, rows: list[Any] | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = None if rows is None else json.dumps(rows, default=str).encode()
        for left in reversed(range(_TRIES)):
            try:
                request = urllib.request.Request(url, body, headers)
                with urllib.request.build_opener(NoRedirect).open(request, timeout=_TIMEOUT) as answer:
                    return bytes(answer.read())
            except HTTPError as error:
                with error:
                    if error.code not in {429, 503} or not left:
                        raise
                    time.sleep(float(error.headers.get("Retry-After") or 1))
        raise AssertionError("the last try returns or raises")


class ShopReader(DataSourceReader):
    """One task that follows the pages; each must hold `items`, and the last one says `next: null`."""

    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        self.api = Api(options)
        self.schema = schema

    def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
        url = self.api.url
        while url:
            page = json.loads(self.api.send(url))
            items, url = page["items"], page["next"]
            if url and urlsplit(url)[:2] != urlsplit(self.api.url)[:2]:
                raise ValueError("the next page is on another host")
            for item in items:
                yield tuple(value_of(item.get(field.name), field.dataType) for field in self.schema)


@dataclass
class Told(WriterCommitMessage):
    """What a task tells the commit."""

    refused: int


class ShopWriter:
    """What batch and stream share. A refusal travels in the message: raised here, Spark would send all rows again."""

    def __init__(self, options: dict[str, str]) -> None:
        self.api = Api(options)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        refused = 0
        for rows in (batch.to_pylist() for batch in iterator):
            try:
                if rows:
                    self.api.send(self.api.url, rows)
            except HTTPError as error:
                if error.code != 422:
                    raise
                refused += len(rows)
        return Told(refused)

    def finish(self, messages: list[Any]) -> None:
        refused = sum(message.refused for message in messages)
        if refused:
            raise ValueError(f"the shop refused {refused} rows")


class ShopBatchWriter(ShopWriter, DataSourceArrowWriter):
    def commit(self, messages: list[Any]) -> None:
        self.finish(messages)


class ShopStreamWriter(ShopWriter, DataSourceStreamWriter, DataSourceArrowWriter):
    def commit(self, messages: list[Any], batchId: int) -> None:  # noqa: N803 - Spark's name
        self.finish(messages)

    def abort(self, messages: list[Any], batchId: int) -> None:  # noqa: N803 - Spark's name
        pass


class ShopDataSource(DataSource):
    @classmethod
    def name(cls) -> str:
        return "shop"

    def schema(self) -> str:
        return "id LONG, name STRING, at TIMESTAMP, amount DOUBLE"

    def reader(self, schema: StructType) -> ShopReader:
        return ShopReader(self.options, schema)

    def writer(self, schema: StructType, overwrite: bool) -> ShopBatchWriter:
        if overwrite:
            raise ValueError("shop only appends: give mode('append')")
        return ShopBatchWriter(self.options)

    def streamWriter(self, schema: StructType, overwrite: bool) -> ShopStreamWriter:  # noqa: N802 - Spark's name
        return ShopStreamWriter(self.options)


def value_of(value: Any, kind: DataType) -> Any:
    """A value as Spark wants it: JSON has times as text."""
    if value and isinstance(kind, TimestampType):
        return datetime.fromisoformat(value.replace("Z", "+00:00"))  # Python 3.10 takes no Z
    return value
