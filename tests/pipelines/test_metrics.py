"""Numbers as those see them who receive them: a real Prometheus, its push gateway, OpenTelemetry's own messages."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.metrics._internal import _ProxyMeterProvider
from pyspark.sql import SparkSession
from tests.pipelines import steps_of_tests
from tests.servers.otlp import Otlp
from tests.servers.process import Server, free_port
from tests.servers.prometheus import Prometheus

from trunkline.errors import OptionError
from trunkline.pipelines import PipelineError, observability, run_pipeline
from trunkline.pipelines.metrics import COUNTERS, GAUGES, NUMBERS, Metrics, ended, measured
from trunkline.pipelines.receivers import flush
from trunkline.pipelines.report import Report, StepReport
from trunkline.pipelines.secrets import PipelineSecrets

HERE = "tests.pipelines.steps_of_tests"


def opened(name: str, secrets: PipelineSecrets | None = None, **given: Any) -> Metrics:
    return Metrics(observability.Metrics.model_validate(given), name, secrets)


def report(name: str, outcome: str) -> Report:
    return Report(name, f"{name}-1", "p.conf", "", [], outcome=outcome, seconds=2.0)


def test_prometheus_scrapes_a_run_and_forgets_it_when_it_is_over(
    spark: SparkSession, tmp_path: Path, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two steps all is there: values, labels, types, units, help. After the run its series are stale."""
    port = free_port()
    prometheus.scrape("scraped", f"127.0.0.1:{port}")
    (tmp_path / "p.json").write_text(
        json.dumps({
            "name": "scraped",
            "metrics": {"labels": {"team": "core"}, "prometheus": {"port": port}},
            "steps": [
                {"name": "few", "sql": "SELECT id FROM range(3)"},
                {"name": "counted", "expect": [{"rule": "row_count", "min": 1}]},
                {"name": "looked", "call": f"{HERE}:on_the_way"},
                {"name": "out", "write": {"format": "noop", "mode": "append"}},
            ],
        })
    )  # fmt: skip
    seen: dict[str, Any] = {}

    def look() -> None:
        prometheus.until('trunkline_lag_seconds{job="scraped"}')
        for name in ("trunkline_steps_total", "trunkline_step_rows", "trunkline_lag_seconds"):
            seen[name] = prometheus.until(f'{name}{{job="scraped"}}')
        seen["start"] = prometheus.until('trunkline_run_start_timestamp_seconds{job="scraped"}')
        seen["told"] = prometheus.metadata("scraped")

    monkeypatch.setattr(steps_of_tests, "ON_THE_WAY", [look])
    began = time.time()
    run_pipeline(spark, str(tmp_path / "p.json"), runs=str(tmp_path / "runs"))
    own = (("pipeline", "scraped"),)
    assert seen["trunkline_steps_total"] == {
        (("outcome", "success"), *own, ("step", step), ("team", "core")): 1.0 for step in ("few", "counted")
    }
    assert seen["trunkline_step_rows"] == {
        (("direction", way), *own, ("step", step), ("team", "core")): 3.0
        for way, step in (("in", "counted"), ("out", "counted"))
    }
    assert seen["trunkline_lag_seconds"] == {(*own, ("source", "crm"), ("team", "core")): 2.5}
    assert began - 1 < seen["start"][(*own, ("team", "core"))] < time.time()
    assert {name: told[:2] for name, told in seen["told"].items()} == {
        "trunkline_steps": ("counter", ""),
        "trunkline_step_retries": ("counter", ""),
        "trunkline_step_seconds": ("gauge", "seconds"),
        "trunkline_step_rows": ("gauge", ""),
        "trunkline_lag_seconds": ("gauge", "seconds"),
        "trunkline_run_start_timestamp_seconds": ("gauge", "seconds"),
    }
    assert seen["told"]["trunkline_steps"][2] == COUNTERS["steps"].told
    deadline = time.monotonic() + 60
    while prometheus.target("scraped")["health"] == "up" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert prometheus.until('{job="scraped",__name__=~"trunkline_.*"}', {}) == {}
    # No series but ours: no `_created` beside each counter, nothing of the process.
    others = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added",
              "scrape_samples_post_metric_relabeling"}  # fmt: skip
    assert prometheus.names("scraped") - others == {
        "trunkline_steps_total", "trunkline_step_retries_total", "trunkline_step_seconds", "trunkline_step_rows",
        "trunkline_lag_seconds", "trunkline_run_start_timestamp_seconds",
    }  # fmt: skip


