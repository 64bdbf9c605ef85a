"""Fields of a schema that no record has: most often a name that is spelled in another way.

    fields = AbsentFields(schema, "misspelt")
    fields.look(batch.columns, lambda: [b'{"user_name": "Ann"}'])
    # ResponseError: no record has userName, but user_name, which the schema leaves out: ...

Many APIs leave out a field that is null, so that a field is in no record proves nothing by itself. A field that the
schema does not name, beside it and of nearly the same name, does.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
import pyarrow as pa

from trunkline.errors import ResponseError
from trunkline.values.assembly import children, is_list, is_variant
from trunkline.values.leaves import FAILURES

# Records whose names are looked at, of all pages together: names do not change much from one to the next.
_MOST_RECORDS = 1000
# From so many letters on, one letter more or two that changed places is a slip, and not another word; one that stands
# for another is later, or `date` would be `data`.
_WORD, _LONG_WORD = 4, 6
# So many names of a record stand in an error.
_MOST_NAMES = 20

log = logging.getLogger("trunkline.rest")


class AbsentFields:
    """Looks for the fields of a schema in the records that come first.

    Args:
        fields: Of a record, nested ones among them; without a column for the text of those that do not fit.
        mode: `misspelt`: a field that is in no record of a page is an error where they have one of nearly its name
            that the schema does not take, and else a line in the log. `error`: it is an error. `null`: it is null.
        around: What errors leave out at the beginning of a path: the name of a field that only holds the others.
        read: Names the read, so that it writes into the log for itself.
    """

    def __init__(self, fields: Iterable[pa.Field], mode: str, around: str = "", read: str = "") -> None:
        self._fields = list(fields)
        self._around = around
        self._read = read
        self._strict = mode == "error"
        self._unseen = set(_all(self._fields, "")) if mode != "null" else set()
        self._left = _MOST_RECORDS

    def look(self, columns: Sequence[pa.Array], records: Callable[[], Iterable[bytes]]) -> None:
        """Compare what was read of a page with the names that its records hold.

        Costs nothing once every field was seen, or enough records were looked at.

        Args:
            columns: What was made of the records, a column for each field.
            records: The text of each record; asked for only where a column holds nothing.

        Raises:
            ResponseError: A field is in no record, and should be.
        """
        if not self._unseen or not self._left:
            return
        for field, column in zip(self._fields, columns, strict=True):
            self._see(field, column, "")
        if not self._unseen:
            return
        held: dict[str, dict[str, None]] = {}
        for record in islice(records(), self._left):
            self._left -= 1
            try:
                _note(self._fields, msgspec.json.decode(record), "", held)
            except FAILURES:
                continue
        self._unseen -= {(prefix, name) for prefix, name in self._unseen if name in held.get(prefix, ())}
        absent = [(prefix, name) for prefix, name in sorted(self._unseen) if prefix in held]
        for prefix, name in absent:
            path = self._shown(prefix + name)
            others = [one for one in held[prefix] if (prefix, one) not in self._taken]
            if near := [one for one in others if is_near(name, one)]:
                raise ResponseError(
                    f"no record has {path}, but {near[0]}, which the schema leaves out: did you mean {near[0]}? "
                    "Correct the schema (names are told apart by case), or set missingFields=null if both may occur"
                )
            if self._strict:
                names = ", ".join(others[:_MOST_NAMES]) or "nothing"
                raise ResponseError(
                    f"no record has {path}; beside what the schema takes they hold {names}: correct the "
                    "schema, or leave out missingFields=error if the API leaves the field out where it is null"
                )
        if absent:
            _tell(", ".join(self._shown(prefix + name) for prefix, name in absent), self._read)

    @functools.cached_property
    def _taken(self) -> set[tuple[str, str]]:
        return set(_all(self._fields, ""))

    def _shown(self, path: str) -> str:
        return path.removeprefix(self._around).removeprefix(".")

    def _see(self, field: pa.Field, column: pa.Array, prefix: str) -> None:
        """Note that a field, and those inside of it, have a value somewhere in a column."""
        if column.null_count == len(column):
            return
        self._unseen.discard((prefix, field.name))
        inner, path = _inside(field.type, prefix + field.name)
        if not inner:
            return
        while pa.types.is_map(column.type) or is_list(column.type):
            column = column.items if pa.types.is_map(column.type) else column.flatten()
        for number, child in enumerate(inner):
            self._see(child, column.field(number), path)


def is_near(name: str, other: str) -> bool:
    """Whether one of two names may be the other, spelled in another way or with a slip."""
    one, two = _bare(name), _bare(other)
    if one == two:
        return True
    if re.sub(r"\D", "", one) != re.sub(r"\D", "", two):
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    one, two, length, tail = one[start:], two[start:], max(len(one), len(two)), ""
    while one and two and one[-1] == two[-1]:
        one, two, tail = one[:-1], two[:-1], one[-1] + tail
    swapped = len(one) == 2 and one == two[::-1]
    if one + two == "s" and not tail:
        # `label` and `labels` are two fields of many APIs.
        return False
    if swapped or len(one) + len(two) == 1:
        return length >= _WORD
    return len(one) == len(two) == 1 and length >= _LONG_WORD


def _bare(name: str) -> str:
    """Without what people write differently: `userName`, `user_name` and `User-Name`."""
    return re.sub(r"[._\s-]", "", name).casefold()


def _inside(kind: pa.DataType, path: str) -> tuple[list[pa.Field], str]:
    """The fields of the objects in a column, and what their paths begin with; none where it holds no objects."""
    while pa.types.is_map(kind) or is_list(kind):
        kind, path = (kind.item_type, path + "{}") if pa.types.is_map(kind) else (kind.value_type, path + "[]")
    if pa.types.is_struct(kind) and not is_variant(kind):
        return children(kind), path + "."
    return [], path


def _all(fields: Iterable[pa.Field], prefix: str) -> Iterator[tuple[str, str]]:
    for field in fields:
        yield prefix, field.name
        yield from _all(*_inside(field.type, prefix + field.name))


def _note(fields: Iterable[pa.Field], record: Any, prefix: str, held: dict[str, dict[str, None]]) -> None:
    """Write down the names that an object holds, and those inside of it that the schema looks into."""
    if not isinstance(record, dict):
        return
    held.setdefault(prefix, {}).update(dict.fromkeys(record))
    for field in fields:
        inner, path = _inside(field.type, prefix + field.name)
        if inner:
            for one in _objects(record.get(field.name), field.type):
                _note(inner, one, path, held)


def _objects(value: Any, kind: pa.DataType) -> Iterator[Any]:
    """The objects in a value, through the maps and lists around them."""
    if pa.types.is_map(kind):
        for one in value.values() if isinstance(value, dict) else ():
            yield from _objects(one, kind.item_type)
    elif is_list(kind):
        for one in value if isinstance(value, list) else ():
            yield from _objects(one, kind.value_type)
    else:
        yield value


@functools.lru_cache(maxsize=256)
def _tell(names: str, read: str) -> None:  # noqa: ARG001 - what it is remembered by
    """Once for a read in each process: its tasks, and the micro-batches of a stream, find the same."""
    log.warning(
        "no record so far has %s, which the schema names: null in every row. Compare the name with the API's; where "
        "it is right, missingFields=null says so, and missingFields=error makes this an error",
        names,
    )
