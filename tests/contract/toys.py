"""A small writer that keeps the contract, and copies of it that each break one clause, to prove that it is noticed.

It writes each row as a line of JSON into files of a folder. A file named `refuse` there makes it refuse all rows.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark import TaskContext
from pyspark.sql import Row
from pyspark.sql.datasource import DataSource, DataSourceStreamWriter, DataSourceWriter, WriterCommitMessage
from pyspark.sql.types import StructType


@dataclass
class Message(WriterCommitMessage):
    """How many rows were refused."""

    refused: int
    extra: Any = None


class Writer:
    """Keeps the contract, and leaves each row once: a file has the name of its partition, so it is written over."""

    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        self.folder = Path(options["folder"])
        self.dead = options.get("deadletters")
        self.token = options["api.token"]
        self.run = uuid.uuid4().hex

    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        lines = [json.dumps(row.asDict()) + "\n" for row in iterator]
        return Message(self.put(lines))

    def put(self, lines: list[str]) -> int:
        name = self.name()
        refusing = (self.folder / "refuse").exists()
        if refusing and not self.dead:
            return len(lines)
        folder = self.folder / ("dead" if refusing else "rows")
        folder.mkdir(exist_ok=True)
        hidden = folder / f".{uuid.uuid4().hex}"
        hidden.write_text("".join(lines))
        hidden.replace(folder / name)
        return 0

    def name(self) -> str:
        context = TaskContext.get()
        assert context is not None
        query, batch = (context.getLocalProperty(key) for key in ("sql.streaming.queryId", "streaming.sql.batchId"))
        return f"{query or self.run}-{batch}-{context.partitionId()}"

    def finish(self, messages: list[Any]) -> None:
        refused = sum(message.refused for message in messages)
        if refused:
            raise ValueError(f"{refused} rows were refused")


class BatchWriter(Writer, DataSourceWriter):
    def commit(self, messages: list[Any]) -> None:
        self.finish(messages)


class StreamWriter(Writer, DataSourceStreamWriter):
    def commit(self, messages: list[Any], batchId: int) -> None:
        self.finish(messages)

    def abort(self, messages: list[Any], batchId: int) -> None:
        pass


class Toy(DataSource):
    """`batch` and `stream` say which writers; a flawed copy names others."""

    batch: type[Any] = BatchWriter
    stream: type[Any] = StreamWriter

    @classmethod
    def name(cls) -> str:
        return "toy_folder"

    def writer(self, schema: StructType, overwrite: bool) -> Any:
        if overwrite:
            raise ValueError("this toy only appends")
        return self.batch(self.options, schema)

    def streamWriter(self, schema: StructType, overwrite: bool) -> Any:
        return self.stream(self.options, schema)


class Flaw(Writer):
    """What a flawed writer changes comes before the writer that it changes."""


def flawed(flaw: type[Flaw]) -> type[Toy]:
    """The toy with this flaw in both its writers."""
    batch = type("FlawedBatchWriter", (flaw, BatchWriter), {})
    stream = type("FlawedStreamWriter", (flaw, StreamWriter), {})
    return type("FlawedToy", (Toy,), {"batch": batch, "stream": stream})


class NamedByProperty(Toy):
    @property
    def name(self) -> str:  # type: ignore[override]
        return "toy_folder"


class KnowsCamelCase(Flaw):
    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        super().__init__(dict(options), schema)
        self.size = dict(options)["chunkSize"]


class CannotBePickled(Flaw):
    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        self.log = (self.folder / "log").open("w")


class SendsWhenMade(Flaw):
    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        (self.folder / "rows").mkdir(exist_ok=True)
        (self.folder / "rows" / "probe").write_text('{"probe": true}\n')


class AppendsToOverwrite(Toy):
    def writer(self, schema: StructType, overwrite: bool) -> Any:
        return self.batch(self.options, schema)


class OtherParameterNames(Toy):
    def writer(self, df_schema: StructType, replace: bool) -> Any:
        return self.batch(self.options, df_schema)

    def streamWriter(self, df_schema: StructType, replace: bool) -> Any:
        return self.stream(self.options, df_schema)


class LosesTheLastRow(Flaw):
    def put(self, lines: list[str]) -> int:
        return super().put(lines[:-1])


class WritesTwice(Flaw):
    def put(self, lines: list[str]) -> int:
        return super().put(lines + lines)


class SharesOneFile(Flaw):
    """All partitions write to the same file."""

    def name(self) -> str:
        return "rows"


@dataclass
class Kept:
    lines: list[str] = field(default_factory=list)


KEPT = Kept()


class FlushesInCommit(Flaw):
    """Keeps rows in a global of the task's process and hopes to find them at the commit."""

    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        KEPT.lines += [json.dumps(row.asDict()) + "\n" for row in iterator]
        return Message(0)

    def finish(self, messages: list[Any]) -> None:
        if KEPT.lines:
            self.put(KEPT.lines)


