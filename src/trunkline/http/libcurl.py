"""The transport on libcurl: HTTP, TLS and proxies in C, driven in the caller's thread.

    transport = LibcurlTransport(Settings())      # the three calls of `trunkline.http.transport`

`perform` with `select` takes two thirds of the processor time of `socket_action` with epoll: that calls back into
Python twice for each request. `select` cannot see sockets numbered 1024 and above: these are looked at every
millisecond.
"""

from __future__ import annotations

import contextlib
import math
import select
import sys
import time
from collections.abc import Mapping

import pycurl

from trunkline.errors import OptionError
from trunkline.http.body import BodyError, decoded
from trunkline.http.libcurl_answer import AnswerHeaders, fault_of
from trunkline.http.libcurl_handle import Handle, Kind, Origin, Sockets, header_lines
from trunkline.http.message import BODILESS, Exchange, Fault, Request, split_url
from trunkline.http.transport import Settings

# 8.4.0 is the first to hold to the largest body where no length was announced, and mends CVE-2023-38545.
_LEAST_VERSION, _LEAST_NUMBER = "8.4.0", 0x080400
# Bits of `curl_version_info`: names are looked up beside the transfers; the library may be used by several threads.
_ASYNC_DNS, _THREAD_SAFE = 1 << 7, 1 << 30
# Connections kept open: none is closed because more were open a moment ago.
_MOST_CONNECTIONS = 1024
# The body of a finished request stays in its handle; a handle with a larger one is not kept.
_LARGEST_KEPT = 64 * 1024
# Silence is looked for this often in the time allowed for it, so it is noticed up to a tenth late, and never early.
_LOOKS = 20
# Between two looks at what `select` cannot see.
_BLIND_PAUSE = 0.001
_LONGEST_SELECT = 60.0


def lacking() -> str | None:
    """What the installed pycurl or its libcurl has not that this needs; None when it has all."""
    if not hasattr(select, "poll"):
        return f"{sys.platform} has no poll()"
    if not hasattr(pycurl, "PREREQFUNCTION"):
        return f"{pycurl.version.split()[0]} is too old"
    _, version, number, _, features, tls, *_ = pycurl.version_info()
    if number < _LEAST_NUMBER:
        return f"libcurl {version} is older than {_LEAST_VERSION}"
    if not features & _THREAD_SAFE or not features & _ASYNC_DNS:
        return f"libcurl {version} was built without threads"
    if not str(tls).startswith(("OpenSSL", "LibreSSL", "BoringSSL", "AWS-LC", "quictls")):
        return f"libcurl {version} was built with {tls or 'no TLS'}, not with OpenSSL"
    return None


