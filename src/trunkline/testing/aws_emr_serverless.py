"""A double of EMR Serverless' calls that start and follow the runs of applications."""

from __future__ import annotations

import itertools
import time
from datetime import datetime
from typing import Any

from trunkline.testing.aws_wire import Json, RefusedError
from trunkline.testing.platform_api import Asked

RUNS_A_PAGE = 50
_RUN_ENDED = ("SUCCESS", "FAILED", "CANCELLED")

# What a list tells of a run of EMR Serverless: JobRunSummary in botocore's model.
_SUMMARY = (
    "applicationId", "arn", "attempt", "createdAt", "createdBy", "executionRole", "mode", "name", "releaseLabel",
    "state", "stateDetails", "type", "updatedAt",
)  # fmt: skip


class EmrServerlessDouble:
    """Applications and their runs.

    Attributes:
        runs: The runs of each application, oldest first.
    """

    def __init__(self) -> None:
        self.runs: dict[str, list[Json]] = {}
        self._run_ids = itertools.count(1)
        self._tokens: dict[str, str] = {}

    def add_run(self, application: str, created: float | None = None, **fields: Any) -> str:
        """A run of an application; its id."""
        run_id = f"{next(self._run_ids):016d}"
        at = created or time.time()
        arn = f"arn:aws:emr-serverless:us-east-1:123456789012:/applications/{application}/jobruns/{run_id}"
        run = {"applicationId": application, "jobRunId": run_id, "arn": arn, "state": "SUBMITTED", "stateDetails": ""}
        about = {"createdBy": "arn:aws:iam::123456789012:user/me", "createdAt": at, "updatedAt": at, "attempt": 1}
        self.runs.setdefault(application, []).append(
            {**run, **about, "releaseLabel": "emr-7.9.0", "executionTimeoutMinutes": 720, **fields}
        )
        return run_id

    def set_run(self, run_id: str, state: str, details: str = "", seconds: float = 1.0) -> None:
        """Put a run of EMR Serverless into a state; one that has ended took so many seconds."""
        run = next(one for runs in self.runs.values() for one in runs if one["jobRunId"] == run_id)
        run |= {"state": state, "stateDetails": details}
        if state in {"RUNNING", "CANCELLING", *_RUN_ENDED}:
            run.setdefault("startedAt", run["createdAt"])
        if state in _RUN_ENDED:
            run["endedAt"] = run["startedAt"] + seconds

    def forget_tokens(self) -> None:
        """Remember no `clientToken` any more, as AWS does after a time it does not tell."""
        self._tokens.clear()

    def _application(self, asked: Asked) -> str:
        application = asked.path.split("/")[2]
        if application not in self.runs:
            raise RefusedError("ResourceNotFoundException", f"Application {application} does not exist", 404)
        return application

    def _run(self, asked: Asked) -> Json:
        run_id = asked.path.split("/")[4]
        for run in self.runs[self._application(asked)]:
            if run["jobRunId"] == run_id:
                return run
        raise RefusedError("ResourceNotFoundException", f"Job run {run_id} does not exist", 404)

    def _run_start(self, asked: Asked) -> Json:
        application, given = self._application(asked), asked.json
        token = f"{application}/{given.pop('clientToken')}"
        if token not in self._tokens:
            given["executionRole"] = given.pop("executionRoleArn")
            self._tokens[token] = self.add_run(application, **given)
        return {"applicationId": application, "jobRunId": self._tokens[token], "arn": "arn:aws:emr-serverless:::/x"}

    def _run_list(self, asked: Asked) -> Json:
        after, before = (asked.query.get(name, [None])[0] for name in ("createdAtAfter", "createdAtBefore"))
        states = asked.query.get("states")
        found = [
            {"id": run["jobRunId"], **{name: run[name] for name in _SUMMARY if name in run}}
            for run in sorted(self.runs[self._application(asked)], key=lambda run: -run["createdAt"])
            if (after is None or run["createdAt"] >= _seconds(after))
            and (before is None or run["createdAt"] <= _seconds(before))
            and (not states or run["state"] in states)
        ]
        begin = int(asked.query.get("nextToken", ["0"])[0])
        most = min(int(asked.query.get("maxResults", [RUNS_A_PAGE])[0]), RUNS_A_PAGE)
        more = {"nextToken": str(begin + most)} if begin + most < len(found) else {}
        return {"jobRuns": found[begin : begin + most], **more}

    def _run_cancel(self, asked: Asked) -> Json:
        run = self._run(asked)
        if run["state"] in _RUN_ENDED:
            raise RefusedError("ValidationException", "The run has ended")
        self.set_run(run["jobRunId"], "CANCELLED")
        return {"applicationId": run["applicationId"], "jobRunId": run["jobRunId"]}


def _seconds(text: str) -> float:
    """Since 1970, of a time as boto writes it in a query."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
