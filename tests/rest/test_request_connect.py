"""`request()` over Spark Connect, to a server whose Python has never heard of Trunkline."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.servers.connect import run_client

from trunkline.testing import FaultServer


@pytest.mark.slow
def test_rows_are_asked_for_without_an_install_on_the_server(
    connect_server: str, fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.route("GET /users/{id}", [{"body": {"name": "Ann", "age": 7}}])
    fault_server.route("GET /feed/{id}", [{"body": {"name": "Bob"}}])
    fault_server.route("GET /refused/{id}", [{"status": 404, "body": "no such user"}])
    script = Path(__file__).with_name("request_connect_job.py")
    told = run_client(script, connect_server, fault_server.url, str(tmp_path))
    assert told["count"] == 60
    assert told["rows"] == [[i, f"n{i}", "accepted", "Ann"] for i in range(60)]
    assert told["followed"] == list(range(60))
    assert "RejectedError: a row was rejected: GET" in told["refused"]
    assert "very-secret" not in told["plan"]
    assert fault_server.count("GET /users/{id}") == fault_server.count("GET /feed/{id}") == 60
    assert {one.headers["authorization"] for one in fault_server.ledger("GET /users/{id}")} == {"Bearer very-secret"}
