"""Runs are started here, in one process, once: by `commit` of the writers and by `trunkline submit`.

    runs = start_all([RunRequest("local", "my_project.etl", run_key="etl-2026-05-01")], options)

A task may be tried again or run twice, and a commit is not: so tasks only collect rows. What makes a repeated commit
harmless, a micro-batch that is replayed after the driver died for example, is the key of each run, which every platform
is asked about before or while it starts one.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from trunkline.errors import MissingExtraError, OptionError, RejectedError, RunError, TrunklineError, UnavailableError
from trunkline.jobs.looking import look_at
from trunkline.jobs.platforms import platform_of
from trunkline.jobs.run import Run, RunRequest
from trunkline.options import Options

# Platforms allow some ten calls a second: Databricks 1000 starts an hour, Glue and EMR single figures a second.
_AT_ONCE = 8
# A wait begins at a tenth of `pollInterval` and becomes longer by half each time.
_FIRST, _GROWTH = 0.1, 1.5
# What one row may lack, or its platform refuse, while all others are well.
_OF_THE_ROW = (RejectedError, OptionError, MissingExtraError)
# How many runs an error names.
_NAMED = 5

log = logging.getLogger("trunkline.jobs")


@dataclass
class _Progress:
    """What has become of the requests of one call."""

    runs: dict[str, Run] = field(default_factory=dict)
    refused: list[tuple[RunRequest, TrunklineError]] = field(default_factory=list)
    left: list[RunRequest] = field(default_factory=list)
    no_room: UnavailableError | None = None
    no_room_at: float | None = None
    stopped_by: TrunklineError | None = None
    over_before: set[str] = field(default_factory=set)

    @property
    def went_wrong(self) -> bool:
        return bool(self.refused) or self.stopped_by is not None

    def active(self) -> list[Run]:
        return [run for run in self.runs.values() if not run.ended]


def start_all(
    requests: Sequence[RunRequest],
    options: Options,
    *,
    again: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[Run]:
    """Start a run for each request, and wait for them where the options say so.

    Args:
        requests: Two of the same key are one, and must be equal.
        options: Of the format `jobs`, resolved.
        again: Start anew what has failed already, under the key with `:2` behind it, `:3` and so on.
        sleep: Tests pass their own.
        clock: Tests pass their own.

    Returns:
        The runs as they were last seen, in the order of the requests.

    Raises:
        OptionError: Requests contradict each other; nothing was started.
        RunError: With `wait`: a run did not succeed, or not in time.
        TrunklineError: A platform refused a request or could not be reached, or a request lacks an option. The others
            were started where that was possible; started again with the same keys, only what is missing starts.
    """
    requests = _distinct(requests)
    progress = _Progress(left=list(requests))
    waiter = _Waiter(options, sleep, clock)
    most = options["maxConcurrentRuns"] or len(requests)
    while progress.left and progress.stopped_by is None:
        free = most - len(progress.active())
        if free > 0 and progress.no_room is None:
            _start_some(progress, options, min(free, _AT_ONCE), again=again)
        elif not waiter.look(progress):
            break
    while options["wait"] and progress.active() and waiter.look(progress):
        pass
    failed = [run for run in progress.runs.values() if run.failed]
    if options["cancelOnFailure"] and progress.active() and (failed or waiter.late or progress.went_wrong):
        _cancel(progress, options)
    _tell(progress)
    _conclude(progress, failed if options["wait"] else [], waiter.late)
    return [progress.runs[request.run_key] for request in requests]


class _Waiter:
    """Looks at active runs, less and less often, until one has ended or was too long under way."""

    def __init__(self, options: Options, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._options = options
        self._sleep = sleep
        self._clock = clock
        self._seen_at: dict[str, float] = {}
        self._pause = options["pollInterval"] * _FIRST
        self.late: list[Run] = []

    def look(self, progress: _Progress) -> bool:
        """Wait a little and look again; False when a run did not end in time, or one failed and all are to end."""
        now = self._clock()
        if progress.no_room is not None:
            progress.no_room_at = now if progress.no_room_at is None else progress.no_room_at
            if now - progress.no_room_at >= self._options["waitTimeout"]:
                progress.stopped_by = progress.no_room
                return False
            progress.no_room = None
        active = {key: run for key, run in progress.runs.items() if not run.ended}
        for run in active.values():
            self._seen_at.setdefault(run.run_id, now)
        self._sleep(self._pause)
        self._pause = min(self._pause * _GROWTH, self._options["pollInterval"])
        try:
            progress.runs.update(zip(active, look_at(list(active.values()), self._options)[0], strict=True))
        except TrunklineError as error:
            progress.stopped_by = error
            return False
        if len(progress.active()) < len(active):
            self._pause = self._options["pollInterval"] * _FIRST
        timeout = self._options["waitTimeout"]
        self.late = [run for run in progress.active() if self._clock() - self._seen_at[run.run_id] >= timeout]
        failed = any(run.failed for run in progress.runs.values())
        return not self.late and not (failed and self._options["cancelOnFailure"])


def _distinct(requests: Sequence[RunRequest]) -> list[RunRequest]:
    found: dict[str, RunRequest] = {}
    for request in requests:
        if problem := request.problem():
            raise OptionError(f"jobs: {problem}; nothing was started")
        if found.setdefault(request.run_key, request) != request:
            raise OptionError(f"jobs: run_key {request.run_key!r} stands for two different runs; nothing was started")
    return list(found.values())


def _start_some(progress: _Progress, options: Options, count: int, *, again: bool) -> None:
    """Start the next requests, some at the same time. One that its platform refuses leaves the others alone."""
    some, progress.left = progress.left[:count], progress.left[count:]
    with ThreadPoolExecutor(_AT_ONCE, "trunkline-start") as threads:
        outcomes = list(threads.map(lambda request: _started(request, options, again=again), some))
    for request, outcome in zip(some, outcomes, strict=True):
        if isinstance(outcome, Run):
            progress.runs[request.run_key] = outcome
            if outcome.ended:
                progress.over_before.add(outcome.run_id)
            progress.no_room_at = None
            log.info("%s runs on %s as %s", request.job, outcome.platform, outcome.run_id)
        elif isinstance(outcome, UnavailableError) and outcome.later:
            progress.no_room = outcome
            progress.left.append(request)
        else:
            progress.refused.append((request, outcome))
            if not isinstance(outcome, _OF_THE_ROW):
                # What is wrong is not the row: the next ones would meet it too.
                progress.stopped_by = progress.stopped_by or outcome


def _started(request: RunRequest, options: Options, *, again: bool) -> Run | TrunklineError:
    if request.artifact:
        options = options.replaced({"artifact": request.artifact})
    try:
        platform = platform_of(request.platform)
        key, number = request.run_key, 2
        while again and (found := platform.find(request, options)) and found.failed:
            request, number = replace(request, run_key=f"{key}:{number}"), number + 1
        run: Run = platform.start(request, options)
    except TrunklineError as error:
        return error
    return run


def _cancel(progress: _Progress, options: Options) -> None:
    for run in progress.active():
        try:
            platform_of(run.platform).cancel(run, options)
        except TrunklineError as error:
            log.warning("%s on %s could not be cancelled: %s", run.run_id, run.platform, error)


def _tell(progress: _Progress) -> None:
    states = Counter(run.state for run in progress.runs.values())
    told = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    log.info("runs: %s", told or "none")


def _conclude(progress: _Progress, failed: Sequence[Run], late: Sequence[Run]) -> None:
    """Raise what went wrong, the gravest first, with what there is to know about all the runs."""
    if not (progress.went_wrong or failed or late):
        return
    total = len(progress.runs) + len(progress.refused) + len(progress.left)
    done = f"{len(progress.runs):,} of {total:,} runs were started"
    lines = [
        *_named("not started", (f"{one.job} on {one.platform}: {error}" for one, error in progress.refused)),
        *_named("did not succeed", (_shown(run, before=run.run_id in progress.over_before) for run in failed)),
        *_named("did not end in time", map(_shown, late)),
    ]
    text = "\n".join([done, *lines])
    if progress.left:
        text += f"\n  and {len(progress.left):,} were not tried"
    if progress.went_wrong:
        cause = progress.stopped_by or progress.refused[0][1]
        if not progress.refused:
            text += f": {cause}"
        again = "; started again with the same run_key, only what is missing starts"
        raise type(cause)(text + again, **_details(cause))
    raise RunError(text, runs=list(progress.runs.values()))


def _named(what: str, items: Iterable[str]) -> list[str]:
    found = list(items)
    lines = [f"  - {what}: {item}" for item in found[:_NAMED]]
    return lines + ([f"  - {what}: and {len(found) - _NAMED:,} more"] if len(found) > _NAMED else [])


def _shown(run: Run, *, before: bool = False) -> str:
    detail = ": ".join(filter(None, [run.state_detail, run.error]))
    where = f" ({run.url})" if run.url else ""
    over = (
        f"; it was over before this write: give another run_key than {run.run_key!r} to run it again" if before else ""
    )
    return f"{run.job} on {run.platform}, run {run.run_id}: {run.state}{f', {detail}' if detail else ''}{where}{over}"


def _details(error: TrunklineError) -> dict[str, object]:
    return {name: value for name, value in vars(error).items() if name != "problems"}
