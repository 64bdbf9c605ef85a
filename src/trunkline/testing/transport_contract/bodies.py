"""The bodies of answers: put together, decoded, and no larger than allowed."""

from __future__ import annotations

import gzip
import socket
import zlib
from typing import Any

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Fault, Request
from trunkline.testing.loopback import Loopback
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import EVERY_BYTE, Open, TransportSubject, run, url


class Bodies(TransportSubject):
    """What an answer's body is."""

    def test_large_bodies(self, transport: Transport, fault_server: FaultServer) -> None:
        """Megabytes travel both ways."""
        large = EVERY_BYTE * 8192
        fault_server.route("* /a", [{"body": large}])
        exchange = run(transport, Request("POST", url(fault_server), body=large))
        (seen,) = fault_server.ledger()
        assert (exchange.fault, exchange.body == large, seen.body == large) == (None, True, True)
        assert set(seen.headers) == {"host", "user-agent", "x-key", "content-length"}

    @pytest.mark.parametrize("size", [1, 7, 8192])
    def test_chunked(self, transport: Transport, fault_server: FaultServer, size: int) -> None:
        """A chunked answer is put together."""
        fault_server.route("* /a", [{"chunked": size, "body": EVERY_BYTE * 3}])
        assert run(transport, Request("GET", url(fault_server))).body == EVERY_BYTE * 3

    def test_answer_that_ends_with_the_connection(self, transport: Transport) -> None:
        """Without a length the body is what comes until the server closes."""

        def serve(server: Loopback, peer: socket.socket) -> None:
            server.head(peer)
            peer.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")

        with Loopback(serve) as server:
            exchange = run(transport, Request("GET", f"http://127.0.0.1:{server.port}/a"))
            assert (exchange.status, exchange.body, exchange.fault) == (200, b"all of it", None)

    @pytest.mark.parametrize(
        ("coding", "body"),
        [
            ("gzip", gzip.compress(b"hello")),
            ("x-gzip", gzip.compress(b"hello")),
            ("deflate", zlib.compress(b"hello")),
            ("deflate", zlib.compress(b"hello")[2:-4]),
            ("gzip, gzip", gzip.compress(gzip.compress(b"hello"))),
            ("identity", b"hello"),
            ("GZIP", gzip.compress(b"hello")),
        ],
        ids=["gzip", "x-gzip", "zlib", "deflate", "twice", "identity", "upper case"],
    )
    def test_codings(self, transport: Transport, fault_server: FaultServer, coding: str, body: bytes) -> None:
        """The codings announced are undone, each once."""
        fault_server.route("* /a", [{"headers": {"Content-Encoding": coding}, "body": body}])
        exchange = run(transport, Request("GET", url(fault_server)))
        assert (exchange.status, exchange.fault, exchange.body) == (200, None, b"hello")

    def test_a_coding_is_undone_as_often_as_announced(self, transport: Transport, fault_server: FaultServer) -> None:
        """Double gzip that is announced once leaves gzip."""
        fault_server.route("* /a", [{"fault": "double_gzip", "body": "hello"}])
        assert gzip.decompress(run(transport, Request("GET", url(fault_server))).body) == b"hello"

    @pytest.mark.parametrize(
        ("step", "fault"),
        [
            ({"fault": "gzip_bomb", "size": 64 * 1024 * 1024}, Fault.TOO_LARGE),
            ({"headers": {"Content-Encoding": "gzip"}, "body": gzip.compress(b"hello" * 99)[:-12]}, Fault.RESET),
            ({"headers": {"Content-Encoding": "gzip"}, "body": b"hello"}, Fault.MALFORMED),
            ({"headers": {"Content-Encoding": "br"}, "body": b"hello"}, Fault.MALFORMED),
            ({"headers": {"Content-Encoding": "gzip,gzip,gzip,gzip"}, "body": b"hello"}, Fault.MALFORMED),
        ],
    )
    def test_bodies_that_cannot_be_decoded(
        self, open_transport: Open, fault_server: FaultServer, step: dict[str, Any], fault: Fault
    ) -> None:
        """The status is known, the body is not, and the next exchange fares well."""
        fault_server.route("* /a", [{**step, "times": 1}, {"body": "fine"}])
        transport = open_transport(max_bytes=1024 * 1024)
        exchange = run(transport, Request("GET", url(fault_server)))
        assert (exchange.status, exchange.fault, exchange.body) == (200, fault, b"")
        assert exchange.detail
        assert run(transport, Request("GET", url(fault_server))).body == b"fine"

    @pytest.mark.parametrize("more", [{}, {"chunked": 10}])
    def test_max_bytes(self, open_transport: Open, fault_server: FaultServer, more: dict[str, Any]) -> None:
        """As many bytes as allowed come through, one more is a fault; the length announced is believed."""
        fault_server.route("* /a", [{"body": "x" * 100, "times": 1, **more}, {"body": "x" * 101, **more}])
        transport = open_transport(max_bytes=100)
        assert run(transport, Request("GET", url(fault_server))).body == b"x" * 100
        exchange = run(transport, Request("GET", url(fault_server)))
        assert (exchange.status, exchange.fault, exchange.body) == (200, Fault.TOO_LARGE, b"")
        assert "100" in exchange.detail

    def test_a_length_over_the_limit_is_not_waited_for(self, open_transport: Open, fault_server: FaultServer) -> None:
        """An answer announced as too large is given up before its body comes."""
        fault_server.route("* /a", [{"fault": "hang_body", "keep": 0, "body": "x" * 101}])
        exchange = run(open_transport(max_bytes=100), Request("GET", url(fault_server)))
        assert (exchange.status, exchange.fault) == (200, Fault.TOO_LARGE)
