"""One handle of libcurl: how it is set up, and what it is told for each exchange.

libcurl is told to do one exchange and nothing more: it follows, repeats, decodes, remembers and looks up nothing by
itself. Each handle is set up once and used again; what differs from request to request is set if it differs.
"""

from __future__ import annotations

import math
import select
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import pycurl

from trunkline.http.message import Exchange, header_problem
from trunkline.http.transport import Settings

# CURLOPT_QUICK_EXIT, which pycurl has no name for: closing does not wait for a name that is being looked up.
_QUICK_EXIT = 322
# Seconds that a connection is kept open for the next request: aiohttp's.
_LONGEST_IDLE = 15
# Bytes of an answer that are taken at once; libcurl's own 16 KiB make six calls of what is a page of records.
_BUFFER = 128 * 1024
_OK, _ABORT = pycurl.PREREQFUNC_OK, pycurl.PREREQFUNC_ABORT
# Address and port of the far end and of the near one, as libcurl tells them.
_Route = tuple[str | int, ...]
_SSL_VERSIONS = {"1.2": pycurl.SSLVERSION_TLSv1_2, "1.3": pycurl.SSLVERSION_TLSv1_3}
# The method, and whether there is a body to be sent, if an empty one.
Kind = tuple[str, bool]


class Origin:
    """What all requests to one scheme, host and port have in common.

    Raises:
        ValueError: Not an http(s) URL, or one with a user name.
    """

    def __init__(self, base: str, proxy: str | None) -> None:
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a URL begins with http:// or https:// and a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a URL must not hold a user name or a password")
        self.base = base
        self.host = parts.hostname
        self.proxy = proxy or ""
        authority = parts.netloc
        if not authority.isascii():
            authority = authority.replace(parts.hostname, parts.hostname.encode("idna").decode())
        self.url = f"{parts.scheme}://{authority}/"
        # Stands before the path in the request line to a proxy that reads it.
        self.prefix = self.url[:-1] if proxy is not None and parts.scheme == "http" else ""


class Sockets:
    """The sockets of connections that may be used again, by the addresses and ports of their ends.

    libcurl looks once a second whether idle connections are still there and still silent. In between, what a server has
    closed would be used, and an answer nobody asked for be taken for the next request's.

    Attributes:
        polls: For each, a call that finds something where there is something to read, be it the end.
    """

    def __init__(self) -> None:
        self.polls: dict[_Route, Callable[[int], object]] = {}
        self._routes: dict[int, _Route] = {}

    def watch(self, route: _Route, curl: pycurl.Curl) -> None:
        """Remember the socket of a connection that has done its first exchange well."""
        number = curl.getinfo(pycurl.ACTIVESOCKET)
        if number < 0:
            return
        self.polls.pop(self._routes.get(number, ()), None)
        poll = select.poll()
        poll.register(number, select.POLLIN)
        self.polls[route], self._routes[number] = poll.poll, route


class Handle:
    """An easy handle, and the exchange that it is used for.

    Attributes:
        head, body: The lines and chunks that have come.
        connected: A connection was made for this exchange.
        route: Its ends, once the request was about to be sent.
        stale: The connection had been closed, or was not clean: nothing was sent.
        sends: How often the request was about to be sent. libcurl would repeat it by itself where a connection it used
            again breaks before the first byte of the answer; the server may have acted on it, so that is forbidden.
        seen, quiet_since: What had been moved when something was last seen to move, and when that was.
    """

    def __init__(self, settings: Settings, sockets: Sockets, kind: Kind) -> None:
        self.kind = kind
        self.curl = curl = pycurl.Curl()
        self.head: list[bytes] = []
        self.body: list[bytes] = []
        self.exchange: Exchange
        self.origin: Origin
        self._polls = sockets.polls
        self._target = ""
        self._lines: list[bytes] | None = None
        self.quiet_since = 0.0
        self.route: _Route = ()
        self.begin()
        # A list's own method: no Python code runs for a line or a chunk.
        curl.setopt(pycurl.HEADERFUNCTION, self.head.append)
        curl.setopt(pycurl.WRITEFUNCTION, self.body.append)
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._connecting)
        curl.setopt(pycurl.PREREQFUNCTION, self._about_to_send)
        _set_up(curl, settings)
        method, with_body = kind
        if method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
            curl.setopt(pycurl.MAXFILESIZE_LARGE, 0)
        elif with_body:
            curl.setopt(pycurl.POST, 1)
            if method != "POST":
                curl.setopt(pycurl.CUSTOMREQUEST, method)
        elif method != "GET":
            curl.setopt(pycurl.CUSTOMREQUEST, method)

    def prepare(self, exchange: Exchange, origin: Origin, target: str, lines: list[bytes], body: bytes | None) -> None:
        """Make it ready for an exchange."""
        curl = self.curl
        if not self._lines or origin is not self.origin:
            curl.setopt(pycurl.URL, origin.url)
            # Without one, libcurl would look into the environment by rules of its own.
            curl.setopt(pycurl.PROXY, origin.proxy)
            self._target = ""
        if target != self._target:
            curl.setopt(pycurl.REQUEST_TARGET, origin.prefix + target)
            self._target = target
        if lines is not self._lines:
            curl.setopt(pycurl.HTTPHEADER, lines)
            self._lines = lines
        if self.kind[1]:
            curl.setopt(pycurl.POSTFIELDS, body or b"")
        self.exchange = exchange
        self.origin = origin
        self.begin()

    def begin(self) -> None:
        """Nothing has been sent, nothing has come."""
        self.connected = False
        self.stale = False
        self.sends = 0
        self.seen: object = None
        self.began = time.monotonic()

    def moved(self) -> object:
        """Differs when something has come or left since. A line of the head counts when it is whole."""
        return self.sends, len(self.head), len(self.body), self.curl.getinfo(pycurl.SIZE_UPLOAD_T)

    def _connecting(self, *_: object) -> int:
        self.connected = True
        return pycurl.SOCKOPT_OK

    def _about_to_send(self, *route: str | int) -> int:
        self.sends += 1
        if self.sends > 1:
            return _ABORT
        if self.connected:
            self.route = route
            # What a proxy said to make its tunnel is no part of the answer.
            self.head.clear()
            return _OK
        poll = self._polls.get(route)
        if poll is None or not poll(0):
            return _OK
        self.stale = True
        del self._polls[route]
        return _ABORT


