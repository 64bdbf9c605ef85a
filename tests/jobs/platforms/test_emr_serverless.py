"""EMR Serverless, against the double of its wire format, and against moto as far as that goes.

moto lets every run succeed at once, ignores `clientToken`, knows of times only the day, and denies that an application
without runs is there when it is asked for them. What is said of tokens here
holds for a double that keeps them as AWS's documentation has it: one run for a token.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from tests.jobs.platforms.aws import REGION, another_account, double, forget, only, reading, writing
from tests.servers.process import Server

from trunkline.errors import OptionError, RejectedError
from trunkline.jobs.platforms import emr_serverless
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.testing.aws import AwsApi, refusal

REQUEST = RunRequest("emr-serverless", "my.etl_factory", "orders-1", {"day": "2026-05-01"}, labels={"team": "a"})
WORDS = ["--module_name=my.etl_factory", "--run_key=orders-1", '--etl={"day":"2026-05-01"}']
ROLE = "arn:aws:iam::123456789012:role/etl"
GIVEN = {
    "emrServerless__application": "app1",
    "emrServerless__role": ROLE,
    "emrServerless__entryPoint": "s3://b/entry.py",
}
FIRST = "app1/0000000000000001"


@pytest.fixture
def api() -> Iterator[AwsApi]:
    with double() as found:
        found.runs["app1"] = []
        yield found


def start(api: AwsApi, request: RunRequest = REQUEST, /, **more: Any) -> Run:
    found: Run = emr_serverless.start(request, writing(api.url, **{**GIVEN, **more}))
    return found


def poll(api: AwsApi, *runs: Run) -> list[Run]:
    found: list[Run] = emr_serverless.poll(runs, writing(api.url))
    return found


def listed(api: AwsApi, wanted: RunFilter | None = None) -> list[str]:
    options = reading(api.url, "emr-serverless", emrServerless__application="app1")
    return [run.run_id.split("/")[1].lstrip("0") for run in emr_serverless.list_runs(wanted or RunFilter(), options)]


def test_a_run_submits_the_entry_point_with_the_arguments(api: AwsApi) -> None:
    run = start(api, artifact="s3://b/my.zip")
    asked = api.server.of("emr-serverless.StartJobRun")[0]
    assert asked.path == "/applications/app1/jobruns"
    assert asked.json == {
        "clientToken": hashlib.sha256(b"orders-1").hexdigest(),
        "executionRoleArn": ROLE,
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": "s3://b/entry.py",
                "entryPointArguments": WORDS,
                "sparkSubmitParameters": "--conf spark.emr-serverless.driverEnv.TRUNKLINE_PLATFORM=emr-serverless"
                " --py-files s3://b/my.zip",
            }
        },
        "name": "my.etl_factory:orders-1",
        "tags": {"team": "a", "job": "my.etl_factory", "run_key": "orders-1"},
    }
    assert run == Run("emr-serverless", "my.etl_factory", FIRST, "orders-1", state_detail="SUBMITTED")


def test_a_key_that_is_no_tag_stands_in_the_arguments_alone(api: AwsApi) -> None:
    key = "Straße\u00a7" * 60
    run = start(api, replace(REQUEST, run_key=key))
    assert api.runs["app1"][0]["tags"] == {"team": "a", "job": "my.etl_factory"}
    assert len(api.runs["app1"][0]["name"]) == 256
    assert (run.run_key, start(api, replace(REQUEST, run_key=key)).run_id) == (key, run.run_id)


@pytest.mark.parametrize("name", list(GIVEN))
def test_missing_options_are_named_before_anything_is_asked(api: AwsApi, name: str) -> None:
    with pytest.raises(OptionError, match=f"{name.replace('__', '.')} is missing"):
        start(api, REQUEST, **{name: None})
    assert api.server.asked == []


def test_an_application_that_is_not_there_is_refused(api: AwsApi) -> None:
    with pytest.raises(RejectedError, match="Application app9 does not exist"):
        start(api, replace(REQUEST, target="app9"))


def test_the_same_key_is_the_same_run(api: AwsApi) -> None:
    first = start(api)
    assert start(api) == first
    assert emr_serverless.find(REQUEST, writing(api.url, **GIVEN)) == first
    assert emr_serverless.find(replace(REQUEST, run_key="no"), writing(api.url, **GIVEN)) is None
    assert len(api.runs["app1"]) == 1


def test_the_token_alone_makes_one_run_of_ten_writers(api: AwsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emr_serverless, "_look_up", lambda *_: None)
    threads = [threading.Thread(target=start, args=(api,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(api.server.of("emr-serverless.StartJobRun")), len(api.runs["app1"])) == (10, 1)


def test_a_key_is_found_for_a_week_where_the_token_is_forgotten(api: AwsApi) -> None:
    first = start(api)
    api.forget_tokens()
    forget()
    assert start(api).run_id == first.run_id
    api.runs["app1"][0]["createdAt"] -= 7 * 86400 + 700
    forget()
    assert start(api).run_id != first.run_id


def test_a_second_look_asks_only_for_what_is_new(api: AwsApi) -> None:
    for _ in range(120):
        api.add_run("app1", name="other")
    start(api)
    assert len(api.server.of("emr-serverless.ListJobRuns")) == 3
    for run in api.runs["app1"]:
        run["createdAt"] -= 3600
    start(api, replace(REQUEST, run_key="orders-2"))
    assert len(api.server.of("emr-serverless.ListJobRuns")) == 4
    assert start(api).run_id.endswith("121")


def test_an_answer_that_is_cut_off_starts_nothing_twice(api: AwsApi) -> None:
    api.server.cut("emr-serverless.StartJobRun")
    assert start(api).run_id == FIRST
    assert (len(api.server.of("emr-serverless.StartJobRun")), len(api.runs["app1"])) == (2, 1)


def test_a_caller_killed_before_the_acknowledgement_starts_nothing_twice(api: AwsApi) -> None:
    script = """
