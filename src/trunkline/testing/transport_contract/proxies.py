"""Proxies: of the options and of the environment, and who sees what."""

from __future__ import annotations

import socket

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Fault, Request
from trunkline.testing.loopback import Loopback, tunnel
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import SECRET, Open, TransportSubject, run, url


class Proxies(TransportSubject):
    """What goes through a proxy."""

    def test_proxy_for_http(self, open_transport: Open, fault_server: FaultServer) -> None:
        """A proxy gets the whole URL, percent-encoding and all, and its own login, which nobody else sees."""
        fault_server.strict = False
        proxy = f"http://me:{SECRET}@127.0.0.1:{fault_server.port('other')}"
        target = "http://api.example.com:8080/a%2Fb?q=%20"
        run(open_transport(proxy=proxy), Request("POST", target, body=b"1"))
        (seen,) = fault_server.ledger()
        assert (seen.origin, seen.target, seen.headers["host"]) == ("other", target, "api.example.com:8080")
        assert seen.headers["proxy-authorization"] == "Basic bWU6czNjcjN0LWluLXRoZS11cmw="

    def test_proxy_for_https(self, open_transport: Open, tls_server: FaultServer) -> None:
        """TLS goes through a tunnel: the proxy sees host and port, and nothing of the request."""
        with Loopback(tunnel) as proxy:
            transport = open_transport(proxy=f"http://127.0.0.1:{proxy.port}", ca=tls_server.ca_file)
            for _ in range(2):
                exchange = run(transport, Request("GET", url(tls_server, "/a", "tls")))
                assert (exchange.status, exchange.body, exchange.fault) == (200, b"ok", None)
            (head,) = proxy.heads
            assert head.startswith(f"CONNECT 127.0.0.1:{tls_server.port('tls')} HTTP/1.1\r\n".encode())
            assert SECRET.encode() not in head

    @pytest.mark.parametrize(
        "answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", b""]
    )
    def test_proxy_that_makes_no_tunnel(self, open_transport: Open, answer: bytes) -> None:
        """A proxy that says no, or nothing, has not passed the request on."""

        def serve(server: Loopback, peer: socket.socket) -> None:
            server.head(peer)
            peer.sendall(answer)

        with Loopback(serve) as proxy:
            transport = open_transport(proxy=f"http://me:{SECRET}@127.0.0.1:{proxy.port}")
            exchange = run(transport, Request("POST", f"https://api.example.com/a?key={SECRET}", body=b"1"))
            assert (exchange.status, exchange.fault) == (0, Fault.PROXY)
            assert exchange.detail

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_proxy_that_is_not_there(self, open_transport: Open, fault_server: FaultServer, scheme: str) -> None:
        """A proxy that refuses the connection is named as the one."""
        fault_server.listen("refuse")
        transport = open_transport(proxy=f"http://me:{SECRET}@127.0.0.1:{fault_server.port()}")
        exchange = run(transport, Request("GET", f"{scheme}://api.example.com/a?key={SECRET}"))
        assert (exchange.status, exchange.fault) == (0, Fault.PROXY)

    def test_proxy_that_hangs(self, open_transport: Open, fault_server: FaultServer) -> None:
        """Waiting for a tunnel is part of connecting."""
        fault_server.listen("hang")
        transport = open_transport(proxy=fault_server.url, connect=0.3)
        exchange = run(transport, Request("GET", f"https://api.example.com/a?key={SECRET}"))
        assert (exchange.status, exchange.fault) == (0, Fault.CONNECT_TIMEOUT)

    @pytest.mark.parametrize(
        ("no_proxy", "origin"), [("", "other"), ("127.0.0.1", "main"), ("example.com", "other"), ("*", "main")]
    )
    def test_proxy_of_the_environment(
        self,
        transport: Transport,
        fault_server: FaultServer,
        monkeypatch: pytest.MonkeyPatch,
        no_proxy: str,
        origin: str,
    ) -> None:
        """HTTP_PROXY is used unless NO_PROXY names the host."""
        fault_server.strict = False
        fault_server.route("* /a", [{}])
        monkeypatch.setenv("http_proxy", fault_server.other_url)
        monkeypatch.setenv("no_proxy", no_proxy)
        run(transport, Request("GET", url(fault_server)))
        assert [seen.origin for seen in fault_server.ledger()] == [origin]

    def test_an_explicit_proxy_wins(
        self, open_transport: Open, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The proxy of the options is used whatever the environment says."""
        fault_server.strict = False
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "*")
        run(open_transport(proxy=fault_server.other_url), Request("GET", url(fault_server)))
        assert [seen.origin for seen in fault_server.ledger()] == ["other"]
