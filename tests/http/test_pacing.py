"""Rate, back-off, budget and gate, in virtual time."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.http.pacing import (
    Gate,
    RateLimit,
    RetryBudget,
    backoff,
    wait_at_least,
)

WINDOWS = st.lists(
    st.tuples(st.integers(1, 300).map(float), st.sampled_from([0.5, 1.0, 10.0, 60.0])),
    min_size=1,
    max_size=3,
    unique_by=lambda window: window[1],
)


@given(
    WINDOWS,
    st.sampled_from([1.0, 0.5, 0.125]),
    st.sampled_from([0.0, 1e6]),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5), st.floats(0, 100)), min_size=1, max_size=150),
)
def test_no_window_wherever_it_begins_holds_more_than_its_count_and_one_weight(
    windows: list[tuple[float, float]], share: float, begin: float, steps: list[tuple[float, int, float]]
) -> None:
    """Greedy bursts and idle times, with looks into the future that must change nothing."""
    rate = RateLimit(windows, share)
    now, sends = begin, []
    for idle, weight, look in steps:
        rate.ready_at(now + look, weight)
        now += idle if weight == 1 else 0.0
        now = rate.ready_at(now, weight)
        assert rate.ready_at(now, weight) <= now
        rate.take(now, weight)
        sends.append((now, weight))
    for count, seconds in windows:
        for start, _ in sends:
            held = [weight for at, weight in sends if start <= at < start + seconds - 1e-6]
            # The last one may weigh more than what is left; a share is a whole number of requests.
            assert sum(held) <= math.ceil(count * share) + max(held) - 1


@given(WINDOWS)
def test_a_single_permit_at_a_time_never_passes_the_count(windows: list[tuple[float, float]]) -> None:
    rate, now, sends = RateLimit(windows), 0.0, []
    for _ in range(400):
        now = rate.ready_at(now)
        rate.take(now)
        sends.append(now)
    for count, seconds in windows:
        for i, start in enumerate(sends):
            assert sum(1 for at in sends[i:] if at < start + seconds - 1e-6) <= count


def test_a_rate_is_used_up_to_a_few_hundredths() -> None:
    for windows in ([(200.0, 1.0)], [(10.0, 1.0), (300.0, 60.0)], [(1000.0, 1.0)]):
        rate, now, sent = RateLimit(windows), 0.0, 0
        while (now := rate.ready_at(now)) < 300.0:
            rate.take(now)
            sent += 1
        assert sent >= 0.96 * 300 * min(count / seconds for count, seconds in windows)


def test_a_share_of_less_than_one_permit_is_one_permit_in_a_longer_time() -> None:
    rate, now = RateLimit([(1.0, 1.0), (60.0, 60.0)], share=0.01), 0.0
    sends = []
    for _ in range(4):
        now = rate.ready_at(now)
        rate.take(now)
        sends.append(now)
    assert all(100.0 <= later - earlier <= 205.0 for earlier, later in pairwise(sends))


def test_a_heavy_request_goes_out_at_once_and_is_paid_for_after() -> None:
    rate = RateLimit([(10.0, 1.0)])
    assert rate.ready_at(5.0, 50) == 5.0
    rate.take(5.0, 50)
    assert rate.ready_at(5.0) == pytest.approx(10.0)


@given(st.integers(0, 2000), st.booleans(), st.floats(0.1, 60))
def test_back_off_stays_between_nothing_and_its_cap(retries: int, throttled: bool, cap: float) -> None:
    delay = backoff(Random(retries), retries, throttled=throttled, cap=cap)
    assert 0.0 <= delay <= min(cap, (1.0 if throttled else 0.2) * 2 ** min(retries, 30))


@given(st.floats(0, 1e4), st.floats(0, 60), st.integers())
def test_a_told_wait_is_never_shortened(told: float, own: float, seed: int) -> None:
    longer = max(told, own)
    assert longer <= wait_at_least(Random(seed), told, own) <= longer + min(1.0, 0.1 * longer)


def test_the_budget_ends_and_is_earned_back() -> None:
    budget = RetryBudget()
    assert [budget.spend(throttled=False) for _ in range(36)] == [True] * 35 + [False]
    for _ in range(4):
        budget.succeeded()
    assert budget.spend(throttled=False)
    budget.refill()
    assert sum(budget.spend(throttled=True) for _ in range(200)) == 100


@pytest.mark.parametrize("failures", [10, 15])
def test_ten_failures_in_a_row_close_the_gate_once(failures: int) -> None:
    gate = Gate(Random(1))
    closed = [gate.failed(5.0) for _ in range(failures)]
    assert closed[:10] == [False] * 9 + [True]
    assert 5.5 <= gate.until <= 6.0
    assert gate.unhealthy_since == 5.0


def test_half_of_at_least_twenty_closes_the_gate() -> None:
    gate = Gate(Random(1))
    closed = []
    for _ in range(10):
        gate.healthy(0.0)
        closed.append(gate.failed(0.0))
    assert closed == [False] * 9 + [True]


def test_after_a_closing_four_good_answers_open_and_earlier_sends_count_for_neither() -> None:
    gate = Gate(Random(1))
    gate.trip(0.0)
    assert not any(gate.healthy(gate.until - 0.01) for _ in range(9))
    assert [gate.healthy(gate.until) for _ in range(4)] == [False, False, False, True]
    assert (gate.probes_left, gate.unhealthy_since) == (0, None)


@given(st.integers(1, 30))
def test_each_failed_probe_closes_for_longer_up_to_a_minute(times: int) -> None:
    gate, now = Gate(Random(times)), 0.0
    for k in range(times):
        gate.trip(now)
        most = min(60.0, 2.0**k)
        assert most / 2 <= gate.until - now <= most
        now = gate.until


def test_a_short_hold_does_not_keep_a_refused_probe_from_closing_the_gate() -> None:
    gate = Gate(Random(1))
    gate.trip(0.0)
    gate.throttled(2.0, 0.1)
    gate.trip(2.0)
    assert gate.until >= 3.0


def test_throttling_holds_for_half_a_round_trip_to_one_and_a_longer_hold_stays() -> None:
    gate = Gate(Random(1))
    gate.throttled(1.0, 0.2)
    held = gate.until
    gate.throttled(1.05, 99.0)
    assert (1.1 <= held <= 1.2, gate.until == held) == (True, True)
    gate.hold(1.0, 30.0)
    gate.hold(2.0, 3.0)
    assert gate.until == 31.0
