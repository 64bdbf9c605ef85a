"""No two processes go on with the same run at the same moment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.pipelines.conftest import Files
from tests.servers.process import Server

from trunkline.cli import main
from trunkline.errors import OptionError
from trunkline.pipelines import Resume, RunInProgressError, claims
from trunkline.pipelines.claims import DEAD, Claim, claimed
from trunkline.pipelines.prepared import Prepared, prepare
from trunkline.pipelines.report import Report, StepReport

ORIGIN = "daily-20260501T010000000-aaaaaa"
SECOND = "daily-20260502T010000000-bbbbbb"
THIRD = "daily-20260503T010000000-cccccc"
FILE = "name = daily\nsteps = [ { name = a, sql = SELECT }, { name = out, write { format = noop, mode = overwrite } } ]"


def claim(folder: Path, run_id: str, **held: Any) -> Claim:
    made = Claim(str(folder), ORIGIN, run_id)
    if held:
        made._held = json.dumps(json.loads(made._held) | held)
    return made


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / ORIGIN / "runners").iterdir()}


def dead_process() -> int:
    """The id of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def silent_for(folder: Path, run_id: str, seconds: float) -> None:
    path = folder / ORIGIN / "runners" / f"{run_id}.json"
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_a_run_in_progress_is_refused_and_says_who_is_at_it(tmp_path: Path) -> None:
    """Its host, process, since when, the last sign of it, and what to do; who was refused leaves nothing."""
    claim(tmp_path, ORIGIN, pid=4711, host="etl-3", machine="another", since="2026-05-01T01:00:00.000+00:00").take()
    silent_for(tmp_path, ORIGIN, 30)
    with pytest.raises(RunInProgressError) as caught:
        claim(tmp_path, SECOND).take()
    told = str(caught.value)
    assert re.sub(r"seen \d+ s", "seen 30 s", told) == (
        f"{ORIGIN} is in progress as {ORIGIN}: process 4711 on etl-3, since 2026-05-01T01:00:00.000+00:00, last seen"
        " 30 s ago. Wait for it, or end it; if it is dead, try again: 120 s after its last sign it counts as dead"
    )
    assert files(tmp_path) == {f"{ORIGIN}.json"}


def test_a_run_that_was_released_is_gone_on_with(tmp_path: Path) -> None:
    first = claim(tmp_path, ORIGIN)
    first.take()
    first.release()
    claim(tmp_path, SECOND).take()
    assert claimed(str(tmp_path), ORIGIN) == [ORIGIN, SECOND]


def test_a_process_that_is_gone_is_dead_at_once(tmp_path: Path) -> None:
    """Of this machine only: the same number elsewhere is another process."""
    claim(tmp_path, ORIGIN, pid=dead_process()).take()
    claim(tmp_path, SECOND, pid=dead_process(), machine="another").take()
    assert files(tmp_path) == {f"{ORIGIN}.json", f"{ORIGIN}.taken", f"{SECOND}.json"}
    with pytest.raises(RunInProgressError, match=SECOND):
        claim(tmp_path, THIRD).take()


def test_a_process_elsewhere_is_dead_when_it_gave_no_sign_for_long(tmp_path: Path) -> None:
    """By the clock of the store: two minutes between its last sign and the new claim."""
    claim(tmp_path, ORIGIN, machine="another").take()
    silent_for(tmp_path, ORIGIN, DEAD - 20)
    with pytest.raises(RunInProgressError):
        claim(tmp_path, SECOND).take()
    silent_for(tmp_path, ORIGIN, 40)
    claim(tmp_path, SECOND).take()


def test_of_many_that_begin_together_at_most_one_goes_on(tmp_path: Path) -> None:
    """Twenty rounds of eight threads."""
    for number in range(20):
        folder = tmp_path / str(number)
        begin = threading.Barrier(8)
        taken: list[int] = []

        def take(one: int, begin: threading.Barrier = begin, folder: Path = folder, taken: list[int] = taken) -> None:
            begin.wait()
            try:
                claim(folder, f"daily-{one}").take()
            except RunInProgressError:
                return
            taken.append(one)

        threads = [threading.Thread(target=take, args=(one,)) for one in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) <= 1
        # The next that comes alone is let through if, and only if, none of them was.
        late = claim(folder, "daily-late")
        if taken:
            with pytest.raises(RunInProgressError, match=f"daily-{taken[0]}"):
                late.take()
        else:
            late.take()


def test_a_claim_is_renewed_and_tells_when_it_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT", 0.05)
    mine = claim(tmp_path, ORIGIN, machine="another")
    mine.take()
    silent_for(tmp_path, ORIGIN, 500)
    lost: list[str] = []
    gone = threading.Event()

    def told(text: str) -> None:
        lost.append(text)
        gone.set()

    with mine.kept(told, pytest.fail):
        until = time.monotonic() + 60
        path = tmp_path / ORIGIN / "runners" / f"{ORIGIN}.json"
        while time.time() - path.stat().st_mtime > 100 and time.monotonic() < until:
            time.sleep(0.01)
        with pytest.raises(RunInProgressError):
            claim(tmp_path, SECOND).take()
        (path.with_suffix(".taken")).write_text("{}")
        assert gone.wait(60)
    assert set(lost) == {f"another process took this one for dead and goes on with {ORIGIN}"}


