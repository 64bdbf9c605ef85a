"""Runs by the submission API of a standalone master: `platform=spark` with `spark.restUrl`.

    POST http://host:6066/v1/submissions/create
    {"action": "CreateSubmissionRequest", "mainClass": "org.apache.spark.deploy.SparkSubmit", "appResource": "",
     "appArgs": ["--master", "spark://host:7077", "<folder>/entry.py", "--module_name=...", ...], ...}
    {"success": true, "submissionId": "driver-20260501120000-0000"}

That API runs Python only so: spark-submit as the driver's main class, with the script among its arguments. The script,
the artifact and Trunkline must be there on every worker under the same path, and be readable for who runs it; script
(`spark.entryPoint`) and artifact may be URIs that Spark reads. The API knows no idempotency, no list, no times and no
output; what it lacks is kept in `local.folder`, so runs are found from machines that share it, by:

    a lock per run      of callers on one folder only one submits, and it writes down that it is about to
    the window          where the master may have taken a submission and its id was not written down (the caller was
                        killed, the answer was lost or has no id), the run is FAILED with the detail UNKNOWN_SUBMISSION
                        and never submitted again. A caller with another folder does not know of the run at all.
    times               when the state was seen here first
    the exit code       does not come back: a run that waits for approval (3) or is degraded (4) is FAILED there
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from trunkline.errors import AuthError, OptionError, RejectedError, ResponseError, UnavailableError
from trunkline.http.api import call
from trunkline.jobs.ending import abandoned
from trunkline.jobs.folder import Kept, RunFolder, run_id_of
from trunkline.jobs.run import Run, RunRequest
from trunkline.options import Options

# The driver states of a standalone master (org.apache.spark.deploy.master.DriverState), and NOT_FOUND of its API.
_STATES = {
    "SUBMITTED": "PENDING",
    "RUNNING": "RUNNING",
    "FINISHED": "SUCCEEDED",
    "RELAUNCHING": "PENDING",
    "UNKNOWN": "RUNNING",  # the master has lost touch with the worker, not the worker with the driver
    "KILLED": "CANCELLED",
    "FAILED": "FAILED",
    "ERROR": "FAILED",
    "NOT_FOUND": "FAILED",  # it keeps the last 200, and none over a restart
}
# Which version a client says it is; the master only compares it for a warning.
_CLIENT_VERSION = "4.0.0"
_MASTER_PORT = 7077
# One call of a master that is up takes milliseconds.
_CALL = {"timeout.total": "30s", "deadline": "60s"}
# A submission whose lock is free and that has no id after this long was cut off.
_CUT_OFF = timedelta(seconds=5)
_MAY_RUN = "the master may run it. Look for it there; under this run_key it is not submitted again"
# Those who only look hold a lock for microseconds.
_HELD = 0.01


def submit(request: RunRequest, options: Options, folder: RunFolder, script: Sequence[str]) -> Run:
    """Submit a run, or find the one that bears its key already.

    Args:
        request: Of the run.
        options: Of the call, with `spark.restUrl`.
        folder: Where the run is kept.
        script: The script that calls Trunkline, and its arguments.

    Raises:
        RejectedError: The master refuses it; `ambiguous`: its answer was lost, or is none, so it may run.
        AuthError, UnavailableError: It refuses `spark.token`, or cannot be reached. Nothing was started.
    """
    run_id = run_id_of(request.run_key)
    folder.add(request, "master", {"rest_url": options["spark.restUrl"].rstrip("/")})
    while True:
        with folder.locked(run_id) as mine:
            kept = folder.get(run_id)
            if mine and not kept.run.state_detail:
                return _submit_now(kept, request, options, folder, script)
        # Submitted, or being submitted by another caller, or cut off while it was.
        if kept.run.state_detail:
            return seen(kept, options, folder).run
        time.sleep(_HELD)


def seen(kept: Kept, options: Options, folder: RunFolder) -> Kept:
    """A run of the master as it is now; written down if that is news."""
    if kept.run.ended:
        return kept
    if kept.outer_id is None:
        return _unknown(kept, folder)
    answer = _asked("GET", f"{base_of(kept, folder)}/v1/submissions/status/{kept.outer_id}", options)
    word = str(answer.get("driverState") or ("NOT_FOUND" if not answer.get("success") else "UNKNOWN"))
    state = _STATES.get(word, "RUNNING")
    said = " ".join(str(answer.get("message") or "").split())
    now = datetime.now(timezone.utc)
    run = replace(
        kept.run,
        state=state,
        state_detail=f"{word}: {said}" if said else word,
        started_at=kept.run.started_at or (None if state == "PENDING" else now),
    )
    if run.ended:
        error = None
        if state == "FAILED":
            error = said or f"the driver ended as {word}; its output is on the worker {answer.get('workerId')}"
        run = replace(run, ended_at=now, error=error)
    if run == kept.run:
        return kept
    return _noted(replace(kept, run=run), folder)


def kill(kept: Kept, options: Options, folder: RunFolder) -> None:
    """Ask the master for the end of a run.

    Raises:
        RejectedError: It says why it does not end it.
    """
    if kept.outer_id and not kept.run.ended:
        answer = _asked("POST", f"{base_of(kept, folder)}/v1/submissions/kill/{kept.outer_id}", options)
        # A driver that has ended meanwhile is no longer there to be killed.
        if not answer.get("success") and not seen(kept, options, folder).run.ended:
            raise RejectedError(f"the master does not end {kept.outer_id}: {answer.get('message')}")


def base_of(kept: Kept, folder: RunFolder) -> str:
    """The address of the master that a run was submitted to."""
    return str(folder.request(kept.run.run_id)["rest_url"])


def _submit_now(kept: Kept, request: RunRequest, options: Options, folder: RunFolder, script: Sequence[str]) -> Run:
    """Submit a run; for who holds its lock."""
    url, body = f"{options['spark.restUrl'].rstrip('/')}/v1/submissions/create", _submission(request, options, script)
    # Written down before it is done: what is cut off in between is never submitted a second time.
    kept = replace(kept, run=replace(kept.run, state_detail="SUBMITTING", url=None))
    folder.write(kept)
    try:
        status, answer = _called("POST", url, options, body)
    except RejectedError as error:
        if error.outcome != "ambiguous":
            folder.remove(kept)
        raise
    except (AuthError, OptionError, UnavailableError):
        # It was refused, or never sent.
        folder.remove(kept)
        raise
    except ResponseError as error:
        raise RejectedError(f"{error}; {_MAY_RUN}", outcome="ambiguous") from None
    told = answer if isinstance(answer, dict) else {}
    if told.get("success") is False:
        folder.remove(kept)
        raise RejectedError(f"the master refuses {request.job}: {told.get('message') or told}", status=status)
    if not told.get("success") or not told.get("submissionId"):
        raise RejectedError(f"{url} answered {status} without an id; {_MAY_RUN}", status=status, outcome="ambiguous")
    kept = replace(kept, outer_id=str(told["submissionId"]), run=replace(kept.run, state_detail="SUBMITTED"))
    folder.write(kept)
    return kept.run


def _submission(request: RunRequest, options: Options, script: Sequence[str]) -> dict[str, Any]:
    host = urlsplit(options["spark.restUrl"]).hostname
    master = options["spark.master"] or f"spark://{host}:{_MASTER_PORT}"
    words = ["--master", master, *(("--py-files", options["artifact"]) if options["artifact"] else ())]
    environment = {name: os.environ[name] for name in ("PYSPARK_PYTHON", "SPARK_LOCAL_IP") if name in os.environ}
    environment["TRUNKLINE_PLATFORM"] = "spark"
    return {
        "action": "CreateSubmissionRequest",
        "appResource": "",
        "mainClass": "org.apache.spark.deploy.SparkSubmit",
        "appArgs": [*words, *script],
        "clientSparkVersion": _CLIENT_VERSION,
        "environmentVariables": environment,
        "sparkProperties": {
            "spark.master": master,
            "spark.app.name": request.job,
            "spark.submit.deployMode": "cluster",
        },
    }


def _unknown(kept: Kept, folder: RunFolder) -> Kept:
    """A run without an id: not submitted yet, or cut off while it was."""
    if folder.watched(kept.run.run_id) or datetime.now(timezone.utc) - kept.asked_at < _CUT_OFF:
        return kept
    if not kept.run.state_detail:
        return replace(kept, run=abandoned(kept.run))
    why = f"the answer to its submission was lost: {_MAY_RUN}"
    run = replace(kept.run, state="FAILED", state_detail="UNKNOWN_SUBMISSION", error=why)
    return _noted(replace(kept, run=replace(run, ended_at=datetime.now(timezone.utc))), folder)


def _noted(kept: Kept, folder: RunFolder) -> Kept:
    with folder.locked(kept.run.run_id) as mine:
        before = folder.kept(kept.run.run_id)
        if before is not None and before.run.ended:
            return before
        if mine:
            folder.write(kept)
    return kept


def _asked(method: str, url: str, options: Options) -> dict[str, Any]:
    status, answer = _called(method, url, options)
    if not isinstance(answer, dict):
        raise RejectedError(f"{url} answered {status} with something that is no submission API", status=status)
    return answer


def _called(method: str, url: str, options: Options, body: object = None) -> tuple[int, Any]:
    # A run that was kept may have gone to a master which these options do not name: that one gets no token.
    own = url.startswith(f"{(options['spark.restUrl'] or '').rstrip('/')}/v1/")
    token = options["spark.token"] if own else None
    status, _, answer = call(
        method, url, body=body, token=token, credential="spark.token", delivery="atMostOnce", **_CALL
    )
    return status, answer
