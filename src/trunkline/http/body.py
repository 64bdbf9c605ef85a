"""Decoding an answer's body within limits.

decoded(gzip.compress(b"{}"), "gzip", most=1024)   # b"{}"
"""

from __future__ import annotations

import zlib

from trunkline.http.message import Fault

# A body that unpacks to more than this many times its size is a bomb; JSON of one repeated row stays below 300.
_MAX_RATIO = 1000
# With this window size zlib finds out by itself whether the wrapper is gzip's or its own.
_GZIP_OR_ZLIB = 47
_MAX_CODINGS = 3


class BodyError(Exception):
    """The body cannot be had whole; `fault` says why in the engine's terms."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


def decoded(raw: bytes, encoding: str, most: int) -> bytes:
    """The body behind `Content-Encoding` (gzip, deflate, identity; several are undone from the last to the first).

    Raises:
        BodyError: More than `most` bytes, an unpacking ratio over 1000, broken data, or an unknown coding.
    """
    codings = [coding.strip().lower() for coding in encoding.split(",") if coding.strip()]
    if len(codings) > _MAX_CODINGS:
        raise BodyError(Fault.MALFORMED, f"{len(codings)} content codings")
    for coding in reversed(codings):
        if coding in ("gzip", "x-gzip", "deflate"):
            raw = _unwrapped(raw, most) if coding == "deflate" else _inflated(raw, most, _GZIP_OR_ZLIB)
        elif coding != "identity":
            raise BodyError(Fault.MALFORMED, f"content coding {coding!r} was not asked for")
    return raw


def _unwrapped(raw: bytes, most: int) -> bytes:
    """Some servers send "deflate" without the zlib wrapper it stands for."""
    try:
        return _inflated(raw, most, _GZIP_OR_ZLIB)
    except BodyError as error:
        if error.fault is not Fault.MALFORMED:
            raise
        return _inflated(raw, most, -zlib.MAX_WBITS)


def _inflated(raw: bytes, most: int, window: int) -> bytes:
    """What one or more compressed members hold."""
    if not raw:
        return raw
    limit = min(most, len(raw) * _MAX_RATIO)
    members, size = [], 0
    while raw:
        unpacker = zlib.decompressobj(window)
        try:
            member = unpacker.decompress(raw, limit - size + 1)
        except zlib.error as error:
            raise BodyError(Fault.MALFORMED, f"the compressed body is broken ({error})") from None
        size += len(member)
        if size > limit:
            raise BodyError(Fault.TOO_LARGE, f"unpacks to more than {limit} bytes")
        if not unpacker.eof:
            raise BodyError(Fault.RESET, "the compressed body ends early")
        members.append(member)
        # Padding with zeros is what gzip itself passes over.
        raw = unpacker.unused_data.lstrip(b"\0")
    return members[0] if len(members) == 1 else b"".join(members)
