"""A small reader that keeps the contract, and copies of it that each break one clause, to prove that it is noticed.

It reads `GET /rows` of the fault server: ten rows in a page, with the address of the next one and the total.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

# What a flaw must not forget between two calls in one process.
MEMORY: dict[Any, Any] = {}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


class Client:
    """Asks for pages: waits and tries again where it should, and goes to no other host."""

    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        self.url = options["url"]
        self.token = options["api.token"]
        self.names = list(schema.names)

    def page(self, url: str) -> dict[str, Any]:
        for _ in range(3):
            try:
                return self.opened(self.ask(url))
            except HTTPError as error:
                with error:
                    if error.code not in {429, 503}:
                        raise self.failure(error) from None
                    self.wait(float(error.headers.get("Retry-After") or 0))
        raise ValueError("the server is not well")

    def ask(self, url: str) -> bytes:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.build_opener(NoRedirect).open(request, timeout=60) as answer:
            return bytes(answer.read())

    def opened(self, body: bytes) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(body)
        found["items"]
        return found

    def failure(self, error: HTTPError) -> Exception:
        return ValueError(f"status {error.code}")

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def following(self, page: dict[str, Any]) -> str | None:
        link: str | None = page["next"]
        if link and urlsplit(link).netloc != urlsplit(self.url).netloc:
            raise ValueError("the next page is on another host")
        return link

    def row(self, item: dict[str, Any]) -> Any:
        values = {**item, "at": datetime.fromisoformat(item["at"])}
        return tuple(values.get(name) for name in self.names)


class Reader(Client, DataSourceReader):
    """Two tasks, each with its half of the rows."""

    def partitions(self) -> list[InputPartition]:
        total = self.page(f"{self.url}?limit=10")["total"]
        middle = total // 2
        return [InputPartition((0, middle)), InputPartition((middle, total))] if total else []

    def read(self, partition: InputPartition) -> Iterator[Any]:
        if getattr(partition, "value", None) is None:  # up to Spark 4.1 the partition itself is None
            return
        place, end = partition.value
        url: str | None = f"{self.url}?offset={place}&limit=10"
        while place < end:
            if url is None:
                raise ValueError("the pages ended early")
            page = self.page(url)
            for item in page["items"][: end - place]:
                yield self.row(item)
            place += len(page["items"])
            url = self.following(page)


class Toy(DataSource):
    """`batch` and `stream` say which readers; a flawed copy names others."""

    batch: type[Any] = Reader
    stream: Any = None

    @classmethod
    def name(cls) -> str:
        return "toy_pages"

    def schema(self) -> str:
        return "id LONG, name STRING, at TIMESTAMP, amount DOUBLE"

    def reader(self, schema: StructType) -> Any:
        return self.batch(self.options, schema)

    def streamReader(self, schema: StructType) -> Any:
        return self.stream(self.options, schema)


def flawed(flaw: type[Any]) -> type[Toy]:
    """The toy with this reader."""
    part = "batch" if issubclass(flaw, DataSourceReader) else "stream"
    return type("FlawedToy", (Toy,), {part: flaw})


class NamedByProperty(Toy):
    @property
    def name(self) -> str:  # type: ignore[override]
        return "toy_pages"


class OtherParameterNames(Toy):
    def reader(self, wanted: StructType) -> Any:
        return self.batch(self.options, wanted)

    def streamReader(self, wanted: StructType) -> Any:
        return self.stream(self.options, wanted)


class KnowsCamelCase(Toy):
    def reader(self, schema: StructType) -> Any:
        return self.batch({"url": dict(self.options)["baseUrl"], **self.options}, schema)

    def streamReader(self, schema: StructType) -> Any:
        return self.stream({"url": dict(self.options)["baseUrl"], **self.options}, schema)


class CannotBePickled(Reader):
    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        self.lock = threading.Lock()


class PushesFilters(Reader):
    """Keeps what it can, as the example of Spark's documentation does."""

    floor = -1

    def pushFilters(self, filters: list[Any]) -> Any:
        for one in filters:
            if type(one).__name__ == "GreaterThan" and one.attribute == ("id",):
                self.floor = one.value
            else:
                yield one

    def read(self, partition: InputPartition) -> Iterator[Any]:
        return (row for row in super().read(partition) if row[self.names.index("id")] > self.floor)


class PartitionsAreGenerated(Reader):
    def partitions(self) -> Any:
        return (part for part in super().partitions())


