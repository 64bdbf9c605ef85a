"""The example of a token ring: its ranges hold every token once, and a read of them every row."""

from __future__ import annotations

from collections import Counter

import pytest
from examples.token_ring import FIRST, LAST, TokenRange, TokenRingDataSource, ring_splits
from hypothesis import example, given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from trunkline.testing import FaultServer

RING = LAST - FIRST + 1
TOKENS = st.integers(FIRST, LAST) | st.sampled_from([FIRST, FIRST + 1, -1, 0, 1, LAST - 1, LAST])


@given(st.lists(TOKENS, max_size=40), st.integers(1, 300))
@example([], 1)
@example([FIRST], 2)
@example([LAST], 2)
@example([FIRST, LAST], 3)
def test_ranges_cover_the_ring_once(tokens: list[int], parts: int) -> None:
    """Put in order, each range begins where the one before it ends, from the first token to the last."""
    ranges = [one for split in ring_splits(tokens, parts) for one in split]
    ends = sorted((low(one), high(one)) for one in ranges)
    assert all(after < upto for after, upto in ends)
    assert [ends[0][0], *(upto for _, upto in ends)] == [*(after for after, _ in ends), LAST]


@given(st.lists(TOKENS, max_size=40), st.integers(1, 300), st.lists(TOKENS, max_size=20))
def test_every_token_is_in_one_range(tokens: list[int], parts: int, rows: list[int]) -> None:
    """As the API compares it: above `after`, up to `upto`, no bound where there is none."""
    for row in [*rows, *tokens]:
        held = [
            one for split in ring_splits(tokens, parts) for one in split
            if (one.after is None or row > one.after) and (one.upto is None or row <= one.upto)
        ]  # fmt: skip
        assert len(held) == 1


@given(st.lists(TOKENS, max_size=40), st.integers(1, 300))
def test_splits_are_as_many_as_wanted_and_of_much_the_same_width(tokens: list[int], parts: int) -> None:
    """None is empty, none is twice as wide as its share."""
    widths = [sum(high(one) - low(one) for one in split) for split in ring_splits(tokens, parts)]
    assert len(widths) == parts
    assert min(widths) > 0
    assert max(widths) * parts <= 2 * RING


@given(st.lists(TOKENS, max_size=40), st.integers(1, 300))
def test_no_range_goes_over_the_token_of_a_node(tokens: list[int], parts: int) -> None:
    """So one node serves it."""
    ranges = [one for split in ring_splits(tokens, parts) for one in split]
    assert [(one, token) for one in ranges for token in tokens if low(one) < token < high(one)] == []


def test_the_range_over_the_end_of_the_ring_is_split_there() -> None:
    """The last node's tokens go on from the first."""
    assert ring_splits([-100, 100], 1) == [(TokenRange(-100, 100), TokenRange(100, None), TokenRange(None, -100))]


@pytest.mark.parametrize("token", [FIRST - 1, LAST + 1])
def test_a_token_off_the_ring_is_refused(token: int) -> None:
    with pytest.raises(ValueError, match="tokens are from"):
        ring_splits([0, token], 4)


def test_a_read_holds_every_row_once(spark_session: SparkSession, fault_server: FaultServer) -> None:
    """Those at the ends of the ring among them, and rows that share a token."""
    nodes = [-(2**62), 0, 2**62, 2**62 + 5]
    places = [FIRST, FIRST + 1, *range(-(2**62) - 3, -(2**62) + 3), -1, 0, 0, 0, 1, *nodes, LAST - 1, LAST]
    rows = [{"token": token, "id": number, "name": f"item-{number}"} for number, token in enumerate(places)]
    fault_server.route("GET /ring", [{"body": {"tokens": nodes}}])
    fault_server.dataset(
        "GET /rows", rows=rows, paging="cursor", size=2, records="rows", sort="token",
        filters={"after": ["token", "gt"], "upto": ["token", "le"]},
    )  # fmt: skip
    spark_session.dataSource.register(TokenRingDataSource)
    df = spark_session.read.format("token_ring").option("url", fault_server.url).option("numPartitions", 3).load()
    assert df.rdd.getNumPartitions() == 3
    assert Counter(tuple(row) for row in df.collect()) == Counter(tuple(row.values()) for row in rows)


def low(one: TokenRange) -> int:
    """The token below its first."""
    return FIRST - 1 if one.after is None else one.after


def high(one: TokenRange) -> int:
    """Its last token."""
    return LAST if one.upto is None else one.upto
