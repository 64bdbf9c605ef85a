"""Runs are started once, waited for, kept within bounds and named when they fail; told from the platform's ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.platforms.aws import double, writing

from trunkline.errors import AuthError, OptionError, RejectedError, RunError, UnavailableError
from trunkline.jobs.options import resolved_for, write_options
from trunkline.jobs.platforms import databricks
from trunkline.jobs.run import RunRequest
from trunkline.jobs.starting import start_all
from trunkline.options import Options
from trunkline.testing.databricks import DatabricksApi


@pytest.fixture
def api() -> Iterator[DatabricksApi]:
    with DatabricksApi() as double:
        double.add_job("nightly", tasks=[{"task_key": "main", "python_wheel_task": {}}])
        yield double
    databricks._client.cache_clear()


class Clock:
    """Virtual time: `then` happens at each sleep."""

    def __init__(self, then: Callable[[float], None] = lambda now: None) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._then = then

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self._then(self.now)

    def __call__(self) -> float:
        return self.now


def options(api: DatabricksApi, **given: Any) -> Options:
    return write_options({"databricks.host": api.url, "databricks.token": api.token, **given}).resolved()


def wanted(*keys: str, target: str = "nightly", platform: str = "databricks") -> list[RunRequest]:
    return [RunRequest(platform, "my.etl", key, {"key": key}, target) for key in keys]


def start(requests: list[RunRequest], given: Options, clock: Clock | None = None) -> list[tuple[str | None, str]]:
    clock = clock or Clock()
    runs = start_all(requests, given, sleep=clock.sleep, clock=clock)
    return [(run.run_key, run.state) for run in runs]


def active(api: DatabricksApi) -> list[int]:
    return [run_id for run_id, run in api.runs.items() if run["state"]["life_cycle_state"] != "TERMINATED"]


def test_each_request_becomes_one_run(api: DatabricksApi) -> None:
    assert start(wanted("a", "b", "c"), options(api)) == [("a", "PENDING"), ("b", "PENDING"), ("c", "PENDING")]
    assert len(api.runs) == 3


def test_started_again_nothing_more_runs(api: DatabricksApi) -> None:
    for _ in range(2):
        start(wanted("a", "b"), options(api))
    assert len(api.runs) == 2


def test_equal_requests_of_one_key_are_one_run(api: DatabricksApi) -> None:
    assert start(wanted("a", "a"), options(api)) == [("a", "PENDING")]
    assert len(api.runs) == 1


def test_two_runs_under_one_key_start_nothing(api: DatabricksApi) -> None:
    with pytest.raises(OptionError, match="run_key 'a' stands for two different runs; nothing was started"):
        start([*wanted("a"), *wanted("a", target="weekly")], options(api))
    assert api.runs == {}


def test_without_wait_nobody_looks(api: DatabricksApi) -> None:
    clock = Clock()
    start(wanted("a"), options(api), clock)
    assert (clock.slept, api.count("runs/get")) == ([], 1)  # the start tells how it is


def test_waiting_ends_with_the_last_run(api: DatabricksApi) -> None:
    def end_one(_: float) -> None:
        api.finish(active(api)[0])

    assert start(wanted("a", "b"), options(api, wait="true"), Clock(end_one)) == [
        ("a", "SUCCEEDED"),
        ("b", "SUCCEEDED"),
    ]


def test_looks_become_rarer_up_to_the_interval(api: DatabricksApi) -> None:
    clock = Clock(lambda now: api.finish(101) if now > 20 else None)
    start(wanted("a"), options(api, wait="true", pollInterval="4s"), clock)
    assert clock.slept[0] == pytest.approx(0.4)
    assert all(later <= earlier * 1.5 + 1e-9 for earlier, later in zip(clock.slept, clock.slept[1:], strict=False))
    assert clock.slept[-1] == 4.0
    assert api.count("runs/get") == len(clock.slept) + 1


def test_a_failed_run_fails_the_wait_and_is_named(api: DatabricksApi) -> None:
    def end(_: float) -> None:
        api.finish(101, "FAILED", error="no such table: orders")
        api.finish(102)

    with pytest.raises(RunError) as raised:
        start(wanted("a", "b"), options(api, wait="true"), Clock(end))
    first, second = str(raised.value).splitlines()
    assert first == "2 of 2 runs were started"
    assert second.startswith("  - did not succeed: my.etl on databricks, run 101: FAILED")
    assert "no such table: orders" in second
    assert f"({api.url}/#job/1/run/101)" in second
    assert {run.run_id: run.state for run in raised.value.runs} == {"101": "FAILED", "102": "SUCCEEDED"}


def test_the_others_go_on_when_one_fails(api: DatabricksApi) -> None:
    def fail_first_and_end_the_other_later(_: float) -> None:
        api.finish(101, "FAILED")
        if len(clock.slept) == 3:
            api.finish(102)

    clock = Clock(fail_first_and_end_the_other_later)
    with pytest.raises(RunError):
        start(wanted("a", "b"), options(api, wait="true"), clock)
    assert (len(clock.slept), api.count("runs/cancel")) == (3, 0)


def test_the_others_are_cancelled_when_asked(api: DatabricksApi) -> None:
    clock = Clock(lambda now: api.finish(101, "FAILED"))
    with pytest.raises(RunError, match="did not succeed"):
        start(wanted("a", "b"), options(api, wait="true", cancelOnFailure="true"), clock)
    assert len(clock.slept) == 1
    assert api.runs[102]["state"]["result_state"] == "CANCELED"


def test_a_run_that_takes_too_long_is_named_and_left(api: DatabricksApi) -> None:
    clock = Clock()
    with pytest.raises(RunError, match=r"did not end in time: my\.etl on databricks, run 101: PENDING"):
        start(wanted("a"), options(api, wait="true", waitTimeout="60s"), clock)
    assert 60 <= clock.now < 71
    assert api.count("runs/cancel") == 0


def test_only_so_many_go_on_at_the_same_time(api: DatabricksApi) -> None:
    most = []

    def end_one(_: float) -> None:
        most.append(len(active(api)))
        api.finish(active(api)[0])

    start(wanted(*"abcdefg"), options(api, maxConcurrentRuns="2"), Clock(end_one))
    assert len(api.runs) == 7
    assert max(most) == 2


def test_a_refused_request_leaves_the_others_alone(api: DatabricksApi) -> None:
    requests = [*wanted("a"), *wanted("b", target="4711"), *wanted("c")]
    with pytest.raises(RejectedError) as raised:
        start(requests, options(api))
    assert str(raised.value).startswith("2 of 3 runs were started\n  - not started: my.etl on databricks: ")
    assert "4711" in str(raised.value)
    assert str(raised.value).endswith("; started again with the same run_key, only what is missing starts")
    assert len(api.runs) == 2


def test_a_bad_credential_is_not_tried_for_every_row(api: DatabricksApi) -> None:
    with pytest.raises(AuthError, match="and 32 were not tried"):
        start(wanted(*map(str, range(40))), options(api, **{"databricks.token": "wrong"}))
    assert api.runs == {}


def test_after_a_refusal_only_what_is_missing_starts(api: DatabricksApi) -> None:
    requests = [*wanted("a"), *wanted("b", target="weekly")]
    with pytest.raises(RejectedError):
        start(requests, options(api))
    api.add_job("weekly", tasks=[{"task_key": "main", "python_wheel_task": {}}])
    assert start(requests, options(api)) == [("a", "PENDING"), ("b", "PENDING")]
    assert len(api.runs) == 2


def glue_requests(*keys: str) -> list[RunRequest]:
    return wanted(*keys, platform="glue")


def test_a_platform_that_has_no_room_is_asked_again_when_a_run_has_ended() -> None:
    with double() as aws:
        aws.add_job("nightly", most=1)

        def end(_: float) -> None:
            for run in aws.glue["nightly"]:
                aws.set_glue(run["Id"], "SUCCEEDED")

        ended = start(glue_requests("a", "b", "c"), writing(aws.url, wait="true"), Clock(end))
        assert ended == [("a", "SUCCEEDED"), ("b", "SUCCEEDED"), ("c", "SUCCEEDED")]
        assert len(aws.glue["nightly"]) == 3


def test_room_that_others_keep_is_waited_for_only_so_long() -> None:
    with double() as aws:
        aws.add_job("nightly", most=1)
        start(glue_requests("of another"), writing(aws.url))
        clock = Clock()
        with pytest.raises(UnavailableError, match="0 of 1 runs were started\n  and 1 were not tried: ") as raised:
            start(glue_requests("a"), writing(aws.url, wait="true", waitTimeout="60s"), clock)
        assert "no room for one more run now" in str(raised.value)
        assert 60 <= clock.now < 71


def test_what_has_failed_is_started_anew_where_that_is_asked_for(api: DatabricksApi) -> None:
    """As a stream that waits does when it replays a micro-batch."""
    for number in (101, 102):
        with pytest.raises(RunError):
            start_again(wanted("a"), options(api, wait="true"), partial(fail, api, number))
    start_again(wanted("a"), options(api, wait="true"), lambda now: api.finish(103))
    start_again(wanted("a"), options(api, wait="true"), lambda now: None)
    keys = [run["overriding_parameters"]["python_named_params"]["run_key"] for run in api.runs.values()]
    assert keys == ["a", "a:2", "a:3"]


def fail(api: DatabricksApi, run_id: int, _: float) -> None:
    api.finish(run_id, "FAILED")


def start_again(requests: list[RunRequest], given: Options, then: Callable[[float], None]) -> None:
    clock = Clock(then)
    start_all(requests, given, again=True, sleep=clock.sleep, clock=clock)


def test_a_credential_lost_while_waiting_is_told_with_what_was_started(api: DatabricksApi) -> None:
    def lose(_: float) -> None:
        api.token = "another"

    with pytest.raises(AuthError, match=r"2 of 2 runs were started: databricks refused the credential") as raised:
        start(wanted("a", "b"), options(api, wait="true"), Clock(lose))
    assert str(raised.value).endswith("; started again with the same run_key, only what is missing starts")


def test_a_row_that_lacks_an_option_of_its_platform_leaves_the_others_alone(api: DatabricksApi) -> None:
    lacking = RunRequest("glue", "my.etl", "b")
    with pytest.raises(OptionError, match=r"2 of 3 runs were started\n  - not started: my\.etl on glue: .*glue\.job"):
        start([*wanted("a"), lacking, *wanted("c")], options(api))


def test_a_row_may_name_its_own_artifact(api: DatabricksApi) -> None:
    plain = RunRequest("databricks", "my.etl", "a", artifact="/own.whl")
    start([plain], options(api, **{"databricks.cluster": "c1", "artifact": "/of-the-option.whl"}))
    [submitted] = api.server.of("runs/submit")
    assert submitted.json["tasks"][0]["libraries"] == [{"whl": "/own.whl"}]


def test_only_credentials_of_platforms_that_occur_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    given = write_options({"platform": "local", "databricks.token": "env:NO_SUCH_TOKEN"})
    assert resolved_for(given, {"local"})["databricks.token"] is None
    with pytest.raises(OptionError, match="NO_SUCH_TOKEN"):
        resolved_for(given, {"databricks"})


def test_runs_on_this_machine_go_on_at_the_same_time(tmp_path: Path) -> None:
    """Each waits until all three have begun."""
    (tmp_path / "met").mkdir()
    (tmp_path / "meet.py").write_text(
        "import pathlib, time\n"
        "def main(key):\n"
        f"    met = pathlib.Path({str(tmp_path / 'met')!r})\n"
        "    (met / key).touch()\n"
        "    until = time.monotonic() + 120\n"
        "    while len(list(met.iterdir())) < 3:\n"
        "        assert time.monotonic() < until, 'nobody else came'\n"
        "        time.sleep(0.02)\n"
    )
    given = {"local.folder": str(tmp_path / "runs"), "artifact": str(tmp_path / "meet.py"), "pollInterval": "100ms"}
    requests = [RunRequest("local", "meet", key, {"key": key}) for key in "abc"]
    runs = start_all(requests, write_options({**given, "wait": "true", "local.workers": "3"}))
    assert [run.state for run in runs] == ["SUCCEEDED"] * 3


def test_a_run_that_had_failed_before_is_told_as_that(api: DatabricksApi) -> None:
    with pytest.raises(RunError):
        start(wanted("a"), options(api, wait="true"), Clock(lambda now: api.finish(101, "FAILED")))
    with pytest.raises(RunError, match="it was over before this write: give another run_key than 'a' to run it again"):
        start(wanted("a"), options(api, wait="true"))


def test_a_name_that_is_no_module_starts_nothing(api: DatabricksApi) -> None:
    with pytest.raises(OptionError, match=r"job 'my job' is no module: .*; nothing was started"):
        start([RunRequest("databricks", "my job", "a")], options(api))
