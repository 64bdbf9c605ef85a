"""The double of AWS's job services, driven by boto3: what it answers is of the shape that botocore's models give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from trunkline.testing.aws import AwsApi, refusal

ROLE = "arn:aws:iam::123456789012:role/etl"

seen: list[tuple[str, Any]] = []


@pytest.fixture
def api() -> Iterator[AwsApi]:
    with AwsApi() as double:
        double.add_job("nightly", most=3)
        double.steps["j-1"] = []
        double.runs["app1"] = []
        yield double


def client(api: AwsApi, service: str, key: str | None = None) -> Any:
    """A client whose answers are kept in `seen`, as they came."""
    made = boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=api.url,
        aws_access_key_id=key or api.key,
        aws_secret_access_key="secret",
    )
    made.meta.events.register("response-received", keep)
    return made


def keep(response_dict: dict[str, Any], event_name: str, **more: Any) -> None:
    if response_dict["status_code"] == 200:
        seen.append((event_name.rpartition(".")[2], json.loads(response_dict["body"])))


def unknown(shape: Any, value: Any, path: str) -> list[str]:
    """Paths in an answer that the model does not have, or has as another type."""
    if shape.type_name == "structure":
        found = [f"{path}.{name}" for name in value if name not in shape.members]
        known = [(name, one) for name, one in value.items() if name in shape.members]
        return found + [bad for name, one in known for bad in unknown(shape.members[name], one, f"{path}.{name}")]
    if shape.type_name == "list":
        return [bad for one in value for bad in unknown(shape.member, one, f"{path}[]")]
    if shape.type_name == "string":
        enum = getattr(shape, "enum", [])
        return [] if isinstance(value, str) and (not enum or value in enum) else [f"{path}={value!r}"]
    if shape.type_name in {"timestamp", "integer", "long", "double"}:
        return [] if isinstance(value, (int, float)) else [f"{path}={value!r}"]
    return []


def use_glue(api: AwsApi, glue: Any) -> None:
    first = glue.start_job_run(JobName="nightly", Arguments={"--a": "1"})["JobRunId"]
    second = glue.start_job_run(JobName="nightly")["JobRunId"]
    api.set_glue(first, "FAILED", "bad")
    assert glue.get_job_run(JobName="nightly", RunId=first)["JobRun"]["ErrorMessage"] == "bad"
    assert [run["Id"] for run in glue.get_job_runs(JobName="nightly")["JobRuns"]] == [second, first]
    assert glue.batch_stop_job_run(JobName="nightly", JobRunIds=[first, second, "x"])["SuccessfulSubmissions"]
    assert glue.list_jobs()["JobNames"] == ["nightly"]


def use_emr(api: AwsApi, emr: Any) -> None:
    step = {"Name": "s", "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "j", "Args": ["a"]}}
    ids = emr.add_job_flow_steps(JobFlowId="j-1", Steps=[step] * 60)["StepIds"]
    api.set_step(ids[0], "FAILED", Reason="r", Message="m", LogFile="l")
    pages = list(emr.get_paginator("list_steps").paginate(ClusterId="j-1"))
    assert [one["Id"] for page in pages for one in page["Steps"]] == ids[::-1]
    told = emr.cancel_steps(ClusterId="j-1", StepIds=ids[:2])["CancelStepsInfoList"]
    assert [one["Status"] for one in told] == ["FAILED", "SUBMITTED"]


def use_serverless(api: AwsApi, serverless: Any) -> None:
    driver = {"sparkSubmit": {"entryPoint": "s3://b/e.py", "entryPointArguments": ["a"]}}
    asked = {"applicationId": "app1", "executionRoleArn": ROLE, "jobDriver": driver, "name": "n", "tags": {"a": "b"}}
    ids = [serverless.start_job_run(clientToken=token, **asked)["jobRunId"] for token in ("k", "k", "l")]
    assert ids[0] == ids[1] != ids[2]
    api.set_run(ids[0], "FAILED", "bad")
    assert serverless.get_job_run(applicationId="app1", jobRunId=ids[0])["jobRun"]["stateDetails"] == "bad"
    assert [run["id"] for run in serverless.list_job_runs(applicationId="app1")["jobRuns"]] == [ids[2], ids[0]]
    serverless.cancel_job_run(applicationId="app1", jobRunId=ids[2])


@pytest.mark.parametrize(("service", "use"), [("glue", use_glue), ("emr", use_emr), ("emr-serverless", use_serverless)])
def test_every_answer_has_the_shape_of_the_model(api: AwsApi, service: str, use: Any) -> None:
    made = client(api, service)
    seen.clear()
    use(api, made)
    model = made.meta.service_model
    assert len({name for name, _ in seen}) >= 3
    assert [bad for name, body in seen for bad in unknown(model.operation_model(name).output_shape, body, name)] == []


def test_errors_and_faults_have_the_names_that_boto_knows(api: AwsApi) -> None:
    glue, serverless = client(api, "glue"), client(api, "emr-serverless")
    for _ in range(3):
        glue.start_job_run(JobName="nightly")
    with pytest.raises(glue.exceptions.ConcurrentRunsExceededException):
        glue.start_job_run(JobName="nightly")
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_job_run(JobName="nightly", RunId="x")
    with pytest.raises(serverless.exceptions.ResourceNotFoundException):
        serverless.get_job_run(applicationId="app1", jobRunId="x")
    api.server.fail("glue.ListJobs", refusal("InvalidInputException", "no"))
    with pytest.raises(glue.exceptions.InvalidInputException):
        glue.list_jobs()
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client(api, "glue", "AKIAOFNOBODY").list_jobs()
