"""One exchange over one connection: bytes out, bytes in, and what a failure means.

It takes aiohttp's pool, TLS, proxies and parser, and leaves out aiohttp's session: that repeats requests by itself,
follows URLs and cookies, and spends more on a request than all the rest together.

    origin = Origin("https://api.example.com", proxy=None, tls=context, loop=loop)
    connection = await connected(connector, origin, timeout)    # raises NotConnectedError: nothing was sent
    await converse(exchange, connection, head, body, settings)  # fills the exchange, or raises
"""

from __future__ import annotations

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

from trunkline.http.body import BodyError, decoded
from trunkline.http.message import Exchange, Fault, header_problem
from trunkline.http.transport import ssl_words

if TYPE_CHECKING:
    from aiohttp.connector import Connection

# A server may send this much in one header; a longer one is refused, and so are more than aiohttp's 128.
_MAX_HEADER_BYTES = 32_768
# Up to here a copy of the body behind its head costs less than a second system call.
_ONE_WRITE = 65_536
_NO_BODY_STATUS = frozenset({204, 304})
_SWITCHING = 101
# What a server says of our certificate after the handshake, when the first request is on its way already (TLS 1.3).
# It has not read the request then.
_CERTIFICATE_ALERT = re.compile(r"ALERT_(\w*CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)")
# What a parser says before it quotes what it read: that may hold a credential.
_UNQUOTED = re.compile(r"[^:\n]*")
_LONGEST_DETAIL = 200


