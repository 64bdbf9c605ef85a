"""What the command `trunkline` prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import trunkline
from trunkline.cli import FORMATS, main
from trunkline.option_docs import json_schema
from trunkline.responses import Record, ResponseLog, Task, locate, write_summary
from trunkline.rest.options import TABLE
from trunkline.testing import DatabricksApi

Captured = pytest.CaptureFixture[str]


def write_log(root: Path, run: str, outcomes: list[tuple[str, str]], batch: int | None = None) -> None:
    """One record per outcome and error; the n-th record is of the n-th row."""
    log = ResponseLog(locate(str(root)), Task(run, batch, 0, 0), flush_seconds=1, flush_rows=1, clock=lambda: 0.0)
    for number, (outcome, error) in enumerate(outcomes):
        record = Record(f"q{number}", None, "POST", "http://h/rows", outcome, 0, error, 1, None, None, 1.5e9, 0.01)
        log.add(record, [b"%d" % number], [0], [None])


def write_end(root: Path, run: str, **told: object) -> None:
    summary = {"run_id": run, "batch_id": None, "error": None, "finished_at": "2030-01-02T03:04:05.678+00:00"} | told
    write_summary(locate(str(root)), f"{run}-{told.get('batch_id') or 0}", summary)


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"trunkline {trunkline.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["launch"], ["log"], ["log", "eat"], ["describe", "soap"], ["demo", "--x"]])
def test_wrong_usage_shows_the_help_and_ends_with_2(capsys: Captured, arguments: list[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: trunkline")


def test_a_package_that_is_missing_is_no_reason_to_try_again(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler repeats what ends with 1."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "p.yaml"
    path.write_text("name: p\nsteps: [{name: a, sql: SELECT 1}]\n")
    for command in ("validate", "run"):
        assert main([command, str(path)]) == 2
        assert "pip install" in capsys.readouterr().err


def test_asking_for_help_is_no_error(capsys: Captured) -> None:
    assert main(["--help"]) == 0
    assert "describe" in capsys.readouterr().out


def test_formats_are_those_that_are_registered() -> None:
    assert [source.name() for source in trunkline.SOURCES] == list(FORMATS)


def test_formats_say_what_each_can_do(capsys: Captured) -> None:
    assert main(["formats"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split()[:5] == ["format", "read", "readStream", "write", "writeStream"]
    [rest] = [row.split() for row in rows if row.startswith("rest ")]
    assert rest[3:5] == ["yes", "yes"]


def test_describe_names_every_option_with_what_it_takes(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["describe", "rest"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in shown if line.startswith("  ") and line[2] != " "} == {
        option.name for option in TABLE
    }
    at = next(number for number, line in enumerate(shown) if line.startswith("  onError "))
    assert shown[at].split(maxsplit=1)[1] == "A row that is refused for good: fails the write, or goes to responses."
    assert shown[at + 1].strip() == "fail | deadLetter; default fail"
    assert max(map(len, shown)) <= 120


@pytest.mark.parametrize("use", ["write", "request"])
def test_describe_for_one_use_leaves_out_what_only_others_take(use: str, capsys: Captured) -> None:
    assert main(["describe", "rest", f"--{use}"]) == 0
    shown = {
        line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:3].strip(" ") and line[:2] == "  "
    }
    assert shown == {option.name for option in TABLE if use in option.applies}


def test_describe_knows_whose_options_request_takes(capsys: Captured) -> None:
    assert main(["describe", "jobs", "--request"]) == 2
    assert "trunkline describe rest --request" in capsys.readouterr().err


def test_describe_prints_json_schema(capsys: Captured) -> None:
    assert main(["describe", "rest", "--write", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema(TABLE, "rest", "write")


def test_describe_needs_no_spark() -> None:
    code = "import sys; from trunkline.cli import main; main(['describe', 'rest']); print('pyspark' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "False"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m trunkline.cli describe rest | head -n 1 && exit ${{PIPESTATUS[0]}}"
    finished = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_log_show_tells_each_run_and_why_rows_were_refused(tmp_path: Path, capsys: Captured) -> None:
    write_log(
        tmp_path,
        "good",
        [("accepted", ""), ("rejected", "status 422"), ("rejected", "status 422"), ("ambiguous", "reset")],
    )
    write_end(tmp_path, "good", state="succeeded", rows=4, accepted=1, rejected=2, ambiguous=1, requests=5, retries=1)
    write_end(
        tmp_path,
        "bad",
        state="failed",
        rows=9,
        accepted=7,
        unsent=2,
        requests=7,
        error="POST h refused\na row",
        batch_id=3,
    )
    assert main(["log", "show", str(tmp_path)]) == 0
    shown = capsys.readouterr().out.split("\n")
    assert sorted(shown[:-1]) == sorted([
        "good  succeeded  2030-01-02 03:04:05",
        "  Of 4 rows read: 1 accepted, 2 rejected, 1 of unknown outcome; 5 requests (1 of them repeated)",
        "  2 x rejected: status 422",
        "  1 x ambiguous: reset",
        "bad micro-batch 3  failed  2030-01-02 03:04:05",
        "  Of 9 rows read: 7 accepted, 2 not sent; 7 requests",
        "  POST h refused a row",
    ])  # fmt: skip


def test_log_show_counts_a_row_once_and_as_accepted_where_it_was(tmp_path: Path, capsys: Captured) -> None:
    """A run that is still going on has no summary; what a later attempt got accepted is no error."""
    write_log(tmp_path, "r", [("rejected", "status 400"), ("exhausted", "status 503"), ("accepted", "")])
    write_log(tmp_path, "r", [("rejected", "status 400"), ("accepted", ""), ("accepted", "")])
    assert main(["log", "show", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "r batch=0  no summary: still running, or killed",
        "  So far 2 accepted, 1 not",
        "  1 x rejected: status 400",
    ]


def test_log_show_of_an_empty_log(tmp_path: Path, capsys: Captured) -> None:
    assert main(["log", "show", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no runs yet\n"


@pytest.mark.parametrize("action", ["show", "compact"])
def test_a_log_that_is_not_there_is_wrong_usage(tmp_path: Path, capsys: Captured, action: str) -> None:
    assert main(["log", action, str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == f"trunkline: there is no response log at {tmp_path / 'nowhere'}\n"


def test_log_compact_tells_what_it_merged_and_what_it_left(tmp_path: Path, capsys: Captured) -> None:
    write_log(tmp_path, "done", [("accepted", "")] * 4)
    write_end(tmp_path, "done", state="succeeded")
    write_log(tmp_path, "going", [("accepted", "")] * 3)
    assert main(["log", "compact", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "7 files before, 4 now",
        "1 partition left alone: the run has no summary: it is still written, or was killed",
    ]


def test_log_compact_takes_an_age_as_options_do(tmp_path: Path, capsys: Captured) -> None:
    assert main(["log", "compact", str(tmp_path), "--older-than", "7d"]) == 0
    assert main(["log", "compact", str(tmp_path), "--older-than", "soon"]) == 2
    assert "--older-than: 'soon' is no duration" in capsys.readouterr().err


def test_a_log_that_cannot_be_read_is_a_failure(tmp_path: Path, capsys: Captured) -> None:
    write_log(tmp_path, "r", [("accepted", "")])
    for path in tmp_path.rglob("*.parquet"):
        path.write_bytes(b"torn")
    assert main(["log", "show", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("trunkline: ")


def test_a_job_is_submitted_waited_for_and_listed(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("def main(name): return {'said': f'hello {name}'}")
    place = ["-o", f"local.folder={tmp_path / 'runs'}"]
    arguments = ["--arguments", '{"name": "Ada"}', "--run-key", "k", "--wait", "-o", "pollInterval=100ms"]
    artifact = ["-o", f"artifact={tmp_path / 'hello.py'}"]
    assert main(["submit", "hello", "--platform", "local", *arguments, *artifact, *place]) == 0
    told = capsys.readouterr().out
    assert told.startswith("SUCCEEDED  hello on local, run ")
    assert main(["runs", "--json", *place]) == 0
    run = json.loads(capsys.readouterr().out)
    assert (run["job"], run["run_key"], run["state"]) == ("hello", "k", "SUCCEEDED")
    assert json.loads(run["result"])["output"] == {"said": "hello Ada"}
    assert main(["runs", *place]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["STARTED", "(UTC)", "TOOK", "PLATFORM", "JOB", "STATE", "RUN", "ERROR"]
    assert row.split()[3:] == ["local", "hello", "SUCCEEDED", run["run_id"]]


def test_a_failed_run_that_was_waited_for_fails_the_command(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "sad.py").write_text("def main(): raise ValueError('no such table')")
    given = ["-o", f"local.folder={tmp_path / 'runs'}", "-o", f"artifact={tmp_path / 'sad.py'}", "--wait"]
    assert main(["submit", "sad", "--platform", "local", "-o", "pollInterval=100ms", *given]) == 1
    error = capsys.readouterr().err
    key, *told = error.splitlines()
    assert key.startswith("run_key ")
    assert told[0] == "trunkline: 1 of 1 runs were started"
    assert told[1].startswith("  - did not succeed: sad on local, run ")
    assert "ValueError: no such table" in error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["submit", "x", "--platform", "moon"], "platform: 'moon' is none of local, spark, databricks"),
        (["submit", "x", "--platform", "local", "--arguments", "[1]"], "--arguments: not a JSON object"),
        (["submit", "x", "--platform", "local", "-o", "wait"], "--option wait: write NAME=VALUE"),
        (["runs", "--since", "soon"], "since: 'soon' is no time: write 2026-05-01"),
        (["runs", "--states", "SAD"], "states: 'SAD' is none of PENDING, RUNNING"),
        (["submit", "x"], "--platform is missing: where? One of local, spark, databricks"),
        (["runs", "--since", "1h", "-o", "since=2h"], "since is given twice: as --since and as --option since=..."),
    ],
)
def test_wrong_options_of_jobs_are_told(capsys: Captured, arguments: list[str], told: str) -> None:
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_an_entry_script_is_written_once_and_runs_jobs(capsys: Captured, tmp_path: Path) -> None:
    script = tmp_path / "entry.py"
    assert main(["new", "entry", "glue", str(script)]) == 0
    assert main(["new", "entry", "glue", str(script)]) == 2
    assert "is there already; nothing was written" in capsys.readouterr().err
    (tmp_path / "hello.py").write_text("def main(name): return {'said': f'hello {name}'}")
    words = [sys.executable, str(script), "--module_name=hello", "--name=Ada"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1])["output"] == {"said": "hello Ada"}


def test_options_of_runs_are_kept_whichever_way_they_come(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("def main(): pass")
    given = ["-o", f"local.folder={tmp_path / 'runs'}"]
    submitted = ["-o", "platform=local", "-o", "wait=true", "-o", "pollInterval=100ms"]
    assert main(["submit", "hello", *submitted, "-o", f"artifact={tmp_path / 'hello.py'}", *given]) == 0
    capsys.readouterr()
    assert main(["runs", *given, "-o", "states=FAILED"]) == 0
    assert capsys.readouterr().out == "no runs\n"


def test_a_run_that_waits_does_not_hide_its_platform(capsys: Captured, tmp_path: Path) -> None:
    """Newest first over two platforms, and what has not started before all others."""
    gate = tmp_path / "gate"
    module = "import pathlib, time\ndef main():\n    while not pathlib.Path({!r}).exists(): time.sleep(0.02)\n"
    (tmp_path / "slow.py").write_text(module.format(str(gate)))
    given = ["-o", f"local.folder={tmp_path / 'runs'}"]
    writing = [*given, "-o", f"artifact={tmp_path / 'slow.py'}", "-o", "local.workers=1"]
    try:
        for key in ("goes-on", "waits"):
            assert main(["submit", "slow", "--platform", "local", "--run-key", key, *writing]) == 0
            until_running(tmp_path / "runs", capsys)
        with DatabricksApi() as api:
            api.set_state(api.add_run("old", started=1_700_000_000_000), "RUNNING")
            place = ["-o", f"databricks.host={api.url}", "-o", f"databricks.token={api.token}"]
            assert main(["runs", "--platform", "databricks,local", "--json", *given, *place]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    finally:
        gate.write_text("")
    told = [("local", "waits", "PENDING"), ("local", "goes-on", "RUNNING"), ("databricks", None, "RUNNING")]
    assert [(run["platform"], run["run_key"], run["state"]) for run in found] == told


def until_running(folder: Path, capsys: Captured) -> None:
    """A run of the folder is going on; nothing is left to be read."""
    deadline = time.monotonic() + 120
    while '"RUNNING"' not in capsys.readouterr().out:
        assert time.monotonic() < deadline
        assert main(["runs", "--json", "-o", f"local.folder={folder}"]) == 0


def test_a_credential_on_the_command_line_is_refused(capsys: Captured) -> None:
    assert main(["coordinator", "--auth", "type=bearer", "--auth", "token=t0ken"]) == 2
    shown = capsys.readouterr()
    assert "--auth token: others can see a command line: give env:NAME or file:/path" in shown.err
    assert "t0ken" not in shown.out + shown.err


def test_a_file_that_holds_no_key_is_not_overwritten(capsys: Captured, tmp_path: Path) -> None:
    other = tmp_path / "notes.json"
    other.write_text("{}")
    assert main(["coordinator", "--options-file", str(other)]) == 2
    assert "is there and holds no coordinator.token" in capsys.readouterr().err
    assert other.read_text() == "{}"
