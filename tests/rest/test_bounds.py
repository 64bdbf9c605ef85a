"""Bounds of windows keep the user's spelling, and windows cover their range exactly once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.rest.bounds import STEPS, Bound, parse_bound, split


@pytest.mark.parametrize(
    ("text", "kind", "bound"),
    [
        ("17", "id", Bound(17, "id")),
        ("2026-01-01", "time", Bound(1_767_225_600_000_000, "date")),
        ("1767225600", "time", Bound(1_767_225_600_000_000, "epochSeconds")),
        ("1767225600123", "time", Bound(1_767_225_600_123_000, "epochMillis")),
        ("2026-01-01T00:00:00Z", "time", Bound(1_767_225_600_000_000, "seconds")),
        ("2026-01-01T00:00:00.500000Z", "time", Bound(1_767_225_600_500_000, "micros")),
    ],
)
def test_a_bound_reads_back_as_it_was_written(text: str, kind: str, bound: Bound) -> None:
    """The API is asked in the user's own spelling."""
    assert (parse_bound(text, kind), bound.text) == (bound, text)


def test_a_zone_is_taken_into_account() -> None:
    """Two o'clock in Berlin's winter is one in UTC."""
    assert parse_bound("2026-01-01T02:00:00+01:00", "time").text == "2026-01-01T01:00:00Z"


@pytest.mark.parametrize(("text", "kind"), [("1.5", "id"), ("", "id"), ("yesterday", "time"), ("2026-13-01", "time")])
def test_what_is_no_bound_is_refused(text: str, kind: str) -> None:
    """With a sentence."""
    with pytest.raises(ValueError, match="is no"):
        parse_bound(text, kind)


@given(
    spelling=st.sampled_from(sorted(STEPS)),
    low=st.integers(-10_000, 10_000),
    steps=st.integers(1, 5_000),
    parts=st.integers(1, 64),
    least=st.integers(0, 2_000),
)
def test_windows_cover_their_range_once(spelling: str, low: int, steps: int, parts: int, least: int) -> None:
    """Each window begins where the one before ends, none is empty, none is shorter than told but a single one."""
    step = STEPS[spelling]
    begin, end = Bound(low * step, spelling), Bound((low + steps) * step, spelling)
    windows = split(begin, end, parts, least * step)
    assert (windows[0][0], windows[-1][1]) == (begin, end)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(windows))
    assert all(a.value < b.value for a, b in windows)
    assert len(windows) <= parts
    assert len(windows) == 1 or min(b.value - a.value for a, b in windows) >= least * step - step
