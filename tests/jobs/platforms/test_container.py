"""Runs as containers: on a real engine with Docker's API, podman's, and every state that its documentation names, from
a server that answers as the Docker Engine API is documented to (v1.41, "Inspect a container"), driven by Docker's own
client."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from docker import DockerClient  # type: ignore[import-untyped,unused-ignore]
from docker.models.containers import ContainerCollection  # type: ignore[import-untyped,unused-ignore]
from tests.servers.podman import IMAGE, Podman
from tests.servers.process import free_port

from trunkline.errors import AuthError, MissingExtraError, OptionError, RejectedError, UnavailableError
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import container
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.options import Options
from trunkline.testing import FaultServer

PATIENCE = 60.0


def options_of(host: str, **more: str) -> Options:
    return write_options({"platform": "container", "container.host": host, **more})


def request(key: str, job: str = "contained_job", target: str | None = None, **arguments: object) -> RunRequest:
    return RunRequest("container", job, key, arguments, target, {"team": "blue"})


@pytest.fixture
def engine(podman: Podman, monkeypatch: pytest.MonkeyPatch) -> Options:
    """A real engine, which makes containers without a network: that would need the machine's firewall changed."""
    create = functools.partialmethod(ContainerCollection.create, network_mode="none")
    monkeypatch.setattr(ContainerCollection, "create", create)
    return options_of(podman.host, **{"container.image": IMAGE})


def until(run: Run, options: Options, *states: str) -> Run:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        (run,) = container.poll([run], options)
        if run.state in states if states else run.ended:
            return run
        time.sleep(0.05)
    raise AssertionError(f"still {run}")


def test_a_real_container_runs_the_job_and_hands_its_result_back(engine: Options) -> None:
    before = datetime.now(timezone.utc)
    first = container.start(request("good"), engine)
    run = until(first, engine)
    assert (run.job, run.run_key, run.state, run.error) == ("contained_job", "good", "SUCCEEDED", None)
    result = json.loads(str(run.result))
    assert (result["status"], result["metrics"], result["platform"]) == ("SUCCESS", {"rows": 3}, "container")
    assert run.started_at is not None
    assert run.ended_at is not None
    assert before <= run.started_at <= run.ended_at <= datetime.now(timezone.utc)
    # The same key is the same container, and it is not started again.
    assert container.start(request("good"), engine) == run
    assert container.find(request("good"), engine) == run
    assert container.find(request("another"), engine) is None


def test_a_real_container_fails_with_the_jobs_own_words(engine: Options) -> None:
    run = until(container.start(request("bad", fail=True), engine), engine)
    assert (run.state, str(run.state_detail).split(": ")[1], run.error) == (
        "FAILED",
        "exit code 1",
        "ValueError: asked to",
    )


