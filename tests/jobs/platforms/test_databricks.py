"""Databricks, against the double of its Jobs API that its own SDK drives (`tests/testing/test_databricks.py`)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from trunkline.errors import AuthError, OptionError, RejectedError, UnavailableError
from trunkline.jobs.options import read_options, write_options
from trunkline.jobs.platforms import databricks
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.options import Options
from trunkline.testing.databricks import DatabricksApi
from trunkline.testing.platform_api import Answer

REQUEST = RunRequest("databricks", "my.etl_factory", "orders-1", {"day": "2026-05-01"})
TOKEN = hashlib.sha256(b"orders-1").hexdigest()
WHEEL = "/Volumes/main/etl/my-1.0-py3-none-any.whl"
NAMED = {"module_name": "my.etl_factory", "run_key": "orders-1", "etl": '{"day":"2026-05-01"}'}
WORDS = [f"--{name}={value}" for name, value in NAMED.items()]
BUSY = Answer(429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slow down"}, {"Retry-After": "0"})


@pytest.fixture
def api() -> Iterator[DatabricksApi]:
    with DatabricksApi() as double:
        yield double
    databricks._client.cache_clear()


def options(api: DatabricksApi, **more: Any) -> Options:
    given = {"databricks.host": api.url, "databricks.token": api.token, "databricks.cluster": "c1", "artifact": WHEEL}
    named = {name.replace("_", "."): value for name, value in more.items()}
    kept = {name: value for name, value in (given | named).items() if value is not None}
    return write_options(kept).resolved()


def reading(api: DatabricksApi) -> Options:
    given = {"platform": "databricks", "databricks.host": api.url, "databricks.token": api.token}
    return read_options(given).resolved()


def job(api: DatabricksApi, kind: str = "python_wheel_task", **settings: Any) -> int:
    return api.add_job("nightly", tasks=[{"task_key": "main", kind: {}}], **settings)


def listed(api: DatabricksApi, wanted: RunFilter | None = None) -> list[str]:
    return [run.run_id for run in databricks.list_runs(wanted or RunFilter(), reading(api))]


def test_without_target_the_entry_point_of_the_wheel_is_submitted(api: DatabricksApi) -> None:
    run = databricks.start(REQUEST, options(api))
    assert api.server.of("runs/submit")[0].json == {
        "queue": {"enabled": True},
        "run_name": "my.etl_factory:orders-1",
        "idempotency_token": TOKEN,
        "tasks": [
            {
                "task_key": "trunkline",
                "existing_cluster_id": "c1",
                "libraries": [{"whl": WHEEL}],
                "python_wheel_task": {
                    "package_name": "trunkline",
                    "entry_point": "trunkline-job",
                    "parameters": [*WORDS, "--run_id={{job.run_id}}"],
                },
            }
        ],
    }
    assert len(TOKEN) == 64
    assert run == Run(
        "databricks",
        "my.etl_factory",
        "101",
        "orders-1",
        state="PENDING",
        state_detail="PENDING",
        url=f"{api.url}/#job/1/run/101",
    )


def test_serverless_compute_gets_the_artifact_as_its_environment(api: DatabricksApi) -> None:
    databricks.start(REQUEST, options(api, databricks_cluster=None, databricks_serverless="true"))
    asked = api.server.of("runs/submit")[0].json
    assert asked["tasks"][0]["environment_key"] == "trunkline"
    assert asked["environments"] == [
        {"environment_key": "trunkline", "spec": {"environment_version": "4", "dependencies": [WHEEL]}}
    ]


@pytest.mark.parametrize(
    ("kind", "settings", "given"),
    [
        ("python_wheel_task", {}, {"python_named_params": NAMED}),
        ("notebook_task", {}, {"notebook_params": NAMED}),
        ("spark_python_task", {}, {"python_params": WORDS}),
        ("python_wheel_task", {"parameters": [{"name": "run_key", "default": ""}]}, {"job_parameters": NAMED}),
    ],
)
def test_a_target_is_run_now_with_arguments_of_its_kind(
    api: DatabricksApi, kind: str, settings: dict[str, Any], given: dict[str, Any]
) -> None:
    job_id = job(api, kind, **settings)
    run = databricks.start(replace(REQUEST, target=str(job_id)), options(api, databricks_cluster=None))
    asked = {"job_id": job_id, "idempotency_token": TOKEN, "queue": {"enabled": True}, **given}
    assert api.server.of("run-now")[0].json == asked
    assert databricks.find(replace(REQUEST, target="nightly"), options(api)) == run
    [read] = databricks.list_runs(RunFilter(), reading(api))
    assert (read.job, read.run_key) == ("my.etl_factory", "orders-1")


def test_a_run_of_a_full_job_is_queued_instead_of_skipped(api: DatabricksApi) -> None:
    job_id = job(api, max_concurrent_runs=1)
    requests = [replace(REQUEST, run_key=key, target=str(job_id)) for key in ("k1", "k2")]
    assert [databricks.start(one, options(api)).state_detail for one in requests] == ["PENDING", "QUEUED"]


def test_a_target_is_found_by_its_unique_name(api: DatabricksApi) -> None:
    job(api)
    databricks.start(replace(REQUEST, target="nightly"), options(api))
    job(api)
    with pytest.raises(RejectedError, match="2 jobs 'nightly': give the id"):
        databricks.start(replace(REQUEST, target="nightly"), options(api))
    with pytest.raises(RejectedError, match="no job 'weekly'"):
        databricks.start(replace(REQUEST, target="weekly"), options(api))
    with pytest.raises(RejectedError, match="Job 99 does not exist"):
        databricks.start(replace(REQUEST, target="99"), options(api))


def test_a_target_that_takes_no_arguments_is_refused(api: DatabricksApi) -> None:
    job_id = job(api, "sql_task")
    with pytest.raises(RejectedError, match="takes no arguments"):
        databricks.start(replace(REQUEST, target=str(job_id)), options(api))
    assert api.runs == {}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"databricks_cluster": None}, "target .* databricks.cluster, or databricks.serverless"),
        ({"databricks_serverless": "true"}, "exclude each other"),
        ({"artifact": "s3://b/my.zip"}, "artifact must be a wheel"),
        ({"databricks_cluster": None, "databricks_serverless": "true", "artifact": None}, "artifact is missing"),
    ],
)
def test_missing_options_are_named_before_anything_is_asked(api: DatabricksApi, more: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        databricks.start(REQUEST, options(api, **more))
    assert api.server.asked == []


def test_the_same_key_is_the_same_run(api: DatabricksApi) -> None:
    first = databricks.start(REQUEST, options(api))
    assert databricks.start(REQUEST, options(api)) == first
    assert databricks.find(REQUEST, options(api)) == first
    assert list(api.runs) == [101]
    assert databricks.find(replace(REQUEST, run_key="other"), options(api)) is None


def test_ten_writers_at_once_start_one_run(api: DatabricksApi) -> None:
    threads = [threading.Thread(target=databricks.start, args=(REQUEST, options(api))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (api.count("runs/submit"), list(api.runs)) == (10, [101])


def test_an_answer_that_is_cut_off_starts_nothing_twice(api: DatabricksApi) -> None:
    api.server.cut("runs/submit")
    assert databricks.start(REQUEST, options(api)).run_id == "101"
    assert (api.count("runs/submit"), list(api.runs)) == (2, [101])


def test_a_caller_killed_before_the_acknowledgement_starts_nothing_twice(api: DatabricksApi) -> None:
    script = """
