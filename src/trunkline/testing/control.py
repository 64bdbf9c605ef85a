"""The test's side of the control connection, and the life of the server process.

The first frame carries a key made for this process, so nobody else on the host can steer it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trunkline.testing.frames import LENGTH, framed
from trunkline.testing.tls import make_certificates

# Long enough for a loaded machine; a control call normally takes less than a millisecond.
_CALL_SECONDS = 60.0
_START_SECONDS = 60.0
_END_SECONDS = 5.0


class ServerProcess:
    """A running server process.

    Attributes:
        folder: its certificates and its standard error.
        ports: origin -> port, as it started.
    """

    def __init__(self, tls: bool, mutual: bool, port: int = 0) -> None:
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="fault-server-")
        self.folder = Path(self._folder.name)
        self._control: _Connection | None = None
        self._key = key = secrets.token_hex(32)
        config: dict[str, Any] = {"key": key, "parent": os.getpid(), "port": port, "tls": None}
        if tls:
            make_certificates(self.folder)
            names = {"cert": "server.pem", "key": "server.key", "ca": "ca.pem"}
            config["tls"] = {**{name: str(self.folder / file) for name, file in names.items()}, "mutual": mutual}
        # The process must find this very package, installed or not.
        path = filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
        with (self.folder / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trunkline.testing.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
                # Ctrl-C is for the test; the server follows when its standard input closes.
                start_new_session=True,
            )
        self.pid = self._process.pid
        hello = self._begin(config)
        self.ports: dict[str, int] = hello["ports"]
        self._control_port: int = hello["control"]
        self._control = _Connection(self._control_port, key)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The end of its standard error."""
        return (self.folder / "stderr").read_text(errors="replace")[-2000:].strip() or "it said nothing"

    def stop(self) -> None:
        """End the process by closing its standard input, by its pid when that does not help."""
        if self._control is not None:
            self._control.close()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Broken when it ended before it had read its configuration.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()

    def call(self, command: str, **arguments: Any) -> Any:
        """Run a command in the server; ValueError when it refuses the arguments."""
        return self._ask(command, arguments)[1]

    def rows(self, command: str, **arguments: Any) -> list[Any]:
        """Run a command that answers with a long list."""
        return self._ask(command, arguments)[0]

    def follow(self) -> Iterator[list[Any]]:
        """Each request's record when it is over, from this call on, until the process ends."""
        connection = _Connection(self._control_port, self._key)
        connection.send({"command": "follow"})
        connection.receive()  # it follows from here on
        connection.wait_for_ever()

        def records() -> Iterator[list[Any]]:
            with contextlib.closing(connection), contextlib.suppress(ConnectionError):
                while True:
                    yield from connection.receive()["part"]

        return records()

    def _begin(self, config: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(config).encode() + b"\n")
        self._process.stdin.flush()
        timer = threading.Timer(_START_SECONDS, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if not line:
            words = self.last_words()
            self.stop()
            raise RuntimeError(f"the fault server did not start: {words}")
        hello: dict[str, Any] = json.loads(line)
        return hello

    def _ask(self, command: str, arguments: dict[str, Any]) -> tuple[list[Any], Any]:
        assert self._control is not None
        rows: list[Any] = []
        with self._lock:
            try:
                self._control.send({"command": command, **arguments})
                while "part" in (reply := self._control.receive()):
                    rows += reply["part"]
            except OSError as error:
                raise RuntimeError(f"the fault server does not answer ({error}): {self.last_words()}") from None
        if "error" in reply:
            raise ValueError(reply["error"])
        return rows, reply["value"]


class _Connection:
    """A control connection, opened with the key."""

    def __init__(self, port: int, key: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_CALL_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send({"key": key})

    def wait_for_ever(self) -> None:
        self._socket.settimeout(None)

    def close(self) -> None:
        self._socket.close()

    def send(self, frame: dict[str, Any]) -> None:
        self._socket.sendall(framed(frame))

    def receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self._exactly(int.from_bytes(self._exactly(LENGTH), "big")))
        return frame

    def _exactly(self, size: int) -> bytes:
        parts, missing = [], size
        while missing:
            part = self._socket.recv(min(missing, 1 << 20))
            if not part:
                raise ConnectionError("the control connection was closed")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)
