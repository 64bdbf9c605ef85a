from __future__ import annotations

import datetime as dt
import math
import random
import tracemalloc
from collections import Counter
from decimal import Decimal
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from trunkline.values import DigestBag, JsonOptions, Occurrences, encode, row_digests

ROWS = pa.record_batch(
    {
        "id": pa.array([1, 2, None]),
        "name": pa.array(["Ann", "", None]),
        "price": pa.array([1.5, math.nan, -0.0]),
        "amount": pa.array([Decimal("1.50"), Decimal(0), None], pa.decimal128(20, 8)),
        "at": pa.array([1714564800123456, 0, None]).cast(pa.timestamp("us", "UTC")),
        "day": pa.array([dt.date(2024, 5, 1), None, None]),
        "tags": pa.array([["a", None], [], None]),
        "more": pa.array([{"x": 1, "y": b"\x00"}, {"x": None, "y": b""}, None]),
        "kv": pa.array([[("k", 0.1)], [], None], pa.map_(pa.string(), pa.float32())),
        "gap": pa.array([93784500000, -1, None]).cast(pa.duration("us")),
    }
)

TEXTS = [
    """{"id":1,"name":"Ann","price":4609434218613702656,"amount":1.50000000,"at":"2024-05-01T12:00:00.123456Z",
"day":"2024-05-01","tags":["a",null],"more":{"x":1,"y":"AA=="},"kv":{"k":4591870180174331904},
"gap":"P1DT2H3M4.500000S"}""",
    """{"id":2,"name":"","price":9221120237041090560,"amount":0.00000000,"at":"1970-01-01T00:00:00Z",
"day":null,"tags":[],"more":{"x":null,"y":""},"kv":{},"gap":"-P0DT0H0M0.000001S"}""",
    """{"id":null,"name":null,"price":-9223372036854775808,"amount":null,"at":null,
"day":null,"tags":null,"more":null,"kv":null,"gap":null}""",
]
PINNED = ["19e62770d497ff4472e2a6bd760c4aeb", "4a192b4ac8338a6fb62492867c7efc8d", "078bce85390071e885af95179d0d551c"]


def test_digests_are_what_they_always_were() -> None:
    """Response logs of earlier versions hold these: a change here means that rows are sent a second time."""
    assert [digest.hex() for digest in row_digests(ROWS)] == PINNED
    assert [blake2b(text.replace("\n", "").encode(), digest_size=16).hexdigest() for text in TEXTS] == PINNED


def test_batches_slices_and_physical_types_make_no_difference() -> None:
    """The same rows cut and stored in other ways have the same digests."""
    whole = row_digests(ROWS)
    assert [row_digests(ROWS.slice(i, 1))[0] for i in range(3)] == whole
    stored = dict(zip(ROWS.schema.names, ROWS.columns, strict=True))
    stored["name"] = stored["name"].cast(pa.large_string()).dictionary_encode()
    stored["at"] = stored["at"].cast(pa.timestamp("us", "Asia/Tokyo"))
    stored["tags"] = stored["tags"].cast(pa.large_list(pa.large_string()))
    assert row_digests(pa.record_batch(stored)) == whole


def test_rows_that_cannot_be_json_have_digests_of_their_own() -> None:
    """NaN, the infinities, -0.0, bad UTF-8 and far years are told apart, and every NaN is one NaN."""
    floats = pa.array([math.nan, math.inf, -math.inf, 0.0, -0.0, None])
    assert len(set(row_digests(pa.record_batch({"x": floats})))) == 6
    other_nan = pa.array(np.array([0x7FF8000000000001], np.uint64).view(np.float64))
    assert row_digests(pa.record_batch({"x": other_nan})) == row_digests(pa.record_batch({"x": floats[:1]}))
    far = pa.array([2**62, 2**62 + 1, -(2**62), None]).cast(pa.timestamp("us"))
    assert len(set(row_digests(pa.record_batch({"x": far})))) == 4
    offsets = pa.array([0, 1, 2, 2], pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"\xff\xfe")])
    assert len(set(row_digests(pa.record_batch({"x": bad})))) == 3


def test_null_empty_and_missing_differ() -> None:
    """So do other names and another order of the same columns."""
    batches = [
        pa.record_batch({"a": [1], "b": pa.array([None], pa.string())}),
        pa.record_batch({"a": [1], "b": [""]}),
        pa.record_batch({"a": [1]}),
        pa.record_batch({"b": [""], "a": [1]}),
    ]
    assert len({row_digests(batch)[0] for batch in batches}) == 4


@given(st.lists(st.tuples(st.integers(0, 9), st.text(max_size=3), st.none() | st.floats()), min_size=1, max_size=5))
def test_rows_already_written_need_not_be_written_again(rows: list[tuple[int, str, float | None]]) -> None:
    """Digests are the same with and without the texts of `encode`, whatever its options and the rows it refused."""
    numbers, strings, floats = zip(*rows, strict=True)
    arrays = [pa.array(numbers, pa.int64()), pa.array(strings, pa.string()), pa.array(floats, pa.float64())]
    for count in (2, 3):
        batch = pa.record_batch(arrays[:count], names=["n", "s", "f"][:count])
        for options in (JsonOptions(), JsonOptions(separator="\n"), JsonOptions(nulls="omit", non_finite="null")):
            assert row_digests(batch, encode(batch, options)) == row_digests(batch)
    assert encode(pa.record_batch(arrays[:2], names=["n", "s"]), JsonOptions(separator="\n")).lossless


# Few values, some of which share their first half: what 64 of the 128 bits would confuse.
digests = st.lists(st.sampled_from([a * 8 + b * 8 for a in (b"a", b"b") for b in (b"x", b"y", b"z")]), max_size=12)


@given(st.lists(digests, max_size=8))
def test_occurrences_count_as_a_dict_would(calls: list[list[bytes]]) -> None:
    """Equal digests are numbered from 0 over all calls."""
    counted, seen = Occurrences(), Counter[bytes]()
    for call in calls:
        wanted = []
        for digest in call:
            wanted.append(seen[digest])
            seen[digest] += 1
        assert counted.number(call) == wanted


@given(st.lists(st.tuples(st.booleans(), digests), max_size=10))
def test_a_bag_gives_back_what_was_put_in(calls: list[tuple[bool, list[bytes]]]) -> None:
    """Each digest can be taken as often as it was added, and no more."""
    bag, held = DigestBag(), Counter[bytes]()
    for adds, call in calls:
        if adds:
            bag.add(call)
            held.update(call)
            continue
        wanted = []
        for digest in call:
            wanted.append(held[digest] > 0)
            held[digest] -= held[digest] > 0
        assert bag.take(call) == wanted


def test_two_million_distinct_digests_stay_small() -> None:
    """20 bytes each at rest; 300 MB is what a dict of them takes."""
    count, step = 2_000_000, 20_000
    raw = random.Random(7).randbytes(16 * count)
    calls = [[raw[i : i + 16] for i in range(begin, begin + 16 * step, 16)] for begin in range(0, len(raw), 16 * step)]
    counted = Occurrences()
    tracemalloc.start()
    try:
        assert all(set(counted.number(call)) == {0} for call in calls)
        at_rest, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert at_rest < 24 * count
    assert peak < 60 * count