class NotConnectedError(Exception):
    """No connection, so nothing was sent; `fault` says why in the engine's terms."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


class Origin:
    """What all requests to one scheme, host and port have in common.

    Args:
        base: `https://host:port` as the URLs spell it.
        proxy: URL of the proxy to use, None for none.
        tls: Needed for https, to the server or to the proxy.
        loop: Of the transport.

    Attributes:
        prefix: Stands before the path in the request line: empty, or `http://host` for a proxy.
        lines: The header lines of this origin: Host, and the login of a proxy that reads requests.

    Raises:
        ValueError: Not an http(s) URL, or one with a user name.
    """

    def __init__(
        self, base: str, proxy: str | None, tls: ssl.SSLContext | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        url = URL(base)
        if url.scheme not in ("http", "https") or not url.raw_host:
            raise ValueError("a URL begins with http:// or https:// and a host")
        if url.raw_user is not None or url.raw_password is not None:
            raise ValueError("a URL must not hold a user name or a password")
        self.base = base
        self.host = url.raw_host
        self.proxied = proxy is not None
        # Never sent: it tells aiohttp's pool where to connect and which connections can be shared.
        self.template = aiohttp.ClientRequest(
            "GET",
            url,
            loop=loop,
            ssl=True if tls is None else tls,
            proxy=None if proxy is None else URL(proxy),
        )
        host = self.template.headers["Host"]
        self.prefix = ""
        self.lines = f"Host: {host}\r\n".encode()
        if proxy is not None and url.scheme == "http":
            self.prefix = f"http://{host}"
            user, password = URL(proxy).user, URL(proxy).password
            if user is not None:
                login = b64encode(f"{user}:{password or ''}".encode())
                self.lines += b"Proxy-Authorization: Basic %b\r\n" % login


async def connected(connector: aiohttp.TCPConnector, origin: Origin, timeout: aiohttp.ClientTimeout) -> Connection:
    """A connection that is open and clean, from the pool or new.

    Raises:
        NotConnectedError: There is none to be had.
    """
    try:
        while True:
            connection = await connector.connect(origin.template, [], timeout)
            protocol: Any = connection.protocol
            # An answer nobody asked for, come while it was idle, must not be taken for the next request's. There is no
            # public way to see one that waits; without the attribute nothing is found and nothing else changes.
            if not getattr(protocol, "_buffer", None) and protocol.exception() is None:
                return connection
            connection.close()
    except Exception as error:  # noqa: BLE001 - whatever it was, nothing was sent
        raise NotConnectedError(*_connect_fault(error, origin)) from None


async def converse(
    exchange: Exchange, connection: Connection, head: bytes, body: bytes | None, read: float, most: int
) -> None:
    """Send a request and read its answer into the exchange; the connection goes back to the pool or is closed.

    Args:
        exchange: Gets status, headers and body, each as soon as it is known.
        connection: From `connected`.
        head: Request line and headers, with the empty line.
        body: What follows it.
        read: Seconds without a byte before it gives up.
        most: The largest body, on the wire and decoded.

    Raises:
        BodyError: The answer is too large, or is not coded as it says.
        Exception: What `fault_of` explains.
    """
    protocol: Any = connection.protocol
    clean = False
    try:
        protocol.set_response_params(
            skip_payload=exchange.request.method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=read,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        out = protocol.transport
        if out is None:
            raise ConnectionResetError("the connection was lost before the request was sent")
        if not body:
            out.write(head)
        elif len(body) < _ONE_WRITE:
            out.write(head + body)
        else:
            out.write(head)
            out.write(body)
        unsent = out.get_write_buffer_size()
        if unsent:
            _watch_upload(protocol, unsent, read)
        else:
            protocol.start_timeout()
        message, payload = await protocol.read()
        while message.code < 200:  # 1xx only announce the answer
            if message.code == _SWITCHING:
                raise HttpProcessingError(message="101 Switching Protocols was not asked for")
            message, payload = await protocol.read()
        exchange.status, exchange.headers = message.code, message.headers
        if exchange.request.method != "HEAD" and message.code not in _NO_BODY_STATUS:
            exchange.body = await _whole(payload, message.headers, most)
        # A server may answer before it has read everything; what is left would be read as the next request.
        clean = not out.get_write_buffer_size()
    finally:
        if clean:
            connection.release()
        else:
            connection.close()


async def _whole(payload: aiohttp.StreamReader, headers: CIMultiDictProxy[str], most: int) -> bytes:
    length = headers.get("Content-Length")
    if length is not None and int(length) > most:
        raise BodyError(Fault.TOO_LARGE, f"{int(length)} bytes announced, {most} allowed")
    raw = await payload.readany()
    if not payload.at_eof():
        chunks, size = [raw], len(raw)
        while size <= most and (chunk := await payload.readany()):
            chunks.append(chunk)
            size += len(chunk)
        raw = b"".join(chunks)
    if len(raw) > most:
        raise BodyError(Fault.TOO_LARGE, f"more than {most} bytes")
    codings = headers.getall("Content-Encoding", None)
    return raw if codings is None else decoded(raw, ",".join(codings), most)


def _watch_upload(protocol: Any, before: int, read: float) -> None:
    """While a large body is on its way, `read` seconds without a byte leaving or coming are a timeout too."""

    def look() -> None:
        out = protocol.transport
        if out is None or protocol.is_eof():
            return
        left = out.get_write_buffer_size()
        if not left:
            protocol.start_timeout()
        elif left < before:
            _watch_upload(protocol, left, read)
        else:
            protocol.set_exception(aiohttp.SocketTimeoutError("the upload stands still"))

    asyncio.get_running_loop().call_later(read, look)


def encoded_headers(headers: Mapping[str, str]) -> bytes:
    """Header lines as they travel.

    Raises:
        ValueError: One would forge another, or a whole request.
    """
    lines = []
    for name, value in headers.items():
        problem = header_problem(name, value)
        if problem is not None:
            raise ValueError(problem)
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode()


def fault_of(error: BaseException, read: float) -> tuple[Fault, str]:
    """The fault that an exception of `converse` stands for, and words without any of the bytes that travelled."""
    if isinstance(error, (BodyError, NotConnectedError)):
        return error.fault, error.detail
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(cause, ssl.SSLError):
        words = ssl_words(cause)
        return (Fault.TLS if _CERTIFICATE_ALERT.search(cause.reason or "") else Fault.RESET), words
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return Fault.TIMEOUT, f"nothing came for {read:g} s"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        # Its text would print the headers of an answer that had begun.
        return Fault.RESET, "the server closed the connection"
    if isinstance(error, aiohttp.ClientPayloadError):
        return Fault.RESET, "the body of the answer ends early"
    if isinstance(error, HttpProcessingError):
        said = _UNQUOTED.match(error.message)
        return Fault.MALFORMED, said[0][:_LONGEST_DETAIL] if said else ""
    if isinstance(error, OSError):
        return Fault.RESET, error.strerror or type(error).__name__
    return Fault.MALFORMED, type(error).__name__


def _connect_fault(error: Exception, origin: Origin) -> tuple[Fault, str]:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Fault.DNS, f"{error.host}: {error.os_error.strerror}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
        return Fault.TLS, ssl_words(inner) if isinstance(inner, ssl.SSLError) else type(inner).__name__
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        inner = error.os_error
        return Fault.TLS, ssl_words(inner) if isinstance(inner, ssl.SSLError) else type(inner).__name__
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Fault.PROXY, f"the proxy answered {error.status} to CONNECT"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return Fault.CONNECT_TIMEOUT, origin.host
    if isinstance(error, aiohttp.ClientConnectorError):
        fault = Fault.PROXY if isinstance(error, aiohttp.ClientProxyConnectionError) else Fault.REFUSED
        return fault, " ".join(str(error.os_error).split())[:_LONGEST_DETAIL]
    words = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    return (Fault.PROXY if origin.proxied else Fault.REFUSED), words
