"""Amazon EMR on EC2, by boto3: steps of a cluster that runs, `target` or `emr.cluster`.

A step is `command-runner.jar` with these words; the entry point calls Trunkline (`trunkline new entry emr`):

    spark-submit --py-files s3://bucket/my.zip s3://bucket/entry.py --module_name=my.etl --run_key=k1 --etl={...}

No second run: EMR takes no token for steps, so the steps of the cluster are looked through for the key first. That
leaves a window: two writers that both look before either has added its step add two, and so does one that starts again
before EMR shows the step whose answer was lost. It is as long as one start takes, a second or so.

A run's id here is `<cluster>/<step>`, because EMR finds a step only by both. Steps know no time-out, and do not tell of
results: the step's own log has them. A step that fails leaves the cluster and the other steps alone (`CONTINUE`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from trunkline.errors import RejectedError
from trunkline.jobs.arguments import argv_of
from trunkline.jobs.platforms.aws import (
    calling,
    console,
    given_in,
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

# botocore's model of EMR: characters of a step's name; steps that ListSteps takes by id at once.
NAME_LENGTH = 256
IDS_AT_ONCE = 10
# StepState in botocore's model of EMR. INTERRUPTED: the cluster ended under it.
_STATES = {
    "PENDING": "PENDING",
    "CANCEL_PENDING": "RUNNING",
    "RUNNING": "RUNNING",
    "COMPLETED": "SUCCEEDED",
    "CANCELLED": "CANCELLED",
    "FAILED": "FAILED",
    "INTERRUPTED": "FAILED",
}


def start(request: RunRequest, options: Options) -> Run:
    """Add a step; the one that bears the key already, if there is one.

    Raises:
        OptionError: Neither target nor `emr.cluster`; or no `emr.entryPoint`.
        UnavailableError: With `later=True` while the cluster has as many active steps as it may have (256).
        RejectedError, AuthError: As `trunkline.errors` says.
    """
    cluster = _cluster(request, options)
    entry = needed(options, "emr.entryPoint", "the script that calls Trunkline, by its URI (trunkline new entry emr)")
    files = ["--py-files", options["artifact"]] if options["artifact"] else []
    step = {
        "Name": f"{request.job}:{request.run_key}"[:NAME_LENGTH],
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": ["spark-submit", *files, entry, *argv_of(request)],
        },
    }
    region = options["emr.region"]
    with calling("emr", region, options) as emr, calling("emr", region, options, once=True) as unrepeated:
        if found := _look_up(emr, options, cluster, request.run_key):
            return _got(emr, cluster, [found])[found]
        step_id = send_once(
            lambda: str(unrepeated.add_job_flow_steps(JobFlowId=cluster, Steps=[step])["StepIds"][0]),
            lambda: _look_up(emr, options, cluster, request.run_key),
        )
        run_id = f"{cluster}/{step_id}"
        return Run("emr", request.job, run_id, request.run_key, state_detail="PENDING", url=_url(emr, cluster))


def find(request: RunRequest, options: Options) -> Run | None:
    """The newest step of this key, among all that EMR lists of the cluster."""
    cluster = _cluster(request, options)
    with calling("emr", options["emr.region"], options) as emr:
        step_id = _look_up(emr, options, cluster, request.run_key)
        return _got(emr, cluster, [step_id])[step_id] if step_id else None


def poll(runs: Sequence[Run], options: Options) -> list[Run]:
    """The steps as they are now, ten by one request.

    Raises:
        RejectedError: EMR has no such step any more, or no such cluster; `gone`.
        AuthError, UnavailableError: As `trunkline.errors` says.
    """
    steps: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        cluster, _, step_id = run.run_id.partition("/")
        steps[cluster].append(step_id)
    with calling("emr", options["emr.region"], options) as emr:
        found = {run.run_id: run for cluster, ids in steps.items() for run in _got(emr, cluster, ids).values()}
    return [found[run.run_id] for run in runs]


def list_runs(wanted: RunFilter, options: Options) -> Iterator[Run]:
    """Steps of `emr.cluster`, newest first. `jobs` may be modules or names of steps.

    EMR narrows by state and lists the newest first; the list is read until a step that began before `since`: steps
    begin in the order in which they were added.
    """
    cluster = needed(options, "emr.cluster", "the cluster whose steps are listed")
    narrowed: dict[str, Any] = {}
    if wanted.states:
        narrowed["StepStates"] = [word for word, state in _STATES.items() if state in wanted.states]
        if not narrowed["StepStates"]:
            return
    with calling("emr", options["emr.region"], options) as emr:
        for page in emr.get_paginator("list_steps").paginate(ClusterId=cluster, **narrowed):
            for found in page["Steps"]:
                times = found["Status"].get("Timeline", {})
                began = times.get("StartDateTime")
                if began and wanted.since and began < wanted.since:
                    return
                run = _run(emr, cluster, found)
                if is_wanted(wanted, run, found["Name"]):
                    yield run


def cancel(run: Run, options: Options) -> None:
    """Ask for the end of a step, running or not. One that has ended stays as it is.

    Raises:
        RejectedError: EMR cannot cancel it.
    """
    cluster, _, step_id = run.run_id.partition("/")
    with calling("emr", options["emr.region"], options) as emr:
        for told in emr.cancel_steps(ClusterId=cluster, StepIds=[step_id])["CancelStepsInfoList"]:
            if told["Status"] == "FAILED" and not _got(emr, cluster, [step_id])[step_id].ended:
                raise RejectedError(f"emr: step {step_id} is not cancelled: {told.get('Reason')}")


def _cluster(request: RunRequest, options: Options) -> str:
    return request.target or needed(options, "emr.cluster", "it, or the column target, names the cluster")


def _look_up(emr: Any, options: Options, cluster: str, run_key: str) -> str | None:
    pages = emr.get_paginator("list_steps").paginate(ClusterId=cluster)
    keys = ([(one["Id"], given_in(one["Config"].get("Args", ()))[1]) for one in page["Steps"]] for page in pages)
    return known_run(place_of(emr, options, cluster), run_key, keys)


def _got(emr: Any, cluster: str, ids: list[str]) -> dict[str, Run]:
    """Steps by id.

    Raises:
        RejectedError: The cluster has no such step any more; `gone`.
    """
    found: dict[str, Run] = {}
    for begin in range(0, len(ids), IDS_AT_ONCE):
        some = ids[begin : begin + IDS_AT_ONCE]
        try:
            steps = emr.list_steps(ClusterId=cluster, StepIds=some)["Steps"]
        except emr.exceptions.InvalidRequestException as error:
            # Nothing is in the request but a cluster and steps: "Cluster id 'j-1' is not valid."
            raise gone(" or ".join(f"{cluster}/{step_id}" for step_id in some), error) from None
        found |= {one["Id"]: _run(emr, cluster, one) for one in steps}
    for step_id in ids:
        if step_id not in found:
            raise RejectedError(f"there is no run {cluster}/{step_id} any more: EMR lists no such step", gone=True)
    return found


def _run(emr: Any, cluster: str, found: dict[str, Any]) -> Run:
    job, run_key = given_in(found["Config"].get("Args", ()))
    status = found["Status"]
    word, times = status["State"], status.get("Timeline", {})
    state = _STATES.get(word, "RUNNING")
    failure = status.get("FailureDetails", {})
    told = [failure.get("Reason"), failure.get("Message"), status.get("StateChangeReason", {}).get("Message")]
    said = "; ".join(dict.fromkeys(filter(None, told)))
    log = f" (log: {failure['LogFile']})" if failure.get("LogFile") else ""
    return Run(
        "emr",
        job or found["Name"],
        f"{cluster}/{found['Id']}",
        run_key,
        state=state,
        state_detail=f"{word}: {said}" if said else word,
        started_at=utc(times.get("StartDateTime")),
        ended_at=utc(times.get("EndDateTime")) if state in ENDED else None,
        url=_url(emr, cluster),
        error=f"{said or word}{log}" if state == "FAILED" else None,
    )


def _url(emr: Any, cluster: str) -> str:
    region = emr.meta.region_name
    return f"{console(region)}/emr/home?region={region}#/clusterDetails/{cluster}"
