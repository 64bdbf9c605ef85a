"""Whether the coordinator answers, in virtual time."""

from __future__ import annotations

from trunkline.coordination.contact import Contact


def test_a_coordinator_is_lost_after_a_second_without_an_answer_and_once() -> None:
    """A call that fails is repeated soon; a lost coordinator is called every second."""
    contact, seen = Contact(), []
    now = 100.0
    for _ in range(9):
        contact.called_at = now
        seen.append((round(now, 1), contact.failed(now), contact.lost))
        now = contact.again_at
    assert seen == [
        (100.0, False, False), (100.2, False, False), (100.4, False, False), (100.6, False, False),
        (100.8, False, False), (101.0, True, True), (102.0, False, True), (103.0, False, True), (104.0, False, True),
    ]  # fmt: skip
    assert contact.silent(104.5) == 4.5


def test_an_answer_brings_it_back() -> None:
    """And says whether it had been lost; a failure after it counts anew."""
    contact = Contact()
    called(contact, 0.0)
    assert (contact.answered(), contact.failing, contact.silent(0.5)) == (False, False, 0.0)
    called(contact, 1.0)
    assert (called(contact, 2.0), contact.answered(), contact.lost) == (True, True, False)
    assert (called(contact, 10.0), contact.lost, contact.silent(10.5)) == (False, False, 0.5)


def test_of_calls_that_take_long_two_must_fail() -> None:
    """The second need not take long; once the coordinator is lost, there is time for calls again."""
    contact, seen = Contact(), []
    now = 100.0
    for seconds in (5.0, 1.0, 5.0):
        began = contact.called_at = max(now, contact.again_at)
        doubtful, now = contact.doubtful, began + seconds
        seen.append((began, doubtful, contact.failed(now), contact.silent(now)))
    assert seen == [(100.0, False, False, 5.0), (105.0, True, True, 6.0), (106.0, False, False, 11.0)]


def called(contact: Contact, now: float) -> bool:
    """A call at that time failed at once."""
    contact.called_at = now
    return contact.failed(now)
