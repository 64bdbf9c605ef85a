"""Answers as exact bytes, well-formed or broken in a stated way.

An answer is rendered once, when its step is declared; only the Date (and a Retry-After computed from it) is added when
it is sent:

    HTTP/1.1 429 Too Many Requests
    Date: Sat, 21 Nov 2026 10:00:00 GMT
    Retry-After: Sat, 21 Nov 2026 10:00:03 GMT
    Content-Length: 0

Names and lengths are sent as declared, right or wrong.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.testing.datasets import Page

# `gzip_bomb` unless told otherwise: 256 MiB from about 256 KiB on the wire.
BOMB_BYTES = 256 * 1024 * 1024
_BOMB_BLOCK = 1024 * 1024

_RETRY_AFTER_WORDS = ("imf", "rfc850", "asctime", "past", "garbage", "day")


class Answer:
    """One response, ready to send: `start`, the date lines, `tail` (rest of the head with its empty line), `body`.

    `page` says which rows of a dataset it carries, None for other answers.
    """

    __slots__ = ("body", "close", "page", "start", "status", "tail")

    def __init__(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Unknown"
        fields = list(headers)
        names = {name.lower() for name, _ in fields}
        if status < 200 or status in {204, 304}:
            body = b""
        elif "content-length" not in names and "transfer-encoding" not in names:
            fields.append(("Content-Length", str(len(body))))
        self.page: Page | None = None
        self.status = status
        self.close = any(n.lower() == "connection" and v.lower() == "close" for n, v in fields)
        self.start = f"HTTP/1.1 {status} {reason}\r\n".encode("latin-1")
        self.tail = "".join(f"{n}: {v}\r\n" for n, v in fields).encode("latin-1") + b"\r\n"
        self.body = body

    def head(self, dates: bytes) -> bytes:
        """Status line and headers, with the lines `date_lines` made."""
        return self.start + dates + self.tail


def json_answer(status: int, value: Any, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, [*headers, ("Content-Type", "application/json")], json.dumps(value).encode())


def scripted_answer(step: dict[str, Any], status: int, more_headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """The answer a step declares by `status`, `headers`, `body`, `gzip`, `chunked` and a content fault."""
    return dressed_answer(step, status, more_headers, *encode_body(step.get("body")))


def dressed_answer(
    step: dict[str, Any], status: int, more_headers: Iterable[tuple[str, str]], body: bytes, content_type: str
) -> Answer:
    """An answer with this body, changed as a step says by `headers`, `gzip`, `chunked` and a content fault."""
    headers = [*_header_list(step.get("headers")), *more_headers]
    names = {name.lower() for name, _ in headers}
    if content_type and "content-type" not in names:
        headers.append(("Content-Type", content_type))
    fault = step.get("fault")
    if fault == "bom":
        body = b"\xef\xbb\xbf" + body
    elif fault == "bad_utf8":
        # Inside the first string when there is one, so that only the text is broken, not the JSON.
        at = body.find(b'"') + 1
        body = body[:at] + b"\xff" + body[at:]
    elif fault == "gzip_bomb":
        body = gzip_bomb(int(step.get("size", BOMB_BYTES)))
    elif fault == "double_gzip":
        body = gzip.compress(gzip.compress(body, mtime=0), mtime=0)
    elif step.get("gzip"):
        body = gzip.compress(body, mtime=0)
    if (fault in ("double_gzip", "gzip_bomb") or step.get("gzip")) and "content-encoding" not in names:
        headers.append(("Content-Encoding", "gzip"))
    if fault == "wrong_length":
        headers.append(("Content-Length", str(step.get("length", max(0, len(body) - 1)))))
    if step.get("chunked"):
        headers.append(("Transfer-Encoding", "chunked"))
        body = _chunked(body, 8192 if step["chunked"] is True else int(step["chunked"]))
    return Answer(status, headers, body)


def date_lines(now: float, retry_after: Any = None, wait: float = 0.0, skew: float = 0.0) -> bytes:
    """The Date line, and the Retry-After line when one is asked for.

    Args:
        now: epoch seconds.
        retry_after: number (sent as written), "imf" | "rfc850" | "asctime" | {"imf": seconds} for the three HTTP dates
            (1 s ahead unless told), "past" (a date one minute ago), "garbage", "day" (86400), "wait" (whole seconds
            until the rate limiter has room, at least 1), any other text as it is.
        wait: seconds until the limiter has room.
        skew: seconds the server's clock is ahead of the true one; moves Date and the dates alike.
    """
    now += skew
    lines = f"Date: {formatdate(now, usegmt=True)}\r\n"
    if retry_after is None:
        return lines.encode()
    form, seconds = retry_after, 1.0
    if isinstance(retry_after, dict):
        ((form, seconds),) = retry_after.items()
    if form == "imf":
        value = formatdate(now + seconds, usegmt=True)
    elif form == "rfc850":
        value = time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(now + seconds))
    elif form == "asctime":
        value = time.asctime(time.gmtime(now + seconds))
    elif form == "past":
        value = formatdate(now - 60, usegmt=True)
    elif form == "garbage":
        value = "soon-ish, maybe"
    elif form == "day":
        value = "86400"
    elif form == "wait":
        value = str(max(1, int(wait + 0.999)))
    else:
        value = str(form)
    return f"{lines}Retry-After: {value}\r\n".encode("latin-1")


def check_retry_after(value: Any) -> None:
    """ValueError for a `retry_after` that `date_lines` has no meaning for."""
    if isinstance(value, dict) and (len(value) != 1 or not set(value) <= set(_RETRY_AFTER_WORDS[:3])):
        raise ValueError(f"retry_after {value!r}: expected one of imf, rfc850, asctime with the seconds ahead")


def encode_body(body: Any) -> tuple[bytes, str]:
    """Bytes and content type of a body given as bytes, text or anything JSON."""
    if body is None:
        return b"", ""
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/plain; charset=utf-8"
    return json.dumps(body).encode(), "application/json"


def gzip_bomb(size: int) -> bytes:
    """A gzip stream of `size` decoded bytes: blanks, then `[]`, so a parser that swallows it finds valid JSON."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # One block, flushed whole, can be repeated as often as needed: a bomb costs its checksum, not its compression.
    blanks = b" " * _BOMB_BLOCK
    block = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    times, rest = divmod(max(0, size - 2), _BOMB_BLOCK)
    last = b" " * rest + b"[]"
    checksum = 0
    for _ in range(times):
        checksum = zlib.crc32(blanks, checksum)
    checksum = zlib.crc32(last, checksum)
    trailer = checksum.to_bytes(4, "little") + ((times * _BOMB_BLOCK + len(last)) & 0xFFFFFFFF).to_bytes(4, "little")
    header = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    return header + block * times + packer.compress(last) + packer.flush() + trailer


def _header_list(headers: Any) -> list[tuple[str, str]]:
    if headers is None:
        return []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(str(name), str(value)) for name, value in pairs]


def _chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
