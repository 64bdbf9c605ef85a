"""The hub behind HTTPS, in a thread of its own.

    server = Server(hub, certificate, token, host="10.0.0.5", port=0)
    server.start()
    server.url                   # https://10.0.0.5:41873
    server.stop()

Nothing is served without the key: `Authorization: Bearer <key>`, compared in constant time, before a body is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from aiohttp import web

from trunkline.coordination.certificate import Certificate
from trunkline.coordination.hub import Hub
from trunkline.credentials import Secret
from trunkline.errors import OptionError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

# A call of a worker holds some hundred bytes for each of its tasks.
MAX_BYTES = 1024 * 1024
# A body that takes longer is no worker's, nor is a connection without a call that shows the key.
_PATIENCE = 10.0
# Connections that have not shown it yet: beyond, the oldest are dropped before their time. All tasks of a large query
# may begin at once.
_MOST_STRANGERS = 1000
_LOOK_EVERY = 1.0
_BACKLOG = 1024
# Workers call once a second or so; those with many siblings every five.
_KEEP_ALIVE = 75.0
_STOP_PATIENCE = 5.0

log = logging.getLogger("trunkline.coordinator")


class Server:
    """Serves a hub until it is stopped.

    Args:
        hub: Answers.
        certificate: Shown to whoever connects.
        token: The key.
        host: The one address to listen on, and what workers are told to call.
        port: 0 takes any that is free.
    """

    def __init__(self, hub: Hub, certificate: Certificate, token: Secret, *, host: str, port: int) -> None:
        self._hub = hub
        self._certificate = certificate
        self._token = token
        self._host = host
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._ending: asyncio.Event | None = None
        self._strangers: dict[asyncio.WriteTransport, float] = {}
        self._known: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()

    @property
    def url(self) -> str:
        """Where workers find it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}:{self._port}"

    def start(self) -> None:
        """Listen.

        Raises:
            OptionError: The address cannot be listened on.
        """
        self._thread = threading.Thread(target=self._run, name="trunkline-coordinator", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise OptionError(
                f"the coordinator cannot listen on {self._host} port {self._port}: {self._failure}; "
                "name an address of this machine that workers can reach in host"
            ) from None

    def stop(self) -> None:
        """Close every connection; asking again does nothing."""
        loop, ending = self._loop, self._ending
        if loop is not None and ending is not None and self._thread is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(ending.set)
            self._thread.join(_STOP_PATIENCE)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        app = web.Application(client_max_size=MAX_BYTES, middlewares=[self._guard])
        app.router.add_post("/v1/sync", self._sync)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE, shutdown_timeout=0.1)
        await runner.setup()
        try:
            # There since `setup`.
            handler = cast("web.Server", runner.server)
            listener = await self._listen(handler, self._certificate.ssl_context())
            self._port = listener.sockets[0].getsockname()[1]
            self._ready.set()
            while not self._ending.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), _LOOK_EVERY)
                self._drop_strangers(_transports(runner), time.monotonic())
            listener.close()
        finally:
            # TLS would wait for each worker to say goodbye, and a worker is reading nothing between two calls.
            for transport in _transports(runner):
                transport.abort()
            await runner.cleanup()
            await asyncio.sleep(0)

    async def _listen(self, handler: web.Server, context: ssl.SSLContext) -> asyncio.Server:
        """Bind one address, also where a name stands for several: port 0 would be another one on each."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return await loop.create_server(
            handler,
            str(address[0]),
            self._port,
            family=family,
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_PATIENCE,
        )

    def _drop_strangers(self, transports: Iterable[asyncio.WriteTransport], now: float) -> None:
        """Whoever connects and does not show the key holds a file of this process, of which there are not many."""
        unknown = [transport for transport in transports if transport not in self._known]
        self._strangers = {transport: self._strangers.get(transport, now) for transport in unknown}
        late = [transport for transport, since in self._strangers.items() if now > since + _PATIENCE]
        for transport in {*late, *unknown[: max(0, len(unknown) - _MOST_STRANGERS)]}:
            transport.abort()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(shown, b"Bearer " + self._token.reveal().encode()):
            return web.Response(status=401, headers={"Connection": "close"})
        if request.transport is not None:
            self._known.add(request.transport)
        return await handler(request)

    async def _sync(self, request: web.Request) -> web.Response:
        try:
            body = await asyncio.wait_for(request.read(), _PATIENCE)
            answer = self._hub.sync(json.loads(body), time.monotonic())
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            return web.Response(status=400)
        except asyncio.TimeoutError:
            return web.Response(status=408, headers={"Connection": "close"})
        except ConnectionError:  # the worker has gone, or this server ends: nobody will read an answer
            return web.Response(status=400)
        return web.json_response(answer)


def _transports(runner: web.AppRunner) -> list[asyncio.WriteTransport]:
    """Of all connections, in the order they were made."""
    connections = runner.server.connections if runner.server is not None else ()
    return [connection.transport for connection in connections if connection.transport is not None]
