"""What tells one request from another: 16 bytes, the same for the same request in every task and evaluation."""

from __future__ import annotations

from hashlib import blake2b

from trunkline.options import Options
from trunkline.rest.request_options import may_ask_again
from trunkline.rest.rows import Chunk
from trunkline.values import row_digests

# Options that change what a request asks for beside what stands in its row.
_ASKED = (
    "headers",
    "contentType",
    "batch.envelope",
    "batch.format",
    "results.path",
    "results.id",
    "records",
    "pagination",
)


class RequestKeys:
    """Names the request of each row: method, URL, headers and body.

    Where asking twice may do harm, or a user's function makes more of the row than the options say, the whole row is
    part of its name: two rows are one only if they are equal in every column.

    Args:
        options: Of the request.
    """

    def __init__(self, options: Options) -> None:
        self._whole_row = not may_ask_again(options) or options["prepare"] is not None
        given = options.masked()
        self._salt = repr(
            [(name, given[name]) for name in given if name in _ASKED or name.startswith("page.")]
        ).encode()

    def of(self, chunk: Chunk) -> list[bytes]:
        """The key of each row; empty for one that cannot be sent."""
        begin = blake2b(self._salt, digest_size=16)
        if isinstance(chunk.urls, str) and isinstance(chunk.methods, str):
            begin.update(f"\n{chunk.methods} {chunk.urls}".encode())
        digests: list[bytes] = []
        if self._whole_row:
            digests = chunk.digests or row_digests(chunk.batch)
        keys = []
        for row in range(len(chunk)):
            if row in chunk.refused:
                keys.append(b"")
                continue
            name = begin.copy()
            if not (isinstance(chunk.urls, str) and isinstance(chunk.methods, str)):
                url = chunk.urls if isinstance(chunk.urls, str) else chunk.urls[row]
                method = chunk.methods if isinstance(chunk.methods, str) else chunk.methods[row]
                name.update(f"\n{method} {url}".encode())
            for header, value in chunk.headers.items():
                name.update(f"\n{header}: {value if isinstance(value, str) else value[row]}".encode())
            if chunk.bodies is not None:
                name.update(b"\n\n")
                name.update(chunk.bodies.row(row))
            if digests:
                name.update(digests[row])
            keys.append(name.digest())
        return keys
