"""One TCP connection of the fault server: reads requests, plays the answer byte for byte.

Broken answers are the point, so nothing here leaves the bytes to a library.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, cast

from trunkline.testing.answers import date_lines
from trunkline.testing.ledger import MALFORMED
from trunkline.testing.wire import BadRequestError, RequestParser

if TYPE_CHECKING:
    from trunkline.testing.app import App, Reply

_GARBAGE = b"\x16\x03\x01\x02\x00 this is not HTTP \x00\xff\r\n\r\n"
# With zero linger, close() throws the connection away and the peer gets RST instead of FIN.
_NO_LINGER = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """Requests of one connection are answered one after the other, in order."""

    def __init__(self, app: App, origin: str) -> None:
        self._app = app
        self.origin = origin
        self._parser = RequestParser()
        self._reply: Reply | None = None
        self._looping = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._number = 0
        self._closed = False
        self._deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted; what happens next is up to the mode of the origin."""
        # uvloop's transports have the methods but not the class.
        self._transport = cast("asyncio.Transport", transport)
        self._number = self._app.opened(self)
        mode = self._app.accept_mode(self.origin)
        if mode == "reset":
            self.reset()
        elif mode == "hang":
            self._deaf = True
            # Reading starts after this call, so it cannot be stopped from within.
            asyncio.get_running_loop().call_soon(self._transport.pause_reading)

    def data_received(self, data: bytes) -> None:
        """Bytes came; they wait while an answer is still open."""
        if self._deaf:
            return
        self._parser.feed(data)
        if self._reply is None:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side; an open answer is over and half a request is noted."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._reply is not None:
            self._app.finished(self._reply)
        request = self._parser.unfinished()
        if request is not None:
            self._app.note(request.head, request.body, "incomplete", self.origin, self._number)
        self._app.lost(self)

    def reset(self) -> None:
        """Throw the connection away: the peer sees "connection reset"."""
        listening = self._transport.get_extra_info("socket")
        # A copy, because uvloop lends its socket for reading only.
        with socket.socket(fileno=os.dup(listening.fileno())) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def _next(self) -> None:
        self._looping = True
        while self._reply is None and not self._closed and not self._transport.is_closing():
            try:
                request = self._parser.take()
            except BadRequestError as error:
                self._refuse(str(error))
                break
            if request is None:
                if self._parser.take_continue():
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                break
            self._reply = self._app.serve(request, self.origin, self._number)
            if self._reply.delay:
                self._later(self._reply.delay, self._play)
            else:
                self._play()
        self._looping = False

    def _play(self) -> None:
        reply = self._reply
        assert reply is not None
        fault, answer, write = reply.fault, reply.answer, self._transport.write
        if fault in ("reset", "reset_after_store", "refuse"):
            self._done(None)
            self.reset()
            if fault == "refuse":
                self._app.refuse(self.origin, reply.seconds)
            return
        if fault == "hang":
            return
        if fault == "garbage":
            write(_GARBAGE)
            self._done(None)
            self._transport.close()
            return
        head = answer.head(date_lines(time.time(), reply.retry_after, reply.wait, reply.skew))
        body = b"" if reply.head_only else answer.body
        if fault == "close_after_headers":
            write(head)
        elif fault in ("truncate", "hang_body"):
            write(head + body[: len(body) // 2 if reply.keep is None else reply.keep])
            if fault == "hang_body":
                reply.record_status(answer.status)
                return
        elif fault == "drip":
            write(head)
            self._drip(body, 0)
            return
        elif fault == "drip_head":
            self._drip(head + body, 0)
            return
        else:
            write(head + body)
        self._done(answer.status)
        if answer.close or reply.close or fault in ("close_after_headers", "close_after_answer", "truncate"):
            self._transport.close()

    def _drip(self, data: bytes, at: int) -> None:
        reply = self._reply
        assert reply is not None
        reply.record_status(reply.answer.status)
        if at < len(data):
            self._transport.write(data[at : at + 1])
            self._later(reply.interval, lambda: self._drip(data, at + 1))
            return
        self._done(reply.answer.status)

    def _later(self, seconds: float, call: object) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, call)  # type: ignore[arg-type]

    def _done(self, status: int | None) -> None:
        reply = self._reply
        assert reply is not None
        self._reply = None
        reply.record_status(status)
        self._app.finished(reply, answered=status is not None)
        if not self._looping:
            # From a timer: go on with what has come meanwhile, after the caller has closed what it wants to close.
            asyncio.get_running_loop().call_soon(self._next)

    def _refuse(self, why: str) -> None:
        self._app.note(self._parser.rejected(), b"", f"{MALFORMED}: {why}", self.origin, self._number, 400)
        body = why.encode("latin-1", "replace")
        self._transport.write(
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        self._transport.close()
