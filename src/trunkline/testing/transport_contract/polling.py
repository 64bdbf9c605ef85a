"""How long a poll waits, and what closing leaves behind: nothing."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
import time
import warnings

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Request
from trunkline.http.transport import Settings
from trunkline.testing.loopback import OK, Loopback
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import (
    PATIENCE,
    Open,
    TransportSubject,
    begin,
    collect,
    eventually,
    mostly,
    url,
)


class Polling(TransportSubject):
    """What a caller waits for."""

    def test_poll_waits_as_long_as_told(self, transport: Transport, fault_server: FaultServer) -> None:
        """Nothing finishes: it returns in time, to the hundredth, after a pause of the caller too."""
        fault_server.route("* /a", [{"fault": "hang"}])
        for pause in (0.0, 0.2):
            if pause:
                begin(transport, url(fault_server))
            mostly(lambda: timed(transport, 0.0) < 0.1)
            mostly(lambda: timed(transport, 0.2, pause) < 0.6)  # noqa: B023 - called in this turn

    @pytest.mark.parametrize("wait", [PATIENCE, None])
    def test_poll_returns_with_the_first(
        self, open_transport: Open, fault_server: FaultServer, wait: float | None
    ) -> None:
        """One answer is handed over at once, while others are still under way."""
        fault_server.route("* /a", [{"fault": "hang"}])
        fault_server.route("* /b", [{"delay": 0.05, "body": "ok"}])
        transport = open_transport(read=PATIENCE)
        for path in ("/a", "/b"):
            begin(transport, url(fault_server, path))
        began = time.monotonic()
        assert [one.body for one in transport.poll(wait)] == [b"ok"]
        assert time.monotonic() - began < PATIENCE / 2

    def test_short_polls_make_progress(self, transport: Transport, fault_server: FaultServer) -> None:
        """A caller that never waits gets its answers all the same."""
        fault_server.route("* /a", [{"body": "ok"}])
        begin(transport, url(fault_server))
        end = time.monotonic() + PATIENCE
        while not (ends := transport.poll(0)):
            assert time.monotonic() < end
        assert [one.body for one in ends] == [b"ok"]

    def test_an_interrupt_ends_a_poll(self, transport: Transport) -> None:
        """Ctrl-C is not waited out, and loses no exchange."""
        heard = threading.Event()

        def serve(server: Loopback, peer: socket.socket) -> None:
            server.head(peer)
            # Bytes leave in a poll and nowhere else; a moment later it waits.
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGUSR1)
            heard.wait(PATIENCE)
            peer.sendall(OK)

        before = signal.signal(signal.SIGUSR1, _interrupt)
        try:
            with Loopback(serve) as server:
                transport.start(request := Request("GET", f"http://127.0.0.1:{server.port}/a"), request.url, {})
                began = time.monotonic()
                with pytest.raises(KeyboardInterrupt):
                    transport.poll(PATIENCE)
                assert time.monotonic() - began < PATIENCE / 2
                heard.set()
                assert [one.body for one in transport.poll(PATIENCE)] == [b"ok"]
        finally:
            signal.signal(signal.SIGUSR1, before)

    def test_close_leaves_nothing(
        self, fault_server: FaultServer, full_listener: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With exchanges in every state under way: no connection, no warning, nothing in the log."""
        fault_server.route("* /a", [{"fault": "hang"}])
        fault_server.route("* /b", [{"fault": "hang_body", "body": "hello"}])
        fault_server.route("* /c", [{"body": "ok"}])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            transport = self.make_transport(Settings(connect=2 * PATIENCE))
            for path in ("/a", "/b", "/c") * 3:
                begin(transport, url(fault_server, path))
            begin(transport, f"http://127.0.0.1:{full_listener}/connecting")
            begin(transport, "http://no-such-host.invalid/looking-up")
            collect(transport, 4)
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


def timed(transport: Transport, wait: float, pause: float = 0.0) -> float:
    """Seconds that a poll took which found nothing, after a pause; never less than it was told to wait."""
    time.sleep(pause)
    began = time.monotonic()
    assert transport.poll(wait) == []
    took = time.monotonic() - began
    assert took >= wait - 0.01
    return took


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
