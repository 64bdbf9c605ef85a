"""Who a row is: so that what was accepted is not sent again, and an old version never follows a new one.

A row of a partition is its digest and its number among equal rows: two equal rows are two rows, and their order, which
a shuffle changes, does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from trunkline.rest.report import Counts
from trunkline.rest.rows import Chunk, RequestBuilder
from trunkline.values import DigestBag, Occurrences, row_digests

_DIGEST_SIZE = 16
_KEY_TAKEN = (
    "another row of this partition has the same keyColumns and so the same idempotency key: a server would take one "
    "of them for a repeat and drop it; make keyColumns unique, or name the version in orderColumn"
)


class Identities:
    """Turns the batches of one partition into chunks of the rows that are still to be sent.

    Args:
        builder: Makes the chunks.
        counts: Where rows that are not sent are counted.
        identify: Whether digests are wanted at all; they cost about a microsecond a row.
        keyed: Whether rows travel under an idempotency key made of `keyColumns`, which only one row may have.
        order: The column that tells versions of a key apart, None where none is kept in order.
    """

    def __init__(
        self, builder: RequestBuilder, counts: Counts, *, identify: bool, keyed: bool, order: str | None
    ) -> None:
        self._builder = builder
        self._counts = counts
        self._identify = identify
        self._order = order
        self._occurrences = Occurrences()
        self._accepted: DigestBag | None = None
        self._unknown: DigestBag | None = None
        self._learned: DigestBag | None = None
        self._learning = Occurrences()
        self._keyed = keyed
        self._keys_used = Occurrences()
        self._newest: dict[bytes, Any] = {}

    def leave_out(self, accepted: pa.Table, unknown: pa.Table | None = None) -> None:
        """Do not send these rows of earlier attempts again: `row_digest` and `occurrence` of each, each pair once.

        Args:
            accepted: Counted as skipped.
            unknown: May have been accepted; counted as of unknown outcome.
        """
        self._accepted = _bag(accepted)
        self._unknown = None if unknown is None else _bag(unknown)
        self._learned = _bag(accepted)

    @property
    def must_learn(self) -> bool:
        """Whether all rows must be seen before the first is sent: what was sent earlier decides what may follow."""
        return self._learned is not None and self._builder.keyed and (self._keyed or self._order is not None)

    def learn(self, batch: pa.RecordBatch) -> None:
        """Remember the keys and versions of the rows that an earlier attempt got accepted."""
        if self._learned is None:
            return
        batch = self._builder.ordered(batch)
        digests = row_digests(batch)
        done = self._learned.take(_combined(digests, self._learning.number(digests)))
        batch, _, _ = _without(batch, [not one for one in done], [], [])
        keys, names = self._builder.keys_of(batch)
        if self._keyed and names is not None:
            self._keys_used.number(names)
        if self._order is not None and keys is not None:
            self._outdated(keys, batch.column(self._order))

    def chunk(self, batch: pa.RecordBatch) -> tuple[Chunk, Chunk | None]:
        """What is to be sent of a batch, and what is not because a newer version of its key was."""
        batch = self._builder.ordered(batch)
        digests: list[bytes] = []
        occurrences: list[int] = []
        chunk: Chunk | None = None
        if self._identify:
            if self._accepted is None and self._unknown is None and self._order is None:
                # All of these rows go out: they are written once, for the bodies and for the digests.
                chunk = self._builder.chunk(batch)
            digests = row_digests(batch, None if chunk is None else self._builder.whole_rows(chunk))
            occurrences = self._occurrences.number(digests)
            if self._accepted is not None:
                done = self._accepted.take(_combined(digests, occurrences))
                self._counts.skipped += sum(done)
                batch, digests, occurrences = _without(batch, done, digests, occurrences)
            if self._unknown is not None:
                done = self._unknown.take(_combined(digests, occurrences))
                self._counts.ambiguous += sum(done)
                batch, digests, occurrences = _without(batch, done, digests, occurrences)
        outdated_chunk = None
        if self._order is not None:
            keys, _ = self._builder.keys_of(batch)
            outdated = self._outdated(keys or [], batch.column(self._order))
            if any(outdated):
                self._counts.superseded += sum(outdated)
                outdated_chunk = _chunk_of(*_without(batch, [not one for one in outdated], digests, occurrences))
                batch, digests, occurrences = _without(batch, outdated, digests, occurrences)
        if chunk is None:
            chunk = self._builder.chunk(batch)
        chunk.digests, chunk.occurrences = digests, occurrences
        if self._keyed and chunk.names is not None:
            for row, number in enumerate(self._keys_used.number(chunk.names)):
                if number:
                    chunk.refused.setdefault(row, _KEY_TAKEN)
        return chunk, outdated_chunk

    def _outdated(self, keys: Sequence[bytes], order: pa.Array) -> list[bool]:
        """Which rows come after a newer version of their key went out: sending them would undo it."""
        outdated = []
        for key, version in zip(keys, order.to_pylist(), strict=True):
            newest = self._newest.get(key)
            old = newest is not None and (version is None or version < newest)
            outdated.append(old)
            if not old and version is not None:
                self._newest[key] = version
        return outdated


def _chunk_of(batch: pa.RecordBatch, digests: list[bytes], occurrences: list[int]) -> Chunk:
    """Rows that are recorded and not sent."""
    chunk = Chunk(batch)
    chunk.digests, chunk.occurrences = digests, occurrences
    return chunk


def _bag(settled: pa.Table) -> DigestBag | None:
    if not settled.num_rows:
        return None
    bag = DigestBag()
    bag.add(_combined(settled["row_digest"].to_pylist(), settled["occurrence"].to_pylist()))
    return bag


def _combined(digests: Sequence[bytes], occurrences: Sequence[int]) -> list[bytes]:
    """One value for a digest and its number, the digest itself for the first."""
    return [
        digest if not number else (int.from_bytes(digest, "big") ^ number).to_bytes(_DIGEST_SIZE, "big")
        for digest, number in zip(digests, occurrences, strict=True)
    ]


def _without(
    batch: pa.RecordBatch, dropped: Sequence[bool], digests: list[bytes], occurrences: list[int]
) -> tuple[pa.RecordBatch, list[bytes], list[int]]:
    """The rows that are not dropped."""
    if not any(dropped):
        return batch, digests, occurrences
    kept = [row for row, drop in enumerate(dropped) if not drop]
    batch = batch.take(pa.array(kept, pa.int64()))
    if not digests:
        return batch, digests, occurrences
    return batch, [digests[row] for row in kept], [occurrences[row] for row in kept]
