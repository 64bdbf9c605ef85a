"""What a start on Databricks says: which job, and how its arguments get there; or what is submitted for one run.

A job of the workspace gets them by the kind of its parameters, or of its tasks:

    it has job parameters          job_parameters, which Databricks hands down to its tasks
    Python wheel tasks             python_named_params      --module_name=my.etl --run_key=k1 --etl={...}
    Python script tasks            python_params            the same words
    notebook tasks                 notebook_params          widgets module_name, run_key, etl
"""

from __future__ import annotations

from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import compute, jobs

from trunkline.errors import OptionError, RejectedError
from trunkline.jobs.arguments import arguments_of, argv_of
from trunkline.jobs.run import RunRequest
from trunkline.options import Options

# Whatever the job's own setting is; `databricks` says why.
QUEUED = jobs.QueueSettings(enabled=True)
# Databricks puts the run's id there ("What is a dynamic value reference?" in its documentation).
RUN_ID = "--run_id={{job.run_id}}"
# `run_name` takes 4,096 bytes of UTF-8, which these characters never pass.
NAME_LENGTH = 1000
# Serverless environments are numbered, and each is supported for three years; 4 is the API documentation's example.
ENVIRONMENT = "4"


def one_time(request: RunRequest, options: Options) -> dict[str, Any]:
    """What is submitted.

    Raises:
        OptionError: It is not said where, or the artifact does not fit.
    """
    artifact, cluster, serverless = options["artifact"], options["databricks.cluster"], options["databricks.serverless"]
    if not cluster and not serverless:
        raise OptionError(
            "databricks: where is it to run? Give the column target (a job), databricks.cluster, or "
            "databricks.serverless=true"
        )
    if cluster and serverless:
        raise OptionError("databricks: databricks.cluster and databricks.serverless exclude each other; give one")
    if artifact and not artifact.endswith(".whl"):
        raise OptionError(f"databricks: artifact must be a wheel for a one-time run, not {artifact}")
    if serverless and not artifact:
        raise OptionError("databricks: artifact is missing: serverless compute has no packages but those it is given")
    wheel = jobs.PythonWheelTask(
        package_name="trunkline", entry_point="trunkline-job", parameters=[*argv_of(request), RUN_ID]
    )
    task = jobs.SubmitTask(task_key="trunkline", python_wheel_task=wheel)
    asked = {"queue": QUEUED, "run_name": f"{request.job}:{request.run_key}"[:NAME_LENGTH], "tasks": [task]}
    if cluster:
        task.existing_cluster_id = cluster
        task.libraries = [compute.Library(whl=artifact)] if artifact else None
        return asked
    task.environment_key = "trunkline"
    spec = compute.Environment(environment_version=ENVIRONMENT, dependencies=[artifact])
    return {**asked, "environments": [jobs.JobEnvironment(environment_key="trunkline", spec=spec)]}


def job_id(client: WorkspaceClient, target: str) -> int:
    """The id of a job of the workspace.

    Raises:
        RejectedError: None, or more than one, has the name.
    """
    if target.isdecimal():
        return int(target)
    found = [job.job_id for job in client.jobs.list(name=target) if job.job_id is not None]
    if len(found) == 1:
        return found[0]
    if not found:
        raise RejectedError(f"databricks has no job {target!r}: give a target that exists, by id or name")
    raise RejectedError(f"databricks has {len(found)} jobs {target!r}: give the id of one as target")


def parameters(job: jobs.Job, request: RunRequest) -> dict[str, Any]:
    """How the arguments get to this job: by the kind of its parameters, or of its tasks.

    Raises:
        RejectedError: It takes none.
    """
    settings = job.settings or jobs.JobSettings()
    named = arguments_of(request)
    if settings.parameters:
        return {"job_parameters": named}
    found: dict[str, Any] = {}
    for task in settings.tasks or []:
        if task.python_wheel_task:
            found["python_named_params"] = named
        elif task.notebook_task:
            found["notebook_params"] = named
        elif task.spark_python_task:
            found["python_params"] = argv_of(request)
    if not found:
        raise RejectedError(
            f"databricks: job {request.target} takes no arguments: it needs job parameters, or a task of the kinds "
            "Python wheel, Python script or notebook"
        )
    return found
