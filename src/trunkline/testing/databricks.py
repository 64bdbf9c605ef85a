"""A double of the Databricks Jobs API, strict where the real one is; the official SDK drives it.

    with DatabricksApi() as api:
        job = api.add_job("nightly", tasks=[{"task_key": "main", "python_wheel_task": {...}}])
        client = WorkspaceClient(host=api.url, token=api.token)
        run = client.jobs.run_now(job_id=job, idempotency_token="k").run_id
        api.finish(run, "FAILED", error="no such table")
        assert api.count("runs/submit") == 0

It shows: bearer tokens (401 without one that it knows, 403 for one that may do nothing), page tokens, runs narrowed as
the API narrows them, `idempotency_token` as documented: the same token gives the same run, one of a deleted run is an
error, more than 64 characters are refused. Runs stay PENDING until the test sets them, or go through `script`, a step
with each look. It shows no clusters: nothing runs.

Shapes are those of the Jobs API 2.2 in databricks-sdk 0.156 (`databricks.sdk.service.jobs`).

    POST /api/2.2/jobs/run-now
    {"job_id": 1, "idempotency_token": "k"}

    {"run_id": 101, "number_in_job": 101}
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from trunkline.testing.databricks_workspace import Json, Workspace, is_over
from trunkline.testing.platform_api import Answer, ApiServer, Asked

if TYPE_CHECKING:
    from typing_extensions import Self

# Of one page of runs; the API's own limits (jobs/runs/list, jobs/list).
RUNS_A_PAGE = 25
JOBS_A_PAGE = 100
_TOKEN_LENGTH = 64
_API = "/api/2."


class _RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"error_code": code, "message": message})


class DatabricksApi(Workspace):
    """The API while it is entered.

    Attributes:
        url: The workspace.
        token: The token that may do everything.
        weak: A token that is known and may do nothing.
        runs: Every run by its id, as the API tells of it; without those that were deleted.
        script: States that a new run goes through, one with each look at it: `["PENDING", "RUNNING", "SUCCESS"]`.
        server: What was asked, and faults to come.
    """

    def __init__(self, token: str = "dapi-of-the-double", script: Sequence[str] = ()) -> None:  # noqa: S107
        self.token = token
        self.weak = f"{token}-weak"
        self.server = ApiServer(_operation, self._answer)
        self._tokens: dict[str, int] = {}
        super().__init__(self.server.url, script)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.__exit__(kind, error, at)

    def count(self, operation: str) -> int:
        """How often an operation was asked for: `runs/get`."""
        return len(self.server.of(operation))

    def _answer(self, operation: str, asked: Asked) -> Answer:
        if asked.path == "/.well-known/databricks-config":
            return Answer(200, {"oidc_endpoint": f"{self.url}/oidc", "workspace_id": "1"})
        if not asked.path.startswith(_API):
            return Answer(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": f"No API found for {asked.path}"})
        given = asked.headers.get("authorization", "")
        if given == f"Bearer {self.weak}":
            return _RefusedError(403, "PERMISSION_DENIED", "User does not have the permission to do this.").answer
        if given != f"Bearer {self.token}":
            return _RefusedError(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type").answer
        handlers = {
            "run-now": self._run_now,
            "get": self._get_job,
            "list": self._list_jobs,
            "runs/submit": self._submit,
            "runs/get": self._get_run,
            "runs/get-output": self._get_output,
            "runs/list": self._list_runs,
            "runs/cancel": self._cancel,
            "runs/delete": self._delete,
        }
        if operation not in handlers:
            return Answer(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": f"No API found for {asked.path}"})
        try:
            given_values = asked.json if asked.method == "POST" else {name: v[0] for name, v in asked.query.items()}
            return Answer(200, handlers[operation](given_values))
        except _RefusedError as refused:
            return refused.answer

    def _run_now(self, given: Json) -> Json:
        job = self._job(given)
        if job["settings"].get("parameters") and ("python_named_params" in given or "notebook_params" in given):
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", "Job has job parameters: use job_parameters")
        parameters = given.get("job_parameters")
        active = [run for run in self.runs.values() if run.get("job_id") == job["job_id"] and not is_over(run)]
        overriding = {name: value for name, value in given.items() if name.endswith("_params")}
        run_id = self._once(
            given,
            name=job["settings"]["name"],
            job_id=job["job_id"],
            run_type="JOB_RUN",
            job_parameters=[{"name": name, "value": value} for name, value in (parameters or {}).items()],
            overriding_parameters=overriding,
        )
        if len(active) >= job["settings"].get("max_concurrent_runs", 1000) and run_id not in {
            r["run_id"] for r in active
        }:
            queued = given.get("queue", {}).get("enabled") or job["settings"].get("queue", {}).get("enabled")
            ending = ("QUEUED",) if queued else ("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED")
            self.set_state(run_id, *ending)
        return {"run_id": run_id, "number_in_job": run_id}

    def _submit(self, given: Json) -> Json:
        tasks = given.get("tasks") or []
        if len(tasks) != 1:
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", "The double takes one task")
        task = tasks[0]
        if not any(name in task for name in ("existing_cluster_id", "new_cluster", "environment_key")):
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", "One of job_cluster_key, new_cluster, or others needed")
        known = {one["environment_key"] for one in given.get("environments") or []}
        if "environment_key" in task and task["environment_key"] not in known:
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", "environment_key is not known")
        if task.get("existing_cluster_id") == "missing":
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", "Cluster 'missing' does not exist")
        return {"run_id": self._once(given, name=given.get("run_name", "Untitled"), task=task)}

    def _once(self, given: Json, *, name: str, **fields: Any) -> int:
        token = given.get("idempotency_token")
        if token is not None and len(token) > _TOKEN_LENGTH:
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", "idempotency_token must have at most 64 characters")
        if token in self._tokens:
            found = self._tokens[token]
            if found not in self.runs:
                raise _RefusedError(400, "INVALID_PARAMETER_VALUE", "The run with this idempotency_token was deleted")
            return found
        run_id = self.add_run(name, **fields)
        if token is not None:
            self._tokens[token] = run_id
        return run_id

    def _job(self, given: Json) -> Json:
        job = self.jobs.get(int(given["job_id"]))
        if job is None:
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", f"Job {given['job_id']} does not exist.")
        return job

    def _run(self, given: Json) -> Json:
        run = self.runs.get(int(given["run_id"]))
        if run is None:
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", f"Run {given['run_id']} does not exist.")
        return run

    def _get_job(self, given: Json) -> Json:
        return self._job(given)

    def _list_jobs(self, given: Json) -> Json:
        wanted = given.get("name")
        found = [job for job in self.jobs.values() if not wanted or job["settings"]["name"].lower() == wanted.lower()]
        return _page("jobs", found, given, JOBS_A_PAGE)

    def _get_run(self, given: Json) -> Json:
        run = self._run(given)
        self.look(run)
        return run

    def _get_output(self, given: Json) -> Json:
        task_run = int(given["run_id"])
        for run in self.runs.values():
            if task_run in {task["run_id"] for task in run["tasks"]}:
                return {"metadata": run, **self.outputs.get(run["run_id"], {})}
            if task_run == run["run_id"]:
                message = "Retrieving the output of runs with multiple tasks is not supported."
                raise _RefusedError(400, "INVALID_PARAMETER_VALUE", message)
        raise _RefusedError(400, "INVALID_PARAMETER_VALUE", f"Run {task_run} does not exist.")

    def _list_runs(self, given: Json) -> Json:
        def wanted(run: Json) -> bool:
            over = is_over(run)
            return (
                (given.get("active_only") != "true" or not over)
                and (given.get("completed_only") != "true" or over)
                and ("job_id" not in given or run.get("job_id") == int(given["job_id"]))
                and run["start_time"] >= int(given.get("start_time_from", 0))
                and run["start_time"] <= int(given.get("start_time_to", 2**62))
            )

        found = sorted(filter(wanted, self.runs.values()), key=lambda run: -run["start_time"])
        tasks = given.get("expand_tasks") == "true"
        shown = found if tasks else [{k: v for k, v in run.items() if k != "tasks"} for run in found]
        return _page("runs", shown, given, RUNS_A_PAGE)

    def _cancel(self, given: Json) -> Json:
        run = self._run(given)
        if not is_over(run):
            self.finish(run["run_id"], "CANCELED", message="Run cancelled.")
        return {}

    def _delete(self, given: Json) -> Json:
        run = self._run(given)
        if not is_over(run):
            raise _RefusedError(400, "INVALID_STATE", "The run is active")
        del self.runs[run["run_id"]]
        return {}


def _operation(asked: Asked) -> str:
    return asked.path.partition("/jobs/")[2]


def _page(name: str, found: list[Json], given: Json, most: int) -> Json:
    """A page; its token holds where it begins."""
    limit = min(int(given.get("limit", 20)) or most, most)
    begin = int(given.get("page_token") or 0)
    answer: Json = {name: found[begin : begin + limit]}
    if begin + limit < len(found):
        answer["next_page_token"] = str(begin + limit)
    return answer
