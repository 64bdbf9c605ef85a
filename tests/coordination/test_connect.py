"""A coordinator that runs alone, for a Spark Connect server whose Python has never heard of Trunkline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.coordination.test_processes import SECRET, oauth, serving
from tests.servers.connect import run_client

from trunkline.testing import FaultServer


@pytest.mark.slow
def test_writes_and_requests_share_a_coordinator_that_runs_alone(
    connect_server: str, fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.oauth("/token", clients={"loader": SECRET}, expires_in=600)
    fault_server.route("POST /rows", [{"bearer": "/token"}, {"status": 201}], store=True)
    fault_server.route("GET /users/{id}", [{"bearer": "/token"}, {"body": {"name": "Ann"}}])
    file = tmp_path / "c.json"
    with serving(file, "--rate-limit", "40/s", *oauth(fault_server, tmp_path)):
        told = run_client(Path(__file__).with_name("connect_job.py"), connect_server, fault_server.url, str(file))
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == list(range(60))
    assert told["names"] == ["Ann"] * 60
    assert fault_server.count("POST /token") == 1
    assert json.loads(file.read_text())["coordinator.token"] not in told["plan"]
    assert "with Spark Connect no executor can be expected to reach this process" in told["refused"]
