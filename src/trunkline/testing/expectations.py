"""What a test expects of its fault server, and the sentences that say it did not happen."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.testing.ledger import MALFORMED, NO_STEP_LEFT, Exchange


@dataclass(frozen=True)
class Expectation:
    """Between `low` and `high` (None: no limit) requests such as "POST /rows", with this status when one is given."""

    request: str
    low: int
    high: int | None
    status: int | None

    def problem(self, seen: int) -> str | None:
        """One line when `seen` requests do not meet it, None when they do."""
        if self.low <= seen and (self.high is None or seen <= self.high):
            return None
        if self.high is None:
            number = f"at least {self.low}"
        elif self.low == self.high:
            number = str(self.low)
        else:
            number = f"{self.low} to {self.high}" if self.low else f"at most {self.high}"
        answered = "" if self.status is None else f" answered {self.status}"
        return f"expected {number} x {self.request}{answered}, got {seen}"


def undeclared(exchange: Exchange) -> str | None:
    """One line when no route or step was declared for a request or it was malformed, None when all is well."""
    fault = exchange.fault or ""
    if fault.startswith(MALFORMED):
        return f"{exchange.method} {exchange.path} on {exchange.origin}: {fault}".strip()
    if exchange.route is not None and fault != NO_STEP_LEFT:
        return None
    return f"undeclared {exchange.method} {exchange.path} on {exchange.origin}: {fault or 'no such route'}"
