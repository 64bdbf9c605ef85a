"""The jobs and runs of a workspace of the Databricks double, as the test makes and sets them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

_OVER = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")
# What the newer field `status` says for each word of `state`.
_NEWER = {"TERMINATED": "TERMINATED", "SKIPPED": "TERMINATED", "INTERNAL_ERROR": "TERMINATED"}
_CODES = {
    "SUCCESS": "SUCCESS",
    "SUCCESS_WITH_FAILURES": "SUCCESS_WITH_FAILURES",
    "CANCELED": "USER_CANCELED",
    "TIMEDOUT": "CANCELED",
    "MAXIMUM_CONCURRENT_RUNS_REACHED": "MAX_CONCURRENT_RUNS_EXCEEDED",
    "DISABLED": "DISABLED",
    "EXCLUDED": "SKIPPED",
    "UPSTREAM_FAILED": "SKIPPED",
    "UPSTREAM_CANCELED": "SKIPPED",
}

Json = dict[str, Any]


class Workspace:
    """Jobs, runs, and what each look at a run does to it.

    Args:
        url: Of the workspace.
        script: States that a new run goes through, one with each look at it: `["PENDING", "RUNNING", "SUCCESS"]`.

    Attributes:
        runs: Every run by its id, as the API tells of it; without those that were deleted.
        jobs: Every job by its id.
        outputs: Of ended runs, by their ids.
    """

    def __init__(self, url: str, script: Sequence[str]) -> None:
        self.url = url
        self.script = list(script)
        self.runs: dict[int, Json] = {}
        self.jobs: dict[int, Json] = {}
        self.outputs: dict[int, Json] = {}
        self._left: dict[int, list[str]] = {}
        self._last = 100
        self._clock = int(time.time() * 1000)

    def add_job(self, name: str, **settings: Any) -> int:
        """A job with these settings (`tasks`, `parameters`, `max_concurrent_runs`, `queue`); its id."""
        job_id = len(self.jobs) + 1
        self.jobs[job_id] = {"job_id": job_id, "settings": {"name": name, **settings}}
        return job_id

    def add_run(self, name: str = "run", started: int | None = None, **fields: Any) -> int:
        """A run that nobody asked this API for, PENDING; its id."""
        self._last += 1
        self._clock += 1
        run_id = self._last
        task = {"task_key": "main", "run_id": run_id * 1000, "attempt_number": 0, **fields.pop("task", {})}
        self.runs[run_id] = {
            "run_id": run_id,
            "job_run_id": run_id,
            "run_name": name,
            "run_type": "SUBMIT_RUN",
            "start_time": self._clock if started is None else started,
            "end_time": 0,
            "attempt_number": 0,
            "run_page_url": f"{self.url}/#job/1/run/{run_id}",
            "tasks": [task],
            **fields,
        }
        self._left[run_id] = list(self.script)
        self.set_state(run_id, "PENDING")
        return run_id

    def set_state(self, run_id: int, life_cycle: str, result: str | None = None, message: str = "") -> None:
        """Put a run into a state, in `state` and in `status`."""
        run = self.runs[run_id]
        state = {"life_cycle_state": life_cycle, "state_message": message}
        status: Json = {"state": _NEWER.get(life_cycle, life_cycle)}
        if result:
            state["result_state"] = result
        if life_cycle in _OVER:
            code = _CODES.get(result or "", "RUN_EXECUTION_ERROR")
            status["termination_details"] = {"code": code, "type": "CLIENT_ERROR", "message": message}
            run["end_time"] = run["start_time"] + 1000
        run |= {"state": state, "status": status}
        for task in run["tasks"]:
            task["state"] = dict(state)

    def finish(
        self,
        run_id: int,
        result: str = "SUCCESS",
        *,
        message: str = "",
        error: str | None = None,
        logs: str | None = None,
        notebook: str | None = None,
    ) -> None:
        """End a run, with the output of its task."""
        life_cycle = result if result == "INTERNAL_ERROR" else "TERMINATED"
        self.set_state(run_id, life_cycle, None if result == "INTERNAL_ERROR" else result, message)
        output = {"error": error, "logs": logs, "notebook_output": None if notebook is None else {"result": notebook}}
        self.outputs[run_id] = {name: value for name, value in output.items() if value is not None}

    def look(self, run: Json) -> None:
        """Take a run that has not ended a step on in its script."""
        left = self._left[run["run_id"]]
        if left and not is_over(run):
            step = left.pop(0)
            if step in {"PENDING", "RUNNING", "QUEUED", "BLOCKED", "TERMINATING"}:
                self.set_state(run["run_id"], step)
            else:
                self.finish(run["run_id"], step)


def is_over(run: Json) -> bool:
    """Whether a run has ended."""
    return run["state"]["life_cycle_state"] in _OVER
