"""Starts a real server as a process of its own on a free port of 127.0.0.1, and ends it by its process id.

    server = start("kinto", lambda port, folder: [str(kinto), "start", "--port", str(port)])
    ...
    server.stop()

What a server writes goes to a folder of its own below `store()/run`, which stays for a look until the next run. On
Linux a server also ends when the test run is killed, by the parent-death signal that `setpriv` sets; the signal comes
with the end of the thread that called `start`, so start servers from the main thread.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.install import store

# The slowest of the servers answers within 2 s; a stalled machine gets this long.
START_SECONDS = 60.0
# A server has this long to end by itself; Apache takes up to a second.
STOP_SECONDS = 10.0
# A free port can be taken by another process between our look and the server's start; a second one rarely is.
PORT_ATTEMPTS = 3


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: Where it answers, without a slash at the end.
        folder: What it was given and what it writes.
        process: The process to end.
    """

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        """What the server said on its standard output and error."""
        return self.folder / "log"

    def answers(self) -> list[str]:
        """One line per answer given, in order, as `429 POST /limited`: for servers that keep an access log.

        The line is written after the answer is sent, so the last answers may be missing for some milliseconds.
        """
        return (self.folder / "access.log").read_text(encoding="utf-8").splitlines()

    def stop(self) -> None:
        """End the server and wait for its end. Ending it twice does no harm."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # the group is the server's own: see `start`
            self.process.wait(STOP_SECONDS)


def start(
    name: str,
    command: Callable[[int, Path], Sequence[str]],
    *,
    environment: Mapping[str, str] | None = None,
) -> Server:
    """Start `command(port, folder)` and wait until it answers HTTP.

    Args:
        name: Begins the name of the server's folder.
        command: Gets the port to listen on and the server's folder, writes its configuration there, and returns the
            program and its arguments.
        environment: Added to the environment of this process.

    Raises:
        RuntimeError: It ended or did not answer in time; the message ends with the end of its log.
    """
    folder = _run_folder(name)
    for _ in range(PORT_ATTEMPTS):
        port = free_port()
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*_dies_with_parent(), *command(port, folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                # A session of its own: Apache signals its whole process group when it ends, and Ctrl-C at the
                # terminal must reach the tests first.
                start_new_session=True,
            )
        server = Server(f"http://127.0.0.1:{port}", folder, process)
        try:
            if _answers_http(process, port):
                return server
        except BaseException:
            server.stop()
            raise
        server.stop()
    said = server.log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"{name} did not start (exit status {process.returncode}); its log ends:\n{said}")


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens at the moment, and which nobody gets who asks for any port.

    What the system hands out lies from 32,768 on. A port of those, free now, may be another test's when it is used, and
    another's again while somebody still calls there.
    """
    while True:
        port = secrets.randbelow(20_000) + 12_000
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _answers_http(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if connection.recv(5) == b"HTTP/":
                    return process.poll() is None
        except OSError:
            pass
        time.sleep(0.02)
    return False


def _dies_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _run_folder(name: str) -> Path:
    """A new folder for one server, after clearing those of test runs that have ended."""
    runs = store() / "run"
    runs.mkdir(parents=True, exist_ok=True)
    for old in runs.iterdir():
        if not _runs(int(old.name.split("-")[0])):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-{name}-", dir=runs))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # asks only
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
