"""Columns with children as JSON: structs, lists, maps and Variants, put together without looking at single rows.

A column is a list of pieces to be joined side by side: constants and columns of texts. Pieces of children go up into
their parent's list as they are, so that a struct of ten fields costs one join and not ten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trunkline.values.scalars import JsonOptions, Refuse, scalar
from trunkline.values.strings import LARGE, base64, escaped, is_text, with_nulls_of

# What a column is made of, to be joined side by side: constants and columns of large_string. A null in one of the
# columns stands for the JSON null, so that a column that can be null is always one single piece.
Pieces: TypeAlias = list["str | pa.Array"]


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's list types (maps are not)."""
    t = pa.types
    views = hasattr(t, "is_list_view") and (t.is_list_view(kind) or t.is_large_list_view(kind))
    return t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind) or views


def children(kind: pa.DataType) -> list[pa.Field]:
    """The fields of a struct type, or what stands in for them in other nested types."""
    return [kind.field(i) for i in range(kind.num_fields)]


def is_variant(kind: pa.DataType) -> bool:
    """Whether a type is Spark's Variant: a struct<value: binary, metadata: binary> whose second field says so."""
    return kind.num_fields == 2 and any((child.metadata or {}).get(b"variant") == b"true" for child in children(kind))


def pieces_of(array: pa.Array, kind: pa.DataType, path: str, options: JsonOptions, refuse: Refuse | None) -> Pieces:
    """A column as pieces of JSON. `path` names it in what is told to `refuse` (see `scalars.Refuse`)."""
    found = scalar(array, path, options, refuse)
    if found is not None:
        if not found.quoted:
            return [found.texts]
        inside = escaped(found.texts) if is_text(kind) else found.texts
        return _enclosed('"', inside, found.suffix + '"')
    if pa.types.is_dictionary(kind):
        return pieces_of(array.dictionary_decode(), kind.value_type, path, options, refuse)
    if pa.types.is_map(kind):
        return _map(array, path, options, refuse)
    if pa.types.is_struct(kind):
        return _variants(array, path, refuse) if is_variant(kind) else _struct(array, path, options, refuse)
    return _list(array, path, options, refuse)


