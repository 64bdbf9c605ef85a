"""Running something again: how long to wait, what another run can cure, what is left alone for a while."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline.errors import OptionError, TrunklineError
from trunkline.jobs.files import read_text, write_text
from trunkline.pipelines.config import Breaker, Retry
from trunkline.pipelines.report import RAISED

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")

# Errors that come again, by their names: another run has the same file, the same code, the same credential.
_INCURABLE = frozenset({
    "OptionError", "MissingExtraError", "AuthError", "RejectedError", "ExpectationError", "PendingApprovalError",
    "BreakerOpenError", "StillRunningError", "AnalysisException", "ParseException", "ImportError", "TypeError",
    "AttributeError", "NameError", "SyntaxError", "NotImplementedError",
})  # fmt: skip
_IN_TEXT = re.compile(rf"^\s*(?:Caused by: )?{RAISED}", re.MULTILINE)
# How long a run that was told to end is waited for.
_ENDING = 30.0


class StepTimeoutError(TrunklineError, TimeoutError):
    """A step took longer than its `timeout`, and was ended."""


class StillRunningError(StepTimeoutError):
    """A step took longer than its `timeout`, and does not end: another run of it beside it might do things twice."""


class BreakerOpenError(TrunklineError):
    """A step failed several times in a row, and is left alone for a while."""


def delay_before(retry: Retry, attempt: int, draw: Callable[[], float] = random.random) -> float:
    """Seconds before an attempt, the first being 1: as `backoff` says, up to a half shorter at random."""
    failed = attempt - 1
    # Beyond 2 ** 60 every delay is the longest.
    factor: int = {"exponential": 2 ** min(failed - 1, 60), "linear": failed, "constant": 1}[retry.backoff]
    return min(retry.initial_delay * factor, retry.max_delay) * (1 - draw() / 2)


def worth_another(error: BaseException, retry: Retry) -> bool:
    """Whether another run may cure this: it is named in `on`, or `on` is empty and it is no error that comes again."""
    names = names_of(error)
    if isinstance(error, (StillRunningError, BreakerOpenError)):
        return False
    return bool(names & set(retry.on)) if retry.on else not names & _INCURABLE


def names_of(error: BaseException) -> set[str]:
    """The classes of an error and of what caused it, on the driver or within a task."""
    found: set[str] = set()
    cause: BaseException | None = error
    while cause is not None:
        found |= {one.__name__ for one in type(cause).__mro__} - {"object", "BaseException"}
        found |= set(_IN_TEXT.findall(str(cause)))
        cause = cause.__cause__
    return found


def within(seconds: float | None, spark: SparkSession, tag: str, run: Callable[[], T]) -> T:
    """Run this; after so many seconds its Spark jobs are ended.

    Args:
        seconds: None for no end.
        spark: The session.
        tag: Of the jobs of this run.
        run: What is to be done.

    Raises:
        StepTimeoutError: It took longer, and has ended.
        StillRunningError: It took longer and goes on, in Python code that Spark cannot end.
    """
    if seconds is None:
        return run()
    ended: list[tuple[bool, Any]] = []

    def work() -> None:
        try:
            for one in (tag, own):
                tag_jobs(spark, one)
            ended.append((True, run()))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            ended.append((False, error))

    # A thread has tags of its own: it needs that of the run too, by which the run may be ended.
    own = f"{tag}-{time.monotonic_ns()}"
    thread = threading.Thread(target=work, name=own, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        until = time.monotonic() + _ENDING
        while thread.is_alive() and time.monotonic() < until:
            # It may begin one job after the other.
            end_jobs(spark, own)
            thread.join(0.5)
        if thread.is_alive():
            advice = "its Python code goes on in this process, so it is not run again"
            raise StillRunningError(f"took longer than {seconds:g} s: {advice}")
        raise StepTimeoutError(f"took longer than {seconds:g} s, and was ended")
    good, held = ended[0]
    if not good:
        raise held
    value: T = held
    return value


def tag_jobs(spark: SparkSession, tag: str) -> None:
    """Jobs that this thread begins from now on bear the tag."""
    context = getattr(spark, "_sc", None)
    # A tag of a classic session is known to the thread that set it, and nobody else could end its jobs.
    spark.addTag(tag) if context is None else context.addJobTag(tag)


def untag_jobs(spark: SparkSession, tag: str) -> None:
    """Jobs that this thread begins from now on do not bear the tag."""
    context = getattr(spark, "_sc", None)
    spark.removeTag(tag) if context is None else context.removeJobTag(tag)


def end_jobs(spark: SparkSession, tag: str) -> None:
    """End the jobs that bear the tag."""
    context = getattr(spark, "_sc", None)
    spark.interruptTag(tag) if context is None else context.cancelJobsWithTag(tag)


class StepBreaker:
    """Failures in a row of a step, remembered beside the reports of its runs.

    Args:
        breaker: What the file says.
        uri: The file it is remembered in.
        clock: Seconds since 1970.
    """

    def __init__(self, breaker: Breaker, uri: str, clock: Callable[[], float] = time.time) -> None:
        self._breaker = breaker
        self._uri = uri
        self._clock = clock
        self._failures, self._failed_at = 0, 0.0
        try:
            held = json.loads(read_text(uri))
            self._failures, self._failed_at = int(held["failures"]), float(held["failed_at"])
        except (OptionError, ValueError, KeyError, TypeError):
            pass

    def check(self) -> None:
        """Let a run through.

        Raises:
            BreakerOpenError: It is left alone now.
        """
        left = self._failed_at + self._breaker.timeout - self._clock()
        if self._failures >= self._breaker.failure_threshold and left > 0:
            raise BreakerOpenError(
                f"failed {self._failures} times in a row and is left alone for another {left:.0f} s (breaker)"
            )

    def saw(self, *, failed: bool) -> None:
        """Remember how a run ended."""
        if failed or self._failures:
            self._failures = self._failures + 1 if failed else 0
            self._failed_at = self._clock()
            write_text(self._uri, json.dumps({"failures": self._failures, "failed_at": self._failed_at}))
