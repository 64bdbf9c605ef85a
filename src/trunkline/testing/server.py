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

import json
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from trunkline.testing.control import ServerProcess
from trunkline.testing.expectations import Expectation, undeclared
from trunkline.testing.ledger import Exchange, exchange

if TYPE_CHECKING:
    from typing_extensions import Self

# `verify` names so many undeclared requests and counts the rest.
_NAMED = 10


class FaultServer:
    """The test's side of a fault server.

    Args:
        tls: also listen with TLS: True, or "mutual" to demand a client certificate. Needs the `openssl` program.
        strict: a request that no route or step was declared for, or that is malformed, fails `verify`.
    """

    def __init__(self, tls: bool | Literal["mutual"] = False, strict: bool = False) -> None:
        self.strict = strict
        self._tls = tls
        self._running: ServerProcess | None = None
        self._ports: dict[str, int] = {}
        self._expected: list[Expectation] = []

    def __repr__(self) -> str:
        return f"FaultServer({', '.join(f'{o}={p}' for o, p in self._ports.items()) or 'not started'})"

    def __reduce__(self) -> str:
        raise TypeError("a FaultServer stays in its test: give `server.url` to code that runs elsewhere")

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
        if self._running is not None:
            raise RuntimeError("the fault server is already started")
        self._expected.clear()
        self._running = ServerProcess(bool(self._tls), self._tls == "mutual")
        self._ports = self._running.ports

    def stop(self) -> None:
        """End the process. Asking again does nothing."""
        running, self._running = self._running, None
        self._ports = {}
        if running is not None:
            running.stop()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._running is not None and self._running.alive

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Address of the main origin, "http://127.0.0.1:PORT"."""
        return self.url_for("")

    @property
    def other_url(self) -> str:
        """The same server under another origin, for what must not follow across hosts."""
        return self.url_for("", "other")

    @property
    def tls_url(self) -> str:
        """Address of the TLS listener, "https://127.0.0.1:PORT" (its certificate also says "localhost")."""
        return self.url_for("", "tls")

    def url_for(self, path: str, origin: str = "main") -> str:
        """Address of a path on an origin: "main", "other" or "tls"."""
        return f"{'https' if origin == 'tls' else 'http'}://127.0.0.1:{self.port(origin)}{path}"

    def port(self, origin: str = "main") -> int:
        """Port of an origin."""
        if origin not in self._ports:
            cure = "pass tls=True" if origin == "tls" and self._ports else "start the server"
            raise RuntimeError(f"the fault server has no origin {origin!r}: {cure}")
        return self._ports[origin]

    @property
    def ca_file(self) -> str:
        """PEM of the authority that signed the TLS listener's certificate."""
        return str(self._process.folder / "ca.pem")

    @property
    def client_cert_file(self) -> str:
        """PEM of a client certificate the `tls="mutual"` listener accepts."""
        return str(self._process.folder / "client.pem")

    @property
    def client_key_file(self) -> str:
        """PEM of the key to `client_cert_file`, without a password."""
        return str(self._process.folder / "client.key")

    def route(
        self,
        name: str,
        steps: Sequence[Mapping[str, Any]],
        *,
        store: bool | Mapping[str, Any] = False,
        items: str = "",
        origin: str | None = None,
    ) -> None:
        """Declare how "METHOD /path" answers; a route of the same name is replaced.

        Conditions of a step, all must hold: `when`, `unless` (see conditions.py); `probability` with `seed`;
        `rate` (requests a second; holds for those beyond it; `burst`, `bucket` to share it by name; 429);
        `concurrency` (holds while more than this many are open on the route; 503); `bearer` (path of an `oauth`
        endpoint or a list of tokens; holds when the token is missing or not good; 401 with WWW-Authenticate).

        Answer of a step: `status` (200), `headers` (mapping or pairs), `body` (text, bytes or JSON), `gzip`, `chunked`
        (True or bytes per chunk), `retry_after` and `skew` (see answers.date_lines), `delay` (seconds, or [low, high]),
        `store` (True or False against the rule below), `each` (207: a status per row, list of
        {when, times, status, error, body, omit}; rows with a 2xx are stored), `wrap` (name of the field the results of
        `each` stand in), `dataset` (serve a page of rows that `dataset` declared: the fields of
        `page_options.PageOptions`, of which `rows` names them), `redirect` (to an origin, a path or an address, with
        the query of the request; 307).

        Faults: `reset` (RST, no answer), `reset_after_store`, `close_after_headers`, `close_after_answer` (without
        saying so), `truncate` (`keep` bytes of the body, default half), `drip` (a byte of the body every `interval`
        seconds), `drip_head` (of the whole answer), `hang`, `hang_body` (after `keep` bytes), `garbage`, `double_gzip`
        (announced once), `gzip_bomb` (`size` bytes decoded), `wrong_length` (`length`; default one too few), `bom`,
        `bad_utf8`, `refuse` (this request is reset and the origin refuses connections for `seconds`, see `listen`).

        Args:
            name: the path may hold `{name}` (one segment) and end in `*` (the rest); the method may be `*`.
            steps: the first step with `times` left whose conditions hold answers. `times` is 1 by default, without end
                for the last step and for steps with conditions.
            store: keep the rows of every 2xx (and of `reset_after_store`), see `stored`. A mapping says more:
                `dedupe` (an Idempotency-Key seen before gets the first answer again, 422 for another request),
                `header` (its name), `require` (400 without it), `key` (column or list of columns: keep the latest row,
                see `latest`; a DELETE removes it, 404 when there is none; columns may come from the path), `version`
                (column: an older one that comes later is noted, see `overwrites`), `guard` (and answered 409 instead),
                `into` (name to store under; default: the path of the route).
            items: dotted path to the rows inside a JSON envelope.
            origin: answer on "main", "other" or "tls" only; default all.

        Raises:
            ValueError: naming the step and what is wrong with it.
        """
        options = {"store": store, "items": items, "origin": origin}
        self._process.call("route", name=name, steps=steps, options=options)

    def oauth(
        self,
        path: str = "/token",
        *,
        clients: dict[str, str],
        users: dict[str, str] | None = None,
        refresh_tokens: list[str] | None = None,
        expires_in: float = 3600,
        lifetime: float | None = None,
        max_uses: int | None = None,
        client_auth: Literal["any", "basic", "post"] = "any",
        rotate: bool = True,
        scope: str | None = None,
        steps: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Declare an OAuth2 token endpoint; a step `{"bearer": path}` of another route then demands its tokens.

        Args:
            path: where to POST the form.
            clients: client id -> secret, for client_credentials, password and refresh_token alike.
            users: user -> password; this grant also gives a refresh token.
            refresh_tokens: refresh tokens good from the start.
            expires_in: seconds announced.
            lifetime: seconds really kept; default as announced.
            max_uses: requests a token is good for, then it counts as expired: expiry without waiting.
            client_auth: the only way clients may authenticate.
            rotate: a refresh token works once and the answer brings the next.
            scope: the only scope that is granted.
            steps: answer before the endpoint does, such as `[{"status": 503, "times": 2}]`.
        """
        given = {
            "clients": clients, "users": users, "refresh_tokens": refresh_tokens, "expires_in": expires_in,
            "lifetime": lifetime, "max_uses": max_uses, "client_auth": client_auth, "rotate": rotate, "scope": scope,
        }  # fmt: skip
        options = {name: value for name, value in given.items() if value is not None}
        self._process.call("oauth", path=path, options=options, steps=steps or [])

    def dataset(
        self,
        name: str,
        *,
        rows: Sequence[Any] | None = None,
        count: int | None = None,
        template: Any = None,
        key: str = "id",
        changes: Sequence[Mapping[str, Any]] = (),
        steps: Sequence[Mapping[str, Any]] = (),
        origin: str | None = None,
        delay: float | Sequence[float] = 0,
        gzip: bool = False,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """Declare a route that serves rows in pages.

        server.dataset("GET /items", count=250, paging="cursor", total=True)
        first = requests.get(server.url_for("/items"), params={"limit": 100}).json()
        assert (len(first["items"]), first["total"]) == (100, 250)

        A page is the answer of a step as any other, so it can be slow, cut, compressed or reset: `steps` come before
        the one that serves, and may serve themselves by `"dataset": {}`, with options changed inside:

            steps=[{"status": 503, "times": 2}, {"when": {"count": [5, 5]}, "fault": "truncate", "dataset": {}}]

        Args:
            name: as of a route; the rows are known under its path.
            rows: objects, texts, or bytes: JSON that is sent as it is (duplicate keys, wrong UTF-8). NaN and integers
                of any size go out as Python writes them.
            count: make so many rows instead, on demand.
            template: of made rows, see templates.py; default {"id": 0, "name": "item-0", "at": "2026-01-01T00:00:00Z",
                "amount": 0.0}, a second and 0.5 more for each.
            key: dotted path to the id of a row, for `served`, `update_rows`, `delete_rows`.
            changes: what happens while a client reads, list of {after, delete, update, insert, at}: once so many pages
                went out whole, delete these ids, update and insert these rows; `at` is the "front" (default), the
                "end" or a place.
            steps: before the one that serves.
            origin: answer on "main", "other" or "tls" only; default all.
            delay: seconds before each page, or [low, high].
            gzip: compress the pages.
            headers: further headers of the pages.
            **options: paging style, names, envelope, totals, filters and their flaws: the fields of
                `page_options.PageOptions`.

        Raises:
            ValueError: naming the option that cannot be.
        """
        given = {"rows": rows, "count": count, "template": template, "key": key, "changes": changes}
        path = name.partition(" ")[2]
        data = {option: value for option, value in given.items() if value is not None}
        self._process.call("declare_rows", name=path, options=data)
        before = [{**one, "dataset": {**options, **one["dataset"]}} if "dataset" in one else one for one in steps]
        last = {"delay": delay, "gzip": gzip, "headers": headers or {}, "dataset": options}
        self.route(name, [*before, last], origin=origin)

    def add_rows(self, path: str, rows: Sequence[Any], at: str | int = "end") -> None:
        """Add rows to a dataset while it is served, at the "end", the "front" or before a place."""
        self._process.call("add_rows", name=path, rows=rows, at=at)

    def update_rows(self, path: str, rows: Sequence[Any]) -> int:
        """Replace rows by their id and move them to the end, as in a feed by time of change; how many there were."""
        return int(self._process.call("update_rows", name=path, rows=rows))

    def delete_rows(self, path: str, ids: Sequence[Any]) -> int:
        """Remove rows by their id; how many there were."""
        return int(self._process.call("delete_rows", name=path, ids=ids))

    def rows(self, path: str) -> list[Any]:
        """The rows of a dataset as they are now."""
        return self._process.rows("rows", name=path)

    def served(self, path: str) -> list[Any]:
        """The ids of the rows of a dataset that went out in whole answers, in order, as often as they did."""
        return self._process.rows("served", name=path)

    def revoke(self, path: str = "/token", *, refresh_tokens: bool = False) -> None:
        """Make the access tokens issued so far worthless, the refresh tokens too when asked."""
        self._process.call("revoke", path=path, refresh_tokens=refresh_tokens)

    def issued(self, path: str = "/token") -> list[str]:
        """The access tokens issued, in order."""
        return list(self._process.call("issued", path=path))

    def listen(
        self, mode: Literal["accept", "refuse", "reset", "hang"], origin: str = "main", times: int | None = None
    ) -> None:
        """What happens to new connections of an origin.

        Args:
            mode: "accept"; "refuse" (nothing listens; open connections are reset); "reset" (accepted, then reset);
                "hang" (accepted, never read).
            origin: "main", "other" or "tls".
            times: for so many connections, then "accept" again; default until told otherwise.
        """
        self._process.call("listen", mode=mode, origin=origin, times=times)

    def drop_connections(self, origin: str | None = None) -> None:
        """Reset every open connection of an origin (None: of all), idle ones included."""
        self._process.call("drop", origin=origin)

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

    def wait_for(self, request: str, times: int = 1, timeout: float = 10.0, status: int | None = None) -> None:
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

    @property
    def _process(self) -> ServerProcess:
        if self._running is None:
            raise RuntimeError("the fault server is not started")
        return self._running


def _narrow(
    request: str | None, method: str | None, path: str | None, status: int | None, origin: str | None
) -> dict[str, Any]:
    if request is not None:
        first, _, second = request.partition(" ")
        method, path = (first, second) if second else (method, first)
    return {"method": method, "path": path, "status": status, "origin": origin}
