"""What the answer to a batch says about each of its rows.

    {"items": [{"id": "1", "status": 201}, {"id": "2", "status": 409, "error": {"message": "exists"}}]}

    ResultReader(path="items", id_field=None, ok="status", error="error.message", ...).read(body, count=2)
    # [RowResult(ok=True, status=201, ...), RowResult(ok=False, status=409, reason="exists")]

Entries belong to rows by position, or by the column that `results.id` names. An answer that does not account for
every row exactly once says nothing reliable about any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from trunkline.errors import ResponseError
from trunkline.options import Options
from trunkline.rest.paths import at
from trunkline.values import open_envelope, texts
from trunkline.values.envelope import BOM

# How much of a reason that is not text is kept.
_REASON_LENGTH = 300


class RowResult(NamedTuple):
    """The fate of one row: accepted, or refused with a status (0 where none is told) and a reason."""

    ok: bool
    status: int = 0
    reason: str = ""


class ResultsError(ValueError):
    """The answer does not say what became of every row."""


class ResultReader:
    """Reads the fate of each row out of an answer.

    Args:
        path: Dotted path of the list of entries; `$` is the answer itself.
        id_field: The field of an entry that names its row; None: by position.
        ok: The field that says accepted: a boolean, or a status in `success`.
        error: The field that holds the reason; without `ok`, its presence is the refusal.
        success: Statuses that mean accepted.
        key: The column that names a row where none is called like `id_field`.
    """

    def __init__(
        self,
        path: str,
        id_field: str | None,
        ok: str | None,
        error: str | None,
        success: Collection[int],
        key: str | None = None,
    ) -> None:
        self._path = path
        self._id_field = id_field
        self._key = key
        self._ok = ok
        self._error = error
        self._success = success

    @classmethod
    def from_options(cls, options: Options) -> ResultReader | None:
        """The reader that `results.*` asks for, None where answers speak for the whole request."""
        if not options["results.path"]:
            return None
        return cls(
            options["results.path"],
            options["results.id"],
            options["results.ok"],
            options["results.error"],
            options["successCodes"],
            # One of several columns does not name a row.
            options["keyColumns"][0] if len(options["keyColumns"] or ()) == 1 else None,
        )

    @property
    def wanted(self) -> str:
        """What is said where rows have no column to tell them by."""
        column = (self._id_field or "").rpartition(".")[2]
        return f"there is no column {column} to tell rows by; rename one, or name one in keyColumns"

    def column(self, columns: Sequence[str]) -> str | None:
        """The column that tells rows apart; None where entries go by position, or there is none."""
        if self._id_field is None:
            return None
        return next((one for one in (self._id_field.rpartition(".")[2], self._key) if one in columns), None)

    def ids(self, batch: pa.RecordBatch, rows: Sequence[int]) -> list[str | None]:
        """What names the rows of a batch in an answer.

        Raises:
            ResultsError: There is no such column.
        """
        name = self.column(batch.schema.names)
        if name is None:
            message = f"results.id={self._id_field}: {self.wanted}"
            raise ResultsError(message)
        found: list[str | None] = texts(batch.column(name)).take(pa.array(rows, pa.int64())).to_pylist()
        return found

    def read(self, body: bytes, count: int, ids: Callable[[], Sequence[str | None]]) -> list[RowResult]:
        """The fate of each row, in the order the rows were sent.

        Args:
            body: The answer.
            count: Rows sent.
            ids: Gives what names each row, as `ids` has it; called only when it is needed.

        Raises:
            ResultsError: Not JSON, no list at the path, another number of entries, or entries that name no row.
        """
        entries = self._entries(body, count)
        return [self._result(entries[place]) for place in self._places(entries, ids)]

    def entries(
        self, body: bytes, count: int, ids: Callable[[], Sequence[str | None]]
    ) -> list[tuple[RowResult, bytes]]:
        """As `read`, with the JSON text of each row's entry.

        Raises:
            ResultsError: As `read` raises it.
        """
        entries = self._entries(body, count)
        try:
            parts = open_envelope(body, self._path).texts()
        except ResponseError as error:
            raise ResultsError(str(error)) from None
        return [(self._result(entries[place]), parts[place]) for place in self._places(entries, ids)]

    def _entries(self, body: bytes, count: int) -> list[Any]:
        try:
            found: Any = orjson.loads(body.removeprefix(BOM))
        except orjson.JSONDecodeError:
            message = "the answer to the batch is not JSON"
            raise ResultsError(message) from None
        found, where = at(found, self._path), self._path
        if not isinstance(found, list):
            message = f"the answer to the batch has no list at {where}"
            raise ResultsError(message)
        if len(found) != count:
            message = f"the answer to the batch has {len(found)} results at {where} for {count} rows"
            raise ResultsError(message)
        return found

    def _places(self, entries: list[Any], ids: Callable[[], Sequence[str | None]]) -> Sequence[int]:
        """Where the entry of each row stands."""
        return range(len(entries)) if self._id_field is None else self._by_id(entries, ids())

    def _by_id(self, entries: list[Any], ids: Sequence[str | None]) -> list[int]:
        named = {_text(at(entry, self._id_field or "")): place for place, entry in enumerate(entries)}
        missing = [name for name in ids if name is None or name not in named]
        if missing or len(set(ids)) != len(ids):
            message = f"the answer to the batch does not name each row once by {self._id_field}"
            raise ResultsError(message)
        return [named[name or ""] for name in ids]

    def _result(self, entry: Any) -> RowResult:
        told = at(entry, self._ok) if self._ok else None
        reason = at(entry, self._error) if self._error else None
        status = _status(told)
        if self._ok is None:
            ok = self._error is None or not reason
        elif status:
            ok = status in self._success
        else:
            ok = told is True or told in ("true", "ok", "success", "created", "updated")
        return RowResult(ok, status, "" if ok else _reason(reason, told))


def _status(told: object) -> int:
    if isinstance(told, bool):
        return 0
    if isinstance(told, int) and 100 <= told <= 599:
        return told
    if isinstance(told, str) and len(told) == 3 and told.isdecimal():
        return int(told)
    return 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _reason(reason: object, told: object) -> str:
    if reason is None or reason == "":
        return f"refused with {_text(told)}" if told is not None else "refused"
    return _text(reason)[:_REASON_LENGTH]
