"""A runner that is killed, wherever it is, and started again ends with the tables of one that was left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from trunkline.testing import FaultServer

ROOT = Path(__file__).parents[2]
ROWS = 1_000
# Of a response log: how many accepted rows may be unwritten, and how many requests a task has in flight.
FLUSH, CONCURRENCY, TASKS = 20, 2, 2
# What a kill may have repeated: of each task, what was not yet logged and what was under way.
WINDOW = TASKS * (FLUSH + CONCURRENCY)
# Every step takes some seconds, so that a kill meets it: the server and `slowly` take their time for each row.
FILE = """
name = nightly
vars { root = /data, api = "http://127.0.0.1:1", paced { concurrency = CONCURRENCY, log.flush = "1s,FLUSH" } }
spark { master = "local[2]", conf { spark.ui.enabled = false, spark.sql.shuffle.partitions = 2 } }
steps = [
  { name = numbers, read { format = json, path = ${vars.root}/in, schema = "id BIGINT" } }
  {
    name = asked
    request {
      schema = "name STRING"
      options = ${vars.paced} { url = ${vars.api}"/names/{id}", responses = ${vars.root}/asked }
    }
  }
  { name = names, sql = "SELECT id, response.response_body.name AS name, response.outcome AS outcome FROM asked" }
  { name = day, write { format = parquet, path = ${vars.root}"/names/day=2", mode = overwrite } }
  {
    name = sent
    input = numbers
    write { format = rest, options = ${vars.paced} { url = ${vars.api}"/rows", responses = ${vars.root}/sent } }
  }
  { name = slowly, input = numbers, call = "tests.pipelines.steps_of_tests:slowly" }
  { name = lake, call = "delta_sink:DeltaSink", config { path = ${vars.root}/lake } }
  { name = sums, sql = "SELECT id % 10 AS ten, sum(id) AS ids FROM slowly GROUP BY 1" }
  { name = out, write { format = parquet, path = ${vars.root}/out, mode = overwrite } }
  { name = calm, call = "tests.pipelines.steps_of_tests:asleep" }
]
"""
FILE = FILE.replace("CONCURRENCY", str(CONCURRENCY)).replace("FLUSH", str(FLUSH))


def started(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trunkline.cli", "run", str(folder / "p.conf"), "--runs", str(folder / "runs")]
    paths = [str(ROOT / "src"), str(ROOT), str(ROOT / "examples" / "pipelines")]
    # What lives for seconds begins sooner without the optimizing compiler.
    quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "JAVA_TOOL_OPTIONS": quick}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*command, *more], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def written(folder: Path, server: FaultServer) -> None:
    """The file, its input in two files and so in two partitions, and another day's rows beside those of the run."""
    (folder / "in").mkdir(parents=True)
    for half in range(2):
        lines = [json.dumps({"id": number}) for number in range(half, ROWS, 2)]
        (folder / "in" / f"{half}.json").write_text("\n".join(lines))
    (folder / "names" / "day=1").mkdir(parents=True)
    (folder / "names" / "day=1" / "old.parquet").write_bytes(b"of yesterday")
    steps = [{"delay": 0.01, "body": {"name": "Ann"}}]
    server.route(f"GET /{folder.name}/names/{{id}}", steps)
    server.route(f"POST /{folder.name}/rows", [{"delay": 0.01, "status": 201}], store=True)
    text = FILE.replace("/data", f'"{folder}"').replace("http://127.0.0.1:1", f"{server.url}/{folder.name}")
    (folder / "p.conf").write_text(text)


