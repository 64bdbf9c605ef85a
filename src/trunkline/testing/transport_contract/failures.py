"""What goes wrong gets its name: broken answers, silence, and nobody there."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Fault, Request
from trunkline.testing.loopback import Loopback
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import (
    PATIENCE,
    SECRET,
    Open,
    TransportSubject,
    begin,
    run,
    run_all,
    url,
)


class Failures(TransportSubject):
    """What goes wrong."""

    @pytest.mark.parametrize(
        ("step", "status", "fault"),
        [
            ({"fault": "reset"}, 0, Fault.RESET),
            ({"fault": "close_after_headers", "body": "hello"}, 200, Fault.RESET),
            ({"fault": "truncate", "body": "hello"}, 200, Fault.RESET),
            ({"fault": "truncate", "body": "hello!", "chunked": 3, "keep": 8}, 200, Fault.RESET),
            ({"fault": "garbage"}, 0, Fault.MALFORMED),
            ({"headers": {"X-Large": "x" * 40_000}}, 0, Fault.MALFORMED),
            ({"headers": [["X-Many", str(n)] for n in range(5000)]}, 0, Fault.MALFORMED),
            ({"headers": {"X-Nul": f"\0{SECRET}"}}, 0, Fault.MALFORMED),
            ({"fault": "wrong_length", "length": "five", "body": "hello"}, 0, Fault.MALFORMED),
            ({"fault": "wrong_length", "length": "-1", "body": "hello"}, 0, Fault.MALFORMED),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_broken_answers(
        self, transport: Transport, fault_server: FaultServer, step: dict[str, Any], status: int, fault: Fault
    ) -> None:
        """The status is kept where it came, the fault says what broke, and the next exchange fares well."""
        fault_server.route("* /a", [{**step, "times": 1}, {"body": "fine"}])
        exchange = run(transport, Request("POST", url(fault_server), body=SECRET.encode()))
        assert (exchange.status, exchange.fault, exchange.body) == (status, fault, b"")
        assert exchange.detail
        assert run(transport, Request("GET", url(fault_server))).body == b"fine"
        assert fault_server.count() == 2

    def test_reset_after_store(self, transport: Transport, fault_server: FaultServer) -> None:
        """The server has the row, the client sees a reset: it may have been acted on."""
        fault_server.route("POST /a", [{"fault": "reset_after_store"}])
        exchange = run(transport, Request("POST", url(fault_server), body=b'{"id":1}'))
        assert (exchange.status, exchange.fault, exchange.fault and exchange.fault.unsent) == (0, Fault.RESET, False)
        assert fault_server.stored("/a") == [{"id": 1}]

    def test_half_an_answer_leaks_nothing(self, transport: Transport) -> None:
        """Headers that came before the connection broke stand in no message."""

        def serve(server: Loopback, peer: socket.socket) -> None:
            server.head(peer)
            peer.sendall(f"HTTP/1.1 200 OK\r\nSet-Cookie: {SECRET}\r\n".encode())

        with Loopback(serve) as server:
            exchange = run(transport, Request("GET", f"http://127.0.0.1:{server.port}/a"))
            assert (exchange.status, exchange.fault) == (0, Fault.RESET)

    def test_read_timeout(self, open_transport: Open, fault_server: FaultServer) -> None:
        """Silence is a timeout, before the status and after it; the wait is about as long as told."""
        fault_server.route("* /a", [{"fault": "hang", "times": 1}, {"fault": "hang_body", "body": "hello"}])
        transport = open_transport(read=0.2)
        for status in (0, 200):
            exchange = run(transport, Request("GET", url(fault_server)))
            assert (exchange.status, exchange.fault, exchange.body) == (status, Fault.TIMEOUT, b"")
            assert 0.19 <= exchange.elapsed < 2
        assert fault_server.count() == 2

    def test_a_slow_answer_is_no_silence(self, open_transport: Open, fault_server: FaultServer) -> None:
        """A byte now and then keeps the exchange alive past `read`, but not past `total`."""
        fault_server.route("* /a", [{"fault": "drip", "interval": 0.1, "body": "hello"}])
        exchange = run(open_transport(read=0.4, total=30), Request("GET", url(fault_server)))
        assert (exchange.status, exchange.fault, exchange.body) == (200, None, b"hello")
        exchange = run(open_transport(read=10, total=0.25), Request("GET", url(fault_server)))
        assert (exchange.status, exchange.fault, exchange.body) == (200, Fault.TIMEOUT, b"")
        assert 0.24 <= exchange.elapsed < 2

    def test_total_timeouts_of_several(self, open_transport: Open, fault_server: FaultServer) -> None:
        """Each exchange has its own time: one begun later ends later, and one that is answered is spared."""
        fault_server.route("* /a", [{"fault": "hang"}])
        fault_server.route("* /b", [{"delay": 0.3, "body": "ok"}])
        transport = open_transport(total=0.5)
        hanging = begin(transport, url(fault_server))
        assert transport.poll(0.3) == []
        ends = run_all(
            transport, [Request("GET", url(fault_server)), Request("GET", url(fault_server, "/b"))], others=1
        )
        assert sorted((one.status, one.fault) for one in ends if one.fault is None) == [(200, None)]
        late = [one for one in ends if one.fault is not None]
        assert [(one.fault, 0.49 <= one.elapsed < 2) for one in late] == [(Fault.TIMEOUT, True)] * 2
        assert late[0].request is hanging

    def test_an_upload_that_stands_still(self, open_transport: Open) -> None:
        """A server that stops reading a large body is a timeout like one that stops answering."""
        wait = threading.Event()

        def serve(server: Loopback, peer: socket.socket) -> None:
            server.head(peer)
            wait.wait(PATIENCE)

        with Loopback(serve) as server:
            request = Request("PUT", f"http://127.0.0.1:{server.port}/a", body=bytes(16 * 1024 * 1024))
            exchange = run(open_transport(read=0.3), request)
            wait.set()
            assert (exchange.status, exchange.fault) == (0, Fault.TIMEOUT)

    def test_an_answer_before_the_body_was_read(self, transport: Transport) -> None:
        """A 413 that comes while the body is still leaving is an answer; the connection is not used again."""

        def serve(server: Loopback, peer: socket.socket) -> None:
            server.head(peer)
            peer.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
            peer.recv(1, socket.MSG_WAITALL)
            threading.Event().wait(0.3)

        with Loopback(serve) as server:
            request = Request("PUT", f"http://127.0.0.1:{server.port}/a", body=bytes(16 * 1024 * 1024))
            exchange = run(transport, request)
            assert (exchange.status, exchange.body, exchange.fault) == (413, b"no", None)
            run(transport, Request("GET", f"http://127.0.0.1:{server.port}/b"))
            assert [head.split()[1] for head in server.heads] == [b"/a", b"/b"]

    def test_refused(self, transport: Transport, fault_server: FaultServer) -> None:
        """Nobody listens: it was never sent."""
        fault_server.listen("refuse")
        exchange = run(transport, Request("POST", url(fault_server), body=b"1"))
        assert (exchange.status, exchange.fault) == (0, Fault.REFUSED)
        assert exchange.detail

    def test_reset_on_accept(self, transport: Transport, fault_server: FaultServer) -> None:
        """A connection that is reset as soon as it is made."""
        fault_server.listen("reset")
        exchange = run(transport, Request("POST", url(fault_server), body=b"1"))
        assert (exchange.status, exchange.fault in (Fault.RESET, Fault.REFUSED)) == (0, True)

    def test_a_listener_that_never_reads(self, open_transport: Open, fault_server: FaultServer) -> None:
        """A connection that is made and never served is a read timeout."""
        fault_server.listen("hang")
        exchange = run(open_transport(read=0.2), Request("GET", url(fault_server)))
        assert (exchange.status, exchange.fault) == (0, Fault.TIMEOUT)

    def test_connect_timeout(self, open_transport: Open, full_listener: int) -> None:
        """No connection within `connect` seconds: it was never sent."""
        exchange = run(open_transport(connect=0.3), Request("GET", f"http://127.0.0.1:{full_listener}/a?key={SECRET}"))
        assert (exchange.status, exchange.fault) == (0, Fault.CONNECT_TIMEOUT)
        assert exchange.elapsed < 2

    def test_total_may_end_the_connecting(self, open_transport: Open, full_listener: int) -> None:
        """`total` includes the time to connect, and what it ends there was never sent."""
        exchange = run(open_transport(total=0.3), Request("GET", f"http://127.0.0.1:{full_listener}/a?key={SECRET}"))
        assert (exchange.status, exchange.fault) == (0, Fault.CONNECT_TIMEOUT)

    def test_dns(self, transport: Transport) -> None:
        """A name that does not exist (RFC 2606) was never sent to, and the message names it."""
        exchange = run(transport, Request("GET", f"http://no-such-host.invalid/a?key={SECRET}"))
        assert (exchange.status, exchange.fault) == (0, Fault.DNS)
        assert "no-such-host.invalid" in exchange.detail
