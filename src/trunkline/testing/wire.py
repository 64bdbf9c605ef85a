r"""HTTP/1.1 requests as bytes: a strict parser that keeps exactly what came over the wire.

    parser = RequestParser()
    parser.feed(b"POST /rows?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
    request = parser.take()          # Request(method="POST", path="/rows", body=b"{}"), None while incomplete

Strict on purpose: a client whose framing is off must be told, not helped.
"""

from __future__ import annotations

import json
import re
import zlib
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

# A request head larger than this is refused; common servers allow 8 to 64 KiB.
MAX_HEAD_BYTES = 64 * 1024
# More than any test sends; keeps a runaway client from filling the memory of the machine.
MAX_BODY_BYTES = 256 * 1024 * 1024

# token of RFC 9110 section 5.6.2, then the value without CR, LF and NUL.
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*)")
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})(?:;[^\r\n]*)?")


class BadRequestError(Exception):
    """The bytes are no HTTP/1.1 request; the text says what is wrong."""


class Request:
    """One request as received.

    Attributes:
        head: everything before the empty line, as bytes.
        headers: lower-case names; repeated ones joined with ", ".
        body: as on the wire, without chunk framing, still compressed.
        params: what `{name}` in the route's path matched.
        origin: the listener it came to, "main", "other" or "tls".
    """

    def __init__(self, head: bytes, body: bytes = b"") -> None:
        self.head = head
        self.body = body
        self.params: dict[str, str] = {}
        self.origin = "main"
        self.method, self.target, self.version, self.headers = parse_head(head)
        self.path, _, self.query_string = self.target.partition("?")

    @property
    def url(self) -> str:
        """The server's address as the client has it, without a path."""
        return f"{'https' if self.origin == 'tls' else 'http'}://{self.headers.get('host', '')}"

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Decoded query values by name."""
        return parse_qs(self.query_string, keep_blank_values=True)

    @cached_property
    def content(self) -> bytes:
        """The body after Content-Encoding is undone."""
        return decode_content(self.body, self.headers.get("content-encoding", ""))

    @cached_property
    def text(self) -> str:
        """The content as UTF-8, wrong bytes replaced."""
        return self.content.decode("utf-8", "replace")

    def rows(self, items: str = "") -> list[Any]:
        """The rows the body holds, see `split_rows`."""
        return split_rows(self.content, self.headers.get("content-type", ""), items)


class RequestParser:
    """Cuts a byte stream into requests: `feed` what arrived, `take` until it returns None."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._request: Request | None = None
        self._length = 0
        self._chunks: list[bytes] | None = None
        self._chunk_bytes = 0
        self._trailer = False
        self._waits = False

    def take_continue(self) -> bool:
        """True, once per request, when its head asks for `100 Continue` and the body has not come."""
        waits, self._waits = self._waits, False
        return waits

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        self._buffer += data

    def take(self) -> Request | None:
        """The next whole request, or None.

        Raises:
            BadRequestError: the stream cannot be read any further.
        """
        if self._request is None and not self._take_head():
            return None
        request = self._request
        assert request is not None
        if self._chunks is None:
            if len(self._buffer) < self._length:
                return None
            if self._length:
                request.body = bytes(self._buffer[: self._length])
                del self._buffer[: self._length]
        elif not self._take_chunks(self._chunks):
            return None
        else:
            request.body = b"".join(self._chunks)
        self._request = None
        return request

    def unfinished(self) -> Request | None:
        """The request whose head came but whose body did not."""
        if self._request is not None:
            self._request.body = b"".join(self._chunks) if self._chunks is not None else bytes(self._buffer)
        return self._request

    def rejected(self) -> bytes:
        """The head that could not be read, after a BadRequestError."""
        return self._request.head if self._request is not None else bytes(self._buffer.partition(b"\r\n\r\n")[0][:4096])

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequestError(f"the head is longer than {MAX_HEAD_BYTES} bytes")
            return False
        request = Request(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        self._length, self._chunks, self._chunk_bytes, self._trailer = 0, None, 0, False
        length, coding = request.headers.get("content-length"), request.headers.get("transfer-encoding")
        if coding is not None:
            if length is not None:
                raise BadRequestError("both Content-Length and Transfer-Encoding")
            if coding.lower() != "chunked":
                raise BadRequestError(f"Transfer-Encoding {coding!r} is not supported")
            self._chunks = []
        elif length is not None:
            if not (length.isascii() and length.isdigit()):
                raise BadRequestError(f"Content-Length {length!r} is no number")
            self._length = int(length)
            if self._length > MAX_BODY_BYTES:
                raise BadRequestError(f"the body is longer than {MAX_BODY_BYTES} bytes")
        self._request = request
        self._waits = request.headers.get("expect", "").lower() == "100-continue"
        return True

    def _take_chunks(self, chunks: list[bytes]) -> bool:
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                return False
            if self._trailer:
                del self._buffer[: end + 2]
                if end == 0:
                    return True
                continue
            size_line = _CHUNK_SIZE.fullmatch(bytes(self._buffer[:end]))
            if size_line is None:
                raise BadRequestError(f"chunk size {bytes(self._buffer[:end])[:40]!r}")
            size = int(size_line.group(1), 16)
            if size == 0:
                del self._buffer[: end + 2]
                self._trailer = True
                continue
            if len(self._buffer) < end + 2 + size + 2:
                return False
            if self._buffer[end + 2 + size : end + 4 + size] != b"\r\n":
                raise BadRequestError("a chunk does not end with CRLF")
            chunks.append(bytes(self._buffer[end + 2 : end + 2 + size]))
            self._chunk_bytes += size
            if self._chunk_bytes > MAX_BODY_BYTES:
                raise BadRequestError(f"the body is longer than {MAX_BODY_BYTES} bytes")
            del self._buffer[: end + 4 + size]


def parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Method, target, version and headers of a request head.

    Raises:
        BadRequestError: it is not one.
    """
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not _METHOD.fullmatch(words[0]) or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequestError(f"request line {lines[0][:80]!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadRequestError(f"header line {line[:80]!r}")
        name, value = field.group(1).lower(), field.group(2).rstrip(" \t")
        if name in headers:
            if name in ("content-length", "host"):
                raise BadRequestError(f"{name} is given twice")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    if "host" not in headers and words[2] == "HTTP/1.1":
        raise BadRequestError("no Host header")
    return words[0], words[1], words[2], headers


def decode_content(body: bytes, encodings: str) -> bytes:
    """Undo Content-Encoding gzip and deflate, outermost last.

    Raises:
        ValueError: another coding, or bytes that are not what the header says.
    """
    for coding in reversed([c.strip().lower() for c in encodings.split(",") if c.strip()]):
        if coding in ("gzip", "x-gzip", "deflate"):
            try:
                body = zlib.decompress(body, zlib.MAX_WBITS | (0 if coding == "deflate" else 16))
            except zlib.error as error:
                raise ValueError(f"Content-Encoding is {coding}, the body is not: {error}") from None
        elif coding != "identity":
            raise ValueError(f"Content-Encoding {coding!r} is not understood here")
    return body


def parse_json(content: bytes | str) -> Any:
    """JSON as the standard has it: NaN and Infinity raise ValueError, integers stay exact."""
    return json.loads(content, parse_constant=_no_constant)


def split_rows(content: bytes, content_type: str, items: str = "") -> list[Any]:
    """The rows a body carries.

    A JSON array gives its elements, an object itself (or the list at the dotted path `items`), NDJSON one row per
    line, a form a dict, anything else its text. An empty body has no rows.
    """
    if not content:
        return []
    if content_type.startswith("application/x-www-form-urlencoded"):
        return [{k: v[-1] for k, v in parse_qs(content.decode("utf-8", "replace"), keep_blank_values=True).items()}]
    try:
        value = parse_json(content)
    except ValueError:
        try:
            return [parse_json(line) for line in content.splitlines() if line.strip()]
        except ValueError:
            return [content.decode("utf-8", "replace")]
    if items:
        value = pick(value, items)
    return value if isinstance(value, list) else [value]


def pick(value: Any, path: str) -> Any:
    """The value at a dotted path of a JSON document, None where the path leaves it."""
    for name in path.split("."):
        if isinstance(value, list) and name.isdigit():
            value = value[int(name)] if int(name) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(name)
        else:
            return None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
