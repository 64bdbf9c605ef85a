from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import ResponseError
from trunkline.values import open_envelope


def opened(body: bytes | dict[str, Any] | list[Any], path: str | None) -> tuple[Any, Any, int, Any, str]:
    found = open_envelope(body if isinstance(body, bytes) else json.dumps(body).encode(), path)
    assert found.count == len(json.loads(found.records))
    return found.document, json.loads(found.records), found.count, found.last(), found.path


def refused(body: bytes | dict[str, Any], path: str | None) -> str:
    with pytest.raises(ResponseError) as caught:
        open_envelope(body if isinstance(body, bytes) else json.dumps(body).encode(), path)
    text = str(caught.value)
    assert "\n" not in text
    return text


ROWS = [{"id": 1}, {"id": 2}]


def test_records_at_a_path() -> None:
    """A path leads to the records by names; the document is the answer with null in their place."""
    answer = {"data": {"items": ROWS, "more": True}, "total": 2}
    around = {"data": {"items": None, "more": True}, "total": 2}
    assert opened(answer, "data.items") == (around, ROWS, 2, {"id": 2}, "data.items")
    assert opened({"a.b": ROWS, "a": {"b": 5}}, "a.b") == ({"a.b": None, "a": {"b": 5}}, ROWS, 2, {"id": 2}, "a.b")
    assert opened({"user": {"id": 1}}, "user") == ({"user": None}, [{"id": 1}], 1, {"id": 1}, "user")


def test_the_answer_itself() -> None:
    """`$` is all elements of an array, or one record, which is then still there to be asked for a next page."""
    assert opened(ROWS, "$") == (None, ROWS, 2, {"id": 2}, "$")
    assert opened({"id": 1, "items": ROWS}, "$") == (
        {"id": 1, "items": ROWS},
        [{"id": 1, "items": ROWS}],
        1,
        {"id": 1, "items": ROWS},
        "$",
    )


def test_null_and_empty_mean_no_records() -> None:
    """Null or an empty array hold no records."""
    assert opened({"items": None}, "items") == ({"items": None}, [], 0, None, "items")
    assert opened({"items": []}, "items") == ({"items": None}, [], 0, None, "items")
    assert opened(b"null", "$") == (None, [], 0, None, "$")


@pytest.mark.parametrize("answer", [{"n": 1}, {"data": None, "n": 1}, {"data": {}, "n": 1}])
def test_records_that_may_be_missing(answer: dict[str, Any]) -> None:
    """With `?` a missing path means no records, wherever it ends; without, it is an error."""
    assert opened(answer, "data.items?") == (answer, [], 0, None, "data.items?")
    assert refused(answer, "data.items").startswith('no records at records="data.items": the answer holds')


def test_a_wrong_path_names_what_is_there() -> None:
    """The error names the fields where the path went wrong, and the way out."""
    assert refused({"data": {"rows": ROWS, "n": 2}}, "data.items") == (
        'no records at records="data.items": the answer holds at data: rows, n; name the right one, or write '
        '"data.items?" if it may be missing'
    )
    assert refused({"data": 5}, "data") == 'no records at records="data": there is 5'
    assert refused({"data": [1]}, "data.items?").startswith('no records at records="data.items": the answer holds no')


def test_records_are_found_where_there_is_no_choice() -> None:
    """Without a path: the answer if it is an array, its only list of objects, or the answer as one record."""
    assert opened(ROWS, None)[1:] == (ROWS, 2, {"id": 2}, "$")
    assert opened({"ids": [1, 2], "result": ROWS, "n": 2}, None)[1:] == (ROWS, 2, {"id": 2}, "result")
    assert opened({"result": [], "n": 0}, None)[1:] == ([], 0, None, "result")
    assert opened({"result": [None, {"id": 2}]}, None)[1:] == ([None, {"id": 2}], 2, {"id": 2}, "result")
    record = {"id": 1, "tags": ["a"], "address": {"street": "x"}}
    assert opened(record, None) == (record, [record], 1, record, "$")


def test_records_are_not_guessed() -> None:
    """Several lists, or lists further down, are named with the option to paste."""
    assert refused({"result": ROWS, "errors": []}, None) == (
        "the answer holds several lists that may be the records: result, errors; name yours, as in "
        "records=result, or records=$ if the answer is one record"
    )
    assert refused({"data": {"page": {"items": ROWS}}, "n": 1}, None) == (
        "the answer holds a list further down that may be the records: data.page.items; name yours, as in "
        "records=data.page.items, or records=$ if the answer is one record"
    )


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no JSON (Input data was truncated): it is empty"),
        (b'[{"a": 1}, {"a"', 'no JSON (Input data was truncated): [{"a": 1}, {"a"'),
        (b"<html>\n  <body>Busy</body>", "no JSON (JSON is malformed: invalid character (byte 0)): <html> <body>Busy"),
        (b"[NaN]", "no JSON (JSON is malformed: invalid character (byte 1)): [NaN]"),
        (b'{"a":  1} x', 'no JSON (JSON is malformed: trailing characters (byte 11)): {"a": 1} x'),
        (b'[{"a": "\xff"}]', 'not UTF-8 at byte 8: [{"a": "\ufffd"}]'),
        (b"[" * 100_000, "nested too deep: [[["),
    ],
)
@pytest.mark.parametrize("path", [None, "$", "items?"])
def test_what_is_no_json(body: bytes, why: str, path: str | None) -> None:
    """What is no JSON in UTF-8 is refused with its beginning, of at most 200 characters, on one line."""
    text = refused(body, path)
    assert text.startswith("the answer is " + why)
    assert len(text) < 300


def test_a_byte_order_mark_is_nothing() -> None:
    """A byte order mark before the JSON is left out."""
    assert opened(b"\xef\xbb\xbf [1, 2]\n", None)[1:] == ([1, 2], 2, 2, "$")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)
names = st.text(alphabet='ab"é\\ ', min_size=1, max_size=3)


@given(
    st.lists(names, min_size=1, max_size=3),
    st.lists(json_values, max_size=4),
    st.dictionaries(names, json_values, max_size=3),
    st.booleans(),
)
def test_all_rows_and_all_else_are_there(
    steps: list[str], rows: list[Any], around: dict[str, Any], escape: bool
) -> None:
    """Whatever stands around them and however deep they are: the records at a path are all of them, in order."""
    answer: Any = rows
    document: Any = None
    for step in reversed(steps):
        answer, document = {**around, step: answer}, {**around, step: document}
    found = open_envelope(json.dumps(answer, ensure_ascii=escape).encode(), ".".join(steps))
    assert (found.document, json.loads(found.records), found.count) == (document, rows, len(rows))
    assert found.last() == (rows[-1] if rows else None)
