"""How runs are now, on whichever platforms they are: for a write that waits, and for a stream that follows them.

runs, unseen = look_at(runs, options)
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from trunkline.errors import RejectedError, UnavailableError
from trunkline.jobs.platforms import platform_of
from trunkline.jobs.run import Run
from trunkline.options import Options

GONE = "the platform knows of this run no more; how it ended was not seen"

log = logging.getLogger("trunkline.jobs")


def look_at(runs: Sequence[Run], options: Options) -> tuple[list[Run], set[str]]:
    """The same runs as they are now, in the same order, and the platforms that could not be reached.

    A run on one of those is as it was: the next look may reach it. One that its platform knows no more is FAILED with
    the detail GONE.

    Raises:
        TrunklineError: A platform refuses to tell, for another reason than that a run is gone.
    """
    seen: dict[tuple[str, str], Run] = {}
    unseen = set()
    for name in dict.fromkeys(run.platform for run in runs):
        own = [run for run in runs if run.platform == name]
        try:
            for run in _polled(name, own, options):
                seen[run.platform, run.run_id] = run
        except UnavailableError as error:
            unseen.add(name)
            log.warning("the runs on %s cannot be looked at now: %s", name, error)
    return [seen.get((run.platform, run.run_id), run) for run in runs], unseen


def _polled(name: str, runs: list[Run], options: Options) -> Iterable[Run]:
    try:
        found: list[Run] = platform_of(name).poll(runs, options)
    except RejectedError as error:
        if not error.gone:
            raise
        if len(runs) > 1:
            return [now for run in runs for now in _polled(name, [run], options)]
        ended_at = datetime.now(timezone.utc)
        return [replace(runs[0], state="FAILED", state_detail="GONE", ended_at=ended_at, error=GONE)]
    return found
