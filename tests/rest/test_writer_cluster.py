"""Writing from a real cluster, a master and two workers: a slow task is run twice, and an executor is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pyspark
import pytest
from tests.servers.process import Server, free_port, start

from trunkline.testing import FaultServer

# Nine Java and as many Python processes start, which two busy cores take minutes for.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROWS = 1600
# As cluster_job.py has them: requests in flight of a task, and records that are not in a file yet.
CONCURRENCY, FLUSH = 4, 50


class Cluster(NamedTuple):
    master: str
    workers: list[Server]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Two workers with two slots each, on two loopback addresses: Spark repeats a slow task on another host only."""
    home = Path(pyspark.__file__).parent
    environment = {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_MASTER_HOST": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
    }
    port = free_port()
    spark_class, deploy = str(home / "bin" / "spark-class"), "org.apache.spark.deploy"

    def master(ui: int, folder: Path) -> list[str]:
        return [
            spark_class,
            f"{deploy}.master.Master",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--webui-port",
            str(ui),
        ]

    def worker(host: str) -> Server:
        def command(ui: int, folder: Path) -> list[str]:
            resources = ["--cores", "2", "--memory", "1g", "--work-dir", str(folder / "work")]
            place = ["--host", host, "--webui-port", str(ui)]
            return [spark_class, f"{deploy}.worker.Worker", *place, *resources, f"spark://127.0.0.1:{port}"]

        return start("spark-worker", command, environment=environment)

    servers = [start("spark-master", master, environment=environment)]
    try:
        servers += [worker(host) for host in ("127.0.0.1", "127.0.0.2")]
        yield Cluster(f"spark://127.0.0.1:{port}", servers[1:])
    finally:
        for server in reversed(servers):
            server.stop()


@contextmanager
def started(cluster: Cluster, server: FaultServer, folder: Path, case: str) -> Iterator[subprocess.Popen[bytes]]:
    """The driver at work, which does not outlive the test."""
    # Not so fast that a task is over before anything can happen to it.
    server.route("POST /rows", [{"status": 201, "delay": 0.01}], store={"dedupe": True})
    job = [sys.executable, str(Path(__file__).with_name("cluster_job.py"))]
    arguments = [cluster.master, server.url_for("/rows"), str(folder / "responses"), case]
    with (folder / "out").open("wb") as out, (folder / "log").open("wb") as log:
        driver = subprocess.Popen([*job, *arguments], stdout=out, stderr=log)
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def told(driver: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    code = driver.wait(600)
    assert code == 0, (folder / "log").read_text()[-3000:]
    result: dict[str, Any] = json.loads((folder / "out").read_text().splitlines()[-1])
    return result


def check(server: FaultServer, result: dict[str, Any], most_repeated: int) -> None:
    """Every row is there, and what was sent twice was sent under one key; readers of the log see each row once."""
    keys: dict[int, list[str]] = {}
    for sent in server.ledger():
        keys.setdefault(sent.json["id"], []).append(sent.headers["idempotency-key"])
    assert sorted(keys) == list(range(ROWS))
    assert {len(set(of_one)) for of_one in keys.values()} == {1}
    assert len({of_one[0] for of_one in keys.values()}) == ROWS
    assert sum(map(len, keys.values())) - ROWS <= most_repeated
    assert Counter(row["id"] for row in server.stored("/rows")) == Counter(range(ROWS))
    assert (result["rows_logged"], result["rejected"]) == (ROWS, 0)
    assert ROWS <= result["records"] <= ROWS + most_repeated
    summary = result["summary"]
    assert (summary["state"], summary["rows"], summary["unsent"], summary["ambiguous"]) == ("succeeded", ROWS, 0, 0)
    assert summary["accepted"] + summary["skipped"] == ROWS


def test_a_slow_task_that_spark_runs_twice_delivers_each_row(
    cluster: Cluster, fault_server: FaultServer, tmp_path: Path
) -> None:
    with started(cluster, fault_server, tmp_path, "speculation") as driver:
        result = told(driver, tmp_path)
    assert result["attempts_at_last"] == 2
    check(fault_server, result, CONCURRENCY + FLUSH)


def test_a_stage_that_runs_again_after_a_lost_executor_delivers_each_row(
    cluster: Cluster, fault_server: FaultServer, tmp_path: Path
) -> None:
    with started(cluster, fault_server, tmp_path, "lost executor") as driver:
        fault_server.wait_for("POST /rows", ROWS // 3, timeout=300)
        [executor] = [
            child
            for child in psutil.Process(cluster.workers[0].process.pid).children()
            if "CoarseGrainedExecutorBackend" in " ".join(child.cmdline())
        ]
        executor.kill()
        result = told(driver, tmp_path)
    assert result["stage_attempts"] > 1
    # It had two tasks at work.
    check(fault_server, result, 2 * (CONCURRENCY + FLUSH))
