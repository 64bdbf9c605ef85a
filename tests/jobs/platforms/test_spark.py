"""Runs by spark-submit, and by the submission API of a real standalone master; what that master cannot be brought to
do, lose an answer or tell of rare states, by a server that answers as its source says it does."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.servers.process import free_port
from tests.servers.standalone import Standalone

from trunkline.errors import AuthError, OptionError, RejectedError, UnavailableError
from trunkline.jobs.folder import RunFolder, run_id_of
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import spark, spark_master
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.options import Options
from trunkline.testing import FaultServer

PATIENCE = 90.0
JOB = """
import time

def main(seconds=0, fail=False, **kwargs):
    time.sleep(seconds)
    if fail:
        raise ValueError("asked to")
    return {"metrics": {"rows": 3}}
"""


def options_of(folder: Path, **more: str) -> Options:
    return write_options({"platform": "spark", "local.folder": str(folder / "runs"), **more}).resolved()


@pytest.fixture
def job(tmp_path: Path) -> str:
    path = tmp_path / "carried_job.py"
    path.write_text(JOB, encoding="utf-8")
    return str(path)


def request(key: str = "k", **arguments: object) -> RunRequest:
    return RunRequest("spark", "carried_job", key, arguments)


def until(run: Run, options: Options, *states: str) -> Run:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        (run,) = spark.poll([run], options)
        if run.state in states if states else run.ended:
            return run
        time.sleep(0.1)
    raise AssertionError(f"still {run}")


@pytest.mark.parametrize("fail", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_spark_submit_runs_the_job_and_hands_its_result_back(tmp_path: Path, job: str, fail: bool) -> None:
    options = options_of(tmp_path, artifact=job, **{"spark.master": "local[1]"})
    run = until(spark.start(request(fail=fail), options), options)
    result = json.loads(str(run.result))
    if fail:
        assert (run.state, run.state_detail, run.error) == ("FAILED", "exit code 1", "ValueError: asked to")
        assert (result["status"], result["run_id"]) == ("FAILED", run.run_id)
    else:
        assert (run.state, run.state_detail, run.error) == ("SUCCEEDED", "exit code 0", None)
        assert (result["status"], result["metrics"]) == ("SUCCESS", {"rows": 3})
    assert list(spark.list_runs(RunFilter(), options)) == [run]
    assert spark.start(request(fail=fail), options) == run


def test_the_command_line_names_master_artifact_and_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What spark-submit is called with, told by a program in its place."""
    submit = tmp_path / "bin" / "spark-submit"
    submit.parent.mkdir()
    submit.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps({{'argv': sys.argv[1:]}}))\n")
    submit.chmod(0o755)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    options = options_of(tmp_path, artifact="s3a://bucket/j.whl", **{"spark.master": "yarn"})
    run = until(spark.start(request(rows=1), options), options)
    script = tmp_path / "runs" / "spark" / "entry.py"
    arguments = tmp_path / "runs" / "spark" / "runs" / run.run_id / "arguments.json"
    assert json.loads(str(run.result))["argv"] == [
        "--master", "yarn", "--deploy-mode", "client", "--py-files", "s3a://bucket/j.whl", str(script),
        "--module_name=carried_job", "--run_key=k", f"--config={arguments}", f"--run_id={run.run_id}",
    ]  # fmt: skip
    assert json.loads(arguments.read_bytes()) == {"carried_job": {"rows": 1}}
    assert "trunkline.jobs" in script.read_text(encoding="utf-8")


def at_master(folder: Path, standalone: Standalone, **more: str) -> Options:
    addresses = {"spark.restUrl": standalone.rest_url, "spark.master": standalone.master}
    return options_of(folder, **addresses, **more)


@pytest.fixture
def own_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's drivers run with the Python of the tests."""
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")


@pytest.mark.slow
@pytest.mark.usefixtures("own_python")
def test_a_real_master_runs_fails_and_ends_drivers(tmp_path: Path, job: str, standalone: Standalone) -> None:
    """Three drivers on one worker: one finishes, one fails, one is killed while it runs."""
    options = at_master(tmp_path, standalone, artifact=job)
    runs = [
        spark.start(request("good"), options),
        spark.start(request("bad", fail=True), options),
        spark.start(request("long", seconds=600), options),
    ]
    assert spark.start(request("good"), options).run_id == runs[0].run_id
    long = until(runs[2], options, "RUNNING")
    assert (long.state_detail, long.started_at is None, long.ended_at) == ("RUNNING", False, None)
    assert [run.run_key for run in spark.list_runs(RunFilter(states=frozenset({"RUNNING"})), options)].count("long")
    spark.cancel(long, options)
    good, bad, long = (until(run, options) for run in runs)
    assert (good.state, good.state_detail, good.result) == ("SUCCEEDED", "FINISHED", None)
    assert (bad.state, bad.state_detail) == ("FAILED", "FAILED")
    assert "its output is on the worker worker-" in str(bad.error)
    assert (long.state, long.state_detail) == ("CANCELLED", "KILLED")
    assert {run.run_key for run in spark.list_runs(RunFilter(), options)} == {"good", "bad", "long"}
    spark.cancel(long, options)  # of a run that is over nothing is asked


