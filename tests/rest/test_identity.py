"""Who a row is does not depend on how it is sent, and an old version never goes out after a new one."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pytest

from trunkline.rest.identity import Identities
from trunkline.rest.options import write_options
from trunkline.rest.report import Counts
from trunkline.rest.rows import RequestBuilder
from trunkline.values import row_digests

INSTANT = datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=timezone.utc)
ROWS = pa.record_batch(
    {
        "id": pa.array([1, 2, None, 4], pa.int64()),
        "v": pa.array([0.0, -0.0, float("nan"), None], pa.float64()),
        "at": pa.array([INSTANT, None, INSTANT, INSTANT], pa.timestamp("us", "UTC")),
        "s": pa.array(["a", None, "", "é"], pa.string()),
    }
)


def identities(columns: list[str], options: dict[str, str], counts: Counts | None = None) -> Identities:
    parsed = write_options({"url": "https://api.example.com/"} | options)
    builder = RequestBuilder(parsed, columns)
    return Identities(builder, counts or Counts(), identify=True, keyed=False, order=parsed["orderColumn"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"body.nonFinite": "null"},
        {"bodyColumns": "s,v,id,at"},
        {"bodyColumns": "id"},
        {"body.nulls": "omit"},
        {"body.timestamps": "epochMillis"},
        {"body.decimals": "string"},
        {"batch.rows": "2", "batch.format": "ndjson"},
        {"bodyColumn": "s"},
        {"body.type": "form"},
        {"body.type": "none"},
        {"url": "https://api.example.com/{id}"},
    ],
    ids=str,
)
def test_a_row_has_one_digest_however_its_body_is_made(options: dict[str, str]) -> None:
    """And it is the one over all columns as they stand, which `pending` computes too."""
    chunk, _ = identities(ROWS.schema.names, options).chunk(ROWS)
    assert chunk.digests == row_digests(ROWS)
    assert len(set(chunk.digests)) == 4


def test_the_zone_a_timestamp_is_shown_in_makes_no_difference() -> None:
    there = ROWS.set_column(2, "at", ROWS.column("at").cast(pa.timestamp("us", "Asia/Kolkata")))
    for options in ({"body.nonFinite": "null"}, {"bodyColumns": "id"}):
        chunk, _ = identities(ROWS.schema.names, options).chunk(there)
        assert chunk.digests == row_digests(ROWS)


def versions(rows: list[tuple[str, int | None]]) -> pa.RecordBatch:
    return pa.record_batch(
        {"key": pa.array([row[0] for row in rows]), "n": pa.array([row[1] for row in rows], pa.int64())}
    )


def test_a_version_older_than_one_of_an_earlier_batch_is_left_out() -> None:
    counts = Counts()
    who = identities(["key", "n"], {"keyColumns": "key", "orderColumn": "n"}, counts)
    batches: list[list[tuple[str, int | None]]] = [
        [("a", 2), ("b", 1), ("a", 1)],
        [("a", 1), ("b", 2), ("a", None)],
        [("a", 3), ("b", 2), ("b", 1)],
    ]
    sent: list[list[tuple[Any, ...]]] = []
    left: list[list[tuple[Any, ...]]] = []
    for rows in batches:
        chunk, superseded = who.chunk(versions(rows))
        sent.append([tuple(row.values()) for row in chunk.batch.to_pylist()])
        left.append([] if superseded is None else [tuple(row.values()) for row in superseded.batch.to_pylist()])
        assert len(chunk.digests) == len(chunk.batch)
    assert sent == [[("b", 1), ("a", 1), ("a", 2)], [("b", 2)], [("b", 2), ("a", 3)]]
    assert left == [[], [("a", None), ("a", 1)], [("b", 1)]]
    assert counts.superseded == 3