def plain(array: pa.Array, path: str, options: JsonOptions, refuse: Refuse | None) -> pa.Array:
    """A column as plain text (large_string, null stays null); nested ones as their JSON."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    found = scalar(array, path, options, refuse)
    if found is None:
        pieces = pieces_of(array, array.type, path, options, refuse)
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], pa.Array) else join(pieces, len(array))
    if not found.suffix:
        return found.texts
    return join([found.texts, found.suffix], len(array), nulls="emit_null")


def members(
    fields: Iterable[pa.Field],
    columns: Sequence[pa.Array],
    length: int,
    prefix: str,
    options: JsonOptions,
    refuse: Refuse | None,
) -> Pieces:
    """Columns of `length` rows as one object per row."""
    named: list[Pieces] = []
    for child, column in zip(fields, columns, strict=True):
        name = orjson.dumps(child.name).decode()
        named.append([name + ":", *pieces_of(column, column.type, prefix + child.name, options, refuse)])
    if options.nulls == "omit":
        return ["{", *_without_nulls(named, length), "}"]
    inside = [piece for i, pieces in enumerate(named) for piece in ([","] if i else []) + pieces]
    return ["{", *inside, "}"]


def join(pieces: Pieces, length: int, nulls: str = "replace") -> pa.Array:
    """Pieces side by side as one column; a null becomes `null`, or with `emit_null` the whole text null."""
    merged: list[Any] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        elif not isinstance(piece, str) or piece:
            merged.append(piece)
    if all(isinstance(piece, str) for piece in merged):
        return pa.repeat(pa.scalar("".join(merged), LARGE), length)
    if len(merged) == 1 and merged[0].null_count == 0:
        return merged[0]
    parts = [pa.scalar(piece, LARGE) if isinstance(piece, str) else piece for piece in merged]
    return pc.binary_join_element_wise(*parts, pa.scalar("", LARGE), null_handling=nulls, null_replacement="null")


def _without_nulls(named: list[Pieces], length: int) -> Pieces:
    """The members of an object, where a null drops its name and its comma.

    A comma stands behind what comes before the first member that is always there, and before what comes after it.
    Not by binary_join_element_wise(null_handling="skip"): it loses the rows in which all are null (Arrow 26).
    """
    anchor = next((i for i, pieces in enumerate(named) if not _nullable(pieces[1:])), len(named))
    inside: Pieces = []
    for i, pieces in enumerate(named):
        before, after = ("," if i > anchor else ""), ("," if i < anchor else "")
        member = [before, *pieces, after]
        if _nullable(pieces[1:]):
            member = [pc.fill_null(join(member, length, nulls="emit_null"), "")]
        inside += member
    return [pc.ascii_rtrim(join(inside, length), characters=",")] if anchor == len(named) else inside


def _nullable(pieces: Pieces) -> bool:
    return len(pieces) == 1 and not isinstance(pieces[0], str) and pieces[0].null_count > 0


def _struct(array: pa.Array, path: str, options: JsonOptions, refuse: Refuse | None) -> Pieces:
    # flatten() lets the children be null where the struct is, so that what lies there is not looked at.
    pieces = members(children(array.type), array.flatten(), len(array), path + ".", options, refuse)
    return [with_nulls_of(array, join(pieces, len(array)))] if array.null_count else pieces


def _list(array: pa.Array, path: str, options: JsonOptions, refuse: Refuse | None) -> Pieces:
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        array = _as_list(array)
    offsets, first, length = _span(array)
    inner = _upwards(refuse, array, offsets)
    values = array.values.slice(first, length)
    elements = join(pieces_of(values, values.type, path + "[]", options, inner), length)
    return _bracketed("[", array, offsets, elements, "]")


def _map(array: pa.Array, path: str, options: JsonOptions, refuse: Refuse | None) -> Pieces:
    offsets, first, length = _span(array)
    inner = _upwards(refuse, array, offsets)
    keys, items = array.keys.slice(first, length), array.items.slice(first, length)
    names = plain(keys, path + "{key}", options, inner)
    pieces = pieces_of(items, items.type, path + "{}", options, inner)
    entries = join(['"', escaped(names), '":', *pieces], length)
    return _bracketed("{", array, offsets, entries, "}")


def _as_list(array: pa.Array) -> pa.Array:
    # Views and fixed-size lists: Arrow's flatten() lays the elements of the valid ones side by side.
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))
    return pa.LargeListArray.from_arrays(offsets, array.flatten(), mask=array.is_null())


def _span(array: pa.Array) -> tuple[NDArray[Any], int, int]:
    """Offsets counted from 0, where the elements of a possibly sliced list begin, and how many there are."""
    offsets = array.offsets.to_numpy().astype(np.int64) if len(array) else np.zeros(1, np.int64)
    return offsets - offsets[0], int(offsets[0]), int(offsets[-1] - offsets[0])


def _upwards(refuse: Refuse | None, array: pa.Array, offsets: NDArray[Any]) -> Refuse | None:
    """`refuse` for the elements of a list: an element's row is its list's; what lies under a null list is no value."""
    if refuse is None:
        return None

    def inner(path: str, problem: str, elements: NDArray[Any]) -> None:
        rows = np.unique(np.searchsorted(offsets, elements, side="right") - 1)
        rows = rows[array.is_valid().to_numpy(zero_copy_only=False)[rows]]
        if len(rows):
            refuse(path, problem, rows)

    return inner


def _bracketed(left: str, array: pa.Array, offsets: NDArray[Any], elements: pa.Array, right: str) -> Pieces:
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), elements)
    return _enclosed(left, with_nulls_of(array, pc.binary_join(lists, pa.scalar(",", LARGE))), right)


def _variants(array: pa.Array, path: str, refuse: Refuse | None) -> Pieces:
    from pyspark.sql.types import VariantVal

    values, metadata = (array.field(name).to_pylist() for name in ("value", "metadata"))
    written: list[str | None] = []
    bad: list[int] = []
    for i, valid in enumerate(array.is_valid().to_pylist()):
        text = _variant(VariantVal(values[i], metadata[i])) if valid else None
        if valid and text is None:
            bad.append(i)
        written.append(text)
    texts = pa.array(written, LARGE)
    if not bad:
        return [texts]
    if refuse is not None:
        refuse(path, "is a Variant that is damaged or holds NaN or infinity", np.array(bad))
        return [texts]
    raw = join([base64(array.field("value")), ".", base64(array.field("metadata"))], len(array))
    return [with_nulls_of(array, pc.coalesce(texts, raw))]


def _variant(value: Any) -> str | None:
    try:
        text: str = value.toJson()
        # It writes nan and inf bare; anything it writes with those letters is read back to be sure.
        if "nan" in text or "inf" in text:
            orjson.loads(text)
        return text
    except Exception:  # noqa: BLE001 - bytes that are no Variant fail in many ways, each of them this row's own
        return None


def _enclosed(left: str, texts: pa.Array, right: str) -> Pieces:
    if texts.null_count == 0:
        return [left, texts, right]
    return [join([left, texts, right], len(texts), nulls="emit_null")]
