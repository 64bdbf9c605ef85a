"""A client that shows the very bytes and how the connection ended."""

from __future__ import annotations

import socket
from typing import Any

import requests

from trunkline.testing import FaultServer

# A turn of the server's loop each: it takes the connection, reads the request and writes the answer in fewer.
_TURNS = 5


def exchange_bytes(server: FaultServer, *sent: bytes, origin: str = "main", wait: float = 0.02) -> tuple[bytes, str]:
    """Send bytes as they are; what came back, and "closed", "reset" or "open".

    It is open when nothing came for `wait` seconds, which is longer than any pause of the answer, although the server
    was at work meanwhile: a machine may stand still.
    """
    received, quiet = b"", False
    try:
        with socket.create_connection(("127.0.0.1", server.port(origin)), timeout=60) as connection:
            for part in sent:
                connection.sendall(part)
            while True:
                connection.settimeout(0 if quiet else wait)
                try:
                    data = connection.recv(65536)
                except (TimeoutError, BlockingIOError):
                    if quiet:
                        return received, "open"
                    for _ in range(_TURNS):
                        server.stats()
                    quiet = True
                    continue
                if not data:
                    return received, "closed"
                received, quiet = received + data, False
    except ConnectionResetError:
        # As early as in connect, when the server was quick.
        return received, "reset"


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def post(server: FaultServer, path: str, value: Any = None, **options: Any) -> requests.Response:
    return requests.post(server.url_for(path), json=value, timeout=60, **options)
