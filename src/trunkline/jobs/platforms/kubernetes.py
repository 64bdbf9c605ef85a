"""Runs as Jobs of Kubernetes, on the cluster of the kubeconfig, or of the pod this runs in.

    options = {"platform": "container", "container.host": "kubernetes", "container.image": "my/etl:1.0"}
    df.write.format("jobs").mode("append").options(**options).save()

    POST /apis/batch/v1/namespaces/default/jobs
    {"metadata": {"name": "trunkline-<digest of run_key>", "labels": {"app.kubernetes.io/managed-by": "trunkline", ...},
                  "annotations": {"trunkline/job": "my_project.etl", "trunkline/run_key": "orders-2026-05-01"}},
     "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [...]}}}}

The name makes starting idempotent: the cluster refuses a second Job of one name (409). Deleting a Job frees its name,
and with it the key; no time to live is set. So `cancel` suspends a Job, which ends its pods and keeps its name
(Kubernetes 1.24 and later), and marks it. The exit code and the result come from the pod: its termination message, else
its last line of output; where pods are gone, the Job's own condition is all there is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from trunkline.errors import AuthError, MissingExtraError, OptionError, RejectedError, UnavailableError
from trunkline.jobs.arguments import argv_of
from trunkline.jobs.folder import run_id_of
from trunkline.jobs.platforms.image import COMMAND, image_of
from trunkline.jobs.run import Run, RunFilter, RunRequest, digest_of
from trunkline.options import Options

try:
    from kubernetes import client, config

    from trunkline.jobs.platforms.kubernetes_runs import CANCELLED, JOB, RUN_KEY, SECONDS, bare, place_in_list, run_of
except ImportError:
    raise MissingExtraError("container.host=kubernetes needs its client: pip install 'trunkline[containers]'") from None

# Generated code of some releases is typed and of others not.
api: Any = client
_load_kube_config: Any = config.load_kube_config
_load_incluster_config: Any = config.load_incluster_config

_MANAGED = "app.kubernetes.io/managed-by=trunkline"
_DIGEST = "trunkline/job-digest"
# What Kubernetes takes as a label (documentation, "Labels and Selectors"); what it does not becomes an annotation.
_LABEL_NAME = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
# What a run may turn out to be whose Job is in this state: exit codes other than 0 are not all failures.
_MAY_BE = {
    "PENDING": frozenset({"PENDING", "RUNNING"}),
    "FAILED": frozenset({"FAILED", "PENDING_APPROVAL", "SUCCEEDED", "CANCELLED"}),
}
_PAGE = 500
_NOT_FOUND, _CONFLICT, _TOO_MANY, _SERVER_ERROR, _UNAUTHORIZED = 404, 409, 429, 500, (401, 403)


def start(request: RunRequest, options: Options) -> Run:
    """Start a run, or find the one that bears its key already; there is no window in which two could start.

    Raises:
        OptionError: There is no image, or no cluster.
        RejectedError: The cluster refuses the Job.
        AuthError, UnavailableError: It refuses the credential, or cannot be reached.
    """
    body = _body(request, image_of(request, options))
    namespace = options["container.namespace"]
    with _cluster() as cluster:
        batch = api.BatchV1Api(cluster)
        try:
            job = batch.create_namespaced_job(namespace, body, _request_timeout=SECONDS)
        except api.ApiException as error:
            if error.status != _CONFLICT:
                raise
            job = batch.read_namespaced_job(_name(request), namespace, _request_timeout=SECONDS)
        return run_of(cluster, job, namespace)


def find(request: RunRequest, options: Options) -> Run | None:
    """The run of this key, if there is one."""
    namespace = options["container.namespace"]
    with _cluster() as cluster:
        try:
            job = api.BatchV1Api(cluster).read_namespaced_job(_name(request), namespace, _request_timeout=SECONDS)
        except api.ApiException as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return run_of(cluster, job, namespace)


def poll(runs: Sequence[Run], options: Options) -> list[Run]:
    """The same runs as they are now, in the same order.

    Raises:
        RejectedError: The cluster has no such Job any more; `gone`.
        AuthError, UnavailableError: It refuses the credential, or cannot be reached.
    """
    namespace = options["container.namespace"]
    with _cluster() as cluster:
        batch = api.BatchV1Api(cluster)
        found = []
        for run in runs:
            with _there(run):
                job = batch.read_namespaced_job(run.run_id, namespace, _request_timeout=SECONDS)
            found.append(run_of(cluster, job, namespace))
        return found


def list_runs(wanted: RunFilter, options: Options) -> Iterator[Run]:
    """The Jobs that Trunkline made, newest first; the cluster narrows by jobs. Pods are asked for only of what fits.

    Raises:
        AuthError, UnavailableError: The cluster refuses the credential, or cannot be reached.
    """
    namespace = options["container.namespace"]
    selector = _MANAGED
    if wanted.jobs:
        selector += f",{_DIGEST} in ({','.join(map(_digest, wanted.jobs))})"
    with _cluster() as cluster:
        found: list[Any] = []
        more: str | None = None
        while more is None or more:
            page = api.BatchV1Api(cluster).list_namespaced_job(
                namespace, label_selector=selector, limit=_PAGE, _continue=more or None, _request_timeout=SECONDS
            )
            found += page.items
            more = page.metadata._continue or ""  # noqa: SLF001 - the client's name for it
        for job in sorted(found, key=place_in_list, reverse=True):
            alone = bare(job)
            # A pod starts after its Job and is over before it; when and with which state exactly, only the pod tells.
            if (
                (wanted.until is not None and alone.ended and place_in_list(job) >= wanted.until)
                or (wanted.since is not None and alone.ended_at is not None and alone.ended_at < wanted.since)
                or (wanted.states and not wanted.states & _MAY_BE.get(alone.state, {alone.state}))
            ):
                continue
            run = run_of(cluster, job, namespace)
            if wanted.takes(run):
                yield run


def cancel(run: Run, options: Options) -> None:
    """Suspend the Job, which ends its pods: SIGTERM, and SIGKILL after their grace period; it keeps its name.

    Raises:
        RejectedError: The cluster has no such Job any more; `gone`.
        AuthError, UnavailableError: It refuses the credential, or cannot be reached.
    """
    body = {"metadata": {"annotations": {CANCELLED: "true"}}, "spec": {"suspend": True}}
    with _cluster() as cluster, _there(run):
        api.BatchV1Api(cluster).patch_namespaced_job(
            run.run_id, options["container.namespace"], body, _request_timeout=SECONDS
        )


@contextmanager
def _cluster() -> Iterator[Any]:
    """A client, whose errors get their names here."""
    configuration = api.Configuration()
    try:
        try:
            # Its own default is what KUBECONFIG was when it was imported.
            _load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=configuration)
        except config.ConfigException:
            _load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise OptionError(
            f"container.host=kubernetes finds no cluster: {error}. Set KUBECONFIG, or run it in a pod"
        ) from None
    try:
        with api.ApiClient(configuration) as cluster:
            yield cluster
    except api.ApiException as error:
        said = f"Kubernetes: {error.status} {error.reason}: {_message(error)}"
        if error.status in _UNAUTHORIZED:
            raise AuthError(f"{said}. Check the kubeconfig and the account's rights.", status=error.status) from None
        if error.status is None or error.status == _TOO_MANY or error.status >= _SERVER_ERROR:
            raise UnavailableError(f"{said}. Run it again later.", status=error.status) from None
        raise RejectedError(said, status=error.status) from None
    except Exception as error:
        # The client lets the errors of the library below it through, which is not ours to import.
        if not type(error).__module__.startswith("urllib3"):
            raise
        host = configuration.host
        raise UnavailableError(f"Kubernetes does not answer at {host}: {type(error).__name__}: {error}") from None


@contextmanager
def _there(run: Run) -> Iterator[None]:
    """For what is asked of a run's Job: that it was deleted gets a name."""
    try:
        yield
    except api.ApiException as error:
        if error.status != _NOT_FOUND:
            raise
        said = f"there is no run {run.run_id} any more: {_message(error)}"
        raise RejectedError(said, status=error.status, gone=True) from None


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.body or "")[:300]


def _name(request: RunRequest) -> str:
    return f"trunkline-{run_id_of(request.run_key)}"


def _digest(job: str) -> str:
    return digest_of(job)[:24]


def _body(request: RunRequest, image: str) -> Any:
    labels = {"app.kubernetes.io/managed-by": "trunkline", _DIGEST: _digest(request.job)}
    annotations = {JOB: request.job, RUN_KEY: request.run_key}
    for name, value in request.labels.items():
        fits = _LABEL_NAME.fullmatch(name) and _LABEL_VALUE.fullmatch(value)
        (labels if fits else annotations).setdefault(name, value)
    container = api.V1Container(
        name="job",
        image=image,
        command=list(COMMAND),
        args=argv_of(request),
        env=[api.V1EnvVar(name="TRUNKLINE_PLATFORM", value="container")],
        termination_message_policy="FallbackToLogsOnError",
    )
    pod = api.V1PodTemplateSpec(
        metadata=api.V1ObjectMeta(labels=labels, annotations=annotations),
        spec=api.V1PodSpec(restart_policy="Never", containers=[container]),
    )
    return api.V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=api.V1ObjectMeta(name=_name(request), labels=labels, annotations=annotations),
        spec=api.V1JobSpec(backoff_limit=0, template=pod),
    )
