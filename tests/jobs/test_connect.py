"""The format `jobs` over Spark Connect, on a server whose Python has never heard of Trunkline."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.servers.connect import run_client

from trunkline.testing.databricks import DatabricksApi


@pytest.mark.slow
def test_runs_are_started_read_and_followed_without_an_install_on_the_server(
    connect_server: str, tmp_path: Path
) -> None:
    with DatabricksApi() as api:
        script = Path(__file__).with_name("connect_job.py")
        told = run_client(script, connect_server, api.url, api.token, str(tmp_path))
        assert told == {
            "found": [["my.etl", f"k{n}", "PENDING"] for n in range(3)],
            "followed": [[f"k{n}", "PENDING"] for n in range(3)],
        }
        assert api.count("runs/submit") == 3
