"""Numbers about a run, by the libraries of Prometheus and OpenTelemetry.

    trunkline_steps_total{pipeline, step, outcome}      how often a step ended so
    trunkline_step_retries_total{pipeline, step}
    trunkline_step_seconds{pipeline, step}              of the last run of the step
    trunkline_step_rows{pipeline, step, direction}      in, out
    trunkline_runs_total{pipeline, outcome}
    trunkline_run_seconds{pipeline}

OpenTelemetry gets the same under the same names, without `_total`. Steps of the user's add their own:
`context.metrics.count("rows_dropped", 3)` is `trunkline_rows_dropped_total`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from trunkline.errors import MissingExtraError, OptionError
from trunkline.pipelines import config
from trunkline.pipelines.report import StepReport

_NEEDS = "metrics need {}: pip install 'trunkline[metrics]'"
_PUSH_TIMEOUT = 10


class Metrics:
    """Counters and gauges of one run; without a configuration they go nowhere.

    Args:
        given: `metrics { }` of the file.
        pipeline: Its name, a label of every number.
        pushgateway: Its address, with secrets looked up.

    Raises:
        MissingExtraError: A library is not installed.
        OptionError: The port is taken.
    """

    def __init__(self, given: config.Metrics | None, pipeline: str) -> None:
        self._labels = {**(given.labels if given else {}), "pipeline": pipeline}
        self._prometheus = given.prometheus if given else None
        self._pipeline = pipeline
        self._made: dict[str, Any] = {}
        self._closing: list[Callable[[], object]] = []
        self._registry: Any = None
        self._meter: Any = None
        if self._prometheus is not None:
            self._open_prometheus(self._prometheus)
        if given is not None and given.opentelemetry is not None:
            self._open_opentelemetry(given.opentelemetry)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter, which begins at 0 with each run."""
        self._tell("Counter", name, amount, labels)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a number that goes up and down."""
        self._tell("Gauge", name, value, labels)

    def close(self) -> list[str]:
        """Push what there is, and stop serving; what went wrong."""
        problems = []
        for closing in self._closing:
            try:
                closing()
            except Exception as error:  # noqa: BLE001 - numbers that cannot be told do not change the run
                problems.append(f"metrics: {type(error).__name__}: {error}")
        self._closing = []
        return problems

    def _tell(self, kind: str, name: str, value: float, labels: Mapping[str, str]) -> None:
        name = "trunkline_" + re.sub(r"\W", "_", name)
        held = {**self._labels, **labels}
        if self._registry is not None:
            import prometheus_client

            key = f"prometheus {name}"
            if key not in self._made:
                made = getattr(prometheus_client, kind)
                self._made[key] = made(name, name.replace("_", " "), sorted(held), registry=self._registry)
            found = self._made[key].labels(**held)
            found.inc(value) if kind == "Counter" else found.set(value)
        if self._meter is not None:
            key = f"opentelemetry {name}"
            if key not in self._made:
                made = self._meter.create_counter if kind == "Counter" else self._meter.create_gauge
                self._made[key] = made(name)
            found = self._made[key]
            found.add(value, held) if kind == "Counter" else found.set(value, held)

    def _open_prometheus(self, given: config.Prometheus) -> None:
        try:
            import prometheus_client
        except ImportError:
            raise MissingExtraError(_NEEDS.format("prometheus-client")) from None
        self._registry = prometheus_client.CollectorRegistry()
        if given.port is not None:
            try:
                server, thread = prometheus_client.start_http_server(given.port, registry=self._registry)
            except OSError as error:
                raise OptionError(f"metrics.prometheus.port {given.port}: {error.strerror}") from None
            self._closing += [server.shutdown, server.server_close, thread.join]
        if given.pushgateway is not None:
            gateway = given.pushgateway
            self._closing.insert(
                0,
                lambda: prometheus_client.pushadd_to_gateway(
                    gateway, job=self._pipeline, registry=self._registry, timeout=_PUSH_TIMEOUT
                ),
            )

    def _open_opentelemetry(self, given: config.OpenTelemetry) -> None:
        try:
            from opentelemetry import metrics
        except ImportError:
            raise MissingExtraError(_NEEDS.format("opentelemetry-api")) from None
        provider: Any = metrics.get_meter_provider()
        if given.endpoint is not None:
            try:
                from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # type: ignore[import-not-found, unused-ignore]
                    OTLPMetricExporter,
                )
                from opentelemetry.sdk.metrics import MeterProvider
                from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
            except ImportError:
                install = "pip install opentelemetry-exporter-otlp-proto-http"
                raise MissingExtraError(f"metrics.opentelemetry.endpoint needs the exporter: {install}") from None
            provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=given.endpoint))])
            self._closing.append(provider.shutdown)
        elif hasattr(provider, "force_flush"):
            self._closing.append(provider.force_flush)
        self._meter = provider.get_meter("trunkline.pipelines")


def measured(metrics: Metrics, step: StepReport) -> None:
    """The numbers of a step that has ended."""
    metrics.count("steps", 1, outcome=step.outcome, step=step.name)
    metrics.count("step_retries", max(step.attempts - 1, 0), step=step.name)
    metrics.gauge("step_seconds", step.seconds, step=step.name)
    for direction, rows in (("in", step.rows_in), ("out", step.rows_out)):
        if rows is not None:
            metrics.gauge("step_rows", rows, direction=direction, step=step.name)
