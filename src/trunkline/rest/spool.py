"""What each micro-batch of a stream read, kept as files: a replay sees the same rows whatever the API says by then.

    spool = Spool("/checkpoints/users-spool")
    spool.keep(key, batches)          # whole or not at all
    spool.batches(key)                # the same rows again; None where nothing was kept

A file's name is made of the offsets of its batch, so that a replay finds it.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from trunkline.responses import locate
from trunkline.rest.position import Offset

_SUFFIX = ".parquet"
_META = b"trunkline.batch"


class Kept(NamedTuple):
    """A batch that was kept: its offsets and its file."""

    start: Offset
    end: Offset
    path: str


class Spool:
    """The kept batches of one stream.

    Args:
        folder: Local path or URI; it belongs to one query.
    """

    def __init__(self, folder: str) -> None:
        location = locate(folder)
        self._filesystem: fs.FileSystem = location.files
        self._folder = location.path

    def batches(self, start: Offset, end: Offset) -> Iterator[pa.RecordBatch] | None:
        """What was kept of a micro-batch, None where it was not read to its end yet."""
        path = self._path(start, end)
        if self._filesystem.get_file_info(path).type == fs.FileType.NotFound:
            return None
        return pq.ParquetFile(self._filesystem.open_input_file(path)).iter_batches()  # type: ignore[no-any-return]

    def keep(self, start: Offset, end: Offset, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Write what a micro-batch read, under its name only once it is whole."""
        path = self._path(start, end)
        self._filesystem.create_dir(self._folder, recursive=True)
        hidden = f"{self._folder}/.{uuid.uuid4().hex}"
        meta = {_META: json.dumps([start, end]).encode()}
        with (
            self._filesystem.open_output_stream(hidden) as stream,
            pq.ParquetWriter(stream, schema.with_metadata(meta)) as writer,
        ):
            for batch in batches:
                writer.write_batch(batch.replace_schema_metadata(meta))
        self._filesystem.move(hidden, path)

    def kept(self) -> Iterator[Kept]:
        """Every batch that was kept, in no order."""
        selector = fs.FileSelector(self._folder, allow_not_found=True)
        for info in self._filesystem.get_file_info(selector):
            if info.base_name.endswith(_SUFFIX) and not info.base_name.startswith("."):
                meta = pq.read_schema(info.path, filesystem=self._filesystem).metadata or {}
                start, end = json.loads(meta[_META])
                yield Kept(start, end, info.path)

    def read(self, kept: Kept) -> pa.Table:
        """The rows of a kept batch."""
        return pq.read_table(kept.path, filesystem=self._filesystem)

    def drop(self, kept: Kept) -> None:
        """Forget a batch that no replay and no look-back needs any more."""
        self._filesystem.delete_file(kept.path)

    def _path(self, start: Offset, end: Offset) -> str:
        digest = hashlib.sha256(json.dumps([start, end]).encode()).hexdigest()[:32]
        return f"{self._folder}/{digest}{_SUFFIX}"
