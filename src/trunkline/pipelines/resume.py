"""Going on with a run that did not end well: what it finished is not done again.

    former = read_run("runs", "last", "users")
    keep = finished(planned, former, digests)

What is kept: a `write` of a batch that ended well, and all that only such writes need. The rows of reads, queries,
calls and requests are nowhere; those that a later step needs are made anew. A write that was begun, and of which nobody
saw the end, may have been done: it is repeated where that cannot double rows (`overwrite`, `merge`, a checkpoint, a
response log, the keys of `jobs`), and refused where it can.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.errors import OptionError
from trunkline.jobs.files import read_text, shown
from trunkline.pipelines.config import Step
from trunkline.pipelines.planning import Planned
from trunkline.pipelines.report import Report, StepReport, read_report
from trunkline.pipelines.steps import mode_of

# Steps whose end was seen, and was good.
_DONE = ("success", "kept")
# Outcomes of runs with which nobody need go on.
_WELL = ("success", "degraded")
_LONGEST_NAME = 50
# Steps that were never begun.
_UNTOUCHED = ("waiting", "not run", "unused")


@dataclass(frozen=True)
class Resume:
    """Which run to go on with, and what to do about writes of which nobody saw the end.

    Attributes:
        run: Its id, `last`, or `auto`: the last if there is one and it did not end well.
        repeat: Writes to be done again, though that may double rows.
        done: Writes to be taken for done.
    """

    run: str
    repeat: tuple[str, ...] = ()
    done: tuple[str, ...] = ()


def digest(step: Step) -> str:
    """Of all that a file says of a step: a write that was changed since was not done."""
    return hashlib.sha256(step.model_dump_json(by_alias=True).encode()).hexdigest()[:16]


def slug(name: str) -> str:
    """The name of a pipeline, as a part of its runs'."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:_LONGEST_NAME] or "pipeline"


def read_former(runs: str, resume: Resume | None, pipeline: str) -> Report | None:
    """The report of the run to go on with; none where all is done from the beginning.

    Raises:
        OptionError: The run that is named is not there, or it is another pipeline's.
    """
    if resume is None:
        return None
    if resume.run != "auto":
        return read_run(runs, resume.run, pipeline)
    last = _last(runs, pipeline)
    former = read_run(runs, last, pipeline) if last else None
    if former is not None and former.outcome not in _WELL:
        return former
    if resume.done:
        raise OptionError(f"resume: no run of {pipeline} in {shown(runs)} is unfinished: nothing can be taken for done")
    return None


def read_run(runs: str, which: str, pipeline: str) -> Report:
    """The report of a run.

    Args:
        runs: The folder or URI that holds the runs.
        which: The id of a run, or `last`.
        pipeline: Whose runs.

    Raises:
        OptionError: There is none, or it is another pipeline's.
    """
    name = which if which != "last" else _last(runs, pipeline)
    if name is None:
        raise OptionError(f"resume: there is no run of {pipeline} in {shown(runs)}")
    uri = f"{runs.rstrip('/')}/{name}/report.json"
    if re.fullmatch(r"[\w.-]+", name) is None:
        raise OptionError(f"resume: {name!r} is no id of a run")
    try:
        report = read_report(read_text(uri))
    except OptionError:
        raise OptionError(f"resume: there is no run {name} in {shown(runs)}") from None
    except ValueError as error:
        raise OptionError(f"resume: {shown(uri)} {error}") from None
    if report.pipeline != pipeline:
        raise OptionError(f"resume: {name} is a run of {report.pipeline}, not of {pipeline}")
    return report


def newest(runs: str, former: Report) -> Report:
    """The last of the runs that go on with each other, of which this is one: it knows what all of them finished.

    It is the one that no other goes on with: names hold the times of different machines, whose clocks may differ. Of a
    step that its file did not have, or that it did not come to, it tells what the last one does that had begun it: what
    was done then is done all the same. It does not where it was told to repeat the step.
    """
    from trunkline.pipelines.claims import claimed

    names = claimed(runs, former.origin or former.run_id)
    reports = [read_run(runs, name, former.pipeline) for name in names if _has_report(runs, name)]
    continued = {report.resumed_from for report in reports}
    last = [report for report in reports if report.run_id not in continued]
    if not last:
        return former
    found, by_id = last[-1], {report.run_id: report for report in reports}
    steps, earlier = {step.name: step for step in found.steps}, found.resumed_from
    while earlier in by_id:
        before = by_id.pop(earlier)
        for step in before.steps:
            later = steps.get(step.name)
            if later is None or (not _begun(later) and later.origin == step.origin):
                steps[step.name] = step
        earlier = before.resumed_from
    found.steps = list(steps.values())
    return found


