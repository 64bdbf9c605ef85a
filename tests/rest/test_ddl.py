"""Schemas in DDL, read without Spark as Spark reads them."""

from __future__ import annotations

import re

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import _parse_datatype_string

from trunkline.rest.ddl import parse_ddl

SCHEMAS = [
    "name STRING",
    "name: STRING, age INT NOT NULL, at TIMESTAMP COMMENT 'when it\\'s seen'",
    "`a b` BIGINT, `c``d` decimal(20, 4), e Dec, f NUMERIC(5)",
    "a BYTE, b TINYINT, c SHORT, d SMALLINT, e INTEGER, f LONG, g FLOAT, h REAL, i DOUBLE, j BOOLEAN, k BINARY, l DATE",
    "a TIMESTAMP_NTZ, b TIMESTAMP_LTZ, c VARIANT, d VOID",
    "a INTERVAL DAY TO SECOND, b INTERVAL HOUR, c INTERVAL MINUTE TO SECOND",
    "a ARRAY<STRUCT<b: MAP<STRING, ARRAY<INT>>, c STRUCT<>>>, d MAP<INT, STRUCT<e: DATE>>",
    "timestamp INT, array STRING, struct DATE, interval STRING",
    "ARRAY<STRUCT<id: BIGINT>>",
    "MAP<STRING, DOUBLE>",
    "STRUCT<a: INT>",
    "INT",
    "decimal(3,1)",
    "  a   INT  ",
]


def test_what_spark_reads_is_read_the_same(spark: SparkSession) -> None:
    """Names, types, nullability and comments."""
    assert [parse_ddl(text).jsonValue() for text in SCHEMAS] == [
        _parse_datatype_string(text).jsonValue() for text in SCHEMAS
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a type is expected, found the end"),
        ("name", "a type is expected, found name"),
        ("name STRNG", "a type is expected, found STRNG"),
        ("name STRING age INT", "the end is expected, found age"),
        ("name STRING,", "a name is expected, found the end"),
        ("a ARRAY<INT", "> is expected, found the end"),
        ("a MAP<INT>", ", is expected, found >"),
        ("a DECIMAL(1, 2, 3)", ") is expected, found 3"),
        ("a INTERVAL SECOND TO DAY", "an interval from larger to smaller is expected, found the end"),
        ("a INT; b INT", "nothing begins with '; b INT'"),
        ("a INT COMMENT b", "a text in quotes is expected, found b"),
    ],
)
def test_what_is_no_schema_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as error:
        parse_ddl(text)
    assert str(error.value) == told
