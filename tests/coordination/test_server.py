"""Who may hold a connection to a coordinator."""

from __future__ import annotations

import logging
import socket
import ssl

import pytest
from tests.measures import waited_for

from trunkline.coordination import server as servers
from trunkline.coordination.channel import Channel, Place
from trunkline.coordination.coordinator import Coordinator


def test_whoever_connects_and_does_not_show_the_key_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A while after it came; whoever has shown it stays."""
    monkeypatch.setattr(servers, "_LOOK_EVERY", 0.1)
    with Coordinator(host="127.0.0.1") as c:
        known = Channel(Place(c.options["coordinator.url"], c._token, c.options["coordinator.fingerprint"]))
        assert isinstance(known.exchange({"worker": "w"}), dict)
        address = ("127.0.0.1", int(c.options["coordinator.url"].rpartition(":")[2]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        silent = context.wrap_socket(socket.create_connection(address, timeout=60))
        slow = context.wrap_socket(socket.create_connection(address, timeout=60))
        slow.sendall(b"POST /v1/sync HTTP/1.1\r\nHost: c\r\nX-")
        with monkeypatch.context() as a_while_later:
            a_while_later.setattr(servers, "_PATIENCE", 0.0)
            assert [end_of(one) for one in (silent, slow)] == [b""] * 2
        assert isinstance(known.exchange({"worker": "w"}), dict)
        assert known._pool.num_connections == 1


def test_whoever_connects_and_does_not_agree_on_tls_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_PATIENCE", 0.1)
    with Coordinator(host="127.0.0.1") as c:
        address = ("127.0.0.1", int(c.options["coordinator.url"].rpartition(":")[2]))
        assert end_of(socket.create_connection(address, timeout=60)) == b""


def test_of_too_many_strangers_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_MOST_STRANGERS", 3)
    monkeypatch.setattr(servers, "_PATIENCE", 600.0)
    monkeypatch.setattr(servers, "_LOOK_EVERY", 0.1)
    with Coordinator(host="127.0.0.1") as c:
        address = ("127.0.0.1", int(c.options["coordinator.url"].rpartition(":")[2]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        strangers = [context.wrap_socket(socket.create_connection(address, timeout=60)) for _ in range(8)]
        assert [end_of(one) for one in strangers[:5]] == [b""] * 5
        strangers[-1].settimeout(0.3)
        with pytest.raises(TimeoutError):
            strangers[-1].recv(1)
        for one in strangers:
            one.close()


def test_a_call_that_is_cut_off_is_no_error_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """When the query ends, workers may be in the middle of one."""
    with caplog.at_level(logging.WARNING), Coordinator(host="127.0.0.1") as c:
        address = ("127.0.0.1", int(c.options["coordinator.url"].rpartition(":")[2]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        worker = context.wrap_socket(socket.create_connection(address, timeout=60))
        head = f"POST /v1/sync HTTP/1.1\r\nHost: c\r\nAuthorization: Bearer {c.options['coordinator.token']}\r\n"
        worker.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert waited_for(lambda: c._server._known)
    worker.close()
    assert caplog.records == []


def end_of(connection: socket.socket) -> bytes:
    """What comes until the other side ends the connection."""
    with connection:
        try:
            return connection.recv(100)
        except (ConnectionResetError, ssl.SSLError):
            return b""
