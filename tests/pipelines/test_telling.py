"""Logs, numbers, the audit trail and notifications."""

from __future__ import annotations

import io
import json
import socket
import traceback
import urllib.request
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from opentelemetry import metrics as otel
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.pipelines import steps_of_tests
from tests.pipelines.conftest import Files
from tests.servers.process import free_port

from trunkline.credentials import Redactor
from trunkline.errors import OptionError
from trunkline.pipelines import observability, run_pipeline
from trunkline.pipelines.calls import PendingApprovalError, called, load_call
from trunkline.pipelines.config import Pipeline
from trunkline.pipelines.hooks import Audit, Hooks, notifications, notify
from trunkline.pipelines.logs import open_log
from trunkline.pipelines.metrics import Metrics
from trunkline.pipelines.report import Report, StepReport
from trunkline.pipelines.secrets import PipelineSecrets
from trunkline.testing import FaultServer

HERE = "tests.pipelines.steps_of_tests"
REDACTOR = Redactor(["hunter2"])


def test_every_line_of_the_log_bears_the_run_and_no_secret() -> None:
    """In JSON and for people, in the event, in values at any depth, and in the trace of an error."""
    for kind in ("json", "console"):
        file = io.StringIO()
        log = open_log(kind, REDACTOR.clean, file, run_id="daily-1")
        log.bind(step="a").info("login with hunter2", url="https://hunter2@x", held={"hunter2": ["hunter2"]}, rows=3)
        try:
            raise PendingApprovalError("hunter2 is not approved")
        except PendingApprovalError:
            log.exception("failed")
        text = file.getvalue()
        assert "hunter2" not in text
        assert "PendingApprovalError: *** is not approved" in text
        assert text.count("daily-1") == 2
        if kind == "json":
            line = json.loads(text.splitlines()[0])
            assert (line["event"], line["rows"], line["held"], line["step"]) == (
                "login with ***",
                3,
                {"***": ["***"]},
                "a",
            )
    with pytest.raises(OptionError, match="none of console, json"):
        open_log("xml", REDACTOR.clean)


def test_the_table_tells_what_went_wrong_and_not_the_way_to_it() -> None:
    """Spark hands the text of a Python error on, with all the lines it came through."""
    text = (
        "[PYTHON_DATA_SOURCE_ERROR] Failed to commit: Traceback (most recent call last):\n"
        '  File "writer.py", line 95, in commit\n    raise RunError(told)\n'
        "trunkline.errors.RunError: 1 of 1 runs did not succeed: daily, exit code 1: RuntimeError: disk is full\n\n"
        "\tat org.apache.spark.sql.Dataset.write(Dataset.scala:1)\n"
    )
    steps = [StepReport("start", "write", "failed", error=text), StepReport("look", "call", "failed", error="no such")]
    told = Report("daily", "daily-1", "p.conf", "", steps, outcome="failed").table().splitlines()[-2:]
    assert told == [
        "start: RunError: 1 of 1 runs did not succeed: daily, exit code 1: RuntimeError: disk is full",
        "look: no such",
    ]


def test_numbers_are_served_and_pushed_for_prometheus(fault_server: FaultServer) -> None:
    """While the run lasts they are served, at its end pushed; the labels of the file are on each of them."""
    fault_server.route("PUT /metrics/*", [{"status": 200}])
    port = free_port()
    given = observability.Metrics.model_validate(
        {
            "labels": {"team": "core"},
            "prometheus": {"port": port, "pushgateway": fault_server.url},
        }
    )
    metrics = Metrics(given, "daily")
    metrics.count("steps", outcome="success", step="a")
    metrics.count("steps", 2, outcome="success", step="a")
    metrics.gauge("step_rows", 7, direction="out", step="a")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    counted = 'trunkline_steps_total{outcome="success",pipeline="daily",step="a",team="core"} 3.0'
    assert counted in text
    assert 'trunkline_step_rows{direction="out",pipeline="daily",step="a",team="core"} 7.0' in text
    with pytest.raises(OptionError, match=f"metrics.prometheus.port {port}"):
        Metrics(given, "daily")
    assert metrics.close() == []
    (pushed,) = fault_server.ledger()
    assert (pushed.method, pushed.path) == ("PUT", "/metrics/job/daily/team/core")
    assert counted in pushed.body.decode()
    assert prometheus_client.REGISTRY.get_sample_value("trunkline_steps_total") is None


