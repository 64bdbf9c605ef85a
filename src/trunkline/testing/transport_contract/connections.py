"""Connections: reused, as many as needed, and never one that has gone stale."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Fault, Request
from trunkline.testing.loopback import OK, Loopback
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import PATIENCE, TransportSubject, eventually, run, run_all, url


class Connections(TransportSubject):
    """What becomes of connections."""

    def test_connections_are_reused(self, transport: Transport, fault_server: FaultServer) -> None:
        """One after another, requests share a connection, whatever the status."""
        fault_server.route("* /a", [{"status": 200}, {"status": 404, "body": "no"}, {"status": 500}, {"chunked": True}])
        for _ in range(5):
            run(transport, Request("POST", url(fault_server), body=b"1"))
        assert [seen.connection for seen in fault_server.ledger()] == [1] * 5

    def test_as_many_connections_as_in_flight(self, transport: Transport) -> None:
        """A hundred at once need a hundred connections, and the next hundred use them again."""
        together, peers = threading.Barrier(100), []

        def serve(server: Loopback, peer: socket.socket) -> None:
            peers.append(peer)
            with contextlib.suppress(threading.BrokenBarrierError):
                while server.head(peer):
                    # None is answered before all are there.
                    together.wait(PATIENCE / 2)
                    peer.sendall(OK)

        with Loopback(serve) as server:
            for _ in range(2):
                requests = [Request("GET", f"http://127.0.0.1:{server.port}/a") for _ in range(100)]
                assert [one.status for one in run_all(transport, requests)] == [200] * 100
            assert len(peers) == 100

    def test_a_closing_answer_is_believed(self, transport: Transport, fault_server: FaultServer) -> None:
        """After `Connection: close` the next request goes over a new connection."""
        fault_server.route("* /a", [{"headers": {"Connection": "close"}, "body": "x"}])
        assert [run(transport, Request("POST", url(fault_server))).fault for _ in range(3)] == [None] * 3
        assert [seen.connection for seen in fault_server.ledger()] == [1, 2, 3]

    @pytest.mark.parametrize("how", ["closed", "reset"])
    def test_a_stale_connection_is_noticed(self, transport: Transport, fault_server: FaultServer, how: str) -> None:
        """What the server closed while it was idle is noticed by a look, so the next request does not run into it."""
        fault_server.route("* /a", [{"fault": "close_after_answer"} if how == "closed" else {}, {"body": "fine"}])
        assert run(transport, Request("POST", url(fault_server), body=b"1")).status == 200
        if how == "reset":
            fault_server.drop_connections()
        eventually(lambda: fault_server.stats()["open_connections"] == 0)
        time.sleep(0.02)
        assert transport.poll(0) == []
        exchange = run(transport, Request("POST", url(fault_server), body=b"1"))
        assert (exchange.body, exchange.fault, fault_server.count()) == (b"fine", None, 2)

    def test_a_body_longer_than_announced(self, transport: Transport, fault_server: FaultServer) -> None:
        """What comes after the announced end is not taken for the next answer."""
        fault_server.route("* /a", [{"fault": "wrong_length", "length": 4, "body": "hello"}, {"body": "fine"}])
        first = run(transport, Request("GET", url(fault_server)))
        assert first.body == b"hell" or first.fault is Fault.MALFORMED
        assert run(transport, Request("GET", url(fault_server))).body == b"fine"

    def test_an_answer_nobody_asked_for(self, transport: Transport) -> None:
        """A second answer to one request is not taken for the answer to the next."""
        idle, sent = threading.Event(), threading.Event()

        def serve(server: Loopback, peer: socket.socket) -> None:
            while head := server.head(peer):
                peer.sendall(OK.replace(b"ok", head.split()[1][-2:]))
                if b"/01" in head:
                    idle.wait(PATIENCE)
                    peer.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
                    sent.set()

        with Loopback(serve) as server:
            base = f"http://127.0.0.1:{server.port}"
            assert run(transport, Request("GET", f"{base}/01")).body == b"01"
            idle.set()
            assert sent.wait(PATIENCE)
            time.sleep(0.02)
            transport.poll(0)
            exchange = run(transport, Request("GET", f"{base}/02"))
            assert (exchange.status, exchange.body) == (200, b"02")