def test_a_claim_that_cannot_be_renewed_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the run goes on: the store may come back."""
    monkeypatch.setattr(claims, "BEAT", 0.02)
    mine = claim(tmp_path, ORIGIN)
    mine.take()
    folder = tmp_path / ORIGIN / "runners"
    folder.rename(tmp_path / "away")
    folder.write_text("no folder any more")
    told: list[str] = []
    once = threading.Event()

    def notice(text: str) -> None:
        told.append(text)
        once.set()

    with mine.kept(pytest.fail, notice):
        assert once.wait(60)
        time.sleep(0.2)  # ten beats more
    (said,) = told
    assert said.startswith("the claim to this run cannot be renewed, and another may take it: ")


def ready(files: Files, resume: str | None = None) -> Prepared:
    wanted = Resume(resume) if resume else None
    return prepare(files.write(FILE), (), str(files.folder / "runs"), wanted, "console")


def test_whichever_run_is_named_the_newest_that_goes_on_with_it_counts(files: Files) -> None:
    """What the second finished is not done again by one that is told to go on with the first."""
    first = ready(files)
    first.claim.release()
    second = ready(files, first.report.run_id)
    for step in second.report.steps:
        step.outcome = "success"
    second.save()
    second.claim.release()
    third = ready(files, first.report.run_id)
    assert third.report.resumed_from == second.report.run_id
    assert third.report.origin == first.report.run_id
    assert third.keep == {"a", "out"}


def test_a_run_in_progress_is_refused_on_the_command_line_too(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code of what may work later, and without a report of its own."""
    first = ready(files)
    path, runs = str(files.folder / "p.conf"), str(files.folder / "runs")
    assert main(["run", path, "--runs", runs, "--resume", "last"]) == 1
    told = capsys.readouterr().err
    assert f"trunkline: {first.report.run_id} is in progress as {first.report.run_id}: process {os.getpid()} on" in told
    assert [path.parent.name for path in Path(runs).glob("*/report.json")] == [first.report.run_id]
    assert main(["run", path, "--runs", runs, "--resume", "last", "--dry-run"]) == 0


def test_what_cannot_go_on_leaves_no_claim(files: Files) -> None:
    runs = files.folder / "runs"
    (runs / ORIGIN).mkdir(parents=True)
    text = FILE.replace("format = noop, mode = overwrite", "format = parquet, path = /x, mode = append")
    steps = [StepReport("a", "sql", "success"), StepReport("out", "write", "running")]
    (runs / ORIGIN / "report.json").write_text(Report("daily", ORIGIN, "p.conf", "", steps, origin=ORIGIN).json())
    for _ in range(2):
        with pytest.raises(OptionError, match="cannot simply go on"):
            prepare(files.write(text), (), str(runs), Resume("last"), "console")
    assert claimed(str(runs), ORIGIN) == []


def test_a_run_that_was_killed_before_its_first_report_is_none(files: Files) -> None:
    """What it leaves is a claim, and `last` is the run before."""
    first = ready(files)
    first.claim.release()
    runs = files.folder / "runs"
    for later, origin in ((SECOND.replace("2026", "2099"), first.report.run_id), (THIRD.replace("2026", "2099"), None)):
        Claim(str(runs), origin or later, later)._write(later, ".json")
    for path in runs.rglob("*2099*.json"):
        held = json.loads(path.read_text())
        path.write_text(json.dumps(held | {"pid": dead_process()}))
    again = ready(files, "last")
    assert (again.report.resumed_from, again.report.origin) == (first.report.run_id, first.report.run_id)


def test_runs_on_an_object_store_are_claimed_and_gone_on_with(
    files: Files, moto: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3: the second waits its turn; a claim that was not renewed by the store's clock is dead."""
    for name, value in {
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    requests.put(f"{moto.url}/runs-of-tests", timeout=30).raise_for_status()
    path, runs = files.write(FILE), "s3://runs-of-tests/runs"
    first = prepare(path, (), runs, None, "console")
    first.report.step("a").outcome = "success"
    first.save()
    with pytest.raises(RunInProgressError, match=first.report.run_id):
        prepare(path, (), runs, Resume("last"), "console")
    assert claimed(runs, first.report.run_id) == [first.report.run_id]
    first.claim.release()
    second = prepare(path, (), runs, Resume("last"), "console")
    assert second.report.resumed_from == first.report.run_id
    elsewhere = json.dumps(json.loads(second.claim._held) | {"machine": "another"})
    monkeypatch.setattr(second.claim, "_held", elsewhere)
    second.claim._write(second.report.run_id, ".json")
    monkeypatch.setattr(claims, "DEAD", 0.5)
    time.sleep(2.1)
    third = prepare(path, (), runs, Resume("last"), "console")
    assert third.report.resumed_from == second.report.run_id
    third.claim.release()
