"""Glue, against the double of its wire format, and against moto as far as that goes.

moto starts, lists and pages runs, and lets them succeed. It never fails one, ignores `MaxConcurrentRuns`, and stops
none; that, throttling, answers cut off and credentials that expire are the double's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import boto3
import pytest
from tests.jobs.platforms.aws import REGION, another_account, double, forget, only, reading, writing
from tests.servers.process import Server

from trunkline.errors import OptionError, RejectedError, UnavailableError
from trunkline.jobs.platforms import aws, glue
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.testing.aws import AwsApi, refusal

REQUEST = RunRequest("glue", "my.etl_factory", "orders-1", {"day": "2026-05-01"})
ARGUMENTS = {"--module_name": "my.etl_factory", "--run_key": "orders-1", "--etl": '{"day":"2026-05-01"}'}
BUSY = refusal("ThrottlingException", "Rate exceeded")
URL = "https://console.aws.amazon.com/gluestudio/home?region=us-east-1#/job/nightly/run/jr_1"


@pytest.fixture
def api() -> Iterator[AwsApi]:
    with double() as found:
        found.add_job("nightly")
        yield found


def start(api: AwsApi, request: RunRequest = REQUEST, **more: Any) -> Run:
    found: Run = glue.start(request, writing(api.url, **{"glue__job": "nightly", **more}))
    return found


def poll(api: AwsApi, *runs: Run) -> list[Run]:
    found: list[Run] = glue.poll(runs, writing(api.url))
    return found


def listed(api: AwsApi, wanted: RunFilter | None = None, **more: Any) -> list[str]:
    return [run.run_id for run in glue.list_runs(wanted or RunFilter(), reading(api.url, "glue", **more))]


def test_a_run_of_the_job_is_started_with_the_arguments(api: AwsApi) -> None:
    run = start(api)
    assert api.server.of("glue.StartJobRun")[0].json == {"JobName": "nightly", "Arguments": ARGUMENTS}
    expected = Run("glue", "my.etl_factory", "nightly/jr_1", "orders-1", state_detail="STARTING", url=URL)
    assert (run, poll(api, run)) == (expected, [expected])


def test_the_column_target_wins_over_the_option(api: AwsApi) -> None:
    api.add_job("other")
    assert start(api, replace(REQUEST, target="other")).run_id == "other/jr_1"


@pytest.mark.parametrize(
    ("artifact", "name"),
    [("s3://b/my.zip", "--extra-py-files"), ("s3://b/my-1.whl", "--additional-python-modules")],
)
def test_the_artifact_comes_along(api: AwsApi, artifact: str, name: str) -> None:
    start(api, artifact=artifact)
    assert api.server.of("glue.StartJobRun")[0].json["Arguments"] == {**ARGUMENTS, name: artifact}


def test_without_a_job_the_option_is_named(api: AwsApi) -> None:
    with pytest.raises(OptionError, match=r"glue\.job is missing"):
        start(api, glue__job=None)
    assert api.server.asked == []


def test_a_job_that_is_not_there_is_refused(api: AwsApi) -> None:
    with pytest.raises(RejectedError, match="EntityNotFoundException"):
        start(api, replace(REQUEST, target="weekly"))


def test_the_same_key_is_the_same_run(api: AwsApi) -> None:
    first = start(api)
    assert start(api) == first
    forget()
    assert start(api) == first
    assert glue.find(REQUEST, writing(api.url, glue__job="nightly")) == first
    assert len(api.glue["nightly"]) == 1
    assert glue.find(replace(REQUEST, run_key="no"), writing(api.url, glue__job="nightly")) is None


def test_a_key_is_found_beyond_the_first_page_which_is_read_once(api: AwsApi) -> None:
    start(api)
    for number in range(450):
        api.add_glue("nightly", Arguments={"--run_key": f"k{number}"})
    forget()
    before = len(api.server.asked)
    assert start(api).run_id == "nightly/jr_1"
    assert [one.operation for one in api.server.asked[before:]] == ["glue.GetJobRuns"] * 3 + ["glue.GetJobRun"]
    start(api, replace(REQUEST, run_key="new"))
    assert len(api.server.of("glue.GetJobRuns")) == 1 + 3 + 1


def test_an_answer_that_is_cut_off_is_looked_for_and_not_sent_again(api: AwsApi) -> None:
    api.server.cut("glue.StartJobRun")
    assert start(api).run_id == "nightly/jr_1"
    assert len(api.server.of("glue.StartJobRun")) == 1
    assert len(api.glue["nightly"]) == 1


def test_an_error_of_the_service_that_started_nothing_is_unavailable(api: AwsApi) -> None:
    api.server.fail("glue.StartJobRun", refusal("InternalServiceException", "oops", 500))
    with pytest.raises(UnavailableError, match="start it again, which looks first"):
        start(api)
    assert (len(api.server.of("glue.StartJobRun")), api.glue["nightly"]) == (1, [])
    assert start(api).run_id == "nightly/jr_1"


def test_a_caller_killed_before_the_acknowledgement_starts_nothing_twice(api: AwsApi) -> None:
    script = """
