"""What became of a run and of each of its steps: one JSON file, written anew after every step, and a table at the end.

    report = run_pipeline(config_path="users.conf")
    report.outcome                  # "success"
    report.step("out").rows_out     # 1000
    print(report.table())

    runs/users-20260501T010000-1f0c9a/report.json

`resume.py` reads it again: it is all that a later run knows of this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from trunkline.errors import TrunklineError

SUCCESS, FAILED, USAGE, PENDING_APPROVAL, DEGRADED = range(5)
# How much of an error stands in the table; the whole stands in the file.
_SHOWN_ERROR = 400
# Spark hands an error of a task on as text: `trunkline.errors.AuthError: ...`. This is its name, without the module.
RAISED = r"(?:[A-Za-z_]\w*\.)*(?P<name>[A-Za-z_]\w*(?:Error|Exception)): "
# Where that text tells the way through Python, what is wrong stands behind it.
_WAY = "Traceback (most recent call last):"
_CAUSE = re.compile(rf"^{RAISED}(?P<what>.+)", re.MULTILINE)


@dataclass
class StepReport:
    """What became of a step.

    Attributes:
        outcome: `waiting`, `running`, `success`, `failed`, `skipped`, `fallback` (it failed, and another stood in),
            `kept` (an earlier run had finished it), `unused` (a fallback that nobody needed), `pending_approval`,
            `not run`.
        attempts: How often it was run.
        seconds: Of all attempts, with the delays between them.
        rows_in: Rows it took, None where nobody counted them.
        rows_out: Rows it gave or wrote, None where nobody counted them.
        target: Where a write went.
        digest: Of what the file said of it.
        origin: The run after which its write or request is named: the first of those that go on with each other, or
            the one that was told to repeat it.
        fallback: The step whose rows it gave instead.
        http: Of a write to `rest` with `responses`: `requests`, and how many of them were `repeated`. Of a `request`:
            `rows_repeated`, the rows that took more than one try, and `most_tries`. Empty where nobody counted.
        expectations: `{"rule", "severity", "passed", "wrong_rows", "rows", "told"}` for each rule.
    """

    name: str
    kind: str
    outcome: str = "waiting"
    attempts: int = 0
    seconds: float = 0.0
    rows_in: int | None = None
    rows_out: int | None = None
    error: str | None = None
    error_type: str | None = None
    target: str | None = None
    digest: str = ""
    origin: str = ""
    fallback: str | None = None
    http: dict[str, int] = field(default_factory=dict)
    expectations: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Report:
    """What became of a run.

    Attributes:
        outcome: `running`, `success`, `degraded`, `pending_approval` or `failed`.
        failure_type: Of a failed run: `ERROR`, `CONFIGURATION` or `CANCELLED`.
        notices: What went wrong beside the steps: in hooks, notifications, metrics.
        resumed_from: The run that this one goes on with.
        origin: The first of the runs that go on with each other.
    """

    pipeline: str
    run_id: str
    file: str
    started_at: str
    steps: list[StepReport]
    outcome: str = "running"
    failure_type: str | None = None
    finished_at: str | None = None
    seconds: float = 0.0
    resumed_from: str | None = None
    origin: str = ""
    application: str | None = None
    error: str | None = None
    notices: list[str] = field(default_factory=list)

    def step(self, name: str) -> StepReport:
        """The part about one step.

        Raises:
            KeyError: There is no such step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    @property
    def exit_code(self) -> int:
        """Of a process that ran it: 0 success, 1 failed, 2 configuration, 3 pending approval, 4 degraded."""
        if self.outcome == "failed":
            return USAGE if self.failure_type == "CONFIGURATION" else FAILED
        return {"success": SUCCESS, "degraded": DEGRADED, "pending_approval": PENDING_APPROVAL}[self.outcome]

    def json(self) -> str:
        """As it stands in the file."""
        return json.dumps(asdict(self), indent=2, default=str) + "\n"

    def table(self) -> str:
        """For people: a line for each step, then what went wrong."""
        rows = [("STEP", "KIND", "ROWS IN", "ROWS OUT", "SECONDS", "RETRIES", "OUTCOME")]
        for step in self.steps:
            outcome = f"{step.outcome}: {step.fallback}" if step.fallback else step.outcome
            ran = step.attempts > 0
            seconds, retries = (f"{step.seconds:.1f}", str(step.attempts - 1)) if ran else ("-", "-")
            rows.append((step.name, step.kind, _count(step.rows_in), _count(step.rows_out), seconds, retries, outcome))
        lines = [f"{self.pipeline}: {self.outcome} in {self.seconds:.1f} s, run {self.run_id}", "", *aligned(rows)]
        told = [f"{step.name}: {tries}" for step in self.steps if (tries := _tries(step.http))]
        told += [f"{step.name}: {_short(step.error)}" for step in self.steps if step.error]
        for step in self.steps:
            told += [f"{step.name}: {rule['told']}" for rule in step.expectations if not rule["passed"]]
        if self.error and not any(step.error and step.error in self.error for step in self.steps):
            told.append(_short(self.error))
        told = list(dict.fromkeys([*told, *self.notices]))
        return "\n".join([*lines, *([""] if told else []), *told])


class PipelineError(TrunklineError):
    """A pipeline failed; `report` says how far it came.

    Details: `report`.
    """

    report: Report | None = None


def read_report(text: str) -> Report:
    """A report from its file.

    Raises:
        ValueError: It is none.
    """
    try:
        held = json.loads(text)
        steps = [StepReport(**step) for step in held.pop("steps")]
        return Report(steps=steps, **held)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"is no report of a run: {error}") from None


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of a table as lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _count(rows: int | None) -> str:
    return "-" if rows is None else f"{rows:,}"


def _tries(http: Mapping[str, int]) -> str:
    """What a line says of requests to an API; nothing where all is as expected."""
    if http.get("rows_repeated"):
        rows = http["rows_repeated"]
        return f"{rows:,} row{'' if rows == 1 else 's'} took more than one request, at most {http['most_tries']:,}"
    if "requests" in http:
        repeated = f", {http['repeated']:,} of them repeated" if http["repeated"] else ""
        return f"{http['requests']:,} request{'' if http['requests'] == 1 else 's'}{repeated}"
    return ""


def _short(text: str) -> str:
    causes = _CAUSE.findall(text) if _WAY in text else []
    line = " ".join((": ".join(causes[-1]) if causes else text).split())
    return line if len(line) <= _SHOWN_ERROR else line[: _SHOWN_ERROR - 3] + "..."
