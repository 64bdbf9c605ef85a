"""Rows to JSON: whole columns through Arrow against Python objects row by row.

    python benchmarks/values.py            # prints the tables of benchmarks/results/values.md

`columns` is `encode`, `orjson` is `to_pylist` and `orjson.dumps` of each row, `json` the same with `json.dumps`.
Three shapes of 10,000 rows (what Spark sends at a time), every way measured in turn in each round, so that a busy
moment of the machine hits all of them. A figure is the median of the rounds; ratios are within the run.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from decimal import Decimal
from hashlib import blake2b

import numpy as np
import orjson
import pyarrow as pa

from trunkline.values import JsonOptions, Occurrences, encode, row_digests

ROWS, ROUNDS = 10_000, 15
UTC = dt.timezone.utc


def flat(source: np.random.Generator) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "id": pa.array(source.integers(0, 2**53, ROWS)),
            "name": pa.array([f"customer {i}" for i in range(ROWS)]),
            "score": pa.array(source.random(ROWS)),
            "active": pa.array(source.random(ROWS) > 0.5),
        }
    )


def nested(source: np.random.Generator) -> pa.RecordBatch:
    integers = source.integers(0, 2**40, ROWS)
    day = [dt.date(2024, 1, 1) + dt.timedelta(days=i % 365) for i in range(ROWS)]
    micros = pa.array(source.integers(0, 2**50, ROWS))
    return pa.record_batch(
        {
            **dict(zip(flat(source).schema.names, flat(source).columns, strict=True)),
            "at": micros.cast(pa.timestamp("us", "UTC")),
            "day": pa.array(day),
            "amount": pa.array([Decimal(int(n)).scaleb(-2) for n in integers], pa.decimal128(18, 2)),
            "note": pa.array([None if i % 3 else f"note {i}" for i in range(ROWS)]),
            "address": pa.array(
                [{"street": f"street {i}", "zip": i, "geo": {"lat": 1.5, "lon": i / 7}} for i in range(ROWS)]
            ),
            "tags": pa.array([["red", "green", "blue"][: i % 4] for i in range(ROWS)]),
            "counts": pa.array([[("a", i), ("b", None)] for i in range(ROWS)], pa.map_(pa.string(), pa.int64())),
            "token": pa.array([source.bytes(16) for _ in range(ROWS)]),
        }
    )


def strings(_: np.random.Generator) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "quoted": pa.array([f'say "hello" to {i}\nand "goodbye"' for i in range(ROWS)]),
            "path": pa.array([f"C:\\data\\{i}" if i % 10 == 0 else f"data {i}" for i in range(ROWS)]),
            "city": pa.array([f"Zürich, 東京 and Kraków {i}" for i in range(ROWS)]),
            "plain": pa.array([f"nothing to escape in line {i}" for i in range(ROWS)]),
        }
    )


def arrow(batch: pa.RecordBatch) -> bytes:
    return encode(batch, JsonOptions()).join(0, len(batch))


def by_orjson(batch: pa.RecordBatch) -> bytes:
    return b",".join([orjson.dumps(row, default=plain, option=orjson.OPT_UTC_Z) for row in batch.to_pylist()])


def by_json(batch: pa.RecordBatch) -> bytes:
    return ",".join([json.dumps(row, default=plain, ensure_ascii=False) for row in batch.to_pylist()]).encode()


def plain(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def medians(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in seconds.items()}


def main() -> None:
    source = np.random.default_rng(1)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, pyarrow {pa.__version__}, "
        f"orjson {orjson.__version__}, numpy {np.__version__}; {ROWS:,} rows, medians of {ROUNDS} rounds\n"
    )
    print("| rows | bytes a row | columns, rows/s | orjson, rows/s | json, rows/s | to orjson | to json |")
    print("|---|---|---|---|---|---|---|")
    shapes = {"4 flat columns": flat, "12 columns, nested": nested, "4 strings, escapes and non-ASCII": strings}
    for name, make in shapes.items():
        batch = make(source)
        ways = {"columns": arrow, "orjson": by_orjson, "json": by_json}
        took = medians({way: functools.partial(run, batch) for way, run in ways.items()})
        speeds = " | ".join(f"{ROWS / seconds:,.0f}" for seconds in took.values())
        ratios = " | ".join(f"{took[way] / took['columns']:.1f}x" for way in ("orjson", "json"))
        print(f"| {name} | {len(arrow(batch)) // ROWS} | {speeds} | {ratios} |")
    print("\n| one column | columns, values/s | orjson, values/s | ratio |\n|---|---|---|---|")
    twelve = nested(source)
    for field, column in zip(twelve.schema, twelve.columns, strict=True):
        batch = pa.record_batch({"x": column})
        took = medians({"columns": functools.partial(arrow, batch), "orjson": functools.partial(by_orjson, batch)})
        speeds = " | ".join(f"{ROWS / seconds:,.0f}" for seconds in took.values())
        print(f"| {field.name}: {field.type} | {speeds} | {took['orjson'] / took['columns']:.1f}x |")
    batch = flat(source).select(["id", "name", "active"])
    rows = encode(batch, JsonOptions())
    took = medians({"alone": lambda: row_digests(batch), "reused": lambda: row_digests(batch, rows)})
    print("\n| digests | rows/s |\n|---|---|")
    print(f"| row_digests, 3 columns | {ROWS / took['alone']:,.0f} |")
    print(f"| row_digests over rows already encoded | {ROWS / took['reused']:,.0f} |")
    calls = [[blake2b(f"{call} {i}".encode(), digest_size=16).digest() for i in range(ROWS)] for call in range(100)]
    numbering = []
    for _ in range(5):
        seen = Occurrences()
        start = time.perf_counter()
        for call in calls:
            seen.number(call)
        numbering.append(time.perf_counter() - start)
    print(f"| Occurrences.number, a million distinct rows | {len(calls) * ROWS / statistics.median(numbering):,.0f} |")


if __name__ == "__main__":
    main()
