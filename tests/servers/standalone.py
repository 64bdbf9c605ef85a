"""Spark's standalone master with its submission API, and its workers: of the jars that pip's pyspark brings.

Shows: how a Python driver is submitted, and its states as the master tells them; that an unknown id is answered with
status 200 and `success: false`.

Cannot show: a token (the API takes one with a filter of the user's own only), and a master that recovers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pyspark
import requests
from tests.servers.process import Server, free_port, start

_DEPLOY = "org.apache.spark.deploy"


@dataclass(frozen=True)
class Standalone:
    """A master and its workers; `master` is its address, `rest_url` its submission API."""

    master: str
    rest_url: str
    first: Server
    workers: tuple[Server, ...]

    def stop(self) -> None:
        """End the workers with their drivers and executors, then the master."""
        for server in (*self.workers, self.first):
            server.stop()


def start_standalone(workers: int = 1) -> Standalone:
    """Start all and wait until each worker, on a loopback address of its own, is known to the master."""
    home = Path(pyspark.__file__).parent
    port, rest = free_port(), free_port()
    environment = {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": f"-Dspark.master.rest.enabled=true -Dspark.master.rest.port={rest} "
        "-Dspark.master.rest.host=127.0.0.1",
    }
    spark_class = str(home / "bin" / "spark-class")

    def master(ui: int, folder: Path) -> list[str]:
        place = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", str(ui)]
        return [spark_class, f"{_DEPLOY}.master.Master", *place]

    def worker(host: str) -> Server:
        def command(ui: int, folder: Path) -> list[str]:
            place = ["--host", host, "--webui-port", str(ui), "--work-dir", str(folder / "work")]
            resources = ["--cores", "4", "--memory", "6g"]
            return [spark_class, f"{_DEPLOY}.worker.Worker", *place, *resources, f"spark://127.0.0.1:{port}"]

        return start("standalone-worker", command, environment=environment)

    first = start("standalone-master", master, environment=environment)
    started: list[Server] = []
    try:
        for number in range(1, workers + 1):
            started.append(worker(f"127.0.0.{number}"))  # noqa: PERF401 - each is ended if the next does not start
    except BaseException:
        for server in (*started, first):
            server.stop()
        raise
    standalone = Standalone(f"spark://127.0.0.1:{port}", f"http://127.0.0.1:{rest}", first, tuple(started))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if requests.get(f"{first.url}/json/", timeout=10).json()["aliveworkers"] == workers:
            return standalone
        time.sleep(0.1)
    standalone.stop()
    raise RuntimeError("the workers did not register with the master")