class PartitionsAreTuples(Reader):
    def partitions(self) -> Any:
        return [part.value for part in super().partitions()]


class RemembersWhatItPlanned(Reader):
    """State that `partitions` leaves in the reader never reaches a task."""

    total = 0

    def partitions(self) -> list[InputPartition]:
        self.total = self.page(f"{self.url}?limit=10")["total"]
        return [InputPartition(None)]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        return super().read(InputPartition((0, self.total)))


class GivesAList(Reader):
    def read(self, partition: InputPartition) -> Any:
        return list(super().read(partition))


class GivesDicts(Reader):
    def row(self, item: dict[str, Any]) -> Any:
        return {name: item.get(name) for name in self.names}


class GivesTexts(Reader):
    """Every value as text, whatever the schema says, as a reader on top of CSV or a JSON library does."""

    def row(self, item: dict[str, Any]) -> Any:
        return tuple(None if item.get(name) is None else str(item[name]) for name in self.names)


class OverlapsByOne(Reader):
    def partitions(self) -> list[InputPartition]:
        return [InputPartition((max(0, part.value[0] - 1), part.value[1])) for part in super().partitions()]


class StopsAtAShortPage(Reader):
    """And its pages are short, because its tasks begin in the middle of one."""

    def read(self, partition: InputPartition) -> Iterator[Any]:
        place, end = partition.value
        while place + 10 <= end:
            for item in self.page(f"{self.url}?offset={place}&limit=10")["items"]:
                yield self.row(item)
            place += 10


class InArrow(Reader):
    """The same rows as record batches; what `arrow` makes of them is where these readers differ."""

    def read(self, partition: InputPartition) -> Iterator[Any]:
        for row in super().read(partition):
            yield self.arrow(dict(zip(self.names, row, strict=True)))

    def kinds(self) -> dict[str, pa.DataType]:
        return {"id": pa.int64(), "name": pa.string(), "at": pa.timestamp("us", "UTC"), "amount": pa.float64()}

    def arrow(self, row: dict[str, Any]) -> pa.RecordBatch:
        kinds = self.kinds()
        return pa.RecordBatch.from_pylist([row], pa.schema([(name, kinds[name]) for name in self.names]))


class HasTimesWithoutAZone(InArrow):
    def kinds(self) -> dict[str, pa.DataType]:
        return {**super().kinds(), "at": pa.timestamp("us")}

    def row(self, item: dict[str, Any]) -> Any:
        return tuple(
            value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in super().row(item)
        )


class HasLargeStrings(InArrow):
    def kinds(self) -> dict[str, pa.DataType]:
        return {**super().kinds(), "name": pa.large_string()}


class HasColumnsInItsOwnOrder(InArrow):
    """Spark 4.0 and 4.1 swap columns of one type in silence."""

    def arrow(self, row: dict[str, Any]) -> pa.RecordBatch:
        names = sorted(self.names)
        return pa.RecordBatch.from_pylist([row], pa.schema([(name, self.kinds()[name]) for name in names]))


class SaysNeverNull(InArrow):
    def arrow(self, row: dict[str, Any]) -> pa.RecordBatch:
        made = super().arrow(row)
        return pa.RecordBatch.from_arrays(made.columns, schema=pa.schema([f.with_nullable(False) for f in made.schema]))


class LeavesNullsWhereThereMustBeNone(InArrow):
    def arrow(self, row: dict[str, Any]) -> pa.RecordBatch:
        made = super().arrow(row)
        name = made.schema.get_field_index("name")
        return pa.RecordBatch.from_arrays(
            made.columns, schema=made.schema.set(name, made.schema.field(name).with_nullable(False))
        )


class GivesAllColumns(Reader):
    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        self.names = ["id", "name", "at", "amount"]


class PutsValuesByPosition(Reader):
    """Right as long as nobody asks for other columns than the first, in their order."""

    def row(self, item: dict[str, Any]) -> Any:
        full = {"id": 0, "name": None, "at": None, "amount": None, **item}
        return tuple(full.values())[: len(self.names)]


class ReadsAPartitionOnce(Reader):
    """What a task has done is remembered in its process, and left out when it is repeated there."""

    def read(self, partition: InputPartition) -> Iterator[Any]:
        done = MEMORY.setdefault(self.url, set())
        if partition.value not in done:
            done.add(partition.value)
            yield from super().read(partition)


class NeedsARow(Reader):
    def partitions(self) -> list[InputPartition]:
        return super().partitions() or [InputPartition((0, 10))]


