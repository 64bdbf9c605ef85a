"""The state of a fault server: routes, stores and ledger, and how they answer one request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trunkline.testing.answers import Answer, json_answer
from trunkline.testing.datasets import Dataset
from trunkline.testing.faults import READABLE
from trunkline.testing.ledger import ELAPSED, FAULT, MALFORMED, NO_STEP_LEFT, ROUTE, STATUS, STORED, Record
from trunkline.testing.oauth import TokenEndpoint
from trunkline.testing.protocol import Connection
from trunkline.testing.routes import Route, Shared, Step
from trunkline.testing.store import Collection
from trunkline.testing.wire import Request

ORIGINS = ("main", "other", "tls")
ACCEPT_MODES = ("accept", "refuse", "reset", "hang")


class Reply:
    """What to send for one request, and where to write down that it was sent."""

    __slots__ = (
        "answer", "close", "delay", "fault", "head_only", "interval", "keep", "record", "retry_after", "route",
        "seconds", "skew", "started", "wait",
    )  # fmt: skip

    def __init__(self, answer: Answer, record: Record, request: Request, started: float, step: Step | None) -> None:
        self.answer = answer
        self.record = record
        self.started = started
        self.route: Route | None = None
        self.head_only = request.method == "HEAD"
        self.close = request.version == "HTTP/1.0" or request.headers.get("connection", "").lower() == "close"
        self.delay, self.fault, self.retry_after, self.wait, self.skew = 0.0, None, None, 0.0, 0.0
        if step is not None:
            self.delay, self.fault, self.interval, self.keep = step.delay(), step.fault, step.interval, step.keep
            self.retry_after, self.skew, self.seconds = step.retry_after, step.skew, step.seconds
            if isinstance(step.detail, float):
                self.wait = step.detail

    def record_status(self, status: int | None) -> None:
        """Note the status line that went out, None when none did."""
        self.record[STATUS] = status


class App:
    """Everything the control connection sets up and the connections of clients meet."""

    def __init__(self, refuse: Callable[[str, float], None], ended: Callable[[Record], None]) -> None:
        # Take an origin away for so many seconds: the listeners belong to the process.
        self.refuse = refuse
        # Told of each request when it is over.
        self._ended = ended
        self.connections: set[Connection] = set()
        # origin -> (mode, how many connections it still holds for; None: for ever)
        self.modes: dict[str, tuple[str, int | None]] = dict.fromkeys(ORIGINS, ("accept", None))
        self.errors: list[str] = []
        self.in_flight = 0
        self._declared: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = []
        self._token_options: dict[str, dict[str, Any]] = {}
        self._row_options: dict[str, dict[str, Any]] = {}
        # origin -> address, once the process has opened them
        self.urls: dict[str, str] = {}
        self.clear()

    def clear(self) -> None:
        """Forget what happened: the ledger, rows, tokens and counts; the routes stay and start over."""
        self.records: list[Record] = []
        self.collections: dict[str, Collection] = {}
        # Requests still open stay open, and are counted down when they end.
        self.max_in_flight = self.in_flight
        self.opened_connections = 0
        self.errors.clear()
        self._shared = Shared(self.urls)
        self._exact: dict[tuple[str, str], list[Route]] = {}
        self._patterns: list[Route] = []
        for path, options in self._token_options.items():
            self._shared.token_endpoints[path] = TokenEndpoint(options)
        for path, options in self._row_options.items():
            self._shared.datasets[path] = Dataset(options)
        for name, steps, route_options in self._declared:
            self._add(Route(name, steps, self._shared, route_options))

    def declare(self, name: str, steps: list[dict[str, Any]], options: dict[str, Any]) -> None:
        """Add a route; one with the same name and origin is replaced.

        Raises:
            ValueError: naming the route and the step that cannot be.
        """
        if options.get("origin") not in (None, *ORIGINS):
            raise ValueError(f"origin {options['origin']!r}: expected one of {', '.join(ORIGINS)}")
        route = Route(name, steps, self._shared, options)
        same = (name, options.get("origin"))
        self._declared = [d for d in self._declared if (d[0], d[2].get("origin")) != same]
        self._declared.append((name, steps, options))
        self._add(route)

    def declare_tokens(self, path: str, options: dict[str, Any], steps: list[dict[str, Any]]) -> None:
        """Add a token endpoint, behind the steps that answer before it does."""
        endpoint = TokenEndpoint(options)
        self.declare(f"POST {path}", [*steps, {"token_endpoint": path}], {})
        self._token_options[path] = options
        self._shared.token_endpoints[path] = endpoint

    def declare_rows(self, name: str, options: dict[str, Any]) -> None:
        """Add rows that steps with a `dataset` serve; those under the same name are replaced."""
        self._shared.datasets[name] = Dataset(options)
        self._row_options[name] = options

    def dataset(self, name: str) -> Dataset:
        """The rows under a name; ValueError when there are none."""
        if name not in self._shared.datasets:
            raise ValueError(f"no rows are declared under {name!r}")
        return self._shared.datasets[name]

    def tokens(self, path: str) -> TokenEndpoint:
        """The token endpoint at a path; ValueError when there is none."""
        if path not in self._shared.token_endpoints:
            raise ValueError(f"no token endpoint at {path}")
        return self._shared.token_endpoints[path]

    def serve(self, request: Request, origin: str, connection: int) -> Reply:
        """Decide the answer to a request and write it into the ledger."""
        now = time.monotonic()
        request.origin = origin
        record: Record = [
            now, time.time(), None, request.head, request.body, None, None, None, False, connection, origin,
        ]  # fmt: skip
        self.records.append(record)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        route = self._find(request, origin)
        if route is None:
            return Reply(json_answer(404, {"error": "no such route"}), record, request, now, None)
        if route.seen == 0:
            route.first_at = now
        route.seen += 1
        route.in_flight += 1
        record[ROUTE] = route.name
        try:
            step = route.choose(request, now)
            if step is None:
                record[FAULT] = NO_STEP_LEFT
                answer = json_answer(404, {"error": NO_STEP_LEFT})
            else:
                record[FAULT] = step.fault
                answer = self._respond(request, route, step, record, now)
        except ValueError as error:
            # The body is not what its headers say.
            step, answer = None, json_answer(400, {"error": str(error)})
            record[FAULT] = f"{MALFORMED}: {error}"
        reply = Reply(answer, record, request, now, step)
        reply.route = route
        return reply

    def finished(self, reply: Reply, answered: bool = False) -> None:
        """The reply is over: written whole when `answered`, else broken off."""
        if answered:
            reply.record[ELAPSED] = time.monotonic() - reply.started
            page = reply.answer.page
            if page is not None and not reply.head_only and reply.fault in (None, *READABLE):
                page.dataset.sent(page)
        self.in_flight -= 1
        if reply.route is not None:
            reply.route.in_flight -= 1
        self._ended(reply.record)

    def note(
        self, head: bytes, body: bytes, fault: str, origin: str, connection: int, status: int | None = None
    ) -> None:
        """Write down a request that never became one."""
        record = [time.monotonic(), time.time(), None, head, body, status, None, fault, False, connection, origin]
        self.records.append(record)
        self._ended(record)

    def opened(self, connection: Connection) -> int:
        """A connection was made; returns its number."""
        self.connections.add(connection)
        self.opened_connections += 1
        return self.opened_connections

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)

    def accept_mode(self, origin: str) -> str:
        """How the connection just made is treated."""
        mode, times = self.modes[origin]
        if times is not None:
            self.modes[origin] = (mode, times - 1) if times > 1 else ("accept", None)
        return mode

    def collection(self, name: str) -> Collection:
        """The rows stored under a name, none so far when it is new."""
        return self.collections.setdefault(name, Collection())

    def _respond(self, request: Request, route: Route, step: Step, record: Record, now: float) -> Answer:
        store = route.store
        if store is None or not step.store:
            return step.respond(request, route, now)[0]
        collection = self.collection(store.into or route.path)
        if store.dedupe:
            replayed = collection.replay(request, store)
            if replayed is not None:
                return replayed
        answer, accepted = step.respond(request, route, now)
        refusal = collection.keep(request, store, route.items, accepted)
        if refusal is not None:
            return refusal
        record[STORED] = True
        if store.dedupe:
            collection.remember(request, store, answer)
        return answer

    def _add(self, route: Route) -> None:
        if route.pattern is not None:
            self._patterns = [r for r in self._patterns if (r.name, r.origin) != (route.name, route.origin)]
            self._patterns.append(route)
            return
        known = self._exact.get((route.method, route.path), [])
        self._exact[route.method, route.path] = [*(r for r in known if r.origin != route.origin), route]

    def _find(self, request: Request, origin: str) -> Route | None:
        """A route with this very path, else the first pattern that fits; one bound to the origin goes first."""
        for method in (request.method, "*"):
            found = None
            for route in self._exact.get((method, request.path), ()):
                if route.origin == origin:
                    return route
                if route.origin is None:
                    found = route
            if found is not None:
                return found
        for route in self._patterns:
            if route.method in (request.method, "*") and route.origin in (None, origin):
                assert route.pattern is not None
                match = route.pattern.fullmatch(request.path)
                if match is not None:
                    request.params = match.groupdict()
                    return route
        return None
