"""Runs on this machine: real processes, which start once per key, outlive who started them, and tell how they ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psutil
import pytest

from trunkline.errors import OptionError, RejectedError
from trunkline.jobs import processes
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import local
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.options import Options

PATIENCE = 60.0
RESULT = """
import json, sys
print("working")
print("beside it", file=sys.stderr)
print(json.dumps({"job": "my.etl", "status": "SUCCESS", "metrics": {"rows": 3}}))
"""
SLEEP = "import time; print('up', flush=True); time.sleep(300)"

Start = Callable[..., Run]


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return folder_options(tmp_path)


def folder_options(folder: Path, **more: str) -> Options:
    return write_options({"platform": "local", "local.folder": str(folder / "runs"), **more})


@pytest.fixture
def start(options: Options, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a run whose process is Python with this code."""

    def started(code: str, key: str = "k", job: str = "my.etl", given: Options = options) -> Run:
        monkeypatch.setattr(local, "_command", lambda *_: [sys.executable, "-c", code])
        return local.start(RunRequest("local", job, key), given)

    return started


def until(run: Run, options: Options, *states: str) -> Run:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        (run,) = local.poll([run], options)
        if run.state in states if states else run.ended:
            return run
        time.sleep(0.02)
    raise AssertionError(f"still {run}")


def log_of(run: Run) -> str:
    assert run.url is not None
    return Path(run.url.removeprefix("file://")).read_text(encoding="utf-8")


def test_a_run_goes_from_pending_to_its_result(start: Start, options: Options) -> None:
    before = datetime.now(timezone.utc)
    run = until(start(RESULT), options)
    assert run == Run(
        "local", "my.etl", run.run_id, "k", "SUCCEEDED", "exit code 0", run.started_at, run.ended_at, 1, run.url, None,
        '{"job": "my.etl", "status": "SUCCESS", "metrics": {"rows": 3}}',
    )  # fmt: skip
    assert run.started_at is not None
    assert run.ended_at is not None
    assert before <= run.started_at <= run.ended_at <= datetime.now(timezone.utc)
    log = log_of(run)  # of both streams, and where one breaks into the other is theirs
    assert all(words in log for words in ("working", "beside it", str(run.result)))
    assert local.find(RunRequest("local", "my.etl", "k"), options) == run
    assert local.find(RunRequest("local", "my.etl", "another"), options) is None


FAILED = json.dumps({"status": "FAILED", "error": {"type": "ValueError", "message": "no input", "stack_trace": "..."}})
PLAIN = json.dumps({"status": "x"})


@pytest.mark.parametrize(
    ("code", "line", "expected"),
    [
        (0, "done", ("SUCCEEDED", "exit code 0", None, None)),
        (3, PLAIN, ("PENDING_APPROVAL", "exit code 3", None, PLAIN)),
        (4, PLAIN, ("SUCCEEDED", "degraded: exit code 4", None, PLAIN)),
        (1, FAILED, ("FAILED", "exit code 1", "ValueError: no input", FAILED)),
        (2, "no such argument", ("FAILED", "exit code 2", "no such argument", None)),
        (1, "", ("FAILED", "exit code 1", "exit code 1", None)),
        (
            1,
            '{"failure_type": "CANCELLED"}',
            ("CANCELLED", "told to end: exit code 1", None, '{"failure_type": "CANCELLED"}'),
        ),
        (0, "[1]", ("SUCCEEDED", "exit code 0", None, None)),
        (0, "{half", ("SUCCEEDED", "exit code 0", None, None)),
    ],
)
def test_the_exit_code_is_the_state_and_the_last_line_the_result(
    start: Start, options: Options, code: int, line: str, expected: tuple[str | None, ...]
) -> None:
    run = until(start(f"print({line!r}); raise SystemExit({code})"), options)
    assert (run.state, run.state_detail, run.error, run.result) == expected


def test_a_signal_is_named(start: Start, options: Options) -> None:
    run = until(start("import os; os.kill(os.getpid(), 9)"), options)
    assert (run.state, run.state_detail) == ("FAILED", "killed by SIGKILL")


def test_what_a_job_without_a_result_said_last_is_its_error(start: Start, options: Options) -> None:
    run = until(start("import no_such_module"), options)
    assert run.error == "ModuleNotFoundError: No module named 'no_such_module'"


