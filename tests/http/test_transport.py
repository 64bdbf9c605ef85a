"""The aiohttp transport keeps the contract on both event loops."""

from __future__ import annotations

import asyncio

import pytest

pytest_plugins = ["trunkline.testing.plugin"]
# Before the import, so that a failed assertion of the contract shows its values.
pytest.register_assert_rewrite("trunkline.testing.transport_contract")

from trunkline.http.transport import AiohttpTransport, Settings  # noqa: E402
from trunkline.testing.transport_contract import TransportContract  # noqa: E402


class TestOnUvloop(TransportContract):
    def make_transport(self, settings: Settings) -> AiohttpTransport:
        transport = AiohttpTransport(settings)
        assert type(transport._loop).__module__ == "uvloop"
        return transport


class TestOnAsyncio(TransportContract):
    @pytest.fixture(autouse=True)
    def _plain_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trunkline.http.transport._new_event_loop", asyncio.new_event_loop)

    def make_transport(self, settings: Settings) -> AiohttpTransport:
        transport = AiohttpTransport(settings)
        assert isinstance(transport._loop, asyncio.SelectorEventLoop)
        return transport
