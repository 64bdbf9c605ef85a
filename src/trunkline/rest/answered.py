"""What a run has been answered already: found in its response log by request, whichever task asked.

    logged = LoggedAnswers(locate("/lake/responses").within("run=enrich-1"))
    logged.find([key])          # {key: Answer}; key: what `asking` tells requests apart by

In memory is an index, 16 bytes for each answer in the log and some 60 while it is made: 160 MB for ten million. Bodies
stay in the files until they are wanted; those of the files that were wanted last are kept, up to 64 MiB.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trunkline.errors import ResponseLogError
from trunkline.responses import Location
from trunkline.rest.answers import LASTING, UNAUTHORIZED, Answer, size_of

# How often files are listed when one of them is gone before it is read: a compaction replaces them.
_LISTINGS = 3
_MOST_KEPT = 64 * 1024 * 1024
_KEY = r"^[0-9a-f]{32}$"
_TOLD = [
    "request_id", "outcome", "status_code", "error", "attempts", "response_headers", "response_body", "requested_at",
    "elapsed_ms",
]  # fmt: skip
_Place = tuple[int, int]


class LoggedAnswers:
    """The answers in a folder of a response log.

    An answer is what the server said for good: accepted, or refused with a status. A refused credential is none, nor is
    what was given up: those are asked again.

    Args:
        folder: Of a run, or of one of its micro-batches.
        ambiguous: Whether requests of which it is not known if the server acted on them count as answered too.

    Raises:
        ResponseLogError: The log cannot be read.
    """

    def __init__(self, folder: Location, *, ambiguous: bool = False) -> None:
        self._files, self._folder = folder.files, folder.path
        self._outcomes = pa.array([*LASTING, *(["ambiguous"] if ambiguous else [])])
        self._paths: list[str] = []
        self._firsts: NDArray[Any] = np.zeros(0, np.uint64)
        self._places: NDArray[Any] = np.zeros(0, np.uint64)
        self._groups: OrderedDict[_Place, pa.Table] = OrderedDict()
        self._size = 0
        self._read_index()

    def __len__(self) -> int:
        return len(self._firsts)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Those of the answers that are in the log.

        Args:
            keys: 16 bytes each.

        Raises:
            ResponseLogError: The log cannot be read.
        """
        if not len(self._firsts) or not keys:
            return {}
        for remaining in reversed(range(_LISTINGS)):
            try:
                return self._found(list(dict.fromkeys(keys)))
            except FileNotFoundError as error:
                if not remaining:
                    raise self._unreadable(error) from None
                self._read_index()
            except (OSError, pa.ArrowException) as error:
                raise self._unreadable(error) from None
        return {}

    def _found(self, keys: list[bytes]) -> dict[bytes, Answer]:
        firsts = np.frombuffer(b"".join(key[:8] for key in keys), np.uint64)
        at = np.searchsorted(self._firsts, firsts)
        found: dict[bytes, Answer] = {}
        wanted: list[tuple[int, int, bytes]] = []
        for key, first, begin in zip(keys, firsts.tolist(), at.tolist(), strict=True):
            place = begin
            while place < len(self._firsts) and int(self._firsts[place]) == first:
                where = int(self._places[place])
                wanted.append((where >> 32, where & 0xFFFFFFFF, key))
                place += 1
        # File by file and group by group, in the order of their rows.
        for table, rows, ids in self._grouped(sorted(wanted)):
            told = table.take(pa.array(rows, pa.int64()))
            for key, request_id, answer in zip(ids, told["request_id"].to_pylist(), _answers(told), strict=True):
                if request_id == key.hex():
                    found.setdefault(key, answer)
        return found

    def _grouped(self, wanted: list[tuple[int, int, bytes]]) -> Iterator[tuple[pa.Table, list[int], list[bytes]]]:
        """The row groups that hold what is wanted, one after the other, with the rows of each and their keys."""
        place: _Place | None = None
        table, rows, keys = pa.table({}), list[int](), list[bytes]()
        for file, row, key in wanted:
            if place is None or file != place[0] or row >= place[1] + table.num_rows:
                if place is not None:
                    yield table, rows, keys
                table, begin = self._group_of(file, row)
                place, rows, keys = (file, begin), [], []
            rows.append(row - place[1])
            keys.append(key)
        if place is not None:
            yield table, rows, keys

    def _group_of(self, file: int, row: int) -> tuple[pa.Table, int]:
        """The row group that holds a row, and the number of its first row."""
        for (known, begin), table in reversed(self._groups.items()):
            if known == file and begin <= row < begin + table.num_rows:
                self._groups.move_to_end((known, begin))
                return table, begin
        with self._files.open_input_file(self._paths[file]) as stream:
            source = pq.ParquetFile(stream)
            begin = 0
            for number in range(source.num_row_groups):
                rows = source.metadata.row_group(number).num_rows
                if row < begin + rows:
                    table = source.read_row_group(number, columns=_TOLD).combine_chunks()
                    break
                begin += rows
        self._groups[(file, begin)] = table
        self._size += table.nbytes
        while self._size > _MOST_KEPT and len(self._groups) > 1:
            _, oldest = self._groups.popitem(last=False)
            self._size -= oldest.nbytes
        return table, begin

    def _read_index(self) -> None:
        self._groups.clear()
        self._size = 0
        for remaining in reversed(range(_LISTINGS)):
            try:
                self._paths = sorted(self._listed())
                parts = [self._index_of(number, path) for number, path in enumerate(self._paths)]
                break
            except (OSError, pa.ArrowException) as error:
                if not (remaining and isinstance(error, FileNotFoundError)):
                    raise self._unreadable(error) from None
        firsts = np.concatenate([first for first, _ in parts]) if parts else np.zeros(0, np.uint64)
        places = np.concatenate([place for _, place in parts]) if parts else np.zeros(0, np.uint64)
        del parts
        order = np.argsort(firsts, kind="stable")
        self._firsts, self._places = firsts[order], places[order]

    def _listed(self) -> Iterable[str]:
        selector = pafs.FileSelector(self._folder, allow_not_found=True, recursive=True)
        for file in self._files.get_file_info(selector):
            if file.base_name.endswith(".parquet") and not file.base_name.startswith("."):
                yield file.path

    def _index_of(self, number: int, path: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """The first halves of the keys in a file, and where each stands."""
        with self._files.open_input_file(path) as stream:
            table = pq.ParquetFile(stream).read(columns=["request_id", "outcome", "attempts", "status_code"])
        status = table["status_code"].fill_null(0)
        # A row that shares the answer of another has no attempt of its own, and no body.
        whole = pc.and_(pc.greater(table["attempts"], 0), pc.is_in(table["outcome"], self._outcomes))
        whole = pc.and_(whole, pc.invert(pc.is_in(status, pa.array(UNAUTHORIZED, pa.int32()))))
        said = pc.or_(pc.greater(status, 0), pc.equal(table["outcome"], "ambiguous"))
        whole = pc.and_(pc.and_(whole, said), pc.match_substring_regex(table["request_id"], _KEY))
        rows = pc.indices_nonzero(whole).to_numpy().astype(np.uint64)
        text = "".join(table["request_id"].filter(whole).to_pylist())
        keys = np.frombuffer(bytes.fromhex(text), np.uint64).reshape(-1, 2)
        return keys[:, 0].copy(), rows | np.uint64(number << 32)

    def _unreadable(self, error: Exception) -> ResponseLogError:
        return ResponseLogError(f"the response log {self._folder} cannot be read, so nothing may be asked: {error}")


def _answers(table: pa.Table) -> list[Answer]:
    """The answers in the records of a log."""
    columns = [table["outcome"], table["status_code"].fill_null(0), table["error"].fill_null(""), table["attempts"]]
    columns += [table["response_headers"], table["response_body"]]
    columns += [table["requested_at"].cast(pa.int64()), table["elapsed_ms"]]
    return [_answer(*told) for told in zip(*(column.to_pylist() for column in columns), strict=True)]


def _answer(
    kind: str,
    status: int,
    error: str,
    attempts: int,
    headers: list[tuple[str, str]] | None,
    body: str | None,
    requested_at: int | None,
    elapsed: int | None,
) -> Answer:
    named, text = None if headers is None else dict(headers), None if body is None else body.encode()
    size = size_of(named, text, error)
    return Answer(kind, status, error, attempts, named, text, requested_at, elapsed, size)
