"""What an answer means."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.http.logins import Logins
from trunkline.http.message import Exchange, Fault, Request
from trunkline.http.verdict import ACCEPTED, Rules, Verdict, judge

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
AT_LEAST_ONCE = Rules(success=frozenset(range(200, 300)), retry=RETRIED)
AT_MOST_ONCE = Rules(success=frozenset(range(200, 300)), retry=RETRIED, at_most_once=True)
STATUSES = st.integers(200, 599)


def post(**extra: str) -> Request:
    return Request("POST", "http://a/", **extra)  # type: ignore[arg-type]


def kind(status: int, rules: Rules = AT_LEAST_ONCE, request: Request | None = None, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return judge(Exchange(request or post(), status, named), rules).kind


@pytest.mark.parametrize(
    ("body", "named", "expected"),
    [
        (b"<!DOCTYPE html><html><form>Sign in", "text/html; charset=utf-8", "ambiguous"),
        (b"\xef\xbb\xbf\n <HTML>", "Text/HTML", "ambiguous"),
        (b"<html>", "application/xhtml+xml", "ambiguous"),
        (b"ok", "text/html", "accepted"),
        (b"<p>created</p>", "text/html", "accepted"),
        (b"<html>", "application/json", "accepted"),
        (b"", "text/html", "accepted"),
    ],
)
def test_a_page_for_people_is_no_answer_of_an_api(body: bytes, named: str, expected: str) -> None:
    """A login page with 200 took no row. Both its name and its text must say so: frameworks call a bare `ok` HTML."""
    exchange = Exchange(post(), 200, {"Content-Type": named}, body)
    assert judge(exchange, replace(AT_LEAST_ONCE, no_page=True)).kind == expected
    assert judge(exchange, AT_LEAST_ONCE) == ACCEPTED


@given(st.floats(0, 1e300))
def test_a_wait_longer_than_allowed_stops_and_says_until_when(seconds: float) -> None:
    verdict = judge(Exchange(post(), 429, {"Retry-After": repr(seconds)}), AT_LEAST_ONCE)
    too_long = seconds > AT_LEAST_ONCE.max_wait
    assert (verdict.kind, verdict.stop, "until" in verdict.reason) == (
        ("exhausted", True, True) if too_long else ("retry", False, False)
    )


def test_retry_after_wins_over_rate_limit_headers() -> None:
    headers = {"Retry-After": "2", "RateLimit": '"default";r=0;t=30'}
    verdict = judge(Exchange(post(), 429, headers), AT_LEAST_ONCE)
    assert (verdict.wait, verdict.pause) == (2.0, 0.0)


def test_a_429_without_retry_after_waits_for_the_reset() -> None:
    assert judge(Exchange(post(), 429, {"RateLimit": '"default";r=0;t=30'}), AT_LEAST_ONCE).wait == 30.0


def test_an_acceptance_pauses_for_the_reset_but_not_for_longer_than_is_waited_for() -> None:
    paused = judge(Exchange(post(), 200, {"RateLimit": '"default";r=0;t=600'}), AT_LEAST_ONCE)
    longer = judge(Exchange(post(), 200, {"RateLimit": '"default";r=0;t=601'}), AT_LEAST_ONCE)
    assert (paused, longer) == (Verdict("accepted", pause=600.0), ACCEPTED)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "accepted"), (299, "accepted"), (307, "rejected"), (400, "rejected"), (401, "rejected"), (403, "rejected"),
     (404, "rejected"), (409, "rejected"), (413, "rejected"), (501, "rejected"),
     *((code, "retry") for code in RETRIED)],
)  # fmt: skip
def test_statuses_at_least_once(status: int, expected: str) -> None:
    assert kind(status) == expected


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [(408, {}, "ambiguous"), (425, {}, "ambiguous"), (429, {}, "retry"), (500, {}, "ambiguous"),
     (502, {}, "ambiguous"), (503, {}, "ambiguous"), (503, {"Retry_After": "1"}, "retry"),
     (503, {"Retry_After": "soon"}, "ambiguous"), (503, {"RateLimit": '"d";r=0;t=1'}, "ambiguous"),
     (504, {"Retry_After": "1"}, "ambiguous"), (400, {}, "rejected")],
)  # fmt: skip
def test_at_most_once_sends_a_post_again_only_when_nothing_was_done(
    status: int, headers: dict[str, str], expected: str
) -> None:
    assert kind(status, AT_MOST_ONCE, None, **headers) == expected


@given(st.sampled_from(sorted(RETRIED)), st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]))
def test_idempotent_methods_are_sent_again_at_most_once_too(status: int, method: str) -> None:
    assert kind(status, AT_MOST_ONCE, Request(method, "http://a/")) == "retry"


@given(st.sampled_from(sorted(RETRIED)))
def test_an_idempotency_key_makes_a_post_repeatable(status: int) -> None:
    assert kind(status, AT_MOST_ONCE, post(idempotency_key="k")) == "retry"


@pytest.mark.parametrize("fault", list(Fault))
def test_faults(fault: Fault) -> None:
    lasting = fault is Fault.TLS
    never_sent = fault in (Fault.DNS, Fault.REFUSED, Fault.CONNECT_TIMEOUT, Fault.PROXY)
    retried = judge(Exchange(post(), fault=fault, detail="x"), AT_LEAST_ONCE)
    once = judge(Exchange(post(), fault=fault), AT_MOST_ONCE)
    assert (retried.kind, retried.stop) == (("exhausted", True) if lasting else ("retry", False))
    assert once.kind == ("exhausted" if lasting else "retry" if never_sent else "ambiguous")
    assert retried.reason == f"{fault.value}: x"


@pytest.mark.parametrize(
    ("method", "fault", "expected"),
    [
        ("POST", Fault.RESET, "accepted"),
        ("PUT", Fault.TOO_LARGE, "accepted"),
        ("GET", Fault.RESET, "retry"),
        ("GET", Fault.TIMEOUT, "retry"),
        ("GET", Fault.TOO_LARGE, "rejected"),
        ("GET", Fault.MALFORMED, "rejected"),
    ],
)
def test_a_told_success_holds_for_a_write_and_is_worth_nothing_to_a_read_without_its_body(
    method: str, fault: Fault, expected: str
) -> None:
    for rules in (AT_LEAST_ONCE, AT_MOST_ONCE):
        verdict = judge(Exchange(Request(method, "http://a/"), 200, fault=fault), rules)
        assert verdict.kind == expected
        assert fault.value in verdict.reason


def test_a_refusal_that_broke_off_is_a_refusal() -> None:
    assert judge(Exchange(post(), 422, fault=Fault.RESET), AT_MOST_ONCE).kind == "rejected"


def test_a_413_with_a_time_to_come_back_is_sent_again() -> None:
    assert (kind(413), kind(413, AT_MOST_ONCE, Retry_After="3")) == ("rejected", "retry")


@pytest.mark.parametrize(
    ("method", "status", "fresh", "after_unknown"),
    [
        ("DELETE", 404, "rejected", "accepted"),
        ("PUT", 404, "rejected", "rejected"),
        ("PUT", 409, "rejected", "ambiguous"),
        ("PUT", 412, "rejected", "ambiguous"),
    ],
)
def test_after_an_unknown_outcome(method: str, status: int, fresh: str, after_unknown: str) -> None:
    request = Request(method, "http://a/")
    assert kind(status, request=request) == fresh
    judge(Exchange(request, fault=Fault.RESET), AT_LEAST_ONCE)
    assert kind(status, request=request) == after_unknown


def test_a_401_refreshes_once_where_the_credential_can_be_renewed() -> None:
    rules = Rules(success=frozenset({200}), retry=frozenset(), renewable=True)
    request = post()
    first = judge(Exchange(request, 401), rules)
    request.refreshed = True
    second = judge(Exchange(request, 401), rules)
    assert [(v.kind, v.auth) for v in (first, second, judge(Exchange(post(), 403), rules))] == [
        ("refresh", True),
        ("rejected", True),
        ("rejected", True),
    ]


def test_a_401_for_a_login_that_was_good_for_another_request_refreshes_again() -> None:
    """It has run out: the request is not at fault. One that was good for nobody, and is for nobody now, is refused."""
    rules = Rules(success=frozenset({200}), retry=frozenset(), renewable=True)
    asked = replace(rules, door=lambda _: Verdict("refresh"))
    logins, request, other, third = Logins(), post(), post(), post()
    request.refreshed = True

    def kinds() -> list[str]:
        return [judge(Exchange(request, 401), rules, logins).kind, judge(Exchange(request, 200), asked, logins).kind]

    for one in (request, other):
        logins.sent(one)
    assert kinds() == ["rejected"] * 2
    logins.ended(other, accepted=True)
    assert kinds() == ["refresh"] * 2
    logins.renew(request)
    logins.sent(request)
    assert kinds() == ["rejected"] * 2
    logins.sent(third)
    assert kinds() == ["retry"] * 2
    logins.ended(third, accepted=False)
    assert kinds() == ["rejected"] * 2
    logins.sent(third)
    logins.renew(third)
    assert kinds() == ["retry"] * 2


def test_a_redirect_names_its_target_without_its_query() -> None:
    verdict = judge(Exchange(post(), 307, {"Location": "https://b/x?token=abc"}), AT_LEAST_ONCE)
    assert verdict.reason == "status 307: redirects to https://b/x, which a write does not follow"


def door(answer: object) -> Rules:
    return Rules(success=frozenset({200}), retry=frozenset({503}), door=lambda _: answer)  # type: ignore[arg-type,return-value]


def test_the_door_is_asked_first_for_complete_answers_only() -> None:
    rules = door(Verdict("rejected", "no"))
    assert judge(Exchange(post(), 200), rules) == Verdict("rejected", "no")
    assert judge(Exchange(post(), 200), door(None)) == ACCEPTED
    assert judge(Exchange(post(), 200, fault=Fault.RESET), rules).kind == "accepted"
    assert judge(Exchange(post(), fault=Fault.REFUSED), rules).kind == "retry"


@pytest.mark.parametrize("answer", ["accepted", True, Verdict("fine")])
def test_a_door_that_gives_no_verdict_is_an_error(answer: object) -> None:
    with pytest.raises(TypeError, match="must return None or a Verdict"):
        judge(Exchange(post(), 200), door(answer))


def test_a_door_can_neither_refresh_for_ever_nor_wait_for_ever() -> None:
    assert judge(Exchange(post(), 200), door(Verdict("refresh"))).kind == "rejected"
    assert judge(Exchange(post(), 200), door(Verdict("retry", "later", wait=1e9))).kind == "exhausted"
    assert judge(Exchange(post(), 200), door(Verdict("retry", "later", wait=float("nan")))).kind == "exhausted"


@given(STATUSES, st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]), st.booleans(), st.text(max_size=20))
def test_every_status_gets_a_verdict(status: int, method: str, once: bool, garbage: str) -> None:
    headers = {"Retry-After": garbage, "RateLimit": garbage, "Date": garbage, "Location": garbage}
    verdict = judge(Exchange(Request(method, "http://a/"), status, headers), AT_MOST_ONCE if once else AT_LEAST_ONCE)
    assert verdict.kind in {"accepted", "retry", "rejected", "ambiguous", "exhausted"}
