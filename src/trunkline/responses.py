"""The response log: what was sent and what came back, as Parquet files that are only ever added.

One record per row sent, under `run=<run>/batch=<batch>/part=<partition>/`, so that a task finds its own partition's
records in one small folder and Spark can prune by run:

    spark.read.parquet("/lake/responses").where("outcome <> 'accepted'").select("status_code", "error", "row")

It is capture, dead-letter queue, receipts and journal in one, and is never rolled back: a sent request cannot be
unsent. Files appear whole: on a local path under a hidden name first, on an object store as one put.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from trunkline.errors import OptionError, ResponseLogError

SCHEMA_VERSION = "1"
SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("batch_id", pa.int64()),
        pa.field("partition_id", pa.int32(), nullable=False),
        pa.field("task_attempt_id", pa.int64(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("row_digest", pa.binary(), nullable=False),
        pa.field("occurrence", pa.int32(), nullable=False),
        pa.field("idempotency_key", pa.string()),
        pa.field("method", pa.string()),
        pa.field("url", pa.string()),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("status_code", pa.int32()),
        pa.field("error", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("response_headers", pa.map_(pa.string(), pa.string())),
        pa.field("response_body", pa.string()),
        pa.field("requested_at", pa.timestamp("us", "UTC")),
        pa.field("elapsed_ms", pa.int32()),
        pa.field("worker", pa.string(), nullable=False),
        pa.field("row", pa.string()),
    ],
    metadata={"trunkline.responses": SCHEMA_VERSION},
)
# How often the files of a partition are listed when one of them is gone before it is read.
_LISTINGS = 3
# Bodies kept in memory before they are written, in characters.
_MOST_BYTES = 16 * 1024 * 1024
# Beside the records, in names that Spark's file sources skip.
SUMMARY_FOLDER = "_summary"
_ONCE = frozenset({"response_headers", "response_body"})
# What Spark, Databricks and Hadoop call a file system, and what pyarrow opens for it.
_SPELLINGS = {"dbfs:/": "/dbfs/", "s3a://": "s3://", "s3n://": "s3://"}
_REFUSED = {
    "wasbs://": "abfss://container@account.dfs.core.windows.net/path",
    "wasb://": "abfss://...",
    "adl://": "abfss://...",
}


class Location(NamedTuple):
    """A folder: the file system and the path within it."""

    files: pafs.FileSystem
    path: str

    def within(self, *names: str) -> Location:
        """A folder below this one."""
        return Location(self.files, "/".join((self.path.rstrip("/"), *names)))


def locate(uri: str) -> Location:
    """The folder a path or URI names: a local path, or any URI `pyarrow.fs` knows.

    `dbfs:/`, `s3a://` and `s3n://` are read as what they mean.

    Raises:
        OptionError: The URI is of a kind that cannot be opened; says how to spell it.
    """
    for prefix, instead in _REFUSED.items():
        if uri.startswith(prefix):
            raise OptionError(f"{prefix} cannot be opened here: write {instead}")
    for prefix, instead in _SPELLINGS.items():
        if uri.startswith(prefix):
            uri = instead + uri[len(prefix) :].lstrip("/")
            break
    if "://" not in uri:
        path = uri.removeprefix("file:")
        return Location(pafs.LocalFileSystem(), os.path.abspath(path))  # noqa: PTH100 - pyarrow wants text
    try:
        files, path = pafs.FileSystem.from_uri(uri)
    except (pa.ArrowException, OSError, ValueError, ImportError) as error:
        raise OptionError(f"{uri.split('?', 1)[0]} cannot be opened: {error}") from None
    return Location(files, path)


def prepare_folder(uri: str) -> Location:
    """Locate the log's folder and make it, so that a wrong path is told before anything is sent.

    Raises:
        OptionError: It cannot be opened or made.
    """
    location = locate(uri)
    try:
        location.files.create_dir(location.path, recursive=True)
    except (OSError, pa.ArrowException) as error:
        raise OptionError(f"the response log {uri} cannot be made: {error}") from None
    return location


@dataclass(frozen=True)
class Task:
    """Who writes: one attempt at one partition of one run. `batch` is None outside streams."""

    run: str
    batch: int | None
    partition: int
    attempt_id: int

    @property
    def folder(self) -> tuple[str, str, str]:
        """Where its records stand below the log's folder."""
        return (f"run={self.run}", f"batch={self.batch or 0}", f"part={self.partition:05d}")


