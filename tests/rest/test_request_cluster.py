"""`request()` on executors that are processes of their own, one of which is killed in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest
from tests.rest.request_cluster_job import CONCURRENCY, FLUSH, ROWS

from trunkline.testing import FaultServer


def executors(driver: int) -> list[psutil.Process]:
    """The executors below a driver's process."""
    found = psutil.Process(driver).children(recursive=True)
    return [one for one in found if "CoarseGrainedExecutorBackend" in " ".join(one.cmdline())]


@pytest.mark.slow
def test_a_killed_executor_loses_no_row_and_repeats_little(fault_server: FaultServer, tmp_path: Path) -> None:
    """Every row comes out once; sent again is what was in flight or not in the log yet."""
    fault_server.route("POST /rows", [{"status": 201, "delay": 0.02, "body": {"stored": 1}}], store=True)
    job = [sys.executable, str(Path(__file__).with_name("request_cluster_job.py"))]
    places = [fault_server.url_for("/rows"), str(tmp_path / "log"), str(tmp_path / "out")]
    with (tmp_path / "told").open("wb") as told, (tmp_path / "errors").open("wb") as errors:
        driver = subprocess.Popen([*job, *places], stdout=told, stderr=errors)
    try:
        fault_server.wait_for("POST /rows", ROWS // 3, timeout=200)
        executors(driver.pid)[0].kill()
        code = driver.wait(300)
    finally:
        driver.kill()
        driver.wait()
    assert code == 0, (tmp_path / "errors").read_text()[-3000:]
    result = json.loads((tmp_path / "told").read_text().splitlines()[-1])
    assert result["rows"] == [[i, "accepted"] for i in range(ROWS)]
    times = Counter(row["id"] for row in fault_server.stored("/rows"))
    assert set(times) == set(range(ROWS))
    # It was killed in the middle of its only task.
    assert 0 < sum(times.values()) - ROWS <= CONCURRENCY + FLUSH
    assert (result["summary"]["rows"], result["summary"]["accepted"]) == (ROWS, ROWS)