import json, os, sys
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import glue
from trunkline.jobs.run import RunRequest
glue._url = lambda *_: os._exit(9)  # ends right after the start, with nothing told to anybody
options = write_options(json.loads(sys.argv[1])).resolved()
glue.start(RunRequest("glue", "my.etl_factory", "orders-1"), options)
"""
    given = json.dumps({"glue.job": "nightly", "glue.region": REGION, "aws.endpoint": api.url})
    ended = subprocess.run([sys.executable, "-c", script, given], capture_output=True, check=False)
    assert (ended.returncode, len(api.glue["nightly"])) == (9, 1), ended.stderr
    assert start(api).run_id == "nightly/jr_1"
    assert len(api.glue["nightly"]) == 1


def test_two_writers_that_both_look_first_start_two_runs(api: AwsApi) -> None:
    """The window that the documentation states: nothing in Glue's API closes it."""
    looked = glue._look_up
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glue, "_look_up", lambda *asked: looked(*asked) if api.glue["nightly"] == [] else None)
        first, second = start(api), start(api)
    assert first.run_id != second.run_id


def test_a_full_job_is_unavailable_until_later(api: AwsApi) -> None:
    api.add_job("narrow", most=1)
    start(api, glue__job="narrow")
    with pytest.raises(UnavailableError, match="no room for one more run now") as full:
        start(api, replace(REQUEST, run_key="orders-2"), glue__job="narrow")
    assert vars(full.value)["later"] is True
    api.set_glue("jr_1", "SUCCEEDED")
    assert start(api, replace(REQUEST, run_key="orders-2"), glue__job="narrow").run_id == "narrow/jr_2"


def test_a_throttled_start_is_sent_again(api: AwsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "WAITS", (0.01, 0.01))
    api.server.fail("glue.StartJobRun", BUSY, times=2)
    assert start(api).run_id == "nightly/jr_1"
    api.server.fail("glue.StartJobRun", BUSY, times=3)
    with pytest.raises(UnavailableError, match="Rate exceeded"):
        start(api, replace(REQUEST, run_key="orders-2"))
    assert len(api.glue["nightly"]) == 1


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("WAITING", "PENDING"),
        ("STARTING", "PENDING"),
        ("RUNNING", "RUNNING"),
        ("STOPPING", "RUNNING"),
        ("STOPPED", "CANCELLED"),
        ("SUCCEEDED", "SUCCEEDED"),
        ("FAILED", "FAILED"),
        ("ERROR", "FAILED"),
        ("TIMEOUT", "TIMED_OUT"),
        ("EXPIRED", "TIMED_OUT"),
    ],
)
def test_every_word_for_a_state_is_one_of_ours(api: AwsApi, word: str, state: str) -> None:
    run = start(api)
    api.set_glue("jr_1", word)
    [run] = poll(api, run)
    assert (run.state, run.state_detail) == (state, word)
    assert (run.ended_at is not None) == run.ended


def test_a_failed_run_says_why(api: AwsApi) -> None:
    run = start(api)
    api.set_glue("jr_1", "FAILED", "ValueError: no such table")
    [run] = poll(api, run)
    assert (run.state_detail, run.error) == ("FAILED: ValueError: no such table", "ValueError: no such table")


def test_runs_of_several_jobs_are_polled_in_order(api: AwsApi) -> None:
    api.add_job("other")
    runs = [start(api, replace(REQUEST, run_key=str(n), target=("nightly", "other")[n % 2])) for n in range(6)]
    assert [run.run_id for run in poll(api, *reversed(runs))] == [run.run_id for run in reversed(runs)]


def test_cancel_stops_a_run_and_leaves_one_that_has_ended(api: AwsApi) -> None:
    run = start(api)
    glue.cancel(run, writing(api.url))
    assert poll(api, run)[0].state == "CANCELLED"
    glue.cancel(run, writing(api.url))
    with pytest.raises(RejectedError, match="not found"):
        glue.cancel(replace(run, run_id="nightly/jr_9"), writing(api.url))