class RemembersRefusalsInItself(Flaw):
    """The task sets what the commit looks at, on another copy."""

    refused = 0

    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        self.refused = self.put([json.dumps(row.asDict()) + "\n" for row in iterator])
        return Message(0)

    def finish(self, messages: list[Any]) -> None:
        if self.refused:
            raise ValueError("refused")


class NeedsARow(Flaw):
    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        first = next(iterator)
        return Message(self.put([json.dumps(row.asDict()) + "\n" for row in [first, *iterator]]))


class ReturnsNothing(Flaw):
    def write(self, iterator: Iterator[Row]) -> Any:
        super().write(iterator)


class ReturnsWhatCannotBePickled(Flaw):
    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        return Message(self.put([json.dumps(row.asDict()) + "\n" for row in iterator]), extra=(i for i in "x"))


class SwallowsErrors(Flaw):
    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        lines = []
        try:
            lines += [json.dumps(row.asDict()) + "\n" for row in iterator]
        except Exception:
            logging.getLogger("toy").exception("oh")
        return Message(self.put(lines))


class HidesTheCause(Flaw):
    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        try:
            return super().write(iterator)
        except Exception:  # noqa: BLE001 - the flaw this toy has
            raise RuntimeError("the sink failed") from None


class NamesFilesByAttempt(Flaw):
    """A repeated task leaves its rows twice, which this toy says it does not."""

    def name(self) -> str:
        context = TaskContext.get()
        assert context is not None
        return f"{super().name()}-{context.taskAttemptId()}"


class SendsOnFirstAttemptOnly(Flaw):
    def put(self, lines: list[str]) -> int:
        context = TaskContext.get()
        assert context is not None
        marker = self.folder / f"begun-{self.name()}"
        if marker.exists():
            return 0
        marker.touch()
        return super().put(lines[:-1] if context.attemptNumber() == 0 else lines)


class SwallowsRefusals(Flaw):
    """As the best-known REST sink does: whatever the answer, the message says success."""

    def finish(self, messages: list[Any]) -> None:
        pass


class RaisesInTasks(Flaw):
    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        message = super().write(iterator)
        if message.refused:  # type: ignore[attr-defined]
            raise ValueError("refused")
        return message


class LosesDeadLetters(Flaw):
    def put(self, lines: list[str]) -> int:
        return super().put(lines[1:] if self.dead else lines)


class CountsMessagesInAbort(Toy):
    class Batch(BatchWriter):
        def abort(self, messages: list[Any]) -> None:
            self.finish(messages)

    class Stream(StreamWriter):
        def abort(self, messages: list[Any], batchId: int) -> None:
            self.finish(messages)

    batch, stream = Batch, Stream


class StreamCommitOfWrongArity(Toy):
    class Stream(StreamWriter):
        def commit(self, messages: list[Any]) -> None:  # type: ignore[override]
            self.finish(messages)

        def abort(self, messages: list[Any]) -> None:  # type: ignore[override]
            pass

    stream = Stream


class IgnoresTheBatch(Flaw):
    """Every micro-batch of a query is taken for the first."""

    def name(self) -> str:
        query, _, partition = super().name().rsplit("-", 2)
        return f"{query}-{partition}"


class IgnoresTheQuery(Flaw):
    """Two queries' micro-batches of the same number are taken for one."""

    def name(self) -> str:
        return "-".join(super().name().rsplit("-", 2)[1:])


class TellsTheTokenInMessages(Flaw):
    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        return Message(self.put([json.dumps(row.asDict()) for row in iterator]), extra={"Authorization": self.token})


class TellsTheTokenInErrors(Flaw):
    def finish(self, messages: list[Any]) -> None:
        try:
            super().finish(messages)
        except ValueError as error:
            raise ValueError(f"{error}, although I logged in as {self.token}") from None


class PrintsTheToken(Flaw):
    def put(self, lines: list[str]) -> int:
        print("writing with", self.token)
        return super().put(lines)


class LogsTheToken(Flaw):
    def put(self, lines: list[str]) -> int:
        logging.getLogger("toy").debug("writing with %s", self.token)
        return super().put(lines)


class ShowsTheToken(Flaw):
    def __repr__(self) -> str:
        return f"Writer({self.token})"


class EndsItsProcess(Flaw):
    def put(self, lines: list[str]) -> int:
        os._exit(3)
