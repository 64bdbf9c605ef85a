"""What a step demands of a run: streams, which never have all rows, and writes that may be repeated."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.config.tree import Path
from trunkline.pipelines.config import Pipeline, Step, Write
from trunkline.pipelines.step_checks import QUARANTINE, RULES, Problem

# Streaming sinks that Spark lets go without a checkpoint.
_WITHOUT_CHECKPOINT = ("console", "memory", "noop")
CHECKPOINTS = "spark.sql.streaming.checkpointLocation"
# Formats that show the rows of a write at its end, all or none; and `jobs`, whose keys start a run once.
_AT_ONCE = ("parquet", "orc", "avro", "csv", "json", "text", "xml", "delta", "iceberg", "hudi", "jobs", "noop")


def running_problems(
    pipeline: Pipeline, path: Path, step: Step, streams: set[str], doubtful: set[str]
) -> Iterator[Problem]:
    """What a run could not do, or not do as it is meant.

    Args:
        pipeline: The whole.
        path: Of the step.
        step: One of its steps.
        streams: The names of those whose rows are a stream.
        doubtful: The names of those of which that is not known.
    """
    streaming = step.name in streams
    for name in (streams & set(step.after)) - doubtful - {step.name}:
        write = next(other.write for other in pipeline.steps if other.name == name)
        if write is None or write.trigger != "available_now":
            yield (*path, "after"), f"{name} is a stream, which ends only as a write with trigger = available_now"
    if step.name in doubtful:
        return
    if streaming and step.kind != "write":
        yield from _unguarded(path, step)
    for number, rule in enumerate(step.expect or ()):
        if streaming and not RULES[rule.rule].streams:
            yield (*path, "expect", number), f"{rule.rule} needs all rows, and a stream never has them all"
        elif streaming and rule.severity.startswith(QUARANTINE):
            yield (*path, "expect", number, "severity"), "a stream has no quarantine: fail, warn or drop"
    write = step.write
    if write is None:
        return
    below = (*path, "write")
    if step.retry is not None and not streaming:
        yield from _repeated(path, write)
    if write.stream is not None and write.stream != streaming:
        yield (
            (*below, "stream"),
            f"its input is {'a stream' if streaming else 'no stream: set stream = true on its read'}",
        )
    elif not streaming:
        for key in ("trigger", "checkpoint", "output_mode"):
            if getattr(write, key) is not None:
                yield (*below, key), "is for streams, and the input is none: set stream = true on its read"
    else:
        if write.mode not in {None, "append", "merge"}:
            yield (*below, "mode"), f"a stream cannot {write.mode}: see output_mode"
        if not write.checkpoint and write.format not in _WITHOUT_CHECKPOINT and CHECKPOINTS not in pipeline.spark.conf:
            yield below, "a stream needs checkpoint, a folder that knows how far it is"


def _unguarded(path: Path, step: Step) -> Iterator[Problem]:
    """A step of a stream only plans; what it plans runs in the query of the write."""
    for key in ("retry", "timeout", "breaker"):
        if getattr(step, key) is not None:
            yield (*path, key), "is for the write of a stream: what comes before runs there"
    if step.on_failure != "fail":
        yield (*path, "on_failure"), "is for the write of a stream: what comes before runs there"


def _repeated(path: Path, write: Write) -> Iterator[Problem]:
    """An append that is repeated after it failed must not find rows of its own."""
    if write.mode in {"overwrite", "merge"} or write.table or write.format in _AT_ONCE:
        return
    if write.format != "rest":
        yield (*path, "retry"), f"a write of {write.format} that fails may leave rows, which another run would double"
    elif "responses" not in {key.lower() for key in write.options}:
        yield (
            (*path, "retry"),
            "a second run would send rows again: give responses, by which it skips what was accepted",
        )
