"""What Databricks tells of a run, as we tell of it: its state in one of seven words, its job, its key, how it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound
from databricks.sdk.service import jobs

from trunkline.jobs.run import ENDED, Run

# How many ended runs are kept in mind with their error and result, so that lists which are read again and again, as
# streams do, ask for each once.
ENDINGS = 10_000
# Of `result_state`: databricks.sdk.service.jobs.RunResultState.
_RESULTS = {
    "SUCCESS": "SUCCEEDED",
    "SUCCESS_WITH_FAILURES": "SUCCEEDED",
    "FAILED": "FAILED",
    "TIMEDOUT": "TIMED_OUT",
    "CANCELED": "CANCELLED",
    "UPSTREAM_CANCELED": "CANCELLED",
    "EXCLUDED": "CANCELLED",
    "DISABLED": "CANCELLED",
    "MAXIMUM_CONCURRENT_RUNS_REACHED": "FAILED",
    "UPSTREAM_FAILED": "FAILED",
}
# Of `life_cycle_state` and of the newer `status.state`: RunLifeCycleState, RunLifecycleStateV2State.
_LIFE = {
    "QUEUED": "PENDING",
    "PENDING": "PENDING",
    "BLOCKED": "PENDING",
    "WAITING": "PENDING",
    "WAITING_FOR_RETRY": "PENDING",
    "RUNNING": "RUNNING",
    "TERMINATING": "RUNNING",
    "SKIPPED": "CANCELLED",
    "INTERNAL_ERROR": "FAILED",
    "TERMINATED": "FAILED",
}
# Of `status.termination_details.code`, TerminationCodeCode; all others mean FAILED.
_CODES = {
    "SUCCESS": "SUCCEEDED",
    "SUCCESS_WITH_FAILURES": "SUCCEEDED",
    "USER_CANCELED": "CANCELLED",
    "CANCELED": "CANCELLED",
    "SKIPPED": "CANCELLED",
    "DISABLED": "CANCELLED",
}


def with_output(client: WorkspaceClient, base: jobs.Run | jobs.BaseRun) -> Run:
    """A run as we tell of it; error and result are in the output of a task, which has an id of its own."""
    run = _run(base)
    if not run.ended:
        return run
    tasks = base.tasks or []
    failed = [task.run_id for task in tasks if _failed(task)]
    sources = [*failed, *(task.run_id for task in tasks[-1:]), base.run_id]
    result, error = _ending(client, sources[0] or 0, base.end_time)
    told = json.loads(result) if result else {}
    if told.get("status") == "PENDING_APPROVAL":
        return replace(run, state="PENDING_APPROVAL", error=None, result=result)
    if told.get("failure_type") == "DEGRADED" and run.state in {"SUCCEEDED", "FAILED"} and _others_succeeded(tasks):
        # Its exit code, which is not 0, is a failure to Databricks.
        return replace(run, state="SUCCEEDED", state_detail=f"degraded: {run.state_detail}", error=None, result=result)
    return replace(run, result=result, error=(error or run.error) if run.error else None)


def identity(base: jobs.Run | jobs.BaseRun) -> tuple[str | None, str | None]:
    """Module and key of a run that Trunkline started, else the name of the run and None."""
    given: dict[str, str] = {one.name: one.value for one in base.job_parameters or [] if one.name and one.value}
    words: list[str] = []
    if params := base.overriding_parameters:
        given |= params.python_named_params or {}
        given |= params.notebook_params or {}
        words += params.python_params or []
    for task in base.tasks or []:
        if task.python_wheel_task:
            words += task.python_wheel_task.parameters or []
    for word in words:
        name, _, value = word.partition("=")
        given.setdefault(name.removeprefix("--"), value)
    if "run_key" in given and "module_name" in given:
        return given["module_name"], given["run_key"]
    return base.run_name, None


def _failed(task: jobs.RunTask) -> bool:
    result = task.state.result_state if task.state else None
    return result in {jobs.RunResultState.FAILED, jobs.RunResultState.TIMEDOUT}


def _others_succeeded(tasks: Sequence[jobs.RunTask]) -> bool:
    """Whether at most one task of a run did not: none failed beside it, and none was left out because of it."""
    results = [task.state.result_state.value for task in tasks if task.state and task.state.result_state]
    return sum(_RESULTS[result] != "SUCCEEDED" for result in results) <= 1


@lru_cache(maxsize=ENDINGS)
def _ending(
    client: WorkspaceClient,
    run_id: int,
    end_time: int | None,  # noqa: ARG001 - of the key: a run that is repaired ends at another time
) -> tuple[str | None, str | None]:
    """Result and error of an ended run of a task."""
    try:
        output = client.jobs.get_run_output(run_id)
    except (BadRequest, NotFound):
        return None, None  # a kind of task that has no output
    return _result(output), output.error


def _result(output: jobs.RunOutput) -> str | None:
    """The JSON object that a job ended in: a notebook's exit value, or the last line that is one with a status.

    What a script writes on its two outputs is mixed in `logs`, so that line is not always the last.
    """
    if output.notebook_output:
        said = output.notebook_output.result or ""
        return said if _object(said) is not None else None
    lines = (line.strip() for line in reversed((output.logs or "").splitlines()))
    return next((line for line in lines if "status" in (_object(line) or {})), None)


def _object(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found: dict[str, Any] = json.loads(text)
        return found
    except ValueError:
        return None


def _run(base: jobs.Run | jobs.BaseRun) -> Run:
    job, run_key = identity(base)
    state, word, message = _state(base)
    attempts = [base.attempt_number or 0, *(task.attempt_number or 0 for task in base.tasks or [])]
    return Run(
        "databricks",
        job,
        str(base.run_id),
        run_key,
        state=state,
        state_detail=f"{word}: {message}" if message else word,
        started_at=None if state == "PENDING" else _moment(base.start_time),
        ended_at=_moment(base.end_time) if state in ENDED else None,
        attempt=max(attempts) + 1,
        url=base.run_page_url,
        error=(message or word) if state in {"FAILED", "TIMED_OUT"} else None,
    )


def _state(base: jobs.Run | jobs.BaseRun) -> tuple[str, str, str | None]:
    """Our word, Databricks' word and its message; by `state`, which tells time-outs apart, else by `status`."""
    old, new = base.state, base.status
    if old and old.life_cycle_state:
        if old.result_state:
            return _RESULTS[old.result_state.value], old.result_state.value, old.state_message
        return _LIFE[old.life_cycle_state.value], old.life_cycle_state.value, old.state_message
    if new and new.state:
        end = new.termination_details
        if new.state is jobs.RunLifecycleStateV2State.TERMINATED and end and end.code:
            return _CODES.get(end.code.value, "FAILED"), end.code.value, end.message
        return _LIFE[new.state.value], new.state.value, None
    # A word that this SDK does not know yet.
    return ("FAILED" if base.end_time else "RUNNING"), "UNKNOWN", None


def _moment(milliseconds: int | None) -> datetime | None:
    """UTC; the API writes 0 for a time that has not come."""
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc) if milliseconds else None