def reports(folder: Path) -> list[dict[str, Any]]:
    """Of all runs, the oldest first."""
    return [json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*/report.json"))]


def steps_of(folder: Path) -> dict[str, str]:
    """How far the newest run is."""
    paths = sorted((folder / "runs").glob("*/report.json"))
    return {step["name"]: step["outcome"] for step in json.loads(paths[-1].read_text())["steps"]} if paths else {}


def runs_of(folder: Path) -> int:
    return len(list((folder / "runs").glob("*/report.json")))


def killed_when(folder: Path, step: str, after: float, *more: str) -> bool:
    """Kill a run, its process group, some time after a step began; whether it was there to be killed."""
    earlier = runs_of(folder)
    process = started(folder, *more)
    until = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < until:
        if runs_of(folder) > earlier and steps_of(folder)[step] != "waiting":
            break
        time.sleep(0.02)
    time.sleep(after)
    there = process.poll() is None
    if there:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return there


def ended(folder: Path, *more: str) -> None:
    process = started(folder, *more)
    assert process.wait(400) == 0, (folder / "log").read_text()[-3_000:]


def tables(folder: Path) -> dict[str, object]:
    """What a run leaves in its sinks, but for the API's."""
    from deltalake import DeltaTable

    lake = DeltaTable(str(folder / "lake"))
    return {
        "days": sorted(path.name for path in (folder / "names").iterdir()),
        "yesterday": (folder / "names" / "day=1" / "old.parquet").read_bytes(),
        "names": rows(pq.read_table(folder / "names" / "day=2", partitioning=None).to_pydict()),
        "lake": rows(lake.to_pyarrow_table().to_pydict()),
        "commits": lake.version() + 1,
        "out": rows(pq.read_table(folder / "out").to_pydict()),
    }


def rows(table: dict[str, list[object]]) -> list[str]:
    return sorted(map(repr, zip(*table.values(), strict=True)))


def accepted(server: FaultServer, folder: Path) -> tuple[Counter[int], Counter[int]]:
    """How often the API answered well for each row: to the requests, and to the write."""
    asked = [one for one in server.ledger(f"GET /{folder.name}/names/{{id}}") if one.elapsed is not None]
    sent = [one for one in server.ledger(f"POST /{folder.name}/rows") if one.stored]
    assert {one.status for one in asked} == {200}
    return Counter(int(one.path.rpartition("/")[2]) for one in asked), Counter(one.json["id"] for one in sent)


def begun_in(folder: Path, step: str) -> int:
    """How many runs ended, or were killed, while a step ran."""
    return sum(one["name"] == step and one["outcome"] == "running" for held in reports(folder) for one in held["steps"])


@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_a_run_killed_twenty_times_between_and_within_its_steps_ends_as_one_left_alone(
    fault_server: FaultServer, tmp_path: Path
) -> None:
    """SIGKILL to the whole group. Tables are equal; the API's ledger repeats nothing beyond the window of the log."""
    pytest.importorskip("deltalake", reason="delta-rs is not installed: pip install deltalake")
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    for folder in (alone, killed):
        written(folder, fault_server)
    ended(alone)
    chance = random.Random(7)
    moments = [
        (step, at + chance.uniform(0, 0.7))
        for step in ("numbers", "day", "sent", "lake", "out")
        # As it begins, within it, and, where it was over by then, between it and the next or in that.
        for at in (0.0, 0.5, 1.0, 1.5)
    ]
    for number, (step, after) in enumerate(moments):
        assert killed_when(killed, step, after, *(["--resume", "last"] if number else []))
    ended(killed, "--resume", "last")
    assert tables(killed) == tables(alone)
    assert accepted(fault_server, alone) == (Counter(range(ROWS)), Counter(range(ROWS)))
    for counts, step in zip(accepted(fault_server, killed), ("day", "sent"), strict=True):
        assert set(counts) == set(range(ROWS))
        assert sum(counts.values()) - ROWS <= WINDOW * begun_in(killed, step)
    # The kills met what they were meant for.
    assert begun_in(killed, "day") + begun_in(killed, "sent") >= 4


SHORT = """
name = short
vars { root = /data }
spark { master = "local[2]", conf { spark.ui.enabled = false, spark.sql.shuffle.partitions = 2 } }
steps = [
  { name = numbers, sql = "SELECT id FROM range(0, 2000, 1, 2)" }
  { name = all, write { format = parquet, path = ${vars.root}/all, mode = overwrite } }
  { name = slowly, call = "tests.pipelines.steps_of_tests:slowly" }
  { name = out, write { format = parquet, path = ${vars.root}/out, mode = MODE } }
]
"""


def short(folder: Path, mode: str = "overwrite") -> None:
    (folder / "p.conf").write_text(SHORT.replace("/data", f'"{folder}"').replace("MODE", mode))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_finished_write_is_not_repeated_by_a_run_that_goes_on(tmp_path: Path) -> None:
    """Killed within the first write, between it and the second, and within that: SIGKILL each time."""
    short(tmp_path)
    assert killed_when(tmp_path, "all", 0.0)
    assert killed_when(tmp_path, "slowly", 0.0, "--resume", "last")
    assert killed_when(tmp_path, "out", 0.5, "--resume", "last")
    ended(tmp_path, "--resume", "last")
    assert steps_of(tmp_path) == {"numbers": "success", "all": "kept", "slowly": "success", "out": "success"}
    for name in ("all", "out"):
        assert sorted(pq.read_table(tmp_path / name)["id"].to_pylist()) == list(range(2_000))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_append_that_was_killed_is_refused_until_somebody_says_what_is_there(tmp_path: Path) -> None:
    """Exit code 2, naming both ways; cleaned up and told to repeat, it is there once."""
    short(tmp_path, "append")
    assert killed_when(tmp_path, "out", 0.5)
    assert started(tmp_path, "--resume", "last").wait(200) == 2
    told = (tmp_path / "log").read_text()
    assert "(parquet " in told
    assert "mode append) was begun and its end was not seen: done again, rows could be there twice" in told
    assert "say --done out if it is complete, or clean up and say --repeat out" in told
    for path in (tmp_path / "out").glob("*.parquet"):
        path.unlink()
    ended(tmp_path, "--resume", "last", "--repeat", "out")
    assert sorted(pq.read_table(tmp_path / "out")["id"].to_pylist()) == list(range(2_000))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_that_go_on_with_a_run_at_the_same_moment_are_not_both_let_through(tmp_path: Path) -> None:
    """While one is at it, the other ends with 1 and names it; when that one is killed, a third goes on at once."""
    short(tmp_path)
    assert killed_when(tmp_path, "out", 0.0)
    both = [started(tmp_path, "--resume", "last") for _ in range(2)]
    codes = [process.wait(300) for process in both]
    assert sorted(codes) in ([0, 1], [1, 1])
    assert "is in progress as" in (tmp_path / "log").read_text()
    if codes == [1, 1]:
        ended(tmp_path, "--resume", "last")
    assert sorted(pq.read_table(tmp_path / "out")["id"].to_pylist()) == list(range(2_000))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_is_told_to_end_says_so(tmp_path: Path) -> None:
    """SIGTERM within a write: exit code 1, the report says that it was told to end, and the run can be gone on with."""
    short(tmp_path)
    process = started(tmp_path)
    until = time.monotonic() + 200
    while steps_of(tmp_path).get("out") != "running" and time.monotonic() < until:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(100) == 1
    (report,) = reports(tmp_path)
    assert (report["outcome"], report["failure_type"]) == ("failed", "CANCELLED")
    assert steps_of(tmp_path)["out"] == "failed"
    ended(tmp_path, "--resume", "last")
    assert sorted(pq.read_table(tmp_path / "out")["id"].to_pylist()) == list(range(2_000))
