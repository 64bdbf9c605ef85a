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
import errno
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import hdrs
from yarl import URL

from trunkline.errors import OptionError
from trunkline.http.body import BodyError, decoded
from trunkline.http.message import Exchange, Fault, Request

if TYPE_CHECKING:
    from trunkline.credentials import Secret

# Ours are complete: aiohttp need not look for what is missing.
_OWN_HEADERS = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.USER_AGENT, hdrs.CONTENT_TYPE)
_TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# A server may send this much in its headers; aiohttp refuses a longer line or field.
_MAX_HEADER_BYTES = 32_768


@dataclass(frozen=True)
class Settings:
    """What a connection needs to know; equal settings can share a transport.

    Attributes:
        connect: Seconds to connect, TLS included.
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
            raise OptionError(f"tls.ca: cannot load {self.ca}: {error}") from None
        context.minimum_version = _TLS_VERSIONS[self.min_tls]
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert:
            password = self.key_password.reveal if self.key_password is not None else _no_password
            try:
                context.load_cert_chain(self.cert, self.key_file, password)
            except (OSError, ssl.SSLError) as error:
                raise OptionError(f"tls.cert: cannot load {self.cert}: {error}") from None
        return context

    def proxy_for(self, url: str) -> str | None:
        """The proxy for this URL: the one set here, else the environment's unless NO_PROXY names the host."""
        if self.proxy is not None:
            return self.proxy
        parts = urlsplit(url)
        if not parts.hostname or proxy_bypass(parts.netloc):
            return None
        return getproxies().get(parts.scheme)


class AiohttpTransport:
    """HTTP/1.1 over aiohttp, on uvloop where it is installed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = _new_event_loop()
        self._finished: list[Exchange] = []
        self._polling = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._last_url = ""
        self._last_parsed: URL | None = None
        self._proxy: str | None = None
        self._proxy_origin: tuple[str, str] | None = None
        self._request: Any = None

    def start(self, request: Request, url: str, headers: Mapping[str, str]) -> None:
        """Begin an exchange; its bytes leave at the next `poll`.

        Args:
            request: Comes back as `Exchange.request`; its method and body are sent.
            url: Where to, encoded already.
            headers: All headers to send.
        """
        if self._session is None:
            self._open()
        parsed = self._last_parsed
        if parsed is None or url != self._last_url:
            parsed = self._last_parsed = URL(url, encoded=True)
            self._last_url = url
            if (parsed.scheme, parsed.authority) != self._proxy_origin:
                self._proxy_origin = (parsed.scheme, parsed.authority)
                self._proxy = self._settings.proxy_for(url)
        task = self._loop.create_task(self._exchange(request, parsed, headers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def poll(self, wait: float | None) -> list[Exchange]:
        """What has finished; waits up to `wait` seconds for the first one, without end when None."""
        loop = self._loop
        self._polling = True
        if wait is None:
            loop.run_forever()
        elif wait <= 0:
            loop.call_soon(loop.stop)
            loop.run_forever()
        else:
            alarm = loop.call_later(wait, loop.stop)
            loop.run_forever()
            alarm.cancel()
        self._polling = False
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """Drop every connection; exchanges under way are lost."""
        if self._loop.is_closed():
            return
        for task in list(self._tasks):
            task.cancel()
        self._loop.run_until_complete(self._shut())
        self._loop.close()

    async def _shut(self) -> None:
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _open(self) -> None:
        self._loop.run_until_complete(self._connect())

    async def _connect(self) -> None:
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=settings.ssl_context()),
            timeout=aiohttp.ClientTimeout(total=settings.total, sock_connect=settings.connect, sock_read=settings.read),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_OWN_HEADERS,
            auto_decompress=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        # aiohttp repeats idempotent requests by itself on a connection that broke; here only the schedule repeats.
        self._session._retry_connection = False  # noqa: SLF001
        self._request = self._session._request  # noqa: SLF001 - saves a context manager per request

    async def _exchange(self, request: Request, url: URL, headers: Mapping[str, str]) -> None:
        began = time.perf_counter()
        exchange = Exchange(request)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._request(
                request.method, url, data=request.body, headers=headers, allow_redirects=False, proxy=self._proxy
            )
            exchange.status, exchange.headers = response.status, response.headers
            exchange.body = await self._read(response)
        except asyncio.CancelledError:
            exchange.fault = Fault.RESET
            raise
        except BodyError as error:
            exchange.fault, exchange.detail = error.fault, error.detail
        except Exception as error:  # noqa: BLE001 - whatever it was, the exchange ends as a fault and is judged
            exchange.fault, exchange.detail = _fault(error)
        finally:
            if response is not None and exchange.fault is not None:
                response.close()
            exchange.elapsed = time.perf_counter() - began
            self._finished.append(exchange)
            if self._polling:
                self._polling = False
                self._loop.stop()

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        most = self._settings.max_bytes
        encoding = response.headers.get(hdrs.CONTENT_ENCODING)
        length = response.content_length
        if length is not None and length > most:
            raise BodyError(Fault.TOO_LARGE, f"{length} bytes announced, {most} allowed")
        if length is not None:
            raw = await response.read()
        else:
            chunks, size = [], 0
            while chunk := await response.content.readany():
                size += len(chunk)
                if size > most:
                    raise BodyError(Fault.TOO_LARGE, f"more than {most} bytes")
                chunks.append(chunk)
            raw = b"".join(chunks)
        return raw if encoding is None else decoded(raw, encoding, most)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def _no_password() -> str:
    """Keeps OpenSSL from asking for the password of an encrypted key on a terminal nobody watches."""
    return ""


def _fault(error: Exception) -> tuple[Fault, str]:
    """The fault an exception of aiohttp or the system stands for, and what it says."""
    for kinds, fault in _FAULTS:
        if isinstance(error, kinds):
            return fault, _said(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Fault.REFUSED, _said(error)
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EMFILE):
        return Fault.REFUSED, _said(error)
    if isinstance(error, (aiohttp.ClientOSError, OSError, aiohttp.ClientPayloadError)):
        return Fault.RESET, _said(error)
    return Fault.MALFORMED, _said(error)


def _said(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
    text = str(inner or error) or type(error).__name__
    return " ".join(text.split())[:200]


# In this order: a subclass before its base.
_FAULTS: Iterable[tuple[tuple[type[Exception], ...], Fault]] = (
    ((aiohttp.ClientConnectorDNSError,), Fault.DNS),
    ((aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch), Fault.TLS),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), Fault.PROXY),
    ((aiohttp.ConnectionTimeoutError,), Fault.CONNECT_TIMEOUT),
    ((TimeoutError, asyncio.TimeoutError), Fault.TIMEOUT),
    ((aiohttp.ServerDisconnectedError,), Fault.RESET),
    ((aiohttp.ClientPayloadError,), Fault.RESET),
)
