"""What the tests of a transport share: the transport under test, servers, and a request that holds a secret."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Exchange, Request
from trunkline.http.transport import Settings
from trunkline.testing.server import FaultServer

Open = Callable[..., Transport]

SECRET = "s3cr3t-in-the-url"  # noqa: S105 - looked for in what a transport says
HEADERS = {"User-Agent": "contract/1", "X-Key": SECRET}
EVERY_BYTE = bytes(range(256))
# No step of a test that ends as it should comes near it, even on a machine that stands still for seconds; a broken one
# ends here instead of at the test's time-out.
PATIENCE = 60.0
# Where nine tries of ten come out well, so many more of the others do not come in a row by chance.
_BEHIND = 10
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


class TransportSubject:
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


def run(transport: Transport, request: Request, headers: dict[str, str] | None = None) -> Exchange:
    """Send one request and wait for its end; nothing secret may stand in what is said of it."""
    transport.start(request, request.url, HEADERS if headers is None else headers)
    (exchange,) = collect(transport, 1)
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
    return collect(transport, len(requests) + others)


def url(server: FaultServer, path: str = "/a", origin: Literal["main", "other", "tls"] = "main") -> str:
    """A URL of the server that holds the secret."""
    return server.url_for(f"{path}?key={SECRET}", origin)


def connections(server: FaultServer) -> int:
    """How many connections the requests of the ledger came over."""
    return len({seen.connection for seen in server.ledger()})


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds; where it does something first, until it has come out that way once."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.002)


def mostly(comes_out: Callable[[], bool]) -> None:
    """Try something until it came out well two times more often than not.

    So a time is bounded from above: a machine that stands still makes some tries longer than they are, not most.
    """
    ahead = 0
    while ahead < 2:
        ahead += 1 if comes_out() else -1
        assert ahead > -_BEHIND, "most tries do not come out as they should"


def collect(transport: Transport, count: int) -> list[Exchange]:
    """Wait for the ends of so many requests; nothing secret may stand in what is said of any."""
    ends: list[Exchange] = []
    limit = time.monotonic() + PATIENCE
    while len(ends) < count:
        assert time.monotonic() < limit, f"{len(ends)} of {count} exchanges ended"
        ends += transport.poll(1.0)
    assert len(ends) == count
    for one in ends:
        said = f"{one.detail} {one!r} {one.request!r}"
        assert SECRET not in said
        assert len(said.splitlines()) == 1
    return ends
