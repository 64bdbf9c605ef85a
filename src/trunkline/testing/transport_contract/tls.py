"""TLS: whom a transport trusts, and how it says who it is."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trunkline.credentials import Secret
from trunkline.errors import OptionError
from trunkline.http.client import Transport
from trunkline.http.message import Fault, Request
from trunkline.testing.loopback import Loopback, answer_ok, encrypted_key, self_signed
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import Open, TransportSubject, run, url


class Tls(TransportSubject):
    """TLS, both ways."""

    @pytest.fixture(scope="class")
    @classmethod
    def mutual_server(cls) -> Iterator[FaultServer]:
        """A fault server whose TLS listener wants a client certificate."""
        with FaultServer(tls="mutual") as server:
            server.route("* /*", [{"body": "ok"}])
            yield server

    def test_unknown_authority(self, transport: Transport, tls_server: FaultServer) -> None:
        """A certificate nobody vouches for is refused in words that say so."""
        exchange = run(transport, Request("GET", url(tls_server, "/a", "tls")))
        assert (exchange.status, exchange.fault) == (0, Fault.TLS)
        assert "certificate" in exchange.detail.lower()

    def test_own_authority(self, open_transport: Open, tls_server: FaultServer) -> None:
        """With the authority's certificate it is trusted, by address and by name, and connections are reused."""
        tls_server.clear()
        transport = open_transport(ca=tls_server.ca_file)
        for host in ("127.0.0.1", "127.0.0.1", "localhost"):
            exchange = run(transport, Request("GET", f"https://{host}:{tls_server.port('tls')}/a"))
            assert (exchange.status, exchange.body, exchange.fault) == (200, b"ok", None)
        assert tls_server.stats()["connections"] == 2

    def test_another_host_name(self, open_transport: Open, tmp_path: Path) -> None:
        """A certificate for another host is refused in words that say so."""
        certificate, key = self_signed(tmp_path, "elsewhere.example")
        with Loopback(answer_ok, tls=server_context(certificate, key)) as server:
            exchange = run(open_transport(ca=str(certificate)), Request("GET", f"https://127.0.0.1:{server.port}/a"))
            assert (exchange.status, exchange.fault) == (0, Fault.TLS)
            assert "127.0.0.1" in exchange.detail
            assert server.heads == []

    def test_verify_off(self, open_transport: Open, tls_server: FaultServer) -> None:
        """Whoever asks for no check gets none."""
        exchange = run(open_transport(verify=False), Request("GET", url(tls_server, "/a", "tls")))
        assert (exchange.status, exchange.fault) == (200, None)

    def test_https_to_a_server_without_tls(self, transport: Transport) -> None:
        """A server that answers a TLS greeting in plain HTTP has no TLS, which the fault says."""

        def serve(_: Loopback, peer: socket.socket) -> None:
            peer.recv(1)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        with Loopback(serve) as server:
            exchange = run(transport, Request("GET", f"https://127.0.0.1:{server.port}/a"))
            assert (exchange.status, exchange.fault) == (0, Fault.TLS)
            assert exchange.detail

    def test_a_handshake_that_is_cut_off(self, transport: Transport) -> None:
        """A server that goes away during the TLS greeting may be back soon, unlike one with a wrong certificate."""

        def serve(_: Loopback, peer: socket.socket) -> None:
            peer.recv(1)

        with Loopback(serve) as server:
            exchange = run(transport, Request("GET", f"https://127.0.0.1:{server.port}/a"))
            assert (exchange.status, exchange.fault) == (0, Fault.REFUSED)

    def test_http_to_a_server_with_tls(self, transport: Transport, tls_server: FaultServer) -> None:
        """A server that expects TLS does not answer plain HTTP."""
        exchange = run(transport, Request("GET", url(tls_server, "/a", "tls").replace("https:", "http:")))
        assert (exchange.status, exchange.fault in (Fault.RESET, Fault.MALFORMED)) == (0, True)

    @pytest.mark.parametrize(("least", "fault"), [("1.2", None), ("1.3", Fault.TLS)])
    def test_minimum_version(self, open_transport: Open, tmp_path: Path, least: str, fault: Fault | None) -> None:
        """A server that speaks only TLS 1.2 is good enough for 1.2."""
        certificate, key = self_signed(tmp_path, "localhost")
        context = server_context(certificate, key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with Loopback(answer_ok, tls=context) as server:
            transport = open_transport(ca=str(certificate), min_tls=least)
            exchange = run(transport, Request("GET", f"https://localhost:{server.port}/a"))
            assert exchange.fault is fault

    def test_client_certificate(self, open_transport: Open, mutual_server: FaultServer) -> None:
        """With the certificate the server asks for it answers."""
        exchange = run(open_transport(**identity(mutual_server)), Request("GET", url(mutual_server, "/a", "tls")))
        assert (exchange.status, exchange.body, exchange.fault) == (200, b"ok", None)

    @pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_no_client_certificate(self, open_transport: Open, tmp_path: Path, most: ssl.TLSVersion) -> None:
        """Without it the server refuses, in TLS 1.3 only after the request has left: it was never read."""
        certificate, key = self_signed(tmp_path, "localhost")
        context = server_context(certificate, key)
        context.maximum_version = most
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate)
        with Loopback(answer_ok, tls=context) as server:
            transport = open_transport(ca=str(certificate))
            exchange = run(transport, Request("POST", f"https://localhost:{server.port}/a", body=b"1"))
            assert (exchange.status, exchange.fault) == (0, Fault.TLS)
            assert "alert" in exchange.detail.lower()
            assert server.heads == []

    def test_encrypted_key(self, open_transport: Open, mutual_server: FaultServer, tmp_path: Path) -> None:
        """A key with a password is opened with it."""
        known = identity(mutual_server)
        copy = tmp_path / "client.key"
        copy.write_bytes(Path(known["key_file"]).read_bytes())
        locked = encrypted_key(copy, "opensesame")
        transport = open_transport(**{**known, "key_file": str(locked), "key_password": Secret("opensesame")})
        exchange = run(transport, Request("GET", url(mutual_server, "/a", "tls")))
        assert (exchange.status, exchange.fault) == (200, None)

    @pytest.mark.parametrize("password", [None, Secret("wrong-password")])
    def test_wrong_key_password(
        self, open_transport: Open, mutual_server: FaultServer, tmp_path: Path, password: Secret | None
    ) -> None:
        """A wrong or missing password is an error of the options, not a question on a terminal."""
        known = identity(mutual_server)
        copy = tmp_path / "client.key"
        copy.write_bytes(Path(known["key_file"]).read_bytes())
        locked = encrypted_key(copy, "opensesame")
        with pytest.raises(OptionError, match=r"tls\.keyPassword") as raised:
            use(open_transport(**{**known, "key_file": str(locked), "key_password": password}), mutual_server)
        assert "wrong-password" not in str(raised.value)

    @pytest.mark.parametrize("option", ["ca", "cert"])
    @pytest.mark.parametrize("content", [None, "no PEM"])
    def test_certificates_that_cannot_be_loaded(
        self, open_transport: Open, tls_server: FaultServer, tmp_path: Path, option: str, content: str | None
    ) -> None:
        """A missing or broken file is an error of the options that names it."""
        file = tmp_path / "file.pem"
        if content is not None:
            file.write_text(content)
        with pytest.raises(OptionError, match=rf"tls\.{option}: .*file\.pem"):
            use(open_transport(**{option: str(file)}), tls_server)


def identity(server: FaultServer) -> dict[str, Any]:
    """The settings for a server that wants a client certificate."""
    return {"ca": server.ca_file, "cert": server.client_cert_file, "key_file": server.client_key_file}


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS for a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def use(transport: Transport, server: FaultServer) -> None:
    """One request to the TLS listener."""
    run(transport, Request("GET", url(server, "/a", "tls")))
