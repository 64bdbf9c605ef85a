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
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from trunkline.testing.aws_emr import EmrDouble
from trunkline.testing.aws_emr_serverless import EmrServerlessDouble
from trunkline.testing.aws_glue import GlueDouble
from trunkline.testing.aws_wire import RefusedError, page, refusal
from trunkline.testing.platform_api import Answer, ApiServer, Asked

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ROLE_TOKEN", "AwsApi", "refusal"]

ROLE_TOKEN = "token-of-the-assumed-role"  # noqa: S105 - what the double gives out
_ROLE_KEY = "ASIAOFTHEROLE"
_TARGETS = {"AWSGlue": "glue", "ElasticMapReduce": "emr"}
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")


class AwsApi(GlueDouble, EmrDouble, EmrServerlessDouble):
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
        GlueDouble.__init__(self)
        EmrDouble.__init__(self)
        EmrServerlessDouble.__init__(self)
        self.key = "AKIAOFTHEDOUBLE"
        self.expired: set[str] = set()
        self.roles: set[str] = set()
        self.role_seconds = 3600.0
        self.server = ApiServer(_operation, self._answer)
        self.url = self.server.url

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.__exit__(kind, error, at)

    def _answer(self, operation: str, asked: Asked) -> Answer:
        try:
            self._check_caller(asked)
            handler = self._handlers().get(operation)
            if handler is None:
                raise RefusedError("UnknownOperationException", operation)
            found = handler(asked)
            return found if isinstance(found, Answer) else Answer(200, found)
        except RefusedError as refused:
            return refused.answer

    def _check_caller(self, asked: Asked) -> None:
        caller = _CREDENTIAL.search(asked.headers.get("authorization", ""))
        key = caller[1] if caller else ""
        if key in self.expired:
            raise RefusedError("ExpiredTokenException", "The security token included in the request is expired", 403)
        if key == _ROLE_KEY and asked.headers.get("x-amz-security-token") == ROLE_TOKEN:
            return
        if key != self.key:
            raise RefusedError("UnrecognizedClientException", "The security token in the request is invalid.", 403)

    def _handlers(self) -> dict[str, Callable[[Asked], Any]]:
        return {
            "sts.AssumeRole": self._assume,
            "glue.StartJobRun": self._glue_start,
            "glue.GetJobRun": self._glue_get,
            "glue.GetJobRuns": self._glue_runs,
            "glue.ListJobs": lambda asked: page(list(self.glue), asked.json, "JobNames", 2),
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


def _operation(asked: Asked) -> str:
    target, _, action = asked.headers.get("x-amz-target", "").partition(".")
    if action:
        return f"{_TARGETS.get(target, target)}.{action}"
    if asked.path.startswith("/applications/"):
        one = len(asked.path.strip("/").split("/")) == 4
        names = {("POST", False): "StartJobRun", ("GET", False): "ListJobRuns", ("GET", True): "GetJobRun"}
        return f"emr-serverless.{names.get((asked.method, one), 'CancelJobRun')}"
    return f"sts.{parse_qs(asked.body.decode()).get('Action', [''])[0]}"
