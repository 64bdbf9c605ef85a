"""One run: its steps in order, what becomes of each, and who is told."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trunkline.errors import MissingExtraError, OptionError
from trunkline.pipelines.attempts import BreakerOpenError, StepBreaker, delay_before, within, worth_another
from trunkline.pipelines.calls import PendingApprovalError
from trunkline.pipelines.metrics import measured
from trunkline.pipelines.planning import FALLBACK, Planned, asked_of, only_fallbacks
from trunkline.pipelines.prepared import Prepared
from trunkline.pipelines.report import StepReport
from trunkline.pipelines.streams import ROWS, Running
from trunkline.pipelines.work import Work

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# An error of Spark's goes on with the frames of the JVM, and quotes whole plans.
_JVM = "JVM stacktrace:"
_LONGEST_ERROR = 4_000
# How often it is looked, in the delay before another attempt, whether the run is to end.
_LOOK = 0.5
_GOOD = ("success", "kept", "fallback")


class Runner:
    """Runs the steps of a pipeline.

    Args:
        prepared: All that was made ready before Spark.
        spark: The session.
        source: The rows that the first step is given.
        former: What stood in the session's configuration before.
    """

    def __init__(
        self, prepared: Prepared, spark: SparkSession, source: DataFrame | None, former: Mapping[str, str | None]
    ) -> None:
        self._given = prepared
        self._planned = {one.step.name: one for one in prepared.planned}
        self._breakers = {
            one.step.name: StepBreaker(one.step.breaker, prepared.breaker_file(one.step.name))
            for one in prepared.planned
            if one.step.breaker
        }
        self.work = Work(prepared, spark, source, former)
        self._on_demand = only_fallbacks(prepared.planned)
        self._over = False

    def run(self) -> None:
        """All steps. What became of them is in the report."""
        for one in self._given.planned:
            self._wait(one.step.after)
            if self._ending():
                break
            if one.step.name not in self._on_demand:
                self._step(one)
        self._wait(None)

    def _wait(self, names: tuple[str, ...] | None) -> None:
        """Until the queries of these steps have ended; of all, for None. A step that failed ends all of them."""
        self._given.awaiting = bool(self.work.streams.running)
        self.work.streams.wait(names, self._ended, lambda: self._over)
        self._given.awaiting = False

    def _step(self, one: Planned) -> None:
        name = one.step.name
        report = self._given.report.step(name)
        if name in self._given.keep:
            report.outcome = "kept"
            measured(self._given.metrics, report)
            if one.step.kind == "write" and (rows := self.work.taken(one)):
                self.work.give(name, rows[0])
        elif missing := [need for need in asked_of(one) if not self._good(need)]:
            report.outcome, report.error = "skipped", f"needs {missing[0]}, which gave nothing"
            measured(self._given.metrics, report)
            self._told("after_step", name, outcome="skipped", because=report.error)
        else:
            self._attempts(one, report)

    def _good(self, name: str) -> bool:
        outcome = self._given.report.step(name).outcome
        return outcome in _GOOD or (outcome == "running" and name in self.work.streams.running)

    def _attempts(self, one: Planned, report: StepReport) -> None:
        """Run a step, again if it may be; what became of it is in its report."""
        name, step = one.step.name, one.step
        if report.attempts == 0:
            report.outcome, report.rows_in = "running", self._rows_in(one)
            self._given.save()
            self._told("before_step", name, kind=step.kind, target=report.target)
        began = time.monotonic()
        while True:
            report.attempts += 1
            error: Exception | None = None
            try:
                if name in self._breakers:
                    self._breakers[name].check()
                # A query runs on when its step is done; how long it may take is seen to where it is awaited.
                timeout = None if one.streaming else step.timeout
                df = within(timeout, self.work.spark, self._given.report.run_id, lambda: self.work.once(one, report))
            except Exception as raised:  # noqa: BLE001 - whatever it is, the report tells it
                error = raised
            report.seconds += time.monotonic() - began
            if error is None:
                if df is not None:
                    self.work.give(name, df)
                if name not in self.work.streams.running:
                    self._succeeded(one, report, df)
                return
            if not self._again(one, report, error):
                return
            began = time.monotonic()

    def _again(self, one: Planned, report: StepReport, error: Exception) -> bool:
        """Whether to run a step once more, after the delay; else it has failed."""
        name, retry = one.step.name, one.step.retry
        if name in self._breakers and not isinstance(error, (BreakerOpenError, PendingApprovalError)):
            self._breakers[name].saw(failed=True)
        more = retry is not None and report.attempts < retry.max_attempts and worth_another(error, retry)
        if retry is None or not more or self._ending():
            self._failed(one, report, error)
            return False
        delay = delay_before(retry, report.attempts + 1)
        facts = {"error": error, "attempt": report.attempts, "delay": delay}
        self._told("on_retry", name, error_type=type(error).__name__, attempt=report.attempts, facts=facts)
        until = time.monotonic() + delay
        while not self._ending() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK))
        if self._ending():
            self._failed(one, report, error)
            return False
        report.seconds += delay
        return True

    def _ending(self) -> bool:
        """Whether nothing more is begun."""
        return self._over or self._given.stopping()

    def _succeeded(self, one: Planned, report: StepReport, result: DataFrame | None) -> None:
        name = one.step.name
        if name in self._breakers:
            self._breakers[name].saw(failed=False)
        report.outcome, report.error, report.error_type = "success", None, None
        if not one.streaming and (one.step.kind in {"write", "expect"} or name in self.work.eager):
            made = [*self.work.ancestors(name), name]
            for found, numbers in self.work.counting.arrived(made).items():
                self._given.report.step(found).rows_out = numbers["rows"]
            self.work.tell_tries(made)
            rows_in = self._rows_in(one)
            report.rows_in = report.rows_out if one.step.kind == "write" else report.rows_in or rows_in
        measured(self._given.metrics, report)
        facts = {"result": result}
        self._told("after_step", name, outcome="success", rows=report.rows_out, seconds=report.seconds, facts=facts)
        self._given.save()

    def _failed(self, one: Planned, report: StepReport, error: Exception) -> None:
        """A step failed for good: fail, skip it, or take the rows of another."""
        name, way = one.step.name, one.step.on_failure
        report.error, report.error_type = self.said(error), type(error).__name__
        report.outcome = "pending_approval" if isinstance(error, PendingApprovalError) else "failed"
        if report.outcome == "pending_approval":
            self._given.report.outcome, self._over = "pending_approval", True
            self._given.report.error = f"{name}: {report.error}"
        elif way.startswith(FALLBACK):
            other = way.removeprefix(FALLBACK)
            if other in self._on_demand and not self._ending():
                self._on_demand.discard(other)
                self._step(self._planned[other])
            if not self._over and self._given.report.step(other).outcome in _GOOD:
                report.outcome, report.fallback = "fallback", other
                if other in self.work.frames:
                    self.work.give(name, self.work.frames[other])
                report.rows_out = self._given.report.step(other).rows_out
        elif way == "skip":
            report.outcome = "skipped"
        measured(self._given.metrics, report)
        self._told("on_failure", name, outcome=report.outcome, error_message=report.error, facts={"error": error})
        if report.outcome == "failed" and not self._over:
            self._over = True
            self._given.report.outcome = "failed"
            self._given.report.error = f"{name}: {report.error}"
            configured = isinstance(error, (OptionError, MissingExtraError))
            self._given.report.failure_type = "CONFIGURATION" if configured else "ERROR"
        self._given.save()

    def _ended(self, running: Running, error: Exception | None) -> None:
        """A query ended, well or not."""
        one = self._planned[running.name]
        report = self._given.report.step(running.name)
        report.rows_in = running.rows_in
        report.rows_out = running.observed(ROWS, "rows")
        for name in self.work.ancestors(running.name):
            for number, result in enumerate(self._given.report.step(name).expectations):
                wrong = running.observed(f"trunkline_{name}", f"wrong{number}")
                rows = running.observed(f"trunkline_{name}", "rows")
                if wrong is None or rows is None:
                    told = f"how many rows are not as expected is not told over Connect: {result['said']}"
                else:
                    told = f"{wrong:,} of {rows:,} rows are not as expected: {result['said']}"
                result.update(rows=rows, wrong_rows=wrong, passed=wrong == 0, told=told)
        if error is None:
            self._succeeded(one, report, None)
        elif self._again(one, report, error):
            self._attempts(one, report)

    def _rows_in(self, one: Planned) -> int | None:
        counts = [self._given.report.step(name).rows_out for name in one.inputs]
        known = [count for count in counts if count is not None]
        return sum(known) if known and len(known) == len(counts) else None

    def _told(self, event: str, step: str, facts: Mapping[str, Any] | None = None, **said: Any) -> None:
        """Tell of an event of a step: hooks all facts, the log and the audit trail what can be written down."""
        self._given.tell(event, step, said)
        context = self.work.context(step)
        self._given.hooks.tell(event, step=step, step_name=step, context=context, **(facts or {}))

    def said(self, error: BaseException) -> str:
        """An error as the report tells it: without secrets, and without the frames of the JVM."""
        return self._given.secrets.clean(str(error).partition(_JVM)[0].strip() or type(error).__name__)[:_LONGEST_ERROR]
