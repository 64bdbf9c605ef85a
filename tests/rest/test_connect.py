"""Writing and reading over Spark Connect, to a server whose Python has never heard of Trunkline."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.servers.connect import run_client

from trunkline.testing import FaultServer


@pytest.mark.slow
def test_batches_streams_and_refusals_work_without_an_install_on_the_server(
    connect_server: str, fault_server: FaultServer, tmp_path: Path
) -> None:
    for path in ("/batch", "/stream"):
        fault_server.route(f"POST {path}", [{"status": 201}], store=True)
    fault_server.dataset("GET /items", count=50, size=7, total=True)
    fault_server.route("POST /refused", [{"status": 422, "body": "name is taken"}])
    told = run_client(Path(__file__).with_name("connect_job.py"), connect_server, fault_server.url, str(tmp_path))
    for path in ("/batch", "/stream"):
        assert sorted(row["id"] for row in fault_server.stored(path)) == list(range(100))
    assert (told["logged"], told["read"], told["followed"]) == (100, list(range(50)), list(range(50)))
    assert "RejectedError: POST" in told["refused"]
    assert "name is taken" in told["refused"]
