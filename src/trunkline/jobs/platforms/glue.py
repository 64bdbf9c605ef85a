"""AWS Glue, by boto3: runs of a job that is there, `target` or `glue.job`.

The job's script calls Trunkline (`trunkline new entry glue`); the arguments become the run's, `--key value`:

    {"--module_name": "my.etl", "--run_key": "k1", "--etl": "{...}", "--extra-py-files": "s3://bucket/my.zip"}

`artifact` is added as `--extra-py-files`, or, if it is a wheel, as `--additional-python-modules`, which installs it
with what it depends on; either takes the place of the job's own default of that name.

No second run: Glue takes no token, so its runs of the job are looked through for the key first. That leaves a window:
two writers that both look before either has started start two runs, and so does one that starts again before Glue shows
the run whose answer was lost. It is as long as one start takes, a second or so.

A run's id here is `<Glue job>/<run>`, because Glue finds a run only by both. A retry by Glue itself (`MaxRetries`) is a
run of its own with the same key. Runs do not tell of results: the job's own log has them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote

from trunkline.errors import RejectedError
from trunkline.jobs.arguments import arguments_of
from trunkline.jobs.platforms.aws import (
    AT_ONCE,
    calling,
    console,
    is_wanted,
    known_run,
    needed,
    place_of,
    send_once,
    utc,
)
from trunkline.jobs.platforms.aws_errors import gone
from trunkline.jobs.run import ENDED, Run, RunFilter, RunRequest
from trunkline.options import Options

# Of one page, in botocore's model of GetJobRuns; it lists the newest first.
PAGE = 200
# JobRunState in botocore's model of Glue, and what its documentation says of them. EXPIRED: it waited too long.
_STATES = {
    "WAITING": "PENDING",
    "STARTING": "PENDING",
    "RUNNING": "RUNNING",
    "STOPPING": "RUNNING",
    "STOPPED": "CANCELLED",
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "ERROR": "FAILED",
    "TIMEOUT": "TIMED_OUT",
    "EXPIRED": "TIMED_OUT",
}


def start(request: RunRequest, options: Options) -> Run:
    """Start a run of the job; the run that bears the key already, if there is one.

    Raises:
        OptionError: Neither target nor `glue.job`.
        UnavailableError: With `later=True` while the job has as many runs as it may have (`MaxConcurrentRuns`).
        RejectedError, AuthError: As `trunkline.errors` says.
    """
    name = request.target or needed(options, "glue.job", "it, or the column target, names the Glue job to start")
    given = {f"--{key}": value for key, value in arguments_of(request).items()}
    if artifact := options["artifact"]:
        given["--additional-python-modules" if artifact.endswith(".whl") else "--extra-py-files"] = artifact
    region = options["glue.region"]
    with calling("glue", region, options) as glue, calling("glue", region, options, once=True) as unrepeated:
        if found := _look_up(glue, options, name, request.run_key):
            return _got(glue, name, found)
        run_id = send_once(
            lambda: str(unrepeated.start_job_run(JobName=name, Arguments=given)["JobRunId"]),
            lambda: _look_up(glue, options, name, request.run_key),
        )
        return Run(
            "glue",
            request.job,
            f"{name}/{run_id}",
            request.run_key,
            state_detail="STARTING",
            url=_url(glue, name, run_id),
        )


def find(request: RunRequest, options: Options) -> Run | None:
    """The newest run of this key, among all that Glue keeps of the job."""
    name = request.target or needed(options, "glue.job", "it, or the column target, names the Glue job to look at")
    with calling("glue", options["glue.region"], options) as glue:
        run_id = _look_up(glue, options, name, request.run_key)
        return _got(glue, name, run_id) if run_id else None


def poll(runs: Sequence[Run], options: Options) -> list[Run]:
    """The runs as they are now, by one request each.

    Raises:
        RejectedError: Glue has no such run any more, or no such job; `gone`.
        AuthError, UnavailableError: As `trunkline.errors` says.
    """
    with calling("glue", options["glue.region"], options) as glue, ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda run: _got(glue, *_parts(run)), runs))


def list_runs(wanted: RunFilter, options: Options) -> Iterator[Run]:
    """Runs of `glue.job`, else of every Glue job there is, newest first.

    Where all `jobs` are names of Glue jobs, only those are looked at. Glue lists the newest first and narrows nothing:
    a job's list is read until a run that is not waiting is older than `since`.
    """
    with calling("glue", options["glue.region"], options) as glue:
        names = [options["glue.job"]] if options["glue.job"] else _job_names(glue)
        if wanted.jobs and set(wanted.jobs) <= set(names):
            names = [name for name in names if name in wanted.jobs]
        lists = [_runs_since(glue, name, wanted) for name in names]
        for found in heapq.merge(*lists, key=_asked_at, reverse=True):
            run = _run(glue, found)
            if is_wanted(wanted, run, found["JobName"]):
                yield run


def cancel(run: Run, options: Options) -> None:
    """Ask for the end of a run. One that has ended stays as it is.

    Raises:
        RejectedError: Glue cannot stop it.
    """
    name, run_id = _parts(run)
    with calling("glue", options["glue.region"], options) as glue:
        for error in glue.batch_stop_job_run(JobName=name, JobRunIds=[run_id]).get("Errors", ()):
            if not _got(glue, name, run_id).ended:
                detail = error.get("ErrorDetail", {})
                raise RejectedError(f"glue: {detail.get('ErrorCode')}: {detail.get('ErrorMessage')}")


def _look_up(glue: Any, options: Options, name: str, run_key: str) -> str | None:
    pages = glue.get_paginator("get_job_runs").paginate(JobName=name, PaginationConfig={"PageSize": PAGE})
    keys = ([(one["Id"], one.get("Arguments", {}).get("--run_key")) for one in page["JobRuns"]] for page in pages)
    return known_run(place_of(glue, options, name), run_key, keys)


def _job_names(glue: Any) -> list[str]:
    names: list[str] = []
    token: dict[str, str] = {}
    while True:  # ListJobs has no paginator in boto
        page = glue.list_jobs(**token)
        names += page["JobNames"]
        if not page.get("NextToken"):
            return names
        token = {"NextToken": page["NextToken"]}


def _runs_since(glue: Any, name: str, wanted: RunFilter) -> Iterator[dict[str, Any]]:
    for page in glue.get_paginator("get_job_runs").paginate(JobName=name, PaginationConfig={"PageSize": PAGE}):
        for one in page["JobRuns"]:
            waits = _STATES.get(one["JobRunState"]) == "PENDING"
            if wanted.since and _asked_at(one) < wanted.since and not waits:
                return
            yield one


def _got(glue: Any, name: str, run_id: str) -> Run:
    try:
        found = glue.get_job_run(JobName=name, RunId=run_id)["JobRun"]
    except glue.exceptions.EntityNotFoundException as error:
        raise gone(f"{name}/{run_id}", error) from None
    return _run(glue, found)


def _run(glue: Any, found: dict[str, Any]) -> Run:
    word, given, name = found["JobRunState"], found.get("Arguments", {}), found["JobName"]
    state = _STATES.get(word, "RUNNING")
    said = found.get("ErrorMessage") or found.get("StateDetail")
    return Run(
        "glue",
        given.get("--module_name", name),
        f"{name}/{found['Id']}",
        given.get("--run_key"),
        state=state,
        state_detail=f"{word}: {said}" if said else word,
        started_at=None if state == "PENDING" else utc(found.get("StartedOn")),
        ended_at=utc(found.get("CompletedOn")) if state in ENDED else None,
        attempt=found.get("Attempt", 0) + 1,
        url=_url(glue, name, found["Id"]),
        error=(said or word) if state in {"FAILED", "TIMED_OUT"} else None,
    )


def _asked_at(found: dict[str, Any]) -> datetime:
    """When a run was asked for: Glue calls it started from then on."""
    at: datetime = found.get("StartedOn") or found["LastModifiedOn"]
    return at


def _parts(run: Run) -> tuple[str, str]:
    name, _, run_id = run.run_id.rpartition("/")
    return name, run_id


def _url(glue: Any, name: str, run_id: str) -> str:
    region = glue.meta.region_name
    return f"{console(region)}/gluestudio/home?region={region}#/job/{quote(name, safe='')}/run/{run_id}"
