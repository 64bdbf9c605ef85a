"""EMR Serverless, by boto3: job runs of an application, `target` or `emrServerless.application`.

The entry point calls Trunkline (`trunkline new entry emr`), and the run goes with `emrServerless.role`:

    {"sparkSubmit": {"entryPoint": "s3://bucket/entry.py",
                     "entryPointArguments": ["--module_name=my.etl", "--run_key=k1", "--etl={...}"],
                     "sparkSubmitParameters": "--conf ...TRUNKLINE_PLATFORM=emr-serverless --py-files s3://b/my.zip"}}

The run is called `<module>:<run_key>`, and has both as tags beside the request's labels.

No second run: every start bears a `clientToken`, a digest of the key, which AWS promises to take once, whoever sends
it. For how long it remembers one AWS does not say, so the runs of the last seven days are looked through for the key
first. What is left: a start of a key that is older than both.

A run's id here is `<application>/<run>`, because AWS finds a run only by both. There is no address of a run's page:
dashboards have signed ones that end within the hour. Runs do not tell of results: the driver's log has them.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from trunkline.jobs.arguments import argv_of
from trunkline.jobs.platforms.aws import AT_ONCE, Place, calling, given_in, is_wanted, needed, place_of, utc
from trunkline.jobs.platforms.aws_errors import gone
from trunkline.jobs.run import ENDED, Run, RunFilter, RunRequest, digest_of
from trunkline.options import Options

# How far back a start looks for its key, besides its token.
LOOK_BACK = timedelta(days=7)
# A later look goes back this far before the one before it: a run may be seen some time after it was made.
OVERLAP = timedelta(minutes=10)
# botocore's model of EMR Serverless: runs of one page; characters of a name and of a tag's value.
PAGE = 50
NAME_LENGTH = 256
# The longest that a run can wait in the queue (queueTimeoutMinutes of SchedulerConfiguration in botocore's model).
LONGEST_QUEUE = timedelta(minutes=720)
# How many ended runs are kept in mind, so that lists which are read again and again, as streams do, ask for each once.
ENDINGS = 10_000
# What AWS takes as the value of a tag.
_TAG = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,256}")
# JobRunState in botocore's model of EMR Serverless.
_STATES = {
    "SUBMITTED": "PENDING",
    "PENDING": "PENDING",
    "SCHEDULED": "PENDING",
    "QUEUED": "PENDING",
    "RUNNING": "RUNNING",
    "CANCELLING": "RUNNING",
    "SUCCESS": "SUCCEEDED",
    "FAILED": "FAILED",
    "CANCELLED": "CANCELLED",
}

# Nothing documented in a driver's environment says that it is one of EMR Serverless.
_PLATFORM = "--conf spark.emr-serverless.driverEnv.TRUNKLINE_PLATFORM=emr-serverless"

# Of each application, until when its runs were read, and the ids of those that bear a name.
_known: dict[Place, tuple[datetime, dict[str, str]]] = {}


def start(request: RunRequest, options: Options) -> Run:
    """Start a run; the one that bears the key already, if there is one.

    Raises:
        OptionError: No target and no `emrServerless.application`; or no role, or no entry point.
        RejectedError, AuthError, UnavailableError: As `trunkline.errors` says.
    """
    application = _application(request, options)
    role = needed(options, "emrServerless.role", "the role that the run goes with, by its ARN")
    entry = needed(options, "emrServerless.entryPoint", "the script that calls Trunkline (trunkline new entry emr)")
    words = [_PLATFORM, *(["--py-files", options["artifact"]] if options["artifact"] else [])]
    submit = {
        "entryPoint": entry,
        "entryPointArguments": argv_of(request),
        "sparkSubmitParameters": " ".join(words),
    }
    own = {"job": request.job, "run_key": request.run_key}
    tags = {**request.labels, **{name: value for name, value in own.items() if _TAG.fullmatch(value)}}
    with calling("emr-serverless", options["emrServerless.region"], options) as serverless:
        if found := _look_up(serverless, options, application, request):
            return found
        run_id = serverless.start_job_run(
            applicationId=application,
            clientToken=digest_of(request.run_key),
            executionRoleArn=role,
            jobDriver={"sparkSubmit": submit},
            name=_name(request),
            tags=tags,
        )["jobRunId"]
        return _got(serverless, application, run_id)


def find(request: RunRequest, options: Options) -> Run | None:
    """The run of this key, among those of the last seven days."""
    application = _application(request, options)
    with calling("emr-serverless", options["emrServerless.region"], options) as serverless:
        return _look_up(serverless, options, application, request)


def poll(runs: Sequence[Run], options: Options) -> list[Run]:
    """The runs as they are now, by one request each.

    Raises:
        RejectedError: EMR Serverless has no such run any more, or no such application; `gone`.
        AuthError, UnavailableError: As `trunkline.errors` says.
    """
    region = options["emrServerless.region"]
    with calling("emr-serverless", region, options) as serverless, ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda run: _got(serverless, *run.run_id.split("/", 1)), runs))


def list_runs(wanted: RunFilter, options: Options) -> Iterator[Run]:
    """Runs of `emrServerless.application`, newest first. `jobs` may be modules or names of runs.

    AWS narrows by state and by when runs were made, which for `since` is asked with the longest time in the queue on
    top; runs that wait and were made after `until` are asked for besides. Runs of other jobs are dropped by their
    names; what is left costs one more request each, once in a process for those that have ended, because the list does
    not tell when a run began.
    """
    application = needed(options, "emrServerless.application", "the application whose runs are listed")
    asked: dict[str, Any] = {}
    if wanted.since:
        asked["createdAtAfter"] = wanted.since - LONGEST_QUEUE
    if wanted.until:
        asked["createdAtBefore"] = wanted.until
    # A run that timed out is one that was cancelled. Lists of several states are grouped by state: one list for each.
    states = wanted.states | ({"CANCELLED"} if "TIMED_OUT" in wanted.states else set())
    narrowed = [{"states": [word]} for word, state in _STATES.items() if state in states] if wanted.states else [{}]
    with calling("emr-serverless", options["emrServerless.region"], options) as serverless:
        lists = [_listed(serverless, application, **asked, **one) for one in narrowed]
        if wanted.until and (not wanted.states or "PENDING" in wanted.states):
            lists = [_made_before(wanted.until, runs) for runs in lists]
            lists.append(_waiting_since(serverless, application, wanted.until))
        merged = heapq.merge(*lists, key=lambda one: one["createdAt"], reverse=True)
        found = (one for one in merged if _may_be(wanted, one.get("name", "")))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while page := list(itertools.islice(found, PAGE)):
                runs = pool.map(lambda one: _detailed(serverless, one), page)
                for one, run in zip(page, runs, strict=True):
                    if is_wanted(wanted, run, one.get("name")):
                        yield run


def cancel(run: Run, options: Options) -> None:
    """Ask for the end of a run. One that has ended stays as it is."""
    application, run_id = run.run_id.split("/", 1)
    with calling("emr-serverless", options["emrServerless.region"], options) as serverless:
        if not _got(serverless, application, run_id).ended:
            serverless.cancel_job_run(applicationId=application, jobRunId=run_id)


def _application(request: RunRequest, options: Options) -> str:
    why = "it, or the column target, names the application"
    return request.target or needed(options, "emrServerless.application", why)


def _name(request: RunRequest) -> str:
    name = f"{request.job}:{request.run_key}"
    if len(name) <= NAME_LENGTH:
        return name
    digest = digest_of(name)
    return f"{name[: NAME_LENGTH - len(digest) - 1]}:{digest}"


def _may_be(wanted: RunFilter, name: str) -> bool:
    """Whether a run of this name can be one of the jobs asked for; its arguments, which decide, are not in the list."""
    return (
        not wanted.jobs or name in wanted.jobs or any(name.startswith(f"{job}:"[:NAME_LENGTH]) for job in wanted.jobs)
    )


def _listed(serverless: Any, application: str, **asked: Any) -> Iterator[dict[str, Any]]:
    paginator = serverless.get_paginator("list_job_runs")
    for page in paginator.paginate(applicationId=application, PaginationConfig={"PageSize": PAGE}, **asked):
        yield from page["jobRuns"]


def _made_before(until: datetime, runs: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (one for one in runs if one["createdAt"] < until)


def _waiting_since(serverless: Any, application: str, since: datetime) -> Iterator[dict[str, Any]]:
    """Those that wait, in one request for all their states: asked for one by one, a run could slip through between."""
    words = [word for word, state in _STATES.items() if state == "PENDING"]
    runs = _listed(serverless, application, states=words, createdAtAfter=since)
    found = [one for one in runs if one["createdAt"] >= since]
    yield from sorted(found, key=lambda one: one["createdAt"], reverse=True)


def _look_up(serverless: Any, options: Options, application: str, request: RunRequest) -> Run | None:
    """The run of a key. What was read once is kept for the life of this process."""
    place, now = place_of(serverless, options, application), datetime.now(timezone.utc)
    read_until, ids = _known.get(place, (now - LOOK_BACK, {}))
    fresh = _listed(serverless, application, createdAtAfter=read_until - OVERLAP)
    ids = ids | {one["name"]: one["id"] for one in fresh if one.get("name")}
    _known[place] = (now, ids)
    run_id = ids.get(_name(request))
    if run_id is None:
        return None
    run = _got(serverless, application, run_id)
    return run if run.run_key == request.run_key else None


def _detailed(serverless: Any, found: dict[str, Any]) -> Run:
    """A run of a list with what the list does not tell."""
    if _STATES.get(found["state"]) in ENDED:
        return _ended(serverless, found["applicationId"], found["id"], found["updatedAt"])
    return _got(serverless, found["applicationId"], found["id"])


@lru_cache(maxsize=ENDINGS)
def _ended(serverless: Any, application: str, run_id: str, updated_at: datetime) -> Run:  # noqa: ARG001 - of the key
    return _got(serverless, application, run_id)


def _got(serverless: Any, application: str, run_id: str) -> Run:
    try:
        found = serverless.get_job_run(applicationId=application, jobRunId=run_id)["jobRun"]
    except serverless.exceptions.ResourceNotFoundException as error:
        raise gone(f"{application}/{run_id}", error) from None
    return _run(found)


def _run(found: dict[str, Any]) -> Run:
    driver = found.get("jobDriver", {}).get("sparkSubmit", {})
    job, run_key = given_in(driver.get("entryPointArguments", ()))
    word, said = found["state"], found.get("stateDetails")
    state = _STATES.get(word, "RUNNING")
    began, ended = utc(found.get("startedAt")), utc(found.get("endedAt"))
    longest = timedelta(minutes=found.get("executionTimeoutMinutes") or 0)
    if word == "CANCELLED" and began and ended and longest and ended - began >= longest:
        state = "TIMED_OUT"  # EMR Serverless has no word for it: it cancels what takes longer than it may
    return Run(
        "emr-serverless",
        job or found.get("name"),
        f"{found['applicationId']}/{found['jobRunId']}",
        run_key,
        state=state,
        state_detail=f"{word}: {said}" if said else word,
        started_at=began,
        ended_at=ended if state in ENDED else None,
        attempt=found.get("attempt", 1),
        error=(said or word) if state in {"FAILED", "TIMED_OUT"} else None,
    )
