"""EMR, against the double of its wire format, and against moto as far as that goes.

moto adds, lists and pages steps. The first runs and none of them ever ends, and `CancelSteps` is an error of the
server's; that, throttling, answers cut off and a cluster with no room are the double's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from tests.jobs.platforms.aws import REGION, another_account, double, forget, only, reading, writing
from tests.servers.process import Server

from trunkline.errors import OptionError, RejectedError, UnavailableError
from trunkline.jobs.platforms import aws, emr
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.testing.aws import AwsApi, refusal

REQUEST = RunRequest("emr", "my.etl_factory", "orders-1", {"day": "2026-05-01"})
WORDS = ["--module_name=my.etl_factory", "--run_key=orders-1", '--etl={"day":"2026-05-01"}']
GIVEN = {"emr__cluster": "j-1", "emr__entryPoint": "s3://b/entry.py"}
FULL = "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."


@pytest.fixture
def api() -> Iterator[AwsApi]:
    with double() as found:
        found.steps["j-1"] = []
        yield found


def start(api: AwsApi, request: RunRequest = REQUEST, /, **more: Any) -> Run:
    found: Run = emr.start(request, writing(api.url, **{**GIVEN, **more}))
    return found


def poll(api: AwsApi, *runs: Run) -> list[Run]:
    found: list[Run] = emr.poll(runs, writing(api.url))
    return found


def listed(api: AwsApi, wanted: RunFilter | None = None) -> list[str]:
    return [run.run_id for run in emr.list_runs(wanted or RunFilter(), reading(api.url, "emr", emr__cluster="j-1"))]


def step(api: AwsApi, name: str = "by hand", created: float | None = None) -> str:
    return api.add_step("j-1", {"Name": name, "HadoopJarStep": {"Jar": "x.jar"}}, created)


def test_a_step_submits_the_entry_point_with_the_arguments(api: AwsApi) -> None:
    run = start(api, artifact="s3://b/my.zip")
    assert api.server.of("emr.AddJobFlowSteps")[0].json == {
        "JobFlowId": "j-1",
        "Steps": [
            {
                "Name": "my.etl_factory:orders-1",
                "ActionOnFailure": "CONTINUE",
                "HadoopJarStep": {
                    "Jar": "command-runner.jar",
                    "Args": ["spark-submit", "--py-files", "s3://b/my.zip", "s3://b/entry.py", *WORDS],
                },
            }
        ],
    }
    url = "https://console.aws.amazon.com/emr/home?region=us-east-1#/clusterDetails/j-1"
    expected = Run("emr", "my.etl_factory", "j-1/s-1", "orders-1", state_detail="PENDING", url=url)
    assert (run, poll(api, run)) == (expected, [expected])


def test_without_artifact_and_with_a_target(api: AwsApi) -> None:
    api.steps["j-2"] = []
    assert start(api, replace(REQUEST, target="j-2"), emr__cluster=None).run_id == "j-2/s-1"
    assert api.steps["j-2"][0]["Config"]["Args"] == ["spark-submit", "s3://b/entry.py", *WORDS]


@pytest.mark.parametrize(("name", "said"), [("emr__cluster", r"emr\.cluster"), ("emr__entryPoint", r"emr\.entryPoint")])
def test_missing_options_are_named_before_anything_is_asked(api: AwsApi, name: str, said: str) -> None:
    with pytest.raises(OptionError, match=f"{said} is missing"):
        start(api, REQUEST, **{name: None})
    assert api.server.asked == []


def test_a_cluster_that_is_not_there_is_refused(api: AwsApi) -> None:
    with pytest.raises(RejectedError, match="'j-9' is not valid"):
        start(api, emr__cluster="j-9")


def test_a_cluster_without_room_is_unavailable_until_later(api: AwsApi) -> None:
    api.server.fail("emr.AddJobFlowSteps", refusal("ValidationException", FULL))
    with pytest.raises(UnavailableError, match="no room for one more run now") as full:
        start(api)
    assert vars(full.value)["later"] is True
    assert start(api).run_id == "j-1/s-1"


def test_the_same_key_is_the_same_step_on_whichever_page(api: AwsApi) -> None:
    first = start(api)
    for _ in range(120):
        step(api)
    forget()
    api.server.asked.clear()
    assert start(api) == first
    assert [one.json.get("Marker") for one in api.server.of("emr.ListSteps")] == [None, "50", "100", None]
    assert api.server.of("emr.AddJobFlowSteps") == []
    assert emr.find(REQUEST, writing(api.url, **GIVEN)) == first
    assert emr.find(replace(REQUEST, run_key="no"), writing(api.url, **GIVEN)) is None


def test_an_answer_that_is_cut_off_is_looked_for_and_not_sent_again(api: AwsApi) -> None:
    api.server.cut("emr.AddJobFlowSteps")
    assert start(api).run_id == "j-1/s-1"
    assert len(api.server.of("emr.AddJobFlowSteps")) == len(api.steps["j-1"]) == 1


def test_a_caller_killed_before_the_acknowledgement_adds_nothing_twice(api: AwsApi) -> None:
    script = """
