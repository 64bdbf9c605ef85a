"""How the text of an option becomes a value."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.kinds import (
    Flush,
    Window,
    boolean,
    concurrency,
    door,
    duration,
    flush,
    integer,
    json_object,
    names,
    quoted,
    rates,
    size,
    text_of,
)

UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def refusal(parse: object, text: object) -> str:
    """The sentence with which a parser refuses a text."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)  # type: ignore[operator]
    return str(caught.value)


@given(st.integers(0, 10**9), st.sampled_from(sorted(UNITS)))
def test_a_duration_is_an_amount_and_a_unit(amount: int, unit: str) -> None:
    """Every unit, in any case and with spaces around, gives seconds."""
    assert duration(f"{amount}{unit}") == pytest.approx(amount * UNITS[unit])
    assert duration(f" {amount} {unit.upper()} ") == duration(f"{amount}{unit}")


def test_durations_of_the_documentation() -> None:
    """The examples people see give exact seconds."""
    texts = ["250ms", "30s", "5m", "1h", "2d", "1.5s", "0s", "1ms"]
    assert [duration(text) for text in texts] == [0.25, 30.0, 300.0, 3600.0, 172800.0, 1.5, 0.0, 0.001]


@pytest.mark.parametrize(
    "text", ["30", "", "s", "-1s", "1e3s", "1 week", "1h30m", "٣s", "1..5s", "nan s", "9" * 13 + "s"]
)
def test_what_is_no_duration(text: str) -> None:
    """A bare number has no unit to guess."""
    assert refusal(duration, text) == f"{text!r} is no duration: write 250ms, 30s, 5m, 1h or 2d"


@given(st.decimals(0, 10**6, places=3, allow_nan=False), st.sampled_from(sorted(BYTES)))
def test_a_size_is_exact(amount: Decimal, unit: str) -> None:
    """MB counts in thousands, MiB in 1,024; a fraction of a byte is dropped."""
    assert size(f"{amount:f}{unit}") == int(amount * BYTES[unit])
    assert size(f"{int(amount)} {unit.lower()}") == int(amount) * BYTES[unit]


@pytest.mark.parametrize("text", ["4M", "MB", "-1", "4 TB", "4MBs", "1e3"])
def test_what_is_no_size(text: str) -> None:
    """Letters that mean two things are refused."""
    assert "is no size: write 4MB" in refusal(size, text)


@given(
    st.lists(
        st.tuples(st.integers(1, 10**6), st.sampled_from(["ms", "s", "min", "h", "d"]), st.integers(1, 99)),
        min_size=1,
        max_size=5,
        unique_by=lambda item: item[2] * UNITS[item[1]],
    )
)
def test_a_rate_is_a_list_of_windows(items: list[tuple[int, str, int]]) -> None:
    """Written windows come back in order."""
    text = " , ".join(f"{permits}/{'' if many == 1 else many}{unit}" for permits, unit, many in items)
    windows = [Window(permits, duration(f"{many}{unit}")) for permits, unit, many in items]
    assert rates(text) == tuple(windows)


@pytest.mark.parametrize("text", ["200", "0/s", "1/0s", "-1/s", "0.5/s", "10/s,", "10/fortnight", "/s", "10/"])
def test_what_is_no_rate(text: str) -> None:
    """A rate needs whole requests and a window that lasts."""
    assert "is no rate: write 200/s" in refusal(rates, text)


def test_a_window_cannot_be_named_twice() -> None:
    """Two limits for one window contradict each other."""
    assert refusal(rates, "10/s,20/1s") == "'10/s,20/1s' names the same window twice"


def test_a_flush_policy_is_a_time_and_a_number_of_rows() -> None:
    """Both are needed."""
    assert flush("1s,5000") == flush(" 1s , 5000 ") == Flush(1.0, 5000)
    for text in ("1s", "5000", "1s,0", "1s,-1", "1s,x", "1s,5,000"):
        assert "is no flush policy" in refusal(flush, text)
    assert "is no duration" in refusal(flush, "x,5000")


def test_booleans_integers_and_concurrency() -> None:
    """One spelling each, in any case."""
    assert [boolean("true"), boolean(" FALSE ")] == [True, False]
    assert [integer("5"), integer(" +7"), integer("-3")] == [5, 7, -3]
    assert [concurrency("auto"), concurrency("1"), concurrency("10000")] == [None, 1, 10000]
    assert refusal(boolean, "yes") == "'yes' is neither true nor false"
    assert refusal(integer, "1_000") == "'1_000' is no whole number"
    for text in ("0", "10001", "many"):
        assert refusal(concurrency, text) == f"{text!r} is neither auto nor a number from 1 to 10000"


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_names_come_as_a_list_or_as_json(wanted: list[str]) -> None:
    """Any column name at all can be given in a list or a JSON array."""
    import json

    assert names(wanted) == names(json.dumps(wanted)) == tuple(wanted)


def test_names_are_separated_by_commas() -> None:
    """Spaces around a name are not part of it; none is empty or named twice."""
    assert names(" id, first name ,c ") == ("id", "first name", "c")
    assert refusal(names, "a,b,a,b") == "a, b is named twice"
    for given_value in ("a,,b", ",", "[]", '["a", 1]', [], {"a": 1}, [""]):
        assert "names are separated by commas" in refusal(names, given_value)


@pytest.mark.parametrize("text", ["json:loads", "a.b.c:d", "a:B.c", "_x:_y"])
def test_a_door_names_a_function(text: str) -> None:
    """A module and a function in it."""
    assert door(f" {text} ") == text


@pytest.mark.parametrize("text", ["json.loads", "a:b:c", "a:", ":b", "a..b:c", "a b:c", "os:system('x')", "1a:b"])
def test_what_is_no_door(text: str) -> None:
    """Anything else, calls included."""
    assert refusal(door, text) == f"{text!r} names no function: write package.module:function"


def test_json_errors_say_where_but_never_what() -> None:
    """The text may hold a credential."""
    assert refusal(json_object, '{"X-Key": hunter2}') == (
        'not JSON at character 11: Expecting value; write {"name": "value"}'
    )
    assert refusal(json_object, "[1]") == 'not a JSON object: write {"name": "value"}'
    assert refusal(json_object, '{"a": 1, "a": 2}') == "the JSON names a field twice"
    assert refusal(json_object, '{"a": NaN}') == "NaN is not JSON"
    assert refusal(json_object, '{"a":' * 100_000) == "the JSON is nested too deeply"
    assert refusal(json_object, {1: 2}) == 'not a JSON object: write {"name": "value"}'


def test_python_values_become_the_text_spark_would_hand_over() -> None:
    """Spark lower-cases booleans."""
    assert [text_of(value) for value in (True, False, 5, 0.5, "x", [408, 429])] == [
        "true", "false", "5", "0.5", "x", "408,429",
    ]  # fmt: skip
    assert refusal(text_of, object()) == "a object cannot be given here"
    assert refusal(text_of, {"a": 1}) == "a dict cannot be given here"


def test_long_values_are_not_quoted_whole() -> None:
    """A message stays one line of reasonable length."""
    assert quoted("x" * 100) == repr("x" * 60 + "...")