@pytest.mark.slow
def test_the_rows_of_a_stream_are_served_while_it_flows(spark: SparkSession, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "p.json").write_text(
        json.dumps({
            "name": "flows",
            "metrics": {"prometheus": {"port": port}},
            "steps": [
                {"name": "ticks", "read": {"format": "rate", "stream": True, "options": {"rowsPerSecond": "5"}}},
                {"name": "out", "timeout": "15s",
                 "write": {"format": "noop", "checkpoint": str(tmp_path / "c"), "trigger": "1s"}},
            ],
        })
    )  # fmt: skip
    seen: list[float] = []

    def look() -> None:
        while not any(seen):
            text = ""  # nothing is served before the run begins
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                text = answer.read().decode()
            seen.extend(map(float, re.findall(r'trunkline_step_rows{direction="out".*} (.*)', text)))
            time.sleep(0.2)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    with pytest.raises(PipelineError, match="took longer than its timeout"):
        run_pipeline(spark, str(tmp_path / "p.json"), runs=str(tmp_path / "runs"))
    looking.join(60)
    assert seen[-1] > 0


def test_the_push_gateway_keeps_the_last_run_and_when_one_last_succeeded(
    prometheus: Prometheus, pushgateway: Server
) -> None:
    """What only the run before had is gone; pipelines of one name with other labels do not meet."""
    prometheus.scrape("gateway", pushgateway.url.removeprefix("http://"))

    def run(outcome: str, team: str, **own: float) -> None:
        metrics = opened("pushed", labels={"team": team}, prometheus={"pushgateway": pushgateway.url})
        measured(metrics, StepReport("out", "write", outcome, attempts=1, seconds=1.5))
        for name, value in own.items():
            metrics.gauge(name, value)
        ended(metrics, report("pushed", outcome))
        assert metrics.close() == []

    began = time.time()
    run("success", "core", rows_dropped=3)
    run("failed", "core", crm_last_success_timestamp_seconds=1)
    run("success", "other")
    # One that did not come to begin leaves all as it is.
    opened("pushed", labels={"team": "core"}, prometheus={"pushgateway": pushgateway.url}).close(ran=False)
    assert prometheus.until('trunkline_runs_total{pipeline="pushed",team="other"}')
    failed = {(("outcome", "failed"), ("pipeline", "pushed"), ("team", "core")): 1.0}
    assert prometheus.until('trunkline_runs_total{pipeline="pushed",team="core"}', failed) == failed
    steps = {(("pipeline", "pushed"), ("step", "out"), ("team", team)): 1.5 for team in ("core", "other")}
    assert prometheus.until('trunkline_step_seconds{pipeline="pushed"}', steps) == steps
    assert prometheus.until("trunkline_rows_dropped", {}) == {}
    ((labels, last),) = prometheus.until('trunkline_last_success_timestamp_seconds{team="core"}').items()
    assert labels == (("outcome", "success"), ("pipeline", "pushed"), ("team", "core"))
    assert began - 1 < last < time.time()
    assert set(prometheus.until('push_time_seconds{job="pushed"}')) == {
        (("team", "core"),), (("outcome", "success"), ("team", "core")),
        (("team", "other"),), (("outcome", "success"), ("team", "other")),
    }  # fmt: skip


def test_a_run_that_fails_reaches_an_otlp_receiver(spark: SparkSession, tmp_path: Path, otlp: Otlp) -> None:
    """The last numbers are sent at its end: with units, as cumulative sums and gauges, of a service with its name."""
    (tmp_path / "p.json").write_text(
        json.dumps({
            "name": "exported",
            "metrics": {"labels": {"team": "core"}, "opentelemetry": {"endpoint": otlp.url}},
            "steps": [
                {"name": "few", "sql": "SELECT id FROM range(3)"},
                {"name": "bad", "call": f"{HERE}:broken", "config": {"password": "hunter2"}},
            ],
        })
    )  # fmt: skip
    with pytest.raises(PipelineError):
        run_pipeline(spark, str(tmp_path / "p.json"), runs=str(tmp_path / "runs"))
    last = otlp.requests[-1]
    assert (last.resource["service.name"], last.headers["content-type"]) == ("exported", "application/x-protobuf")
    own = (("pipeline", "exported"),)
    steps = {
        (("outcome", outcome), *own, ("step", step), ("team", "core")): 1.0
        for step, outcome in (("few", "success"), ("bad", "failed"))
    }
    cumulative = 2  # AGGREGATION_TEMPORALITY_CUMULATIVE
    assert last.numbers["trunkline_steps"] == {
        "unit": "", "told": NUMBERS["steps"].told, "kind": "sum", "temporality": cumulative, "monotonic": True,
        "values": steps,
    }  # fmt: skip
    assert {name: (one["unit"], one["kind"]) for name, one in last.numbers.items()} == {
        "trunkline_steps": ("", "sum"),
        "trunkline_step_retries": ("", "sum"),
        "trunkline_runs": ("", "sum"),
        "trunkline_step_seconds": ("s", "gauge"),
        "trunkline_run_seconds": ("s", "gauge"),
        "trunkline_run_start_timestamp_seconds": ("s", "gauge"),
    }
    assert last.numbers["trunkline_runs"]["values"] == {(("outcome", "failed"), *own, ("team", "core")): 1.0}


