"""Which rows are the same: 16-byte digests of rows, and compact counts of them.

    >>> batch = pa.record_batch({"id": [1, 1, 2]})
    >>> Occurrences().number(row_digests(batch))
    [0, 1, 0]

A digest stands in response logs and idempotency keys, so it may never change: the tests hold literal ones.
It is BLAKE2b (RFC 7693) with 16 bytes over the row as `to_json` writes it with its defaults, UTF-8, nulls kept,
without a separator. Where that has no words for a value, or might one day choose others, something else stands there:
a float is its IEEE 754 bits as a double, read as a signed integer, with one NaN for all; a timestamp or date outside
the years 0001 to 9999 is its count since 1970; bytes of a string that are no UTF-8 stay as they are; a damaged Variant
is the base64 of its two parts.

So names and the order of columns matter; batch boundaries, slices, the zone a timestamp is shown in, and whether Arrow
says string, large_string or dictionary do not. `0.0` and `-0.0` differ, as do null, `""` and a missing column.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trunkline.values.scalars import JsonOptions
from trunkline.values.strings import bytes_of
from trunkline.values.to_json import JsonRows, check_schema, write

_SIZE = 16


def row_digests(batch: pa.RecordBatch, encoded: JsonRows | None = None) -> list[bytes]:
    """The digest of each row, over all columns of the batch.

    Args:
        batch: The rows.
        encoded: These rows as `encode` gave them for this very batch, whichever the options; used instead of writing
            them again where that makes no difference (`encoded.lossless`).

    Raises:
        OptionError: The schema cannot be written: see `check_schema`.
    """
    if encoded is not None and encoded.lossless:
        data, offsets = encoded.data, encoded.offsets
    else:
        check_schema(batch.schema)
        ends, values = bytes_of(write(batch, JsonOptions(), None))
        data, offsets = values.data, ends.tolist()
    return [blake2b(data[a : b - 1], digest_size=_SIZE).digest() for a, b in itertools.pairwise(offsets)]


class Occurrences:
    """Numbers equal digests over a whole partition: the first is 0, the next equal one 1.

    >>> seen = Occurrences()
    >>> seen.number([b"a" * 16, b"a" * 16]), seen.number([b"b" * 16, b"a" * 16])
    ([0, 1], [0, 2])

    Takes 20 bytes for each distinct digest, and as much again for a moment when it grows.
    """

    def __init__(self) -> None:
        self._counts = _Counts()

    def number(self, digests: Sequence[bytes]) -> list[int]:
        """How many equal digests came before each of these, in earlier calls and in this one."""
        keys, inverse, rank, times = _grouped(digests)
        before = self._counts.change(keys, times)
        return (before[inverse] + rank).tolist()  # type: ignore[no-any-return]


class DigestBag:
    """A multiset of digests to take from: what was already accepted, each as often as it was.

    >>> bag = DigestBag()
    >>> bag.add([b"a" * 16])
    >>> bag.take([b"a" * 16, b"a" * 16])
    [True, False]

    Takes 20 bytes for each distinct digest, and as much again for a moment when it grows.
    """

    def __init__(self) -> None:
        self._counts = _Counts()

    def add(self, digests: Sequence[bytes]) -> None:
        """Put digests into the bag, each once for every time it is given."""
        keys, _, _, times = _grouped(digests)
        self._counts.change(keys, times)

    def take(self, digests: Sequence[bytes]) -> list[bool]:
        """Take digests out: for each of these, whether one was in the bag and is now gone from it."""
        keys, inverse, rank, times = _grouped(digests)
        held = self._counts.change(keys, -times)
        return (rank < held[inverse]).tolist()  # type: ignore[no-any-return]


class _Keys(NamedTuple):
    """Digests as two columns of 64-bit integers, sorted by the first: that is many times quicker than bytes."""

    first: NDArray[Any]
    second: NDArray[Any]


class _Counts:
    """Counts by digest in sorted runs; neighbours of like size become one, so there are few and most are long."""

    def __init__(self) -> None:
        self._runs: list[tuple[_Keys, NDArray[Any]]] = []

    def change(self, keys: _Keys, by: NDArray[Any]) -> NDArray[Any]:
        """Add to the counts of distinct keys, or take away, down to 0; returns what the counts were."""
        before = np.zeros(len(by), np.int64)
        new = by > 0
        for run, numbers in self._runs:
            at, found = _look_up(run, keys)
            at = at[found]
            before[found] = numbers[at]
            numbers[at] = np.maximum(before[found] + by[found], 0)
            new &= ~found
        if new.any():
            self._runs.append((_Keys(keys.first[new], keys.second[new]), by[new].astype(np.uint32)))
        while len(self._runs) > 1 and len(self._runs[-2][1]) <= 4 * len(self._runs[-1][1]):
            (b, b_numbers), (a, a_numbers) = self._runs.pop(), self._runs.pop()
            order = np.argsort(np.concatenate((a.first, b.first)), kind="stable")
            merged = _Keys(*(np.concatenate(pair)[order] for pair in zip(a, b, strict=True)))
            self._runs.append((merged, np.concatenate((a_numbers, b_numbers))[order]))
        return before


def _look_up(run: _Keys, keys: _Keys) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where each key stands in a run, and whether it does."""
    at = np.searchsorted(run.first, keys.first)
    last = len(run.first) - 1
    while True:
        inside = np.minimum(at, last)
        like = (at <= last) & (run.first[inside] == keys.first)
        found = like & (run.second[inside] == keys.second)
        if (like == found).all():
            return inside, found
        # Another digest with the same first half: the one looked for can only stand behind it.
        at += like & ~found


def _grouped(digests: Sequence[bytes]) -> tuple[_Keys, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The distinct keys; of each digest its key's index and how many equal ones stand before it; the keys' counts."""
    halves = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    ordered = halves[order]
    starts = np.ones(len(ordered), bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.cumsum(starts) - 1
    begins = np.flatnonzero(starts)
    times = np.diff(np.append(begins, len(ordered)))
    inverse, rank = np.empty(len(ordered), np.int64), np.empty(len(ordered), np.int64)
    inverse[order] = group
    rank[order] = np.arange(len(ordered)) - begins[group]
    distinct = ordered[begins]
    return _Keys(distinct[:, 0].copy(), distinct[:, 1].copy()), inverse, rank, times
