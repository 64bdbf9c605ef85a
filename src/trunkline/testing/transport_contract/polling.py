"""How long a poll waits, and what closing leaves behind: nothing."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable

import pytest

from trunkline.http.client import Transport
from trunkline.http.message import Exchange
from trunkline.http.transport import Settings
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract.subject import PATIENCE, TransportSubject, begin, collect, eventually, url


class Polling(TransportSubject):
    """What a caller waits for."""

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
        end = time.monotonic() + PATIENCE
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
                transport.poll(PATIENCE)
        finally:
            timer.join()
            signal.signal(signal.SIGUSR1, before)
        assert [one.body for one in transport.poll(PATIENCE)] == [b"ok"]

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


def timed(call: Callable[[], list[Exchange]]) -> float:
    """Seconds that a poll took which found nothing."""
    began = time.monotonic()
    assert call() == []
    return time.monotonic() - began


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
