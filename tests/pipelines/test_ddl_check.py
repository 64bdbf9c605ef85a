"""Schemas are judged where the judgement is certain, and pass where it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.pipelines.ddl_check import TYPES, ddl_problem
from trunkline.rest import ddl


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id INTT, name STRING", "id: there is no type INTT: did you mean INT?"),
        ("id INT, name STRIN", "name: there is no type STRIN: did you mean STRING?"),
        ("`a b`: bool", "`a b`: there is no type bool: did you mean BOOLEAN?"),
        ("tags ARRAY<STRNG>", "tags: there is no type STRNG: did you mean STRING?"),
        ("a STRUCT<b: INT, c: MAP<STRING, DOUBL>>", "c: there is no type DOUBL: did you mean DOUBLE?"),
        ("id, name STRING", "id has no type: id STRING"),
        ("id INT,", "a column is empty: there is a comma too many"),
        ("tags ARRAY<STRING", "a > is missing"),
        ("tags ARRAY<STRING>>", "a > closes nothing"),
        ("tags ARRAY, id INT", "tags: ARRAY says not of what: ARRAY<STRING>"),
    ],
)
def test_what_no_spark_reads_is_told(text: str, told: str) -> None:
    assert ddl_problem(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "id INT NOT NULL COMMENT 'x < y, z', price decimal(10, 2), at TIMESTAMP_NTZ",
        "a STRUCT<>, b ARRAY<STRUCT<c: INT>>, d MAP<STRING, ARRAY<INT>>",
        "STRING",
        "ARRAY<STRUCT<id: INT>>",
        "INTERVAL DAY TO SECOND",
        "v VARCHAR(10) COLLATE UTF8_LCASE, i INTERVAL YEAR TO MONTH, g GEOGRAPHY(4326)",
        "n TIMESTAMP_NANOS, x HYPERCUBE",
        "id INT DEFAULT (CASE WHEN 1 < 2 THEN 3 END)",
    ],
)
def test_what_a_spark_reads_or_may_read_passes(text: str) -> None:
    assert ddl_problem(text) is None


def test_every_type_that_we_parse_is_known() -> None:
    assert {*ddl._SIMPLE, *ddl._DECIMALS, "TIME", "INTERVAL", "ARRAY", "MAP", "STRUCT"} <= TYPES


TOKENS = st.sampled_from(
    ["a", "INT", "STRUCT", "ARRAY", "MAP", "<", ">", "(", ")", ",", ":", "10", "`x`", "INTERVAL", "NOT NULL"]
)


@given(st.lists(TOKENS, max_size=12).map(" ".join))
def test_what_our_own_parser_reads_passes(text: str) -> None:
    """Whatever is told, `rest` refuses too."""
    try:
        ddl.parse_ddl(text)
    except ValueError:
        return
    assert ddl_problem(text) is None