def test_numbers_that_nobody_takes_are_a_notice() -> None:
    given = observability.Metrics.model_validate({"prometheus": {"pushgateway": f"127.0.0.1:{free_port()}"}})
    (problem,) = Metrics(given, "daily").close()
    assert problem.startswith("metrics: URLError: ")


def test_numbers_go_to_the_meter_provider_of_the_process() -> None:
    reader = InMemoryMetricReader()
    otel.set_meter_provider(MeterProvider([reader]))
    metrics = Metrics(observability.Metrics.model_validate({"opentelemetry": {}}), "daily")
    metrics.count("steps", 2, step="a")
    metrics.gauge("step_seconds", 1.5, step="a")
    assert metrics.close() == []
    data: Any = reader.get_metrics_data()
    found = {
        one.name: [(point.value, dict(point.attributes)) for point in one.data.data_points]
        for one in data.resource_metrics[0].scope_metrics[0].metrics
    }
    labels = {"pipeline": "daily", "step": "a"}
    assert found.pop("trunkline_run_start_timestamp_seconds")[0][1] == {"pipeline": "daily"}
    assert found == {"trunkline_steps": [(2, labels)], "trunkline_step_seconds": [(1.5, labels)]}


def test_the_trail_says_who_did_what_and_no_secret(tmp_path: Path) -> None:
    notices: list[str] = []
    audit = Audit(str(tmp_path / "a" / "trail.jsonl"), REDACTOR.clean, notices.append, run_id="daily-1")
    audit.tell("before_step", step="a", target="https://x/hunter2")
    audit.tell("after_step", step="a", rows=3)
    first, second = map(json.loads, (tmp_path / "a" / "trail.jsonl").read_text().splitlines())
    assert (first["event"], first["target"], first["run_id"]) == ("before_step", "https://x/***", "daily-1")
    assert (second["event"], second["rows"], second["host"]) == ("after_step", 3, socket.gethostname())
    (tmp_path / "file").write_text("")
    broken = Audit(str(tmp_path / "file" / "trail.jsonl"), REDACTOR.clean, notices.append)
    broken.tell("before_step")
    broken.tell("after_step")
    assert len(notices) == 1
    assert "cannot be written" in notices[0]
    Audit(None, REDACTOR.clean, notices.append).tell("before_step")


