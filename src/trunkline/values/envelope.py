"""Where in an answer the records are, found without reading them.

    >>> answer = open_envelope(b'{"items": [{"id": 1}, {"id": 2}], "next": "abc"}', "items")
    >>> answer.document, answer.records, answer.count, answer.last()
    ({'items': None, 'next': 'abc'}, b'[{"id": 1}, {"id": 2}]', 2, {'id': 2})

Only what stands around the records becomes Python values; they stay the JSON text they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from trunkline.errors import ResponseError

BOM = b"\xef\xbb\xbf"

# As much of an answer as an error shows.
_HEAD = 200
# Lists that tell how a request fared.
_NO_RECORDS = frozenset({"error", "errors", "warning", "warnings", "messages"})
_RAW = msgspec.json.Decoder(msgspec.Raw)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class Envelope:
    """An answer, with the records apart from what is around them.

    Attributes:
        document: The answer's JSON, null where the records were; the whole of it where the answer itself is a record.
        records: The records as the text of a JSON array, well-formed.
        path: Where they were found, as the option `records` has it.
    """

    document: Any
    records: bytes
    path: str

    @property
    def count(self) -> int:
        """How many records there are. Whoever reads them knows without a look through the text."""
        return len(self._elements)

    def texts(self) -> list[bytes]:
        """Each record's own text."""
        return [bytes(element) for element in self._elements]

    def last(self) -> Any:
        """The last record; None when there is none."""
        return msgspec.json.decode(self._elements[-1]) if self._elements else None

    @cached_property
    def _elements(self) -> list[msgspec.Raw]:
        return _LIST.decode(self.records)


def open_envelope(body: bytes, path: str | None) -> Envelope:
    """Find the records of an answer.

    Args:
        body: The answer: JSON in UTF-8, with or without a byte order mark.
        path: The option `records`. `data.items` leads there by names (one that holds dots itself is found too), `$` is
            the answer itself, an array or one record; with `?` at the end, records may be missing. A null there means
            no records. None: the answer if it is an array; else its one field that is a list of objects or empty;
            else, where there is no list of objects further down either, the answer is one record.

    Raises:
        ResponseError: The answer is no JSON, or holds no records at `path`, or, without a path, in several places.
    """
    body = body.removeprefix(BOM)
    try:
        # What is skipped below is not checked for UTF-8 there.
        body.decode()
        raw = body.strip(b" \t\r\n")
        return _find(raw) if path is None else _at(raw, path)
    except UnicodeDecodeError as error:
        raise ResponseError(f"the answer is not UTF-8 at byte {error.start}: {head(body)}") from None
    except msgspec.DecodeError as error:
        raise ResponseError(f"the answer is no JSON ({error}): {head(body)}") from None
    except RecursionError:
        raise ResponseError(f"the answer is nested too deep: {head(body)}") from None


def head(body: bytes, limit: int = _HEAD) -> str:
    """The beginning of an answer, or of a value, on one line for an error."""
    if not body.strip():
        return "it is empty"
    text = " ".join(body[: 4 * limit].decode(errors="replace").split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _find(raw: bytes) -> Envelope:
    if raw[:1] != b"{":
        return _at(raw, "$")
    fields = _OBJECT.decode(raw)
    candidates = [name for name, value in fields.items() if _may_be_records(bytes(value))]
    if len(candidates) == 1 and candidates[0].lower() in _NO_RECORDS:
        raise ResponseError(
            f"the answer's only list is {candidates[0]}, which hardly holds the records: {head(raw)}; if there are "
            "none at all, name where they would be, as in records=data?"
        )
    if len(candidates) == 1:
        return _within(raw, candidates[0], candidates[0])
    if not candidates:
        candidates = [path for name, value in fields.items() for path in _deeper(bytes(value), name)]
    if not candidates:
        return _at(raw, "$")
    which = "several lists that may be" if len(candidates) > 1 else "a list further down that may be"
    raise ResponseError(
        f"the answer holds {which} the records: {', '.join(candidates)}; name yours, as in "
        f"records={candidates[0]}, or records=$ if the answer is one record"
    )


def _may_be_records(raw: bytes) -> bool:
    if raw[:1] != b"[":
        return False
    elements = _LIST.decode(raw)
    return not elements or any(bytes(element)[:1] == b"{" for element in elements)


def _deeper(raw: bytes, path: str) -> Iterator[str]:
    if raw[:1] != b"{":
        return
    for name, value in _OBJECT.decode(raw).items():
        inner, there = bytes(value), f"{path}.{name}"
        if _may_be_records(inner):
            yield there
        yield from _deeper(inner, there)


def _at(raw: bytes, path: str) -> Envelope:
    bare = path.removesuffix("?")
    if bare != "$":
        return _within(raw, bare, path)
    if raw[:1] == b"{":
        return _envelope(msgspec.json.decode(raw), raw, path)
    _RAW.decode(raw)
    return _envelope(None, raw, path)


def _within(raw: bytes, bare: str, path: str) -> Envelope:
    """The records at the end of a path through objects, each looked through once, and the answer without them."""
    optional = path != bare
    document: dict[str, Any] = {}
    around, rest = document, bare
    steps: list[str] = []
    while rest:
        if raw[:1] != b"{":
            if optional and raw == b"null":
                break
            _RAW.decode(raw)
            there = ".".join(steps) or "its top"
            raise ResponseError(f'no records at records="{bare}": the answer holds no object at {there}: {head(raw)}')
        fields = _OBJECT.decode(raw)
        name, _, after = (rest, "", "") if rest in fields else rest.partition(".")
        found = fields.pop(name, None)
        around |= {other: msgspec.json.decode(value) for other, value in fields.items()}
        if found is None:
            if optional:
                raw = b"null"
                break
            there = f" at {'.'.join(steps)}" if steps else ""
            names = ", ".join(list(fields)[:20]) or "no fields"
            raise ResponseError(
                f'no records at records="{bare}": the answer holds{there}: {names}; name the right one, or write '
                f'"{bare}?" if it may be missing'
            )
        steps.append(name)
        raw, rest = bytes(found), after
        inner: dict[str, Any] | None = {} if rest and raw[:1] == b"{" else None
        around[name] = inner
        around = around if inner is None else inner
    return _envelope(document, raw, path)


def _envelope(document: Any, raw: bytes, path: str) -> Envelope:
    if raw == b"null":
        raw = b"[]"
    if raw[:1] == b"{":
        raw = b"[" + raw + b"]"
    if raw[:1] != b"[":
        raise ResponseError(f'no records at records="{path}": there is {head(raw)}')
    return Envelope(document, raw, path)
