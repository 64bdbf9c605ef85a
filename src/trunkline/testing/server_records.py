"""What a fault server has seen: its ledger, the rows it keeps, the tokens it gave out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from trunkline.testing.ledger import Exchange, exchange
from trunkline.testing.server_life import ServerLife


class ServerRecords(ServerLife):
    """What came, and what became of it."""

    def ledger(
        self,
        request: str | None = None,
        *,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        origin: str | None = None,
    ) -> list[Exchange]:
        """The requests that came, in order; `request` is "POST /rows" or "/rows" for short.

        A path is the one sent or the one of the route that answered ("/users/{id}").
        """
        records = self._process.rows("ledger", **_narrow(request, method, path, status, origin))
        return [exchange(record) for record in records]

    def follow(self) -> Iterator[Exchange]:
        """Each request when it is over, from this call on; ends when the server does."""
        return map(exchange, self._process.follow())

    def count(
        self,
        request: str | None = None,
        *,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        origin: str | None = None,
    ) -> int:
        """How many requests `ledger` would give."""
        return int(self._process.call("count", **_narrow(request, method, path, status, origin)))

    def wait_for(self, request: str, times: int = 1, timeout: float = 60.0, status: int | None = None) -> None:
        """Wait until so many such requests have come; TimeoutError otherwise."""
        end = time.monotonic() + timeout
        while (seen := self.count(request, status=status)) < times:
            if time.monotonic() > end:
                raise TimeoutError(f"{request}: {seen} of {times} requests after {timeout:g} s")
            time.sleep(0.005)

    def stored(self, path: str) -> list[Any]:
        """The rows kept under a path (or `into`), in the order they came, repeated ones included."""
        return self._process.rows("stored", path=path)

    def latest(self, path: str) -> dict[Any, Any]:
        """The latest row per key, for a route with `store={"key": ...}`; keys of several columns are tuples."""
        keys = ((json.loads(key), row) for key, row in self._process.rows("latest", path=path))
        return {tuple(key) if isinstance(key, list) else key: row for key, row in keys}

    def overwrites(self, path: str) -> list[tuple[Any, Any, Any]]:
        """Each time an older version came after a newer one: (key, version that stood, version that came)."""
        return [(key, stood, came) for key, stood, came in self._process.call("overwrites", path=path)]

    def stats(self) -> dict[str, Any]:
        """`requests`, `in_flight`, `max_in_flight`, `connections` (ever made), `open_connections`, `errors` inside."""
        return dict(self._process.call("stats"))

    @property
    def max_in_flight(self) -> int:
        """The most requests open at once; meaningful for steps with a `delay`, others are answered at once."""
        return int(self.stats()["max_in_flight"])

    def rows(self, path: str) -> list[Any]:
        """The rows of a dataset as they are now."""
        return self._process.rows("rows", name=path)

    def served(self, path: str) -> list[Any]:
        """The ids of the rows of a dataset that went out in whole answers, in order, as often as they did."""
        return self._process.rows("served", name=path)

    def issued(self, path: str = "/token") -> list[str]:
        """The access tokens issued, in order."""
        return list(self._process.call("issued", path=path))


def _narrow(
    request: str | None, method: str | None, path: str | None, status: int | None, origin: str | None
) -> dict[str, Any]:
    if request is not None:
        first, _, second = request.partition(" ")
        method, path = (first, second) if second else (method, first)
    return {"method": method, "path": path, "status": status, "origin": origin}
