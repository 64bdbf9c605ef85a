"""How long to wait, what another run can cure, what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import AuthError, MissingExtraError, OptionError, UnavailableError
from trunkline.pipelines.attempts import (
    BreakerOpenError,
    StepBreaker,
    StepTimeoutError,
    StillRunningError,
    delay_before,
    worth_another,
)
from trunkline.pipelines.config import Breaker, Retry

RETRY = {"max_attempts": 9, "initial_delay": "1s", "max_delay": "5s"}


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [("exponential", [1, 2, 4, 5, 5]), ("linear", [1, 2, 3, 4, 5]), ("constant", [1, 1, 1, 1, 1])],
)
def test_delays_grow_as_the_file_says(backoff: str, delays: list[float]) -> None:
    retry = Retry.model_validate({**RETRY, "backoff": backoff})
    assert [delay_before(retry, attempt, lambda: 0.0) for attempt in range(2, 7)] == delays


@given(st.sampled_from(["exponential", "linear", "constant"]), st.integers(2, 10_000), st.floats(0, 1))
def test_a_delay_is_within_half_of_what_it_would_be_and_never_longer_than_the_longest(
    backoff: str, attempt: int, draw: float
) -> None:
    retry = Retry.model_validate({**RETRY, "backoff": backoff})
    whole = delay_before(retry, attempt, lambda: 0.0)
    assert 0 < whole / 2 <= delay_before(retry, attempt, lambda: draw) <= whole <= 5


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (UnavailableError("down"), True),
        (RuntimeError("odd"), True),
        (StepTimeoutError("slow"), True),
        (StillRunningError("slow"), False),
        (BreakerOpenError("open"), False),
        (OptionError("wrong"), False),
        (MissingExtraError("not there"), False),
        (AuthError("refused"), False),
        (TypeError("a bug"), False),
        (RuntimeError("task failed:\ntrunkline.errors.UnavailableError: down"), True),
        (RuntimeError("task failed:\n  trunkline.errors.AuthError: refused"), False),
    ],
)
def test_what_comes_again_is_not_tried_again(error: Exception, again: bool) -> None:
    """Also where Spark hands the error of a task on as text."""
    assert worth_another(error, Retry.model_validate({})) is again


def test_the_errors_that_are_named_are_tried_again_and_no_others() -> None:
    retry = Retry.model_validate({"on": ["UnavailableError", "AuthError"]})
    assert worth_another(AuthError("refused"), retry)
    assert worth_another(RuntimeError("task:\ntrunkline.errors.UnavailableError: down"), retry)
    assert not worth_another(RuntimeError("odd"), retry)
    assert worth_another(ConnectionResetError("gone"), Retry.model_validate({"on": "OSError"}))


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_try_after_its_time(tmp_path: Path) -> None:
    """What it knows is known to the next process too."""
    file = str(tmp_path / "breakers" / "load.json")
    given = Breaker.model_validate({"failure_threshold": 2, "timeout": "30s"})

    def at(time: float) -> StepBreaker:
        return StepBreaker(given, file, lambda: time)

    at(0).saw(failed=True)
    at(1).saw(failed=False)
    at(2).saw(failed=True)
    at(3).check()
    at(3).saw(failed=True)
    with pytest.raises(BreakerOpenError, match="failed 2 times in a row and is left alone for another 29 s"):
        at(4).check()
    at(33).check()
    at(33).saw(failed=True)
    with pytest.raises(BreakerOpenError):
        at(34).check()
    at(64).check()
    at(64).saw(failed=False)
    at(65).saw(failed=True)
    at(66).check()
