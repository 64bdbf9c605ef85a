"""What Kubernetes tells of a run, as we tell of it: from its Job, and from the pod, which knows how it ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from kubernetes import client

from trunkline.jobs.ending import Ending, ending, last_line
from trunkline.jobs.run import Run

# Generated code of some releases is typed and of others not.
api: Any = client

# The notes that a run's Job bears.
JOB, RUN_KEY, CANCELLED = "trunkline/job", "trunkline/run_key", "trunkline/cancelled"
# Of one call.
SECONDS = 30
# Lines of a pod's output in which its result is looked for.
_TAIL = 64


def place_in_list(job: Any) -> datetime:
    """A Job's place in a list: its start, or when it was made."""
    at: datetime = (job.status and job.status.start_time) or job.metadata.creation_timestamp
    return at


def bare(job: Any) -> Run:
    """What the Job alone tells of a run."""
    notes, status = job.metadata.annotations or {}, job.status
    run = Run("container", notes.get(JOB), job.metadata.name, notes.get(RUN_KEY))
    for condition in (status and status.conditions) or ():
        if condition.status != "True" or condition.type not in {"Complete", "Failed"}:
            continue
        told = " ".join(filter(None, (condition.type, condition.reason)))
        ended = status.completion_time or condition.last_transition_time
        run = replace(run, state_detail=told, started_at=status.start_time, ended_at=ended)
        if condition.type == "Complete":
            return replace(run, state="SUCCEEDED")
        timed_out = condition.reason == "DeadlineExceeded"
        state = "TIMED_OUT" if timed_out else "FAILED"
        return replace(run, state=state, error=condition.message or condition.reason or "Failed")
    if job.spec.suspend and not (status and status.active):
        if notes.get(CANCELLED) != "true":
            return replace(run, state_detail="Suspended")
        suspended = [c for c in (status and status.conditions) or () if c.type == "Suspended" and c.status == "True"]
        at = suspended[0].last_transition_time if suspended else datetime.now(timezone.utc)
        return replace(run, state="CANCELLED", state_detail="Suspended: cancelled", ended_at=at)
    return run


def run_of(cluster: Any, job: Any, namespace: str) -> Run:
    """What Job and pod together tell of a run."""
    run = bare(job)
    if run.state in {"CANCELLED", "TIMED_OUT"} or run.state_detail == "Suspended":
        return run
    core = api.CoreV1Api(cluster)
    pods = core.list_namespaced_pod(namespace, label_selector=f"job-name={run.run_id}", _request_timeout=SECONDS).items
    if not pods:
        return run
    pod = max(pods, key=lambda pod: pod.metadata.creation_timestamp)
    states = [status.state for status in pod.status.container_statuses or () if status.state is not None]
    state = states[0] if states else None
    if not run.ended:
        if state is not None and state.running is not None:
            return replace(run, state="RUNNING", state_detail="Running", started_at=state.running.started_at)
        if state is not None and state.terminated is not None:
            # The Job will say so in a moment; until then it goes on.
            return replace(run, state="RUNNING", state_detail="Terminated", started_at=state.terminated.started_at)
        waiting = state.waiting if state is not None else None
        said = ": ".join(filter(None, (waiting.reason, waiting.message))) if waiting is not None else pod.status.phase
        return replace(run, state_detail=said)
    if state is None or state.terminated is None:
        return run
    end = _end(core, pod, state.terminated, namespace)
    detail = f"{run.state_detail}: {state.terminated.reason or ''} {end.state_detail}".replace("  ", " ")
    return replace(
        run,
        **{**end._asdict(), "state_detail": detail},
        started_at=state.terminated.started_at or run.started_at,
        ended_at=state.terminated.finished_at or run.ended_at,
    )


def _end(core: Any, pod: Any, terminated: Any, namespace: str) -> Ending:
    end = ending(terminated.exit_code, last_line(terminated.message or ""))
    if end.result is not None:
        return end
    try:
        log = core.read_namespaced_pod_log(
            pod.metadata.name, namespace, container="job", tail_lines=_TAIL, _request_timeout=SECONDS
        )
    except api.ApiException:
        return end  # the node that kept it is gone
    return ending(terminated.exit_code, last_line(log or ""))