def header_lines(headers: Mapping[str, str]) -> list[bytes]:
    """Header lines as libcurl takes them, and orders to leave out those that it would add.

    Raises:
        ValueError: One would forge another, or a whole request.
    """
    lines = []
    for name, value in headers.items():
        problem = header_problem(name, value)
        if problem is not None:
            raise ValueError(problem)
        # With a colon and nothing behind it, the header would be left out.
        lines.append((f"{name}: {value}" if value.strip() else f"{name};").encode())
    given = {name.lower() for name in headers}
    own = ("Accept", "Content-Type", "Expect", "Proxy-Connection")
    return [*lines, *(f"{name}:".encode() for name in own if name.lower() not in given)]


def _set_up(curl: pycurl.Curl, settings: Settings) -> None:
    """What stays the same for all exchanges of a handle."""
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.BUFFERSIZE, _BUFFER)
    curl.setopt(_QUICK_EXIT, 1)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.HTTP09_ALLOWED, 0)
    curl.setopt(pycurl.FOLLOWLOCATION, 0)
    curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
    curl.setopt(pycurl.HTTP_CONTENT_DECODING, 0)
    curl.setopt(pycurl.NOPROXY, "")
    curl.setopt(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)
    curl.setopt(pycurl.USERAGENT, "")
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, math.ceil(settings.connect * 1000)))
    curl.setopt(pycurl.TIMEOUT_MS, max(1, math.ceil(settings.total * 1000)))
    curl.setopt(pycurl.MAXFILESIZE_LARGE, settings.max_bytes)
    curl.setopt(pycurl.MAXAGE_CONN, _LONGEST_IDLE)
    curl.setopt(pycurl.TCP_KEEPALIVE, 1)
    curl.setopt(pycurl.SSLVERSION, _SSL_VERSIONS[settings.min_tls])
    curl.setopt(pycurl.PROXY_SSLVERSION, _SSL_VERSIONS[settings.min_tls])
    curl.setopt(pycurl.SSL_VERIFYPEER, int(settings.verify))
    curl.setopt(pycurl.SSL_VERIFYHOST, 2 if settings.verify else 0)
    curl.setopt(pycurl.PROXY_SSL_VERIFYPEER, int(settings.verify))
    curl.setopt(pycurl.PROXY_SSL_VERIFYHOST, 2 if settings.verify else 0)
    _set_authorities(curl, settings.ca)
    if settings.cert:
        curl.setopt(pycurl.SSLCERT, settings.cert)
        curl.setopt(pycurl.PROXY_SSLCERT, settings.cert)
        curl.setopt(pycurl.SSLKEY, settings.key_file or settings.cert)
        curl.setopt(pycurl.PROXY_SSLKEY, settings.key_file or settings.cert)
        if settings.key_password is not None:
            curl.setopt(pycurl.KEYPASSWD, settings.key_password.reveal())
            curl.setopt(pycurl.PROXY_KEYPASSWD, settings.key_password.reveal())


def _set_authorities(curl: pycurl.Curl, ca: str | None) -> None:
    """Those given, else those that Python trusts: a libcurl that came in a wheel knows the places of another system."""
    if ca is None and sys.platform == "win32":
        curl.setopt(pycurl.SSL_OPTIONS, pycurl.SSLOPT_NATIVE_CA)
        return
    system = ssl.get_default_verify_paths()
    file, folder = (ca, None) if ca is not None else (system.cafile, system.capath)
    for option, value in (
        (pycurl.CAINFO, file), (pycurl.PROXY_CAINFO, file), (pycurl.CAPATH, folder), (pycurl.PROXY_CAPATH, folder)
    ):  # fmt: skip
        if value is None:
            curl.unsetopt(option)
        else:
            curl.setopt(option, value)
