"""Eight tasks in two executors and a server that refuses more than 200 requests a second: by nginx's own log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyspark
import pytest
from tests.servers.process import Server
from tests.servers.standalone import Standalone, start_standalone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROWS, RATE = 8000, 200


@pytest.fixture
def cluster() -> Iterator[Standalone]:
    """A master and two workers, each with an executor of four slots; tests kill parts of it."""
    standalone = start_standalone(workers=2)
    yield standalone
    standalone.stop()


def test_eight_tasks_use_a_rate_up_without_refusals(nginx: Server, cluster: Standalone, tmp_path: Path) -> None:
    answers, samples, told = written(nginx, cluster, tmp_path, ROWS)
    good = [line for line in answers if line.startswith("204 ")]
    assert Counter(line.partition("?id=")[2] for line in good) == Counter(map(str, range(ROWS)))
    assert len(answers) - len(good) < 0.01 * len(answers)
    # Between the first tenth, while executors and Python workers still start, and the last, when tasks end.
    working = [(at, count) for at, count in samples if 0.1 * ROWS <= count <= 0.9 * ROWS]
    (began, first), (ended, last) = working[0], working[-1]
    assert (last - first) / (ended - began) >= 0.97 * RATE
    assert (told["accepted"], told["tasks_active"], told["tasks_done"]) == (ROWS, 0, 8)


@pytest.mark.parametrize("what", ["executor", "worker"])
def test_the_rate_holds_when_a_part_of_the_cluster_is_killed(
    nginx: Server, cluster: Standalone, tmp_path: Path, what: str
) -> None:
    def kill() -> None:
        worker = cluster.workers[0].process
        (executor_of(worker.pid) if what == "executor" else worker).kill()

    answers, _, _ = written(nginx, cluster, tmp_path, ROWS // 2, kill)
    good = [line for line in answers if line.startswith("204 ")]
    # What the dead tasks had sent is sent again: there is no response log.
    assert {line.partition("?id=")[2] for line in good} == set(map(str, range(ROWS // 2)))
    assert len(good) > ROWS // 2
    assert len(answers) - len(good) < 0.01 * len(answers)


def written(
    nginx: Server, cluster: Standalone, folder: Path, rows: int, kill: Callable[[], None] | None = None
) -> tuple[list[str], list[tuple[float, int]], dict[str, int]]:
    """All answers of nginx, how many there were when, and what the coordinator saw."""
    before = len(nginx.answers())
    arguments = [cluster.master, f"{nginx.url}/limited?id={{id}}", str(rows)]
    job = [sys.executable, str(Path(__file__).with_name("cluster_job.py")), *arguments]
    environment = {**os.environ, "SPARK_HOME": str(Path(pyspark.__file__).parent), "PYSPARK_PYTHON": sys.executable}
    samples = []
    with (folder / "out").open("wb") as out, (folder / "log").open("wb") as log:
        driver = subprocess.Popen(job, stdout=out, stderr=log, env=environment, cwd=folder)
        try:
            while driver.poll() is None:
                count = len(nginx.answers()) - before
                samples.append((time.monotonic(), count))
                if kill is not None and count >= rows // 4:
                    kill()
                    kill = None
                time.sleep(0.2)
        finally:
            driver.kill()
            driver.wait()
    assert driver.returncode == 0, (folder / "log").read_text()[-3000:]
    assert kill is None
    return nginx.answers()[before:], samples, json.loads((folder / "out").read_text().splitlines()[-1])


def executor_of(worker: int) -> psutil.Process:
    [executor] = [
        child
        for child in psutil.Process(worker).children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "CoarseGrainedExecutorBackend" in " ".join(child.cmdline())
    ]
    return executor