import json, os, sys
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import emr
from trunkline.jobs.run import RunRequest
emr._url = lambda *_: os._exit(9)  # ends right after the start, with nothing told to anybody
options = write_options(json.loads(sys.argv[1])).resolved()
emr.start(RunRequest("emr", "my.etl_factory", "orders-1"), options)
"""
    given = {"emr.cluster": "j-1", "emr.entryPoint": "s3://b/e.py", "emr.region": REGION, "aws.endpoint": api.url}
    ended = subprocess.run([sys.executable, "-c", script, json.dumps(given)], capture_output=True, check=False)
    assert (ended.returncode, len(api.steps["j-1"])) == (9, 1), ended.stderr
    assert start(api).run_id == "j-1/s-1"
    assert len(api.steps["j-1"]) == 1


def test_a_throttled_start_is_sent_again(api: AwsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "WAITS", (0.01,))
    api.server.fail("emr.AddJobFlowSteps", refusal("ThrottlingException", "Rate exceeded"))
    assert start(api).run_id == "j-1/s-1"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PENDING", "PENDING"),
        ("CANCEL_PENDING", "RUNNING"),
        ("RUNNING", "RUNNING"),
        ("COMPLETED", "SUCCEEDED"),
        ("CANCELLED", "CANCELLED"),
        ("FAILED", "FAILED"),
        ("INTERRUPTED", "FAILED"),
    ],
)
def test_every_word_for_a_state_is_one_of_ours(api: AwsApi, word: str, state: str) -> None:
    run = start(api)
    api.set_step("s-1", word)
    [run] = poll(api, run)
    assert (run.state, run.state_detail) == (state, word)
    assert (run.ended_at is not None) == run.ended


def test_a_failed_step_says_why_and_where_its_log_is(api: AwsApi) -> None:
    run = start(api)
    api.set_step("s-1", "FAILED", Reason="Unknown Error.", Message="exit code 1", LogFile="s3://b/log")
    [run] = poll(api, run)
    assert run.state_detail == "FAILED: Unknown Error.; exit code 1"
    assert run.error == "Unknown Error.; exit code 1 (log: s3://b/log)"


def test_steps_are_polled_ten_by_one_request_in_order(api: AwsApi) -> None:
    runs = [Run("emr", None, f"j-1/{step(api)}") for _ in range(25)]
    assert [run.run_id for run in poll(api, *reversed(runs))] == [run.run_id for run in reversed(runs)]
    assert len(api.server.of("emr.ListSteps")) == 3


@pytest.mark.parametrize("run_id", ["j-1/s-99", "j-9/s-1"])
def test_a_step_that_is_gone_is_told_apart(api: AwsApi, run_id: str) -> None:
    with pytest.raises(RejectedError, match=f"there is no run {run_id} any more") as caught:
        poll(api, Run("emr", None, run_id))
    assert caught.value.gone


def test_what_is_remembered_of_a_cluster_is_of_one_account(api: AwsApi) -> None:
    assert start(api) == start(api)
    with another_account(api):
        assert emr.find(REQUEST, writing(api.url, **GIVEN)) is None
        assert start(api).run_id == "j-1/s-2"


def test_a_step_that_has_not_started_passes_the_times(api: AwsApi) -> None:
    at = datetime(2026, 5, 1, tzinfo=timezone.utc)
    began, waits, late = (step(api, created=at.timestamp() + more) for more in (0, 60, 120))
    for one in (began, late):
        api.set_step(one, "RUNNING")
    assert listed(api, RunFilter(until=at + timedelta(seconds=30))) == [f"j-1/{waits}", f"j-1/{began}"]
    # Cancelled before its start, a step counts by its end.
    api.set_step(waits, "CANCELLED")
    assert listed(api, RunFilter(until=at + timedelta(seconds=30))) == [f"j-1/{began}"]
    assert listed(api, RunFilter(since=at + timedelta(seconds=62))) == [f"j-1/{late}", f"j-1/{waits}"]


def test_cancel_ends_a_step_and_leaves_one_that_has_ended(api: AwsApi) -> None:
    run = start(api)
    emr.cancel(run, writing(api.url))
    assert poll(api, run)[0].state == "CANCELLED"
    emr.cancel(run, writing(api.url))


def test_states_are_asked_of_the_platform(api: AwsApi) -> None:
    start(api)
    api.set_step(step(api), "RUNNING")
    api.set_step(step(api), "INTERRUPTED")
    assert listed(api, RunFilter(frozenset({"FAILED", "RUNNING"}))) == ["j-1/s-3", "j-1/s-2"]
    assert api.server.of("emr.ListSteps")[-1].json == {
        "ClusterId": "j-1",
        "StepStates": ["CANCEL_PENDING", "RUNNING", "FAILED", "INTERRUPTED"],
    }
    asked = len(api.server.asked)
    assert listed(api, RunFilter(frozenset({"TIMED_OUT"}))) == []
    assert len(api.server.asked) == asked


def test_a_list_is_read_until_a_step_began_before_since(api: AwsApi) -> None:
    at = datetime(2026, 5, 1, tzinfo=timezone.utc)
    ids = [step(api, created=at.timestamp() + number) for number in range(200)]
    for one in ids[:-1]:
        api.set_step(one, "COMPLETED")
    wanted = RunFilter(since=at + timedelta(seconds=190))
    assert listed(api, wanted) == [f"j-1/{one}" for one in reversed(ids[189:])]
    assert len(api.server.of("emr.ListSteps")) == 1
    assert len(listed(api)) == 200
    assert len(api.server.of("emr.ListSteps")) == 1 + 4


def test_jobs_may_be_modules_or_names_of_steps(api: AwsApi) -> None:
    start(api)
    step(api, "by hand")
    step(api, "other")
    assert listed(api, RunFilter(jobs=("my.etl_factory", "by hand"))) == ["j-1/s-2", "j-1/s-1"]


def test_a_list_needs_a_cluster(api: AwsApi) -> None:
    with pytest.raises(OptionError, match=r"emr\.cluster is missing"):
        list(emr.list_runs(RunFilter(), reading(api.url, "emr")))


def test_moto_adds_a_step_once_and_lists_it(moto: Server) -> None:
    with only("key"):
        client = boto3.client("emr", region_name=REGION, endpoint_url=moto.url)
        instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
        cluster = client.run_job_flow(Name="c", Instances=instances)["JobFlowId"]
        options = writing(moto.url, **{**GIVEN, "emr__cluster": cluster})
        requests = [replace(REQUEST, run_key=f"k{number}") for number in range(60)]
        runs = [emr.start(request, options) for request in requests]
        forget()
        assert emr.start(requests[0], options).run_id == runs[0].run_id
        assert [run.state for run in emr.poll(runs, options)] == ["RUNNING"] + ["PENDING"] * 59
        found = list(emr.list_runs(RunFilter(), reading(moto.url, "emr", emr__cluster=cluster)))
        assert [run.run_key for run in found] == [f"k{number}" for number in reversed(range(60))]
