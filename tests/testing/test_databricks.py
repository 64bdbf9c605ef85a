"""The double of the Jobs API, driven by Databricks' own SDK: what the SDK sends is taken, what it is given it reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config
from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, TooManyRequests, Unauthenticated
from databricks.sdk.service import jobs

from trunkline.testing.databricks import DatabricksApi
from trunkline.testing.platform_api import Answer


@pytest.fixture
def api() -> Iterator[DatabricksApi]:
    with DatabricksApi() as double:
        yield double


def sdk(api: DatabricksApi, token: str | None = None) -> WorkspaceClient:
    return WorkspaceClient(config=Config(host=api.url, token=token or api.token, retry_timeout_seconds=1))


def submitted(client: WorkspaceClient, **more: Any) -> int:
    wheel = jobs.PythonWheelTask(package_name="p", entry_point="e", parameters=["--a=1"])
    task = jobs.SubmitTask(task_key="main", existing_cluster_id="c", python_wheel_task=wheel)
    found: int = client.jobs.submit(run_name="r", tasks=[task], **more).bind()["run_id"]
    return found


def test_a_submitted_run_is_read_back_by_the_sdk(api: DatabricksApi) -> None:
    client = sdk(api)
    run_id = submitted(client)
    api.finish(run_id, "FAILED", message="bad", error="ValueError", logs="hello")
    run = client.jobs.get_run(run_id)
    assert run.state == jobs.RunState(
        life_cycle_state=jobs.RunLifeCycleState.TERMINATED,
        result_state=jobs.RunResultState.FAILED,
        state_message="bad",
    )
    assert run.status
    assert run.status.state is jobs.RunLifecycleStateV2State.TERMINATED
    [task] = run.tasks or []
    assert task.python_wheel_task
    assert task.python_wheel_task.parameters == ["--a=1"]
    output = client.jobs.get_run_output(task.run_id or 0)
    assert (output.error, output.logs) == ("ValueError", "hello")


def test_a_token_is_one_run_and_one_of_a_deleted_run_an_error(api: DatabricksApi) -> None:
    client = sdk(api)
    run_id = submitted(client, idempotency_token="k")
    assert submitted(client, idempotency_token="k") == run_id
    assert submitted(client, idempotency_token="l") != run_id
    with pytest.raises(BadRequest, match="64 characters"):
        submitted(client, idempotency_token="x" * 65)
    api.finish(run_id)
    client.jobs.delete_run(run_id)
    with pytest.raises(BadRequest, match="deleted"):
        submitted(client, idempotency_token="k")


def test_a_job_is_found_by_name_and_run_with_its_parameters(api: DatabricksApi) -> None:
    job_id = api.add_job("nightly", tasks=[{"task_key": "main", "notebook_task": {"notebook_path": "/n"}}])
    client = sdk(api)
    assert [job.job_id for job in client.jobs.list(name="Nightly")] == [job_id]
    settings = client.jobs.get(job_id).settings
    assert settings
    assert settings.tasks
    assert settings.tasks[0].notebook_task == jobs.NotebookTask(notebook_path="/n")
    run_id = client.jobs.run_now(job_id, notebook_params={"a": "1"}).bind()["run_id"]
    run = client.jobs.get_run(run_id)
    assert run.job_id == job_id
    assert run.overriding_parameters == jobs.RunParameters(notebook_params={"a": "1"})


def test_the_sdk_follows_page_tokens(api: DatabricksApi) -> None:
    ids = [api.add_run() for _ in range(30)]
    runs = list(sdk(api).jobs.list_runs(limit=10))
    assert [run.run_id for run in runs] == ids[::-1]
    assert (api.count("runs/list"), runs[0].tasks) == (3, [])
    assert next(sdk(api).jobs.list_runs(expand_tasks=True)).tasks


def test_the_sdk_waits_for_a_script_to_end(api: DatabricksApi) -> None:
    api.script = ["RUNNING", "SUCCESS"]
    client = sdk(api)
    run_id = submitted(client)
    ended = client.jobs.wait_get_run_job_terminated_or_skipped(run_id)
    assert ended.state
    assert ended.state.result_state is jobs.RunResultState.SUCCESS
    assert api.count("runs/get") == 2


def test_only_known_tokens_are_let_in(api: DatabricksApi) -> None:
    with pytest.raises(Unauthenticated):
        next(sdk(api, "other").jobs.list_runs())
    with pytest.raises(PermissionDenied):
        next(sdk(api, api.weak).jobs.list_runs())


def test_errors_have_the_names_of_the_sdk(api: DatabricksApi) -> None:
    with pytest.raises(NotFound):
        sdk(api).jobs.get_run(7)
    api.server.fail("runs/get", Answer(429, {"error_code": "RESOURCE_EXHAUSTED", "message": "slow"}), times=9)
    with pytest.raises(TimeoutError) as refused:
        sdk(api).jobs.get_run(7)
    assert isinstance(refused.value.__cause__, TooManyRequests)
