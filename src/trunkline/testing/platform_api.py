"""A small HTTP server for the doubles of platform APIs: it asks a function for every answer, and keeps what was asked.

def answer(operation: str, asked: Asked) -> Answer:
    return Answer(200, {"operation": operation})

with ApiServer(lambda asked: asked.path, answer) as server:
    server.fail("/jobs", Answer(429), times=2)     # instead of the answer
    server.cut("/runs")                            # the work is done, and the connection ends without an answer
    ...
    assert [one.operation for one in server.asked] == ["/jobs", "/jobs", "/jobs"]
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass
class Asked:
    """A request.

    Attributes:
        method: `GET`.
        path: Without the query.
        query: The values of each name, in order.
        headers: By lower-case name.
        body: As it came.
        operation: What the double calls it.
        status: Of the answer; 0 where there was none.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    operation: str = ""
    status: int = 0

    @property
    def json(self) -> dict[str, Any]:
        """The body, empty where there is none."""
        found: dict[str, Any] = json.loads(self.body or b"{}")
        return found


@dataclass(frozen=True)
class Answer:
    """What is answered: `body` as it is where it is text, and as JSON otherwise."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiServer:
    """Listens on a port of 127.0.0.1 while it is entered. Requests are answered one after the other.

    Args:
        operation: Names what a request asks for.
        answer: Answers it, told its name.

    Attributes:
        url: Where it listens.
        asked: Every request so far, in order.
    """

    def __init__(self, operation: Callable[[Asked], str], answer: Callable[[str, Asked], Answer]) -> None:
        self.asked: list[Asked] = []
        self._operation = operation
        self._answer = answer
        self._failures: dict[str, list[Answer]] = defaultdict(list)
        self._cuts: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.shutdown()
        self._thread.join(5)
        self._http.server_close()

    def fail(self, operation: str, answer: Answer, times: int = 1) -> None:
        """Answer the next requests for an operation so, and do nothing of what they ask."""
        self._failures[operation] += [answer] * times

    def cut(self, operation: str, times: int = 1) -> None:
        """Do what the next requests for an operation ask, and end their connections without an answer."""
        self._cuts[operation] += times

    def of(self, operation: str) -> list[Asked]:
        """The requests for one operation, in order."""
        return [one for one in self.asked if one.operation == operation]

    def serve(self, asked: Asked) -> Answer | None:
        """The answer to a request; None where the connection is to end without one."""
        with self._lock:
            asked.operation = self._operation(asked)
            self.asked.append(asked)
            failures = self._failures[asked.operation]
            answer = failures.pop(0) if failures else self._answer(asked.operation, asked)
            if self._cuts[asked.operation]:
                self._cuts[asked.operation] -= 1
                return None
            asked.status = answer.status
            return answer


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, parse_qs(parts.query), headers, self.rfile.read(length))
            answer = server.serve(asked)
            if answer is None:
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            body = text.encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the standard library's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
            """Say nothing: `asked` holds what there is to say."""

    return Handler
