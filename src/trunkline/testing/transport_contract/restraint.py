"""What a transport does not do by itself: follow, remember, repeat, look for passwords."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Fault, Request
from trunkline.testing.loopback import OK, Loopback
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import SECRET, TransportSubject, connections, run, url


class Restraint(TransportSubject):
    """What a transport leaves to others."""

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_redirects_are_not_followed(
        self, transport: Transport, fault_server: FaultServer, status: int, method: str
    ) -> None:
        """A redirect is an answer like any other."""
        location = fault_server.url_for("/b", "other")
        fault_server.route("* /a", [{"status": status, "headers": {"Location": location}}])
        exchange = run(transport, Request(method, url(fault_server), body=b"1" if method == "POST" else None))
        assert (exchange.status, exchange.headers["location"]) == (status, location)
        assert [(seen.origin, seen.path) for seen in fault_server.ledger()] == [("main", "/a")]

    def test_cookies_are_not_sent_back(self, transport: Transport, fault_server: FaultServer) -> None:
        """A cookie is a credential that nobody configured."""
        fault_server.route("* /a", [{"headers": {"Set-Cookie": f"session={SECRET}; Path=/"}}])
        for _ in range(2):
            run(transport, Request("GET", url(fault_server)))
        assert ["cookie" in seen.headers for seen in fault_server.ledger()] == [False, False]

    @pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
    @pytest.mark.parametrize("fault", ["reset", "close_after_headers"])
    def test_nothing_is_sent_twice(
        self, transport: Transport, fault_server: FaultServer, method: str, fault: str
    ) -> None:
        """A connection that was good and breaks at the next request is a fault, whatever the method."""
        fault_server.route("* /a", [{}, {"fault": fault, "body": "x"}, {}])
        faults = [run(transport, Request(method, url(fault_server))).fault for _ in range(2)]
        assert (faults, fault_server.count()) == ([None, Fault.RESET], 2)
        assert connections(fault_server) == 1

    @pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"1"), ("PUT", b"1" * 100_000)])
    def test_a_connection_that_closes_without_a_word(
        self, transport: Transport, method: str, body: bytes | None
    ) -> None:
        """A server that takes a request over a connection used before, and closes it, may have acted on it."""

        def serve(server: Loopback, peer: socket.socket) -> None:
            for answer in (OK, b""):
                server.head(peer)
                peer.recv(len(body or b""), socket.MSG_WAITALL)
                peer.sendall(answer)

        with Loopback(serve) as server:
            request = Request(method, f"http://127.0.0.1:{server.port}/a", body=body)
            assert [run(transport, request).fault for _ in range(2)] == [None, Fault.RESET]
            assert len(server.heads) == 2

    def test_netrc_is_not_read(
        self, transport: Transport, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A password in a file of the user is not sent by a job that was not told to."""
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password pass\ndefault login me password pass\n")
        (tmp_path / ".netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("HOME", str(tmp_path))
        fault_server.route("* /a", [{}])
        run(transport, Request("GET", url(fault_server)))
        assert ["authorization" in seen.headers for seen in fault_server.ledger()] == [False]