def finished(
    planned: Sequence[Planned],
    former: Report,
    repeat: Collection[str] = (),
    done: Collection[str] = (),
) -> set[str]:
    """The steps that are not run again.

    Args:
        planned: In order.
        former: The run that is gone on with.
        repeat: Writes to be done again, though that may double rows.
        done: Writes to be taken for done, though nobody saw their end.

    Raises:
        OptionError: A write may have been done, and doing it again may double rows. Says how to go on.
    """
    names = {one.step.name for one in planned}
    for name in (*repeat, *done):
        if name not in names:
            raise OptionError(f"resume: there is no step {name}")
    before = {step.name: step for step in former.steps}
    keep: set[str] = set()
    changed: set[str] = set()
    problems = []
    for one in planned:
        name, earlier = one.step.name, before.get(one.step.name)
        if earlier is None or earlier.digest != digest(one.step) or changed & {*one.inputs}:
            changed.add(name)
        if name in done:
            keep.add(name)
        elif earlier is None or one.step.kind != "write" or one.streaming:
            continue
        elif earlier.outcome in _DONE and earlier.digest == digest(one.step) and name not in repeat:
            keep.add(name)
        elif _begun(earlier) and name not in repeat:
            problems += _danger(one, earlier, changed=name in changed)
    if problems:
        raise OptionError(f"resume: {former.run_id} cannot simply go on", problems)
    # From the end: what no later step that runs takes rows of, and was done, is not needed.
    needed: set[str] = set()
    for one in reversed(planned):
        name, earlier = one.step.name, before.get(one.step.name)
        unchanged = earlier is not None and earlier.outcome in _DONE and earlier.digest == digest(one.step)
        if name in needed:
            # The rows that a write passes on are those it took: these are made anew, the write is not.
            needed.update(one.inputs)
            needed.update(rule.step for rule in one.step.expect or () if rule.step)
        elif name in keep:
            continue
        elif unchanged and not one.streaming and one.step.kind != "write":
            keep.add(name)
        else:
            needed.update(one.inputs)
            needed.update(rule.step for rule in one.step.expect or () if rule.step)
    return keep


def run_name(step: Step, run_id: str) -> dict[str, Any]:
    """The option that names a write or request, so that one that is made again knows what was done.

    That is `runId` of a response log, and `writeId` of `jobs`.

    Args:
        step: One of the pipeline's.
        run_id: Its `origin`, as its report has it.
    """
    part = step.request or step.write
    if part is None:
        return {}
    held = _lower(part.options)
    # The name of a run is at most 128 characters long.
    name = step.name if len(step.name) <= _LONGEST_NAME else hashlib.sha256(step.name.encode()).hexdigest()[:12]
    made = f"{run_id}-{name}"
    if step.write is not None and step.write.format == "jobs":
        return {"writeId": made} if "writeid" not in held else {}
    logged = step.request is not None or (step.write is not None and step.write.format == "rest")
    return {"runId": made} if logged and "responses" in held and "runid" not in held else {}


def _begun(earlier: StepReport) -> bool:
    """Whether a step was begun; one that was skipped because another gave nothing was not."""
    return earlier.outcome not in _UNTOUCHED and (earlier.outcome != "skipped" or earlier.attempts > 0)


def _danger(one: Planned, earlier: StepReport, *, changed: bool) -> list[str]:
    """What to say of a write that may have been done, if doing it again could double or lose rows.

    Args:
        one: The write.
        earlier: What became of it.
        changed: Whether the file says something else by now, of it or of a step whose rows it takes.
    """
    part = one.step.write
    mode = mode_of(part) if part else ""
    if part is None or mode in {"overwrite", "merge"} or "responses" in _lower(part.options):
        return []
    # Where its rows may be is in its report, without secrets; the file may say another place by now.
    name, where = one.step.name, earlier.target
    if earlier.outcome == "running":
        told = "was begun and its end was not seen"
    elif earlier.outcome in _DONE:
        told = "was done, and the file has changed since"
    else:
        told = "failed, and some of it may be there"
    cure = f"look there, then say --done {name} if it is complete, or clean up and say --repeat {name}"
    if mode == "ignore":
        return [f"{name} ({where}, mode ignore) {told}: done again, it would leave half of the rows as all: {cure}"]
    if part.format == "jobs":
        if not changed:
            # Its rows have the keys that they had: what was started is not started again.
            return []
        if earlier.outcome not in _DONE:
            told += ", and the file has changed since"
        return [f"{name} ({where}) {told}: done again, runs could be started twice: {cure}"]
    if mode == "append":
        return [f"{name} ({where}, mode append) {told}: done again, rows could be there twice: {cure}"]
    # Spark itself refuses, if anything is there.
    return []


def _last(runs: str, pipeline: str) -> str | None:
    from pyarrow import fs

    from trunkline.responses import locate

    location = locate(runs)
    found = location.files.get_file_info(fs.FileSelector(location.path, allow_not_found=True))
    # The id of a run ends in its time and a random part.
    name = re.compile(re.escape(slug(pipeline)) + r"-\d{8}T\d{9}-[0-9a-f]{6}")
    own = sorted((info.base_name for info in found if name.fullmatch(info.base_name)), reverse=True)
    for run in own:
        if _has_report(runs, run):
            return str(run)
    return None


def _has_report(runs: str, name: str) -> bool:
    """Whether a run came so far; one that was killed at once, or refused, has done nothing."""
    from trunkline.responses import locate

    location = locate(f"{runs.rstrip('/')}/{name}/report.json")
    return bool(location.files.get_file_info(location.path).is_file)


def _lower(options: Mapping[str, Any]) -> set[str]:
    return {key.lower() for key in options}
