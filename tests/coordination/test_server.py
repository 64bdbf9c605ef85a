"""Who may hold a connection to a coordinator."""

from __future__ import annotations

import socket
import ssl
import time

import pytest

from trunkline.coordination import server as servers
from trunkline.coordination.channel import Channel, Place
from trunkline.coordination.coordinator import Coordinator


def test_whoever_connects_and_does_not_show_the_key_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_PATIENCE", 0.4)
    monkeypatch.setattr(servers, "_LOOK_EVERY", 0.1)
    with Coordinator(host="127.0.0.1") as c:
        known = Channel(Place(c.options["coordinator.url"], c._token, c.options["coordinator.fingerprint"]))
        assert isinstance(known.exchange({"worker": "w"}), dict)
        address = ("127.0.0.1", int(c.options["coordinator.url"].rpartition(":")[2]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        silent = context.wrap_socket(socket.create_connection(address, timeout=10))
        slow = context.wrap_socket(socket.create_connection(address, timeout=10))
        slow.sendall(b"POST /v1/sync HTTP/1.1\r\nHost: c\r\nX-")
        no_tls = socket.create_connection(address, timeout=10)
        before = time.monotonic()
        assert [end_of(one) for one in (silent, slow, no_tls)] == [b""] * 3
        assert time.monotonic() < before + 5.0
        assert isinstance(known.exchange({"worker": "w"}), dict)
        assert known._pool.num_connections == 1


def test_of_too_many_strangers_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_MOST_STRANGERS", 3)
    monkeypatch.setattr(servers, "_LOOK_EVERY", 0.1)
    with Coordinator(host="127.0.0.1") as c:
        address = ("127.0.0.1", int(c.options["coordinator.url"].rpartition(":")[2]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        strangers = [context.wrap_socket(socket.create_connection(address, timeout=10)) for _ in range(8)]
        time.sleep(0.5)
        strangers[-1].settimeout(0.2)
        assert [end_of(one) for one in strangers[:5]] == [b""] * 5
        with pytest.raises(TimeoutError):
            strangers[-1].recv(1)
        for one in strangers:
            one.close()


def end_of(connection: socket.socket) -> bytes:
    """What comes until the other side ends the connection."""
    with connection:
        try:
            return connection.recv(100)
        except (ConnectionResetError, ssl.SSLError):
            return b""
