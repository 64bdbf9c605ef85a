"""Each transport keeps the contract: the one on aiohttp on both event loops, and the one on libcurl."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import time

import pycurl
import pytest

from trunkline.errors import MissingExtraError
from trunkline.http import libcurl
from trunkline.http.aiohttp_transport import AiohttpTransport
from trunkline.http.client import Transport
from trunkline.http.libcurl import LibcurlTransport
from trunkline.http.transport import Settings, check_choice, open_transport
from trunkline.testing.server import FaultServer
from trunkline.testing.transport_contract import TransportContract, begin, url
from trunkline.testing.transport_contract.subject import PATIENCE

pytest_plugins = ["trunkline.testing.plugin"]


class TestOnUvloop(TransportContract):
    def make_transport(self, settings: Settings) -> AiohttpTransport:
        transport = AiohttpTransport(settings)
        assert type(transport._loop).__module__ == "uvloop"
        return transport


class TestOnAsyncio(TransportContract):
    @pytest.fixture(autouse=True)
    def _plain_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trunkline.http.aiohttp_transport._new_event_loop", asyncio.new_event_loop)

    def make_transport(self, settings: Settings) -> AiohttpTransport:
        transport = AiohttpTransport(settings)
        assert isinstance(transport._loop, asyncio.SelectorEventLoop)
        return transport


class TestOnLibcurl(TransportContract):
    def make_transport(self, settings: Settings) -> LibcurlTransport:
        return LibcurlTransport(settings)

    def test_an_interrupt_in_the_thick_of_it(self, transport: Transport, fault_server: FaultServer) -> None:
        """However busy it is, and within libcurl's calls into Python too, an interrupt is heard."""
        fault_server.route("* /a", [{}])
        told: list[int] = []
        heard = 0

        def interrupt(number: int, _: object) -> None:
            told.append(number)
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        # Python swallows what is raised in a callback of its collector, and Hypothesis has one in every process.
        gc.disable()
        try:
            for _ in range(20):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.011)
                    end = time.monotonic() + PATIENCE
                    while time.monotonic() < end:
                        for _ in range(8):
                            begin(transport, url(fault_server))
                        transport.poll(0)
                except KeyboardInterrupt:
                    heard += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            gc.enable()
        assert (len(told), heard) == (20, 20)


@pytest.mark.parametrize(
    ("choice", "kind"), [("auto", "LibcurlTransport"), ("libcurl", "LibcurlTransport"), ("aiohttp", "AiohttpTransport")]
)
def test_choice(choice: str, kind: str) -> None:
    """`auto` is libcurl where it can be had."""
    transport = open_transport(Settings(), choice)
    transport.close()
    assert type(transport).__name__ == kind


@pytest.mark.parametrize(
    ("number", "features", "tls", "lacks"),
    [
        (0x080400, ~0, "OpenSSL/3.0.2", None),
        (0x080300, ~0, "OpenSSL/3.0.2", "libcurl 8.x is older than 8.4.0"),
        (0x080400, ~(1 << 30), "OpenSSL/3.0.2", "libcurl 8.x was built without threads"),
        (0x080400, ~(1 << 7), "OpenSSL/3.0.2", "libcurl 8.x was built without threads"),
        (0x080400, ~0, "GnuTLS/3.7", "libcurl 8.x was built with GnuTLS/3.7, not with OpenSSL"),
        (0x080400, ~0, None, "libcurl 8.x was built with no TLS, not with OpenSSL"),
    ],
)
def test_a_libcurl_that_will_not_do(
    monkeypatch: pytest.MonkeyPatch, number: int, features: int, tls: str | None, lacks: str | None
) -> None:
    """One that is too old or lacks something is passed over by `auto`, and refused with the cure when asked for."""
    told = (9, "8.x", number, "Linux", features, tls, 0, None, (), None, 0, None)
    monkeypatch.setattr(pycurl, "version_info", lambda: told)
    assert libcurl.lacking() == lacks
    chosen = open_transport(Settings(), "auto")
    chosen.close()
    assert type(chosen).__name__ == ("LibcurlTransport" if lacks is None else "AiohttpTransport")
    if lacks is not None:
        with pytest.raises(MissingExtraError) as raised:
            check_choice("libcurl")
        assert str(raised.value) == f"transport=libcurl: {lacks}: pip install -U 'trunkline[fast]'"


def test_without_pycurl() -> None:
    """Without pycurl `auto` is aiohttp, and asking for libcurl is answered with the command that installs it."""
    program = """
import sys
sys.modules["pycurl"] = None
from trunkline.http.transport import Settings, open_transport
print(type(open_transport(Settings(), "auto")).__name__)
try:
    open_transport(Settings(), "libcurl")
except Exception as error:
    print(type(error).__name__, error)
"""
    kind, refusal = output_of(program)
    assert kind == "AiohttpTransport"
    assert refusal.startswith("MissingExtraError transport=libcurl: pycurl cannot be imported (")
    assert refusal.endswith("): pip install -U 'trunkline[fast]'")


def test_only_what_is_used_is_loaded() -> None:
    """Neither library is loaded before a transport is opened, and with one the other is not."""
    program = """
import sys
from trunkline.http.transport import Settings, open_transport
loaded = lambda: sorted({"aiohttp", "pycurl"} & set(sys.modules))
print(loaded())
open_transport(Settings(), "%s").close()
print(loaded())
"""
    assert output_of(program % "libcurl") == ["[]", "['pycurl']"]
    assert output_of(program % "aiohttp") == ["[]", "['aiohttp']"]


def output_of(program: str) -> list[str]:
    """The lines that a Python program of its own prints."""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()
