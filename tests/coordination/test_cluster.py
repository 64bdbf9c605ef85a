"""Eight tasks in two executors and a server that refuses more than 200 requests a second: by nginx's own log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

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
    """In most of the time: no rate holds while the machine stands still, nor when it goes on."""
    answers, samples, told = written(nginx, cluster, tmp_path, ROWS)
    good = [line for line in answers if line.startswith("204 ")]
    assert Counter(line.partition("?id=")[2] for line in good) == Counter(map(str, range(ROWS)))
    # Between the first tenth, while executors and Python workers still start, and the last, when tasks end.
    answered, refused = usual_rates([one for one in samples if 0.1 * ROWS <= one.answers <= 0.9 * ROWS])
    assert answered >= 0.97 * RATE
    assert refused < 0.01 * RATE
    assert len(answers) - len(good) < 0.05 * len(answers)
    assert (told["accepted"], told["tasks_active"], told["tasks_done"]) == (ROWS, 0, 8)


@pytest.mark.parametrize("what", ["executor", "worker"])
def test_the_rate_holds_when_a_part_of_the_cluster_is_killed(
    nginx: Server, cluster: Standalone, tmp_path: Path, what: str
) -> None:
    def kill() -> None:
        worker = cluster.workers[0].process
        (executor_of(worker.pid) if what == "executor" else worker).kill()

    answers, samples, _ = written(nginx, cluster, tmp_path, ROWS // 2, kill)
    good = [line for line in answers if line.startswith("204 ")]
    # What the dead tasks had sent is sent again: there is no response log.
    assert {line.partition("?id=")[2] for line in good} == set(map(str, range(ROWS // 2)))
    assert len(good) > ROWS // 2
    # From the kill on, at a quarter of the rows, and nowhere so many as when the dead tasks' share was given twice.
    _, refused = usual_rates([one for one in samples if one.answers >= ROWS // 8])
    assert refused < 0.01 * RATE
    assert len(answers) - len(good) < 0.05 * len(answers)


@dataclass(frozen=True)
class Sample:
    """How many answers nginx had given, and how many of them were refusals."""

    at: float
    answers: int
    refused: int


def usual_rates(samples: list[Sample]) -> tuple[float, float]:
    """Answers and refusals a second: of each, the median over pieces of two seconds."""
    answered, refused = [], []
    first = samples[0]
    for one in samples:
        if one.at >= first.at + 2.0:
            answered.append((one.answers - first.answers) / (one.at - first.at))
            refused.append((one.refused - first.refused) / (one.at - first.at))
            first = one
    assert len(answered) >= 5
    return median(answered), median(refused)


def written(
    nginx: Server, cluster: Standalone, folder: Path, rows: int, kill: Callable[[], None] | None = None
) -> tuple[list[str], list[Sample], dict[str, int]]:
    """All answers of nginx, samples of them meanwhile, and what the coordinator saw."""
    before = len(nginx.answers())
    arguments = [cluster.master, f"{nginx.url}/limited?id={{id}}", str(rows)]
    job = [sys.executable, str(Path(__file__).with_name("cluster_job.py")), *arguments]
    environment = {**os.environ, "SPARK_HOME": str(Path(pyspark.__file__).parent), "PYSPARK_PYTHON": sys.executable}
    samples = []
    with (folder / "out").open("wb") as out, (folder / "log").open("wb") as log:
        driver = subprocess.Popen(job, stdout=out, stderr=log, env=environment, cwd=folder)
        try:
            while driver.poll() is None:
                at, answers = time.monotonic(), nginx.answers()[before:]
                samples.append(Sample(at, len(answers), sum(not line.startswith("204 ") for line in answers)))
                if kill is not None and len(answers) >= rows // 4:
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
