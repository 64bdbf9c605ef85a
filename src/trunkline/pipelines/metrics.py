"""Numbers about a run, for Prometheus and for OpenTelemetry.

    metrics = Metrics(pipeline.metrics, "daily", secrets)
    metrics.count("rows_dropped", 3, reason="late")     # trunkline_rows_dropped_total{pipeline="daily", reason="late"}
    metrics.gauge("lag_seconds", 1.5)
    metrics.close()                                     # what could not be told, as sentences

What is served on the port, in the text format of Prometheus or of OpenMetrics, as the scraper asks:

    # HELP trunkline_step_seconds How long a step took, with its retries.
    # TYPE trunkline_step_seconds gauge
    trunkline_step_seconds{pipeline="daily",step="out"} 2.8

The names of our own numbers stand in `NUMBERS`. OpenTelemetry gets the same without `_total`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from trunkline.errors import MissingExtraError
from trunkline.pipelines import observability
from trunkline.pipelines.receivers import LASTING, exporting, flush, push, serve
from trunkline.pipelines.report import Report, StepReport
from trunkline.pipelines.secrets import PipelineSecrets, revealed

_NEEDS = "metrics need {}: pip install 'trunkline[metrics]'"
# Units by the end of a name, as Prometheus writes them, and as OpenTelemetry does (UCUM).
_UNITS = {"seconds": "s", "bytes": "By"}
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


class Number(NamedTuple):
    """One of our own numbers.

    Attributes:
        labels: Beside `pipeline` and those of the file.
        told: What it says.
    """

    labels: tuple[str, ...]
    told: str


COUNTERS = {
    "steps": Number(
        ("step", "outcome"),
        "Steps by what became of them in this run: each is counted once, also if it was not run.",
    ),
    "step_retries": Number(("step",), "Runs of a step after its first."),
    "runs": Number(("outcome",), "1 for the outcome of this run."),
}
GAUGES = {
    "step_seconds": Number(("step",), "How long a step took, with its retries."),
    "step_rows": Number(("step", "direction"), "Rows that went in and out of a step, where they were counted."),
    "run_start_timestamp_seconds": Number((), "When the run began, in seconds since 1970."),
    "run_seconds": Number((), "How long the run took."),
    LASTING: Number((), "When a run last ended in success, in seconds since 1970."),
}
NUMBERS = COUNTERS | GAUGES
# Labels that a file cannot give: ours, and those that Prometheus gives to a target.
OWN_LABELS = {"pipeline", "job", "instance", *(label for number in NUMBERS.values() for label in number.labels)}


class Metrics:
    """Counters and gauges of one run; without a configuration they go nowhere.

    Args:
        given: `metrics { }` of the file.
        pipeline: Its name, a label of every number.
        secrets: Of the run: addresses may be references, and no label shows a secret.

    Attributes:
        measured: The steps whose end has been told.

    Raises:
        MissingExtraError: A library is not installed.
        OptionError: The port is taken, or a reference points to nothing.
    """

    def __init__(
        self, given: observability.Metrics | None, pipeline: str, secrets: PipelineSecrets | None = None
    ) -> None:
        self._secrets = secrets or PipelineSecrets({})
        self._own = {name: self._secrets.clean(text) for name, text in given.labels.items()} if given else {}
        self._pipeline = pipeline
        self.measured: set[str] = set()
        self._kinds = {**dict.fromkeys(COUNTERS, "counter"), **dict.fromkeys(GAUGES, "gauge")}
        self._values: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        self._lock = threading.Lock()
        self._wanted = given is not None and (given.prometheus or given.opentelemetry) is not None
        self._pushing: list[Callable[[], object]] = []
        self._closing: list[Callable[[], object]] = []
        self._instruments: dict[str, Any] = {}
        self._meter: Any = None
        try:
            if given is not None and given.opentelemetry is not None:
                self._open_opentelemetry(given.opentelemetry)
            if given is not None and given.prometheus is not None:
                self._open_prometheus(given.prometheus)
        except Exception:
            self.close(ran=False)
            raise
        self.gauge("run_start_timestamp_seconds", time.time())

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter, which begins at 0 with each run.

        Raises:
            ValueError: The amount is negative or no number, or a gauge has this name.
        """
        if amount < 0:
            message = f"{name} is a counter, which only goes up: use gauge"
            raise ValueError(message)
        self._tell("counter", name, amount, labels)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a number that goes up and down.

        Raises:
            ValueError: The value is no number, or a counter has this name.
        """
        self._tell("gauge", name, value, labels)

    def close(self, *, ran: bool = True) -> list[str]:
        """Push what there is, and stop serving; what went wrong.

        Args:
            ran: Whether the run has begun; else the push gateway keeps what it has of the run before.
        """
        problems = []
        for closing in [*(self._pushing if ran else ()), *self._closing]:
            try:
                closing()
            except Exception as error:  # noqa: BLE001 - numbers that cannot be told do not change the run
                problems.append(self._secrets.clean(f"metrics: {type(error).__name__}: {error}"))
        self._pushing, self._closing = [], []
        return problems

    def _tell(self, kind: str, name: str, value: float, labels: Mapping[str, str]) -> None:
        name = _NO_NAME.sub("_", name)
        # Prometheus adds `_total` to a counter: a gauge of that name would be the same series.
        bare = name.removesuffix("_total")
        if self._kinds.setdefault(bare, kind) != kind:
            message = f"{name} is a {self._kinds[bare]} already, and cannot be a {kind} too"
            raise ValueError(message)
        name = bare if kind == "counter" else name
        # Here, where the step that tells it learns of it: at a scrape it would cost all numbers.
        float(value)
        if not self._wanted:
            return
        given = {_label(key): self._secrets.clean(str(text)) for key, text in labels.items()}
        held = {**self._own, **given, "pipeline": self._pipeline}
        key = tuple(sorted(held.items()))
        with self._lock:
            series = self._values.setdefault(name, {})
            series[key] = series.get(key, 0) + value if kind == "counter" else value
        if self._meter is not None:
            if name not in self._instruments:
                make = self._meter.create_counter if kind == "counter" else self._meter.create_gauge
                self._instruments[name] = make(f"trunkline_{name}", _unit(name, _UNITS), _told(name))
            instrument = self._instruments[name]
            instrument.add(value, held) if kind == "counter" else instrument.set(value, held)

    def _open_prometheus(self, given: observability.Prometheus) -> None:
        try:
            import prometheus_client  # noqa: F401 - whether it is there
        except ImportError:
            raise MissingExtraError(_NEEDS.format("prometheus-client")) from None
        if given.pushgateway is not None:
            gateway = self._address(given.pushgateway, "metrics.prometheus.pushgateway")
            self._pushing.append(lambda: push(gateway, self._pipeline, self._own, list(self._families())))
        if given.port is not None:
            self._closing += serve(given.port, self._families)

    def _families(self) -> Iterator[Any]:
        """Each number with its series. A label that only some of them have is empty for the others."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        with self._lock:
            held = {name: dict(series) for name, series in self._values.items()}
        for name, series in held.items():
            labels = sorted({label for key in series for label, _ in key})
            family = CounterMetricFamily if self._kinds.get(name) == "counter" else GaugeMetricFamily
            made = family(
                f"trunkline_{name}", _told(name), labels=labels, unit=_unit(name, {one: one for one in _UNITS})
            )
            for key, value in series.items():
                found = dict(key)
                made.add_metric([found.get(label, "") for label in labels], value)
            yield made

    def _open_opentelemetry(self, given: observability.OpenTelemetry) -> None:
        try:
            from opentelemetry import metrics
        except ImportError:
            raise MissingExtraError(_NEEDS.format("opentelemetry-api")) from None
        provider: Any = metrics.get_meter_provider()
        if given.endpoint is not None:
            endpoint = self._address(given.endpoint, "metrics.opentelemetry.endpoint")
            provider, closing = exporting(endpoint, self._pipeline, self._secrets.clean)
            self._closing.append(closing)
        else:
            # At the end: a hook or a step may have set it.
            self._closing.append(lambda: flush(metrics.get_meter_provider()))
        self._meter = provider.get_meter("trunkline.pipelines")

    def _address(self, text: str, path: str) -> str:
        where, _, key = path.rpartition(".")
        found: str = revealed(self._secrets.resolved({key: text}, where))[key]
        return found


