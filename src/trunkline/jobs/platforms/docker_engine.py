"""Runs as containers, by the Docker Engine API, which podman has too.

A run is a container of the image (`target`, else `container.image`), which holds Python, Trunkline and the job; its own
entry point is not used, nor is `artifact`:

    POST /containers/create?name=trunkline-<digest of run_key>
    {"Image": "my/etl:1.0", "Entrypoint": ["python3", "-m", "trunkline.jobs"],
     "Cmd": ["--module_name=my_project.etl", "--run_key=orders-2026-05-01", "--etl={}"],
     "Labels": {"trunkline.job": "my_project.etl", "trunkline.run_key": "orders-2026-05-01"}, ...}

The name makes starting idempotent: the engine refuses a second container of one name (409; podman: 500), and who made
it starts it. Removing a container frees its name, and with it the key. A caller that is killed between the two leaves a
container that was created: it is told as FAILED, "ABANDONED", after a minute, and the next `start` with the key starts
it. That leaves a window, because the engine runs a container that has ended again: two callers that find it abandoned
at the same time, or one such and its maker, held up for a minute, run it twice if the first is over before the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from trunkline.errors import AuthError, MissingExtraError, RejectedError, UnavailableError
from trunkline.jobs.arguments import argv_of
from trunkline.jobs.ending import ABANDONED_AFTER, abandoned, ending, last_line
from trunkline.jobs.folder import run_id_of
from trunkline.jobs.platforms.image import COMMAND, image_of
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.options import Options

_JOB, _RUN_KEY = "trunkline.job", "trunkline.run_key"
# Of ContainerState.Status of the Engine API; the others are exited and dead. Podman adds two of its own: initialized
# (made, not started) and stopped (exited, not tidied up yet).
_WAITING = ("created", "initialized")
_RUNNING = ("running", "paused", "restarting", "removing")
# What `docker stop` and `docker kill` make of a process that has no other say: 128 + SIGINT, SIGKILL, SIGTERM.
_STOPPED = frozenset({130, 137, 143})
_STOP_SECONDS = 10
# A long line of output is kept in pieces of 16 KiB, each of which counts: a result of 1 MiB is found.
_TAIL = 64
_TAKEN, _TRIES = (409, 500), 3
_UNAUTHORIZED, _SERVER_ERROR = (401, 403), 500
# The engine writes nanoseconds, and the year 1 for what has not been.
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)")


def start(request: RunRequest, options: Options) -> Run:
    """Start a run, or find the one that bears its key already; the top of this module states the window.

    Raises:
        OptionError: There is no image.
        RejectedError: The engine refuses the container, or cannot get the image.
        AuthError, UnavailableError: It refuses the credential, or cannot be reached.
    """
    image = image_of(request, options)
    name = f"trunkline-{run_id_of(request.run_key)}"
    settings = {
        "name": name,
        "entrypoint": list(COMMAND),
        "command": argv_of(request),
        "labels": {**request.labels, _JOB: request.job, _RUN_KEY: request.run_key},
        "environment": {"TRUNKLINE_PLATFORM": "container"},
    }
    with _engine(options) as client:
        container, own = _made(client, image, settings)
        if own or _is_abandoned(container):
            _started(container, own)
        return _run(container)


def find(request: RunRequest, options: Options) -> Run | None:
    """The run of this key, if there is one."""
    with _engine(options) as client:
        try:
            return _run(client.containers.get(f"trunkline-{run_id_of(request.run_key)}"))
        except _docker().errors.NotFound:
            return None


def poll(runs: Sequence[Run], options: Options) -> list[Run]:
    """The same runs as they are now, in the same order.

    Raises:
        RejectedError: The engine has no such container any more; `gone`.
        AuthError, UnavailableError: It refuses the credential, or cannot be reached.
    """
    with _engine(options) as client:
        found = []
        for run in runs:
            with _there(run):
                found.append(_run(client.containers.get(run.run_id)))
        return found


def list_runs(wanted: RunFilter, options: Options) -> Iterator[Run]:
    """The containers that Trunkline made, newest first; the engine narrows by a single job and by what runs.

    Raises:
        AuthError, UnavailableError: The engine refuses the credential, or cannot be reached.
    """
    filters: dict[str, Any] = {"label": [f"{_JOB}={wanted.jobs[0]}" if len(wanted.jobs) == 1 else _JOB]}
    if wanted.states == {"RUNNING"}:
        filters["status"] = ["running", "paused"]  # without a restart policy they come to rest nowhere else
    with _engine(options) as client:
        for container in client.containers.list(all=True, filters=filters, sparse=True, ignore_removed=True):
            created = datetime.fromtimestamp(container.attrs["Created"], timezone.utc)
            # It cannot have started before it was created.
            if wanted.until is not None and created >= wanted.until and container.attrs["State"] not in _WAITING:
                continue
            if wanted.jobs and container.attrs["Labels"].get(_JOB) not in wanted.jobs:
                continue
            try:
                container.reload()
            except _docker().errors.NotFound:
                continue
            # Only its output tells a job that was told to end from one that failed.
            bare = _bare(container)
            if not wanted.takes(bare) and not (
                bare.state == "FAILED" and wanted.takes(replace(bare, state="CANCELLED"))
            ):
                continue
            run = _run(container)
            if wanted.takes(run):
                yield run


def cancel(run: Run, options: Options) -> None:
    """Ask for its end: SIGTERM, and SIGKILL ten seconds later, for which this waits.

    Raises:
        RejectedError: The engine has no such container any more; `gone`.
        AuthError, UnavailableError: It refuses the credential, or cannot be reached.
    """
    with _engine(options) as client, _there(run):
        client.containers.get(run.run_id).stop(timeout=_STOP_SECONDS)


def _docker() -> Any:
    try:
        import docker  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise MissingExtraError(
            "platform=container needs the Docker client: pip install 'trunkline[containers]'"
        ) from None
    return docker


@contextmanager
def _engine(options: Options) -> Iterator[Any]:
    """A client, whose errors get their names here."""
    docker = _docker()
    host = options["container.host"]
    try:
        with closing(docker.DockerClient(base_url=host) if host else docker.from_env()) as client:
            yield client
    except docker.errors.APIError as error:
        status = error.status_code
        said = f"the container engine: {error.explanation or error}"
        if status in _UNAUTHORIZED:
            raise AuthError(f"{said}. Check the login for container.host or the registry.", status=status) from None
        if status is not None and status >= _SERVER_ERROR:
            raise UnavailableError(f"{said}. Run it again later.", status=status) from None
        raise RejectedError(said, status=status) from None
    except (docker.errors.DockerException, OSError) as error:
        where = host or "DOCKER_HOST, or Docker's own socket"
        raise UnavailableError(f"no container engine answers at {where}: {error}. Check container.host.") from None


@contextmanager
def _there(run: Run) -> Iterator[None]:
    """For what is asked of a run's container: that it was removed gets a name."""
    try:
        yield
    except _docker().errors.NotFound as error:
        said = f"there is no run {run.run_id} any more: {error.explanation or error}"
        raise RejectedError(said, status=error.status_code, gone=True) from None


