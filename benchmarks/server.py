"""The fastest server a Python process can be, so that a benchmark measures its client: every request gets 201 and `{}`.

    python benchmarks/server.py --port 8099 --delay 0.01

Prints its port once it listens; runs until it is killed. It reads Content-Length bodies only, and keeps nothing.
"""

from __future__ import annotations

import argparse
import asyncio

import uvloop

_ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_LENGTH = b"content-length:"


class Connection(asyncio.Protocol):
    """Answers each request of one connection after `delay` seconds."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._unread = b""
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports have the methods, not the class

    def data_received(self, data: bytes) -> None:
        data = self._unread + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            size = end + 4 + _body_length(data[:end])
            if len(data) < size:
                break
            data = data[size:]
            if self._delay:
                self._loop.call_later(self._delay, self._answer)
            else:
                self._answer()
        self._unread = data

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_ANSWER)


def _body_length(head: bytes) -> int:
    head = head.lower()
    at = head.find(_LENGTH)
    if at < 0:
        return 0
    return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])


async def serve(port: int, delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(delay), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.delay))
