"""Small servers in threads of the test, for what happens below HTTP: odd TLS, tunnels, bytes nobody asked for.

    with Loopback(lambda peer: peer.sendall(b"what?")) as server:
        ...                                      # connect to 127.0.0.1:server.port

For everything else there is the `FaultServer`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Loopback:
    """Listens on a port of 127.0.0.1 and hands each connection to a function in a thread of its own.

    Args:
        serve: Called with the connection, which is closed when it returns; its connection errors are ignored.
        tls: Speaks TLS by this context.

    Attributes:
        port: Where it listens.
        heads: The request heads that `head` has read, in order.
    """

    def __init__(self, serve: Callable[[Loopback, socket.socket], None], tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self._serve = serve
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one in [self._listening, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)
        for one in [self._listening, *self._open]:
            one.close()

    def head(self, peer: socket.socket) -> bytes:
        """Read a request up to its empty line; empty when the connection ends first."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = peer.recv(1)
            if not byte:
                return b""
            head += byte
        self.heads.append(head)
        return head

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(peer)
            thread = threading.Thread(target=self._handle, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _handle(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                raw = peer.dup()
                self._open.append(raw)
                try:
                    peer = self._tls.wrap_socket(peer, server_side=True)
                except OSError:
                    # Closed with bytes unread, the connection would be reset, and what TLS has said of it lost.
                    while raw.recv(4096):
                        pass
                    raise
                self._open.append(peer)
            self._serve(self, peer)
        peer.close()


def answer_ok(server: Loopback, peer: socket.socket) -> None:
    """Answer every request of the connection with 200 `ok`."""
    while server.head(peer):
        peer.sendall(OK)


def tunnel(server: Loopback, peer: socket.socket) -> None:
    """Be a proxy for CONNECT: pass bytes to and fro until either side ends."""
    method, authority, _ = server.head(peer).decode().split(" ", 2)
    if method != "CONNECT":
        return
    host, _, port = authority.rpartition(":")
    with socket.create_connection((host, int(port))) as beyond:
        peer.sendall(_CONNECTED)
        back = threading.Thread(target=_pump, args=(beyond, peer), daemon=True)
        back.start()
        _pump(peer, beyond)
        back.join(5)


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for a host name that is its own authority, and its key; needs the `openssl` program."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(  # noqa: S603 - fixed words and our own paths
        [  # noqa: S607 - from the path, like the FaultServer's
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key),
            "-out", str(certificate),
        ],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return certificate, key


def encrypted_key(key: Path, password: str) -> Path:
    """A copy of a private key that asks for a password."""
    locked = key.with_name(f"locked-{key.name}")
    subprocess.run(  # noqa: S603 - fixed words and our own paths
        ["openssl", "pkcs8", "-topk8", "-in", str(key), "-out", str(locked), "-passout", "stdin"],  # noqa: S607
        check=True, capture_output=True, timeout=30, input=password.encode(),
    )  # fmt: skip
    return locked


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
