"""One task's records: written behind its back while it goes on sending, and read again by its next attempt."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from trunkline.errors import ResponseLogError
from trunkline.responses.location import Location
from trunkline.responses.records import SCHEMA, Gathered, Record, Task

# How often the files of a partition are listed when one of them is gone before it is read.
_LISTINGS = 3
# Bodies and rows kept in memory before they are written, in characters.
_MOST_SIZE = 16 * 1024 * 1024
# A file is begun at this share of the bound; the rest is room for what comes while it is written. One task sends
# about 3,000 rows a second one by one, so a fifth of 5,000 lasts a third of a second: the time of a slow put.
_BEGIN = 0.8


class ResponseLog:
    """Appends one task's records, a file at a time, in a thread of its own: a slow object store does not stop sending.

        log = ResponseLog(locate("/lake/responses"), task, flush_seconds=1.0, flush_rows=5000)
        log.add(record, digests, occurrences, rows)
        log.flush()

    A file is begun when four fifths of `flush_rows` or what came in `flush_seconds` has been gathered; more is gathered
    meanwhile. At `flush_rows` `add` waits, so that never more than `flush_rows` records are not in a file that is
    whole: what a crash loses is what was added since the last flush that was completed, its file being there. (A
    request of more rows than that has its records written before its `add` returns.) The same bounds the memory.

    Args:
        location: The log's folder.
        task: Whose records they are.
        flush_seconds: A record waits at most this long before its file is begun, if `tick` is called and no other file
            is being written.
        flush_rows: Records that are not in a finished file at most.
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
        # Attempt ids begin again with each Spark application, and a run or a stream goes on in the next one.
        self._writer = uuid.uuid4().hex[:12]
        self._sequence = 0
        self._flush_at = 0.0
        self._gathered = Gathered()
        # Of the file that is being written; the thread sets nothing but `_failure`.
        self._thread: threading.Thread | None = None
        self._writing_rows = self._writing_size = 0
        self._failure: str | None = None

    def settled(self, outcomes: Sequence[str]) -> pa.Table:
        """`row_digest` and `occurrence` of what this partition ended so, each pair once; all that was added counts.

        Raises:
            ResponseLogError: A file cannot be read or written: what was sent is not known, so nothing may be sent.
        """
        self.flush()
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
        """Append a record for each row of one request; waits while too many are not written yet.

        Raises:
            ResponseLogError: A file could not be written. Every later call raises it too.
        """
        self._look()
        if not len(self._gathered):
            self._flush_at = self._clock() + self._seconds
        self._gathered.add(record, digests, occurrences, rows)
        if self._thread is None and self._gathered_enough():
            self._begin()
        while self._writing_rows + len(self._gathered) >= self._rows or (
            self._writing_size + self._gathered.size >= _MOST_SIZE
        ):
            self._wait()
            if self._gathered_enough():
                self._begin()

    def tick(self) -> None:
        """Begin to write what has waited long enough.

        Raises:
            ResponseLogError: A file could not be written.
        """
        self._look()
        if self._thread is None and len(self._gathered) and self._clock() >= self._flush_at:
            self._begin()

    def flush(self) -> None:
        """Write all records, and wait until they are there.

        Raises:
            ResponseLogError: A file could not be written.
        """
        self._wait()
        self._begin()
        self._wait()

    def _gathered_enough(self) -> bool:
        return len(self._gathered) >= _BEGIN * self._rows or self._gathered.size >= _BEGIN * _MOST_SIZE

    def _begin(self) -> None:
        """Have what was gathered written, as one new file."""
        if not len(self._gathered):
            return
        name = f"{self._task.attempt_id}-{self._writer}-{self._sequence:06d}.parquet"
        try:
            table = self._gathered.table(self._task)
        except (ValueError, MemoryError, pa.ArrowException) as error:
            self._failure = str(error)
            self._look()
            return
        self._writing_rows, self._writing_size = len(self._gathered), self._gathered.size
        self._gathered = Gathered()
        self._thread = threading.Thread(
            target=self._write, args=(name, table, self._sequence == 0), name="trunkline-log", daemon=True
        )
        self._sequence += 1
        self._thread.start()

    def _look(self) -> None:
        """Notice the end of the file being written."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
            self._writing_rows = self._writing_size = 0
        if self._failure is not None:
            raise ResponseLogError(f"the response log {self._folder} cannot be written: {self._failure}")

    def _wait(self) -> None:
        """Wait for the end of the file being written."""
        if self._thread is not None:
            self._thread.join()
        self._look()

    def _write(self, name: str, table: pa.Table, first: bool) -> None:
        try:
            if first:
                self._files.create_dir(self._folder, recursive=True)
            path = f"{self._folder}/{name}"
            if isinstance(self._files, pafs.LocalFileSystem):
                hidden = f"{self._folder}/.{name}.tmp"
                pq.write_table(table, hidden, filesystem=self._files, compression="zstd")
                self._files.move(hidden, path)
            else:
                pq.write_table(table, path, filesystem=self._files, compression="zstd")
        except Exception as error:  # noqa: BLE001 - whatever it was, the records are not there; raised by the next look
            self._failure = str(error) or type(error).__name__
