"""Real servers as fixtures: each is installed and started on first use, shared by the test run, and ended with it.

List this module in `tests/conftest.py`, then name a server as an argument of a test:

    pytest_plugins = ["tests.servers.fixtures"]

    def test_rows_arrive(kinto: Kinto) -> None:
        path = kinto.new_collection()
        requests.post(kinto.url + path, json={"data": {"n": 1}}, auth=kinto.auth, timeout=10)
        assert [row["n"] for row in kinto.records(path)] == [1]

A test is skipped, with the reason, where its server cannot be installed. `TRUNKLINE_SERVERS_REQUIRED=1` makes that an
error: for CI, where a skip would hide that nothing was tested. A server that is installed and does not start is always
an error. Tests share the servers, so each makes what it writes to: `kinto.new_collection()`. A test that needs other
limits, another token lifetime or rows of its own starts its own server: `start_nginx(rate=20)`, `start_oidc(ttl=2)`,
`start_json_server({"items": [...]})`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import pytest
from tests.servers.airflow import Airflow, make_airflow
from tests.servers.gate import start_gate
from tests.servers.install import UnavailableError
from tests.servers.kinto import Kinto, start_kinto
from tests.servers.moto import start_moto
from tests.servers.nginx import start_nginx
from tests.servers.oidc import Oidc, start_oidc
from tests.servers.otlp import Otlp, start_otlp
from tests.servers.podman import Podman, start_podman
from tests.servers.process import Server
from tests.servers.prometheus import Prometheus, start_prometheus, start_pushgateway
from tests.servers.standalone import Standalone, start_standalone


class Stoppable(Protocol):
    def stop(self) -> None: ...


S = TypeVar("S", bound=Stoppable)


@pytest.fixture(scope="session")
def kinto() -> Iterator[Kinto]:
    """A REST API that stores rows and takes batches, with HTTP Basic."""
    yield from _served(start_kinto)


@pytest.fixture(scope="session")
def oidc() -> Iterator[Oidc]:
    """An OAuth2 server with opaque access tokens that live for 5 s."""
    yield from _served(start_oidc)


@pytest.fixture(scope="session")
def guarded_kinto(kinto: Kinto, oidc: Oidc) -> Iterator[Kinto]:
    """`kinto` behind a check for access tokens of `oidc`."""
    yield from _served(lambda: start_gate(kinto, oidc))


@pytest.fixture(scope="session")
def nginx() -> Iterator[Server]:
    """A fast server with limits on rate, concurrency and size."""
    yield from _served(start_nginx)


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    """AWS services in memory."""
    yield from _served(start_moto)


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """A container engine with Docker's API, and an image with a job."""
    yield from _served(start_podman)


@pytest.fixture(scope="session")
def standalone() -> Iterator[Standalone]:
    """Spark's standalone master with its submission API, and a worker."""
    yield from _served(start_standalone)


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    """A Prometheus that scrapes what it is told to, every second, and calls nowhere any more when the test is over."""
    yield from _served(start_prometheus)


@pytest.fixture(scope="session")
def pushgateway() -> Iterator[Server]:
    """Prometheus' push gateway."""
    yield from _served(start_pushgateway)


@pytest.fixture
def otlp() -> Iterator[Otlp]:
    """A receiver of OTLP, and OpenTelemetry's exporter."""
    yield from _served(start_otlp)


@pytest.fixture(scope="module")
def airflow() -> Iterator[Airflow]:
    """Airflow, with a database for each module of tests."""
    yield from _served(make_airflow)


def _served(start: Callable[[], S]) -> Iterator[S]:
    try:
        server = start()
    except UnavailableError as reason:
        if os.environ.get("TRUNKLINE_SERVERS_REQUIRED"):
            raise
        pytest.skip(str(reason))
    yield server
    server.stop()
