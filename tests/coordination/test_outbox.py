"""What waits for a coordinator that is away."""

from __future__ import annotations

from trunkline.coordination.outbox import Outbox


def test_reports_that_pile_up_are_bounded_and_carried_a_part_at_a_time() -> None:
    outbox = Outbox()
    for task in range(5000):
        outbox.report(f"t{task}", {"rows": 1}, {}, done=True)
    carried: list[str] = []
    while load := outbox.load().tasks:
        assert len(load) <= 200
        carried += load
        outbox.carried(outbox.load(), [])
    assert carried == [f"t{task}" for task in range(4000, 5000)]


def test_a_task_at_work_is_kept_when_others_that_ended_are_not() -> None:
    outbox = Outbox()
    outbox.report("working", {"rows": 1}, {}, done=False)
    for task in range(2000):
        outbox.report(f"t{task}", {"rows": 1}, {}, done=True)
    assert "working" in outbox.load().tasks


def test_a_report_that_changes_while_it_travels_is_carried_again() -> None:
    outbox = Outbox()
    outbox.report("t", {"rows": 1}, {}, done=False)
    load = outbox.load()
    last = outbox.report("t", {"rows": 2}, {}, done=True)
    outbox.carried(load, [])
    assert not last.sent
    assert outbox.load().tasks == {"t": last}


def test_writes_that_nobody_asks_about_any_more_are_not_asked_about() -> None:
    outbox = Outbox()
    for nonce in range(1000):
        assert not outbox.stopped(str(nonce))
    assert len(outbox.load().watch) == 100
    assert not outbox.stopped("0")
    assert "0" in outbox.load().watch
    outbox.carried(outbox.load(), ["0", "1"])
    assert (outbox.stopped("0"), outbox.stopped("1")) == (True, False)
