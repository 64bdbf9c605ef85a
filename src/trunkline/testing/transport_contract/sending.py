"""What of a request arrives: its method, URL, headers and body, as they were given and nothing else."""

from __future__ import annotations

from typing import Literal

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Fault, Request
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import EVERY_BYTE, HEADERS, SECRET, TransportSubject, run, url


class Sending(TransportSubject):
    """What is sent."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_method_arrives(self, transport: Transport, fault_server: FaultServer, method: str) -> None:
        """Each method arrives as it is, with nothing but the headers given, Host and a length where one belongs."""
        fault_server.route("* /a", [{"status": 200}])
        assert run(transport, Request(method, url(fault_server))).status == 200
        (seen,) = fault_server.ledger()
        length = {} if method in ("GET", "HEAD", "DELETE", "OPTIONS") else {"content-length": "0"}
        own = {"host": f"127.0.0.1:{fault_server.port()}", "user-agent": "contract/1", "x-key": SECRET}
        assert (seen.method, seen.headers, seen.body) == (method, {**own, **length}, b"")

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
    def test_body_arrives_byte_exact(self, transport: Transport, fault_server: FaultServer, method: str) -> None:
        """Any bytes travel unchanged, with any method."""
        fault_server.route("* /a", [{}])
        assert run(transport, Request(method, url(fault_server), body=EVERY_BYTE)).status == 200
        (seen,) = fault_server.ledger()
        assert (seen.body, seen.headers["content-length"]) == (EVERY_BYTE, "256")

    @pytest.mark.parametrize(
        "target",
        [
            "/a%2Fb%20c/%C3%A9/%7e/%2e%2e/x;v=1?q=a+b&q=%2B&empty=&none&c=%e2%82%ac'()*!~,:@$",
            "/a//b/./../c?",
            "/?a=/?#[]|^`{}\\",
            "/%zz%",
        ],
    )
    def test_url_is_not_encoded_again(self, transport: Transport, fault_server: FaultServer, target: str) -> None:
        """Path and query arrive as they were written, without the fragment."""
        fault_server.route("* /*", [{}])
        assert run(transport, Request("GET", fault_server.url_for(target))).status == 200
        assert [seen.target for seen in fault_server.ledger()] == [target.partition("#")[0]]

    @pytest.mark.parametrize(
        ("written", "target"), [("", "/"), ("?a=1", "/?a=1"), ("/é €?ü", "/%C3%A9%20%E2%82%AC?%C3%BC")]
    )
    def test_a_url_that_cannot_travel_as_it_is(
        self, transport: Transport, fault_server: FaultServer, written: str, target: str
    ) -> None:
        """A missing path is `/`, and what no request line can hold is percent-encoded UTF-8."""
        fault_server.route("* /*", [{}])
        assert run(transport, Request("GET", fault_server.url + written)).status == 200
        assert [seen.target for seen in fault_server.ledger()] == [target]

    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            ("/a\r\nX: 1", HEADERS),
            ("/a\nb", HEADERS),
            ("/a\0", HEADERS),
            ("/a", {"X": "1\r\nY: 2"}),
            ("/a", {"X Y": "1"}),
        ],
    )
    def test_nothing_forges_a_header(
        self, transport: Transport, fault_server: FaultServer, path: str, headers: dict[str, str]
    ) -> None:
        """A line break in URL or header ends as a fault and sends nothing."""
        exchange = run(transport, Request("GET", fault_server.url_for(path)), headers=headers)
        assert (exchange.status, exchange.fault) == (0, Fault.MALFORMED)
        assert fault_server.stats()["connections"] == 0

    @pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/a", "127.0.0.1/a", "http:///a"])
    def test_only_http(self, transport: Transport, url: str) -> None:
        """What is not http or https ends as a fault that says so."""
        exchange = run(transport, Request("GET", url))
        assert (exchange.status, exchange.fault, exchange.body) == (0, Fault.MALFORMED, b"")
        assert exchange.detail == "not sent: a URL begins with http:// or https:// and a host"

    def test_no_login_in_the_url(self, transport: Transport, fault_server: FaultServer) -> None:
        """A password in a URL is refused, not sent: URLs are logged."""
        address = url(fault_server).replace("//", "//me:pw@")
        assert run(transport, Request("GET", address)).fault is Fault.MALFORMED
        assert fault_server.stats()["connections"] == 0

    def test_one_transport_for_several_origins(self, transport: Transport, fault_server: FaultServer) -> None:
        """Each request goes to the origin of its own URL."""
        fault_server.route("* /*", [{}])
        sent = [("main", "/a"), ("other", "/a"), ("main", "/b"), ("main", "/a"), ("other", "/b")]
        for name, path in sent:
            origin: Literal["main", "other"] = "main" if name == "main" else "other"
            assert run(transport, Request("POST", fault_server.url_for(path, origin), body=b"1")).status == 200
        assert [(seen.origin, seen.path) for seen in fault_server.ledger()] == sent

    def test_header_values_are_utf8(self, transport: Transport, fault_server: FaultServer) -> None:
        """Names beyond ASCII travel in header values as UTF-8."""
        fault_server.route("* /a", [{}])
        run(transport, Request("GET", url(fault_server)), headers={"X-Name": "Grüße, 東京", "X-Empty": ""})
        (seen,) = fault_server.ledger()
        assert seen.headers["x-name"].encode("latin-1").decode() == "Grüße, 東京"
        assert seen.headers["x-empty"] == ""

    def test_changed_headers_are_sent(self, transport: Transport, fault_server: FaultServer) -> None:
        """A mapping of headers that is changed between two requests is sent as it is at the time."""
        fault_server.route("* /a", [{}])
        headers = {"X-Run": "1"}
        run(transport, Request("GET", url(fault_server)), headers=headers)
        headers["X-Run"] = "2"
        run(transport, Request("GET", url(fault_server)), headers=headers)
        assert [seen.headers["x-run"] for seen in fault_server.ledger()] == ["1", "2"]
