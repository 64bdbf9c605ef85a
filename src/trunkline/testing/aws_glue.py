"""A double of Glue's calls that start and follow runs of jobs."""

from __future__ import annotations

import itertools
import time
from typing import Any

from trunkline.testing.aws_wire import Json, RefusedError, page
from trunkline.testing.platform_api import Asked

GLUE_A_PAGE = 200
_GLUE_ACTIVE = ("STARTING", "RUNNING", "STOPPING", "WAITING")


class GlueDouble:
    """Jobs and their runs.

    Attributes:
        glue: The runs of each Glue job, oldest first.
    """

    def __init__(self) -> None:
        self.glue: dict[str, list[Json]] = {}
        self._most: dict[str, int] = {}
        self._glue_ids = itertools.count(1)

    def add_job(self, name: str, most: int = 1000) -> None:
        """A Glue job that may have so many runs at the same time."""
        self.glue[name], self._most[name] = [], most

    def add_glue(self, name: str, started: float | None = None, **fields: Any) -> str:
        """A run of a Glue job; its id."""
        run_id = f"jr_{next(self._glue_ids)}"
        began = time.time() if started is None else started
        self.glue[name].append(
            {"Id": run_id, "Attempt": 0, "JobName": name, "StartedOn": began, "JobRunState": "STARTING", **fields}
        )
        return run_id

    def set_glue(self, run_id: str, state: str, message: str | None = None) -> None:
        """Put a Glue run into a state."""
        run = next(one for runs in self.glue.values() for one in runs if one["Id"] == run_id)
        run["JobRunState"] = state
        if message is not None:
            run["ErrorMessage"] = message
        if state not in _GLUE_ACTIVE:
            run["CompletedOn"] = run["StartedOn"] + 1

    def _glue_job(self, asked: Asked) -> list[Json]:
        name = asked.json["JobName"]
        if name not in self.glue:
            raise RefusedError("EntityNotFoundException", f"Failed to start job run due to missing metadata: {name}")
        return self.glue[name]

    def _glue_start(self, asked: Asked) -> Json:
        runs, name = self._glue_job(asked), asked.json["JobName"]
        if sum(run["JobRunState"] in _GLUE_ACTIVE for run in runs) >= self._most[name]:
            raise RefusedError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
        return {"JobRunId": self.add_glue(name, Arguments=asked.json.get("Arguments", {}))}

    def _glue_get(self, asked: Asked) -> Json:
        for run in self._glue_job(asked):
            if run["Id"] == asked.json["RunId"]:
                return {"JobRun": run}
        raise RefusedError("EntityNotFoundException", f"Job run {asked.json['RunId']} not found.")

    def _glue_runs(self, asked: Asked) -> Json:
        newest = sorted(self._glue_job(asked), key=lambda run: run["StartedOn"])[::-1]
        return page(newest, asked.json, "JobRuns", GLUE_A_PAGE)

    def _glue_stop(self, asked: Asked) -> Json:
        runs = {run["Id"]: run for run in self._glue_job(asked)}
        good, bad = [], []
        for run_id in asked.json["JobRunIds"]:
            about = {"JobName": asked.json["JobName"], "JobRunId": run_id}
            if run_id not in runs:
                bad.append({**about, "ErrorDetail": {"ErrorCode": "JobRunNotFound", "ErrorMessage": "no such run"}})
            elif runs[run_id]["JobRunState"] not in _GLUE_ACTIVE:
                detail = {"ErrorCode": "JobRunInTerminalState", "ErrorMessage": "has ended"}
                bad.append({**about, "ErrorDetail": detail})
            else:
                self.set_glue(run_id, "STOPPED")
                good.append(about)
        return {"SuccessfulSubmissions": good, "Errors": bad}
