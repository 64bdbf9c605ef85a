"""A double of the calls of Glue, EMR and EMR Serverless that start and follow runs, in the format that boto3 speaks.

    with AwsApi() as api:
        api.add_job("nightly")
        glue = boto3.client("glue", endpoint_url=api.url, aws_access_key_id=api.key, ...)
        run = glue.start_job_run(JobName="nightly")["JobRunId"]
        api.set_glue(run, "FAILED", "no such table")

For what a server of AWS in memory does not show: runs that fail, steps that end, a `clientToken` that is honoured, jobs
that are full, throttling, answers that are cut off, credentials that have expired. Runs stay as they began until the
test sets them. Signatures are not checked, only whose they are.

Glue and EMR take JSON by POST to `/`, the action in `X-Amz-Target`; EMR Serverless is REST; STS takes a form. Shapes,
orders and limits of pages are those of botocore's models.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from trunkline.testing.platform_api import Answer, ApiServer, Asked

if TYPE_CHECKING:
    from typing_extensions import Self

STEPS_A_PAGE = 50
RUNS_A_PAGE = 50
GLUE_A_PAGE = 200
ROLE_TOKEN = "token-of-the-assumed-role"  # noqa: S105 - what the double gives out
_ROLE_KEY = "ASIAOFTHEROLE"
_TARGETS = {"AWSGlue": "glue", "ElasticMapReduce": "emr"}
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_GLUE_ACTIVE = ("STARTING", "RUNNING", "STOPPING", "WAITING")
_STEP_ENDED = ("COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED")
_RUN_ENDED = ("SUCCESS", "FAILED", "CANCELLED")

# What a list tells of a run of EMR Serverless: JobRunSummary in botocore's model.
_SUMMARY = (
    "applicationId", "arn", "attempt", "createdAt", "createdBy", "executionRole", "mode", "name", "releaseLabel",
    "state", "stateDetails", "type", "updatedAt",
)  # fmt: skip

Json = dict[str, Any]


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.answer = refusal(code, message, status)


def refusal(code: str, message: str, status: int = 400) -> Answer:
    """An error as AWS writes it, for JSON and for REST."""
    return Answer(status, {"__type": code, "message": message}, {"x-amzn-ErrorType": code})


class AwsApi:
    """The services while they are entered.

    Attributes:
        url: Their endpoint.
        key: The access key that is known; any secret goes with it.
        expired: Access keys that were known once.
        roles: What may be assumed, by ARN; the credentials of a role end after `role_seconds`.
        glue: The runs of each Glue job, oldest first.
        steps: The steps of each cluster, oldest first.
        runs: The runs of each application, oldest first.
        server: What was asked, as `glue.StartJobRun`, and faults to come.
    """

    def __init__(self) -> None:
        self.key = "AKIAOFTHEDOUBLE"
        self.expired: set[str] = set()
        self.roles: set[str] = set()
        self.role_seconds = 3600.0
        self.glue: dict[str, list[Json]] = {}
        self.steps: dict[str, list[Json]] = {}
        self.runs: dict[str, list[Json]] = {}
        self.server = ApiServer(_operation, self._answer)
        self.url = self.server.url
        self._most: dict[str, int] = {}
        self._tokens: dict[str, str] = {}
        self._count = 0

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.__exit__(kind, error, at)

    def add_job(self, name: str, most: int = 1000) -> None:
        """A Glue job that may have so many runs at the same time."""
        self.glue[name], self._most[name] = [], most

    def add_glue(self, name: str, started: float | None = None, **fields: Any) -> str:
        """A run of a Glue job; its id."""
        run_id = f"jr_{self._next()}"
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

    def add_step(self, cluster: str, config: Json, created: float | None = None) -> str:
        """A step of a cluster; its id."""
        step_id = f"s-{self._next()}"
        jar = config["HadoopJarStep"]
        self.steps.setdefault(cluster, []).append(
            {
                "Id": step_id,
                "Name": config["Name"],
                "Config": {"Jar": jar["Jar"], "Args": jar.get("Args", [])},
                "ActionOnFailure": config.get("ActionOnFailure"),
                "Status": {"State": "PENDING", "Timeline": {"CreationDateTime": created or time.time()}},
            }
        )
        return step_id

    def set_step(self, step_id: str, state: str, **details: str) -> None:
        """Put a step into a state; `details` are those of a failure."""
        step = next(one for steps in self.steps.values() for one in steps if one["Id"] == step_id)
        status, times = step["Status"], step["Status"]["Timeline"]
        status["State"] = state
        if state not in {"PENDING", "CANCELLED"}:
            times.setdefault("StartDateTime", times["CreationDateTime"] + 1)
        if state in _STEP_ENDED:
            times["EndDateTime"] = times["CreationDateTime"] + 2
        if details:
            status["FailureDetails"] = details

    def add_run(self, application: str, created: float | None = None, **fields: Any) -> str:
        """A run of an application; its id."""
        run_id = f"{self._next():016d}"
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

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _answer(self, operation: str, asked: Asked) -> Answer:
        try:
            self._check_caller(asked)
            handler = self._handlers().get(operation)
            if handler is None:
                raise _RefusedError("UnknownOperationException", operation)
            found = handler(asked)
            return found if isinstance(found, Answer) else Answer(200, found)
        except _RefusedError as refused:
            return refused.answer

    def _check_caller(self, asked: Asked) -> None:
        caller = _CREDENTIAL.search(asked.headers.get("authorization", ""))
        key = caller[1] if caller else ""
        if key in self.expired:
            raise _RefusedError("ExpiredTokenException", "The security token included in the request is expired", 403)
        if key == _ROLE_KEY and asked.headers.get("x-amz-security-token") == ROLE_TOKEN:
            return
        if key != self.key:
            raise _RefusedError("UnrecognizedClientException", "The security token in the request is invalid.", 403)

    def _handlers(self) -> dict[str, Callable[[Asked], Any]]:
        return {
            "sts.AssumeRole": self._assume,
            "glue.StartJobRun": self._glue_start,
            "glue.GetJobRun": self._glue_get,
            "glue.GetJobRuns": self._glue_runs,
            "glue.ListJobs": lambda asked: _page(list(self.glue), asked.json, "JobNames", 2),
            "glue.BatchStopJobRun": self._glue_stop,
            "emr.AddJobFlowSteps": self._emr_add,
            "emr.ListSteps": self._emr_list,
            "emr.CancelSteps": self._emr_cancel,
            "emr-serverless.StartJobRun": self._run_start,
            "emr-serverless.ListJobRuns": self._run_list,
            "emr-serverless.GetJobRun": lambda asked: {"jobRun": self._run(asked)},
            "emr-serverless.CancelJobRun": self._run_cancel,
        }

    def _assume(self, asked: Asked) -> Answer:
        form = parse_qs(asked.body.decode())
        role = form["RoleArn"][0]
        if role not in self.roles:
            text = f"<Code>AccessDenied</Code><Message>not allowed to assume {role}</Message>"
            return Answer(403, f"<ErrorResponse><Error>{text}</Error></ErrorResponse>", {"Content-Type": "text/xml"})
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.role_seconds))
        given = {
            "AccessKeyId": _ROLE_KEY,
            "SecretAccessKey": "secret",
            "SessionToken": ROLE_TOKEN,
            "Expiration": ends,
        }
        text = "".join(f"<{name}>{value}</{name}>" for name, value in given.items())
        result = f"<AssumeRoleResult><Credentials>{text}</Credentials></AssumeRoleResult>"
        body = f'<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{result}</AssumeRoleResponse>'
        return Answer(200, body, {"Content-Type": "text/xml"})

    def _glue_job(self, asked: Asked) -> list[Json]:
        name = asked.json["JobName"]
        if name not in self.glue:
            raise _RefusedError("EntityNotFoundException", f"Failed to start job run due to missing metadata: {name}")
        return self.glue[name]

    def _glue_start(self, asked: Asked) -> Json:
        runs, name = self._glue_job(asked), asked.json["JobName"]
        if sum(run["JobRunState"] in _GLUE_ACTIVE for run in runs) >= self._most[name]:
            raise _RefusedError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
        return {"JobRunId": self.add_glue(name, Arguments=asked.json.get("Arguments", {}))}

    def _glue_get(self, asked: Asked) -> Json:
        for run in self._glue_job(asked):
            if run["Id"] == asked.json["RunId"]:
                return {"JobRun": run}
        raise _RefusedError("EntityNotFoundException", f"Job run {asked.json['RunId']} not found.")

    def _glue_runs(self, asked: Asked) -> Json:
        newest = sorted(self._glue_job(asked), key=lambda run: run["StartedOn"])[::-1]
        return _page(newest, asked.json, "JobRuns", GLUE_A_PAGE)

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

    def _emr_add(self, asked: Asked) -> Json:
        cluster = asked.json["JobFlowId"]
        if cluster not in self.steps:
            raise _RefusedError("ValidationException", "Specified job flow ID not valid")
        return {"StepIds": [self.add_step(cluster, step) for step in asked.json["Steps"]]}

    def _emr_list(self, asked: Asked) -> Json:
        given = asked.json
        if given["ClusterId"] not in self.steps:
            raise _RefusedError("InvalidRequestException", f"Cluster id '{given['ClusterId']}' is not valid.")
        ids, states = given.get("StepIds"), given.get("StepStates")
        if ids and len(ids) > 10:
            raise _RefusedError("InvalidRequestException", "at most 10 step ids")
        found = [
            step
            for step in reversed(self.steps[given["ClusterId"]])
            if (not ids or step["Id"] in ids) and (not states or step["Status"]["State"] in states)
        ]
        begin = int(given.get("Marker") or 0)
        more = {"Marker": str(begin + STEPS_A_PAGE)} if begin + STEPS_A_PAGE < len(found) else {}
        return {"Steps": found[begin : begin + STEPS_A_PAGE], **more}

    def _emr_cancel(self, asked: Asked) -> Json:
        told = []
        for step_id in asked.json["StepIds"]:
            step = next(one for one in self.steps[asked.json["ClusterId"]] if one["Id"] == step_id)
            if step["Status"]["State"] in _STEP_ENDED:
                told.append({"StepId": step_id, "Status": "FAILED", "Reason": "The step has ended"})
            else:
                self.set_step(step_id, "CANCELLED")
                told.append({"StepId": step_id, "Status": "SUBMITTED"})
        return {"CancelStepsInfoList": told}

    def _application(self, asked: Asked) -> str:
        application = asked.path.split("/")[2]
        if application not in self.runs:
            raise _RefusedError("ResourceNotFoundException", f"Application {application} does not exist", 404)
        return application

    def _run(self, asked: Asked) -> Json:
        run_id = asked.path.split("/")[4]
        for run in self.runs[self._application(asked)]:
            if run["jobRunId"] == run_id:
                return run
        raise _RefusedError("ResourceNotFoundException", f"Job run {run_id} does not exist", 404)

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
            raise _RefusedError("ValidationException", "The run has ended")
        self.set_run(run["jobRunId"], "CANCELLED")
        return {"applicationId": run["applicationId"], "jobRunId": run["jobRunId"]}


def _operation(asked: Asked) -> str:
    target, _, action = asked.headers.get("x-amz-target", "").partition(".")
    if action:
        return f"{_TARGETS.get(target, target)}.{action}"
    if asked.path.startswith("/applications/"):
        one = len(asked.path.strip("/").split("/")) == 4
        names = {("POST", False): "StartJobRun", ("GET", False): "ListJobRuns", ("GET", True): "GetJobRun"}
        return f"emr-serverless.{names.get((asked.method, one), 'CancelJobRun')}"
    return f"sts.{parse_qs(asked.body.decode()).get('Action', [''])[0]}"


def _page(found: list[Any], given: Json, name: str, most: int) -> Json:
    begin, limit = int(given.get("NextToken") or 0), min(given.get("MaxResults", most), most)
    more = {"NextToken": str(begin + limit)} if begin + limit < len(found) else {}
    return {name: found[begin : begin + limit], **more}


def _seconds(text: str) -> float:
    """Since 1970, of a time as boto writes it in a query."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