def test_a_program_that_cannot_be_started_is_a_failed_run(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_command", lambda *_: ["/no/such/program"])
    run = until(local.start(RunRequest("local", "my.etl", "k"), options), options)
    assert (run.state, run.state_detail) == ("FAILED", "not started")
    assert "No such file" in str(run.error)


def test_a_job_is_run_by_the_entry_point_with_its_arguments(tmp_path: Path) -> None:
    """The real command line, for a job that only the artifact holds."""
    artifact = tmp_path / "carried_job.py"
    artifact.write_text("def main(word, **facts):\n    return {'metrics': {'word': word}}\n", encoding="utf-8")
    options = folder_options(tmp_path, artifact=str(artifact))
    given = RunRequest("local", "carried_job", "k", {"word": "--a b='\"é"})
    run = until(local.start(given, options), options)
    result = json.loads(str(run.result))
    assert (run.state, result["metrics"]) == ("SUCCEEDED", {"word": "--a b='\"é"})
    told = {name: result[name] for name in ("job", "platform", "run_id", "run_key", "status")}
    assert told == {
        "job": "carried_job", "platform": "local", "run_id": run.run_id, "run_key": "k", "status": "SUCCESS",
    }  # fmt: skip


def test_arguments_are_in_a_file_and_not_in_the_list_of_processes(tmp_path: Path) -> None:
    artifact = tmp_path / "carried_job.py"
    told = "{'metrics': {'given': [password, rows], 'argv': psutil.Process().cmdline()}}"
    artifact.write_text(f"import psutil\n\ndef main(password, rows):\n    return {told}\n", encoding="utf-8")
    options = folder_options(tmp_path, artifact=str(artifact))
    given = RunRequest("local", "carried_job", "k", {"password": "s3cr3t-word", "rows": [1, None]})
    run = until(local.start(given, options), options)
    file = tmp_path / "runs" / "local" / "runs" / run.run_id / "arguments.json"
    metrics = json.loads(str(run.result))["metrics"]
    assert metrics["argv"][1:] == [
        "-m", "trunkline.jobs", "--module_name=carried_job", "--run_key=k", f"--config={file}",
        f"--run_id={run.run_id}",
    ]  # fmt: skip
    assert metrics["given"] == ["***", [1, None]]
    assert json.loads(file.read_bytes()) == {"carried_job": {"password": "s3cr3t-word", "rows": [1, None]}}
    assert file.stat().st_mode & 0o777 == 0o600
    kept = [path for path in file.parent.iterdir() if b"s3cr3t-word" in path.read_bytes()]
    assert kept == [file]


def test_the_same_key_is_the_same_run(start: Start, options: Options, tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'count')!r}, 'a').write('x')"
    first = until(start(code), options)
    assert start(code) == first
    assert (tmp_path / "count").read_text(encoding="utf-8") == "x"


# A caller of its own: it starts a run whose process writes a letter, and tells the run's id.
CALLER = """
import sys
from trunkline.jobs import folder, processes
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import local
from trunkline.jobs.run import RunRequest

base, out, cut = sys.argv[1:]
local._command = lambda *_: [sys.executable, "-c", f"import time; open({out!r}, 'a').write('x'); time.sleep(1)"]
if cut == "before":
    import os
    processes.Processes._ensure_keeper = lambda *_: os.kill(os.getpid(), 9)
sys.stdin.read()
options = write_options({"platform": "local", "local.folder": base})
print(local.start(RunRequest("local", "my.etl", "k"), options).run_id)
if cut == "after":
    import os
    os.kill(os.getpid(), 9)
"""