def measured(metrics: Metrics, step: StepReport) -> None:
    """The numbers of a step of which nothing more will become; told once."""
    if step.name in metrics.measured:
        return
    metrics.measured.add(step.name)
    metrics.count("steps", 1, outcome=step.outcome, step=step.name)
    if step.attempts == 0:
        return
    metrics.count("step_retries", max(step.attempts - 1, 0), step=step.name)
    metrics.gauge("step_seconds", step.seconds, step=step.name)
    for direction, rows in (("in", step.rows_in), ("out", step.rows_out)):
        if rows is not None:
            metrics.gauge("step_rows", rows, direction=direction, step=step.name)


def flowing(metrics: Metrics, step: str, rows_in: int, rows_out: int | None) -> None:
    """The rows of a stream so far; None where nobody counts them."""
    metrics.gauge("step_rows", rows_in, direction="in", step=step)
    if rows_out is not None:
        metrics.gauge("step_rows", rows_out, direction="out", step=step)


def ended(metrics: Metrics, report: Report) -> None:
    """The numbers of a run that has ended, and of the steps that it did not come to or that ended with it."""
    for step in report.steps:
        measured(metrics, step)
    metrics.count("runs", 1, outcome=report.outcome)
    metrics.gauge("run_seconds", report.seconds)
    if report.outcome == "success":
        metrics.gauge(LASTING, time.time())


def _told(name: str) -> str:
    return NUMBERS[name].told if name in NUMBERS else "Told by a step of the pipeline."


def _unit(name: str, units: Mapping[str, str]) -> str:
    return units.get(name.rpartition("_")[2], "")


def _label(name: str) -> str:
    """A name that Prometheus takes: two underscores at the beginning are its own."""
    found = _NO_NAME.sub("_", name).lstrip("_") or "label"
    return f"_{found}" if found[0].isdigit() else found
