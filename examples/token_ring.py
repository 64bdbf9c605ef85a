"""A data source that reads a token ring over HTTP: each task takes ranges of tokens, together they hold every row once.

    spark.dataSource.register(TokenRingDataSource)
    spark.read.format("token_ring").option("url", "https://ring.example.com").option("numPartitions", 8).load()

A store such as Cassandra places each row at a token, a hash of its key, and each node at some tokens of its own; a node
holds the rows after the token before its own, up to and with its own. An API before it might answer:

    GET /ring                                {"tokens": [-4611686018427387904, 0, 4611686018427387904]}
    GET /rows?after=0&upto=461               {"rows": [{"token": 17, "id": 4, "name": "Ann"}], "next": "b2Zm"}
    GET /rows?after=0&upto=461&cursor=b2Zm   {"rows": [{"token": 461, "id": 9, "name": "Bob"}], "next": null}

Cuts lie at the tokens of the nodes, so that a node serves a range alone, and between them where ranges are wide.

References: references/partitioning-patterns.md.
"""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

# Tokens of Cassandra's Murmur3Partitioner: 64 bits with a sign.
FIRST, LAST = -(2**63), 2**63 - 1
_RING = 2**64
_TIMEOUT = 60


class TokenRange(NamedTuple):
    """Tokens above `after`, up to and with `upto`; None: from the first, up to the last there is."""

    after: int | None
    upto: int | None


def ring_splits(tokens: Iterable[int], parts: int) -> list[tuple[TokenRange, ...]]:
    """The ring in `parts` neighbourhoods of much the same width, which together hold every token once.

        ring_splits([-100, 100], 1)
        # [(TokenRange(-100, 100), TokenRange(100, None), TokenRange(None, -100))]

    Args:
        tokens: Of the nodes, in any order. None at all: one node that holds the ring.
        parts: How many are wanted, at least 1; none of them is wider than twice its even share.

    Raises:
        ValueError: A token is not on the ring.
    """
    nodes = sorted(set(tokens))
    if nodes and not FIRST <= nodes[0] <= nodes[-1] <= LAST:
        raise ValueError(f"tokens are from {FIRST} to {LAST}")
    start = nodes[0] if nodes else FIRST - 1
    ends = [*nodes[1:], LAST, *([start] if nodes else [])]
    begins = [start, *nodes[1:], FIRST - 1]
    widest = _RING // parts
    found: list[list[TokenRange]] = [[] for _ in range(parts)]
    walked = 0
    # The last node's range goes over the end of the ring to the first node: (last, LAST] and [FIRST, first].
    for low, high in zip(begins, ends, strict=False):
        pieces = -(-(high - low) // widest)
        cuts = [low + (high - low) * piece // pieces for piece in range(pieces + 1)] if pieces else []
        for after, upto in itertools.pairwise(cuts):
            bounds = TokenRange(None if after < FIRST else after, None if upto == LAST else upto)
            found[walked * parts // _RING].append(bounds)
            walked += upto - after
    return [tuple(ranges) for ranges in found]


class TokenRingDataSource(DataSource):
    """`format("token_ring")` with the options `url` and `numPartitions` (8)."""

    @classmethod
    def name(cls) -> str:
        """The short name after `format`."""
        return "token_ring"

    def schema(self) -> str:
        """Where the user gives none."""
        return "token LONG, id LONG, name STRING"

    def reader(self, schema: StructType) -> TokenRingReader:
        """For `spark.read`."""
        return TokenRingReader(self.options["url"].rstrip("/"), int(self.options.get("numPartitions", "8")), schema)


class RingPartition(InputPartition):
    """What one task reads."""

    def __init__(self, ranges: tuple[TokenRange, ...]) -> None:
        super().__init__(None)
        self.ranges = ranges


class TokenRingReader(DataSourceReader):
    """Asks for the ring once, on the driver, and for the rows of a range in a task."""

    def __init__(self, url: str, parts: int, schema: StructType) -> None:
        self._url, self._parts = url, parts
        self._schema = to_arrow_schema(schema)

    def partitions(self) -> list[InputPartition]:
        """One for each neighbourhood of the ring."""
        tokens = _answer(f"{self._url}/ring")["tokens"]
        return [RingPartition(ranges) for ranges in ring_splits(tokens, self._parts)]

    def read(self, partition: RingPartition) -> Iterator[pa.RecordBatch]:  # type: ignore[override]
        """A batch for each page of each range."""
        for after, upto in partition.ranges:
            params = {name: bound for name, bound in (("after", after), ("upto", upto)) if bound is not None}
            cursor = None
            while True:
                page = _answer(f"{self._url}/rows?{urlencode(params | ({'cursor': cursor} if cursor else {}))}")
                yield pa.RecordBatch.from_pylist(page["rows"], self._schema)
                if page["next"] is None:
                    break
                if page["next"] == cursor:
                    raise RuntimeError(f"the cursor of {self._url}/rows stands still")
                cursor = page["next"]


def _answer(url: str) -> dict[str, Any]:
    """The JSON of an address. Anything but a 2xx raises, and Spark runs the task again."""
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
        return json.load(answer)  # type: ignore[no-any-return]