import json, os, sys
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import databricks
from trunkline.jobs.run import RunRequest
databricks._looked_at = lambda client, run: os._exit(9)  # ends right after the submit, with nothing told to anybody
options = write_options(json.loads(sys.argv[1])).resolved()
databricks.start(RunRequest("databricks", "my.etl_factory", "orders-1"), options)
"""
    given = {"databricks.host": api.url, "databricks.token": api.token, "databricks.cluster": "c1"}
    ended = subprocess.run([sys.executable, "-c", script, json.dumps(given)], capture_output=True, check=False)
    assert (ended.returncode, list(api.runs)) == (9, [101]), ended.stderr
    assert databricks.start(replace(REQUEST, arguments={}), options(api)).run_id == "101"
    assert list(api.runs) == [101]


def test_a_key_whose_run_was_deleted_is_refused(api: DatabricksApi) -> None:
    databricks.start(REQUEST, options(api))
    api.finish(101)
    del api.runs[101]
    with pytest.raises(RejectedError, match="was deleted"):
        databricks.start(REQUEST, options(api))


@pytest.mark.parametrize(
    ("life", "result", "state"),
    [
        ("QUEUED", None, "PENDING"),
        ("PENDING", None, "PENDING"),
        ("BLOCKED", None, "PENDING"),
        ("WAITING_FOR_RETRY", None, "PENDING"),
        ("RUNNING", None, "RUNNING"),
        ("TERMINATING", None, "RUNNING"),
        ("TERMINATED", "SUCCESS", "SUCCEEDED"),
        ("TERMINATED", "SUCCESS_WITH_FAILURES", "SUCCEEDED"),
        ("TERMINATED", "FAILED", "FAILED"),
        ("TERMINATED", "TIMEDOUT", "TIMED_OUT"),
        ("TERMINATED", "CANCELED", "CANCELLED"),
        ("TERMINATED", "UPSTREAM_FAILED", "FAILED"),
        ("TERMINATED", "UPSTREAM_CANCELED", "CANCELLED"),
        ("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED", "FAILED"),
        ("SKIPPED", "EXCLUDED", "CANCELLED"),
        ("SKIPPED", "DISABLED", "CANCELLED"),
        ("SKIPPED", None, "CANCELLED"),
        ("INTERNAL_ERROR", None, "FAILED"),
        ("INTERNAL_ERROR", "FAILED", "FAILED"),
    ],
)
def test_every_word_for_a_state_is_one_of_ours(api: DatabricksApi, life: str, result: str | None, state: str) -> None:
    run_id = api.add_run()
    api.set_state(run_id, life, result, "why")
    [run] = databricks.poll([Run("databricks", None, str(run_id))], reading(api))
    assert (run.state, run.state_detail) == (state, f"{result or life}: why")


@pytest.mark.parametrize(
    ("life", "result", "state"),
    [
        ("QUEUED", None, "PENDING"),
        ("RUNNING", None, "RUNNING"),
        ("TERMINATED", "SUCCESS", "SUCCEEDED"),
        ("TERMINATED", "FAILED", "FAILED"),
        ("TERMINATED", "CANCELED", "CANCELLED"),
        ("TERMINATED", "MAXIMUM_CONCURRENT_RUNS_REACHED", "FAILED"),
    ],
)
def test_the_newer_field_alone_says_it_too(api: DatabricksApi, life: str, result: str | None, state: str) -> None:
    run_id = api.add_run()
    api.set_state(run_id, life, result)
    del api.runs[run_id]["state"]
    [run] = databricks.poll([Run("databricks", None, str(run_id))], reading(api))
    assert run.state == state


def test_a_run_is_followed_to_its_end(api: DatabricksApi) -> None:
    api.script = ["PENDING", "RUNNING", "SUCCESS"]
    run = databricks.start(REQUEST, options(api))
    seen = [run.state]
    while not run.ended:
        [run] = databricks.poll([run], options(api))
        seen.append(run.state)
    assert seen == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert run.started_at is not None
    assert run.ended_at == run.started_at + timedelta(seconds=1)


def test_polled_runs_come_in_the_order_of_the_question(api: DatabricksApi) -> None:
    ids = [str(api.add_run()) for _ in range(20)]
    asked = [Run("databricks", None, one) for one in reversed(ids)]
    assert [run.run_id for run in databricks.poll(asked, reading(api))] == ids[::-1]


def test_a_failed_run_says_why(api: DatabricksApi) -> None:
    run = databricks.start(REQUEST, options(api))
    api.finish(101, "FAILED", message="Task main failed", error="ValueError: no such table")
    [run] = databricks.poll([run], options(api))
    assert (run.state, run.state_detail, run.error) == (
        "FAILED",
        "FAILED: Task main failed",
        "ValueError: no such table",
    )


@pytest.mark.parametrize(
    ("output", "state", "result"),
    [
        ({"logs": 'hello\n{"status": "SUCCESS", "job": "j"}\n'}, "SUCCEEDED", '{"status": "SUCCESS", "job": "j"}'),
        ({"logs": '{"status": "SUCCESS"}\n{"level": "INFO"}\n{ bye'}, "SUCCEEDED", '{"status": "SUCCESS"}'),
        ({"logs": "hello\n"}, "SUCCEEDED", None),
        ({"logs": "[1]"}, "SUCCEEDED", None),
        ({}, "SUCCEEDED", None),
        ({"notebook": '{"rows": 3}'}, "SUCCEEDED", '{"rows": 3}'),
        ({"notebook": "done"}, "SUCCEEDED", None),
        (
            {"result": "FAILED", "logs": '{"status": "PENDING_APPROVAL"}', "error": "exit 3"},
            "PENDING_APPROVAL",
            '{"status": "PENDING_APPROVAL"}',
        ),
    ],
)
def test_the_result_is_what_the_job_said_last(
    api: DatabricksApi, output: dict[str, Any], state: str, result: str | None
) -> None:
    run = databricks.start(REQUEST, options(api))
    api.finish(101, **output)
    [run] = databricks.poll([run], options(api))
    assert (run.state, run.result, run.error) == (state, result, None)


DEGRADED = '{"status": "SUCCESS", "failure_type": "DEGRADED"}'


@pytest.mark.parametrize(
    ("output", "detail"),
    [
        ({"result": "FAILED", "logs": DEGRADED, "error": "exit 4", "message": "why"}, "degraded: FAILED: why"),
        ({"notebook": DEGRADED}, "degraded: SUCCESS"),
    ],
)
def test_a_degraded_job_did_its_work(api: DatabricksApi, output: dict[str, Any], detail: str) -> None:
    """Its exit code is 4, which Databricks takes for a failure."""
    run = databricks.start(REQUEST, options(api))
    api.finish(101, **output)
    [run] = databricks.poll([run], options(api))
    assert (run.state, run.state_detail, run.error, run.result) == ("SUCCEEDED", detail, None, DEGRADED)


@pytest.mark.parametrize("word", ["FAILED", "TIMEDOUT", "UPSTREAM_FAILED"])
def test_a_run_is_not_degraded_that_has_another_task_which_failed(api: DatabricksApi, word: str) -> None:
    run = databricks.start(REQUEST, options(api))
    api.runs[101]["tasks"].append({"task_key": "next", "run_id": 5, "state": {}})
    api.finish(101, "FAILED", logs=DEGRADED)
    api.runs[101]["tasks"][1]["state"] = {"life_cycle_state": "TERMINATED", "result_state": word}
    [run] = databricks.poll([run], options(api))
    assert (run.state, run.result) == ("FAILED", DEGRADED)


def test_a_run_that_was_deleted_is_told_apart(api: DatabricksApi) -> None:
    run = databricks.start(REQUEST, options(api))
    del api.runs[101]
    with pytest.raises(RejectedError, match="there is no run 101 any more: databricks: Run 101 does not") as caught:
        databricks.poll([run], options(api))
    assert caught.value.gone


def test_attempts_count_from_one(api: DatabricksApi) -> None:
    first, third = api.add_run(), api.add_run(attempt_number=2)
    task = api.add_run(task={"attempt_number": 1})
    asked = [Run("databricks", None, str(one)) for one in (first, third, task)]
    assert [run.attempt for run in databricks.poll(asked, reading(api))] == [1, 3, 2]


def test_cancel_asks_for_the_end_and_leaves_ended_runs(api: DatabricksApi) -> None:
    run = databricks.start(REQUEST, options(api))
    databricks.cancel(run, options(api))
    [run] = databricks.poll([run], options(api))
    assert run.state == "CANCELLED"
    databricks.cancel(run, options(api))
    with pytest.raises(RejectedError, match="Run 7 does not exist"):
        databricks.cancel(replace(run, run_id="7"), options(api))


def test_all_pages_of_runs_are_read_newest_first(api: DatabricksApi) -> None:
    ids = [str(api.add_run()) for _ in range(60)]
    assert listed(api) == ids[::-1]
    assert [one.query.get("page_token") for one in api.server.of("runs/list")] == [None, ["25"], ["50"]]


def test_outputs_of_ended_runs_are_asked_for_once(api: DatabricksApi) -> None:
    for _ in range(30):
        api.finish(api.add_run(), "FAILED", error="bad")
    api.add_run()
    assert listed(api) == listed(api)
    assert api.count("runs/get-output") == 30
    api.runs[101]["end_time"] += 1  # repaired
    api.finish(102, "FAILED", error="worse")
    listed(api)
    assert api.count("runs/get-output") == 31


def test_times_and_states_are_asked_of_the_platform(api: DatabricksApi) -> None:
    at = datetime(2026, 5, 1, tzinfo=timezone.utc)
    start = int(at.timestamp() * 1000)
    old, first, last, late = (str(api.add_run(started=start + more)) for more in (-1, 0, 999, 1000))
    for run_id in (old, first, last, late):
        api.finish(int(run_id), "FAILED" if run_id != last else "SUCCESS")
    wanted = RunFilter(frozenset({"FAILED"}), at, at + timedelta(seconds=1))
    assert listed(api, wanted) == [first]
    assert api.server.of("runs/list")[0].query == {
        "expand_tasks": ["true"],
        "limit": ["25"],
        "completed_only": ["true"],
        "start_time_from": [str(start)],
        "start_time_to": [str(start + 1000)],
    }
    listed(api, RunFilter(frozenset({"RUNNING", "PENDING"})))
    assert api.server.of("runs/list")[-1].query["active_only"] == ["true"]


def test_a_run_that_has_not_started_passes_the_times(api: DatabricksApi) -> None:
    """Databricks narrows by when a run was asked for."""
    at = datetime(2026, 5, 1, tzinfo=timezone.utc)
    start = int(at.timestamp() * 1000)
    ids = {}
    for more in (-5000, 0, 5000):
        for word in ("QUEUED", "RUNNING"):
            ids[more, word] = str(api.add_run(started=start + more + len(word)))
            api.set_state(int(ids[more, word]), word)
    wanted = RunFilter(since=at, until=at + timedelta(seconds=1))
    expected = [ids[5000, "QUEUED"], ids[0, "RUNNING"], ids[0, "QUEUED"], ids[-5000, "QUEUED"]]
    assert listed(api, wanted) == expected
    asked = api.count("runs/list")
    assert listed(api, replace(wanted, states=frozenset({"RUNNING"}))) == [ids[0, "RUNNING"]]
    assert api.count("runs/list") == asked + 1


def test_jobs_of_the_workspace_are_asked_for_one_by_one_and_modules_are_picked(api: DatabricksApi) -> None:
    nightly, weekly = api.add_job("nightly"), api.add_job("weekly")
    runs = [str(api.add_run("r", job_id=one)) for one in (nightly, weekly, nightly)]
    databricks.start(REQUEST, options(api))
    assert listed(api, RunFilter(jobs=("nightly",))) == [runs[2], runs[0]]
    assert listed(api, RunFilter(jobs=("nightly", str(weekly)))) == runs[::-1]
    assert [one.query.get("job_id") for one in api.server.of("runs/list")] == [["1"], ["1"], ["2"]]
    assert listed(api, RunFilter(jobs=("my.etl_factory",))) == ["104"]
    assert "job_id" not in api.server.of("runs/list")[-1].query


def test_a_run_of_somebody_else_has_the_name_of_its_job_and_no_key(api: DatabricksApi) -> None:
    api.add_run("by hand")
    [run] = databricks.list_runs(RunFilter(), reading(api))
    assert (run.job, run.run_key) == ("by hand", None)


def test_throttling_is_waited_out(api: DatabricksApi) -> None:
    api.server.fail("runs/submit", BUSY, times=2)
    assert databricks.start(REQUEST, options(api)).run_id == "101"
    assert api.count("runs/submit") == 3


def test_throttling_without_end_is_unavailable(api: DatabricksApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databricks, "RETRY_SECONDS", 1)
    api.server.fail("runs/submit", BUSY, times=99)
    with pytest.raises(UnavailableError, match="could not take it now: slow down"):
        databricks.start(REQUEST, options(api))
    assert api.runs == {}


def test_a_workspace_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databricks, "RETRY_SECONDS", 1)
    with DatabricksApi() as gone:
        given = options(gone)
    with pytest.raises(UnavailableError, match="could not be reached"):
        databricks.start(REQUEST, given)
    databricks._client.cache_clear()


def test_a_refused_credential_is_named_without_it(api: DatabricksApi) -> None:
    with pytest.raises(AuthError, match="refused the credential") as refused:
        databricks.start(REQUEST, options(api, databricks_token="dapi-expired"))
    assert (refused.value.status, "dapi-expired" in str(refused.value)) == (401, False)
    with pytest.raises(AuthError) as forbidden:
        databricks.start(REQUEST, options(api, databricks_token=api.weak))
    assert forbidden.value.status == 403
    assert api.weak not in str(forbidden.value)


def test_the_environment_s_login_serves_where_no_option_is_given(
    api: DatabricksApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    bare = options(api, databricks_host=None, databricks_token=None)
    with pytest.raises(AuthError, match="no login found"):
        databricks.start(REQUEST, bare)
    monkeypatch.setenv("DATABRICKS_HOST", api.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", api.token)
    assert databricks.start(REQUEST, bare).run_id == "101"


def test_without_the_sdk_the_command_that_installs_it_is_said() -> None:
    script = """
import sys
sys.modules["databricks.sdk"] = None
from trunkline.jobs.platforms import platform_of
platform_of("databricks")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    said = "trunkline.errors.MissingExtraError: platform=databricks needs its SDK: pip install 'trunkline[databricks]'"
    assert ended.stderr.splitlines()[-1] == said
