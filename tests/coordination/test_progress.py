"""Totals of attempts, in virtual time."""

from __future__ import annotations

import threading

import pytest

from trunkline.coordination import progress as progresses
from trunkline.coordination.progress import Progress, bucket_of


def test_a_report_that_is_lost_or_comes_twice_changes_nothing() -> None:
    progress = Progress()
    progress.take("a", {"rows": 10, "accepted": 8}, {bucket_of(0.05): 8}, 0.0)
    for _ in range(2):
        progress.take("a", {"rows": 30, "accepted": 28}, {bucket_of(0.05): 28}, 2.0)
    progress.take("b", {"rows": 5, "accepted": 5}, {}, 2.0, done=True)
    told = progress.snapshot(2.0)
    assert (told.rows, told.accepted, told.tasks_active, told.tasks_done) == (35, 33, 1, 1)
    assert told.rows_per_second == pytest.approx(33 / 2)


@pytest.mark.parametrize("seconds", [0.002, 0.05, 1.7, 60.0])
def test_a_percentile_is_off_by_a_tenth_at_most(seconds: float) -> None:
    progress = Progress()
    progress.take("a", {}, {bucket_of(seconds): 100}, 0.0)
    told = progress.snapshot(1.0)
    assert told.p50 == told.p99 == pytest.approx(seconds, rel=0.1)


def test_a_task_that_says_nothing_for_long_is_not_active() -> None:
    progress = Progress()
    progress.take("a", {"rows": 1}, {}, 0.0)
    assert [progress.snapshot(at).tasks_active for at in (10.0, 100.0)] == [1, 0]


def test_attempts_that_ended_are_remembered_by_name_only_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progresses, "_MOST_CLOSED", 1000)
    progress = Progress()
    for attempt in range(1_200):
        progress.take(f"write/{attempt}", {"rows": 2, "accepted": 2}, {3: 2}, 0.0, done=True)
        if attempt % 100 == 0:
            progress.take(f"write/{attempt}", {"rows": 2, "accepted": 2}, {3: 2}, 0.0, done=True)
    told = progress.snapshot(1.0)
    assert (told.rows, told.accepted, told.tasks_active, told.tasks_done) == (2_400, 2_400, 0, 1_200)
    assert (len(progress._open), len(progress._closed)) == (0, 1_000)


def test_attempts_that_never_end_are_bounded_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progresses, "_MOST_OPEN", 100)
    progress = Progress()
    for repeated in range(2):
        for attempt in range(120):
            progress.take(f"read/{attempt}", {"rows": 1 + repeated}, {}, 0.0)
    assert len(progress._open) == 100
    assert 120 <= progress.snapshot(1.0).rows <= 240


def test_a_look_while_tasks_report_is_no_race() -> None:
    progress, over, failed = Progress(), threading.Event(), []

    def look() -> None:
        while not over.is_set():
            try:
                progress.snapshot(1.0)
            except RuntimeError as error:
                failed.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for attempt in range(4_000):
        progress.take(f"write/{attempt}", {"rows": 1}, {}, 0.5, done=attempt % 2 == 0)
    over.set()
    thread.join()
    assert failed == []