def test_a_list_is_read_until_a_run_is_older_than_since(api: AwsApi) -> None:
    start_of = datetime(2026, 5, 1, tzinfo=timezone.utc)
    for number in range(500):
        api.set_glue(api.add_glue("nightly", started=start_of.timestamp() + number), "SUCCEEDED")
    wanted = RunFilter(since=datetime.fromtimestamp(start_of.timestamp() + 450, timezone.utc))
    assert listed(api, wanted) == [f"nightly/jr_{n}" for n in range(500, 450, -1)]
    assert len(api.server.of("glue.GetJobRuns")) == 1
    assert len(listed(api)) == 500
    assert len(api.server.of("glue.GetJobRuns")) == 4
    until = RunFilter(frozenset({"SUCCEEDED"}), until=datetime.fromtimestamp(start_of.timestamp() + 2, timezone.utc))
    assert listed(api, until) == ["nightly/jr_2", "nightly/jr_1"]


def test_a_run_that_has_not_started_passes_the_times(api: AwsApi) -> None:
    api.set_glue(api.add_glue("nightly", started=1000.0), "RUNNING")
    for started in (1001.0, 3000.0):
        api.set_glue(api.add_glue("nightly", started=started), "WAITING")
    at = datetime.fromtimestamp(2000, timezone.utc)
    assert listed(api, RunFilter(since=at)) == ["nightly/jr_3", "nightly/jr_2"]
    assert listed(api, RunFilter(until=at)) == ["nightly/jr_3", "nightly/jr_2", "nightly/jr_1"]


def test_what_is_remembered_of_a_job_is_of_one_account(api: AwsApi) -> None:
    """Another account may have a job of the same name, whose runs these are not."""
    assert start(api) == start(api)
    with another_account(api):
        assert glue.find(REQUEST, writing(api.url, glue__job="nightly")) is None
        assert start(api).run_id == "nightly/jr_2"


@pytest.mark.parametrize("run_id", ["nightly/jr_9", "weekly/jr_1"])
def test_a_run_that_is_gone_is_told_apart(api: AwsApi, run_id: str) -> None:
    with pytest.raises(RejectedError, match=f"there is no run {run_id} any more: EntityNotFound") as caught:
        poll(api, Run("glue", None, run_id))
    assert caught.value.gone


def test_jobs_may_be_glue_jobs_or_modules(api: AwsApi) -> None:
    for name in ("other", "third"):
        api.add_job(name)
        api.add_glue(name)
    start(api)
    assert listed(api) == ["nightly/jr_3", "third/jr_2", "other/jr_1"]
    api.server.asked.clear()
    assert listed(api, RunFilter(jobs=("other", "third"))) == ["third/jr_2", "other/jr_1"]
    assert [one.json["JobName"] for one in api.server.of("glue.GetJobRuns")] == ["other", "third"]
    assert listed(api, RunFilter(jobs=("my.etl_factory", "other"))) == ["nightly/jr_3", "other/jr_1"]
    assert listed(api, glue__job="third") == ["third/jr_2"]


def test_a_run_of_somebody_else_has_the_name_of_its_job_and_no_key(api: AwsApi) -> None:
    api.add_glue("nightly", Attempt=2)
    [run] = glue.list_runs(RunFilter(), reading(api.url, "glue"))
    assert (run.job, run.run_key, run.attempt) == ("nightly", None, 3)


def test_moto_starts_a_run_once_and_lists_it(moto: Server) -> None:
    with only("key"):
        client = boto3.client("glue", region_name=REGION, endpoint_url=moto.url)
        client.create_job(Name="of-moto", Role="r", Command={"Name": "glueetl"})
        options = writing(moto.url, glue__job="of-moto")
        requests = [replace(REQUEST, run_key=f"k{number}") for number in range(3)]
        runs = [glue.start(request, options) for request in requests]
        forget()
        again = [glue.start(request, options) for request in requests]
        assert [run.run_id for run in again] == [run.run_id for run in runs]
        assert {run.state for run in glue.poll(runs, options)} == {"SUCCEEDED"}
        found = list(
            glue.list_runs(RunFilter(jobs=("my.etl_factory",)), reading(moto.url, "glue", glue__job="of-moto"))
        )
        assert sorted(run.run_key or "" for run in found) == ["k0", "k1", "k2"]
        with pytest.raises(RejectedError, match="EntityNotFoundException"):
            glue.start(replace(REQUEST, target="nowhere"), options)
