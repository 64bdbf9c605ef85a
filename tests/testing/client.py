"""A client that shows the very bytes and how the connection ended."""

from __future__ import annotations

import socket
from typing import Any

import requests

from trunkline.testing import FaultServer


def exchange_bytes(server: FaultServer, *sent: bytes, origin: str = "main", wait: float = 0.1) -> tuple[bytes, str]:
    """Send bytes as they are; what came back, and "closed", "reset" or "open" when nothing came for `wait` seconds."""
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", server.port(origin)), timeout=5) as connection:
            connection.settimeout(wait)
            for part in sent:
                connection.sendall(part)
            while data := connection.recv(65536):
                received += data
    except TimeoutError:
        return received, "open"
    except ConnectionResetError:
        # As early as in connect, when the server was quick.
        return received, "reset"
    return received, "closed"


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def post(server: FaultServer, path: str, value: Any = None, **options: Any) -> requests.Response:
    return requests.post(server.url_for(path), json=value, timeout=5, **options)