def wait_until_it_works(run: Run, options: Options) -> None:
    """Before, it does not listen: the engine would have to kill it."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.closing(DockerClient(base_url=options["container.host"])) as client:
        while b"working" not in client.containers.get(run.run_id).logs():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_real_container_is_stopped(engine: Options) -> None:
    run = until(container.start(request("long", seconds=600), engine), engine, "RUNNING")
    wait_until_it_works(run, engine)
    (listed,) = container.list_runs(RunFilter(states=frozenset({"RUNNING"})), engine)
    assert listed.run_key == "long"
    container.cancel(run, engine)
    ended = until(run, engine)
    assert (ended.state, ended.error) == ("CANCELLED", None)
    assert json.loads(str(ended.result))["failure_type"] == "CANCELLED"
    cancelled = container.list_runs(RunFilter(states=frozenset({"CANCELLED"})), engine)
    assert [run.run_key for run in cancelled] == ["long"]


def test_of_many_callers_at_once_one_makes_the_container(engine: Options) -> None:
    ids: list[str] = []
    callers = [
        threading.Thread(target=lambda: ids.append(container.start(request("many"), engine).run_id)) for _ in range(4)
    ]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert (len(ids), len(set(ids))) == (4, 1)
    (run,) = [run for run in container.list_runs(RunFilter(), engine) if run.run_key == "many"]
    assert until(run, engine).state == "SUCCEEDED"


def test_a_real_engine_narrows_what_is_listed(engine: Options) -> None:
    runs = [until(container.start(request(f"list-{n}", "other_job" if n else "contained_job"), engine), engine)
            for n in range(2)]  # fmt: skip
    assert [run.run_key for run in container.list_runs(RunFilter(jobs=("other_job",)), engine)] == ["list-1"]
    assert runs[1].state == "FAILED"  # there is no such module in the image
    assert runs[1].started_at is not None
    newest = list(container.list_runs(RunFilter(since=runs[1].started_at), engine))
    assert [run.run_key for run in newest] == ["list-1"]
    older = {run.run_key for run in container.list_runs(RunFilter(until=runs[1].started_at), engine)}
    assert "list-0" in older
    assert "list-1" not in older


def test_an_image_that_is_not_there_is_refused_and_named(engine: Options) -> None:
    with pytest.raises((RejectedError, UnavailableError), match="no-such-image"):
        container.start(request("no image", target="127.0.0.1:1/no-such-image:1"), engine)
    assert container.find(request("no image"), engine) is None


STARTED, FINISHED = "2026-05-01T12:00:00.123456789Z", "2026-05-01T12:01:00Z"
NEVER = "0001-01-01T00:00:00Z"
AT, END = datetime(2026, 5, 1, 12, 0, 0, 123456, timezone.utc), datetime(2026, 5, 1, 12, 1, tzinfo=timezone.utc)
API = "/v1.41/containers"


def inspected(*, age: float = 0, **state: object) -> dict[str, Any]:
    created = datetime.now(timezone.utc) - timedelta(seconds=age)
    return {
        "Id": "c1",
        "Created": created.isoformat().replace("+00:00", "Z"),
        "State": {"ExitCode": 0, "OOMKilled": False, "StartedAt": STARTED, "FinishedAt": NEVER, "Error": "", **state},
        "Config": {"Tty": False, "Labels": {"trunkline.job": "my.etl", "trunkline.run_key": "k"}},
    }


def frames(text: str, stream: int = 1) -> str:
    """Output as the API sends it where there is no terminal: a header of eight bytes before each piece."""
    return f"{chr(stream)}\0\0\0\0\0\0{chr(len(text))}{text}" if text else ""


@pytest.fixture
def double(fault_server: FaultServer) -> Options:
    fault_server.route("GET /version", [{"body": {"ApiVersion": "1.41"}}])
    return options_of(fault_server.url_for("").replace("http", "tcp").rstrip("/"), **{"container.image": "my/etl:1.0"})


RESULT = '{"status": "FAILED", "error": {"type": "ValueError", "message": "no input"}}'


@pytest.mark.parametrize(
    ("state", "out", "expected"),
    [
        ({"Status": "created", "StartedAt": NEVER}, "", ("PENDING", "created", None, None, None, None)),
        ({"Status": "running"}, "", ("RUNNING", "running", AT, None, None, None)),
        ({"Status": "paused"}, "", ("RUNNING", "paused", AT, None, None, None)),
        ({"Status": "restarting"}, "", ("RUNNING", "restarting", AT, None, None, None)),
        ({"Status": "removing"}, "", ("RUNNING", "removing", AT, None, None, None)),
        (
            {"Status": "dead", "Error": "busy", "FinishedAt": FINISHED},
            "",
            ("FAILED", "dead", AT, END, "busy", None),
        ),
        (
            {"Status": "exited", "FinishedAt": FINISHED},
            'working\n\n{"status": "SUCCESS"}\n',
            ("SUCCEEDED", "exited: exit code 0", AT, END, None, '{"status": "SUCCESS"}'),
        ),
        (
            {"Status": "exited", "FinishedAt": FINISHED, "ExitCode": 3},
            "{}\n",
            ("PENDING_APPROVAL", "exited: exit code 3", AT, END, None, "{}"),
        ),
        (
            {"Status": "exited", "FinishedAt": FINISHED, "ExitCode": 4},
            "{}\n",
            ("SUCCEEDED", "exited: degraded: exit code 4", AT, END, None, "{}"),
        ),
        (
            {"Status": "exited", "FinishedAt": FINISHED, "ExitCode": 1},
            RESULT,
            ("FAILED", "exited: exit code 1", AT, END, "ValueError: no input", RESULT),
        ),
        (
            {"Status": "exited", "FinishedAt": FINISHED, "ExitCode": 143},
            "",
            ("CANCELLED", "exited: killed by SIGTERM", AT, END, None, None),
        ),
        (
            {"Status": "exited", "FinishedAt": FINISHED, "ExitCode": 137},
            "",
            ("CANCELLED", "exited: killed by SIGKILL", AT, END, None, None),
        ),
        (
            {"Status": "exited", "FinishedAt": FINISHED, "ExitCode": 137, "OOMKilled": True},
            "",
            ("FAILED", *["killed: it took more memory than it may"], AT, END, "killed: it took more memory than it may",
             None),
        ),
    ],
)  # fmt: skip
def test_every_state_of_a_container_has_a_state(
    double: Options, fault_server: FaultServer, state: dict[str, Any], out: str, expected: tuple[object, ...]
) -> None:
    fault_server.route(f"GET {API}/c1/json", [{"body": inspected(**state)}])
    fault_server.route(f"GET {API}/c1/logs", [{"body": frames(out)}])
    (run,) = container.poll([Run("container", None, "c1")], double)
    found = (run.state, run.state_detail, run.started_at, run.ended_at, run.error, run.result)
    assert (run.job, run.run_key, found) == ("my.etl", "k", expected)


def test_what_a_job_without_a_result_wrote_to_standard_error_is_its_error(
    double: Options, fault_server: FaultServer
) -> None:
    failed = inspected(Status="exited", FinishedAt=FINISHED, ExitCode=1)
    fault_server.route(f"GET {API}/c1/json", [{"body": failed}])
    fault_server.route(
        f"GET {API}/c1/logs",
        [{"body": frames("No module named x\n", 2), "when": {"query": {"stdout": "0"}}}, {"body": frames("up\n")}],
    )
    (run,) = container.poll([Run("container", None, "c1")], double)
    assert (run.error, run.result) == ("No module named x", None)


def test_a_container_that_nobody_started_is_abandoned_until_the_same_key_is_asked_for(
    double: Options, fault_server: FaultServer
) -> None:
    old = inspected(age=120, Status="created", StartedAt=NEVER)
    running = inspected(Status="running")
    name = "trunkline-8254c329a92850f6d539dd37"  # of the key "k"
    fault_server.route(f"GET {API}/c1/json", [{"body": old, "times": 1}, {"body": running}])
    (run,) = container.poll([Run("container", None, "c1")], double)
    assert (run.state, run.state_detail) == ("FAILED", "ABANDONED")
    fault_server.route(f"POST {API}/create", [{"status": 409, "body": {"message": "the name is in use"}}])
    fault_server.route(f"GET {API}/{name}/json", [{"body": old}])
    fault_server.route(f"POST {API}/c1/start", [{"status": 204}])
    assert container.start(request("k"), double).state == "RUNNING"
    (sent,) = fault_server.ledger(f"POST {API}/create")
    assert sent.query == {"name": [name]}
    body = sent.json
    assert (body["Image"], body["Entrypoint"], body["Cmd"], body["Env"], body["Labels"]) == (
        "my/etl:1.0",
        ["python3", "-m", "trunkline.jobs"],
        ["--module_name=contained_job", "--run_key=k", "--contained_job={}"],
        ["TRUNKLINE_PLATFORM=container"],
        {"team": "blue", "trunkline.job": "contained_job", "trunkline.run_key": "k"},
    )
    assert len(fault_server.ledger(f"POST {API}/c1/start")) == 1


@pytest.mark.parametrize(
    ("age", "state"),
    [(0, "created"), (30, "created"), (120, "exited"), (120, "running"), (120, "dead")],
)
def test_who_did_not_make_a_container_starts_none_that_was_or_will_be_started(
    double: Options, fault_server: FaultServer, age: int, state: str
) -> None:
    """Its maker is about to: started by both, one that is over at once would run twice."""
    fault_server.route(f"POST {API}/create", [{"status": 409, "body": {"message": "the name is in use"}}])
    found = inspected(age=age, Status=state)
    for name in ("trunkline-8254c329a92850f6d539dd37", "c1"):
        fault_server.route(f"GET {API}/{name}/json", [{"body": found}])
    fault_server.route(f"GET {API}/c1/logs", [{"body": ""}])
    fault_server.route(f"POST {API}/c1/start", [{"status": 204}])
    assert container.start(request("k"), double).run_id == "c1"
    assert fault_server.ledger(f"POST {API}/c1/start") == []


def test_who_did_not_make_a_container_does_not_remove_it(double: Options, fault_server: FaultServer) -> None:
    fault_server.route(f"POST {API}/create", [{"status": 409, "body": {"message": "the name is in use"}}])
    old = {**inspected(age=120, Status="created"), "Name": "/trunkline-of-k"}
    fault_server.route(f"GET {API}/trunkline-8254c329a92850f6d539dd37/json", [{"body": old}])
    fault_server.route(f"POST {API}/c1/start", [{"status": 400, "body": {"message": "exec: python3: not found"}}])
    fault_server.route(f"DELETE {API}/c1", [{"status": 204}])
    with pytest.raises(RejectedError, match=r"python3: not found\. Remove trunkline-of-k to have it made anew"):
        container.start(request("k"), double)
    assert fault_server.ledger(f"DELETE {API}/c1") == []


def test_a_container_that_was_removed_is_told_apart(double: Options, fault_server: FaultServer) -> None:
    fault_server.route(f"GET {API}/c1/json", [{"status": 404, "body": {"message": "No such container: c1"}}])
    for ask in (lambda run: container.poll([run], double), lambda run: container.cancel(run, double)):
        with pytest.raises(RejectedError, match="there is no run c1 any more: No such container") as caught:
            ask(Run("container", None, "c1"))
        assert caught.value.gone


def test_a_container_that_has_not_started_passes_the_times(double: Options, fault_server: FaultServer) -> None:
    now = datetime.now(timezone.utc)
    listed = [
        {"Id": "c1", "Created": now.timestamp(), "State": word, "Labels": {"trunkline.job": "my.etl"}}
        for word in ("created", "running")
    ]
    fault_server.route(f"GET {API}/json", [{"body": listed}])
    fault_server.route(f"GET {API}/c1/json", [{"body": inspected(Status="created", StartedAt=NEVER)}])
    runs = list(container.list_runs(RunFilter(until=now - timedelta(hours=1)), double))
    assert [run.state for run in runs] == ["PENDING"]


def test_a_container_that_cannot_be_started_makes_room_for_another_try(
    double: Options, fault_server: FaultServer
) -> None:
    fault_server.route(f"POST {API}/create", [{"status": 201, "body": {"Id": "c1"}}])
    fault_server.route(f"GET {API}/c1/json", [{"body": inspected(Status="created", StartedAt=NEVER)}])
    fault_server.route(f"POST {API}/c1/start", [{"status": 400, "body": {"message": "exec: python3: not found"}}])
    fault_server.route(f"DELETE {API}/c1", [{"status": 204}])
    with pytest.raises(RejectedError, match="python3: not found"):
        container.start(request("k"), double)
    assert len(fault_server.ledger(f"DELETE {API}/c1")) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthError), (400, RejectedError), (500, UnavailableError), (503, UnavailableError)]
)
def test_what_the_engine_refuses_has_a_name(
    double: Options, fault_server: FaultServer, status: int, kind: type[Exception]
) -> None:
    fault_server.route(f"GET {API}/c1/json", [{"status": status, "body": {"message": "said so"}}])
    with pytest.raises(kind, match="said so"):
        container.poll([Run("container", None, "c1")], double)


def test_an_engine_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match=r"Check container\.host"):
        container.find(request("k"), options_of(f"tcp://127.0.0.1:{free_port()}"))


def test_a_run_without_an_image_is_refused_with_the_option_to_give() -> None:
    with pytest.raises(OptionError, match=r"container\.image"):
        container.start(request("k"), options_of("tcp://127.0.0.1:1"))


def test_without_dockers_client_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'trunkline\[containers\]'"):
        container.find(request("k"), options_of("tcp://127.0.0.1:1"))
