"""Databricks, by the Jobs API and its official SDK.

With a `target`, a job id or the name of one job, that job is run now. Without one a one-time run is submitted, on
`databricks.cluster` or, with `databricks.serverless`, on serverless compute: the entry point `trunkline-job` of the
package `trunkline`, with `artifact` installed, a wheel that depends on trunkline. How the arguments get there:
`databricks_starts`.

No second run: every start bears an `idempotency_token`, a digest of the run's key. Databricks promises exactly one run
for a token as long as that run exists, 60 days, whoever asks; a token of a deleted run is refused. Where the job or the
workspace has as many runs as it may have, a run is queued: one that Databricks skipped would have used its token up.

Credentials: `databricks.host` and `databricks.token`, else what the SDK finds itself: environment, profile, cluster.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from trunkline import __version__
from trunkline.credentials import Redactor, Secret
from trunkline.errors import AuthError, MissingExtraError, RejectedError, UnavailableError
from trunkline.jobs.run import ENDED, Run, RunFilter, RunRequest, digest_of
from trunkline.options import Options

try:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.config import Config
    from databricks.sdk.errors import (
        Aborted,
        DeadlineExceeded,
        InternalError,
        NotFound,
        PermissionDenied,
        ResourceConflict,
        TemporarilyUnavailable,
        TooManyRequests,
        Unauthenticated,
    )
    from databricks.sdk.errors.base import DatabricksError
    from databricks.sdk.service import jobs

    from trunkline.jobs.platforms.databricks_runs import identity, with_output
    from trunkline.jobs.platforms.databricks_starts import QUEUED, job_id, one_time, parameters
except ImportError:
    raise MissingExtraError("platform=databricks needs its SDK: pip install 'trunkline[databricks]'") from None

# The SDK repeats what was throttled or cut off for this long, and waits as long as `Retry-After` says in between.
RETRY_SECONDS = 60
# Outputs of ended runs are fetched by one request each; this many at a time stays below the API's rate.
AT_ONCE = 8
# Pages of runs hold at most this many (jobs/runs/list).
PAGE = 25


def start(request: RunRequest, options: Options) -> Run:
    """Run the target, or submit a one-time run; the run that bears the key already, if there is one.

    Raises:
        OptionError: Neither target, cluster nor serverless compute; or an artifact that is no wheel.
        RejectedError: Databricks refused it; or the target is no job, not one, or takes no arguments.
        AuthError, UnavailableError: As `trunkline.errors` says.
    """
    token = digest_of(request.run_key)
    submitted = {} if request.target else one_time(request, options)
    with _calling(options) as client:
        if request.target:
            job = client.jobs.get(job_id(client, request.target))
            given = parameters(job, request)
            started = client.jobs.run_now(job.job_id or 0, idempotency_token=token, queue=QUEUED, **given)
        else:
            started = client.jobs.submit(idempotency_token=token, **submitted)
        run_id = str(started.bind()["run_id"])
        return _looked_at(client, Run("databricks", request.job, run_id, request.run_key))


def find(request: RunRequest, options: Options) -> Run | None:
    """The run of this key. Databricks cannot be asked by key: runs of the target, or one-time runs, are read."""
    with _calling(options) as client:
        target = None if request.target is None else job_id(client, request.target)
        kind = jobs.RunType.JOB_RUN if target else jobs.RunType.SUBMIT_RUN
        for base in client.jobs.list_runs(job_id=target, run_type=kind, expand_tasks=True, limit=PAGE):
            if identity(base)[1] == request.run_key:
                return with_output(client, base)
    return None


def poll(runs: Sequence[Run], options: Options) -> list[Run]:
    """The runs as they are now; of those that have ended also error and result.

    Raises:
        RejectedError: Databricks has no such run any more; `gone`.
        AuthError, UnavailableError: As `trunkline.errors` says.
    """
    with _calling(options) as client, ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda run: _looked_at(client, run), runs))


def list_runs(wanted: RunFilter, options: Options) -> Iterator[Run]:
    """Runs, newest first.

    Databricks is asked for the times, by when a run was asked for, and besides for active runs of other times, which
    may wait; for active or for completed runs where the states say so; and for single jobs where all `jobs` are ids or
    names of jobs of the workspace. Modules are looked for in what it gives. It keeps runs for 60 days. Each ended run
    costs one more request, once in a process, for its error and result.
    """
    with _calling(options) as client:
        ids = _job_ids(client, wanted.jobs)
        asked = _narrowed(wanted)
        lists: list[Iterable[jobs.BaseRun]] = [client.jobs.list_runs(job_id=one, **asked) for one in ids]
        if (wanted.since or wanted.until) and (not wanted.states or "PENDING" in wanted.states):
            active = (client.jobs.list_runs(job_id=one, active_only=True, expand_tasks=True, limit=PAGE) for one in ids)
            lists += [_outside(found, asked) for found in active]
        found = heapq.merge(*lists, key=lambda base: -(base.start_time or 0))
        rest = replace(wanted, jobs=())
        named = (base for base in found if _named(base, wanted.jobs, ids))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while page := list(itertools.islice(named, PAGE)):
                for run in pool.map(lambda base: with_output(client, base), page):
                    if rest.takes(run):
                        yield run


def cancel(run: Run, options: Options) -> None:
    """Ask for the end of a run. One that has ended stays as it is."""
    with _calling(options) as client:
        client.jobs.cancel_run(int(run.run_id))


@lru_cache(maxsize=8)
def _client(host: str | None, token: Secret | None) -> WorkspaceClient:
    config = Config(
        host=host,
        token=token.reveal() if token else None,
        auth_type="pat" if token else None,  # other variables of the environment do not compete with a token
        retry_timeout_seconds=RETRY_SECONDS,
        product="trunkline",
        product_version=__version__,
    )
    return WorkspaceClient(config=config)


@contextmanager
def _calling(options: Options) -> Iterator[WorkspaceClient]:
    """The client; what it raises inside gets the names of `trunkline.errors`."""
    host, token = options["databricks.host"], options["databricks.token"]
    clean = Redactor([token] if token else []).clean
    try:
        client = _client(host, token)
    except ValueError:
        # Its own text lists all that it has found; some of that is secret.
        raise AuthError(
            "databricks: no login found: give databricks.host and databricks.token, set DATABRICKS_HOST and "
            "DATABRICKS_TOKEN, or name a profile in DATABRICKS_CONFIG_PROFILE"
        ) from None
    try:
        yield client
    except (Unauthenticated, PermissionDenied) as error:
        _client.cache_clear()  # a login that was renewed in the environment is looked for again
        status = 401 if isinstance(error, Unauthenticated) else 403
        raise AuthError(f"databricks refused the credential: {clean(str(error))}", status=status) from None
    except (
        TooManyRequests,
        TemporarilyUnavailable,
        DeadlineExceeded,
        InternalError,
        Aborted,
        ResourceConflict,
    ) as error:
        raise UnavailableError(f"databricks could not take it now: {clean(str(error))}") from None
    except DatabricksError as error:
        raise RejectedError(f"databricks refused it: {clean(str(error))}") from None
    except (OSError, TimeoutError) as error:
        if isinstance(error.__cause__, DatabricksError):  # what the SDK met last, before it gave up
            raise UnavailableError(f"databricks could not take it now: {clean(str(error.__cause__))}") from None
        raise UnavailableError(f"databricks could not be reached: {clean(str(error))}") from None


def _looked_at(client: WorkspaceClient, run: Run) -> Run:
    try:
        base = client.jobs.get_run(int(run.run_id))
    except NotFound as error:
        raise RejectedError(f"there is no run {run.run_id} any more: databricks: {error}", gone=True) from None
    found = with_output(client, base)
    return replace(found, job=run.job or found.job, run_key=run.run_key or found.run_key)


def _job_ids(client: WorkspaceClient, names: Iterable[str]) -> list[int | None]:
    """The jobs to which a list can be narrowed; one None where some of the names are modules, or there are none."""
    found: list[int | None] = []
    for name in names:
        ids = [int(name)] if name.isdecimal() else [job.job_id for job in client.jobs.list(name=name)]
        if not ids:
            return [None]
        found += ids
    return found or [None]


def _narrowed(wanted: RunFilter) -> dict[str, Any]:
    """What the list can be asked for. Its times are whole milliseconds, both ends included."""
    asked: dict[str, Any] = {"expand_tasks": True, "limit": PAGE}
    if wanted.since:
        asked["start_time_from"] = _milliseconds(wanted.since)
    if wanted.until:
        asked["start_time_to"] = _milliseconds(wanted.until)
    if wanted.states and wanted.states <= ENDED:
        asked["completed_only"] = True
    elif wanted.states and not wanted.states & ENDED:
        asked["active_only"] = True
    return asked


def _outside(found: Iterable[jobs.BaseRun], asked: dict[str, Any]) -> Iterator[jobs.BaseRun]:
    """The runs whose time is not the one that was asked for."""
    first, last = asked.get("start_time_from"), asked.get("start_time_to")
    for base in found:
        at = base.start_time or 0
        if (first is not None and at < first) or (last is not None and at > last):
            yield base


def _named(base: jobs.BaseRun, names: tuple[str, ...], ids: list[int | None]) -> bool:
    if not names or ids != [None]:
        return True
    return bool({identity(base)[0], base.run_name, str(base.job_id)} & set(names))


def _milliseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