class NeedsAPartition(Reader):
    def read(self, partition: InputPartition) -> Iterator[Any]:
        first, last = partition.value
        return super().read(InputPartition((first, last)))


class TrustsThePageSize(Reader):
    def read(self, partition: InputPartition) -> Iterator[Any]:
        place, end = partition.value
        for start in range(place, end, 10):
            for item in self.page(f"{self.url}?offset={start}&limit={min(10, end - start)}")["items"]:
                yield self.row(item)


class TurnsErrorsIntoNothing(Reader):
    """`except: return []`: a 500 is an empty API."""

    def page(self, url: str) -> dict[str, Any]:
        try:
            return super().page(url)
        except Exception:  # noqa: BLE001 - the flaw this toy has
            return {"items": [], "next": None, "total": 0}

    def read(self, partition: InputPartition) -> Iterator[Any]:
        try:
            yield from super().read(partition)
        except ValueError:
            return


class StopsAtErrors(Reader):
    """Whatever ends a task early is logged."""

    def read(self, partition: InputPartition) -> Iterator[Any]:
        try:
            yield from super().read(partition)
        except Exception:
            logging.getLogger("toy").exception("stopped")


class SkipsBusyPages(Reader):
    def wait(self, seconds: float) -> None:
        raise BusyError

    def read(self, partition: InputPartition) -> Iterator[Any]:
        try:
            yield from super().read(partition)
        except BusyError:
            return

    def partitions(self) -> list[InputPartition]:
        try:
            return super().partitions()
        except BusyError:
            return []


class BusyError(Exception):
    pass


class DoesNotWait(Reader):
    def wait(self, seconds: float) -> None:
        pass


class ReadsAllFirst(Reader):
    def read(self, partition: InputPartition) -> Iterator[Any]:
        return iter(list(super().read(partition)))


class GoesOnInTheBackground(Reader):
    """A thread that reads ahead without a bound, and that nobody ends."""

    def read(self, partition: InputPartition) -> Iterator[Any]:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.extend(super(GoesOnInTheBackground, self).read(partition)))
        thread.start()
        yield next(super().read(partition))
        thread.join()
        yield from found[1:]


class IgnoresTheEnd(Reader):
    def read(self, partition: InputPartition) -> Iterator[Any]:
        rows = list(super().read(partition))
        for row in rows:
            try:
                yield row
            except BaseException:  # noqa: BLE001 - the flaw this toy has
                continue


class LeavesThreads(Reader):
    def read(self, partition: InputPartition) -> Iterator[Any]:
        forever = threading.Event()
        threading.Thread(target=forever.wait, daemon=True).start()
        yield from super().read(partition)
        forever.set()


class LeavesConnections(Reader):
    def read(self, partition: InputPartition) -> Iterator[Any]:
        where = urlsplit(self.url)
        connection = socket.create_connection((where.hostname, where.port or 80))
        MEMORY.setdefault("connections", []).append(connection)
        yield from super().read(partition)
        connection.close()


class TrustsEveryLink(Reader):
    def following(self, page: dict[str, Any]) -> str | None:
        link: str | None = page["next"]
        return link


class TrustsEveryRedirect(Reader):
    """As Python's own client does, which takes the credential along."""

    def ask(self, url: str) -> bytes:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())


class TellsTheAnswer(Reader):
    def failure(self, error: HTTPError) -> Exception:
        return ValueError(f"status {error.code}: {error.read().decode()}")


class PrintsTheToken(Reader):
    def read(self, partition: InputPartition) -> Iterator[Any]:
        print("reading with", self.token)
        return super().read(partition)


class LogsTheToken(Reader):
    def read(self, partition: InputPartition) -> Iterator[Any]:
        logging.getLogger("toy").debug("reading with %s", self.token)
        return super().read(partition)


class ShowsTheToken(Reader):
    def __repr__(self) -> str:
        return f"Reader({self.token})"


class TellsTheUrl(Reader):
    def failure(self, error: HTTPError) -> Exception:
        return ValueError(f"status {error.code} for {self.url}?key={self.token}")


class AsksOnce(Reader):
    def partitions(self) -> list[InputPartition]:
        return [InputPartition(None)]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        return (self.row(item) for item in json.loads(self.ask(self.url)))


class SaysIntAndGivesLong(Toy):
    batch = InArrow

    def schema(self) -> str:
        return "id INT, name STRING, at TIMESTAMP, amount DOUBLE"
