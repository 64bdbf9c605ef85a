"""Test tools for whoever builds on Trunkline: a server that misbehaves on purpose, and what it saw.

    from trunkline.testing import FaultServer

    with FaultServer() as server:
        server.route("POST /rows", [{"status": 503, "times": 2}, {"status": 201}], store=True)
        ...                                     # send rows to server.url_for("/rows")
        assert server.count("POST /rows") == 3
        assert server.stored("/rows") == [{"id": 1}]

In pytest: `pytest_plugins = ["trunkline.testing.plugin"]` gives the fixture `fault_server`.
Names load on first use, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.testing.ledger import Exchange as Exchange
    from trunkline.testing.server import FaultServer as FaultServer

_HOMES = {"Exchange": "trunkline.testing.ledger", "FaultServer": "trunkline.testing.server"}

__all__ = ["Exchange", "FaultServer"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
