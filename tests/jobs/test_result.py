"""What a job returns and raises, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import Row

from trunkline.credentials import Redactor, Secret
from trunkline.jobs.result import Result, jsonable, status_of

NOTHING = Redactor(())


@dataclass
class Count:
    rows: int
    day: date


class Said(Enum):
    FAILED = "failed"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Row(id=1, day=date(2026, 5, 1)), {"id": 1, "day": "2026-05-01"}),
        (Count(3, date(2026, 5, 1)), {"rows": 3, "day": "2026-05-01"}),
        (datetime(2026, 5, 1, tzinfo=timezone.utc), "2026-05-01T00:00:00+00:00"),
        (Decimal("1.10"), "1.10"),
        ([float("nan"), float("inf"), 1.5], [None, None, 1.5]),
        ({1: {"b", "a"}, "p": Path("/x")}, {"1": ["a", "b"], "p": "/x"}),
        ([np.int64(5), np.float64("nan"), np.array([1, 2])], [5, None, [1, 2]]),
        ((1, True, None), [1, True, None]),
    ],
)
def test_values_have_a_form_in_json(value: Any, plain: Any) -> None:
    assert jsonable(value, NOTHING) == plain
    assert json.loads(json.dumps(jsonable(value, NOTHING), allow_nan=False)) == plain


@given(st.recursive(st.none() | st.floats() | st.text() | st.binary() | st.decimals() | st.datetimes(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner)))  # fmt: skip
def test_whatever_is_returned_ends_in_one_line_of_json(value: Any) -> None:
    result = Result("m", "r")
    result.take(value, NOTHING)
    assert len(result.line().splitlines()) == 1
    assert json.loads(result.line())["job"] == "m"


def test_what_a_job_returns_fills_the_result() -> None:
    result = Result("m", "r")
    result.take(
        {"metrics": {"rows": 1}, "artifacts": ["s3://x"], "quality": {"ok": 1}, "status": "ok", "a": 1}, NOTHING
    )
    assert (result.metrics, result.artifacts, result.quality) == ({"rows": 1}, ["s3://x"], {"ok": 1})
    assert (result.output, result.status, result.exit_code) == ({"a": 1}, "SUCCESS", 0)


@pytest.mark.parametrize(
    ("returned", "status"),
    [(None, "SUCCESS"), ([1], "SUCCESS"), ({}, "SUCCESS"), ({"status": Said.FAILED}, "FAILED"), ({"status": 5}, None),
     ({"status": "PENDING-APPROVAL"}, "PENDING_APPROVAL"), ({"status": "active"}, None)],
)  # fmt: skip
def test_a_status_is_read_in_any_spelling(returned: Any, status: str | None) -> None:
    assert status_of(returned) == status


def test_an_error_is_told_with_its_causes_and_without_secrets() -> None:
    result = Result("m", "r")
    try:
        try:
            raise OSError("login as hunter2")
        except OSError as cause:
            raise ValueError("no rows for hunter2") from cause
    except ValueError as error:
        result.take_error(error, Redactor([Secret("hunter2")]))
    assert result.error is not None
    assert (result.error["type"], result.error["message"]) == ("ValueError", "no rows for ***")
    assert "OSError: login as ***" in result.error["stack_trace"]
    assert "hunter2" not in result.line()


@pytest.mark.parametrize("limit", [700, 1000, 4096])
def test_a_result_fits_where_it_must(limit: int) -> None:
    result = Result("m", "r", output="x" * 9000, metrics={"a": "y" * 9000}, notices=["z" * 9000])
    result.fail("ERROR", "ValueError", "m" * 4000, "t" * 9000)
    assert len(result.line(limit)) <= limit
    assert json.loads(result.line(limit))["status"] == "FAILED"
    assert len(result.line()) > 30_000
