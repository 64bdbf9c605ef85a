"""What the answer to several rows says to each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from trunkline.http.message import Outcome
from trunkline.http.verdict import CREDENTIAL_REFUSED, Rules, refusal_kind
from trunkline.rest.results import ResultReader, ResultsError, RowResult


class Entry(NamedTuple):
    """One row's end.

    Attributes:
        kind: Its outcome; `retry` where the answer says that another try may do better.
        status: Its own, else that of the whole answer.
        reason: Why it was not accepted.
        body: Its part of the answer, or the whole of it.
        own: Whether `body` is about this row only.
    """

    kind: str
    status: int
    reason: str
    body: bytes
    own: bool = True


def entries_of(
    reader: ResultReader, outcome: Outcome, batch: pa.RecordBatch, rows: Sequence[int], rules: Rules
) -> list[Entry] | None:
    """The entry of each row; None where the answer speaks for all of them at once.

    Args:
        reader: Knows where entries stand.
        outcome: Of the request that carried the rows.
        batch: Holds the rows.
        rows: Which of them were sent.
        rules: By what a status of an entry is judged.
    """
    exchange = outcome.exchange
    if exchange is None or outcome.kind not in {"accepted", "rejected"} or outcome.status in CREDENTIAL_REFUSED:
        return None
    if outcome.kind == "rejected" and not exchange.body:
        return None
    try:
        found = reader.entries(exchange.body, len(rows), lambda: reader.ids(batch, rows))
    except ResultsError as error:
        if outcome.kind == "rejected":
            return None
        return [Entry("ambiguous", outcome.status, str(error), exchange.body, own=len(rows) == 1)] * len(rows)
    return [_entry(outcome, result, text, rules) for result, text in found]


def _entry(outcome: Outcome, result: RowResult, text: bytes, rules: Rules) -> Entry:
    status = result.status or outcome.status
    if result.ok and outcome.kind == "accepted":
        return Entry("accepted", status, "", text)
    kind = refusal_kind(result.status, outcome.request, rules) if result.status else "rejected"
    return Entry(kind, status, result.reason or outcome.reason, text)
