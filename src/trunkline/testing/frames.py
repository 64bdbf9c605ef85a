"""Frames of the control connection, both ways: a length of four bytes, then JSON; bytes travel as {"$latin1": text}."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

# Bytes of the length.
LENGTH = 4
_PART_ROWS = 2000


def framed(value: Any) -> bytes:
    """A value as a frame."""
    data = json.dumps(value, separators=(",", ":"), default=_portable).encode()
    return len(data).to_bytes(LENGTH, "big") + data


async def read_frame(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next frame, with its bytes."""
    size = int.from_bytes(await reader.readexactly(LENGTH), "big")
    frame: dict[str, Any] = json.loads(await reader.readexactly(size), object_hook=_bytes_hook)
    return frame


async def write_parts(writer: asyncio.StreamWriter, values: Iterable[Any]) -> None:
    """Send a long list in parts, so that clients are still served meanwhile."""
    part = []
    for value in values:
        part.append(value)
        if len(part) == _PART_ROWS:
            writer.write(framed({"part": part}))
            await writer.drain()
            await asyncio.sleep(0)
            part = []
    writer.write(framed({"part": part}))


def _portable(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"$latin1": value.decode("latin-1")}
    raise TypeError(f"{value!r} cannot be part of a route: expected text, bytes, numbers, lists or mappings")


def _bytes_hook(value: dict[str, Any]) -> Any:
    return value["$latin1"].encode("latin-1") if value.keys() == {"$latin1"} else value