@pytest.mark.slow
def test_a_real_master_that_has_forgotten_a_driver_makes_it_failed(tmp_path: Path, standalone: Standalone) -> None:
    """Its answer to an unknown id: status 200, `success: false`."""
    options = at_master(tmp_path, standalone)
    folder = RunFolder(options["local.folder"], "spark")
    folder.add(request(), "master", {"rest_url": standalone.rest_url})
    kept = folder.kept(run_id_of("k"))
    assert kept is not None
    folder.write(replace(kept, outer_id="driver-20200101000000-0000"))
    run = spark.find(request(), options)
    assert run is not None
    assert (run.state, str(run.state_detail).split(":")[0]) == ("FAILED", "NOT_FOUND")


CREATE, STATUS = "POST /v1/submissions/create", "GET /v1/submissions/status/driver-1"
TAKEN = {"action": "CreateSubmissionResponse", "success": True, "submissionId": "driver-1"}


@pytest.fixture
def rest(tmp_path: Path, fault_server: FaultServer) -> Options:
    return options_of(tmp_path, **{"spark.restUrl": fault_server.url_for("/"), "spark.token": "t0ken-1"})


def status(word: str, **more: object) -> dict[str, Any]:
    return {"body": {"action": "SubmissionStatusResponse", "success": True, "driverState": word, **more}}


