"""Jobs and factories, called by Python: what they take, what they give back, which hook is called."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from trunkline.errors import OptionError
from trunkline.jobs import AbstractJob, AbstractJobFactory
from trunkline.testing import NoopNotification, NoopSink, NoopSource


class Copy(AbstractJob):
    """Reads, writes and tells."""

    def __init__(self, source: NoopSource, sink: NoopSink, told: NoopNotification) -> None:
        self.source, self.sink, self.told = source, sink, told

    def execute_job(self, input_path: str, output_path: str, limit: int = 2) -> dict[str, Any]:
        rows = self.source.read(input_path)[:limit]
        self.sink.write(rows, output_path)
        return {"metrics": {"rows": len(rows)}}

    def on_success(self, results: Any) -> None:
        self.told.notify("done", results)

    def on_failure(self, error_message: str) -> None:
        self.told.notify("failed", error_message)


class CopyFactory(AbstractJobFactory):
    def __init__(self) -> None:
        self.source, self.sink, self.told = NoopSource([1, 2, 3]), NoopSink(), NoopNotification()

    def create_job(self, **kwargs: Any) -> Copy:
        return Copy(self.source, self.sink, self.told)


def test_a_job_runs_and_its_success_is_told() -> None:
    source, sink, told = NoopSource([1, 2, 3]), NoopSink(), NoopNotification()
    results = Copy(source, sink, told).run(input_path="in", output_path="out")
    assert results == {"metrics": {"rows": 2}}
    assert (source.reads, sink.calls) == ([(("in",), {})], [(("out",), {})])
    assert (sink.written, told.sent) == ([[1, 2]], [("done", results)])


def test_what_execute_job_raises_comes_out_as_it_was_after_on_failure() -> None:
    broken, told = OSError("the disk is gone"), NoopNotification()
    with pytest.raises(OSError, match="the disk is gone") as caught:
        Copy(NoopSource(error=broken), NoopSink(), told).run(input_path="in", output_path="out")
    assert caught.value is broken
    assert told.sent == [("failed", "Copy failed: OSError: the disk is gone")]


@pytest.mark.parametrize("outcome", ["good", "bad"])
def test_a_hook_that_fails_is_logged_and_changes_nothing(outcome: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without an entry point there is no result for the notice; the log has it, without secrets."""
    broken = NoopNotification(error=RuntimeError("no mail for hunter2"))

    class Login(Copy):
        def execute_job(self, password: str) -> dict[str, Any]:  # type: ignore[override]
            if outcome == "bad":
                raise ValueError("refused")
            return {"rows": 1}

    job = Login(NoopSource(), NoopSink(), broken)
    with caplog.at_level(logging.WARNING):
        if outcome == "good":
            assert job.run(password="hunter2") == {"rows": 1}
        else:
            with pytest.raises(ValueError, match="refused"):
                job.run(password="hunter2")
    hook = "on_success" if outcome == "good" else "on_failure"
    assert caplog.messages == [f"{hook} of Login failed: RuntimeError: no mail for ***"]


@pytest.mark.parametrize(
    ("status", "called"),
    [
        ("SUCCESS", "done"),
        ("degraded", "done"),
        (None, "done"),
        ("Failed", "failed"),
        ("pending_approval", None),
        ("what", "failed"),
    ],
)
def test_the_hook_follows_the_status(status: str | None, called: str | None) -> None:
    told = NoopNotification()

    class Says(Copy):
        def execute_job(self) -> dict[str, Any]:  # type: ignore[override]
            return {"status": status}

    assert Says(NoopSource(), NoopSink(), told).run() == {"status": status}
    assert [subject for subject, _ in told.sent] == ([called] if called else [])


def test_wrong_arguments_are_refused_before_anything_runs_and_are_a_failure() -> None:
    source, told = NoopSource(), NoopNotification()
    with pytest.raises(OptionError, match=r"inputpath is no argument of Copy\.execute_job: did you mean input_path"):
        Copy(source, NoopSink(), told).run(inputpath="in", output_path="out")
    assert source.reads == []
    assert [subject for subject, _ in told.sent] == ["failed"]


def test_run_cannot_be_replaced() -> None:
    with pytest.raises(TypeError, match="Own replaces run"):

        class Own(Copy):
            def run(self, **kwargs: Any) -> Any:  # type: ignore[misc]
                return None


def test_a_job_needs_no_hooks() -> None:
    class Plain(AbstractJob):
        def execute_job(self) -> int:
            return 5

    assert Plain().run() == 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_path": "in", "output_path": "out", "limit": 3},
        {"copy_job": {"input_path": "in", "output_path": "out", "limit": 3}},
        {"copy_job": '{"input_path": "in", "output_path": "out", "limit": 3}'},
        {"copy_job": {"input_path": "in", "output_path": "out", "limit": 1}, "limit": 3},
    ],
)
def test_a_factory_takes_fields_or_the_whole_object(arguments: dict[str, Any]) -> None:
    factory = CopyFactory()
    assert factory.run(**arguments) == {"metrics": {"rows": 3}}
    assert factory.sink.calls == [(("out",), {})]


def test_what_create_job_names_is_not_unknown_to_execute_job() -> None:
    class Named(CopyFactory):
        def create_job(self, rows: list[int], **kwargs: Any) -> Copy:  # type: ignore[override]
            return Copy(NoopSource(rows), self.sink, self.told)

    assert Named().run(rows=[7], input_path="in", output_path="out") == {"metrics": {"rows": 1}}
    with pytest.raises(OptionError, match="rowz is no argument"):
        Named().run(rows=[7], input_path="in", output_path="out", rowz=1)


def test_a_configuration_that_create_job_asks_for_is_its_own() -> None:
    """Fields that only `create_job` uses are no unknown arguments, those of the job still reach it."""

    class Configured(CopyFactory):
        def create_job(self, **kwargs: Any) -> Copy:
            config = self.parse_job_config("copy_job", **kwargs)
            return Copy(NoopSource(config["rows"]), self.sink, self.told)

    config = '{"rows": [7], "input_path": "in", "output_path": "out"}'
    assert Configured().run(copy_job=config) == {"metrics": {"rows": 1}}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "copy_job is missing: give --copy_job="),
        ({"copy_job": "{hunter2"}, "copy_job: not JSON at character 2"),
        ({"copy_job": 5}, "copy_job: not a JSON object"),
    ],
)
def test_a_configuration_that_is_none_is_named(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason) as caught:
        CopyFactory().parse_job_config("copy_job", **given)
    assert "hunter2" not in str(caught.value)


def test_an_object_that_the_job_can_take_stays_one() -> None:
    """A dict among the arguments of a job with `**kwargs` is taken apart only if the job needs its fields."""

    class Takes(AbstractJob):
        def execute_job(self, path: str, **kwargs: Any) -> dict[str, Any]:
            return {"path": path, **kwargs}

    class TakesFactory(AbstractJobFactory):
        def create_job(self, **kwargs: Any) -> Takes:
            return Takes()

    assert TakesFactory().run(path="p", options={"a": 1}) == {"path": "p", "options": {"a": 1}}
    assert TakesFactory().run(any_job={"path": "p", "options": {"a": 1}}) == {"path": "p", "options": {"a": 1}}
