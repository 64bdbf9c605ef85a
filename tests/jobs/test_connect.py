"""The format `jobs` over Spark Connect, on a server whose Python has never heard of Trunkline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.testing.databricks import DatabricksApi


@pytest.mark.slow
def test_runs_are_started_read_and_followed_without_an_install_on_the_server(
    connect_server: str, tmp_path: Path
) -> None:
    with DatabricksApi() as api:
        script = str(Path(__file__).with_name("connect_job.py"))
        words = [sys.executable, script, connect_server, api.url, api.token, str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout.splitlines()[-1])
        assert told == {
            "found": [["my.etl", f"k{n}", "PENDING"] for n in range(3)],
            "followed": [[f"k{n}", "PENDING"] for n in range(3)],
        }
        assert api.count("runs/submit") == 3