def test_what_the_master_is_sent(rest: Options, fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route(CREATE, [{"body": TAKEN}])
    run = spark.start(request(rows=1), rest)
    assert (run.state, run.state_detail, run.run_key) == ("PENDING", "SUBMITTED", "k")
    (sent,) = fault_server.ledger(CREATE)
    assert sent.headers["authorization"] == "Bearer t0ken-1"
    body = sent.json
    environment = body.pop("environmentVariables")
    assert environment["TRUNKLINE_PLATFORM"] == "spark"
    assert body == {
        "action": "CreateSubmissionRequest",
        "appResource": "",
        "mainClass": "org.apache.spark.deploy.SparkSubmit",
        "appArgs": [
            "--master", "spark://127.0.0.1:7077", str(tmp_path / "runs" / "spark" / "entry.py"),
            "--module_name=carried_job", "--run_key=k", '--carried_job={"rows":1}', f"--run_id={run.run_id}",
        ],
        "clientSparkVersion": "4.0.0",
        "sparkProperties": {
            "spark.master": "spark://127.0.0.1:7077", "spark.app.name": "carried_job",
            "spark.submit.deployMode": "cluster",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("SUBMITTED", "PENDING"),
        ("RELAUNCHING", "PENDING"),
        ("RUNNING", "RUNNING"),
        ("UNKNOWN", "RUNNING"),
        ("FINISHED", "SUCCEEDED"),
        ("KILLED", "CANCELLED"),
        ("FAILED", "FAILED"),
        ("ERROR", "FAILED"),
    ],
)
def test_every_driver_state_has_a_state(rest: Options, fault_server: FaultServer, word: str, state: str) -> None:
    fault_server.route(CREATE, [{"body": TAKEN}])
    fault_server.route(STATUS, [status(word, message="said\n so")])
    (run,) = spark.poll([spark.start(request(), rest)], rest)
    assert (run.state, run.state_detail) == (state, f"{word}: said so")
    assert (run.started_at is None) == (state == "PENDING")
    assert (run.ended_at is not None) == run.ended
    assert run.error == ("said so" if state == "FAILED" else None)


def test_a_run_that_is_over_is_not_asked_for_again(rest: Options, fault_server: FaultServer) -> None:
    fault_server.route(CREATE, [{"body": TAKEN}])
    fault_server.route(STATUS, [status("FINISHED")])
    run = spark.start(request(), rest)
    first = spark.poll([run], rest)
    assert spark.poll([run], rest) == first == list(spark.list_runs(RunFilter(), rest))
    assert len(fault_server.ledger(STATUS)) == 1


def test_of_two_callers_at_once_one_submits(rest: Options, fault_server: FaultServer) -> None:
    fault_server.route(CREATE, [{"body": TAKEN, "delay": 0.3}])
    fault_server.route(STATUS, [status("SUBMITTED")])
    ids: list[str] = []
    callers = [threading.Thread(target=lambda: ids.append(spark.start(request(), rest).run_id)) for _ in range(4)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert (len(ids), len(set(ids))) == (4, 1)
    assert len(fault_server.ledger(CREATE)) == 1


LOST: list[dict[str, Any]] = [
    {"fault": "reset"},
    {"body": TAKEN, "fault": "truncate"},
    {"body": json.dumps(TAKEN)[:-20]},
    {"body": "<html>welcome</html>"},
    {"body": ""},
    {"body": []},
    {"body": {}},
    {"body": {"success": True}},
    {"body": {"success": True, "submissionId": ""}},
    {"body": {"success": None, "submissionId": "driver-1"}},
    {"status": 204},
    {"status": 500, "body": {"message": "oops"}},
]


@pytest.mark.parametrize("answer", LOST)
def test_a_submission_whose_answer_is_lost_or_says_nothing_is_never_repeated(
    rest: Options, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    """The window: the master may run it, so the same key is told what is known and submits nothing."""
    fault_server.route(CREATE, [{**answer, "times": 1}, {"body": TAKEN}])
    with pytest.raises(RejectedError) as caught:
        spark.start(request(), rest)
    assert caught.value.outcome == "ambiguous"
    monkeypatch.setattr(spark_master, "_CUT_OFF", timedelta(0))
    run = spark.start(request(), rest)
    assert (run.state, run.state_detail) == ("FAILED", "UNKNOWN_SUBMISSION")
    assert "the master may run it" in str(run.error)
    assert list(spark.list_runs(RunFilter(), rest)) == [run]
    assert spark.poll([run], rest) == [run]
    assert len(fault_server.ledger(CREATE)) == 1


Refusal = tuple[dict[str, Any], type[Exception], str]
REFUSALS: list[Refusal] = [
    ({"body": {"success": False, "message": "no resources"}}, RejectedError, "no resources"),
    ({"status": 400, "body": {"message": "no mainClass"}}, RejectedError, "no mainClass"),
    ({"status": 403}, AuthError, r"Check spark\.token"),
]


@pytest.mark.parametrize(("answer", "kind", "said"), REFUSALS)
def test_a_refusal_has_a_name_and_the_run_may_be_asked_for_again(
    rest: Options, fault_server: FaultServer, answer: dict[str, Any], kind: type[Exception], said: str
) -> None:
    fault_server.route(CREATE, [{**answer, "times": 1}, {"body": TAKEN}])
    with pytest.raises(kind, match=said):
        spark.start(request(), rest)
    assert list(spark.list_runs(RunFilter(), rest)) == []
    assert spark.start(request(), rest).state_detail == "SUBMITTED"


def test_a_master_that_is_not_there_is_unavailable_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_master, "_CALL", {"retry.maxAttempts": "1"})
    options = options_of(tmp_path, **{"spark.restUrl": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(UnavailableError, match="refused"):
        spark.start(request(), options)
    assert list(spark.list_runs(RunFilter(), options)) == []


def test_a_master_that_is_gone_leaves_its_runs_in_the_list_as_they_were_last_seen(
    rest: Options, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spark_master, "_CALL", {"retry.maxAttempts": "1"})
    fault_server.route(CREATE, [{"body": TAKEN}])
    fault_server.route(STATUS, [status("RUNNING")])
    alive = spark.start(request("alive"), rest)
    folder, dead = RunFolder(rest["local.folder"], "spark"), f"http://127.0.0.1:{free_port()}"
    for key in ("one", "two"):
        folder.add(request(key), "master", {"rest_url": dead})
        kept = folder.get(run_id_of(key))
        folder.write(replace(kept, outer_id="driver-7", run=replace(kept.run, state="RUNNING", state_detail="RUNNING")))
    listed = {run.run_key: (run.state, run.state_detail) for run in spark.list_runs(RunFilter(), rest)}
    assert listed == dict.fromkeys(("alive", "one", "two"), ("RUNNING", "RUNNING"))
    (said,) = [record.getMessage() for record in caplog.records if record.name == "trunkline.jobs"]
    assert said.startswith(f"runs at {dead} are listed as they were last seen: ")
    with pytest.raises(UnavailableError):
        spark.poll([alive, folder.get(run_id_of("one")).run], rest)


@pytest.mark.parametrize("at_a_master", [False, True])
def test_a_run_that_is_gone_is_told_apart(tmp_path: Path, rest: Options, at_a_master: bool) -> None:
    with pytest.raises(RejectedError, match=r"there is no run r1 in .* any more") as caught:
        spark.poll([Run("spark", None, "r1")], rest if at_a_master else options_of(tmp_path))
    assert caught.value.gone


def test_a_master_that_does_not_end_a_driver_says_why(rest: Options, fault_server: FaultServer) -> None:
    fault_server.route(CREATE, [{"body": TAKEN}])
    fault_server.route(STATUS, [status("RUNNING")])
    fault_server.route("POST /v1/submissions/kill/driver-1", [{"body": {"success": False, "message": "not now"}}])
    run = spark.start(request(), rest)
    with pytest.raises(RejectedError, match="does not end driver-1: not now"):
        spark.cancel(run, rest)


def test_without_any_spark_submit_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(OptionError, match=r"set SPARK_HOME, or give spark\.restUrl"):
        spark.start(request(), options_of(tmp_path))
