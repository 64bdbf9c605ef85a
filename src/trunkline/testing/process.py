"""The process of a fault server: listeners for clients, and a control port of its own for the test.

Started by `FaultServer` as `python -m trunkline.testing.process`. The first line on standard input configures it (the
control key stays out of the process list), the first line it prints names its ports. It ends when standard input does,
or when its parent is gone: a test that is killed leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import select
import socket
import ssl
import sys
import threading
import traceback
from typing import Any

from trunkline.testing.app import ACCEPT_MODES, ORIGINS, App
from trunkline.testing.frames import framed, read_frame, write_parts
from trunkline.testing.ledger import Record, portable
from trunkline.testing.ledger import select as select_records
from trunkline.testing.protocol import Connection

# Connections a burst of clients may have waiting: 200 in flight per task, a few tasks.
_BACKLOG = 1024


class Process:
    """Listeners and control commands around one App."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._key: str = config["key"]
        self._tls = _tls_context(config["tls"]) if config.get("tls") else None
        self._origins = ORIGINS if self._tls is not None else ORIGINS[:2]
        self._port: int = config["port"]
        self._followers: set[asyncio.Queue[Record]] = set()
        self._app = App(self._refuse_for, self._ended)
        self._places: dict[str, socket.socket] = {}
        self._former: set[int] = set()
        self._listeners: dict[str, asyncio.Server] = {}
        # The loop itself holds tasks only weakly.
        self._comings: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the process is ended from outside."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_error)
        control = await asyncio.start_server(self._control, "127.0.0.1", 0)
        await self._open_all()
        hello = {"control": control.sockets[0].getsockname()[1], "ports": self._ports()}
        sys.stdout.write(json.dumps(hello) + "\n")
        sys.stdout.flush()
        async with control:
            await control.serve_forever()

    async def _open_all(self) -> None:
        for origin in self._origins:
            # Bound, never listening: keeps the port ours while the origin refuses connections.
            place = _bound_socket(self._port) if origin == "main" and self._port else self._new_place()
            self._places[origin] = place
            await self._listen(origin)
            scheme = "https" if origin == "tls" else "http"
            self._app.urls[origin] = f"{scheme}://127.0.0.1:{place.getsockname()[1]}"

    def _new_place(self) -> socket.socket:
        """A socket on a port that was never ours: clients keep tokens and connections by address."""
        known = []
        while (place := _bound_socket(0)).getsockname()[1] in self._former:
            known.append(place)
        for one in known:
            one.close()
        self._former.add(place.getsockname()[1])
        return place

    async def _listen(self, origin: str) -> None:
        if origin in self._listeners:
            return
        listening = _bound_socket(self._places[origin].getsockname()[1])
        app = self._app
        self._listeners[origin] = await asyncio.get_running_loop().create_server(
            lambda: Connection(app, origin),
            sock=listening,
            backlog=_BACKLOG,
            ssl=self._tls if origin == "tls" else None,
        )

    def _refuse(self, origin: str) -> None:
        if origin in self._listeners:
            self._listeners.pop(origin).close()
        self._drop(origin)

    def _refuse_for(self, origin: str, seconds: float) -> None:
        self._refuse(origin)
        app, loop = self._app, asyncio.get_running_loop()

        def come_back() -> None:
            if self._app is app:
                self._comings.add(task := loop.create_task(self._listen(origin)))
                task.add_done_callback(self._comings.discard)

        loop.call_later(seconds, come_back)

    def _ports(self) -> dict[str, int]:
        return {origin: place.getsockname()[1] for origin, place in self._places.items()}

    def _drop(self, origin: str | None) -> None:
        for connection in list(self._app.connections):
            if origin in (None, connection.origin):
                connection.reset()

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = await read_frame(reader)
            if not hmac.compare_digest(str(hello.get("key", "")).encode(), self._key.encode()):
                return
            while True:
                command = await read_frame(reader)
                name = command.pop("command")
                try:
                    value = await getattr(self, f"_do_{name}")(writer, **command)
                except (ValueError, TypeError) as error:
                    writer.write(framed({"error": str(error)}))
                else:
                    writer.write(framed({"value": value}))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _do_route(self, _: Any, name: str, steps: list[dict[str, Any]], options: dict[str, Any]) -> None:
        self._app.declare(name, steps, options)

    async def _do_oauth(self, _: Any, path: str, options: dict[str, Any], steps: list[dict[str, Any]]) -> None:
        self._app.declare_tokens(path, options, steps)

    async def _do_revoke(self, _: Any, path: str, refresh_tokens: bool) -> None:
        self._app.tokens(path).revoke(refresh_tokens)

    async def _do_issued(self, _: Any, path: str) -> list[str]:
        return self._app.tokens(path).issued

    async def _do_ledger(self, writer: asyncio.StreamWriter, **narrow: Any) -> None:
        await write_parts(writer, map(portable, select_records(self._app.records, **narrow)))

    async def _do_follow(self, writer: asyncio.StreamWriter) -> None:
        """Tell of each request when it is over, for as long as the connection lives."""
        followed: asyncio.Queue[Record] = asyncio.Queue()
        self._followers.add(followed)
        writer.write(framed({"part": []}))
        try:
            while True:
                record = await followed.get()
                if writer.is_closing():
                    raise ConnectionAbortedError("nobody follows any more")
                writer.write(framed({"part": [portable(record)]}))
                await writer.drain()
        finally:
            self._followers.discard(followed)

    async def _do_count(self, _: Any, **narrow: Any) -> int:
        return sum(1 for _ in select_records(self._app.records, **narrow))

    async def _do_stored(self, writer: asyncio.StreamWriter, path: str) -> None:
        await write_parts(writer, self._app.collection(path).rows())

    async def _do_latest(self, writer: asyncio.StreamWriter, path: str) -> None:
        await write_parts(writer, iter(self._app.collection(path).latest.items()))

    async def _do_overwrites(self, _: Any, path: str) -> list[list[Any]]:
        return self._app.collection(path).overwrites

    async def _do_declare_rows(self, _: Any, name: str, options: dict[str, Any]) -> None:
        self._app.declare_rows(name, options)

    async def _do_rows(self, writer: asyncio.StreamWriter, name: str) -> None:
        await write_parts(writer, self._app.dataset(name).rows())

    async def _do_served(self, writer: asyncio.StreamWriter, name: str) -> None:
        await write_parts(writer, self._app.dataset(name).served())

    async def _do_add_rows(self, _: Any, name: str, rows: list[Any], at: str | int) -> None:
        self._app.dataset(name).add(rows, at)

    async def _do_update_rows(self, _: Any, name: str, rows: list[Any]) -> int:
        return self._app.dataset(name).update(rows)

    async def _do_delete_rows(self, _: Any, name: str, ids: list[Any]) -> int:
        return self._app.dataset(name).delete(ids)

    async def _do_stats(self, _: Any) -> dict[str, Any]:
        app = self._app
        return {
            "requests": len(app.records),
            "in_flight": app.in_flight,
            "max_in_flight": app.max_in_flight,
            "connections": app.opened_connections,
            "open_connections": len(app.connections),
            "errors": app.errors,
        }

    async def _do_listen(self, _: Any, mode: str, origin: str, times: int | None) -> None:
        if mode not in ACCEPT_MODES:
            raise ValueError(f"mode {mode!r}: expected one of {', '.join(ACCEPT_MODES)}")
        if origin not in self._origins:
            raise ValueError(f"origin {origin!r}: expected one of {', '.join(self._origins)}")
        if mode == "refuse":
            if times is not None:
                raise ValueError("refused connections are never seen, so they cannot be counted: leave times out")
            self._refuse(origin)
            return
        self._app.modes[origin] = (mode, times)
        await self._listen(origin)

    async def _do_drop(self, _: Any, origin: str | None) -> None:
        self._drop(origin)

    async def _do_clear(self, _: Any) -> None:
        self._app.clear()

    async def _do_renew(self, _: Any) -> dict[str, int]:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self._drop(None)
        for place in self._places.values():
            place.close()
        # What old connections still bring goes to the old one.
        self._app = App(self._refuse_for, self._ended)
        await self._open_all()
        return self._ports()

    def _ended(self, record: Record) -> None:
        for followed in self._followers:
            followed.put_nowait(record)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        text = "".join(traceback.format_exception(error)) if error is not None else str(context.get("message"))
        self._app.errors.append(text)
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def main() -> None:
    """Run a server as standard input says."""
    config = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, args=(config["parent"],), daemon=True).start()
    process = Process(config)
    try:
        import uvloop
    except ImportError:
        asyncio.run(process.run())
    else:
        uvloop.run(process.run())


def _end_with_parent(parent: int) -> None:
    # The pipe alone is not enough: a process the test forked may hold its other end open.
    while os.getppid() == parent:
        if select.select([sys.stdin], [], [], 1.0)[0] and not os.read(sys.stdin.fileno(), 4096):
            break
    os._exit(0)


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        sys.exit(f"port {port} cannot be had: {error.strerror}")
    return bound


def _tls_context(files: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files["cert"], files["key"])
    if files["mutual"]:
        context.load_verify_locations(files["ca"])
        context.verify_mode = ssl.CERT_REQUIRED
    return context


if __name__ == "__main__":
    main()
