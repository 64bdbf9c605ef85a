"""pytest fixtures around the fault server: `pytest_plugins = ["trunkline.testing.plugin"]` in a conftest.

    def test_rows_arrive(fault_server):
        fault_server.route("POST /rows", [{"status": 201}], store=True)
        fault_server.expect("POST /rows", times=1)
        ...

A test module can also set `pytest_plugins` for itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trunkline.testing.server import FaultServer


@pytest.fixture
def fault_server(_fault_server_process: FaultServer) -> Iterator[FaultServer]:
    """A strict fault server for one test, empty and on ports of its own; unmet expectations fail the test.

    A test that means to send what nobody declared sets `fault_server.strict = False`. The process is shared by the
    tests of a run, so a test pays about a millisecond for it.
    """
    if not _fault_server_process.alive:
        _fault_server_process.stop()
        _fault_server_process.start()
    _fault_server_process.strict = True
    _fault_server_process.renew()
    yield _fault_server_process
    _fault_server_process.verify()


@pytest.fixture(scope="module")
def module_fault_server() -> Iterator[FaultServer]:
    """A strict fault server in a process of its own for all tests of a module; verified after the last."""
    with FaultServer(strict=True) as server:
        yield server


@pytest.fixture(scope="session")
def _fault_server_process() -> Iterator[FaultServer]:
    server = FaultServer(strict=True)
    server.start()
    yield server
    server.stop()
