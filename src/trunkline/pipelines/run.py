"""Running a pipeline.

    from trunkline.pipelines import run_pipeline

    report = run_pipeline(config_path="users.conf", overrides=["vars.root=/tmp/data"])
    report.step("out").rows_out

On the command line it is `trunkline run users.conf --override vars.root=/tmp/data`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from trunkline.errors import MissingExtraError, OptionError, TrunklineError
from trunkline.pipelines.attempts import end_jobs, tag_jobs, untag_jobs
from trunkline.pipelines.hooks import notify, now
from trunkline.pipelines.metrics import ended
from trunkline.pipelines.option_checks import foreign_options
from trunkline.pipelines.prepared import Prepared, prepare
from trunkline.pipelines.report import PipelineError, Report
from trunkline.pipelines.resume import Resume
from trunkline.pipelines.secrets import hidden, hiding, revealed
from trunkline.pipelines.settings import configured, restored
from trunkline.pipelines.signals import TerminatedError, heard, unheard_by_children
from trunkline.pipelines.spark_names import unknown_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from trunkline.pipelines.runner import Runner

_TOLD = "the process was told to end"
# How long Spark gets to end the jobs of a run that was told to end.
_ENDING = 30


def run_pipeline(
    spark: SparkSession | None = None,
    config_path: str = "",
    source_df: DataFrame | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    runs: str = "runs",
    resume: str | Resume | None = None,
    log: str = "console",
) -> Report:
    """Run a pipeline file. It is checked and planned whole before Spark starts.

        report = run_pipeline(spark, "users.yaml", source_df=df)

    Args:
        spark: Default: the session of this place, else one made as the file says. No master is set unless the file
            names one.
        config_path: A path or URI; `.conf`, `.hocon`, `.yaml`, `.yml` or `.json`.
        source_df: Rows for the first step that takes none; instead of those it would read.
        overrides: `["vars.root=/tmp"]`, or the same as a mapping.
        runs: A folder or URI for reports and what later runs need to know.
        resume: Go on with a run: its id, `last`, or `auto`, the last if there is one and it did not end well.
        log: `console` or `json`, on standard error.

    Returns:
        The report of a run whose outcome is `success`, `degraded` or `pending_approval`.

    Raises:
        OptionError: The file, the overrides or the run to go on with are wrong; Spark was not started.
        MissingExtraError: A package is not installed.
        RunInProgressError: Another process is at the run to go on with.
        PipelineError: A step failed; its `report` says how far the run came.
    """
    wanted = Resume(resume) if isinstance(resume, str) else resume
    prepared = prepare(config_path, overrides, runs, wanted, log)
    try:
        return _run(prepared, spark, source_df)
    finally:
        if prepared.lost is None:
            # What stays claimed counts as dead when this process is gone.
            with suppress(OSError, TrunklineError):
                prepared.claim.release()


def _run(prepared: Prepared, spark: SparkSession | None, source_df: DataFrame | None) -> Report:
    report = prepared.report
    began = time.monotonic()
    cause: BaseException | None = None
    runner: Runner | None = None

    def lost(told: str) -> None:
        if prepared.lost is None:
            prepared.lost = told
            prepared.stopped.append(told)
        if runner is not None:
            # Each time: the step that runs may begin one job after the other. A Spark that is gone runs none.
            with suppress(Exception):
                end_jobs(runner.work.spark, report.run_id)

    def told() -> None:
        """Streams end after their micro-batch, and any other step where it is."""
        prepared.stopped.append(_TOLD)
        if not prepared.awaiting:
            raise TerminatedError

    prepared.tell("before_pipeline", None, {"resumed_from": report.resumed_from, "steps": len(report.steps)})
    try:
        with heard(told), prepared.claim.kept(lost, prepared.notice):
            runner = _begun(prepared, spark, source_df)
            prepared.hooks.tell("before_pipeline", context=runner.work.context())
            runner.run()
    except (TerminatedError, KeyboardInterrupt, SystemExit) as error:
        prepared.stopped.append(_TOLD)
        report.outcome, report.failure_type, report.error = "failed", "CANCELLED", _TOLD
        cause = error
    except Exception as error:  # noqa: BLE001 - told as the failure of the run
        wrong = isinstance(error, (OptionError, MissingExtraError))
        report.outcome, report.failure_type = "failed", "CONFIGURATION" if wrong else "ERROR"
        report.error = runner.said(error) if runner else prepared.secrets.clean(str(error))
        cause = error
    report.seconds = time.monotonic() - began
    _settled(prepared)
    _closed(prepared, runner, cause)
    if isinstance(cause, (KeyboardInterrupt, SystemExit)):
        raise cause
    if report.outcome == "failed":
        raise PipelineError(f"{report.pipeline} failed: {report.error}", report=report)
    return report


def _begun(prepared: Prepared, spark: SparkSession | None, source: DataFrame | None) -> Runner:
    from trunkline import register
    from trunkline.pipelines.runner import Runner
    from trunkline.session import get_spark

    given = prepared.pipeline.spark
    if source is None and prepared.first.step.kind in {"request", "expect", "write"}:
        raise OptionError(f"steps.{prepared.first.step.name} takes rows, and there are none: give source_df")
    conf = prepared.secrets.resolved(given.conf, "spark.conf") | hiding(foreign_options(prepared.pipeline), given.conf)
    if spark is None and not given.remote:
        spark = _active()
    if spark is None:
        places = {"spark.master": given.master, "spark.remote": given.remote}
        set_by_name = {name: text for name, text in places.items() if text}
        with unheard_by_children():
            spark = get_spark(given.app_name, set_by_name | hidden(given.conf, conf))
        former: dict[str, str | None] = {}
    else:
        former = configured(spark, revealed(conf), prepared.notice)
    try:
        register(spark)
        for sentence in unknown_settings(spark, conf):
            prepared.notice(sentence)
        prepared.report.application = _application(spark)
        tag_jobs(spark, prepared.report.run_id)
        return Runner(prepared, spark, source, former)
    except BaseException:
        restored(spark, former, prepared.notice)
        raise


def _settled(prepared: Prepared) -> None:
    """The outcome, once no step runs any more."""
    report = prepared.report
    for step in report.steps:
        if step.outcome == "running":
            step.outcome, step.error = "failed", step.error or report.error
        elif step.outcome == "waiting":
            step.outcome = "unused" if report.outcome == "running" and not prepared.stopped else "not run"
    if report.outcome == "running":
        left = any(step.outcome == "not run" for step in report.steps)
        degraded = any(step.outcome in {"skipped", "fallback"} for step in report.steps)
        report.outcome = "failed" if left else "degraded" if degraded else "success"
        if left:
            report.failure_type, report.error = "CANCELLED", prepared.stopped[0]
    if prepared.lost is not None:
        # What a step says that was ended for it is no more than that.
        report.outcome, report.failure_type, report.error = "failed", "CANCELLED", prepared.lost
    report.finished_at = now()


def _closed(prepared: Prepared, runner: Runner | None, cause: BaseException | None) -> None:
    """Tell of the end, let go of what was held, and write the report."""
    report = prepared.report
    # At once too: who is told to end may be killed while others are told.
    with suppress(OSError):
        prepared.save()
    said = {"outcome": report.outcome, "seconds": round(report.seconds, 3), "error_message": report.error}
    prepared.tell("after_pipeline", None, said)
    if runner is not None:
        prepared.hooks.tell("after_pipeline", context=runner.work.context(), report=report)
        # A call to the JVM that was interrupted leaves its connection, which belongs to the thread, unfit for another.
        ending = threading.Thread(target=_let_go, args=(runner, prepared, cause is not None), daemon=True)
        ending.start()
        ending.join(_ENDING)
        if not isinstance(cause, (TerminatedError, KeyboardInterrupt)):
            untag_jobs(runner.work.spark, report.run_id)
    ended(prepared.metrics, report)
    for problem in [*prepared.metrics.close(), *notify(prepared.tellers, report, prepared.secrets.redactor)]:
        prepared.notice(problem)
    try:
        prepared.save()
    except OSError as error:
        prepared.notice(f"the report cannot be written: {error.strerror or error}")


def _let_go(runner: Runner, prepared: Prepared, interrupted: bool) -> None:
    try:
        runner.work.close(ending=interrupted)
    except Exception as error:  # noqa: BLE001 - a session that is gone holds nothing
        prepared.notice(f"what Spark kept for the run was not let go: {type(error).__name__}")


def _active() -> SparkSession | None:
    """The session that is there, also for a thread in which none was used before."""
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        # `get_spark` says what is missing.
        return None
    try:
        found = SparkSession.active()
    except PySparkException:
        return None
    context = getattr(found, "_sc", None)
    # One whose context was stopped behind its back is remembered all the same.
    stopped = context is not None and getattr(context, "_jsc", None) is None
    return None if stopped else found


def _application(spark: SparkSession) -> str | None:
    context = getattr(spark, "_sc", None)
    return None if context is None else str(context.applicationId)