def test_every_step_is_counted_once_with_what_became_of_it(spark: SparkSession, tmp_path: Path, otlp: Otlp) -> None:
    """Whether it ended well, was skipped, needed what was skipped, was interrupted, or was never begun."""
    skipped = {"on_failure": "skip"}
    (tmp_path / "p.json").write_text(
        json.dumps({
            "name": "counted",
            "metrics": {"opentelemetry": {"endpoint": otlp.url}},
            "steps": [
                {"name": "few", "sql": "SELECT id FROM range(3)"},
                {"name": "bad", "call": f"{HERE}:broken", "config": {"password": "x"}, **skipped},
                {"name": "lost", "sql": "SELECT * FROM bad"},
                {"name": "spare", "input": "few", "sql": "SELECT * FROM few"},
                {"name": "good", "input": "few", "sql": "SELECT * FROM few", "on_failure": "fallback:spare"},
                {"name": "stopped", "input": "few", "call": f"{HERE}:interrupted"},
                {"name": "out", "write": {"format": "noop", "mode": "append"}},
            ],
        })
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(spark, str(tmp_path / "p.json"), runs=str(tmp_path / "runs"))
    numbers = otlp.requests[-1].numbers
    counted = {dict(labels)["step"]: (dict(labels)["outcome"], value)
               for labels, value in numbers["trunkline_steps"]["values"].items()}  # fmt: skip
    assert counted == {
        "few": ("success", 1.0), "bad": ("skipped", 1.0), "lost": ("skipped", 1.0), "spare": ("not run", 1.0),
        "good": ("success", 1.0), "stopped": ("failed", 1.0), "out": ("not run", 1.0),
    }  # fmt: skip
    # How long it took is only told of one that ran.
    seconds = {dict(labels)["step"] for labels in numbers["trunkline_step_seconds"]["values"]}
    assert seconds == {"few", "bad", "good", "stopped"}


def test_a_collector_gets_a_login_and_is_named_by_the_environment(otlp: Otlp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address may be a reference; what stands before its host is sent as a header, and a path is left alone."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=etl,deployment.environment.name=test")
    monkeypatch.setenv("COLLECTOR", otlp.url.replace("//", "//us%40er:hunter2@") + "/v1/metrics?tenant=7")
    metrics = opened("addressed", opentelemetry={"endpoint": "env:COLLECTOR"})
    assert metrics.close() == []
    assert otlp.paths == ["/v1/metrics?tenant=7"]
    (only,) = otlp.requests
    assert base64.b64decode(only.headers["authorization"].removeprefix("Basic ")) == b"us@er:hunter2"
    found = (only.resource["service.name"], only.resource["deployment.environment.name"])
    assert found == ("etl", "test")


def test_a_collector_that_refuses_is_a_notice_without_a_secret(
    otlp: Otlp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK only logs it, with the URL it was sent to."""
    monkeypatch.setenv("REFUSING", f"{otlp.url}/v1/metrics?key=hunter2")
    monkeypatch.setenv("ABSENT", f"http://:hunter2@127.0.0.1:{free_port()}/v1/metrics?key=hunter2")
    otlp.status = 403
    with caplog.at_level(logging.WARNING):
        (refused,) = opened("refused", opentelemetry={"endpoint": "env:REFUSING"}).close()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1")
        (absent,) = opened("absent", opentelemetry={"endpoint": "env:ABSENT"}).close()
    told = f"metrics: ConnectionError: {otlp.url} did not take the numbers: Failed to export metrics batch code: 403"
    assert refused.startswith(told)
    assert "did not take the numbers: Failed to export metrics batch" in absent
    assert "hunter2" not in refused + absent + caplog.text


@pytest.mark.parametrize(("temporality", "told"), [("cumulative", 0), ("delta", 1), ("LowMemory", 1)])
def test_an_export_that_was_refused_is_told_unless_a_later_one_made_up_for_it(
    otlp: Otlp, monkeypatch: pytest.MonkeyPatch, temporality: str, told: int
) -> None:
    """A cumulative sum tells again what was refused before; a delta does not."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    otlp.status = 403
    metrics = opened("refused", opentelemetry={"endpoint": otlp.url})
    metrics.count("rows_dropped", 3)
    # One export may be under way; the one after it tells of the three.
    seen, deadline = len(otlp.paths), time.monotonic() + 60
    while len(otlp.paths) < seen + 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    otlp.status = 200
    metrics.count("rows_dropped", 2)
    problems = metrics.close()
    sums = [list(one.numbers["trunkline_rows_dropped"]["values"].values()) for one in otlp.requests
            if "trunkline_rows_dropped" in one.numbers]  # fmt: skip
    assert sums[-1] == ([2.0] if told else [5.0])
    assert len(problems) == told
    missed = f"metrics: ConnectionError: {otlp.url} did not take all numbers, and none is sent again: Failed to export"
    assert all(problem.startswith(missed) for problem in problems)


def test_numbers_that_no_meter_provider_takes_are_told() -> None:
    """That of the API, which is there when no other was set, keeps none; one that a program has chosen, may."""
    with pytest.raises(LookupError, match="the process no meter provider: the numbers went nowhere"):
        flush(_ProxyMeterProvider())
    flush(NoOpMeterProvider())


def test_a_gateway_gets_a_login_and_a_dead_one_is_a_notice_without_it(
    fault_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault_server.route("PUT /metrics/*", [{"status": 200}])
    monkeypatch.setenv("GATEWAY", fault_server.url.replace("//", "//me:hunter2@"))
    monkeypatch.setenv("DEAD", f"me:hunter2@127.0.0.1:{free_port()}")
    assert opened("daily", prometheus={"pushgateway": "env:GATEWAY"}).close() == []
    (pushed,) = fault_server.ledger()
    assert (pushed.method, pushed.path) == ("PUT", "/metrics/job/daily")
    assert base64.b64decode(pushed.headers["authorization"].removeprefix("Basic ")) == b"me:hunter2"
    # Without `http://` too.
    opened("plain", prometheus={"pushgateway": fault_server.url.removeprefix("http://")}).close()
    assert [one.path for one in fault_server.ledger()] == ["/metrics/job/daily", "/metrics/job/plain"]
    (problem,) = opened("daily", prometheus={"pushgateway": "env:DEAD"}).close()
    assert problem == "metrics: URLError: <urlopen error [Errno 111] Connection refused>"


def test_a_number_of_ones_own_is_one_thing_and_bears_no_secret(
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels that come and go, and names that Prometheus does not take, do not break a step; a change of kind does."""
    monkeypatch.setenv("TOKEN", "hunter2")
    secrets = PipelineSecrets({})
    secrets.resolved({"token": "env:TOKEN"}, "x")
    port = free_port()
    metrics = opened("own", secrets, prometheus={"port": port})
    metrics.count("rows-odd_total", 2, **{"__reason-1": "late"})
    metrics.count("rows-odd", 3, login="hunter2", pipeline="other")
    with pytest.raises(ValueError, match="rows_odd is a counter already, and cannot be a gauge too"):
        metrics.gauge("rows-odd", 1)
    with pytest.raises(ValueError, match="rows_odd_total is a counter already, and cannot be a gauge too"):
        metrics.gauge("rows_odd_total", 1)
    metrics.count("rows odd total", 1, **{"__reason-1": "late"})
    with pytest.raises(ValueError, match="steps is a counter, which only goes up"):
        metrics.count("steps", -1)
    # At a scrape it would be too late: none of the numbers would be served.
    with pytest.raises(ValueError, match="could not convert string to float: 'many'"):
        metrics.gauge("rows_late", "many")  # type: ignore[arg-type]
    own = ("pipeline", "own")
    prometheus.scrape("own", f"127.0.0.1:{port}")
    assert prometheus.until('trunkline_rows_odd_total{job="own"}') == {
        (own, ("reason_1", "late")): 3.0,
        (("login", "***"), own): 3.0,
    }
    assert metrics.close() == []
    nowhere = Metrics(None, "own")
    nowhere.count("a")
    with pytest.raises(ValueError, match="a is a counter already"):
        nowhere.gauge("a", 1)


def test_what_cannot_be_opened_leaves_nothing_open(otlp: Otlp) -> None:
    port = free_port()
    first = opened("a", prometheus={"port": port})
    with pytest.raises(OptionError, match=f"metrics.prometheus.port {port}: Address already in use"):
        opened("b", opentelemetry={"endpoint": otlp.url}, prometheus={"port": port})
    assert [thread.name for thread in threading.enumerate() if "Otel" in thread.name] == []
    first.close()
    opened("c", prometheus={"port": port}).close()


def test_every_number_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "references" / "observability.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `trunkline_")]
    assert rows == [
        f"| `trunkline_{name}{'_total' if name in COUNTERS else ''}` | "
        f"{', '.join(f'`{label}`' for label in number.labels)} | {number.told} |".replace("|  |", "| |")
        for name, number in (COUNTERS | GAUGES).items()
    ]
