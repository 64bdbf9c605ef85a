"""A runner that is killed, wherever it is, and started again ends with the tables of one that was left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
ROWS = 2_000
# A write of some seconds, so that a kill meets it: each of a hundred rows is slow.
FILE = """
name = nightly
vars { root = /data }
spark { master = "local[2]", conf { spark.ui.enabled = false, spark.sql.shuffle.partitions = 2 } }
steps = [
  { name = numbers, read { format = json, path = ${vars.root}/in, schema = "id BIGINT" } }
  { name = tens, sql = "SELECT id, id % 10 AS ten FROM numbers" }
  { name = all, write { format = parquet, path = ${vars.root}/all, mode = overwrite } }
  { name = slowly, call = "tests.pipelines.steps_of_tests:slowly" }
  { name = sums, sql = "SELECT ten, sum(id) AS ids FROM slowly GROUP BY ten" }
  { name = out, write { format = parquet, path = ${vars.root}/out, mode = overwrite } }
]
"""


def started(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trunkline.cli", "run", str(folder / "p.conf"), "--runs", str(folder / "runs")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*command, *more], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def written(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "in").mkdir()
    (folder / "in" / "a.json").write_text("\n".join(json.dumps({"id": number}) for number in range(ROWS)))
    (folder / "p.conf").write_text(FILE.replace("/data", f'"{folder}"'))


def rows(folder: Path, name: str, *columns: str) -> list[tuple[object, ...]]:
    table = pq.read_table(folder / name).to_pydict()
    return sorted(zip(*[table[column] for column in columns], strict=True))


def steps_of(folder: Path) -> dict[str, str]:
    """How far the newest run is."""
    reports = sorted((folder / "runs").glob("*/report.json"))
    return {step["name"]: step["outcome"] for step in json.loads(reports[-1].read_text())["steps"]} if reports else {}


def runs_of(folder: Path) -> int:
    return len(list((folder / "runs").glob("*/report.json")))


def killed_when(folder: Path, step: str, after: float, *more: str) -> bool:
    """Kill a run some time after a step began; whether it was there to be killed."""
    earlier = runs_of(folder)
    process = started(folder, *more)
    until = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < until:
        if runs_of(folder) > earlier and steps_of(folder)[step] != "waiting":
            break
        time.sleep(0.05)
    time.sleep(after)
    there = process.poll() is None
    if there:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return there


def ended_well(folder: Path) -> None:
    process = started(folder, *(["--resume", "last"] if list((folder / "runs").glob("*/report.json")) else []))
    assert process.wait(250) == 0, (folder / "log").read_text()[-3_000:]
    assert rows(folder, "all", "id", "ten") == [(number, number % 10) for number in range(ROWS)]
    sums = [(ten, sum(range(ten, ROWS, 10))) for ten in range(10)]
    assert rows(folder, "out", "ten", "ids") == sums


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    """Once within the first write, once between it and the second, once within that; the first is not repeated."""
    written(tmp_path)
    assert killed_when(tmp_path, "all", 0.0)
    assert killed_when(tmp_path, "slowly", 0.0, "--resume", "last")
    assert killed_when(tmp_path, "out", 0.5, "--resume", "last")
    ended_well(tmp_path)
    assert steps_of(tmp_path)["all"] == "kept"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stream_that_is_told_to_end_ends_well(tmp_path: Path) -> None:
    """SIGTERM after some micro-batches: exit code 0, and the rows that were written are counted."""
    (tmp_path / "p.conf").write_text(f"""
        name = live
        spark {{ master = "local[2]", conf {{ spark.ui.enabled = false }} }}
        steps = [
          {{ name = ticks, read {{ format = rate, stream = true, options {{ rowsPerSecond = 5 }} }} }}
          {{
            name = out
            write {{ format = parquet, path = "{tmp_path}/out", checkpoint = "{tmp_path}/c", trigger = 1s }}
          }}
        ]
    """)
    process = started(tmp_path)
    until = time.monotonic() + 200
    while len(list((tmp_path / "c" / "commits").glob("[0-9]*"))) < 3 and time.monotonic() < until:
        time.sleep(0.2)
    process.terminate()
    assert process.wait(100) == 0
    (report,) = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/report.json")]
    assert report["outcome"] == "success"
    out = report["steps"][1]
    assert out["rows_in"] == out["rows_out"] > 0


@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_a_run_killed_twenty_times_anywhere_goes_on(tmp_path: Path) -> None:
    written(tmp_path)
    chance = random.Random(7)
    kills = 0
    for _ in range(20):
        there = killed_when(tmp_path, "numbers", chance.uniform(0, 6), *(["--resume", "last"] if kills else []))
        kills += there
        if not there:
            # It came to its end: from the beginning, over what is there.
            kills = 0
    ended_well(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_is_told_to_end_says_so(tmp_path: Path) -> None:
    """SIGTERM within a write: exit code 1, the report says that it was told to end, and the run can be gone on with."""
    written(tmp_path)
    process = started(tmp_path)
    until = time.monotonic() + 200
    while steps_of(tmp_path).get("out") != "running" and time.monotonic() < until:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(100) == 1
    (report,) = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/report.json")]
    assert (report["outcome"], report["failure_type"]) == ("failed", "CANCELLED")
    assert {step["name"]: step["outcome"] for step in report["steps"]}["out"] == "failed"
    ended_well(tmp_path)
