"""A schema compiled into what reads it: msgspec types for whole pages, and Arrow columns out of what they decode.

    >>> node = compiled(pa.struct({"id": pa.int64(), "at": pa.timestamp("us", "UTC")}), Reading())
    >>> rows = msgspec.json.decode(b'[{"id": 1, "at": "2024-05-01T12:00:00Z"}]', type=list[node.wire(loose=False)])
    >>> node.build(rows, loose=False)
    <pyarrow.StructArray ... [{"id": 1, "at": 2024-05-01 12:00:00Z}]>

Each type is read in two ways. The strict one is quick and takes what well-behaved servers send; the loose one takes
all that the type accepts (a number in a column of strings, `1.0` in one of integers, `"NaN"` in one of doubles), from
the text of the value. Both end in the same `build`, which raises one of FAILURES when a value does not fit. What types
without children take is told in `leaves`.
| Arrow type | read |
|---|---|
| struct, list | objects, arrays; a field that is absent is null |
| map | objects; keys that are no strings are read from the text of the key |
| Variant | anything |
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import OptionError
from trunkline.values.assembly import children, is_variant
from trunkline.values.leaves import FAILURES, Leaf, Misfit, Reading, leaf, variant_leaf

# What a name must not hold for msgspec to look for it in the JSON text.
_ESCAPED = {*map(chr, range(0x20)), '"', "\\"}
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class StructNode:
    """A struct: objects, read into one msgspec class that is made for its fields."""

    key: Literal["json"] = "json"

    def __init__(self, kind: pa.DataType, nodes: list[Node]) -> None:
        self.kind = kind
        self._fields = [*zip(children(kind), nodes, strict=True)]
        # A comprehension that names its attribute takes half the time of map() with an attrgetter.
        self._get = [eval(f"lambda rows: [row.f{i} for row in rows]") for i in range(len(nodes))]  # noqa: S307
        self._wires = {loose: self._record_class(loose) for loose in (False, True)}

    @classmethod
    def of(cls, fields: Sequence[pa.Field], reading: Reading) -> StructNode:
        """What reads the columns of a schema."""
        return cls(pa.struct(fields), [compiled(field.type, reading, field.name) for field in fields])

    def wire(self, *, loose: bool) -> Any:
        """The msgspec type of an object: a class with fields `f0`, `f1`, ... for the members it takes."""
        wire = self._wires[loose]
        return wire if wire is msgspec.Raw else wire | None

    def columns(self, rows: Sequence[Any], *, loose: bool, valid: pa.Array | None = None) -> list[pa.Array]:
        """The columns of decoded objects. `valid` tells which of them do not only fill the place of a null."""
        if self._wires[loose] is msgspec.Raw:
            return self._one_by_one(rows).flatten()  # type: ignore[no-any-return]
        built = []
        for get, (field, node) in zip(self._get, self._fields, strict=True):
            array = node.build(get(rows), loose=loose)
            if array.null_count and not field.nullable:
                _refuse_nulls(array, valid)
            built.append(array)
        return built

    def build(self, values: Sequence[Any], *, loose: bool) -> pa.Array:
        """The column of decoded objects."""
        if self._wires[loose] is msgspec.Raw:
            return self._one_by_one(values)
        valid = _validity(values)
        if valid is not None:
            empty = self._wires[loose]()
            values = [empty if value is None else value for value in values]
        arrays = self.columns(values, loose=loose, valid=valid)
        return pa.Array.from_buffers(self.kind, len(values), [_bits(valid)], children=arrays)

    def value(self, raw: bytes, path: str, misfits: list[Misfit]) -> dict[str, Any] | None:
        """One object of its JSON text; a field that does not fit is null, or the object where it must not be."""
        if raw == b"null":
            return None
        found = self.members(raw, path, path + ".", misfits)
        if found is None or any(found[field.name] is None and not field.nullable for field, _ in self._fields):
            return None
        return found

    def members(self, raw: bytes, path: str, prefix: str, misfits: list[Misfit]) -> dict[str, Any] | None:
        """The fields of one object; None where there is none, fields that do not fit are null whether they may or not.

        Every null where there must be none is a misfit.
        """
        try:
            raw.decode()
            members = _object(raw)
        except FAILURES:
            misfits.append(Misfit(path, self.kind, raw))
            return None
        found = {}
        for field, node in self._fields:
            there = prefix + field.name
            before = len(misfits)
            member = bytes(members.get(field.name, b"null"))
            found[field.name] = node.value(member, there, misfits)
            if found[field.name] is None and not field.nullable and len(misfits) == before:
                misfits.append(Misfit(there, field.type, member if field.name in members else b""))
        return found

    def _record_class(self, loose: bool) -> Any:
        # Names that msgspec does not take: an object is then read on its own, by `members`.
        if any(set(field.name) & _ESCAPED for field, _ in self._fields):
            return msgspec.Raw
        fields = [(f"f{i}", node.wire(loose=loose), None) for i, (_, node) in enumerate(self._fields)]
        names = {f"f{i}": field.name for i, (field, _) in enumerate(self._fields)}
        # Without gc: decoded JSON has no cycles.
        return msgspec.defstruct("Record", fields, rename=names, gc=False, eq=False)

    def _one_by_one(self, values: Sequence[Any]) -> pa.Array:
        misfits: list[Misfit] = []
        objects = [None if value is None else self.value(bytes(value), "", misfits) for value in values]
        if misfits:
            raise ValueError("an object that does not fit")
        return pa.array(objects, self.kind)


class ListNode:
    """A list: arrays, their elements built as one column."""

    key: Literal["json"] = "json"

    def __init__(self, kind: pa.DataType, element: Node) -> None:
        self.kind, self._element = kind, element

    def wire(self, *, loose: bool) -> Any:
        """The msgspec type of an array."""
        return list[self._element.wire(loose=loose)] | None  # type: ignore[misc]

    def build(self, values: Sequence[Any], *, loose: bool) -> pa.Array:
        """The column of decoded arrays."""
        elements = self._element.build(list(chain.from_iterable(filter(None, values))), loose=loose)
        if elements.null_count and not self.kind.value_field.nullable:
            _refuse_nulls(elements, None)
        buffers = [_bits(_validity(values)), _offsets(values)]
        return pa.Array.from_buffers(self.kind, len(values), buffers, children=[elements])

    def value(self, raw: bytes, path: str, misfits: list[Misfit]) -> list[Any] | None:
        """One array of its JSON text; null where one element does not fit."""
        if raw == b"null":
            return None
        before = len(misfits)
        try:
            elements = [bytes(element) for element in _array(raw)]
        except FAILURES:
            misfits.append(Misfit(path, self.kind, raw))
            return None
        found = [self._element.value(element, path + "[]", misfits) for element in elements]
        if not self.kind.value_field.nullable and len(misfits) == before and None in found:
            misfits.append(Misfit(path + "[]", self.kind.value_type, b"null"))
        return None if len(misfits) > before else found


class MapNode:
    """A map: objects, their keys and values built as one column each."""

    key: Literal["json"] = "json"

    def __init__(self, kind: pa.DataType, key: Node, item: Node) -> None:
        self.kind, self._key, self._item = kind, key, item

    def wire(self, *, loose: bool) -> Any:
        """The msgspec type of an object."""
        return dict[str, self._item.wire(loose=loose)] | None  # type: ignore[misc]

    def build(self, values: Sequence[Any], *, loose: bool) -> pa.Array:
        """The column of decoded objects."""
        present = [value for value in values if value]
        keys = of_texts(self._key, list(chain.from_iterable(present)))
        items = self._item.build([item for value in present for item in value.values()], loose=loose)
        if items.null_count and not self.kind.item_field.nullable:
            _refuse_nulls(items, None)
        if len(keys) > 1 and not pa.types.is_string(keys.type):
            _refuse_equal_keys(keys, present)
        pairs = pa.struct([self.kind.key_field, self.kind.item_field])
        entries = pa.Array.from_buffers(pairs, len(keys), [None], children=[keys, items])
        buffers = [_bits(_validity(values)), _offsets(values)]
        return pa.Array.from_buffers(self.kind, len(values), buffers, children=[entries])

    def value(self, raw: bytes, path: str, misfits: list[Misfit]) -> list[tuple[Any, Any]] | None:
        """One object of its JSON text, as pairs; null where a key or a value does not fit."""
        if raw == b"null":
            return None
        before = len(misfits)
        try:
            members = _object(raw)
        except FAILURES:
            misfits.append(Misfit(path, self.kind, raw))
            return None
        found: list[tuple[Any, Any]] = []
        for name, item in members.items():
            key = value_of_text(self._key, name, path + "{key}", misfits)
            value = self._item.value(bytes(item), path + "{}", misfits)
            if len(misfits) == before and any(key == other for other, _ in found):
                misfits.append(Misfit(path + "{key}", self.kind.key_type, name.encode()))
            if len(misfits) == before and value is None and not self.kind.item_field.nullable:
                misfits.append(Misfit(path + "{}", self.kind.item_type, b"null"))
            found.append((key, value))
        return None if len(misfits) > before else found


Node: TypeAlias = Leaf | StructNode | ListNode | MapNode


def compiled(kind: pa.DataType, reading: Reading, path: str = "") -> Node:
    """What reads a type.

    Raises:
        OptionError: Nothing does.
    """
    if is_variant(kind):
        return variant_leaf(kind)
    if pa.types.is_struct(kind):
        return StructNode(kind, [compiled(field.type, reading, f"{path}.{field.name}") for field in children(kind)])
    if pa.types.is_map(kind):
        item = compiled(kind.item_type, reading, path + "{}")
        return MapNode(kind, compiled(kind.key_type, reading, path + "{key}"), item)
    if pa.types.is_list(kind):
        return ListNode(kind, compiled(kind.value_type, reading, path + "[]"))
    found = leaf(kind, reading)
    if found is None:
        name = path.removeprefix(".") or str(kind)
        raise OptionError(
            f"column {name} cannot be read: {kind} has no form in an answer; read it as STRING and cast it"
        )
    return found


def of_texts(node: Node, texts: Sequence[str | None]) -> pa.Array:
    """The column of plain texts: the keys of maps, the fields of CSV."""
    if node.key == "text":
        return node.build(texts, loose=False)
    decode = msgspec.json.Decoder(node.wire(loose=True)).decode
    array = node.build([None if text is None else decode(_as_json(node, text)) for text in texts], loose=True)
    if array.null_count != texts.count(None):
        raise ValueError("the word null")
    return array


def value_of_text(node: Node, text: str | None, path: str, misfits: list[Misfit]) -> Any:
    """The value of one plain text; None, and a misfit, where it is none."""
    if text is None:
        return None
    before = len(misfits)
    value = node.value(_as_json(node, text), path, misfits)
    if value is None and len(misfits) == before:
        misfits.append(Misfit(path, node.kind, text.encode()))
    return value


def _as_json(node: Node, text: str) -> bytes:
    return text.strip().encode() if node.key == "json" else orjson.dumps(text)


def _validity(values: Sequence[Any]) -> pa.Array | None:
    return pa.array([value is not None for value in values]) if None in values else None


def _bits(valid: pa.Array | None) -> pa.Buffer | None:
    return None if valid is None else valid.buffers()[1]


def _offsets(values: Sequence[Any]) -> pa.Buffer:
    offsets = np.zeros(len(values) + 1, np.int32)
    lengths = map(len, [value or () for value in values] if None in values else values)
    np.cumsum(np.fromiter(lengths, np.int32, len(values)), out=offsets[1:])
    return pa.py_buffer(offsets)


def _refuse_nulls(array: pa.Array, valid: pa.Array | None) -> None:
    nulls = array.is_null() if valid is None else pc.and_(array.is_null(), valid)
    if pc.any(nulls).as_py():
        raise ValueError("a null where there must be none")


def _refuse_equal_keys(keys: pa.Array, present: Sequence[dict[str, Any]]) -> None:
    start = 0
    for value in present:
        own = keys.slice(start, len(value)).to_pylist()
        if any(key in own[:i] for i, key in enumerate(own)):
            raise ValueError("two spellings of one key")
        start += len(value)
