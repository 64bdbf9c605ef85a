"""What an answer says of each row: every row once, or nothing is believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import OptionError
from trunkline.rest.options import write_options
from trunkline.rest.results import ResultReader, ResultsError, RowResult
from trunkline.rest.rows import RequestBuilder

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["items", "id", "status"]), inner),
    max_leaves=12,
)
SUCCESS = range(200, 300)


def reader(path: str = "items", id_field: str | None = None, ok: str | None = "status") -> ResultReader:
    return ResultReader(path, id_field, ok, "error.message", SUCCESS)


def ids(*names: str | None) -> Callable[[], Sequence[str | None]]:
    return lambda: names


@given(JSON | st.binary(max_size=20), st.integers(0, 4), st.booleans())
def test_whatever_is_answered_each_row_has_one_fate_or_there_is_none(answer: object, count: int, named: bool) -> None:
    body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    try:
        found = reader(id_field="id" if named else None).read(body, count, ids(*map(str, range(count))))
    except ResultsError:
        return
    assert len(found) == count
    assert all(one.ok or one.reason for one in found)


@given(st.permutations(range(6)), st.lists(st.sampled_from([200, 201, 409, 500, "204", "422"]), min_size=6, max_size=6))
def test_entries_belong_to_rows_by_name_in_any_order(order: list[int], statuses: list[int | str]) -> None:
    items = [{"id": i, "status": statuses[i], "error": {"message": f"e{i}"}} for i in order]
    found = reader(id_field="id").read(orjson.dumps({"items": items}), 6, ids(*map(str, range(6))))
    assert found == [
        RowResult(int(s) in SUCCESS, int(s), "" if int(s) in SUCCESS else f"e{i}") for i, s in enumerate(statuses)
    ]


@pytest.mark.parametrize(
    ("body", "names", "expected"),
    [
        (b"<html>", ("1",), "not JSON"),
        (b'{"items": 1}', ("1",), "no list at items"),
        (b'{"items": []}', ("1",), "0 results at items for 1 rows"),
        (b'{"items": [{"id": 2}]}', ("1",), "does not name each row once by id"),
        (b'{"items": [{"id": 1}, {"id": 2}]}', ("1", "1"), "does not name each row once by id"),
        (b'{"items": [{"id": null}]}', (None,), "does not name each row once by id"),
    ],
)
def test_an_answer_that_leaves_a_row_out_says_nothing(body: bytes, names: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ResultsError, match=expected):
        reader(id_field="id").read(body, len(names), ids(*names))


def test_rows_are_named_by_their_only_key_where_no_column_is_called_like_the_field() -> None:
    """Never by one of two keys, which may stand in many rows, or be another row's name in the answer."""
    rows = pa.record_batch({"seq": [1, 2], "user": [2, 1]})
    said = {"url": "https://api.example.com/users", "batch.rows": "9", "results.path": "$", "results.id": "userId"}
    one, two = (
        ResultReader.from_options(write_options({**said, "results.ok": "ok", "keyColumns": keys}))
        for keys in ("user", "seq,user")
    )
    assert one is not None
    assert one.ids(rows, [0, 1]) == ["2", "1"]
    assert two is not None
    with pytest.raises(ResultsError, match="there is no column userId to tell rows by"):
        two.ids(rows, [0, 1])
    RequestBuilder(write_options({**said, "results.ok": "ok", "keyColumns": "user"}), ["seq", "user"])
    options = write_options({**said, "results.ok": "ok", "keyColumns": "seq,user"})
    with pytest.raises(OptionError, match="there is no column userId to tell rows by"):
        RequestBuilder(options, ["seq", "user"])
