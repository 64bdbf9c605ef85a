"""Leases in virtual time, one call at a time; how many tasks get on with them is in tests/http/test_simulation.py."""

from __future__ import annotations

import pytest

from trunkline.coordination.leased_rate import LeasedRate
from trunkline.coordination.leases import Ask, Lease, Leases


def grants(leases: Leases, name: str, times: list[float], workers: int = 0) -> list[int]:
    """What a worker gets that uses all at once and always wants more."""
    used, found = 0, []
    for now in times:
        lease = leases.ask(name, Ask(used=used, workers=workers), now)
        used += lease.permits
        found.append(lease.permits)
    return found


def test_one_worker_gets_the_whole_rate() -> None:
    got = grants(Leases([(100, 1.0)]), "a", [step / 10 for step in range(51)])
    # A hundredth of the rate is what keeps its burst within the second.
    assert sum(got) == pytest.approx(500, abs=3)


def test_permits_given_back_go_to_the_next_who_asks() -> None:
    leases = Leases([(10, 60.0)])
    assert leases.ask("a", Ask(), 0.0).permits == 1
    assert leases.ask("b", Ask(), 0.1).permits == 0
    leases.leave("a", Ask(used=0, back=1), 0.2)
    assert leases.ask("b", Ask(), 0.3).permits == 1


def test_a_call_that_comes_twice_is_counted_once() -> None:
    leases = Leases([(100, 1.0)])
    first = leases.ask("a", Ask(), 0.0).permits
    before = [leases.ask("a", Ask(used=first), at).permits for at in (1.0, 1.0)]
    assert before[1] == 0
    assert first + sum(before) <= 1 + 100


def test_what_a_dead_worker_held_is_not_given_out_again() -> None:
    leases = Leases([(10, 3600.0)])
    assert leases.ask("a", Ask(), 0.0).permits == 1
    assert leases.ask("b", Ask(), 10.0).permits == 0
    assert leases.workers() == 1


def test_more_used_than_leased_is_paid_by_later_leases() -> None:
    leases = Leases([(10, 1.0)])
    leases.ask("a", Ask(), 0.0)
    assert leases.ask("a", Ask(used=21), 1.0).permits == 0
    assert leases.ask("a", Ask(used=21), 1.5).permits == 0
    assert leases.ask("a", Ask(used=21), 4.0).permits > 0


def test_a_coordinator_that_came_back_leaves_room_for_workers_it_has_not_seen_yet() -> None:
    leases = Leases([(100, 1.0)])
    alone = sum(grants(leases, "a", [0.0, 0.5, 1.0, 1.5, 2.0], workers=4))
    assert alone <= 100 * 2.0 / 4 + 2


def test_a_long_window_that_was_used_up_stays_so_when_the_coordinator_comes_back() -> None:
    leases = Leases([(10, 1.0), (100, 3600.0)])
    assert leases.ask("a", Ask(used=100, workers=1, spent=(100.0,)), 0.0).permits == 0
    assert leases.ask("a", Ask(used=100), 5.0).permits == 0


def test_a_rate_sends_nothing_before_its_first_lease_and_then_evenly() -> None:
    rate = LeasedRate()
    assert rate.ready_at(0.0) > 0.0
    rate.ask(0.0)
    rate.granted(Lease(4, 0.1, 0.1, 1), 0.0)
    sent = []
    now = 0.0
    for _ in range(4):
        now = rate.ready_at(now)
        rate.take(now)
        sent.append(now)
    assert sent == pytest.approx([0.0, 0.025, 0.05, 0.075])
    assert rate.ready_at(now) > 0.1


def test_what_is_not_needed_is_given_back() -> None:
    rate = LeasedRate()
    rate.ask(0.0)
    rate.granted(Lease(50, 0.1, 0.1, 1), 0.0)
    rate.take(0.0)
    ask = rate.ask(0.1)
    # One was used: three may be next time.
    assert (ask.used, ask.back, ask.stock, ask.want, ask.idle) == (1, 46, 3, 0, False)
    assert rate.ask(0.7) == Ask(1, 49, 0, 1, idle=True, workers=1)


def test_without_the_coordinator_the_share_it_told_last_is_kept() -> None:
    rate = LeasedRate()
    rate.ask(0.0)
    rate.granted(Lease(0, 0.1, 0.1, 4), 0.0)
    assert rate.lost([(40, 1.0)], 1.0) == 0.25
    now, sent = 1.0, 0
    while now < 3.0:
        now = rate.ready_at(now)
        rate.take(now)
        sent += 1
    assert sent == pytest.approx(20, abs=1)


def test_without_a_share_nothing_is_sent() -> None:
    rate = LeasedRate()
    rate.ask(0.0)
    assert rate.lost([], 1.0) == 0.0
    assert rate.ready_at(100.0) > 100.0
    rate.give_up_at = 101.0
    assert rate.ready_at(101.0) == 101.0