def caller(options: Options, out: Path, cut: str = "") -> subprocess.Popen[bytes]:
    arguments = [options["local.folder"], str(out), cut]
    return subprocess.Popen([sys.executable, "-c", CALLER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_of_many_callers_at_once_with_one_key_one_starts_the_run(options: Options, tmp_path: Path) -> None:
    out = tmp_path / "count"
    callers = [caller(options, out) for _ in range(4)]
    for process in callers:
        assert process.stdin is not None
        process.stdin.close()  # all of them go now
    ids = set()
    for process in callers:
        assert process.stdout is not None
        ids.add(process.stdout.read())
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
    assert len(ids) == 1
    (run,) = local.list_runs(RunFilter(), options)
    assert until(run, options).state == "SUCCEEDED"
    assert out.read_text(encoding="utf-8") == "x"


def test_a_run_goes_on_when_who_started_it_is_killed(options: Options, tmp_path: Path) -> None:
    process = caller(options, tmp_path / "count", "after")
    process.communicate(b"", PATIENCE)
    assert process.returncode == -signal.SIGKILL
    (run,) = local.list_runs(RunFilter(), options)
    assert until(run, options).state == "SUCCEEDED"
    assert (tmp_path / "count").read_text(encoding="utf-8") == "x"


def test_a_caller_killed_before_the_start_leaves_a_run_that_is_told_and_can_be_started(
    options: Options, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between folder and process: pending, after a minute FAILED; the same key then starts it, once."""
    out = tmp_path / "count"
    process = caller(options, out, "before")
    process.communicate(b"", PATIENCE)
    assert process.returncode == -signal.SIGKILL
    (run,) = local.list_runs(RunFilter(), options)
    assert run.state == "PENDING"
    with monkeypatch.context() as a_minute_later:
        a_minute_later.setattr(processes, "ABANDONED_AFTER", timedelta(0))
        (told,) = local.poll([run], options)
        assert (told.state, told.state_detail) == ("FAILED", "ABANDONED")
        assert list(local.list_runs(RunFilter(states=frozenset({"FAILED"})), options)) == [told]
    assert not out.exists()
    ended = until(start("the command that was asked for first stays"), options)
    assert (ended.run_id, ended.state) == (run.run_id, "SUCCEEDED")
    assert out.read_text(encoding="utf-8") == "x"


def supervisor_of(run: Run, options: Options) -> psutil.Process:
    """The process that holds the run's lock."""
    lock = Path(options["local.folder"]) / "local" / "runs" / run.run_id / "lock"
    for process in psutil.process_iter():
        try:
            if any(file.path == str(lock) for file in process.open_files()):
                return process
        except psutil.Error:
            continue
    raise AssertionError("nobody holds the lock")


def test_a_run_whose_supervisor_was_killed_is_lost_and_does_not_go_on(start: Start, options: Options) -> None:
    run = until(start(SLEEP), options, "RUNNING")
    supervisor = supervisor_of(run, options)
    deadline = time.monotonic() + PATIENCE
    while not (children := supervisor.children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    supervisor.kill()
    told = until(run, options)
    assert (told.state, told.state_detail) == ("FAILED", "LOST")
    assert "restarted" in str(told.error)
    assert local.poll([run], options) == [told]  # its end is when it was found, and stays so
    gone, alive = psutil.wait_procs(children, PATIENCE)
    assert (len(gone), alive) == (1, [])


def test_a_supervisor_that_is_asked_to_end_ends_its_run_and_says_so(start: Start, options: Options) -> None:
    run = until(start(SLEEP), options, "RUNNING")
    supervisor_of(run, options).terminate()
    told = until(run, options)
    assert (told.state, told.state_detail) == ("FAILED", "SIGTERM to its supervisor")


def test_cancelling_ends_a_run_with_all_it_started(start: Start, options: Options, tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = f"""
import subprocess, sys
process = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
open({str(child)!r}, "w").write(str(process.pid))
process.wait()
"""
    run = start(code)
    deadline = time.monotonic() + PATIENCE
    while not (child.exists() and child.read_text(encoding="utf-8")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process = psutil.Process(int(child.read_text(encoding="utf-8")))
    local.cancel(run, options)
    told = until(run, options)
    assert (told.state, told.state_detail, told.error) == ("CANCELLED", "cancelled: killed by SIGTERM", None)
    process.wait(PATIENCE)


@pytest.mark.slow  # it is given ten seconds
def test_a_run_that_ignores_sigterm_is_killed(start: Start, options: Options) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP
    run = until(start(code), options, "RUNNING")
    deadline = time.monotonic() + PATIENCE
    while "up" not in log_of(run) and time.monotonic() < deadline:
        time.sleep(0.01)
    local.cancel(run, options)
    told = until(run, options)
    assert (told.state, told.state_detail) == ("CANCELLED", "cancelled: killed by SIGKILL")


def test_more_runs_than_workers_wait_and_one_that_waits_is_cancelled_at_once(start: Start, tmp_path: Path) -> None:
    one = folder_options(tmp_path, **{"local.workers": "1"})
    first = until(start(SLEEP, "a", given=one), one, "RUNNING")
    second, third = start(RESULT, "b", given=one), start(RESULT, "c", given=one)
    time.sleep(0.3)
    assert [run.state for run in local.poll([first, second, third], one)] == ["RUNNING", "PENDING", "PENDING"]
    local.cancel(second, one)
    (told,) = local.poll([second], one)
    assert (told.state, told.state_detail) == ("CANCELLED", "cancelled before its start")
    # It ended without a start, so it counts by its end.
    assert told.started_at is None
    assert told.ended_at is not None
    later = RunFilter(since=told.ended_at, until=told.ended_at + timedelta(microseconds=1))
    assert told in local.list_runs(later, one)
    assert told not in local.list_runs(RunFilter(until=told.ended_at), one)
    local.cancel(first, one)
    assert until(third, one).state == "SUCCEEDED"
    assert local.poll([second], one) == [told]


def test_runs_go_on_at_the_same_time_as_far_as_there_are_workers(start: Start, tmp_path: Path) -> None:
    """Two of four, as long as nobody lets them end."""
    gate = tmp_path / "gate"
    code = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)"
    two = folder_options(tmp_path, **{"local.workers": "2"})
    runs = [start(code, f"k{n}", given=two) for n in range(4)]
    deadline = time.monotonic() + PATIENCE
    while [run.state for run in local.poll(runs, two)].count("RUNNING") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)  # time for what must not come
    gate.touch()
    ended = [until(run, two) for run in runs]
    times = [(run.started_at, run.ended_at) for run in ended]
    assert all(start is not None and end is not None for start, end in times)
    most = max(sum(a <= at < b for a, b in times if a and b) for at, _ in times if at)
    assert most == 2


def test_a_run_outlives_nothing_of_the_callers_spark(
    start: Start, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run under spark-submit or in a Python worker must not find the way to its caller's JVM."""
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    monkeypatch.setenv("PYTHON_WORKER_FACTORY_SECRET", "s3cret")
    monkeypatch.setenv("OWN", "kept")
    code = "import json, os; print(json.dumps({k: os.environ.get(k) for k in "
    code += "('PYSPARK_GATEWAY_PORT', 'PYTHON_WORKER_FACTORY_SECRET', 'OWN')}))"
    run = until(start(code), options)
    expected = {"PYSPARK_GATEWAY_PORT": None, "PYTHON_WORKER_FACTORY_SECRET": None, "OWN": "kept"}
    assert json.loads(str(run.result)) == expected


@pytest.mark.parametrize("kind", ["zip", "py"])
def test_the_artifact_is_what_python_imports_the_job_from(start: Start, tmp_path: Path, kind: str) -> None:
    artifact = tmp_path / ("packed.zip" if kind == "zip" else "carried.py")
    if kind == "zip":
        with zipfile.ZipFile(artifact, "w") as archive:
            archive.writestr("carried.py", "WORD = 'zip'\n")
    else:
        artifact.write_text("WORD = 'py'\n", encoding="utf-8")
    given = folder_options(tmp_path, artifact=artifact.as_uri())
    run = until(start("import carried, json; print(json.dumps({'word': carried.WORD}))", given=given), given)
    assert run.result == json.dumps({"word": kind})


def test_an_artifact_that_is_not_here_is_refused_before_anything_is_started(start: Start, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is not on this machine"):
        start(RESULT, given=folder_options(tmp_path, artifact="/no/such.whl"))
    assert list(local.list_runs(RunFilter(), folder_options(tmp_path))) == []


def test_a_run_that_is_not_there_is_refused(options: Options) -> None:
    with pytest.raises(RejectedError, match=r"there is no run gone in .* any more") as caught:
        local.poll([Run("local", "my.etl", "gone")], options)
    assert caught.value.gone
    with pytest.raises(RejectedError, match="there is no run gone"):
        local.cancel(Run("local", "my.etl", "gone"), options)


def test_a_folder_is_for_its_owner_alone(start: Start, options: Options) -> None:
    until(start(RESULT), options)
    assert Path(options["local.folder"]).stat().st_mode & 0o077 == 0


def test_nothing_is_left_running_when_all_runs_are_over(start: Start, options: Options) -> None:
    runs = [start("pass", f"k{n}") for n in range(3)]
    for run in runs:
        until(run, options)
    keepers = Path(options["local.folder"]) / "local" / "keepers"
    deadline = time.monotonic() + PATIENCE
    while list(keepers.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(keepers.iterdir()) == []
    assert list((Path(options["local.folder"]) / "local" / "open").iterdir()) == []
