"""The rates of a process, and what a call says of them, in virtual time."""

from __future__ import annotations

import math
from typing import Any

from trunkline.coordination.buckets import UNUSED, Buckets


def told(windows: list[tuple[float, float]] | None, workers: int = 4) -> dict[str, Any]:
    """What an answer brings for one bucket."""
    lease = {"permits": 2, "next_in": 0.5, "soonest": 0.1, "workers": workers, "spent": []}
    return {"windows": windows, "lease": lease}


def test_tasks_that_name_the_same_bucket_keep_to_one_rate() -> None:
    buckets = Buckets(lambda: None)
    own, mine = buckets.rate("", None), buckets.rate("http://a:80 10/s", [(10.0, 1.0)])
    assert (buckets.rate("", None) is own, buckets.rate("http://a:80 10/s", [(10.0, 1.0)]) is mine) == (True, True)
    assert own is not mine
    own.touched_at = mine.touched_at = 5.0
    assert {name: asked["windows"] for name, asked in buckets.ask(5.0, bye=False).items()} == {
        "": None,
        "http://a:80 10/s": [(10.0, 1.0)],
    }


def test_what_no_task_has_used_for_long_is_not_asked_for_but_given_back() -> None:
    buckets = Buckets(lambda: None)
    assert (buckets.touched_at(9.0), buckets.ask_at(9.0)) == (-math.inf, math.inf)
    used, unused = buckets.rate("used", None), buckets.rate("unused", None)
    used.touched_at, unused.touched_at = 9.0 - UNUSED / 2, 9.0 - UNUSED
    assert list(buckets.ask(9.0, bye=False)) == ["used"]
    assert (buckets.touched_at(9.0), buckets.ask_at(9.0)) == (used.touched_at, used.ask_at())
    assert list(buckets.ask(9.0, bye=True)) == ["used", "unused"]


def test_without_the_coordinator_each_rate_goes_on_with_its_share() -> None:
    """By what it was told last; a rate that it never told of is not guessed, and no rate is none to keep."""
    buckets = Buckets(lambda: None)
    shared, never, free = (buckets.rate(name, None) for name in ("shared", "never", "free"))
    buckets.take("shared", told([(8.0, 1.0)], workers=4), bye=False)
    buckets.take("free", told(None, workers=2), bye=False)
    shared.ready_at(1.0)
    shared.take(1.0, 2)
    assert not shared.can_go_on
    assert buckets.lost(1.0) == 0.5
    assert (shared.can_go_on, never.can_go_on, free.can_go_on) == (True, False, True)
    assert shared.ready_at(1.0) == 1.0
    shared.take(1.0)
    assert shared.ready_at(1.0) == 1.5
