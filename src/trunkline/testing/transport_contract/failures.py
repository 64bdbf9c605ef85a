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
    eventually,
    mostly,
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
        fault_server.route("* /before", [{"fault": "hang"}])
        fault_server.route("* /after", [{"fault": "hang_body", "body": "hello"}])
        transport = open_transport(read=0.2)
        tries = 0

        def ends(path: str, status: int) -> bool:
            nonlocal tries
            tries += 1
            exchange = run(transport, Request("GET", url(fault_server, path)))
            assert (exchange.fault, exchange.body, exchange.status in (0, status)) == (Fault.TIMEOUT, b"", True)
            assert exchange.elapsed >= 0.19
            return exchange.status == status and exchange.elapsed < 2

        # Where the server stands still, there is silence before the status, whatever it was told.
        mostly(lambda: ends("/before", 0))
        mostly(lambda: ends("/after", 200))
        eventually(lambda: fault_server.count() >= tries)
        assert fault_server.count() == tries

    def test_a_slow_answer_is_no_silence(self, open_transport: Open, fault_server: FaultServer) -> None:
        """A byte now and then keeps the exchange alive past `read`, but not past `total`."""
        fault_server.route("* /a", [{"fault": "drip", "interval": 0.1, "body": "hello you"}])
        fault_server.route("* /b", [{"fault": "drip", "interval": 0.05, "body": "x" * 10_000}])
        patient, hasty = open_transport(read=0.4), open_transport(read=PATIENCE, total=0.25)

        def comes_whole() -> bool:
            exchange = run(patient, Request("GET", url(fault_server)))
            # A server that stands still is silent.
            assert exchange.fault is Fault.TIMEOUT or (exchange.status, exchange.body) == (200, b"hello you")
            return exchange.fault is None and exchange.elapsed > 0.45

        def is_cut() -> bool:
            exchange = run(hasty, Request("GET", url(fault_server, "/b")))
            assert (exchange.fault, exchange.body, exchange.elapsed >= 0.24) == (Fault.TIMEOUT, b"", True)
            return exchange.status == 200 and exchange.elapsed < 2

        mostly(comes_whole)
        mostly(is_cut)

    def test_total_timeouts_of_several(self, open_transport: Open, fault_server: FaultServer) -> None:
        """Each exchange has its own time: one begun later ends later, and one that is answered is spared."""
        fault_server.route("* /a", [{"fault": "hang"}])
        fault_server.route("* /b", [{"delay": 0.3, "body": "ok"}])
        transport = open_transport(total=0.5)

        def each_in_its_time() -> bool:
            first = begin(transport, url(fault_server))
            ends = transport.poll(0.3)
            answered, second = Request("GET", url(fault_server, "/b")), Request("GET", url(fault_server))
            ends += run_all(transport, [answered, second], others=1 - len(ends))
            by_request = {id(one.request): one for one in ends}
            hanging, spared, later = (by_request[id(one)] for one in (first, answered, second))
            # None before its time, however long the machine stood still; then the answer may come too late as well.
            assert [(one.fault, one.elapsed >= 0.49) for one in (hanging, later)] == [(Fault.TIMEOUT, True)] * 2
            assert (spared.status, spared.body) == (200, b"ok") or spared.elapsed >= 0.49
            # Before the answer left, and before the second could be late: these two ended in their turn.
            undisturbed = hanging.elapsed < 0.58 and spared.elapsed < 0.48
            assert not undisturbed or [one.request for one in ends] == [first, answered, second]
            return undisturbed and later.elapsed < 2

        mostly(each_in_its_time)

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
        over = threading.Event()

        def serve(server: Loopback, peer: socket.socket) -> None:
            server.head(peer)
            peer.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
            # Not closed before the answer was read: what is unread then would make it a reset.
            over.wait(PATIENCE)

        with Loopback(serve) as server:
            request = Request("PUT", f"http://127.0.0.1:{server.port}/a", body=bytes(16 * 1024 * 1024))
            exchange = run(transport, request)
            assert (exchange.status, exchange.body, exchange.fault) == (413, b"no", None)
            run(transport, Request("GET", f"http://127.0.0.1:{server.port}/b"))
            over.set()
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
        transport = open_transport(connect=0.3)

        def ends_in_time() -> bool:
            exchange = run(transport, Request("GET", f"http://127.0.0.1:{full_listener}/a?key={SECRET}"))
            assert (exchange.status, exchange.fault) == (0, Fault.CONNECT_TIMEOUT)
            return exchange.elapsed < 2

        mostly(ends_in_time)

    def test_total_may_end_the_connecting(self, open_transport: Open, full_listener: int) -> None:
        """`total` includes the time to connect, and what it ends there was never sent."""
        exchange = run(open_transport(total=0.3), Request("GET", f"http://127.0.0.1:{full_listener}/a?key={SECRET}"))
        assert (exchange.status, exchange.fault) == (0, Fault.CONNECT_TIMEOUT)

    def test_dns(self, open_transport: Open) -> None:
        """A name that does not exist (RFC 2606) was never sent to, and the message names it."""
        request = Request("GET", f"http://no-such-host.invalid/a?key={SECRET}")
        exchange = run(open_transport(connect=PATIENCE), request)
        assert (exchange.status, exchange.fault) == (0, Fault.DNS)
        assert "no-such-host.invalid" in exchange.detail
