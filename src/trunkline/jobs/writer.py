"""Writing: rows become runs. What Spark calls, and nothing else; the starting is in `starting`.

JobsWriter                made on the driver: options and columns are checked, credentials looked up
  JobsBatchWriter         df.write, INSERT INTO
  JobsStreamWriter        df.writeStream, a commit per micro-batch
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSourceArrowWriter, DataSourceStreamWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from trunkline.errors import OptionError
from trunkline.jobs.options import resolved_for, write_options
from trunkline.jobs.rows import check_columns, key_of, requests
from trunkline.jobs.run import RunRequest
from trunkline.jobs.starting import start_all
from trunkline.literals import warn_of_literals
from trunkline.micro_batch import micro_batch, task_context
from trunkline.values import Occurrences

if TYPE_CHECKING:
    import pyarrow as pa

# How many bad rows an error names.
_NAMED = 10


@dataclass
class JobsCommitMessage(WriterCommitMessage):
    """What a task collected: the write or micro-batch, and of each row its digest and its request, or what is wrong."""

    scope: str
    rows: list[tuple[bytes, RunRequest | str]]


class JobsWriter:
    """All that batch and stream writing share.

    Args:
        options: As Spark hands them over.
        schema: Of the DataFrame.

    Raises:
        OptionError: Options or columns are wrong; nothing has been started.
    """

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        parsed = write_options(options)
        warn_of_literals(parsed)
        self._platform: str | None = parsed["platform"][0] if parsed["platform"] else None
        check_columns(schema, platform=self._platform)
        self._options = parsed
        self._write_id = parsed["writeId"] or uuid.uuid4().hex

    def write(self, iterator: Iterator[pa.RecordBatch]) -> JobsCommitMessage:
        """Collect the rows of one partition; what is wrong with one is told by `commit`, as Spark repeats a task."""
        batch = micro_batch(self, task_context())
        scope = f"{batch.query_id}/{batch.number}" if batch else self._write_id
        return JobsCommitMessage(scope, [row for rows in iterator for row in requests(rows, self._platform)])

    def _start(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        told = [message for message in messages if isinstance(message, JobsCommitMessage)]
        rows = [(message.scope, *row) for message in told for row in message.rows]
        numbers = Occurrences().number([digest for _, digest, _ in rows])
        wanted, problems = [], []
        for (scope, digest, request), occurrence in zip(rows, numbers, strict=True):
            if isinstance(request, str):
                problems.append(request)
            else:
                wanted.append(replace(request, run_key=request.run_key or key_of(scope, digest, occurrence)))
        if problems:
            named = (
                problems if len(problems) <= _NAMED else [*problems[:_NAMED], f"and {len(problems) - _NAMED:,} more"]
            )
            rows_are = "1 row is no run" if len(problems) == 1 else f"{len(problems):,} rows are no runs"
            raise OptionError(f"jobs: {rows_are}; nothing was started", named)
        if wanted:
            repeatable = isinstance(self, DataSourceStreamWriter) or self._options.given("writeId")
            options = resolved_for(self._options, {request.platform for request in wanted})
            # Made again, as after a restart, it has the same keys: what failed must not fail it for ever.
            start_all(wanted, options, again=repeatable and options["wait"])


class JobsBatchWriter(JobsWriter, DataSourceArrowWriter):
    """`df.write.format("jobs")`."""

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Start the runs of all rows: Spark does not repeat a commit."""
        self._start(messages)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Nothing: a write that fails before its commit has started nothing, and `commit` cleans up after itself."""


class JobsStreamWriter(JobsWriter, DataSourceStreamWriter, DataSourceArrowWriter):
    """`df.writeStream.format("jobs")`."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        if self._options.given("writeId"):
            raise OptionError("jobs: writeId does nothing in a stream: its micro-batches have names of their own")

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # type: ignore[override]  # noqa: N803 - Spark's name
        """As for a batch write. A micro-batch that is replayed has the same keys, and starts what is missing."""
        self._start(messages)

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # type: ignore[override]  # noqa: N803 - Spark's name
        """Nothing, as for a batch write."""
