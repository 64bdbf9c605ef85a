"""A loopback HTTP server that misbehaves on purpose, in a process of its own.

    import requests
    from trunkline.testing import FaultServer

    with FaultServer() as server:
        server.route("POST /rows", [{"status": 429, "retry_after": 1, "times": 2}, {"status": 201}], store=True)
        statuses = [requests.post(server.url_for("/rows"), json={"id": 1}).status_code for _ in range(3)]
        assert statuses == [429, 429, 201]
        assert server.stored("/rows") == [{"id": 1}]
        assert [e.status for e in server.ledger("POST /rows")] == [429, 429, 201]

A process of its own, so that Spark's worker processes reach it and a hung test cannot hang it. It listens on two
origins (`url`, `other_url`) and, when asked, on a third with TLS (`tls_url`, `ca_file`). Routes are data; the test
reads what happened from the ledger, over a control connection that never shows up in it.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Literal

from trunkline.testing.expectations import Expectation, undeclared
from trunkline.testing.server_records import ServerRecords
from trunkline.testing.server_routes import ServerRoutes

if TYPE_CHECKING:
    from typing_extensions import Self

# `verify` names so many undeclared requests and counts the rest.
_NAMED = 10


class FaultServer(ServerRoutes, ServerRecords):
    """The test's side of a fault server.

    Args:
        tls: also listen with TLS: True, or "mutual" to demand a client certificate. Needs the `openssl` program.
        strict: a request that no route or step was declared for, or that is malformed, fails `verify`.
        port: of the main origin; 0 for a free one.
    """

    def __init__(self, tls: bool | Literal["mutual"] = False, strict: bool = False, port: int = 0) -> None:
        super().__init__(tls, port)
        self.strict = strict
        self._expected: list[Expectation] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            # A test that already failed says more than what followed from it.
            if kind is None:
                self.verify()
        finally:
            self.stop()

    def start(self) -> None:
        """Start the process; RuntimeError when it does not come up."""
        self._expected.clear()
        super().start()

    def clear(self) -> None:
        """Forget what happened and what was expected; the routes stay and their steps start over."""
        self._expected.clear()
        self._process.call("clear")

    def renew(self) -> None:
        """A new server in the same process: new ports, no routes, nothing remembered; old connections are reset."""
        self._expected.clear()
        self._ports = self._process.call("renew")

    def expect(
        self,
        request: str,
        times: int | None = None,
        *,
        at_least: int | None = None,
        at_most: int | None = None,
        status: int | None = None,
    ) -> None:
        """Expect so many requests by the time `verify` runs; exactly one when nothing is said.

        server.expect("POST /rows", times=3)
        server.expect("POST /token", at_most=1, status=200)
        """
        if times is None and at_least is None and at_most is None:
            times = 1
        low = times if times is not None else at_least or 0
        self._expected.append(Expectation(request, low, times if times is not None else at_most, status))

    def verify(self) -> None:
        """AssertionError naming every expectation that is not met and, when strict, every request nobody declared."""
        if not self.alive:
            words = "it was not started" if self._running is None else self._running.last_words()
            raise RuntimeError(f"the fault server does not run: {words}")
        problems = [p for e in self._expected if (p := e.problem(self.count(e.request, status=e.status))) is not None]
        if self.strict:
            strays = [problem for one in self.ledger() if (problem := undeclared(one)) is not None]
            problems += strays[:_NAMED]
            if len(strays) > _NAMED:
                problems.append(f"and {len(strays) - _NAMED} more")
        problems += [f"error inside the fault server: {text}" for text in self.stats()["errors"]]
        if problems:
            raise AssertionError("\n  ".join(["fault server:", *problems]))