def test_those_who_want_to_know_of_an_end_are_told_of_it_and_of_no_secret(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook gets JSON; one that fails, and one that raises, are notices; of another end nobody is told."""
    fault_server.route("POST /hook/hunter2", [{"status": 200}])
    fault_server.route("POST /bad/hunter2", [{"status": 400}])
    monkeypatch.setenv("HOOK_URL", fault_server.url_for("/hook/hunter2"))
    steps_of_tests.SEEN.clear()
    pipeline = Pipeline.model_validate(
        {
            "name": "daily",
            "notify": [
                {"webhook": "env:HOOK_URL"},
                {"webhook": fault_server.url_for("/bad/hunter2")},
                {"call": f"{HERE}:Told", "on": ["success"]},
                {"call": f"{HERE}:Grumpy", "on": ["failed"]},
            ],
            "steps": [{"name": "a", "sql": "SELECT 1"}],
        }
    )
    tellers = notifications(pipeline, PipelineSecrets({}))
    report = Report("daily", "daily-1", "p.conf", "", [StepReport("a", "sql", "failed")], outcome="failed")
    report.error = "a: hunter2 is wrong"
    problems = notify(tellers, report, REDACTOR)
    (posted,) = fault_server.ledger("POST /hook/hunter2")
    assert posted.json["subject"] == "daily: failed"
    assert posted.json["message"]["error"] == "a: *** is wrong"
    assert posted.json["message"]["steps"] == {"a": "failed"}
    assert steps_of_tests.SEEN == []
    assert len(problems) == 2
    assert problems[0].startswith(f"the webhook at {fault_server.url} was not notified")
    assert problems[1] == f"{HERE}:Grumpy did not notify: ValueError: not today, ***"


def test_a_webhook_gets_json_whatever_the_secrets_are(fault_server: FaultServer) -> None:
    """A password that is a word of JSON, or digits of a number, is no part of its form."""
    fault_server.route("POST /hook", [{"status": 200}])
    pipeline = Pipeline.model_validate(
        {
            "name": "daily",
            "notify": [{"webhook": fault_server.url_for("/hook"), "on": "success"}],
            "steps": [{"name": "a", "sql": "SELECT 1"}],
        }
    )
    report = Report("daily", "daily-1", "p.conf", "", [], outcome="success", seconds=1234.5)
    assert notify(notifications(pipeline, PipelineSecrets({})), report, Redactor(["null", "1234"])) == []
    (posted,) = fault_server.ledger()
    assert posted.json["message"] == {
        "pipeline": "daily", "run_id": "daily-1", "outcome": "success", "seconds": 1234.5, "error": None, "steps": {},
    }  # fmt: skip


def test_a_class_that_refuses_its_configuration_tells_no_secret(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither that of a step, nor of a hook, nor of a notification, though what they raise quotes it."""
    monkeypatch.setenv("TOKEN", "hunter2")
    picky = {"call": f"{HERE}:Picky", "config": {"token": "env:TOKEN"}}
    told = f"{HERE}:Picky cannot be made: ValueError: what is {{'token': '***'}}?"
    with pytest.raises(OptionError) as caught:
        Hooks((observability.Hook.model_validate(picky),), PipelineSecrets({}), print)
    assert (str(caught.value), caught.value.__cause__) == (f"hooks[0]: {told}", None)
    held = {"name": "daily", "notify": [picky], "steps": [{"name": "a", "sql": "SELECT 1"}]}
    with pytest.raises(OptionError) as caught:
        notifications(Pipeline.model_validate(held), PipelineSecrets({}))
    assert str(caught.value) == f"notify[0]: {told}"
    text = f'name = p\nsteps = [ {{ name = a, call = "{HERE}:Picky", config {{ token = "env:TOKEN" }} }} ]'
    with pytest.raises(OptionError) as caught:
        run_pipeline(config_path=files.write(text), runs=str(files.folder / "runs"))
    assert (str(caught.value), caught.value.__cause__) == (f"steps.a: {told}", None)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    loaded = load_call(f"{HERE}:Limit", {"rows": 3, "password": "hunter2"}, "steps.a")
    assert "LimitConfig" not in repr(loaded)


def test_a_hook_is_given_what_it_names() -> None:
    facts = {"event": "after_step", "step": "a", "context": 1, "result": 2}
    assert called(lambda step, result: (step, result), facts) == ("a", 2)
    assert called(lambda **all_of_it: all_of_it, facts) == facts
    with pytest.raises(TypeError):
        called(lambda step, missing: None, facts)


def test_a_hook_hears_of_the_events_it_asked_for_and_its_errors_are_told() -> None:
    notices: list[str] = []
    steps_of_tests.SEEN.clear()
    given = (
        observability.Hook.model_validate({"call": f"{HERE}:failing_hook", "on": "on_failure"}),
        observability.Hook.model_validate({"call": f"{HERE}:Watching", "on": ["before_step"]}),
    )
    hooks = Hooks(given, PipelineSecrets({}), notices.append)
    hooks.tell("before_step", step="a")
    hooks.tell("on_failure", step="a", error=ValueError("x"))
    assert steps_of_tests.SEEN == [("before_step", "a")]
    assert [notice.partition(" (")[0] for notice in notices] == [
        f"the hook {HERE}:failing_hook failed in on_failure: ValueError: no luck in on_failure"
    ]


def test_a_class_gets_its_configuration_as_it_wants_it() -> None:
    limit = load_call(f"{HERE}:Limit", {"rows": 3, "password": "x"}, "steps.a")
    assert limit.made.config == steps_of_tests.LimitConfig(3, "x")
    assert load_call(f"{HERE}:Bare", {"any": [1]}, "steps.a").made.config == {"any": [1]}
