"""What every transport must do, as tests against a server that can answer back.

    pytest_plugins = ["trunkline.testing.plugin"]

    class TestMyTransport(TransportContract):
        def make_transport(self, settings: Settings) -> Transport:
            return MyTransport(settings)

A transport moves bytes: it sends what it is given once and reports what came, or why nothing did. Every test carries
a secret in its URL; `run` looks for it in every detail.
"""

from __future__ import annotations

import gc
import gzip
import os
import signal
import socket
import ssl
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from trunkline.credentials import Secret
from trunkline.errors import OptionError
from trunkline.http.client import Transport
from trunkline.http.message import Exchange, Fault, Request
from trunkline.http.transport import Settings
from trunkline.testing.loopback import OK, Loopback, answer_ok, encrypted_key, self_signed, tunnel
from trunkline.testing.server import FaultServer

Open = Callable[..., Transport]

SECRET = "s3cr3t-in-the-url"  # noqa: S105 - looked for in what a transport says
HEADERS = {"User-Agent": "contract/1", "X-Key": SECRET}
EVERY_BYTE = bytes(range(256))
# No step of a test that ends as it should comes near it; a broken one ends here instead of at the test's time-out.
_PATIENCE = 20.0
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


class TransportContract:
    """Override `make_transport`; pytest does the rest."""

    def make_transport(self, settings: Settings) -> Transport:
        """The transport under test."""
        raise NotImplementedError

    @pytest.fixture
    def open_transport(self) -> Iterator[Open]:
        """Makes transports and closes them after the test; takes the fields of `Settings`."""
        opened: list[Transport] = []

        def open_one(**settings: Any) -> Transport:
            opened.append(self.make_transport(Settings(**settings)))
            return opened[-1]

        yield open_one
        for transport in opened:
            transport.close()

    @pytest.fixture
    def transport(self, open_transport: Open) -> Transport:
        """A transport with the settings as they come."""
        return open_transport()

    @pytest.fixture(autouse=True)
    def _no_proxies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in _PROXY_VARIABLES:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    @pytest.fixture(scope="class")
    @classmethod
    def tls_server(cls) -> Iterator[FaultServer]:
        """A fault server that also listens with TLS."""
        with FaultServer(tls=True) as server:
            server.route("* /*", [{"body": "ok"}])
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def mutual_server(cls) -> Iterator[FaultServer]:
        """A fault server whose TLS listener wants a client certificate."""
        with FaultServer(tls="mutual") as server:
            server.route("* /*", [{"body": "ok"}])
            yield server

    # What is sent

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

    # What comes back

    def test_answer_headers_without_regard_to_case(self, transport: Transport, fault_server: FaultServer) -> None:
        """Header names are looked up in any case, and the request comes back with its answer."""
        fault_server.route("* /a", [{"status": 418, "headers": {"X-ReSuLt": "Yes"}, "body": {"a": 1}}])
        request = Request("GET", url(fault_server), tag=object())
        exchange = run(transport, request)
        assert [exchange.headers[name] for name in ("x-result", "X-RESULT")] == ["Yes", "Yes"]
        assert (exchange.status, exchange.body, exchange.fault, exchange.request) == (418, b'{"a": 1}', None, request)
        assert 0 < exchange.elapsed < _PATIENCE

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

    # What goes wrong

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
            wait.wait(_PATIENCE)

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

    @pytest.fixture
    def full_listener(self) -> Iterator[int]:
        """A port whose queue of connections is full, so that the system answers no more of them."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(0)
            waiting = []
            for _ in range(4):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(listening.getsockname())
                waiting.append(one)
            yield listening.getsockname()[1]
            for one in waiting:
                one.close()

    def test_dns(self, transport: Transport) -> None:
        """A name that does not exist (RFC 2606) was never sent to, and the message names it."""
        exchange = run(transport, Request("GET", f"http://no-such-host.invalid/a?key={SECRET}"))
        assert (exchange.status, exchange.fault) == (0, Fault.DNS)
        assert "no-such-host.invalid" in exchange.detail

    # What a transport does not do by itself

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

    # Connections

    def test_connections_are_reused(self, transport: Transport, fault_server: FaultServer) -> None:
        """One after another, requests share a connection, whatever the status."""
        fault_server.route("* /a", [{"status": 200}, {"status": 404, "body": "no"}, {"status": 500}, {"chunked": True}])
        for _ in range(5):
            run(transport, Request("POST", url(fault_server), body=b"1"))
        assert [seen.connection for seen in fault_server.ledger()] == [1] * 5

    def test_as_many_connections_as_in_flight(self, transport: Transport, fault_server: FaultServer) -> None:
        """A hundred at once need a hundred connections, and the next hundred use them again."""
        fault_server.route("* /a", [{"delay": 0.2}])
        for _ in range(2):
            ends = run_all(transport, [Request("POST", url(fault_server), body=b"1") for _ in range(100)])
            assert [one.status for one in ends] == [200] * 100
        assert (fault_server.max_in_flight, connections(fault_server)) == (100, 100)

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

        def serve(server: Loopback, peer: socket.socket) -> None:
            while head := server.head(peer):
                peer.sendall(OK.replace(b"ok", head.split()[1][-2:]))
                if b"/01" in head:
                    time.sleep(0.05)
                    peer.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")

        with Loopback(serve) as server:
            base = f"http://127.0.0.1:{server.port}"
            assert run(transport, Request("GET", f"{base}/01")).body == b"01"
            time.sleep(0.1)
            transport.poll(0)
            exchange = run(transport, Request("GET", f"{base}/02"))
            assert (exchange.status, exchange.body) == (200, b"02")

    # Polling

    def test_poll_waits_as_long_as_told(self, transport: Transport, fault_server: FaultServer) -> None:
        """Nothing finishes: it returns in time, to the hundredth, after a pause of the caller too."""
        fault_server.route("* /a", [{"fault": "hang"}])
        assert timed(lambda: transport.poll(0)) < 0.1
        assert 0.19 <= timed(lambda: transport.poll(0.2)) < 0.6
        begin(transport, url(fault_server))
        time.sleep(0.2)
        assert 0.19 <= timed(lambda: transport.poll(0.2)) < 0.6
        assert timed(lambda: transport.poll(0)) < 0.1

    @pytest.mark.parametrize("wait", [5.0, None])
    def test_poll_returns_with_the_first(
        self, transport: Transport, fault_server: FaultServer, wait: float | None
    ) -> None:
        """One answer is handed over at once, while others are still under way."""
        fault_server.route("* /a", [{"fault": "hang"}])
        fault_server.route("* /b", [{"delay": 0.05, "body": "ok"}])
        for path in ("/a", "/b"):
            begin(transport, url(fault_server, path))
        began = time.monotonic()
        assert [one.body for one in transport.poll(wait)] == [b"ok"]
        assert time.monotonic() - began < 2

    def test_short_polls_make_progress(self, transport: Transport, fault_server: FaultServer) -> None:
        """A caller that never waits gets its answers all the same."""
        fault_server.route("* /a", [{"body": "ok"}])
        begin(transport, url(fault_server))
        end = time.monotonic() + _PATIENCE
        while not (ends := transport.poll(0)):
            assert time.monotonic() < end
        assert [one.body for one in ends] == [b"ok"]

    def test_an_interrupt_ends_a_poll(self, transport: Transport, fault_server: FaultServer) -> None:
        """Ctrl-C is not waited out, and loses no exchange."""
        fault_server.route("* /a", [{"delay": 0.3, "body": "ok"}])
        begin(transport, url(fault_server))
        before = signal.signal(signal.SIGUSR1, _interrupt)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                transport.poll(_PATIENCE)
        finally:
            timer.join()
            signal.signal(signal.SIGUSR1, before)
        assert [one.body for one in transport.poll(_PATIENCE)] == [b"ok"]

    # Closing

    def test_close_leaves_nothing(
        self, fault_server: FaultServer, full_listener: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With exchanges in every state under way: no connection, no warning, nothing in the log."""
        fault_server.route("* /a", [{"fault": "hang"}])
        fault_server.route("* /b", [{"fault": "hang_body", "body": "hello"}])
        fault_server.route("* /c", [{"body": "ok"}])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            transport = self.make_transport(Settings())
            for path in ("/a", "/b", "/c") * 3:
                begin(transport, url(fault_server, path))
            begin(transport, f"http://127.0.0.1:{full_listener}/connecting")
            begin(transport, "http://no-such-host.invalid/looking-up")
            _collect(transport, 4)
            fault_server.wait_for("/b", 3)
            begin(transport, url(fault_server, "/not-begun"))
            transport.close()
            transport.close()
            del transport
            gc.collect()
        assert [str(one.message) for one in caught] == []
        assert caplog.records == []
        eventually(lambda: fault_server.stats()["open_connections"] == 0)

    def test_close_before_use(self, transport: Transport) -> None:
        """A transport that never sent anything closes without a word."""
        transport.close()

    # TLS

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

    # Proxies

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