class LibcurlTransport:
    """HTTP/1.1 over libcurl's multi interface."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, _MOST_CONNECTIONS)
        self._finished: list[Exchange] = []
        self._active: dict[pycurl.Curl, Handle] = {}
        # By method, and whether there is a body to be sent: to turn a handle from one to another is the dear part.
        self._idle: dict[Kind, list[Handle]] = {}
        self._sockets = Sockets()
        self._origin: Origin | None = None
        self._tls_checked = False
        self._headers: Mapping[str, str] | None = None
        self._lines: list[bytes] = []
        self._look_at = 0.0
        self._closed = False

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
            base, target = split_url(url)
            origin = self._origin
            if origin is None or base != origin.base:
                origin = self._origin = self._open(base)
            # The same headers come again and again. Compared by value: the caller may have changed its mapping.
            if headers != self._headers:
                self._lines = header_lines(headers)
                self._headers = dict(headers)
        except OptionError:
            raise
        except ValueError as error:
            exchange.fault, exchange.detail = Fault.MALFORMED, f"not sent: {error}"
            self._finished.append(exchange)
            return
        body = request.body
        kind = (request.method, bool(body) or request.method not in BODILESS)
        idle = self._idle.get(kind)
        handle = idle.pop() if idle else Handle(self._settings, self._sockets, kind)
        handle.prepare(exchange, origin, target, self._lines, body)
        self._active[handle.curl] = handle
        self._multi.add_handle(handle.curl)

    def poll(self, wait: float | None) -> list[Exchange]:
        """What has finished; waits up to `wait` seconds for the first one, without end when None."""
        now = time.monotonic()
        end = math.inf if wait is None else now + wait
        while True:
            if self._active:
                self._multi.perform()
                self._collect()
                if now >= self._look_at:
                    self._look(now)
            if self._finished or now >= end:
                break
            self._wait(min(end, self._look_at) - now if self._active else end - now)
            now = time.monotonic()
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """Drop every connection; exchanges under way are lost."""
        if self._closed:
            return
        self._closed = True
        for curl in list(self._active):
            with contextlib.suppress(pycurl.error):  # an interrupt may have come right after it was removed
                self._multi.remove_handle(curl)
        self._multi.close()
        for handle in [*self._active.values(), *(one for idle in self._idle.values() for one in idle)]:
            handle.curl.close()
        self._active.clear()
        self._idle.clear()

    def _open(self, base: str) -> Origin:
        proxy = self._settings.proxy_for(base)
        if not self._tls_checked and (base.startswith("https:") or (proxy or "").startswith("https:")):
            # Python's OpenSSL says of a file what libcurl would not, and never asks a terminal for a password.
            self._settings.ssl_context()
            self._tls_checked = True
        return Origin(base, proxy)

    def _wait(self, longest: float) -> None:
        """Until a socket is ready, libcurl has something to do, or the time is up."""
        if not self._active:
            time.sleep(min(longest, _LONGEST_SELECT))
            return
        due = self._multi.timeout()
        seconds = min(longest, _LONGEST_SELECT) if due < 0 else min(longest, due / 1000)
        if seconds <= 0.0:
            return
        began = time.monotonic()
        try:
            ready = self._multi.select(seconds)
        except InterruptedError:
            return
        if ready <= 0 and time.monotonic() - began < min(seconds, _BLIND_PAUSE) / 2:
            time.sleep(min(seconds, _BLIND_PAUSE))

    def _collect(self) -> None:
        _, complete, failed = self._multi.info_read()
        now = time.monotonic()
        for curl in complete:
            self._complete(self._active[curl], now)
        for curl, code, words in failed:
            handle = self._active[curl]
            if handle.stale or (code == pycurl.E_ABORTED_BY_CALLBACK and not handle.sends):
                # Nothing was sent: that connection is not to be used, or an interrupt came first.
                self._multi.remove_handle(curl)
                handle.begin()
                self._multi.add_handle(curl)
                continue
            self._fail(handle, now, *fault_of(code, words, handle.origin, self._settings, sent=handle.sends > 0))

    def _complete(self, handle: Handle, now: float) -> None:
        """Give an exchange the answer that its handle holds."""
        try:
            headers = AnswerHeaders(handle.head)
        except BodyError as error:
            self._fail(handle, now, error.fault, error.detail)
            return
        exchange = handle.exchange
        exchange.elapsed = now - handle.began
        exchange.status, exchange.headers = headers.status, headers
        chunks = handle.body
        if chunks:
            raw = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            codings = headers.joined("Content-Encoding")
            try:
                exchange.body = raw if codings is None else decoded(raw, codings, self._settings.max_bytes)
            except BodyError as error:
                exchange.fault, exchange.detail = error.fault, error.detail
        if handle.connected:
            self._sockets.watch(handle.route, handle.curl)
        self._release(handle)

    def _fail(self, handle: Handle, now: float, fault: Fault, detail: str) -> None:
        """Give an exchange its fault, and what came of the answer."""
        exchange = handle.exchange
        exchange.fault, exchange.detail = fault, detail
        exchange.elapsed = now - handle.began
        if handle.sends:  # before that, a proxy may have spoken
            with contextlib.suppress(BodyError):
                # Of an answer that is too large, libcurl takes no more than the header that says so.
                headers = AnswerHeaders(handle.head, whole=fault is not Fault.TOO_LARGE)
                exchange.status, exchange.headers = headers.status, headers
        self._release(handle)

    def _release(self, handle: Handle) -> None:
        """The exchange has ended; its handle may do another."""
        self._multi.remove_handle(handle.curl)
        del self._active[handle.curl]
        self._finished.append(handle.exchange)
        body = handle.exchange.request.body
        if body is not None and len(body) > _LARGEST_KEPT:
            handle.curl.close()
            return
        handle.head.clear()
        handle.body.clear()
        self._idle.setdefault(handle.kind, []).append(handle)

    def _look(self, now: float) -> None:
        """End what has been silent for too long."""
        read = self._settings.read
        self._look_at = now + read / _LOOKS
        for handle in list(self._active.values()):
            moved = handle.moved()
            if moved != handle.seen:
                handle.seen, handle.quiet_since = moved, now
            elif handle.sends and now - handle.quiet_since >= read:
                self._fail(handle, now, Fault.TIMEOUT, f"nothing came for {read:g} s")
