"""What a write endpoint keeps: rows in the order they came, the latest row per key, answers per idempotency key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from trunkline.testing.answers import Answer, json_answer
from trunkline.testing.wire import Request, pick, split_rows

_OPTIONS = {
    "dedupe": bool,
    "header": str,
    "require": bool,
    "key": (str, list),
    "version": str,
    "guard": bool,
    "into": str,
}


class StoreOptions:
    """How a route stores; the meaning of each option stands in `FaultServer.route`."""

    def __init__(self, spec: dict[str, Any] | bool) -> None:
        options: dict[str, Any] = {} if isinstance(spec, bool) else spec
        for name, value in options.items():
            if name not in _OPTIONS or not isinstance(value, _OPTIONS[name]):  # type: ignore[arg-type]
                raise ValueError(f"store option {name}={value!r}: expected one of {', '.join(_OPTIONS)}")
        self.dedupe: bool = options.get("dedupe", False)
        self.header: str = options.get("header", "Idempotency-Key").lower()
        self.require: bool = options.get("require", False)
        key = options.get("key", [])
        self.key: list[str] = [key] if isinstance(key, str) else key
        self.version: str | None = options.get("version")
        self.guard: bool = options.get("guard", False)
        self.into: str | None = options.get("into")


class Collection:
    """The rows stored under one name.

    Attributes:
        latest: JSON text of the key -> row.
        overwrites: [key, version that stood, older version that came after it].
    """

    def __init__(self) -> None:
        # A body is shared with the ledger and cut into rows only when asked: (content, content type, items, indices).
        self._bodies: list[tuple[bytes, str, str, list[int] | None]] = []
        self._answers: dict[str, tuple[bytes, Answer]] = {}
        self.latest: dict[str, Any] = {}
        self.overwrites: list[list[Any]] = []

    def replay(self, request: Request, options: StoreOptions) -> Answer | None:
        """The answer an idempotency key calls for: the first one again, or a refusal; None for a key not seen."""
        key = request.headers.get(options.header)
        if key is None:
            return json_answer(400, {"error": f"{options.header} is required"}) if options.require else None
        if key not in self._answers:
            return None
        digest, answer = self._answers[key]
        if digest != _digest(request):
            return json_answer(422, {"error": f"{options.header} was used with another request"})
        return answer

    def remember(self, request: Request, options: StoreOptions, answer: Answer) -> None:
        """Keep the answer for the request's idempotency key, when it has one."""
        key = request.headers.get(options.header)
        if key is not None:
            self._answers[key] = (_digest(request), answer)

    def keep(self, request: Request, options: StoreOptions, items: str, indices: list[int] | None) -> Answer | None:
        """Store the rows of a request (those at `indices` when given); an Answer when the store itself refuses."""
        if options.key:
            refusal = self._upsert(request, options, items, indices)
            if refusal is not None:
                return refusal
        if request.method != "DELETE":
            self._bodies.append((request.content, request.headers.get("content-type", ""), items, indices))
        return None

    def rows(self) -> Iterator[Any]:
        """All rows in the order they were stored."""
        for content, content_type, items, indices in list(self._bodies):
            rows = split_rows(content, content_type, items)
            yield from rows if indices is None else (rows[index] for index in indices)

    def _upsert(self, request: Request, options: StoreOptions, items: str, indices: list[int] | None) -> Answer | None:
        rows = request.rows(items) or [{}]
        for row in rows if indices is None else [rows[index] for index in indices]:
            values = [v if (v := pick(row, name)) is not None else request.params.get(name) for name in options.key]
            key = json.dumps(values[0] if len(values) == 1 else values)
            before = self.latest.get(key)
            if request.method == "DELETE":
                if before is None:
                    return json_answer(404, {"error": f"no row {key}"})
                del self.latest[key]
                continue
            if options.version is not None and before is not None:
                stood, comes = pick(before, options.version), pick(row, options.version)
                if stood is not None and comes is not None and comes < stood:
                    if options.guard:
                        return json_answer(409, {"error": f"row {key} has version {stood}, got {comes}"})
                    self.overwrites.append([json.loads(key), stood, comes])
            self.latest[key] = row
        return None


def _digest(request: Request) -> bytes:
    whole = hashlib.blake2b(f"{request.method} {request.target}\n".encode(), digest_size=16)
    whole.update(request.body)
    return whole.digest()
