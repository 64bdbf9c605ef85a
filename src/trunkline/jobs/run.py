"""A run of a job as every platform tells of it, what starts one, and what runs are asked for.

    run = Run("glue", "my.etl", "jr_1", state="RUNNING")
    run.ended      # False

Platforms have some thirty words for the state of a run; here there are seven.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# In the order in which a run goes through them; a run has ended in one of the last five.
STATES = ("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "PENDING_APPROVAL")
# What every platform keeps whole: EMR Serverless allows 256 characters for the value of a tag, the shortest of all.
LONGEST_KEY = 256
ENDED = frozenset(STATES[2:])


def digest_of(text: str) -> str:
    """What stands for a key, or a name, wherever a platform wants a short one or a token: 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class RunRequest:
    """A row that wants to become a run.

    Attributes:
        platform: Where: one of `trunkline.jobs.platforms.PLATFORMS`.
        job: The module, `my_project.etl`.
        run_key: Names the run for good: a request with the same key is the same run.
        arguments: The keyword arguments of the job, as JSON values.
        target: The platform's own job, by id or name; None for the one of the options, or none.
        labels: Shown by the platform beside the run.
        artifact: In the place of the option.
    """

    platform: str
    job: str
    run_key: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    target: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    artifact: str | None = None

    def problem(self) -> str | None:
        """What makes it no run at all, whatever its platform says; None if nothing does."""
        if not all(part.isidentifier() for part in self.job.replace(":", ".", 1).split(".")):
            return f"job {self.job!r} is no module: write my_project.etl or my_project.etl:function"
        if not (0 < len(self.run_key) <= LONGEST_KEY and self.run_key.isprintable()):
            return f"run_key {self.run_key[:40]!r} must have 1 to {LONGEST_KEY} printable characters"
        return None


@dataclass(frozen=True)
class Run:
    """A run, as it was when it was looked at.

    Attributes:
        platform: Where it runs.
        job: The module; None for a run that Trunkline did not start and whose job has no name.
        run_id: The platform's own id.
        run_key: The key of the request that started it; None for a run that Trunkline did not start.
        state: One of `STATES`.
        state_detail: The platform's own word for it, and what it says beside it.
        started_at: UTC, None while it is pending.
        ended_at: UTC, None before its end.
        attempt: 1 for the first.
        url: Where a person can look at it, None where the platform has no such page.
        error: Why it failed, None unless it did.
        result: The JSON object that the job ended in, as text; None where the platform does not keep it.
    """

    platform: str
    job: str | None
    run_id: str
    run_key: str | None = None
    state: str = "PENDING"
    state_detail: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempt: int = 1
    url: str | None = None
    error: str | None = None
    result: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than it should."""
        return self.ended and self.state != "SUCCEEDED"

    @property
    def at(self) -> datetime | None:
        """When it counts: its start, or the end of one that ended without; None for one that is yet to start."""
        return self.started_at or self.ended_at


@dataclass(frozen=True)
class RunFilter:
    """Which runs are asked for. A platform narrows what it can at its own end, and drops the rest of what it got.

    Times are those of `Run.at`; a run that is yet to start passes them.

    Attributes:
        states: These only; empty for all.
        since: At or after.
        until: Before.
        jobs: Of these modules, or of these jobs of the platform's own; empty for all.
    """

    states: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    jobs: tuple[str, ...] = ()

    def takes(self, run: Run) -> bool:
        """Whether a run is among those asked for."""
        at = run.at
        return (
            (not self.states or run.state in self.states)
            and (not self.jobs or run.job in self.jobs)
            and (at is None or self.since is None or at >= self.since)
            and (at is None or self.until is None or at < self.until)
        )
