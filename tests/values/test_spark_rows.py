"""Rows of Spark's, to Arrow and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import types as t

from trunkline.rest.ddl import parse_ddl
from trunkline.values.spark_rows import from_rows, to_rows
from trunkline.values.spark_types import arrow_schema

KINDS = parse_ddl(
    "id BIGINT, amount DECIMAL(20, 4), raw BINARY, day DATE, length INTERVAL DAY TO SECOND, "
    "tags MAP<STRUCT<a: INT>, ARRAY<BINARY>>, place STRUCT<x: DOUBLE, y: STRUCT<z: STRING>>, list ARRAY<INT>, "
    "local TIMESTAMP_NTZ, v VARIANT"
)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place where clocks are set back on 25 October 2026, at 3 o'clock."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def there_and_back(rows: list[Any], kinds: t.DataType) -> list[tuple[Any, ...]]:
    assert isinstance(kinds, t.StructType)
    return list(to_rows(from_rows(rows, kinds, arrow_schema(kinds)), kinds))


def test_values_come_back_as_they_were() -> None:
    """Structs as tuples, which Spark takes for them."""
    row = (
        7,
        Decimal("1.5000"),
        bytearray(b"\0\xff"),
        date(1, 1, 1),
        timedelta(days=-1, microseconds=1),
        {t.Row(a=1): [bytearray(b"x"), None], t.Row(a=None): None},
        t.Row(x=0.5, y=t.Row(z=None)),
        [1, None],
        datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 - of no zone
        t.VariantVal(b"\x0c\x01", b"\x01\0\0"),
    )
    nothing = (None,) * 10
    [back, none] = there_and_back([row, nothing], KINDS)
    variant = back[-1]
    assert back[:-1] == row[:-1]
    assert (variant.value, variant.metadata) == (b"\x0c\x01", b"\x01\0\0")
    assert none == nothing


@pytest.mark.usefixtures("berlin")
def test_the_hour_that_comes_twice_is_kept() -> None:
    """Spark gives the second one as the same local time with `fold`, and reads times with a zone as they are."""
    kinds = parse_ddl("at TIMESTAMP, many ARRAY<TIMESTAMP>, by MAP<TIMESTAMP, INT>")
    seconds = [1792887300, 1792890900]
    assert [datetime.fromtimestamp(one).hour for one in seconds] == [2, 2]  # noqa: DTZ006 - as Spark does
    given = [t.TimestampType().fromInternal(one * 1_000_000 + 5) for one in seconds]
    [back] = there_and_back([(given[1], given, dict(zip(given[:1], [1], strict=True)))], kinds)
    at = [datetime.fromtimestamp(one, timezone.utc).replace(microsecond=5) for one in seconds]
    assert back == (at[1], at, {at[0]: 1})
    assert [t.TimestampType().toInternal(one) for one in back[1]] == [one * 1_000_000 + 5 for one in seconds]