import json, os, sys
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import emr_serverless
from trunkline.jobs.run import RunRequest
emr_serverless._got = lambda *_: os._exit(9)  # ends right after the start, with nothing told to anybody
options = write_options(json.loads(sys.argv[1])).resolved()
emr_serverless.start(RunRequest("emr-serverless", "my.etl_factory", "orders-1"), options)
"""
    given = {name.replace("__", "."): value for name, value in GIVEN.items()}
    given |= {"emrServerless.region": REGION, "aws.endpoint": api.url}
    ended = subprocess.run([sys.executable, "-c", script, json.dumps(given)], capture_output=True, check=False)
    assert (ended.returncode, len(api.runs["app1"])) == (9, 1), ended.stderr
    assert start(api).run_id == FIRST
    assert len(api.runs["app1"]) == 1


def test_throttling_is_waited_out_by_boto(api: AwsApi) -> None:
    api.server.fail("emr-serverless.StartJobRun", refusal("ThrottlingException", "Rate exceeded", 429))
    assert start(api).run_id == FIRST
    assert len(api.server.of("emr-serverless.StartJobRun")) == 2


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("SUBMITTED", "PENDING"),
        ("PENDING", "PENDING"),
        ("SCHEDULED", "PENDING"),
        ("QUEUED", "PENDING"),
        ("RUNNING", "RUNNING"),
        ("CANCELLING", "RUNNING"),
        ("SUCCESS", "SUCCEEDED"),
        ("FAILED", "FAILED"),
        ("CANCELLED", "CANCELLED"),
    ],
)
def test_every_word_for_a_state_is_one_of_ours(api: AwsApi, word: str, state: str) -> None:
    run = start(api)
    api.set_run(api.runs["app1"][0]["jobRunId"], word, "why")
    [run] = poll(api, run)
    assert (run.state, run.state_detail) == (state, f"{word}: why")
    assert (run.started_at is None, run.ended_at is not None) == (state == "PENDING", run.ended)
    assert run.error == ("why" if state == "FAILED" else None)


def test_a_run_cancelled_when_its_time_was_up_has_timed_out(api: AwsApi) -> None:
    run = start(api)
    api.runs["app1"][0]["executionTimeoutMinutes"] = 5
    api.set_run(FIRST[5:], "CANCELLED", "too long", seconds=301)
    [run] = poll(api, run)
    assert (run.state, run.error) == ("TIMED_OUT", "too long")
    assert listed(api, RunFilter(frozenset({"TIMED_OUT"}))) == ["1"]
    assert listed(api, RunFilter(frozenset({"CANCELLED"}))) == []


def test_runs_are_polled_in_order(api: AwsApi) -> None:
    runs = [Run("emr-serverless", None, f"app1/{api.add_run('app1')}") for _ in range(20)]
    assert [run.run_id for run in poll(api, *reversed(runs))] == [run.run_id for run in reversed(runs)]


def test_cancel_ends_a_run_and_leaves_one_that_has_ended(api: AwsApi) -> None:
    run = start(api)
    emr_serverless.cancel(run, writing(api.url))
    assert poll(api, run)[0].state == "CANCELLED"
    emr_serverless.cancel(run, writing(api.url))
    assert len(api.server.of("emr-serverless.CancelJobRun")) == 1


def test_times_are_asked_of_the_platform_with_the_queue_on_top(api: AwsApi) -> None:
    at = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
    early = api.add_run("app1", created=at.timestamp() - 3600)
    api.set_run(early, "RUNNING")
    queued = api.add_run("app1", created=at.timestamp() - 3600)
    api.set_run(queued, "RUNNING")
    api.runs["app1"][1]["startedAt"] = at.timestamp()
    late = api.add_run("app1", created=at.timestamp() + 60)
    api.set_run(late, "RUNNING")
    for seconds in (59, 60, 61):  # not started: these pass the times
        api.add_run("app1", created=at.timestamp() + seconds)
    wanted = RunFilter(since=at, until=at + timedelta(seconds=60))
    assert listed(api, wanted) == ["6", "5", "4", "2"]
    [asked, besides] = api.server.of("emr-serverless.ListJobRuns")
    assert asked.query == {
        "createdAtAfter": ["2026-05-01T00:00:00Z"],
        "createdAtBefore": ["2026-05-01T12:01:00Z"],
        "maxResults": ["50"],
    }
    assert besides.query == {
        "createdAtAfter": ["2026-05-01T12:01:00Z"],
        "states": ["SUBMITTED", "PENDING", "SCHEDULED", "QUEUED"],
        "maxResults": ["50"],
    }
    assert listed(api, replace(wanted, states=frozenset({"PENDING"}))) == ["6", "5", "4"]
    assert listed(api, replace(wanted, states=frozenset({"RUNNING"}))) == ["2"]


@pytest.mark.parametrize("run_id", ["app1/9", "app9/1"])
def test_a_run_that_is_gone_is_told_apart(api: AwsApi, run_id: str) -> None:
    with pytest.raises(RejectedError, match=f"there is no run {run_id} any more: ResourceNotFound") as caught:
        poll(api, Run("emr-serverless", None, run_id))
    assert caught.value.gone


def test_what_is_remembered_of_an_application_is_of_one_account(api: AwsApi) -> None:
    assert start(api) == start(api)
    with another_account(api):
        assert emr_serverless.find(REQUEST, writing(api.url, **GIVEN)) is None
        assert start(api).run_id.endswith("2")


def test_states_are_asked_one_by_one_and_stay_in_order(api: AwsApi) -> None:
    words = ["FAILED", "RUNNING", "FAILED", "SUCCESS", "RUNNING"]
    for number, word in enumerate(words):
        api.set_run(api.add_run("app1", created=time.time() + number), word)
    assert listed(api, RunFilter(frozenset({"FAILED", "RUNNING"}))) == ["5", "3", "2", "1"]
    asked = [one.query["states"] for one in api.server.of("emr-serverless.ListJobRuns")]
    assert asked == [["RUNNING"], ["CANCELLING"], ["FAILED"]]


def test_all_pages_are_read_and_runs_of_other_jobs_cost_no_request(api: AwsApi) -> None:
    for number in range(120):
        api.add_run("app1", created=time.time() - number - 1, name="by hand" if number % 60 == 0 else "other")
    start(api)
    before = len(api.server.of("emr-serverless.GetJobRun"))
    assert listed(api, RunFilter(jobs=("my.etl_factory", "by hand"))) == ["121", "1", "61"]
    assert len(api.server.of("emr-serverless.GetJobRun")) == before + 3
    assert len(listed(api)) == 121


def test_runs_that_have_ended_are_asked_for_once(api: AwsApi) -> None:
    ids = [api.add_run("app1") for _ in range(3)]
    for one in ids[:2]:
        api.set_run(one, "FAILED")
    assert listed(api) == listed(api)
    assert len(api.server.of("emr-serverless.GetJobRun")) == 3 + 1


def test_a_list_needs_an_application(api: AwsApi) -> None:
    with pytest.raises(OptionError, match=r"emrServerless\.application is missing"):
        list(emr_serverless.list_runs(RunFilter(), reading(api.url, "emr-serverless")))


def test_moto_starts_a_run_and_lists_it(moto: Server) -> None:
    with only("key"):
        client = boto3.client("emr-serverless", region_name=REGION, endpoint_url=moto.url)
        made = client.create_application(name="a", releaseLabel="emr-7.9.0", type="SPARK")
        application = made["applicationId"]
        client.start_job_run(applicationId=application, clientToken="x", executionRoleArn=ROLE, name="by hand")
        options = writing(moto.url, **{**GIVEN, "emrServerless__application": application})
        run = emr_serverless.start(REQUEST, options)
        assert (run.state, run.job, run.run_key) == ("SUCCEEDED", "my.etl_factory", "orders-1")
        asked = reading(moto.url, "emr-serverless", emrServerless__application=application)
        assert list(emr_serverless.list_runs(RunFilter(jobs=("my.etl_factory",)), asked)) == [run]
