"""What independent tasks make of one server: a few virtual seconds of `benchmarks/simulate.py`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.http.simulation import OverrunServer, RateServer, Server, SlotServer, simulate

from trunkline.coordination.leases import CALLS, Leases
from trunkline.http.pacing import RateLimit


@pytest.mark.parametrize(("tasks", "refused"), [(1, 0.02), (8, 0.08), (100, 0.30)])
def test_a_rate_limited_server_is_used_up_with_few_refusals(tasks: int, refused: float) -> None:
    result = simulate(tasks, RateServer(200.0), 20.0, warm_up=10.0)
    assert result.accepted >= 0.93 * 200 * 20
    assert result.refused <= refused * result.accepted
    assert result.lost == 0


def test_the_hundredth_task_gets_its_turn() -> None:
    result = simulate(100, RateServer(200.0), 30.0, warm_up=10.0)
    fair = result.accepted / 100
    assert min(result.per_task) >= 0.15 * fair
    assert max(result.per_task) <= 6 * fair


@pytest.mark.parametrize(("tasks", "share"), [(1, 0.6), (8, 0.8), (100, 0.9)])
def test_retry_after_is_paid_for_seldom(tasks: int, share: float) -> None:
    result = simulate(tasks, RateServer(200.0, retry_after="1"), 20.0, warm_up=10.0)
    assert result.accepted >= share * 200 * 20


def test_a_rate_split_over_the_tasks_is_never_refused() -> None:
    result = simulate(8, RateServer(200.0), 20.0, rate=lambda: RateLimit([(200.0, 1.0)], share=1 / 8))
    assert (result.refused, result.lost) == (0, 0)
    assert result.accepted >= 0.97 * 200 * 20


@pytest.mark.parametrize("server", [SlotServer, OverrunServer])
def test_one_adaptive_task_comes_near_the_best_fixed_number_without_being_told(server: Callable[[], Server]) -> None:
    """Of a server that refuses more than 20 at once, and of one that becomes slow by more."""
    best = max(simulate(1, server(), 10.0, concurrency=n, warm_up=5.0).accepted for n in range(16, 30))
    adaptive = simulate(1, server(), 20.0, warm_up=5.0).accepted / 2
    assert adaptive >= 0.9 * best


@pytest.mark.parametrize(("tasks", "share", "refused"), [(8, 0.8, 0.05), (100, 0.7, 0.3)])
def test_a_server_of_few_slots_is_kept_busy(tasks: int, share: float, refused: float) -> None:
    result = simulate(tasks, SlotServer(), 20.0, warm_up=10.0)
    assert result.accepted >= share * 400 * 20
    assert result.refused <= refused * result.accepted
    assert result.lost == 0


@pytest.mark.parametrize(("tasks", "wait"), [(1, 0.2), (8, 0.4)])
def test_a_server_that_queues_is_not_drowned(tasks: int, wait: float) -> None:
    result = simulate(tasks, SlotServer(queues=True), 20.0, warm_up=5.0)
    assert result.accepted >= 0.97 * 400 * 20
    assert result.wait(0.99) <= wait


def test_one_coordinator_uses_up_the_rate_without_refusals() -> None:
    result = simulate(8, RateServer(200.0), 30.0, leases=Leases([(200.0, 1.0)]))
    assert result.accepted >= 0.97 * 200 * 30
    assert result.refused < 0.01 * result.accepted
    assert min(result.per_task) >= 0.9 * result.accepted / 8


def test_tasks_that_need_nothing_leave_the_rate_to_the_others() -> None:
    result = simulate(8, RateServer(200.0), 20.0, leases=Leases([(200.0, 1.0)]), rows=lambda task, now: task < 2)
    assert result.accepted >= 0.97 * 200 * 20
    assert min(result.per_task[:2]) >= 0.9 * result.accepted / 2


def test_a_thousand_tasks_share_a_rate_evenly_and_call_seldom() -> None:
    leases = Leases([(200.0, 1.0)])
    result = simulate(1000, RateServer(200.0), 60.0, leases=leases, warm_up=5.0)
    assert result.accepted >= 0.97 * 200 * 60
    assert min(result.per_task) >= 0.9 * result.accepted / 1000
    assert result.most_within(1.0) <= 200 + leases.at_large
    assert len(result.calls_at) / 65.0 <= 1.15 * CALLS


def test_a_coordinator_keeps_every_window() -> None:
    leases = Leases([(20.0, 1.0), (300.0, 60.0)])
    result = simulate(4, RateServer(1000.0), 120.0, leases=leases)
    assert result.most_within(60.0) <= 300
    assert result.most_within(1.0) <= 20 + leases.at_large
    assert result.accepted >= 0.9 * 600


@pytest.mark.parametrize(("tasks", "rate", "busy"), [(30, 10.0, 1), (100, 100.0, 2)])
def test_most_tasks_of_a_slow_rate_may_be_idle(tasks: int, rate: float, busy: int) -> None:
    leases = Leases([(rate, 1.0)])
    result = simulate(tasks, RateServer(1000.0), 60.0, leases=leases, warm_up=10.0, rows=lambda task, now: task < busy)
    assert result.accepted >= 0.95 * rate * 60
    assert result.most_within(1.0) <= rate + leases.at_large
