r"""Record batches as JSON: every column becomes a column of texts, and one join makes all rows.

    >>> batch = pa.record_batch({"id": [1, 2], "name": ["Ann", None]})
    >>> rows = encode(batch, JsonOptions())
    >>> rows.join(0, 2)
    b'{"id":1,"name":"Ann"},{"id":2,"name":null}'

All rows lie in one buffer with their separators, so that the body of any run of rows is one slice of it.
How single values are written is told in `scalars`. Structs are objects, lists of any kind are arrays, maps are
objects whose keys are the text of the key (a nested key: its JSON), Variants are what Spark's own `to_json` gives.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trunkline.errors import OptionError
from trunkline.values.assembly import children, is_list, join, members, plain
from trunkline.values.scalars import JsonOptions, Refuse, scalar
from trunkline.values.strings import LARGE, NULL, bytes_of


@dataclass(frozen=True)
class JsonRows:
    """The rows of a batch as JSON texts in one buffer.

    Attributes:
        data: All rows, each followed by the separator. Refused rows take no bytes.
        offsets: Where each row begins, and after them the end: one more than rows.
        errors: Why a row could not be written, by its position in the batch.
        lossless: Whether `row_digests` can take the digests from these texts.
    """

    data: memoryview
    offsets: list[int]
    errors: dict[int, str] = field(default_factory=dict)
    lossless: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, i: int) -> bytes:
        """The JSON of row `i`; empty when it was refused."""
        return self.join(i, i + 1)

    def join(self, i: int, j: int) -> bytes:
        """The JSON of rows `i` to `j - 1` with the separator between them; refused rows are left out."""
        return bytes(self.data[self.offsets[i] : max(self.offsets[j] - 1, self.offsets[i])])

    def size(self, i: int, j: int) -> int:
        """The length of `join(i, j)` in bytes."""
        return max(self.offsets[j] - self.offsets[i] - 1, 0)

    def end_within(self, i: int, max_rows: int, max_bytes: int) -> int:
        """The greatest `j` for which `join(i, j)` is within both limits; a row above `max_bytes` goes alone."""
        last = min(i + max_rows, len(self))
        return min(max(bisect_right(self.offsets, self.offsets[i] + max_bytes + 1, i, last + 1) - 1, i + 1), len(self))


def encode(batch: pa.RecordBatch, options: JsonOptions) -> JsonRows:
    """Each row of a batch as a JSON object.

    Rows that hold a value JSON cannot carry are refused alone: their reason stands in `errors`, named by the path of
    the value (`a.b[]` an element of an array, `m{}` a value of a map), and the others are written.

    Raises:
        OptionError: The schema cannot be written: see `check_schema`.
    """
    check_schema(batch.schema)
    errors: dict[int, str] = {}
    rows = write(batch, options, _into(errors))
    if errors:
        rows = pc.if_else(_mask(errors, len(batch)), pa.scalar("", LARGE), rows)
    by_default = options == JsonOptions(separator=options.separator)
    lossless = by_default and not errors and not _has_floats(batch.schema)
    offsets, data = bytes_of(rows)
    return JsonRows(data.data, offsets.tolist(), errors, lossless)


def write(batch: pa.RecordBatch, options: JsonOptions, refuse: Refuse | None) -> pa.Array:
    """The rows of a batch as a large_string column, each with its separator behind; `refuse` as in `scalars`."""
    pieces = members(batch.schema, batch.columns, len(batch), "", options, refuse)
    return join([*pieces, options.separator], len(batch))


def texts(
    array: pa.Array,
    options: JsonOptions | None = None,
    *,
    name: str = "value",
    errors: dict[int, str] | None = None,
) -> pa.Array:
    """A column as plain text for URLs, parameters and headers: strings as they are, no quotes, null stays null.

    Structs, lists, maps and Variants become their JSON.

    Args:
        array: The column.
        options: As for `encode`.
        name: The column's name, for what is reported.
        errors: Takes the reason for each value that cannot be written, which becomes null.

    Returns:
        A large_string column.

    Raises:
        OptionError: The type cannot be written.
        ValueError: A value cannot be written and there is no `errors` to take it.
    """
    check_schema(pa.schema([pa.field(name, array.type)]))
    found: dict[int, str] = {}
    result = plain(array, name, options or JsonOptions(), _into(found))
    if not found:
        return result
    if errors is None:
        raise ValueError(next(iter(found.values())))
    errors.update(found)
    return pc.if_else(_mask(found, len(array)), NULL, result)


@functools.lru_cache(maxsize=256)
def check_schema(schema: pa.Schema) -> None:
    """Refuse what can never be written, before the first row.

    Raises:
        OptionError: A name stands twice in one struct, or a type has no JSON form; all of them are named.
    """
    problems = list(_problems(list(schema), ""))
    if problems:
        raise OptionError("these columns cannot be written as JSON", problems)


def _into(errors: dict[int, str]) -> Refuse:
    def refuse(path: str, problem: str, rows: NDArray[Any]) -> None:
        for row in rows.tolist():
            errors.setdefault(row, f"column {path} {problem}")

    return refuse


def _mask(rows: Iterable[int], length: int) -> pa.Array:
    mask = np.zeros(length, bool)
    mask[list(rows)] = True
    return pa.array(mask)


def _problems(fields: Sequence[pa.Field], prefix: str) -> Iterable[str]:
    names = [child.name for child in fields]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{prefix}{name}: the name stands more than once; give each field a name of its own"
    for child in fields:
        yield from _type_problems(child.type, prefix + child.name)


def _type_problems(kind: pa.DataType, path: str) -> Iterable[str]:
    if pa.types.is_struct(kind):
        yield from _problems(children(kind), path + ".")
    elif pa.types.is_map(kind):
        yield from _type_problems(kind.key_type, path + "{key}")
        yield from _type_problems(kind.item_type, path + "{}")
    elif is_list(kind):
        yield from _type_problems(kind.value_type, path + "[]")
    elif pa.types.is_dictionary(kind):
        yield from _type_problems(kind.value_type, path)
    elif scalar(pa.nulls(0, kind), path, JsonOptions(), None) is None:
        yield f"{path}: {kind} has no JSON form; cast it to a string"


def _has_floats(schema: pa.Schema) -> bool:
    def floats(kind: pa.DataType) -> bool:
        inner = [kind.value_type] if pa.types.is_dictionary(kind) else [child.type for child in children(kind)]
        return pa.types.is_floating(kind) or any(map(floats, inner))

    return any(map(floats, schema.types))
