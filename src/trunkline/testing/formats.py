"""Rows as the body of an answer that is no JSON document: CSV, NDJSON, text, bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

CONTENT_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "text": "text/plain; charset=utf-8",
    "binary": "application/octet-stream",
}


def encode_csv(rows: Sequence[Any], columns: list[str]) -> bytes:
    """A line of column names and a line per object, as RFC 4180 has it; null is empty, what is nested is JSON."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return out.getvalue().encode()


def encode_lines(rows: Sequence[Any], end: str) -> bytes:
    """Each row and `end`: bytes and text as they are, anything else as JSON."""
    tail = end.encode()
    return b"".join([_plain(row) + tail for row in rows])


def _plain(row: Any) -> bytes:
    if isinstance(row, bytes):
        return row
    return (row if isinstance(row, str) else json.dumps(row, separators=(",", ":"), ensure_ascii=False)).encode()


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list, bool)) else value
