"""The transport on aiohttp: an event loop that runs only inside `poll`, in the caller's thread.

There is no other thread to hand bytes to, and one turn of the loop finishes as many exchanges as are ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping

import aiohttp

from trunkline.errors import OptionError
from trunkline.http.connection import Origin, connected, converse, encoded_headers, fault_of
from trunkline.http.message import BODILESS, Exchange, Fault, Request, split_url
from trunkline.http.transport import Settings


class AiohttpTransport:
    """HTTP/1.1 over aiohttp's connections, on uvloop where it is installed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = _new_event_loop()
        self._finished: list[Exchange] = []
        self._polling = False
        self._tasks: dict[Exchange, asyncio.Task[None]] = {}
        # In the order they began: the first is always the next to run out of time.
        self._deadlines: dict[Exchange, float] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._connector: aiohttp.TCPConnector | None = None
        self._tls: ssl.SSLContext | None = None
        self._timeout = aiohttp.ClientTimeout(connect=settings.connect)
        self._origin: Origin | None = None
        self._headers: Mapping[str, str] | None = None
        self._lines = b""

    def start(self, request: Request, url: str, headers: Mapping[str, str]) -> None:
        """Begin an exchange; its bytes leave at the next `poll`.

        What cannot be sent as it is (a control character in the URL, a header that would forge another) ends as an
        exchange with a fault like everything else.

        Args:
            request: Comes back as `Exchange.request`; its method and body are sent.
            url: Where to, encoded already.
            headers: All headers to send, but for Host and Content-Length.

        Raises:
            OptionError: The certificates of the settings cannot be loaded.
        """
        exchange = Exchange(request)
        try:
            origin, head = self._prepare(request, url, headers)
        except OptionError:
            raise
        except ValueError as error:
            exchange.fault, exchange.detail = Fault.MALFORMED, f"not sent: {error}"
            self._finished.append(exchange)
            return
        self._tasks[exchange] = self._loop.create_task(self._exchange(exchange, origin, head, request.body))

    def poll(self, wait: float | None) -> list[Exchange]:
        """What has finished; waits up to `wait` seconds for the first one, without end when None."""
        loop = self._loop
        alarm = None
        if self._finished or (wait is not None and wait <= 0):
            loop.call_soon(self._halt)
        elif wait is not None:
            alarm = loop.call_later(wait, self._halt)
        self._polling = True
        try:
            loop.run_forever()
        finally:
            self._polling = False
            if alarm is not None:
                alarm.cancel()
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """Drop every connection; exchanges under way are lost."""
        if self._loop.is_closed():
            return
        if self._alarm is not None:
            self._alarm.cancel()
        for task in self._tasks.values():
            task.cancel()
        shut = self._loop.create_task(self._shut())
        shut.add_done_callback(lambda _: self._loop.stop())
        # More than once where a poll was interrupted after it had asked the loop to stop.
        while not shut.done():
            self._loop.run_forever()
        self._loop.close()

    async def _shut(self) -> None:
        if self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._connector is not None:
            await self._connector.close()

    def _prepare(self, request: Request, url: str, headers: Mapping[str, str]) -> tuple[Origin, bytes]:
        """Where to connect, and the head to send; ValueError when there is no sending it."""
        base, target = split_url(url)
        origin = self._origin
        if origin is None or base != origin.base:
            origin = self._origin = self._open(base)
        # The same headers come again and again. Compared by value: the caller may have changed its mapping.
        if headers != self._headers:
            self._lines = encoded_headers(headers)
            self._headers = dict(headers)
        body = request.body
        length = b"" if not body and request.method in BODILESS else b"Content-Length: %d\r\n" % len(body or b"")
        line = f"{request.method} {origin.prefix}{target} HTTP/1.1\r\n".encode()
        return origin, b"%b%b%b%b\r\n" % (line, origin.lines, self._lines, length)

    def _open(self, base: str) -> Origin:
        proxy = self._settings.proxy_for(base)
        if self._tls is None and (base.startswith("https:") or (proxy or "").startswith("https:")):
            self._tls = self._settings.ssl_context()
        return Origin(base, proxy, self._tls, self._loop)

    async def _exchange(self, exchange: Exchange, origin: Origin, head: bytes, body: bytes | None) -> None:
        settings = self._settings
        began = time.perf_counter()
        self._deadlines[exchange] = began + settings.total
        if self._alarm is None:
            self._alarm = self._loop.call_later(settings.total, self._expire)
        connection = None
        try:
            if self._connector is None:
                self._connector = aiohttp.TCPConnector(limit=0)
            connection = await connected(self._connector, origin, self._timeout)
            await converse(exchange, connection, head, body, settings.read, settings.max_bytes)
        except asyncio.CancelledError:
            # Time is up, which `_expire` has written into the exchange; otherwise the transport closes.
            if exchange.fault is None:
                raise
            if connection is None:
                exchange.fault = Fault.CONNECT_TIMEOUT
        except Exception as error:  # noqa: BLE001 - whatever it was, the exchange ends as a fault and is judged
            exchange.fault, exchange.detail = fault_of(error, settings.read)
        finally:
            exchange.elapsed = time.perf_counter() - began
            del self._tasks[exchange]
            del self._deadlines[exchange]
            self._finished.append(exchange)
            self._halt()

    def _halt(self) -> None:
        """End the poll; once, because uvloop keeps a second stop for the next run."""
        if self._polling:
            self._polling = False
            self._loop.stop()

    def _expire(self) -> None:
        """End what has taken longer than the whole exchange may; wake again when the next one's time is up."""
        self._alarm = None
        now = time.perf_counter()
        for exchange, deadline in self._deadlines.items():
            if deadline > now:
                self._alarm = self._loop.call_later(deadline - now, self._expire)
                return
            if exchange.fault is None:
                exchange.fault, exchange.detail = Fault.TIMEOUT, f"not complete after {self._settings.total:g} s"
                self._tasks[exchange].cancel()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()
