"""The demo's API: it takes airports, has a bad day, and gives them back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from trunkline.demo.screen import Screen
from trunkline.testing import FaultServer

if TYPE_CHECKING:
    from typing_extensions import Self

# Seconds a token is good for: a write of ten seconds needs several.
TOKEN_SECONDS = 4
CLIENT = "demo"
_ROWS = "POST /airports"
PAGES = "GET /airports"
# Between two looks at the server; each takes it about a millisecond.
_LOOK_SECONDS = 0.2
_BAR = 16
# How far back the rate looks.
_RATE_SECONDS = 1.5


def bad_day(server: FaultServer, secret: str) -> None:
    """Declare what the API does."""
    server.oauth("/token", clients={CLIENT: secret}, expires_in=TOKEN_SECONDS)
    server.route(
        _ROWS,
        [
            {"bearer": "/token"},
            {"when": {"seconds": [4, 5]}, "status": 429, "retry_after": 1},
            {"probability": 0.008, "seed": 1, "status": 503},
            {
                "when": {"json": {"type": "large", "municipality": None}},
                "status": 422,
                "body": {"error": "municipality is missing"},
            },
            {"probability": 0.002, "seed": 2, "status": 201, "fault": "reset_after_store"},
            {"status": 201},
        ],
        store={"dedupe": True},
    )


def serve(server: FaultServer) -> None:
    """Hand out what was taken, in pages of 300 at most."""
    rows = sorted(server.stored("/airports"), key=lambda row: str(row["ident"]))
    server.dataset(PAGES, rows=rows, key="ident", cap=300, total=True, steps=[{"bearer": "/token"}])


class Ledger(NamedTuple):
    """What the server saw: rows kept, of how many airports, and what went wrong on the way."""

    rows: int
    airports: int
    slowed: int
    failed: int
    lost: int
    tokens: int


def ledger(server: FaultServer) -> Ledger:
    """Read the server's own account."""
    idents = Counter(row["ident"] for row in server.stored("/airports"))
    lost = sum(1 for exchange in server.ledger(_ROWS, status=None) if exchange.fault == "reset_after_store")
    tokens = len(server.issued())
    slowed, failed = server.count(_ROWS, status=429), server.count(_ROWS, status=503)
    return Ledger(idents.total(), len(idents), slowed, failed, lost, tokens)


class Progress:
    """A line that moves while Spark works: what the server says, not what the client hopes.

    with Progress(screen, server, total=5210):
        df.write...
    """

    def __init__(self, screen: Screen, server: FaultServer, total: int) -> None:
        self._screen = screen
        self._server = server
        self._total = total
        self._seen: list[tuple[float, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="trunkline-demo-progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if kind is None:
            self._screen.move(self._line(since=0.0), last=True)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if line := self._line(since=time.monotonic() - _RATE_SECONDS):
                self._screen.move(line)
            else:
                self._screen.wait("Spark prepares the write ...")

    def _line(self, since: float) -> str:
        """How far it is, with the rate since then; empty until the first request."""
        requests = self._server.count(_ROWS)
        if not requests:
            return ""
        # A row whose answer was lost is answered 201 when it comes again, so these are the rows that arrived.
        stored = self._server.count(_ROWS, status=201)
        failed = requests - stored - self._server.count(_ROWS, status=422)
        self._seen.append((time.monotonic(), requests))
        now, latest = self._seen[-1]
        then, first = next(one for one in self._seen if one[0] >= since)
        rate = f"{(latest - first) / (now - then):,.0f}/s" if now > then else ""
        filled = _BAR * min(stored, self._total) // self._total
        bar = "#" * filled + "." * (_BAR - filled)
        return f"[{bar}] {stored:,} of {self._total:,} rows  {requests:,} requests  {failed} failed  {rate}"