def _made(client: Any, image: str, settings: dict[str, Any]) -> tuple[Any, bool]:
    """The container of this name, which may be there already, and whether it was made now."""
    errors = _docker().errors
    for attempt in range(_TRIES):
        try:
            return client.containers.create(image, **settings), True
        except errors.ImageNotFound:
            if attempt:
                raise
            client.images.pull(image)
        except errors.APIError as error:
            # Podman says 500 where Docker says 409.
            if error.status_code not in _TAKEN:
                raise
            try:
                return client.containers.get(settings["name"]), False
            except errors.NotFound:
                # It was removed meanwhile, or it never was about the name.
                if error.status_code != _TAKEN[0] or attempt == _TRIES - 1:
                    raise error from None
    raise AssertionError("the last try returns or raises")


def _started(container: Any, own: bool) -> None:
    errors = _docker().errors
    try:
        container.start()
    except errors.APIError as error:
        said = f"the container cannot be started: {error.explanation}"
        if own:
            # It never ran, and under its name it would stand in the way of a better image.
            with suppress(errors.APIError):
                container.remove()
        else:
            said += f". Remove {container.name} to have it made anew"
        raise RejectedError(said, status=error.status_code) from None
    container.reload()


def _bare(container: Any) -> Run:
    """What the engine itself tells of a run: without its output."""
    state, labels = container.attrs["State"], container.labels
    started, ended = _time(state.get("StartedAt")), _time(state.get("FinishedAt"))
    job, key, word = labels.get(_JOB), labels.get(_RUN_KEY), state["Status"]
    if word in {"exited", "stopped"}:
        code = state["ExitCode"]
        end = ending(code, "")
        detail, error = f"{word}: {end.state_detail}", end.error
        told = end.state
        if state.get("OOMKilled"):
            detail = error = "killed: it took more memory than it may"
        elif code in _STOPPED:
            told, error = "CANCELLED", None
        return Run("container", job, container.id, key, told, detail, started, ended, error=error)
    if word == "dead":
        why = state.get("Error") or "the engine could not remove it"
        return Run("container", job, container.id, key, "FAILED", word, started, ended, error=why)
    if word in _RUNNING:
        return Run("container", job, container.id, key, "RUNNING", word, started)
    run = Run("container", job, container.id, key, "PENDING", word)
    return abandoned(run) if _is_abandoned(container) else run


def _is_abandoned(container: Any) -> bool:
    created = _time(container.attrs.get("Created"))
    overdue = created is not None and datetime.now(timezone.utc) - created > ABANDONED_AFTER
    return overdue and container.attrs["State"]["Status"] in _WAITING


def _run(container: Any) -> Run:
    run = _bare(container)
    if container.attrs["State"]["Status"] not in {"exited", "stopped"}:
        return run
    out = container.logs(stdout=True, stderr=False, tail=_TAIL).decode("utf-8", "replace")
    end = ending(container.attrs["State"]["ExitCode"], last_line(out))
    error = run.error
    if run.state == "FAILED" and not container.attrs["State"].get("OOMKilled"):
        if end.result is None:
            said = last_line(container.logs(stdout=False, stderr=True, tail=1).decode("utf-8", "replace"))
            end = ending(container.attrs["State"]["ExitCode"], last_line(out), last_words=said)
        if end.state == "CANCELLED":
            run = replace(run, state=end.state, state_detail=f"exited: {end.state_detail}")
        error = end.error
    return replace(run, error=error, result=end.result)


def _time(text: str | None) -> datetime | None:
    match = _TIME.fullmatch(text or "")
    if match is None or match[1].startswith("0001"):
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    return datetime.fromisoformat(f"{match[1]}{(match[2] or '.0').ljust(7, '0')}{zone}").astimezone(timezone.utc)
