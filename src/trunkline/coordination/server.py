"""The hub behind HTTPS, in a thread of its own.

    server = Server(hub, certificate, token, host="10.0.0.5", port=0)
    server.start()
    server.url                   # https://10.0.0.5:41873
    server.stop()

Nothing is served without the key: `Authorization: Bearer <key>`, compared in constant time, before a body is read.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import threading
import time
from typing import TYPE_CHECKING

from aiohttp import web

from trunkline.coordination.certificate import Certificate
from trunkline.coordination.hub import Hub
from trunkline.credentials import Secret
from trunkline.errors import OptionError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

# A call of a worker holds some hundred bytes for each of its tasks.
MAX_BYTES = 1024 * 1024
# A body that takes longer is no worker's.
_PATIENCE = 10.0
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
            site = web.TCPSite(runner, self._host, self._port, ssl_context=self._certificate.ssl_context())
            await site.start()
            self._port = runner.addresses[0][1]
            self._ready.set()
            await self._ending.wait()
        finally:
            # TLS would wait for each worker to say goodbye, and a worker is reading nothing between two calls.
            for connection in runner.server.connections if runner.server is not None else ():
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()
            await asyncio.sleep(0)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(shown, b"Bearer " + self._token.reveal().encode()):
            return web.Response(status=401, headers={"Connection": "close"})
        return await handler(request)

    async def _sync(self, request: web.Request) -> web.Response:
        try:
            body = await asyncio.wait_for(request.read(), _PATIENCE)
            answer = self._hub.sync(json.loads(body), time.monotonic())
        except (ValueError, TypeError, KeyError, AttributeError):
            return web.Response(status=400)
        except asyncio.TimeoutError:
            return web.Response(status=408, headers={"Connection": "close"})
        return web.json_response(answer)
