"""Merging the many small files of a response log into few, without a moment in which a record is missing.

    for folder in compact("/lake/responses"):
        print(folder.path, folder.merged, folder.left_alone)

A partition's files become one file, `compacted-<digest>.parquet`, in the same folder, because a task that goes on with
a run looks for its records there. The merged file's metadata names the files whose records it holds:

    trunkline.compacted = ["12-5f0c1a2b3c4d-000000.parquet", "12-5f0c1a2b3c4d-000001.parquet"]

so that files left over by a compaction that was killed are known to be copies, and are deleted by the next one. Until
then a reader sees some records twice, which readers of the log bear: they tell records by identity.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from trunkline.errors import ResponseLogError
from trunkline.responses import SCHEMA, Location, locate, read_summaries

# What Spark reads in one task (spark.sql.files.maxPartitionBytes); a file of this size has nothing to gain.
TARGET_BYTES = 128 * 1024 * 1024
# Rows of a row group; at about 300 bytes a record this stays near 30 MB in memory.
_GROUP_ROWS = 100_000
_PREFIX = "compacted-"
# No merge takes this long: a hidden file that is older was left by one that was killed.
_STALE_SECONDS = 24 * 3600.0
_CONTENT = b"trunkline.compacted"
_VERSION = b"trunkline.responses"


@dataclass(frozen=True)
class Compacted:
    """What became of one partition's folder.

    Attributes:
        path: The folder.
        before: Files in it before.
        after: Files in it now.
        left_alone: Why nothing was done; empty where something was, or there was nothing to do.
    """

    path: str
    before: int
    after: int
    left_alone: str = ""


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    # The files, as tasks wrote them, whose records it holds: itself unless it is a merged one.
    content: frozenset[str]


def compact(
    uri: str, *, older_than: float | None = None, target_bytes: int = TARGET_BYTES, now: float | None = None
) -> Iterator[Compacted]:
    """Merge the files of every partition whose run, and micro-batch, is over.

    Over means: it has a summary, and no file is newer than that (a run that failed may be going on again).

    Args:
        uri: The response log's folder, as in the option `responses`.
        older_than: Seconds. A run without such a summary counts as over too when its newest file is older than this.
        target_bytes: Files are merged up to about this size; larger ones stay as they are.
        now: Epoch seconds; default: the clock's.

    Returns:
        One entry per partition folder, as its turn comes.

    Raises:
        OptionError: The folder cannot be opened.
        ResponseLogError: It cannot be read or written. What was merged so far stays merged.
    """
    location = locate(uri)
    now = time.time() if now is None else now
    finished = {
        (str(summary["run_id"]), int(summary.get("batch_id") or 0)): _epoch(summary["finished_at"])
        for summary in read_summaries(location)
        if summary.get("finished_at")
    }
    for run in folders(location, "run="):
        for batch in folders(run, "batch="):
            key = (_value(run), int(_value(batch)))
            parts = folders(batch, "part=")
            # A task's first file can stand in any partition, so the micro-batch is judged as a whole.
            newest = max(
                (file.mtime.timestamp() for part in parts for file in _files(part) if not _is_merged(file)), default=0
            )
            reason = _unfinished(finished.get(key), newest, older_than, now)
            for part in parts:
                yield _compact_folder(part, target_bytes, now) if not reason else _left(part, reason)


def folders(location: Location, prefix: str) -> list[Location]:
    """The folders right below one whose names begin with a prefix, such as `run=`; in order of name."""
    found = location.files.get_file_info(pafs.FileSelector(location.path, allow_not_found=True))
    names = sorted(
        info.base_name for info in found if info.type == pafs.FileType.Directory and info.base_name.startswith(prefix)
    )
    return [location.within(name) for name in names]


def _value(folder: Location) -> str:
    return folder.path.rpartition("=")[2]


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _unfinished(finished_at: float | None, newest: float, older_than: float | None, now: float) -> str:
    """Why a run may still be written; empty when it is over."""
    if older_than is not None and now - newest > older_than:
        return ""
    if finished_at is None:
        return "the run has no summary: it is still written, or was killed"
    if newest > finished_at:
        return "a file is newer than the run's summary: the run goes on"
    return ""


def _left(part: Location, reason: str) -> Compacted:
    count = len(_files(part))
    return Compacted(part.path, count, count, reason)


def _files(part: Location) -> list[pafs.FileInfo]:
    """The data files of a folder, in order of name; hidden ones are not there yet."""
    found = part.files.get_file_info(pafs.FileSelector(part.path, allow_not_found=True))
    files = [info for info in found if info.base_name.endswith(".parquet") and not info.base_name.startswith(".")]
    return sorted(files, key=lambda info: str(info.base_name))


def _is_merged(info: pafs.FileInfo) -> bool:
    return str(info.base_name).startswith(_PREFIX)


def _compact_folder(part: Location, target_bytes: int, now: float) -> Compacted:
    infos = _files(part)
    if len(infos) < 2:
        return Compacted(part.path, len(infos), len(infos))
    try:
        _sweep(part, now)
        files = [_described(part, info) for info in infos]
        merged = [file for file in files if len(file.content) > 1]
        copies = [file for file in files if any(file.content < other.content for other in merged)]
        _delete(part, copies)
        kept = [file for file in files if file not in copies]
        for group in _groups(kept, target_bytes):
            _merge(part, group)
            _delete(part, group)
    except FileNotFoundError:
        return _left(part, "another compaction is at work in it")
    except _ForeignError as error:
        return _left(part, str(error))
    except (OSError, pa.ArrowException) as error:
        raise ResponseLogError(f"{part.path} cannot be compacted: {error}; no record was deleted") from None
    return Compacted(part.path, len(infos), len(_files(part)))


class _ForeignError(Exception):
    """A file that is not of this version; merging it could lose what this version does not know."""


def _described(part: Location, info: pafs.FileInfo) -> _File:
    name = str(info.base_name)
    with part.files.open_input_file(info.path) as stream:
        schema = pq.read_schema(stream)
    metadata = schema.metadata or {}
    if not schema.equals(SCHEMA) or metadata.get(_VERSION) != SCHEMA.metadata[_VERSION]:
        raise _ForeignError(f"{name} was written by another version of trunkline")
    content = json.loads(metadata[_CONTENT]) if _CONTENT in metadata else [name]
    return _File(name, int(info.size), frozenset(content))


def _groups(files: Sequence[_File], target_bytes: int) -> list[list[_File]]:
    """Files to merge with each other: at least two, together near the target."""
    groups: list[list[_File]] = []
    size = 0
    for file in files:
        if file.size >= target_bytes:
            continue
        if not groups or size + file.size > target_bytes:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return [group for group in groups if len(group) > 1]


def _merge(part: Location, group: Sequence[_File]) -> None:
    """Write the group as one file: whole under a hidden name, then renamed."""
    content = sorted(frozenset().union(*(file.content for file in group)))
    # Named by what it holds: two compactions at once write the same file, not two.
    digest = hashlib.blake2b("\n".join(content).encode(), digest_size=10).hexdigest()
    hidden = f"{part.path}/.{_PREFIX}{digest}-{uuid.uuid4().hex[:8]}.tmp"
    schema = SCHEMA.with_metadata({**SCHEMA.metadata, _CONTENT: json.dumps(content).encode()})
    try:
        _copy(part, group, hidden, schema)
        part.files.move(hidden, f"{part.path}/{_PREFIX}{digest}.parquet")
    except BaseException:
        with contextlib.suppress(OSError):
            part.files.delete_file(hidden)
        raise
    _settle(part, part.path)


def _copy(part: Location, group: Sequence[_File], target: str, schema: pa.Schema) -> None:
    rows, waiting, waiting_rows = 0, [], 0
    with pq.ParquetWriter(target, schema, filesystem=part.files, compression="zstd") as writer:
        for file in group:
            table = pq.read_table(f"{part.path}/{file.name}", filesystem=part.files, partitioning=None)
            waiting.append(table.replace_schema_metadata(schema.metadata))
            waiting_rows += table.num_rows
            rows += table.num_rows
            if waiting_rows >= _GROUP_ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting, waiting_rows = [], 0
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    _settle(part, target)
    with part.files.open_input_file(target) as stream:
        written = pq.read_metadata(stream).num_rows
    if written != rows:
        raise OSError(f"{target} holds {written} of {rows} records")


def _settle(part: Location, path: str) -> None:
    """Wait until a local disk has it, so that no power cut after the deletion takes the copy too."""
    if isinstance(part.files, pafs.LocalFileSystem) and os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(part: Location, now: float) -> None:
    """Delete what a killed compaction left half-written."""
    for info in part.files.get_file_info(pafs.FileSelector(part.path)):
        if info.base_name.startswith(f".{_PREFIX}") and now - info.mtime.timestamp() > _STALE_SECONDS:
            part.files.delete_file(info.path)


def _delete(part: Location, files: Sequence[_File]) -> None:
    for file in files:
        # Another compaction may have been here first.
        with contextlib.suppress(FileNotFoundError):
            part.files.delete_file(f"{part.path}/{file.name}")
