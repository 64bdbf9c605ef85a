"""What a task tells the driver, and what the driver makes of all tasks.

`Report` travels in the commit message of a task; `conclude` adds the reports up, checks that every row is accounted
for, and raises the one error that says what went wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from trunkline.errors import AuthError, RejectedError, ResponseLogError, TrunklineError, UnavailableError


@dataclass
class Counts:
    """Rows by what became of them, and what it took.

    `skipped` rows had been accepted in an earlier attempt; `superseded` ones came after a newer version of their key.
    """

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    ambiguous: int = 0
    exhausted: int = 0
    unsent: int = 0
    skipped: int = 0
    superseded: int = 0
    requests: int = 0
    retries: int = 0
    bytes_sent: int = 0

    def add(self, other: Counts) -> None:
        """Add another's counts to these."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    @property
    def refused(self) -> int:
        """Rows that were sent, or tried, and not accepted."""
        return self.rejected + self.ambiguous + self.exhausted


@dataclass
class Failure:
    """Why a task stopped. `kind` is `rejected`, `auth`, `unavailable`, `tls`, `log` or `internal`."""

    kind: str
    message: str
    status: int = 0
    outcome: str = "rejected"


@dataclass
class Report:
    """One task's end."""

    run_id: str
    batch_id: int | None
    partition_id: int
    nonce: str
    counts: Counts = field(default_factory=Counts)
    failure: Failure | None = None
    dead_letters: bool = False
    auth_refused: int = 0
    first_refusal: Failure | None = None
    stopped_by_sibling: bool = False
    # False where not all rows were read and sent: then some report must say why.
    complete: bool = True
    seconds: float = 0.0


_ERRORS: dict[str, type[TrunklineError]] = {
    "rejected": RejectedError,
    "auth": AuthError,
    "unavailable": UnavailableError,
    "tls": UnavailableError,
    "log": ResponseLogError,
    "internal": TrunklineError,
}


def total(reports: Sequence[Report]) -> Counts:
    """All tasks' counts together."""
    counts = Counts()
    for report in reports:
        counts.add(report.counts)
    return counts


def conclude(reports: Sequence[Report | None], max_failed_rows: int | None) -> TrunklineError | None:
    """The error of a write, None when every row was accepted, dead-lettered or skipped.

    Args:
        reports: One per task; None where a task left no message.
        max_failed_rows: How many dead letters are borne, None for any number.
    """
    known = [report for report in reports if report is not None]
    counts = total(known)
    failed = [report for report in known if report.failure is not None]
    if failed:
        # A refused row names the cause; a server that cannot be reached may only be its consequence.
        order = ["auth", "tls", "rejected", "internal", "log", "unavailable"]
        first = min(failed, key=lambda report: order.index(report.failure.kind) if report.failure else len(order))
        return _error(first.failure, counts) if first.failure else None
    if len(known) < len(reports):
        return TrunklineError(f"{len(reports) - len(known)} of {len(reports)} tasks left no report: {tell(counts)}")
    refused = next((report.first_refusal for report in known if report.first_refusal), None)
    unauthorized = [report for report in known if report.auth_refused]
    if unauthorized:
        refusal = unauthorized[0].first_refusal
        detail = f". The first: {refusal.message}" if refusal else ""
        message = f"the credential was refused for {_rows(sum(report.auth_refused for report in unauthorized))}{detail}"
        return AuthError(f"{message}\n{tell(counts)}. Check auth.*.", status=refusal.status if refusal else None)
    if max_failed_rows is not None and counts.refused > max_failed_rows:
        detail = f" The first: {refused.message}" if refused else ""
        message = f"{_rows(counts.refused)} went to the dead letters, more than maxFailedRows={max_failed_rows}"
        return RejectedError(f"{message}.{detail}\n{tell(counts)}.", summary=asdict(counts))
    if not all(report.complete for report in known):
        return TrunklineError(f"a task stopped before its end and left no word why. {tell(counts)}")
    dead = counts.refused if all(report.dead_letters for report in known) else 0
    if counts.rows != counts.accepted + dead + counts.skipped + counts.superseded:
        return TrunklineError(f"not every row is accounted for: {tell(counts)}", summary=asdict(counts))
    return None


def tell(counts: Counts) -> str:
    """The counts in a sentence: what is zero is left out."""
    parts = [f"{counts.accepted:,} accepted"]
    names = {
        "rejected": "rejected", "ambiguous": "of unknown outcome", "exhausted": "given up after retries",
        "unsent": "not sent", "skipped": "already accepted earlier", "superseded": "superseded by a newer version",
    }  # fmt: skip
    parts += [f"{getattr(counts, name):,} {text}" for name, text in names.items() if getattr(counts, name)]
    retries = f" ({counts.retries:,} of them repeated)" if counts.retries else ""
    requests = f"{counts.requests:,} request{'' if counts.requests == 1 else 's'}"
    return f"Of {_rows(counts.rows)} read: {', '.join(parts)}; {requests}{retries}"


def summary_of(reports: Sequence[Report | None], state: str, error: str | None) -> dict[str, Any]:
    """What `summary()` gives back for one run and batch."""
    known = [report for report in reports if report is not None]
    first = known[0] if known else None
    return {
        "run_id": first.run_id if first else None,
        "batch_id": first.batch_id if first else None,
        "state": state,
        "error": error,
        "tasks": len(reports),
        "task_seconds": round(sum(report.seconds for report in known), 3),
        **asdict(total(known)),
    }


def _error(failure: Failure, counts: Counts) -> TrunklineError:
    kind = _ERRORS[failure.kind]
    details = {"status": failure.status or None, "outcome": failure.outcome, "summary": asdict(counts)}
    return kind(f"{failure.message}\n{tell(counts)}.{_cure(failure)}", **details)


def _cure(failure: Failure) -> str:
    if failure.kind == "rejected":
        return " To set refused rows aside and go on: onError=deadLetter with responses=<folder>."
    if failure.kind == "auth":
        return " Check auth.*."
    if failure.kind == "tls":
        return " Name the authority that signed the server's certificate in tls.ca."
    if failure.kind == "unavailable":
        return (
            " Run it again later; with responses=<folder>, the same runId and the same partitions "
            "it goes on where it stopped."
        )
    return ""


def _rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"
