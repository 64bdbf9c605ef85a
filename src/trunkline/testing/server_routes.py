"""What a fault server is told to do: its routes, token endpoints and datasets, and how it treats connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from trunkline.testing.faults import NOTHING_DONE
from trunkline.testing.names import arguments, check_names
from trunkline.testing.page_options import PAGE_OPTIONS
from trunkline.testing.server_life import ServerLife

# By these a step says what it answers, or its condition does: a refusal.
_OTHER_ANSWERS = {"status", "body", "each", "redirect", "rate", "concurrency", "bearer"}


class ServerRoutes(ServerLife):
    """How it answers."""

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
        the one that serves. Those that name no status, body or other answer serve pages too, with options changed by
        `dataset` for them:

            steps=[{"status": 503, "times": 2}, {"when": {"count": [5, 5]}, "fault": "truncate"}]
            steps=[{"when": {"count": [3, 3]}, "delay": 2}, {"when": {"count": [4, None]}, "dataset": {"cap": 7}}]

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
        # Before it is said that rows are missing: that may be the slip.
        check_names("option", options, [*arguments(self.dataset), *PAGE_OPTIONS])
        path = name.partition(" ")[2]
        data = {option: value for option, value in given.items() if value is not None}
        self._process.call("declare_rows", name=path, options=data)
        before = [_serving(step, options) for step in steps]
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

    def revoke(self, path: str = "/token", *, refresh_tokens: bool = False) -> None:
        """Make the access tokens issued so far worthless, the refresh tokens too when asked."""
        self._process.call("revoke", path=path, refresh_tokens=refresh_tokens)

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


def _serving(step: Mapping[str, Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """A step of a dataset: it serves a page, unless it says that it answers otherwise."""
    if "dataset" not in step and (_OTHER_ANSWERS & set(step) or step.get("fault") in NOTHING_DONE):
        return step
    return {**step, "dataset": {**options, **step.get("dataset", {})}}
