"""JSON to record batches: compiled decoders against Python objects.

    python benchmarks/parse.py            # prints the tables of benchmarks/results/parse.md

`decoder` is `JsonDecoder.array`; `orjson + array` is `orjson.loads` and one `pa.array` over the dicts with the struct
type; `orjson + pylist` is `orjson.loads` and `RecordBatch.from_pylist`. The latter two cannot read times and decimals,
which are left out of what all three read and have rows of their own. Every way is measured in turn in each round, so
that a busy moment of the machine hits all of them. A figure is the median of the rounds; ratios are within the run.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable

import msgspec
import orjson
import pyarrow as pa

from trunkline.values import JsonDecoder, ReadOptions, open_envelope

ROWS, ROUNDS = 1_000, 101

FLAT = pa.schema(
    {"id": pa.int64(), "name": pa.string(), "score": pa.float64(), "active": pa.bool_(), "city": pa.string()}
)
NESTED = pa.schema(
    {
        "id": pa.int64(),
        "name": pa.string(),
        "address": pa.struct(
            {"street": pa.string(), "zip": pa.int64(), "geo": pa.struct({"lat": pa.float64(), "lon": pa.float64()})}
        ),
        "tags": pa.list_(pa.string()),
        "lines": pa.list_(pa.struct({"sku": pa.string(), "count": pa.int64(), "price": pa.float64()})),
    }
)
TYPED = pa.schema(
    {"id": pa.int64(), "at": pa.timestamp("us", "UTC"), "day": pa.date32(), "amount": pa.decimal128(18, 2)}
)


def flat(i: int) -> dict[str, object]:
    return {"id": i, "name": f"customer {i}", "score": i / 7, "active": i % 2 == 0, "city": "Zürich" if i % 5 else None}


def projected(i: int) -> dict[str, object]:
    return flat(i) | {f"other {n}": f"not asked for {i}" for n in range(15)}


def nested(i: int) -> dict[str, object]:
    return {
        "id": i,
        "name": f"customer {i}",
        "address": {"street": f"street {i}", "zip": i, "geo": {"lat": 1.5, "lon": i / 7}} if i % 10 else None,
        "tags": ["red", "green", "blue"][: i % 4],
        "lines": [{"sku": f"sku {n}", "count": n, "price": n / 3} for n in range(i % 4)],
    }


def typed(i: int) -> dict[str, object]:
    at, day = f"2024-05-01T12:{i // 60 % 60:02}:{i % 60:02}.123Z", f"2024-05-{i % 28 + 1:02}"
    return {"id": i, "at": at, "day": day, "amount": i / 100}


def by_array(schema: pa.Schema) -> Callable[[bytes], object]:
    kind = pa.struct(list(schema))
    return lambda body: pa.RecordBatch.from_struct_array(pa.array(orjson.loads(body), kind))


def by_pylist(schema: pa.Schema) -> Callable[[bytes], object]:
    return lambda body: pa.RecordBatch.from_pylist(orjson.loads(body), schema=schema)


def medians(ways: dict[str, Callable[[bytes], object]], body: bytes) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way(body)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in seconds.items()}


def main() -> None:
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, pyarrow {pa.__version__}, "
        f"msgspec {msgspec.__version__}, orjson {orjson.__version__}; {ROWS:,} records, medians of {ROUNDS} rounds\n"
    )
    print("| records | bytes each | decoder, us | orjson + array, us | orjson + pylist, us | to array | to pylist |")
    print("|---|---|---|---|---|---|---|")
    shapes = {
        "5 flat fields": (FLAT, flat),
        "5 of 20 fields": (FLAT, projected),
        "5 fields, nested": (NESTED, nested),
    }
    for name, (schema, make) in shapes.items():
        body = orjson.dumps([make(i) for i in range(ROWS)])
        decoder = JsonDecoder(schema, ReadOptions())
        ways = {"decoder": decoder.array, "array": by_array(schema), "pylist": by_pylist(schema)}
        took = medians(ways, body)
        speeds = " | ".join(f"{seconds * 1e6:,.0f}" for seconds in took.values())
        ratios = " | ".join(f"{took[way] / took['decoder']:.2f}x" for way in ("array", "pylist"))
        print(f"| {name} | {len(body) // ROWS} | {speeds} | {ratios} |")
    print("\n| alone | us |\n|---|---|")
    for name, took in alone().items():
        print(f"| {name} | {took * 1e6:,.0f} |")


def alone() -> dict[str, float]:
    plain, times = (orjson.dumps([make(i) for i in range(ROWS)]) for make in (flat, typed))
    bad = orjson.dumps([flat(i) | ({"id": "none"} if i == ROWS // 2 else {}) for i in range(ROWS)])
    worst = orjson.dumps([flat(i) | {"id": "none"} for i in range(ROWS)])
    numbers = orjson.dumps([flat(i) | {"name": i} for i in range(ROWS)])
    found = medians({"open_envelope, array": lambda body: open_envelope(body, "$")}, plain)
    found |= medians({"5 flat fields, orjson.loads alone": orjson.loads}, plain)
    found |= medians({"timestamp, date, decimal and a number": JsonDecoder(TYPED, ReadOptions()).array}, times)
    loose = JsonDecoder(FLAT, ReadOptions())
    found |= medians({"5 flat fields, a number in a column of strings (loose)": loose.array}, numbers)
    drops = JsonDecoder(FLAT, ReadOptions(mode="DROPMALFORMED"))
    found |= medians({"5 flat fields, one malformed record": drops.array}, bad)
    found |= medians({"5 flat fields, all malformed": drops.array}, worst)
    return found


if __name__ == "__main__":
    main()