def run(transport: Transport, request: Request, headers: dict[str, str] | None = None) -> Exchange:
    """Send one request and wait for its end; nothing secret may stand in what is said of it."""
    transport.start(request, request.url, HEADERS if headers is None else headers)
    (exchange,) = _collect(transport, 1)
    assert exchange.request is request
    return exchange


def begin(transport: Transport, url: str) -> Request:
    """Start a POST."""
    request = Request("POST", url, body=b"1")
    transport.start(request, url, HEADERS)
    return request


def run_all(transport: Transport, requests: list[Request], others: int = 0) -> list[Exchange]:
    """Send all at once and wait for their ends, in the order they end, and for those of `others` begun before."""
    for request in requests:
        transport.start(request, request.url, HEADERS)
    return _collect(transport, len(requests) + others)


def url(server: FaultServer, path: str = "/a", origin: Literal["main", "other", "tls"] = "main") -> str:
    """A URL of the server that holds the secret."""
    return server.url_for(f"{path}?key={SECRET}", origin)


def connections(server: FaultServer) -> int:
    """How many connections the requests of the ledger came over."""
    return len({seen.connection for seen in server.ledger()})


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


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.002)


def timed(call: Callable[[], list[Exchange]]) -> float:
    """Seconds that a poll took which found nothing."""
    began = time.monotonic()
    assert call() == []
    return time.monotonic() - began


def _collect(transport: Transport, count: int) -> list[Exchange]:
    ends: list[Exchange] = []
    limit = time.monotonic() + _PATIENCE
    while len(ends) < count:
        assert time.monotonic() < limit, f"{len(ends)} of {count} exchanges ended"
        ends += transport.poll(1.0)
    assert len(ends) == count
    for one in ends:
        said = f"{one.detail} {one!r} {one.request!r}"
        assert SECRET not in said
        assert len(said.splitlines()) == 1
    return ends


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
