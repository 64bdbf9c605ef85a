"""The life of a fault server as the test sees it: started, found at its addresses, ended."""

from __future__ import annotations

from typing import Literal

from trunkline.testing.control import ServerProcess


class ServerLife:
    """A server process, and where it listens.

    Args:
        tls: also listen with TLS: True, or "mutual" to demand a client certificate. Needs the `openssl` program.
        port: of the main origin; 0 for a free one.
    """

    def __init__(self, tls: bool | Literal["mutual"] = False, port: int = 0) -> None:
        self._tls = tls
        self._port = port
        self._running: ServerProcess | None = None
        self._ports: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"FaultServer({', '.join(f'{o}={p}' for o, p in self._ports.items()) or 'not started'})"

    def __reduce__(self) -> str:
        raise TypeError("a FaultServer stays in its test: give `server.url` to code that runs elsewhere")

    def start(self) -> None:
        """Start the process; RuntimeError when it does not come up."""
        if self._running is not None:
            raise RuntimeError("the fault server is already started")
        self._running = ServerProcess(bool(self._tls), self._tls == "mutual", self._port)
        self._ports = self._running.ports

    def stop(self) -> None:
        """End the process. Asking again does nothing."""
        running, self._running = self._running, None
        self._ports = {}
        if running is not None:
            running.stop()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._running is not None and self._running.alive

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Address of the main origin, "http://127.0.0.1:PORT"."""
        return self.url_for("")

    @property
    def other_url(self) -> str:
        """The same server under another origin, for what must not follow across hosts."""
        return self.url_for("", "other")

    @property
    def tls_url(self) -> str:
        """Address of the TLS listener, "https://127.0.0.1:PORT" (its certificate also says "localhost")."""
        return self.url_for("", "tls")

    def url_for(self, path: str, origin: str = "main") -> str:
        """Address of a path on an origin: "main", "other" or "tls"."""
        return f"{'https' if origin == 'tls' else 'http'}://127.0.0.1:{self.port(origin)}{path}"

    def port(self, origin: str = "main") -> int:
        """Port of an origin."""
        if origin not in self._ports:
            cure = "pass tls=True" if origin == "tls" and self._ports else "start the server"
            raise RuntimeError(f"the fault server has no origin {origin!r}: {cure}")
        return self._ports[origin]

    @property
    def ca_file(self) -> str:
        """PEM of the authority that signed the TLS listener's certificate."""
        return str(self._process.folder / "ca.pem")

    @property
    def client_cert_file(self) -> str:
        """PEM of a client certificate the `tls="mutual"` listener accepts."""
        return str(self._process.folder / "client.pem")

    @property
    def client_key_file(self) -> str:
        """PEM of the key to `client_cert_file`, without a password."""
        return str(self._process.folder / "client.key")

    @property
    def _process(self) -> ServerProcess:
        if self._running is None:
            raise RuntimeError("the fault server is not started")
        return self._running
