"""What a run would do, before it does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trunkline.pipelines.checks import read_with_environment
from trunkline.pipelines.planning import plan
from trunkline.pipelines.report import aligned
from trunkline.pipelines.resume import Resume, finished, newest, read_former
from trunkline.pipelines.secrets import PipelineSecrets
from trunkline.pipelines.steps import mode_of, target_of


def shown_plan(
    config_path: str,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    runs: str = "runs",
    resume: Resume | None = None,
) -> str:
    """What a run would do, as a table. Nothing is started, nothing is looked up, no code of the user's is loaded.

    Raises:
        OptionError: Something is wrong with the file, or the run cannot be gone on with.
    """
    pipeline, taken = read_with_environment(config_path, overrides, code=True)
    planned = plan(pipeline)
    former = read_former(runs, resume, pipeline.name)
    if former is not None:
        former = newest(runs, former)
    keep = finished(planned, former, resume.repeat, resume.done) if resume and former else set()
    rows = [("STEP", "KIND", "ROWS OF", "AFTER", "TARGET", *(["THEN"] if former else []))]
    for one in planned:
        after = [name for name in one.needs if name not in one.inputs]
        kind = f"{one.step.kind}, stream" if one.streaming else one.step.kind
        part = one.step.write
        target = target_of(part) if part else "-"
        target += f" ({mode_of(part)})" if part and not one.streaming else ""
        then = [("kept" if one.step.name in keep else "run")] if former else []
        rows.append((one.step.name, kind, ", ".join(one.inputs) or "-", ", ".join(after) or "-", target, *then))
    secrets = PipelineSecrets(pipeline.secrets)
    secrets.know(pipeline.model_dump(by_alias=True, exclude={"secrets"}, exclude_unset=True), taken)
    count = f"{len(planned)} step{'s' if len(planned) > 1 else ''}"
    goes_on = f", going on with {former.run_id}" if former else ""
    return secrets.clean("\n".join([f"{pipeline.name}: {count}{goes_on}", "", *aligned(rows)]))
