"""Writing: what Spark calls, and nothing else. The work of a task is in `delivery`, the driver's verdict in `report`.

    RestWriter                made on the driver: options and columns are checked, credentials looked up
      RestBatchWriter         df.write, INSERT INTO
      RestStreamWriter        df.writeStream, a commit per micro-batch

`write` gets record batches in both, on every Spark from 4.0 on: the worker looks for `DataSourceArrowWriter`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSourceArrowWriter, DataSourceStreamWriter, WriterCommitMessage
from pyspark.sql.types import (
    ArrayType,
    CalendarIntervalType,
    DataType,
    MapType,
    StructType,
    VariantType,
    YearMonthIntervalType,
)

from trunkline.errors import OptionError, ResponseLogError
from trunkline.http.setup import check_files_and_doors, link_of
from trunkline.literals import warn_of_literals
from trunkline.micro_batch import micro_batch, task_context
from trunkline.options import Options
from trunkline.responses import Task, locate, prepare_folder, write_summary
from trunkline.rest.delivery import Delivery, WritePlan
from trunkline.rest.options import write_options
from trunkline.rest.report import Report, conclude, summary_of, tell, total
from trunkline.rest.rows import RequestBuilder
from trunkline.rest.stop import StopFlag

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("trunkline.rest")


@dataclass
class RestCommitMessage(WriterCommitMessage):
    """How a task tells `commit` what became of its rows."""

    report: Report


class RestWriter:
    """All that batch and stream writing share.

    Args:
        options: As Spark hands them over.
        schema: Of the DataFrame.

    Raises:
        OptionError: Options, columns, certificates, doors or the log's folder are wrong; nothing has been sent.
    """

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        parsed = write_options(options).resolved()
        warn_of_literals(parsed)
        check_columns(schema, parsed)
        builder = RequestBuilder(parsed, schema.fieldNames())
        check_on_driver(parsed)
        run_id = parsed["runId"] or str(uuid.uuid4())
        self._plan = WritePlan(parsed, builder, run_id, uuid.uuid4().hex)
        self._schema = schema.jsonValue()

    def write(self, iterator: Iterator[pa.RecordBatch]) -> RestCommitMessage:
        """Send one partition; what the server refuses travels to `commit` in the message, never as an exception."""
        context = task_context()
        batch = micro_batch(self, context)
        run = batch.query_id if batch else self._plan.run_id
        task = Task(run, batch.number if batch else None, context.partitionId(), context.taskAttemptId())
        scope = f"{run}/{batch.number}" if batch else run
        return RestCommitMessage(Delivery(self._plan, task, scope).run(iterator))

    def _finish(self, messages: Sequence[WriterCommitMessage | None], batch_id: int | None, *, aborted: bool) -> None:
        reports = [message.report if isinstance(message, RestCommitMessage) else None for message in messages]
        error = conclude(reports, self._plan.options["maxFailedRows"])
        options = self._plan.options
        location = locate(options["responses"]) if options["responses"] else None
        # Where every task has left its report and something is wrong with them, `commit` has raised, and written it.
        told = aborted and error is not None and None not in reports
        for nonce in {report.nonce for report in reports if report} | {self._plan.nonce}:
            StopFlag(nonce, location, link_of(options)).clear()
        state = "failed" if error or aborted else "succeeded"
        run = next((report.run_id for report in reports if report), self._plan.run_id)
        if location is not None and not told:
            summary = summary_of(reports, state, str(error) if error else None)
            summary |= {"run_id": run, "batch_id": batch_id, "schema": self._schema, "finished_at": _now()}
            try:
                write_summary(location, f"{run}-{batch_id or 0}", summary)
            except ResponseLogError as unwritten:
                # What went wrong with the rows matters more than that it could not be written down.
                error = error or unwritten
        if error is not None and not aborted:
            raise error
        counts = total([report for report in reports if report])
        log.info("run %s %s: %s", run, state, tell(counts))


class RestBatchWriter(RestWriter, DataSourceArrowWriter):
    """`df.write.format("rest")`."""

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Check that every row is accounted for and raise what went wrong, once: Spark does not repeat a commit."""
        self._finish(messages, None, aborted=False)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Record that the write failed. What was sent stays sent."""
        self._finish(messages, None, aborted=True)


class RestStreamWriter(RestWriter, DataSourceStreamWriter, DataSourceArrowWriter):
    """`df.writeStream.format("rest")`."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        if self._plan.options["runId"]:
            raise OptionError("rest: runId does nothing in a stream: its run is the query, which the checkpoint names")

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # type: ignore[override]  # noqa: N803 - Spark's name
        """As for a batch write; raising ends the query, and a restart repeats this micro-batch."""
        self._finish(messages, batchId, aborted=False)

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # type: ignore[override]  # noqa: N803 - Spark's name
        """Record that the micro-batch failed."""
        self._finish(messages, batchId, aborted=True)


def check_on_driver(options: Options) -> None:
    """What would fail in every task fails here, once.

    Raises:
        OptionError: The rate cannot be kept, a door or certificate cannot be loaded, or the log's folder not be made.
    """
    if options["rateLimit"] and not (options["rateLimitTasks"] or options["coordinator.url"]):
        raise OptionError(
            f"{options.format}: rateLimit is for the whole query, and a task cannot see how many others run: "
            "add rateLimitTasks=N (tasks that run at once, at most the cluster's cores), "
            "the options of a trunkline.coordinator, or df.coalesce(1) with rateLimitTasks=1. Nothing was sent"
        )
    check_files_and_doors(options)
    if options["responses"]:
        prepare_folder(options["responses"])


def check_columns(schema: StructType, options: Options) -> None:
    """Refuse what Spark cannot hand to Python, names of which JSON would keep one, and what cannot be put in order."""
    problems = [f"column {path}: {problem}" for path, problem in _unsendable(schema, "")]
    order = options["orderColumn"]
    if order in schema.names and isinstance(schema[order].dataType, (ArrayType, MapType, StructType, VariantType)):
        problems.append(
            f"column {order}: orderColumn needs a type with an order, not {schema[order].dataType.typeName()}"
        )
    if problems:
        raise OptionError("rest: these columns cannot be sent", problems)


def _unsendable(kind: DataType, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(kind, StructType):
        names = [field.name for field in kind.fields]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{path}{name}", "the name stands more than once; rename one"
        for field in kind.fields:
            yield from _unsendable(field.dataType, f"{path}{field.name}.")
    elif isinstance(kind, ArrayType):
        yield from _unsendable(kind.elementType, path)
    elif isinstance(kind, MapType):
        yield from _unsendable(kind.keyType, path)
        yield from _unsendable(kind.valueType, path)
    elif isinstance(kind, (YearMonthIntervalType, CalendarIntervalType)):
        yield path.removesuffix("."), f"{kind.simpleString()} cannot be sent; CAST it to STRING"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
