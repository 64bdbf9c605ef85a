"""What one step demands beyond the shape of its keys: its kind, its read or write, its expectations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from trunkline.config.tree import Path, near
from trunkline.kinds import duration
from trunkline.pipelines.config import KINDS, Read, Rule, Step, Write
from trunkline.pipelines.ddl_check import ddl_problem
from trunkline.pipelines.planning import FALLBACK
from trunkline.pipelines.problems import none_of
from trunkline.pipelines.spark_names import meant_format

OWN_FORMATS = ("rest", "jobs")

# Spark has no merge of its own: MERGE INTO is what these formats bring.
_MERGING = ("delta", "iceberg", "hudi")
QUARANTINE = "quarantine:"

Problem = tuple[Path, str]


class _Takes(NamedTuple):
    """What a rule takes: what it cannot do without, of what else it needs one at least, and what else it may have.

    Attributes:
        by_row: Whether it is about single rows, so that the wrong ones can be dropped.
        streams: Whether Spark can check it in a stream.
    """

    needs: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    by_row: bool = True
    streams: bool = True


RULES: dict[str, _Takes] = {
    "not_null": _Takes(("column",)),
    "unique": _Takes(("column",), by_row=False, streams=False),
    "one_of": _Takes(("column", "values")),
    "between": _Takes(("column",), ("min", "max")),
    "matches": _Takes(("column", "pattern")),
    "length": _Takes(("column",), ("min", "max")),
    "row_count": _Takes((), ("min", "max"), by_row=False, streams=False),
    "freshness": _Takes(("column", "max_age"), by_row=False, streams=False),
    "condition": _Takes(("condition",)),
    "references": _Takes(("column", "step"), (), ("step_column",), streams=False),
}


def step_problems(path: Path, step: Step, names: Sequence[str] | None) -> Iterator[Problem]:
    """What can be said of a step on its own, and of the names in it.

    Args:
        path: Of the step.
        step: One of the pipeline's.
        names: Of all steps, None where one is not known.
    """
    kinds = kinds_of(step)
    if len(kinds) != 1:
        yield path, f"takes one of {', '.join(KINDS)}: {said_given(kinds)}"
    if step.config and step.call is None:
        yield (*path, "config"), "is for call"
    for key in ("input", "after"):
        for name in getattr(step, key) or ():
            yield from _step_named((*path, key), step, name, names)
    if step.on_failure.startswith(FALLBACK):
        yield from _step_named((*path, "on_failure"), step, step.on_failure.removeprefix(FALLBACK), names)
    elif step.on_failure not in {"fail", "skip"}:
        yield (*path, "on_failure"), _none_of(step.on_failure, ("fail", "skip", "fallback:STEP"))
    if step.retry is not None and step.retry.max_delay < step.retry.initial_delay:
        yield (*path, "retry", "max_delay"), "is shorter than initial_delay"
    for at, rule in enumerate(step.expect or ()):
        yield from _rule((*path, "expect", at), step, rule, names)
    if step.read is not None:
        yield from _read((*path, "read"), step, step.read)
    if step.request is not None:
        yield from _schema((*path, "request"), step.request.schema_)
    if step.write is not None:
        yield from _write((*path, "write"), step.write)


def kinds_of(step: Step) -> list[str]:
    """What a step is: one of six, if it is right."""
    return [kind for kind in KINDS if getattr(step, kind) is not None]


def said_given(names: Sequence[str]) -> str:
    """What a message says of how many there are."""
    return f"{' and '.join(names)} are given" if names else "none is given"


def _none_of(given: str, choices: Sequence[str]) -> str:
    return none_of("", given, choices, ", ".join(choices)).removeprefix(": ").lstrip()


def _step_named(path: Path, step: Step, name: str, names: Sequence[str] | None) -> Iterator[Problem]:
    if name == step.name:
        yield path, "names the step itself"
    elif names is not None and name not in names:
        guess = near(name, [other for other in names if other != step.name])
        yield path, f"there is no step {name}" + (f": did you mean {guess}?" if guess else "")


def _rule(path: Path, step: Step, rule: Rule, names: Sequence[str] | None) -> Iterator[Problem]:
    takes = RULES[rule.rule]
    # A limit may be anything, also what cannot be looked up in a set.
    unset = [None, ()]
    given = {
        name for name in Rule.model_fields if name not in {"rule", "severity"} and getattr(rule, name) not in unset
    }
    for name in takes.needs:
        if name not in given:
            yield path, f"{rule.rule} needs {name}"
    if takes.one_of and not given & set(takes.one_of):
        yield path, f"{rule.rule} needs {' or '.join(takes.one_of)}"
    for name in sorted(given - {*takes.needs, *takes.one_of, *takes.may}):
        yield (*path, name), f"is not for the rule {rule.rule}"
    if rule.rule != "unique" and len(rule.column) > 1:
        yield (*path, "column"), f"{rule.rule} is about one column: write a rule for each"
    if rule.rule in {"length", "row_count"}:
        for name in ("min", "max"):
            bound = getattr(rule, name)
            if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool) or bound < 0):
                yield (*path, name), "must be a whole number, 0 or more"
    else:
        for name in ("min", "max"):
            if isinstance(getattr(rule, name), (list, tuple, dict)):
                yield (*path, name), "must be one value"
    if rule.step is not None:
        yield from _step_named((*path, "step"), step, rule.step, names)
    dropping = rule.severity == "drop" or rule.severity.startswith(QUARANTINE)
    if rule.severity not in {"fail", "warn", "drop"} and not rule.severity.removeprefix(QUARANTINE).strip():
        yield (*path, "severity"), "quarantine needs a path: quarantine:/data/rejected"
    elif rule.severity not in {"fail", "warn"} and not dropping:
        yield (*path, "severity"), _none_of(rule.severity, ("fail", "warn", "drop", "quarantine:PATH"))
    if dropping and not takes.by_row:
        yield (*path, "severity"), f"{rule.rule} is about all rows together: it can fail or warn"


def _read(path: Path, step: Step, read: Read) -> Iterator[Problem]:
    if step.input:
        yield (*path[:-1], "input"), "a read takes no rows: `after` makes it wait"
    if read.table and (read.path or read.format):
        yield (*path, "table"), "is given beside path or format: a table knows its own"
    if not read.table and not read.format:
        yield path, "needs format or table"
    if read.table and read.schema_:
        yield (*path, "schema"), "a table has its own"
    yield from _schema(path, read.schema_)
    yield from _format(path, read.format)


def _schema(path: Path, schema: str | None) -> Iterator[Problem]:
    if schema and (wrong := ddl_problem(schema)):
        yield (*path, "schema"), wrong


def _format(path: Path, name: str | None) -> Iterator[Problem]:
    if name and (meant := meant_format(name, OWN_FORMATS)):
        yield (*path, "format"), f"there is no format {name}: did you mean {meant}?"


def _write(path: Path, write: Write) -> Iterator[Problem]:
    yield from _format(path, write.format)
    own = write.format in OWN_FORMATS
    if write.table and write.path:
        yield (*path, "table"), "is given beside path: a write has one target"
    if not write.table and not write.format:
        yield path, "needs format or table"
    if own and write.mode not in {None, "append"}:
        yield (*path, "mode"), f"{write.format} can only append"
    if own and write.table:
        yield (*path, "table"), f"{write.format} writes to no table"
    if own and write.partition_by:
        yield (*path, "partition_by"), f"{write.format} makes no folders"
    if write.mode == "merge" and not write.merge_keys:
        yield (*path, "mode"), "merge needs merge_keys"
    if write.merge_keys and write.mode != "merge":
        yield (*path, "merge_keys"), "is for mode = merge"
    if write.mode == "merge" and write.format not in {*_MERGING, None}:
        yield (*path, "merge_keys"), f"{write.format} cannot merge: {', '.join(_MERGING)} can, or a table of one"
    if write.trigger is not None and write.trigger != "available_now":
        try:
            duration(write.trigger)
        except ValueError:
            yield (*path, "trigger"), "is neither available_now nor a duration such as 10s"
