"""Runs as Jobs of Kubernetes: the official client against a server that answers as the API is documented to (batch/v1
Job, v1 Pod; the shapes of conditions and container states as a 1.2x cluster writes them). No cluster is run here."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.servers.process import free_port

from trunkline.errors import AuthError, OptionError, RejectedError, UnavailableError
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import container
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.options import Options
from trunkline.testing import FaultServer

JOBS, PODS = "/apis/batch/v1/namespaces/etl/jobs", "/api/v1/namespaces/etl/pods"
NAME = "trunkline-8254c329a92850f6d539dd37"  # of the key "k"
MADE, STARTED, ENDED = "2026-05-01T12:00:00Z", "2026-05-01T12:00:05Z", "2026-05-01T12:01:00Z"
AT, END = datetime(2026, 5, 1, 12, 0, 5, tzinfo=timezone.utc), datetime(2026, 5, 1, 12, 1, tzinfo=timezone.utc)


@pytest.fixture
def options(fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    return options_of(fault_server.url_for("").rstrip("/"), tmp_path, monkeypatch)


def options_of(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t0ken-1"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(kubeconfig), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(path))
    given = {"container.host": "kubernetes", "container.image": "my/etl:1.0", "container.namespace": "etl"}
    return write_options({"platform": "container", **given})


def request(key: str = "k") -> RunRequest:
    return RunRequest("container", "my.etl", key, {"n": 1}, None, {"team": "blue", "note": "two words"})


def job(name: str = NAME, module: str = "my.etl", *, suspend: bool = False, **status: Any) -> dict[str, Any]:
    annotations = {"trunkline/job": module, "trunkline/run_key": "k"} | (
        {"trunkline/cancelled": "true"} if suspend else {}
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "annotations": annotations, "creationTimestamp": MADE},
        "spec": {"suspend": suspend, "template": {"spec": {"containers": [{"name": "job"}], "restartPolicy": "Never"}}},
        "status": status,
    }


def condition(kind: str, **more: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": ENDED, **more}], "startTime": MADE}


def pods(phase: str, **state: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"name": "job", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    statuses = [{**status, "state": state}] if state else []
    pod = {
        "metadata": {"name": "pod-1", "creationTimestamp": MADE},
        "status": {"phase": phase, "containerStatuses": statuses},
    }
    return {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod]}


def terminated(code: int, message: str | None = None) -> dict[str, Any]:
    return {"exitCode": code, "reason": "Error", "startedAt": STARTED, "finishedAt": ENDED, "message": message}


NO_PODS = {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": []}
GOOD = '{"status": "SUCCESS"}'
BAD = '{"status": "FAILED", "error": {"type": "ValueError", "message": "no input"}}'
TOLD = '{"status": "FAILED", "failure_type": "CANCELLED"}'
BACKOFF = condition("Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")


@pytest.mark.parametrize(
    ("found", "its_pods", "log", "expected"),
    [
        (job(active=1), NO_PODS, "", ("PENDING", None, None, None, None, None)),
        (
            job(active=1),
            pods("Pending", waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image"}),
            "",
            ("PENDING", "ImagePullBackOff: Back-off pulling image", None, None, None, None),
        ),
        (job(active=1), pods("Pending"), "", ("PENDING", "Pending", None, None, None, None)),
        (
            job(active=1),
            pods("Running", running={"startedAt": STARTED}),
            "",
            ("RUNNING", "Running", AT, None, None, None),
        ),
        (
            job(active=1),
            pods("Succeeded", terminated=terminated(0)),
            "",
            ("RUNNING", "Terminated", AT, None, None, None),
        ),
        (
            job(**condition("Complete")),
            pods("Succeeded", terminated=terminated(0, GOOD)),
            "",
            ("SUCCEEDED", "Complete: Error exit code 0", AT, END, None, GOOD),
        ),
        (
            job(**condition("Complete")),
            pods("Succeeded", terminated=terminated(0)),
            f"working\n\n{GOOD}\n",
            ("SUCCEEDED", "Complete: Error exit code 0", AT, END, None, GOOD),
        ),
        (
            job(**BACKOFF),
            pods("Failed", terminated=terminated(1, BAD)),
            "",
            (
                "FAILED",
                "Failed BackoffLimitExceeded: Error exit code 1",
                AT,
                END,
                "ValueError: no input",
                BAD,
            ),
        ),
        (
            job(**BACKOFF),
            pods("Failed", terminated=terminated(3, GOOD)),
            "",
            ("PENDING_APPROVAL", "Failed BackoffLimitExceeded: Error exit code 3", AT, END, None, GOOD),
        ),
        (
            job(**BACKOFF),
            pods("Failed", terminated=terminated(4, GOOD)),
            "",
            ("SUCCEEDED", "Failed BackoffLimitExceeded: Error degraded: exit code 4", AT, END, None, GOOD),
        ),
        (
            job(**BACKOFF),
            pods("Failed", terminated=terminated(1, TOLD)),
            "",
            ("CANCELLED", "Failed BackoffLimitExceeded: Error told to end: exit code 1", AT, END, None, TOLD),
        ),
        (
            job(**BACKOFF),
            NO_PODS,
            "",
            (
                "FAILED",
                "Failed BackoffLimitExceeded",
                datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc),
                END,
                "Job has reached the specified backoff limit",
                None,
            ),
        ),
        (
            job(**condition("Failed", reason="DeadlineExceeded", message="too long")),
            NO_PODS,
            "",
            (
                "TIMED_OUT",
                "Failed DeadlineExceeded",
                datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc),
                END,
                "too long",
                None,
            ),
        ),
        (
            job(suspend=True, **condition("Suspended")),
            NO_PODS,
            "",
            ("CANCELLED", "Suspended: cancelled", None, END, None, None),
        ),
    ],
)
def test_every_state_of_a_job_has_a_state(
    options: Options,
    fault_server: FaultServer,
    found: dict[str, Any],
    its_pods: dict[str, Any],
    log: str,
    expected: tuple[object, ...],
) -> None:
    fault_server.route(f"GET {JOBS}/{NAME}", [{"body": found}])
    fault_server.route(f"GET {PODS}", [{"body": its_pods}])
    fault_server.route(f"GET {PODS}/pod-1/log", [{"body": log, "headers": {"Content-Type": "text/plain"}}])
    (run,) = container.poll([Run("container", None, NAME)], options)
    assert (run.job, run.run_key, run.run_id) == ("my.etl", "k", NAME)
    assert (run.state, run.state_detail, run.started_at, run.ended_at, run.error, run.result) == expected


def test_what_the_cluster_is_sent_and_that_the_same_key_is_the_same_job(
    options: Options, fault_server: FaultServer
) -> None:
    conflict = {"kind": "Status", "code": 409, "reason": "AlreadyExists", "message": "jobs already exists"}
    fault_server.route(f"POST {JOBS}", [{"status": 201, "body": job(), "times": 1}, {"status": 409, "body": conflict}])
    fault_server.route(f"GET {JOBS}/{NAME}", [{"body": job(active=1)}])
    fault_server.route(f"GET {PODS}", [{"body": NO_PODS}])
    first = container.start(request(), options)
    assert container.start(request(), options) == first
    assert (first.run_id, first.state, first.run_key) == (NAME, "PENDING", "k")
    sent = fault_server.ledger(f"POST {JOBS}")[0]
    assert sent.headers["authorization"] == "Bearer t0ken-1"
    digest = hashlib.sha256(b"my.etl").hexdigest()[:24]
    labels = {"app.kubernetes.io/managed-by": "trunkline", "trunkline/job-digest": digest, "team": "blue"}
    annotations = {"trunkline/job": "my.etl", "trunkline/run_key": "k", "note": "two words"}
    assert sent.json == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME, "labels": labels, "annotations": annotations},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [
                        {
                            "name": "job",
                            "image": "my/etl:1.0",
                            "command": ["python3", "-m", "trunkline.jobs"],
                            "args": ["--module_name=my.etl", "--run_key=k", '--etl={"n":1}'],
                            "env": [{"name": "TRUNKLINE_PLATFORM", "value": "container"}],
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                        }
                    ],
                },
            },
        },
    }


def test_a_key_without_a_job_is_not_found(options: Options, fault_server: FaultServer) -> None:
    fault_server.route(f"GET {JOBS}/{NAME}", [{"status": 404, "body": {"message": "not found"}}])
    assert container.find(request(), options) is None


def test_listing_asks_for_the_jobs_that_are_wanted_page_by_page(options: Options, fault_server: FaultServer) -> None:
    def page(items: list[dict[str, Any]], more: str = "") -> dict[str, Any]:
        return {"apiVersion": "batch/v1", "kind": "JobList", "metadata": {"continue": more}, "items": items}

    newer = job("trunkline-2", active=1)
    newer["metadata"]["creationTimestamp"] = ENDED
    done = job("trunkline-1", **condition("Complete"))
    fault_server.route(
        f"GET {JOBS}", [{"body": page([newer]), "when": {"query": {"continue": "t"}}}, {"body": page([done], "t")}]
    )
    fault_server.route(f"GET {PODS}", [{"body": NO_PODS}])
    assert [run.run_id for run in container.list_runs(RunFilter(), options)] == ["trunkline-2", "trunkline-1"]
    asked = fault_server.ledger(f"GET {JOBS}")
    assert [exchange.query["labelSelector"] for exchange in asked] == [["app.kubernetes.io/managed-by=trunkline"]] * 2
    before = len(fault_server.ledger(f"GET {PODS}"))
    pending = container.list_runs(RunFilter(frozenset({"PENDING"}), jobs=("my.etl",)), options)
    assert [run.run_id for run in pending] == ["trunkline-2"]
    assert len(fault_server.ledger(f"GET {PODS}")) == before + 1  # of the one that may be pending
    (selector,) = fault_server.ledger(f"GET {JOBS}")[-1].query["labelSelector"]
    assert selector.startswith("app.kubernetes.io/managed-by=trunkline,trunkline/job-digest in (")


def test_a_job_that_was_deleted_is_told_apart(options: Options, fault_server: FaultServer) -> None:
    missing = {"status": 404, "body": {"message": f'jobs.batch "{NAME}" not found'}}
    fault_server.route(f"GET {JOBS}/{NAME}", [missing])
    fault_server.route(f"PATCH {JOBS}/{NAME}", [missing])
    for ask in (lambda run: container.poll([run], options), lambda run: container.cancel(run, options)):
        with pytest.raises(RejectedError, match=f"there is no run {NAME} any more: jobs.batch") as caught:
            ask(Run("container", None, NAME))
        assert caught.value.gone


def test_a_job_whose_pod_has_not_started_passes_the_times(options: Options, fault_server: FaultServer) -> None:
    cancelled = job("trunkline-2", suspend=True, **condition("Suspended"))
    page = {"apiVersion": "batch/v1", "kind": "JobList", "metadata": {}, "items": [job(active=1), cancelled]}
    fault_server.route(f"GET {JOBS}", [{"body": page}])
    fault_server.route(f"GET {PODS}", [{"body": pods("Pending")}])

    def listed(**times: datetime) -> list[str]:
        return [run.state for run in container.list_runs(RunFilter(**times), options)]  # type: ignore[arg-type]

    assert listed(until=datetime(2026, 4, 1, tzinfo=timezone.utc)) == ["PENDING"]
    assert listed(since=datetime(2026, 6, 1, tzinfo=timezone.utc)) == ["PENDING"]
    # What ended without a start counts by its end.
    assert listed(since=END) == ["PENDING", "CANCELLED"]
    assert listed(until=END) == ["PENDING"]


def test_cancelling_suspends_the_job_and_marks_it(options: Options, fault_server: FaultServer) -> None:
    """Its name stays taken: the same key starts nothing."""
    fault_server.route(f"PATCH {JOBS}/{NAME}", [{"body": job(suspend=True)}])
    container.cancel(Run("container", None, NAME), options)
    (sent,) = fault_server.ledger(f"PATCH {JOBS}/{NAME}")
    assert sent.json == {"metadata": {"annotations": {"trunkline/cancelled": "true"}}, "spec": {"suspend": True}}
    assert "merge-patch" in sent.headers["content-type"]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthError), (403, AuthError), (422, RejectedError), (500, UnavailableError)]
)
def test_what_the_cluster_refuses_has_a_name(
    options: Options, fault_server: FaultServer, status: int, kind: type[Exception]
) -> None:
    body = {"kind": "Status", "message": "said so", "code": status}
    fault_server.route(f"POST {JOBS}", [{"status": status, "body": body}])
    with pytest.raises(kind, match="said so") as caught:
        container.start(request(), options)
    assert "t0ken-1" not in str(caught.value)


def test_a_cluster_that_is_not_there_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_of(f"http://127.0.0.1:{free_port()}", tmp_path, monkeypatch)
    with pytest.raises(UnavailableError, match="does not answer at http://127"):
        container.find(request(), options)


def test_without_a_cluster_the_cure_is_named(options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(OptionError, match="Set KUBECONFIG"):
        container.find(request(), options)
