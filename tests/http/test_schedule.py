"""What is sent when, and what becomes of it: whatever the answers are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.http.concurrency import Concurrency
from trunkline.http.health import START_PATIENCE
from trunkline.http.message import Exchange, Fault, Outcome, Request
from trunkline.http.pacing import RateLimit
from trunkline.http.schedule import AUTH_REFUSALS, Schedule
from trunkline.http.verdict import ACCEPTED, Verdict

THROTTLED = Verdict("retry", "status 429", throttled=True)
FAULT = Verdict("retry", "the connection broke", unhealthy=True)
ROW_FAULT = Verdict("retry", "status 408")
REJECTED = Verdict("rejected", "status 400")
VERDICTS = [
    ACCEPTED,
    ACCEPTED,
    ACCEPTED,
    THROTTLED,
    FAULT,
    ROW_FAULT,
    REJECTED,
    Verdict("accepted", pause=3.0),
    Verdict("retry", "status 503", wait=2.0, throttled=True, unhealthy=True),
    Verdict("ambiguous", "the connection broke", unhealthy=True),
    Verdict("refresh", "status 401", auth=True),
    Verdict("rejected", "status 403", auth=True),
    Verdict("rejected", "status 500", unhealthy=True),
]


def schedule(**extra: object) -> Schedule:
    return Schedule(Concurrency(4), random=Random(1), **extra)  # type: ignore[arg-type]


def request(tag: object = None, keys: tuple[object, ...] = (), weight: int = 1) -> Request:
    return Request("PUT", "http://a/", tag=tag, keys=keys, weight=weight)


def send(plan: Schedule, now: float) -> Request | None:
    """Start the next request if there is one that may be sent."""
    found = plan.next(now) if plan.room(now) else None
    if found is not None:
        plan.started(found, now)
    return found


def answer(plan: Schedule, to: Request, verdict: Verdict, now: float, fault: Fault | None = None) -> Outcome | None:
    outcome = plan.finished(Exchange(to, 0 if fault else 200, fault=fault, elapsed=0.1), verdict, now)
    if outcome is not None:
        plan.release(outcome.request)
    return outcome


@given(st.data())
def test_conservation_order_and_progress_whatever_the_answers(data: st.DataObject) -> None:
    """Requests with common keys never overlap and keep order; each ends once; it is never woken in vain.

    Whether there are probes or not: what nobody admitted has no outcome.
    """
    draw = data.draw
    rate = RateLimit([(5.0, 1.0), (40.0, 20.0)]) if draw(st.booleans()) else None
    fixed = draw(st.sampled_from([None, 1, 7]))
    plan = Schedule(Concurrency(fixed), rate=rate, random=Random(draw(st.integers(0, 99))), deadline=50.0)
    waiting = [
        request(i, tuple(draw(st.lists(st.integers(0, 3), max_size=3))), draw(st.integers(1, 3)))
        for i in range(draw(st.integers(1, 25)))
    ]
    ahead = draw(st.booleans())
    for one in waiting:
        one.early = ahead and draw(st.booleans())
    waiting.reverse()
    stop_after = draw(st.integers(0, 120))
    admitted: list[Request] = []
    ended: Counter[int] = Counter()
    flying: list[tuple[float, Request]] = []
    order: dict[object, list[Request]] = {}
    now = 0.0
    for step in range(3000):
        idle_wake = plan.wake(now, more=bool(waiting))
        sent = False
        while plan.room(now):
            found = plan.next(now)
            if found is None:
                if not waiting or not plan.wants_more:
                    break
                found = waiting.pop()
                admitted.append(found)
                plan.admit(found)
                for key in set(found.keys):
                    order.setdefault(key, []).append(found)
                sent = True
                continue
            for key in found.keys:
                assert order[key][0] is found, "an earlier request with this key has not ended"
            assert all(set(found.keys).isdisjoint(other.keys) for _, other in flying)
            plan.started(found, now)
            assert plan.in_flight <= max(plan.limit, 4 if fixed is None else fixed, len(flying) + 1)
            flying.append((now + draw(st.sampled_from([0.01, 0.1, 5.0])), found))
            sent = True
        assert sent or idle_wake > now or plan.stopped is not None or plan.given_up(now), "woken in vain"
        if step == stop_after:
            plan.stop("enough")
        if plan.given_up(now) and not flying:
            for outcome in plan.abandon():
                ended[id(outcome.request)] += 1
                assert outcome.kind == ("exhausted" if outcome.request.attempts else "unsent")
            break
        if plan.idle and not waiting:
            break
        flying.sort(key=lambda pair: pair[0])
        wake = plan.wake(now, more=bool(waiting))
        if not flying or (wake < flying[0][0] and plan.stopped is None):
            assert wake < float("inf"), "nothing in flight and nothing to wake for"
            now = max(now, wake)
            continue
        now, answered = flying.pop(0)
        verdict = draw(st.sampled_from(VERDICTS))
        if verdict.kind == "refresh" and answered.refreshed:
            verdict = REJECTED
        ending = plan.finished(Exchange(answered, 200, elapsed=0.1), verdict, now)
        if ending is None:
            continue
        ended[id(answered)] += 1
        for key in set(answered.keys):
            assert order[key].pop(0) is answered
        if ending.kind == "rejected" and plan.stopped is None and len(admitted) < 60:
            for half in (2, 1):
                part = request((answered.tag, half), answered.keys[: draw(st.integers(0, 2))])  # type: ignore[index]
                plan.admit_part(part, answered, draw(st.integers(0, 2)), now)
                admitted.append(part)
                for key in set(part.keys):
                    order.setdefault(key, []).insert(0, part)
        plan.release(answered)
    else:
        pytest.fail("it never ended")
    assert plan.idle
    assert ended == Counter({id(one): 1 for one in admitted})


def test_a_request_that_names_a_key_twice_does_not_wait_for_itself() -> None:
    plan, one = schedule(), request(keys=("a", "a"))
    plan.admit(one)
    assert send(plan, 0.0) is one
    assert answer(plan, one, ACCEPTED, 0.1) is not None
    assert plan.idle


def test_strikes_count_faults_but_not_throttling_nor_what_happens_while_the_origin_is_unwell() -> None:
    plan, one, now = schedule(max_attempts=3), request(), 0.0
    plan.admit(one)
    outcomes = []
    for verdict in [ROW_FAULT, THROTTLED, ROW_FAULT, THROTTLED, ROW_FAULT]:
        now += 40.0
        assert send(plan, now) is one
        outcomes.append(answer(plan, one, verdict, now + 0.1))
    assert [o and (o.kind, o.reason) for o in outcomes] == [None] * 4 + [("exhausted", "status 408")]


def test_an_unhealthy_origin_pauses_the_task_and_eats_no_rows() -> None:
    plan, now = schedule(deadline=100.0, max_attempts=5), 0.0
    plan.admit(first := request())
    send(plan, now)
    answer(plan, first, ACCEPTED, now)
    outcomes, tries = [], 0
    for i in range(20):
        plan.admit(request(i))
    while not plan.given_up(now):
        found = send(plan, now)
        if found is None:
            now = max(now, plan.wake(now))
            continue
        tries += 1
        outcomes.append(answer(plan, found, FAULT, now + 0.1, Fault.REFUSED))
    assert [o for o in outcomes if o] == []
    assert (100.0 <= now < 101.0, tries < 60) == (True, True)
    assert plan.stopped == "no good answer for 100 s (last: the connection broke)"
    kinds = Counter(o.kind for o in plan.abandon())
    assert sum(kinds.values()) == 20


@pytest.mark.parametrize(("verdict", "expected"), [(FAULT, START_PATIENCE), (THROTTLED, START_PATIENCE)])
def test_an_origin_that_never_answered_well_gets_a_minute(verdict: Verdict, expected: float) -> None:
    plan, now = schedule(max_attempts=30), 0.0
    plan.admit(request())
    while not plan.given_up(now):
        found = send(plan, now)
        if found is None:
            now = max(now, plan.wake(now))
        else:
            answer(plan, found, verdict, now)
    assert now == expected
    assert "it has not answered well once" in str(plan.stopped)


def test_patience_outlasts_a_wait_the_server_asked_for() -> None:
    plan = schedule()
    plan.admit(one := request())
    send(plan, 0.0)
    answer(plan, one, Verdict("retry", "status 429", wait=300.0, throttled=True), 0.0)
    wake = plan.wake(0.0)
    assert (300.0 <= wake <= 301.0, plan.given_up(wake), plan.room(wake)) == (True, False, True)


def test_patience_does_not_run_while_there_is_nothing_to_ask_for() -> None:
    plan = schedule()
    plan.admit(one := request())
    send(plan, 0.0)
    answer(plan, one, Verdict("ambiguous", "the connection broke", unhealthy=True), 0.0)
    assert (plan.given_up(10_000.0), plan.stopped) == (False, None)


def test_five_refusals_of_the_credential_in_a_row_stop_the_task() -> None:
    plan, refused = schedule(), Verdict("rejected", "status 401", auth=True)
    for verdict in [refused] * (AUTH_REFUSALS - 1) + [REJECTED] + [refused] * AUTH_REFUSALS:
        assert plan.stopped is None
        plan.admit(one := request())
        send(plan, 0.0)
        answer(plan, one, verdict, 0.0)
    assert (plan.auth_refused, plan.stopped) == (True, "the credential was refused 5 times in a row (status 401)")


def test_a_request_that_is_refused_with_every_login_ends_by_its_tries_and_asks_for_them_less_and_less_often() -> None:
    """However many others are accepted meanwhile; the first renewal is no fault of its own and waits for nothing."""
    plan, one, now = schedule(max_attempts=4), request(), 0.0
    plan.admit(one)
    sent_at: list[float] = []
    outcome = None
    while outcome is None and len(sent_at) < 20:
        now = plan.wake(now)
        assert send(plan, now) is one
        sent_at.append(now)
        outcome = answer(plan, one, Verdict("refresh", "status 401", auth=True), now)
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == ("rejected", "status 401")
    assert sent_at[1] == 0.0 < sent_at[2] < sent_at[4]


def test_a_refused_credential_does_not_open_a_fixed_concurrency() -> None:
    plan = Schedule(Concurrency(50), random=Random(1))
    plan.admit(one := request())
    send(plan, 0.0)
    answer(plan, one, Verdict("rejected", "status 401", auth=True), 0.0)
    assert plan.limit == 4


def test_one_wave_of_503_is_one_failure() -> None:
    plan = Schedule(Concurrency(30), random=Random(1))
    plan.admit(one := request())
    send(plan, 0.0)
    answer(plan, one, ACCEPTED, 0.1)
    for i in range(30):
        plan.admit(request(i))
    wave = [found for _ in range(30) if (found := send(plan, 0.2)) is not None]
    for found in wave:
        answer(plan, found, Verdict("retry", "status 503", throttled=True, unhealthy=True), 0.3)
    assert (len(wave), plan.limit) == (30, 30)


def test_what_waits_for_another_try_is_bounded() -> None:
    plan, admitted = schedule(), 0
    while plan.wants_more and admitted < 1000:
        plan.admit(request(), due=900.0)
        admitted += 1
    assert admitted == 200


def test_a_pull_is_woken_for_when_the_rate_allows_it() -> None:
    plan = schedule(rate=RateLimit([(10.0, 1.0)]))
    plan.admit(one := request())
    send(plan, 0.0)
    answer(plan, one, ACCEPTED, 0.05)
    assert plan.wake(0.05) == float("inf")
    assert plan.wake(0.05, more=True) == pytest.approx(0.1)


def test_the_weight_of_the_next_request_is_asked_for() -> None:
    plan = schedule(rate=RateLimit([(1000.0, 1.0), (10.0, 10.0)]))
    for weight in (8, 4):
        plan.admit(request(weight, weight=weight))
    assert send(plan, 0.0) is not None
    assert not plan.room(1.0)
    assert plan.wake(1.0) >= 10.0


def test_a_part_keeps_the_time_of_the_whole_and_goes_before_what_waits() -> None:
    plan, whole, later = schedule(), request("whole", ("a", "b")), request("later", ("b",))
    plan.admit(whole)
    plan.admit(later)
    send(plan, 7.0)
    assert plan.finished(Exchange(whole, 400), REJECTED, 8.0) is not None
    plan.admit_part(second := request("second", ("b",)), whole, 0, 8.0)
    plan.admit_part(first := request("first", ("a", "b")), whole, 0, 8.0)
    plan.release(whole)
    sent = []
    while (found := send(plan, 9.0)) is not None:
        sent.append(found)
        answer(plan, found, ACCEPTED, 9.0)
    assert sent == [first, second, later]
    assert [one.since for one in sent] == [7.0, 7.0, 9.0]


def test_a_504_of_what_nobody_waits_for_is_no_sign_of_an_outage() -> None:
    """However many of them: what is waited for keeps its tries, and is not held back."""
    plan = Schedule(Concurrency(1), random=Random(1))
    timed_out = Verdict("retry", "status 504", unhealthy=True)
    for number in range(30):
        one = request(number)
        one.early = True
        plan.admit(one)
        plan.started(plan.next(0.0) or one, 0.0)
        assert plan.finished(Exchange(one, 504, elapsed=0.1), timed_out, 0.0) is not None
    assert (plan.room(0.0), plan.trouble) == (True, "")


def test_a_request_that_is_withdrawn_is_not_sent_any_more() -> None:
    """Neither one that waits for its first try or for another, nor one that is in flight, whatever becomes of it."""
    plan, again, flying, waiting = schedule(), request("again"), request("flying"), request("waiting")
    for one in (again, flying, waiting):
        plan.admit(one)
    assert (send(plan, 0.0), send(plan, 0.0)) == (again, flying)
    assert answer(plan, again, ROW_FAULT, 0.1) is None
    for one in (again, flying, waiting):
        plan.withdraw(one)
    assert (plan.in_flight, plan.next(99.0)) == (1, None)
    outcome = answer(plan, flying, FAULT, 99.0)
    assert (outcome and outcome.kind, plan.idle) == ("exhausted", True)


@pytest.mark.parametrize("at_once", [4, 16])
@pytest.mark.parametrize("status", [500, 502, 503])
def test_pages_that_fail_for_good_end_by_their_tries_however_many_are_asked_for_at_once(
    status: int, at_once: int
) -> None:
    """A page that was answered well before is asked for again: it tells them from an outage."""
    verdict = Verdict("retry", f"status {status}", throttled=status == 503, unhealthy=True)
    ended, now, tries = asked_ahead(at_once, lambda page, now: ACCEPTED if page < 20 else verdict)
    assert (ended.kind, ended.request.tag, ended.request.strikes) == ("exhausted", 20, 5)
    assert now < 120.0
    assert tries[19] <= 4 * at_once
    assert max(count for page, count in tries.items() if page > 19) <= 20


@pytest.mark.parametrize("at_once", [4, 16])
def test_an_outage_while_pages_are_asked_for_ahead_is_waited_for(at_once: int) -> None:
    """The page that was answered well before is not answered either."""
    ended, now, _ = asked_ahead(at_once, lambda page, now: ACCEPTED if page < 20 or now > 300.0 else FAULT, outage=True)
    assert (ended.kind, ended.request.tag) == ("accepted", 99)
    assert now > 300.0


def test_a_probe_is_nobodys_request() -> None:
    """It takes up the one slot there is, and is no other try of the page; its answer ends nothing."""
    plan, good, now = tripped()
    probe = send(plan, now)
    assert probe is not None
    assert (probe is good, probe.url, probe.tag, plan.in_flight, plan.retries) == (False, good.url, 0, 1, 6)
    assert not plan.room(now)
    assert answer(plan, probe, ACCEPTED, now) is None
    assert (plan.in_flight, plan.retries, plan.idle, plan.room(now)) == (0, 6, False, True)


@pytest.mark.parametrize("refused", [THROTTLED, Verdict("retry", "status 503", throttled=True, unhealthy=True), FAULT])
def test_an_origin_that_is_down_is_asked_less_and_less_often_for_what_it_answered_before(refused: Verdict) -> None:
    plan, _, now = tripped()
    sent, _ = driven(plan, lambda *_: refused, now, now + 300.0)
    assert len(sent) < 30


def test_what_another_origin_answered_tells_nothing_of_this_one() -> None:
    """As where pages are redirected to a store: it is well while the API is not."""
    plan, _, now = tripped("http://store/signed")
    _, outcomes = driven(plan, lambda one, at: ACCEPTED if at > 60.0 or "store" in one.url else FAULT, now, 300.0)
    assert sorted((one.request.tag, one.kind) for one in outcomes) == [(page, "accepted") for page in (1, 2, 3, 4)]


def test_a_page_that_is_not_answered_well_any_more_does_not_hold_up_the_others() -> None:
    plan, _, now = tripped()
    _, outcomes = driven(plan, lambda one, at: ACCEPTED if at > 20.0 and one.tag else FAULT, now, 300.0)
    assert sorted((one.request.tag, one.kind) for one in outcomes) == [(page, "accepted") for page in (1, 2, 3, 4)]


def test_a_refused_credential_of_what_nobody_wants_is_no_reason_to_go_on_or_to_stop() -> None:
    plan = schedule()
    for verdict in [Verdict("refresh", "status 401", auth=True)] * AUTH_REFUSALS + [
        Verdict("rejected", "status 401", auth=True)
    ] * AUTH_REFUSALS:
        plan.admit(one := request())
        assert send(plan, 0.0) is one
        plan.withdraw(one)
        outcome = answer(plan, one, verdict, 0.1)
        assert (outcome and outcome.kind, plan.idle) == ("rejected", True)
    assert plan.stopped is None


def tripped(url: str = "http://a/") -> tuple[Schedule, Request, float]:
    """Page 0 was answered well and pages 1 to 4, asked for ahead, failed until the gate closed; and when it opens."""
    plan, good = schedule(), Request("GET", url, tag=0)
    for page in (good, *map(request, range(1, 5))):
        page.early = True
        plan.admit(page)
    first = send(plan, 0.0)
    assert first is good
    answer(plan, first, ACCEPTED, 0.0)
    now = 0.0
    while plan.wake(now) - now < 0.5:
        now = plan.wake(now)
        failing = send(plan, now)
        assert failing is not None
        assert answer(plan, failing, FAULT, now) is None
    return plan, good, plan.wake(now)


def driven(
    plan: Schedule, judged: Callable[[Request, float], Verdict], now: float, until: float
) -> tuple[list[Request], list[Outcome]]:
    """What is sent until then, one at a time, and what has ended."""
    sent, outcomes = [], []
    while now < until and not plan.idle:
        assert not plan.given_up(now), plan.stopped
        found = send(plan, now)
        if found is None:
            now = plan.wake(now)
            continue
        sent.append(found)
        now += 0.05
        outcomes.append(answer(plan, found, judged(found, now), now))
    return sent, [outcome for outcome in outcomes if outcome is not None]


def asked_ahead(
    at_once: int, judged: Callable[[int, float], Verdict], *, outage: bool = False
) -> tuple[Outcome, float, Counter[int]]:
    """A hundred pages, so many at once, each wanted when the one before it has come; the outcome of the last wanted.

    In an outage nothing is answered well once page 20 was asked for.
    """
    plan, now = Schedule(Concurrency(at_once), random=Random(1)), 0.0
    pages = [request(page) for page in range(100)]
    came: dict[int, Outcome] = {}
    tries: Counter[int] = Counter()
    wanted = begun = 0
    while True:
        while wanted in came:
            if came[wanted].kind != "accepted" or wanted == 99:
                return came[wanted], now, tries
            wanted += 1
        pages[wanted].early = False
        while begun < min(100, wanted + at_once):
            pages[begun].early = begun != wanted
            plan.admit(pages[begun])
            begun += 1
        found = send(plan, now)
        if found is None:
            now = max(now, plan.wake(now))
            assert not plan.given_up(now), plan.stopped
            continue
        tries[found.tag] += 1
        now += 0.01
        verdict = judged(20 if outage and tries[20] else found.tag, now)
        outcome = plan.finished(Exchange(found, 200, elapsed=0.01), verdict, now)
        if outcome is not None:
            came[found.tag] = outcome
