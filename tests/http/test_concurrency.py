"""How many at once, in virtual time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.http.concurrency import FIRST_WAVE, MAX_CONCURRENCY, Concurrency


def run(concurrency: Concurrency, rounds: int, begin: float = 0.0, elapsed: float = 0.1, refused: int = 0) -> float:
    """So many round trips in which the limit is reached; in each, so many are refused."""
    now = begin
    for _ in range(rounds):
        now += max(elapsed, concurrency.spacing)
        wave = concurrency.limit
        for i in range(wave):
            concurrency.reached = True
            if i < refused:
                concurrency.failed(now, pressure=True)
            else:
                concurrency.succeeded(now, elapsed)
    return now


def test_slow_start_doubles_once_per_round_trip_up_to_the_most() -> None:
    concurrency, limits, now = Concurrency(most=100), [], 0.0
    for _ in range(8):
        limits.append(concurrency.limit)
        now = run(concurrency, 1, now, elapsed=0.1 + 1e-6)
    assert limits == [4, 8, 16, 32, 64, 100, 100, 100]


def test_nothing_grows_without_having_been_reached() -> None:
    concurrency = Concurrency()
    for i in range(100):
        concurrency.succeeded(i * 1.0, 0.1)
    assert concurrency.limit == FIRST_WAVE


def test_one_refusal_takes_a_tenth_and_the_way_back_is_slow_near_the_top() -> None:
    concurrency = Concurrency()
    now = run(concurrency, 6)
    now = run(concurrency, 1, now, refused=1)
    after = concurrency.limit
    now = run(concurrency, 60, now)
    recovered = concurrency.limit
    now = run(concurrency, 1, now, refused=1)
    assert after == MAX_CONCURRENCY // 2  # the first refusal ends slow start: its last doubling was too much
    assert after < recovered <= MAX_CONCURRENCY
    assert concurrency.limit == pytest.approx(recovered * 0.9, abs=1)


@given(st.lists(st.tuples(st.floats(0, 2), st.sampled_from(["ok", "refused", "failed"]), st.booleans()), max_size=300))
def test_the_limit_stays_between_one_and_the_most_whatever_comes(steps: list[tuple[float, str, bool]]) -> None:
    concurrency, now = Concurrency(most=50), 0.0
    for idle, answer, reached in steps:
        now += idle
        concurrency.reached = reached
        if answer == "ok":
            concurrency.succeeded(now, idle)
        else:
            concurrency.failed(now, pressure=answer == "refused", cost=idle)
        assert 1 <= concurrency.limit <= 50
        assert 0.0 <= concurrency.spacing < math.inf


def test_at_the_floor_it_finds_its_way_up_again() -> None:
    concurrency = Concurrency()
    now = run(concurrency, 60, refused=1000)
    assert (concurrency.limit, concurrency.spacing > 1.0) == (1, True)
    begin = now
    while concurrency.limit < 20 and now < begin + 1000.0:
        now = run(concurrency, 1, now)
    assert now - begin < 120.0


def test_a_fixed_number_waits_for_the_first_answer_and_then_stays() -> None:
    concurrency = Concurrency(64)
    first = concurrency.limit
    concurrency.succeeded(0.1, 0.1)
    concurrency.failed(0.2, pressure=True)
    assert (first, concurrency.limit, concurrency.spacing) == (FIRST_WAVE, 64, 0.0)
    assert Concurrency(2).limit == 2


def test_a_restart_does_not_forget_where_it_was_refused() -> None:
    concurrency = Concurrency()
    now = run(concurrency, 3)
    now = run(concurrency, 1, now, refused=5)
    refused_at = 32
    concurrency.restart()
    restarted, highest = concurrency.limit, 0
    for _ in range(6):
        now = run(concurrency, 1, now)
        highest = max(highest, concurrency.limit)
    assert restarted == FIRST_WAVE
    assert highest <= refused_at


def test_a_queueing_server_ends_slow_start() -> None:
    concurrency, now = Concurrency(), 0.0
    for _ in range(100):
        elapsed = 0.05 * max(1.0, concurrency.limit / 20)
        now = run(concurrency, 1, now, elapsed=elapsed)
    assert 20 <= concurrency.limit <= 64
