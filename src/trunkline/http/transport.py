"""Moves bytes, nothing else: no retry, no waiting, no login, no judging.

A transport is three calls; `start` returns at once and `poll` hands over what has finished meanwhile:

    transport = AiohttpTransport(Settings())
    transport.start(request, request.url, {"Content-Type": "application/json"})
    exchanges = transport.poll(wait=1.0)          # [] when a second passed and nothing finished
    transport.close()

`AiohttpTransport` owns an event loop and runs it only inside `poll`, in the caller's thread: there is no other
thread to hand bytes to, and one turn of the loop finishes as many exchanges as are ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from trunkline.errors import OptionError
from trunkline.http.connection import Origin, connected, converse, encoded_headers, fault_of, ssl_words
from trunkline.http.message import Exchange, Fault, Request

if TYPE_CHECKING:
    from trunkline.credentials import Secret

_TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# Methods whose empty body needs no Content-Length: 0 (RFC 9110 section 8.6).
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
# All that may stand in a URL that is encoded already, "%" among it.
_URL_SAFE = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True)
class Settings:
    """What a connection needs to know; equal settings can share a transport.

    Attributes:
        connect: Seconds to connect: name, proxy and TLS included.
        read: Seconds between two arrivals of bytes.
        total: Seconds for the whole exchange.
        max_bytes: The largest answer, on the wire and decoded.
        ca: Path of a PEM file of certificate authorities, instead of the system's.
        cert: Path of the client's certificate, PEM; may hold the key too.
        key_file: Path of the client's private key.
        key_password: Of the key.
        verify: False accepts any server certificate.
        min_tls: "1.2" or "1.3".
        proxy: URL of a proxy; None takes the environment's, which NO_PROXY limits.
    """

    connect: float = 10.0
    read: float = 60.0
    total: float = 300.0
    max_bytes: int = 64 * 1024 * 1024
    ca: str | None = None
    cert: str | None = None
    key_file: str | None = None
    key_password: Secret | None = None
    verify: bool = True
    min_tls: str = "1.2"
    proxy: str | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS configuration.

        Raises:
            OptionError: A file is missing or unreadable, or the key does not fit.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            words = ssl_words(error) if isinstance(error, ssl.SSLError) else error.strerror
            raise OptionError(f"tls.ca: cannot load {self.ca}: {words}") from None
        context.minimum_version = _TLS_VERSIONS[self.min_tls]
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert:
            password = self.key_password.reveal if self.key_password is not None else _no_password
            try:
                context.load_cert_chain(self.cert, self.key_file, password)
            except ssl.SSLError as error:
                # OpenSSL says the same of a wrong password and of a broken file, and says it badly.
                causes = "is it PEM, does the key belong to the certificate, is tls.keyPassword right?"
                files = self.cert if self.key_file is None else f"{self.cert} with {self.key_file}"
                raise OptionError(f"tls.cert: cannot load {files}: {causes} ({ssl_words(error)})") from None
            except OSError as error:
                raise OptionError(f"tls.cert: cannot read {error.filename or self.cert}: {error.strerror}") from None
        return context

    def proxy_for(self, url: str) -> str | None:
        """The proxy for this URL: the one set here, else the environment's unless NO_PROXY names the host."""
        if self.proxy is not None:
            return self.proxy
        parts = urlsplit(url)
        if not parts.hostname or proxy_bypass(parts.netloc):
            return None
        return getproxies().get(parts.scheme)


def open_transport(settings: Settings, choice: str) -> AiohttpTransport:
    """The transport that the option `transport` asks for."""
    return AiohttpTransport(settings)


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
        cut = len(url)
        start = url.find("://") + 3
        for mark in "/?#":
            at = url.find(mark, start, cut)
            if at >= 0:
                cut = at
        origin = self._origin
        if origin is None or url[:cut] != origin.base:
            origin = self._origin = self._open(url[:cut])
        target = url[cut:].partition("#")[0]
        if not target.startswith("/"):
            target = f"/{target}"
        if not target.isascii() or not target.isprintable() or " " in target:
            if any(ord(character) < 0x20 or character == "\x7f" for character in target):
                raise ValueError("the URL holds a control character")
            target = quote(target, safe=_URL_SAFE)
        # The same headers come again and again. Compared by value: the caller may have changed its mapping.
        if headers != self._headers:
            self._lines = encoded_headers(headers)
            self._headers = dict(headers)
        body = request.body
        length = b"" if not body and request.method in _BODILESS else b"Content-Length: %d\r\n" % len(body or b"")
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


def _no_password() -> str:
    """Keeps OpenSSL from asking for the password of an encrypted key on a terminal nobody watches."""
    return ""
