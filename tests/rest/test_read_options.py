"""The options of reading: what a read and a stream take, and what their rules refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from trunkline.errors import OptionError
from trunkline.rest.options import read_options, stream_options
from trunkline.rest.read_rules import partition_kind

URL = {"url": "https://api.example.com/rows"}


def problems(raw: Mapping[str, Any], parse: Any = read_options) -> tuple[str, ...]:
    """Every problem of a read; none is an empty tuple."""
    try:
        parse({**URL, **raw})
    except OptionError as error:
        return error.problems
    return ()


def test_the_defaults_of_a_read() -> None:
    """GET JSON, find the records and the paging, and prove it."""
    options = read_options(URL)
    names = ("method", "format", "records", "pagination", "inferSchema", "samplePages", "mode", "timeZone", "maxPages")
    assert [options[name] for name in names] == ["GET", "json", None, "auto", True, 1, None, "UTC", None]


ACCEPTED: list[dict[str, Any]] = [
    {"pagination": "offset", "page.param": "skip", "page.size": 100, "page.sizeParam": "take", "page.start": "0"},
    {"pagination": "cursor", "page.nextField": "meta.next", "page.param": "cursor"},
    {"pagination": "link"},
    {"pagination": "headerCursor", "page.nextField": "X-Next"},
    {"pagination": "lastRecord", "page.cursorField": "id", "page.param": "after"},
    {"method": "POST", "requestBody": {"query": "{}"}, "pagination": "cursor", "page.nextField": "n"},
    {"partition.values": "de,fr", "partition.param": "country"},
    {"partition.values": ["de", "f,r"], "url": "https://h/{partition}/rows"},
    {"lowerBound": "1", "upperBound": "9", "partition.lowerParam": "min", "partition.upperParam": "max"},
    {"lowerBound": "2026-01-01", "upperBound": "2026-02-01", "partition.lowerParam": "from", "partitionColumn": "at"},
    {"pagination": "page", "numPartitions": 4, "page.totalField": "total"},
    {"format": "csv", "csv.separator": ";", "pagination": "none"},
    {"format": "ndjson", "pagination": "offset", "page.totalField": "header:X-Total-Count"},
]  # fmt: skip


@pytest.mark.parametrize("raw", ACCEPTED, ids=str)
def test_what_goes_together_is_accepted(raw: dict[str, Any]) -> None:
    """Nothing is refused that does something."""
    assert problems(raw) == ()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"url": "https://h/{id}"}, "url has a place for id, but reading has no rows to fill it from: only {partition}"),
    ({"url": "https://h/{partition}"}, "url has a place for {partition}, which partition.values fills: give it"),
    ({"requestBody": {"a": 1}}, "requestBody needs method=POST"),
    ({"contentType": "text/json"}, "contentType does nothing without method=POST: there is no body"),
    ({"page.in": "body", "pagination": "page"}, "page.in=body needs method=POST"),
    ({"format": "csv", "records": "items", "pagination": "none"}, "records is for JSON answers, not for format=csv"),
    ({"csv.header": "false"}, "csv.header does nothing with format=json"),
    ({"timeZone": "Mars/Base"}, "timeZone=Mars/Base is no zone: write UTC or Europe/Berlin"),
    ({"pagination": "cursor"}, "page.nextField is missing: pagination=cursor needs it"),
    ({"pagination": "lastRecord"}, "page.cursorField is missing: pagination=lastRecord needs it"),
    ({"page.param": "offset"}, "page.param does nothing with pagination=auto: set pagination"),
    ({"pagination": "link", "page.start": "3"}, "page.start does nothing with pagination=link"),
    ({"page.size": 10}, "page.sizeParam is missing: which parameter carries page.size?"),
    ({"page.sizeParam": "n"}, "page.size is missing: page.sizeParam carries it"),
    ({"pagination": "offset", "page.start": "x"}, "page.start=x is no number, which pagination=offset counts from"),
    ({"pagination": "offset", "page.stop": "short"},
     ("page.stop=short needs page.size, or no page could be told to be "
      "short")),
    ({"numPartitions": 4},
     ("numPartitions needs something to split by: partition.by page (with pagination page or "
      "offset), time, id or list")),
    ({"partition.by": "list"}, "partition.values is missing: partition.by=list needs it"),
    ({"partition.by": "page", "pagination": "link"},
     ("partition.by=page needs pagination=page or offset: other pages "
      "are only known one after the other")),
    ({"lowerBound": "1", "partition.lowerParam": "a", "partition.upperParam": "b"},
     "upperBound is missing: partition.by=id needs both bounds"),
    ({"lowerBound": "9", "upperBound": "1", "partition.lowerParam": "a", "partition.upperParam": "b"},
     "lowerBound must be below upperBound"),
    ({"lowerBound": "2026-01-01", "upperBound": "1767225600", "partition.lowerParam": "a", "partition.upperParam": "b"},
     "lowerBound and upperBound are written in different ways: write both in the same"),
    ({"lowerBound": "2026-01-01", "upperBound": "2026-01-02", "partition.lowerParam": "a", "partition.upperParam": "b",
      "partition.upper": "inclusive"},
     "partitionColumn is missing: with partition.upper=inclusive, two windows are given the rows between them"),
    ({"partition.values": "a,a", "partition.param": "p"},
     ("partition.values: holds a value twice: its rows would be "
      "read twice")),
    ({"batch.rows": 5}, "batch.rows is for writing and request(), not for reading"),
    ({"delivery": "atMostOnce"}, "delivery is for writing and request(), not for reading"),
    ({"incremental.field": "at"}, "incremental.field is for reading a stream, not for reading"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_does_not_go_together_is_refused(raw: dict[str, Any], sentence: str) -> None:
    """Each in a sentence that says what to do."""
    assert sentence in problems(raw)


def test_a_stream_takes_no_split_and_no_look() -> None:
    """What is for batch reads is refused there, and the other way round."""
    assert problems({"maxRows": 5, "incremental.param": "since"}, stream_options) == (
        "maxRows is for reading, not for reading a stream",
        "incremental.param does nothing without incremental.field",
    )


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ({}, None),
        ({"partition.values": "a,b", "partition.param": "p"}, "list"),
        ({"lowerBound": "1", "upperBound": "2", "partition.lowerParam": "a", "partitionColumn": "id"}, "id"),
        ({"lowerBound": "2026-01-01", "upperBound": "2026-01-02", "partition.lowerParam": "a",
          "partitionColumn": "at"}, "time"),
        ({"numPartitions": 2, "pagination": "page", "page.totalField": "total"}, "page"),
        ({"partition.by": "time", "lowerBound": "1767225600", "upperBound": "1767312000", "partition.lowerParam": "a",
          "partition.upperParam": "b"}, "time"),
    ],
    ids=str,
)  # fmt: skip
def test_a_split_is_known_by_what_it_needs(raw: dict[str, Any], kind: str | None) -> None:
    """`partition.by` need not be said where the other options say it."""
    assert partition_kind(read_options({**URL, **raw})) == kind