class Record(NamedTuple):
    """What one request says about each of its rows; the rest of a log record."""

    request_id: str
    idempotency_key: str | None
    method: str
    url: str
    outcome: str
    status: int
    error: str
    attempts: int
    headers: dict[str, str] | None
    body: str | None
    requested_at: float
    elapsed: float


class ResponseLog:
    """Appends one task's records, in files of `flush_rows` or of what came in `flush_seconds`.

        log = ResponseLog(locate("/lake/responses"), task, flush_seconds=1.0, flush_rows=5000)
        log.add(record, digests, occurrences, rows)
        log.close()

    Args:
        location: The log's folder.
        task: Whose records they are.
        flush_seconds: A record is on disk at most this long after it was added, if `tick` is called.
        flush_rows: Records kept in memory at most.
        clock: A steady clock in seconds.
    """

    def __init__(
        self,
        location: Location,
        task: Task,
        *,
        flush_seconds: float,
        flush_rows: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = location.files
        self._folder = location.within(*task.folder).path
        self._task = task
        self._seconds = flush_seconds
        self._rows = flush_rows
        self._clock = clock
        self._worker = f"{socket.gethostname()}:{os.getpid()}"
        # Attempt ids begin again with each Spark application, and a run or a stream goes on in the next one.
        self._writer = uuid.uuid4().hex[:12]
        self._sequence = 0
        self._flush_at = 0.0
        self._bytes = 0
        self._records: list[Record] = []
        self._counts: list[int] = []
        self._digests: list[bytes] = []
        self._occurrences: list[int] = []
        self._row_texts: list[str | None] = []

    def settled(self, outcomes: Sequence[str]) -> pa.Table:
        """`row_digest` and `occurrence` of what earlier attempts at this partition ended so, each pair once.

        Raises:
            ResponseLogError: A file cannot be read: what was sent is not known, so nothing may be sent.
        """
        columns = ["row_digest", "occurrence"]
        tables: list[pa.Table] = []
        for remaining in reversed(range(_LISTINGS)):
            try:
                tables = [self._read(path, columns, outcomes) for path in self._paths()]
                break
            except (OSError, pa.ArrowException) as error:
                # A compaction may replace files between the listing and the reading: then there is a new listing.
                if not (remaining and isinstance(error, FileNotFoundError)):
                    raise ResponseLogError(f"the response log {self._folder} cannot be read: {error}") from None
        tables.append(pa.table({name: pa.array([], SCHEMA.field(name).type) for name in columns}))
        found = pa.concat_tables(
            [table.replace_schema_metadata(None) for table in tables], promote_options="permissive"
        )
        return found.group_by(columns).aggregate([])

    def _paths(self) -> list[str]:
        found = self._files.get_file_info(pafs.FileSelector(self._folder, allow_not_found=True))
        names = [file for file in found if file.base_name.endswith(".parquet")]
        return [file.path for file in names if not file.base_name.startswith(".")]

    def _read(self, path: str, columns: list[str], outcomes: Sequence[str]) -> pa.Table:
        wanted = [("outcome", "in", list(outcomes))]
        return pq.read_table(path, filesystem=self._files, columns=columns, filters=wanted, partitioning=None)

    def add(
        self, record: Record, digests: Sequence[bytes], occurrences: Sequence[int], rows: Sequence[str | None]
    ) -> None:
        """Append a record for each row of one request.

        Raises:
            ResponseLogError: The buffer was full and could not be written.
        """
        if not self._digests:
            self._flush_at = self._clock() + self._seconds
        self._records.append(record)
        self._counts.append(len(digests))
        self._digests.extend(digests)
        self._occurrences.extend(occurrences)
        self._row_texts.extend(rows)
        self._bytes += len(record.body or "")
        if len(self._digests) >= self._rows or self._bytes >= _MOST_BYTES:
            self.flush()

    def tick(self) -> None:
        """Write what has waited long enough.

        Raises:
            ResponseLogError: It could not be written.
        """
        if self._digests and self._clock() >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Write all records as one new file.

        Raises:
            ResponseLogError: It could not be written.
        """
        if not self._digests:
            return
        name = f"{self._task.attempt_id}-{self._writer}-{self._sequence:06d}.parquet"
        try:
            self._write(name, self._table())
        except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
            raise ResponseLogError(f"the response log {self._folder} cannot be written: {error}") from None
        self._sequence += 1
        self._bytes = 0
        for buffer in (self._records, self._counts, self._digests, self._occurrences, self._row_texts):
            buffer.clear()

    def _write(self, name: str, table: pa.Table) -> None:
        if not self._sequence:
            self._files.create_dir(self._folder, recursive=True)
        if isinstance(self._files, pafs.LocalFileSystem):
            hidden = f"{self._folder}/.{name}.tmp"
            pq.write_table(table, hidden, filesystem=self._files, compression="zstd")
            self._files.move(hidden, f"{self._folder}/{name}")
        else:
            pq.write_table(table, f"{self._folder}/{name}", filesystem=self._files, compression="zstd")

    def _table(self) -> pa.Table:
        records, counts = self._records, self._counts
        # One request's facts are told once and repeated for its rows by Arrow, not by Python.
        index = pa.array([i for i, count in enumerate(counts) for _ in range(count)], pa.int32())
        per_request: dict[str, pa.Array] = {
            "request_id": pa.array([r.request_id for r in records], pa.string()),
            "idempotency_key": pa.array([r.idempotency_key for r in records], pa.string()),
            "method": pa.array([r.method for r in records], pa.string()),
            "url": pa.array([r.url for r in records], pa.string()),
            "outcome": pa.array([r.outcome for r in records], pa.string()),
            "status_code": pa.array([r.status or None for r in records], pa.int32()),
            "error": pa.array([r.error or None for r in records], pa.string()),
            "attempts": pa.array([r.attempts for r in records], pa.int32()),
            "response_headers": pa.array(
                [None if r.headers is None else list(r.headers.items()) for r in records],
                SCHEMA.field("response_headers").type,
            ),
            "response_body": pa.array([r.body for r in records], pa.string()),
            "requested_at": pa.array(
                [int(r.requested_at * 1e6) if r.requested_at else None for r in records], pa.timestamp("us", "UTC")
            ),
            "elapsed_ms": pa.array([round(r.elapsed * 1000) if r.attempts else None for r in records], pa.int32()),
        }
        one_row_each = len(index) == len(records)
        task, rows = self._task, len(self._digests)
        # What may be long stands with the first row of a request only; `request_id` leads there.
        once = index if one_row_each else pa.array([i if first else None for i, first in _firsts(counts)], pa.int32())
        columns: dict[str, Any] = {
            name: array if one_row_each else array.take(once if name in _ONCE else index)
            for name, array in per_request.items()
        }
        columns |= {
            "run_id": pa.repeat(pa.scalar(task.run, pa.string()), rows),
            "batch_id": pa.repeat(pa.scalar(task.batch, pa.int64()), rows),
            "partition_id": pa.repeat(pa.scalar(task.partition, pa.int32()), rows),
            "task_attempt_id": pa.repeat(pa.scalar(task.attempt_id, pa.int64()), rows),
            "row_digest": pa.array(self._digests, pa.binary()),
            "occurrence": pa.array(self._occurrences, pa.int32()),
            "worker": pa.repeat(pa.scalar(self._worker, pa.string()), rows),
            "row": pa.array(self._row_texts, pa.string()),
        }
        return pa.table([columns[field.name] for field in SCHEMA], schema=SCHEMA)


def _firsts(counts: Sequence[int]) -> Iterator[tuple[int, bool]]:
    """For each row its request's position, and whether it is the request's first row."""
    for i, count in enumerate(counts):
        yield from ((i, row == 0) for row in range(count))


def write_summary(location: Location, name: str, summary: dict[str, Any]) -> None:
    """Write one run's summary beside its records.

    Raises:
        ResponseLogError: It could not be written.
    """
    folder = location.within(SUMMARY_FOLDER)
    # A run that is continued has a summary for each try.
    target = f"{name}-{uuid.uuid4().hex[:8]}.json"
    local = isinstance(folder.files, pafs.LocalFileSystem)
    written = f"{folder.path}/.{target}.tmp" if local else f"{folder.path}/{target}"
    try:
        folder.files.create_dir(folder.path, recursive=True)
        with folder.files.open_output_stream(written) as stream:
            stream.write(json.dumps(summary, indent=2).encode() + b"\n")
        if local:
            folder.files.move(written, f"{folder.path}/{target}")
    except (OSError, pa.ArrowException) as error:
        raise ResponseLogError(f"the summary in {folder.path} cannot be written: {error}") from None


def read_summaries(location: Location) -> list[dict[str, Any]]:
    """Every summary in the log, oldest first."""
    folder = location.within(SUMMARY_FOLDER)
    found = folder.files.get_file_info(pafs.FileSelector(folder.path, allow_not_found=True))
    summaries = []
    for file in found:
        if file.base_name.endswith(".json") and not file.base_name.startswith("."):
            with folder.files.open_input_stream(file.path) as stream:
                summaries.append(json.loads(stream.read()))
    return sorted(summaries, key=lambda summary: str(summary.get("finished_at", "")))
