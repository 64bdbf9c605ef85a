"""Everything that a run needs and that can be made, and refused, before Spark starts."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from trunkline.errors import OptionError
from trunkline.jobs.files import shown, write_text
from trunkline.pipelines.calls import Loaded, load_with_secrets
from trunkline.pipelines.checks import read_with_environment
from trunkline.pipelines.claims import Claim
from trunkline.pipelines.config import Pipeline
from trunkline.pipelines.hooks import Audit, Hooks, notifications, now
from trunkline.pipelines.logs import cleaned, open_log
from trunkline.pipelines.metrics import Metrics
from trunkline.pipelines.observability import Notify
from trunkline.pipelines.option_checks import unknown_options
from trunkline.pipelines.own_code import put_on_path
from trunkline.pipelines.planning import Planned, plan
from trunkline.pipelines.report import Report, StepReport
from trunkline.pipelines.resume import Resume, digest, finished, newest, read_former, slug
from trunkline.pipelines.secrets import PipelineSecrets
from trunkline.pipelines.steps import target_of


@dataclass
class Prepared:
    """A run before it begins.

    Attributes:
        keep: Steps that an earlier run finished.
        calls: The user's code of each `call`.
        claim: That this process is at the run, and no other.
        stopped: What told the process to end, if something did.
        awaiting: Whether streams are awaited now: they are ended in order.
        lost: That another process has taken this one for dead, told so.
    """

    pipeline: Pipeline
    planned: tuple[Planned, ...]
    secrets: PipelineSecrets
    keep: set[str]
    report: Report
    folder: str
    calls: dict[str, Loaded]
    metrics: Metrics
    logger: Any
    hooks: Hooks
    audit: Audit
    tellers: list[tuple[Notify, Any]]
    claim: Claim
    stopped: list[str] = field(default_factory=list)
    awaiting: bool = False
    lost: str | None = None

    @property
    def first(self) -> Planned:
        """The step that is given the rows that the pipeline is called with: the first that takes none."""
        own = {one.step.name: one for one in self.planned}
        return next(own[step.name] for step in self.pipeline.steps if not own[step.name].inputs)

    @property
    def file(self) -> str:
        """Where the report is."""
        return f"{self.folder}/{self.report.run_id}/report.json"

    def breaker_file(self, step: str) -> str:
        """Where the failures in a row of a step are remembered."""
        return f"{self.folder}/breakers/{slug(self.pipeline.name)}/{step}.json"

    def stopping(self) -> bool:
        """Whether the process was told to end."""
        return bool(self.stopped)

    def save(self) -> None:
        """Write the report as it is now: whoever goes on with this run finds no more than this."""
        write_text(self.file, self.report.json())

    def notice(self, text: str) -> None:
        """Tell what went wrong beside the steps."""
        text = self.secrets.clean(text)
        self.report.notices.append(text)
        self.logger.warning(text)

    def tell(self, event: str, step: str | None, said: Mapping[str, Any]) -> None:
        """Write an event into the log and the audit trail."""
        failed = event == "on_failure"
        where = {"step": step} if step else {}
        getattr(self.logger, "error" if failed else "info")(event, **where, **_given(said))
        self.audit.tell(event, **where, **_given(said))


def prepare(
    config_path: str,
    overrides: Mapping[str, Any] | Sequence[str],
    runs: str,
    resume: Resume | None,
    log: str,
    environment: Mapping[str, str] | None = None,
) -> Prepared:
    """Read, check and plan a pipeline, load the user's code, claim the run, find what is finished, write the report.

    Raises:
        OptionError: Something is wrong; nothing has been done.
        MissingExtraError: A package is not installed.
        RunInProgressError: Another process is at the run that is to be gone on with.
    """
    pipeline, taken = read_with_environment(config_path, overrides, environment)
    planned = plan(pipeline)
    former = read_former(runs, resume, pipeline.name)
    secrets = PipelineSecrets(pipeline.secrets)
    whole = pipeline.model_dump(by_alias=True, exclude={"secrets"}, exclude_unset=True)
    secrets.know(whole, taken)
    began = datetime.now(timezone.utc)
    stamp = began.strftime("%Y%m%dT%H%M%S") + f"{began.microsecond // 1000:03d}"
    run_id = f"{slug(pipeline.name)}-{stamp}-{randomness.token_hex(3)}"
    report = Report(
        pipeline=pipeline.name,
        run_id=run_id,
        file=shown(config_path),
        started_at=now(),
        steps=[
            StepReport(
                one.step.name,
                one.step.kind,
                target=secrets.clean(target_of(one.step.write)) if one.step.write else None,
                digest=digest(one.step),
            )
            for one in planned
        ],
        origin=(former.origin or former.run_id) if former else run_id,
    )
    logger = open_log(log, secrets.clean, pipeline=pipeline.name, run_id=run_id)
    put_on_path(config_path)
    calls = {
        one.step.name: load_with_secrets(one.step.call, one.step.config, f"steps.{one.step.name}", secrets)
        for one in planned
        if one.step.call is not None
    }

    def notice(text: str) -> None:
        prepared.notice(text)

    folder = runs.rstrip("/") or "/"
    beside = f"{folder}/{run_id}/audit.jsonl"
    if pipeline.audit is not None and pipeline.audit.path is not None:
        beside = f"{pipeline.audit.path.rstrip('/')}/{run_id}.jsonl"
    facts = {"pipeline": pipeline.name, "run_id": run_id, "file": report.file}
    prepared = Prepared(
        pipeline=pipeline,
        planned=planned,
        secrets=secrets,
        keep=set(),
        report=report,
        folder=folder,
        calls=calls,
        hooks=Hooks(pipeline.hooks, secrets, notice),
        tellers=notifications(pipeline, secrets),
        logger=logger,
        audit=Audit(beside if pipeline.audit is not None else None, secrets.clean, notice, **facts),
        metrics=Metrics(pipeline.metrics, pipeline.name, secrets),
        claim=Claim(folder, report.origin, run_id),
    )
    for sentence in unknown_options(pipeline):
        prepared.notice(sentence)
    try:
        _claimed(prepared, resume, former)
    except BaseException:
        prepared.metrics.close(ran=False)
        raise
    return prepared


def _claimed(prepared: Prepared, resume: Resume | None, former: Report | None) -> None:
    """Claim the run, take over what is finished, and write the first report."""
    report = prepared.report
    origins: dict[str, str] = {}
    repeat = resume.repeat if resume else ()
    try:
        prepared.claim.take()
        try:
            if resume and former:
                # Only now does nobody else go on with it.
                former = newest(prepared.folder, former)
                report.resumed_from = former.run_id
                prepared.keep = finished(prepared.planned, former, repeat, resume.done)
                origins = {step.name: step.origin for step in former.steps}
            for step in report.steps:
                step.origin = report.run_id if step.name in repeat else origins.get(step.name) or report.origin
            for name in prepared.keep:
                # From the first report on: this run may be killed before it comes to the step.
                report.step(name).outcome = "kept"
            prepared.save()
        except BaseException:
            prepared.claim.withdraw()
            raise
    except OSError as error:
        raise OptionError(
            f"the report cannot be written to {shown(prepared.folder)}: {error.strerror or error}"
        ) from None


def _given(said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: cleaned(value, str) for key, value in said.items() if value is not None}
