"""How long to wait by what headers say."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.http.retry_headers import quota_pause, retry_after

NOW = 1_700_000_000
DATE = formatdate(NOW, usegmt=True)
CENTURY = 100 * 365 * 86_400.0


def dates(at: int) -> list[str]:
    """The three HTTP date forms of one second."""
    parts = time.gmtime(at)
    day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][parts.tm_wday]
    full = {"Mon": "Monday", "Tue": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Fri": "Friday"}
    full |= {"Sat": "Saturday", "Sun": "Sunday"}
    month = formatdate(at, usegmt=True).split()[2]
    clock = f"{parts.tm_hour:02}:{parts.tm_min:02}:{parts.tm_sec:02}"
    return [
        formatdate(at, usegmt=True),
        f"{full[day]}, {parts.tm_mday:02}-{month}-{parts.tm_year % 100:02} {clock} GMT",
        f"{day} {month} {parts.tm_mday:>2} {clock} {parts.tm_year}",
    ]


@given(st.integers(-100_000, 100_000), st.integers(0, 2))
def test_every_date_form_is_measured_against_the_answers_own_date_and_the_past_is_zero(delta: int, form: int) -> None:
    assert retry_after({"Retry-After": dates(NOW + delta)[form], "Date": DATE}) == max(0.0, delta)


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_seconds_may_have_decimals_and_are_never_negative(seconds: float) -> None:
    assert retry_after({"Retry-After": f" {seconds!r} "}) == max(0.0, seconds)


@given(st.text(max_size=40), st.text(max_size=40))
def test_garbage_never_raises_and_never_waits_for_nothing(text: str, date: str) -> None:
    wait = retry_after({"Retry-After": text, "Date": date})
    assert wait is None or wait >= 0.0


@pytest.mark.parametrize("text", ["soon", "", "nan", "inf", "-inf", "1e999", "12 parsecs"])
def test_what_is_no_time_is_no_wait(text: str) -> None:
    assert retry_after({"Retry-After": text}) is None


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"RateLimit": '"default";r=0;t=30'}, 30.0),
        ({"RateLimit": '"burst";r=5;t=1, "day";r=0;t=60'}, 60.0),
        ({"RateLimit": '"default";r=50;t=30'}, 0.0),
        ({"RateLimit": '"default";r=0;t=inf'}, 0.0),
        ({"RateLimit": '"default";r=0'}, 0.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12.5"}, 12.5),
        ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": str(NOW + 7), "Date": DATE}, 7.0),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": str((NOW + 7) * 1000), "Date": DATE}, 7.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": formatdate(NOW + 9, usegmt=True), "Date": DATE}, 9.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW - 9), "Date": DATE}, 0.0),
        ({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "12"}, 0.0),
        ({"X-RateLimit-Remaining": "0"}, 0.0),
        ({}, 0.0),
    ],
)
def test_rate_limit_headers(headers: dict[str, str], pause: float) -> None:
    assert quota_pause(headers) == pause


@given(st.text(max_size=60), st.text(max_size=30), st.text(max_size=30))
def test_rate_limit_garbage_never_raises_and_is_never_endless(modern: str, reset: str, date: str) -> None:
    assert 0.0 <= quota_pause({"RateLimit": modern}) <= CENTURY
    old = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset, "Date": date}
    assert 0.0 <= quota_pause(old) < 1e11
