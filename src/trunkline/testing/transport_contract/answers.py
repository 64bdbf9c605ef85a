"""What of an answer is told: status and headers, and where one answer ends."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Fault, Request
from trunkline.testing.loopback import OK, Loopback
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import PATIENCE, Open, TransportSubject, connections, run, url


class Answers(TransportSubject):
    """What comes back."""

    def test_answer_headers_without_regard_to_case(self, transport: Transport, fault_server: FaultServer) -> None:
        """Header names are looked up in any case, and the request comes back with its answer."""
        fault_server.route("* /a", [{"status": 418, "headers": {"X-ReSuLt": "Yes"}, "body": {"a": 1}}])
        request = Request("GET", url(fault_server), tag=object())
        exchange = run(transport, request)
        assert [exchange.headers[name] for name in ("x-result", "X-RESULT")] == ["Yes", "Yes"]
        assert (exchange.status, exchange.body, exchange.fault, exchange.request) == (418, b'{"a": 1}', None, request)
        assert 0 < exchange.elapsed < PATIENCE

    def test_repeated_answer_headers(self, transport: Transport, fault_server: FaultServer) -> None:
        """Of several headers with one name the first is looked up, and all are told."""
        fault_server.route("* /a", [{"headers": [["Link", "</b>"], ["X-A", " a:b "], ["link", "</c>"]]}])
        headers = run(transport, Request("GET", url(fault_server))).headers
        assert (headers["LINK"], headers.get("x-a"), headers.get("x"), "x-A" in headers) == ("</b>", "a:b", None, True)
        told = [(name.lower(), value) for name, value in headers.items()]
        assert [value for name, value in told if name == "link"] == ["</b>", "</c>"]
        with pytest.raises(KeyError):
            headers["nk"]

    def test_large_heads(self, transport: Transport, fault_server: FaultServer) -> None:
        """A hundred headers of a kilobyte are many, but not too many."""
        fault_server.route("* /a", [{"headers": {f"X-{n}": str(n % 10) * 1000 for n in range(100)}, "body": "ok"}])
        exchange = run(transport, Request("GET", url(fault_server)))
        assert (exchange.fault, exchange.body, exchange.headers["x-99"]) == (None, b"ok", "9" * 1000)

    @pytest.mark.parametrize("step", [{"status": 204}, {"status": 304}, {"status": 200}])
    def test_no_body(self, transport: Transport, fault_server: FaultServer, step: dict[str, Any]) -> None:
        """204, 304 and an empty 200 have an empty body, and the connection can be used again."""
        fault_server.route("* /a", [step])
        for _ in range(2):
            exchange = run(transport, Request("GET", url(fault_server)))
            assert (exchange.status, exchange.body, exchange.fault) == (step["status"], b"", None)
        assert connections(fault_server) == 1

    def test_head_has_no_body(self, open_transport: Open, fault_server: FaultServer) -> None:
        """The length in the answer to a HEAD is not one of bytes to come, and no limit applies to it."""
        fault_server.route("* /a", [{"body": "x" * 1000, "gzip": False}])
        transport = open_transport(max_bytes=10)
        for _ in range(2):
            exchange = run(transport, Request("HEAD", url(fault_server)))
            assert (exchange.status, exchange.body, exchange.fault) == (200, b"", None)
            assert exchange.headers["Content-Length"] == "1000"
        assert connections(fault_server) == 1

    def test_informational_answers_are_passed_over(self, transport: Transport) -> None:
        """103 Early Hints come before the answer and are not it."""

        def serve(server: Loopback, peer: socket.socket) -> None:
            while server.head(peer):
                peer.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)

        with Loopback(serve) as server:
            exchange = run(transport, Request("GET", f"http://127.0.0.1:{server.port}/a"))
            assert (exchange.status, exchange.body, exchange.fault) == (200, b"ok", None)

    def test_switching_protocols(self, transport: Transport) -> None:
        """101 is no answer to a request that did not ask for it, and what follows is not HTTP."""

        def serve(server: Loopback, peer: socket.socket) -> None:
            server.head(peer)
            peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x81\x02ok")

        with Loopback(serve) as server:
            exchange = run(transport, Request("GET", f"http://127.0.0.1:{server.port}/a"))
            assert (exchange.status, exchange.fault in (Fault.MALFORMED, Fault.RESET)) == (0, True)

    def test_trailers_are_passed_over(self, transport: Transport) -> None:
        """Headers behind a chunked body are no part of it, nor of the head."""

        def serve(server: Loopback, peer: socket.socket) -> None:
            while server.head(peer):
                peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")

        with Loopback(serve) as server:
            for _ in range(2):
                exchange = run(transport, Request("GET", f"http://127.0.0.1:{server.port}/a"))
                assert (exchange.status, exchange.body, exchange.fault) == (200, b"ok", None)
                assert "X-Sum" not in exchange.headers
            assert len(server.heads) == 2
