"""From a page to ask for to the request that asks for it, and whether a link may be followed.

    requests = PageRequests(options)
    requests.first(Ask(params=(("offset", "100"),)))     # GET https://api.example.com/users?limit=100&offset=100

Where a server leads with a next link or a redirect, the credential goes only to the host of `url` and
to `allowedHosts`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote_plus, urljoin, urlsplit, urlunsplit

from trunkline.errors import ResponseError, TrunklineError
from trunkline.http.kinds import SENSITIVE
from trunkline.http.message import Request, header_problem, origin, without_query
from trunkline.http.setup import load_door
from trunkline.options import Options
from trunkline.rest.door import problem_of
from trunkline.rest.paging import Ask
from trunkline.rest.read_rules import PLACE
from trunkline.rest.template import segment_problem

_PORTS = {"http": 80, "https": 443}
_FULL_PLACE = f"{{{PLACE}}}"


class Target(NamedTuple):
    """Where a request goes. `bare`: to another origin, without headers, credential and body."""

    url: str
    bare: bool = False


class PageRequests:
    """Builds the requests of one chain of pages.

    Args:
        options: Resolved.
        params: Set in the query of the first request, in the place of those of the same name: a window's ends.
        value: Fills `{partition}`.
    """

    def __init__(self, options: Options, params: tuple[tuple[str, str], ...] = (), value: str | None = None) -> None:
        self._method: str = options["method"]
        self._body: Mapping[str, Any] | None = options["requestBody"]
        self._url = _filled(options["url"], value)
        self._params = tuple((name, _placed(text, value)) for name, text in options["params"] or ())
        self._own = params
        self._headers = {
            name: _placed(text, value) for name, text in (options["headers"] or {}).items() if _FULL_PLACE in text
        }
        self._origin = origin(options["url"])
        self._secure = urlsplit(options["url"]).scheme == "https"
        self._allowed = frozenset(options["allowedHosts"] or ())
        # A server that builds its links of the request it got writes the key into them.
        self._key = options["auth.name"] if options["auth.type"] == "apiKey" and options["auth.in"] == "query" else None
        self._strip = options["crossOrigin"] == "stripAuth"
        self._prepare: Callable[..., Any] | None = load_door(options, "prepare")

    def first(self, ask: Ask) -> Request:
        """The request of a page that is asked for by parameters."""
        return self._made(Target(_with_params(self._url, self._params, (*self._own, *ask.params))), ask)

    def following(self, ask: Ask, came_from: str) -> Request:
        """The request of any page.

        Args:
            ask: What the paging wants.
            came_from: The URL of the page before.

        Raises:
            ResponseError: It is a link to where nothing may be sent.
        """
        if ask.url is None:
            return self.first(ask)
        return self._made(self.follow(ask.url, came_from, "the next link"), ask)

    def redirected(self, request: Request, location: str) -> Request:
        """The request of where an answer redirects to.

        Raises:
            ResponseError: Nothing may be sent there.
        """
        target = self.follow(location, request.url, "a redirect")
        if request.method != "GET":
            reason = "another method would be another request"
            raise ResponseError(f"{without_query(request.url)} redirects a {request.method}: {reason}; correct url")
        return self._made(target, Ask(headers=tuple((request.headers or {}).items())))

    def follow(self, link: str, came_from: str, what: str) -> Target:
        """Where a link leads, if it may be followed.

        Raises:
            ResponseError: It leads to another host, or from https to http.
        """
        try:
            url = urljoin(came_from, link.strip())
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            parts, port, url = urlsplit(""), None, ""
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ResponseError(f"{what} of {without_query(came_from)} is no URL: {without_query(link)[:80]!r}")
        if not (url.isascii() and url.isprintable()) or " " in url:
            url = quote(url, safe="%/:?#[]@!$&'()*+,;=~")
        url = self.without_key(urlunsplit(urlsplit(url)._replace(fragment="")))
        if self._secure and parts.scheme == "http":
            raise ResponseError(f"{what} of {without_query(came_from)} leads from https to http: {without_query(url)}")
        if parts.username or parts.password:
            raise ResponseError(f"{what} of {without_query(came_from)} holds a user name or password; not followed")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        if origin(url) == self._origin or {host, f"{host}:{port}"} & self._allowed:
            return Target(url)
        if self._strip:
            return Target(url, bare=True)
        raise ResponseError(
            f"{what} of {without_query(came_from)} leads to another host, {host}:{port}, and credentials "
            f"go to no host that was not named: add allowedHosts={host}:{port} if it is one of yours, "
            "or crossOrigin=stripAuth to ask it without them"
        )

    def without_key(self, url: str) -> str:
        """A link without the credential that `auth.in=query` put into the request it was made of."""
        bare, mark, query = url.partition("?")
        if self._key is None or not mark:
            return url
        kept = [pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) != self._key]
        return f"{bare}?{'&'.join(kept)}" if kept else bare

    def _made(self, target: Target, ask: Ask) -> Request:
        if target.bare:
            request = Request("GET", target.url)
            request.tag = target
            return request
        headers = {**self._headers, **dict(ask.headers)}
        for name, text in headers.items():
            if problem := header_problem(name, text):
                raise ResponseError(f"the page cannot be asked for: {problem}")
        body = None
        if self._method != "GET":
            document = copy.deepcopy(dict(self._body or {}))
            for path, value in ask.body:
                _set(document, path, value)
            body = json.dumps(document, separators=(",", ":")).encode()
        request = Request(self._method, target.url, headers or None, body)
        if self._prepare is not None:
            request = _prepared(self._prepare, request)
        request.tag = target
        return request


def _prepared(prepare: Callable[..., Any], request: Request) -> Request:
    """The request as the user's function leaves it; a read has no row to show it."""
    prepared = prepare(request, None)
    problem = problem_of(prepared, origin(request.url))
    if problem is not None:
        raise TrunklineError(problem)
    return prepared  # type: ignore[no-any-return]


def _with_params(url: str, params: tuple[tuple[str, str], ...], own: tuple[tuple[str, str], ...]) -> str:
    """The URL with its query, `params` and `own`; a name in `own` takes the place of every other of that name."""
    bare, _, query = url.partition("?")
    names = {name for name, _ in own}
    pairs = [pair for pair in query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in names]
    kept = [(name, text) for name, text in params if name not in names]
    pairs += [f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in (*kept, *own)]
    return f"{bare}?{'&'.join(pairs)}" if pairs else bare


def shown_query(url: str) -> str:
    """A URL for people: the values of sensitive parameters are masked."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    shown = "&".join(f"{name}={'***' if SENSITIVE.search(name) else text}" for name, text in pairs)
    return without_query(url) + (f"?{shown}" if shown else "")


def _filled(url: str, value: str | None) -> str:
    """The URL with `{partition}` filled: a path segment or a query value."""
    if value is None or _FULL_PLACE not in url:
        return url
    if _FULL_PLACE in url.partition("?")[0] and (problem := segment_problem(value)):
        raise TrunklineError(f"partition.values: {value!r} {problem}, which cannot fill a path segment")
    return url.replace(_FULL_PLACE, quote(value, safe=""))


def _placed(text: str, value: str | None) -> str:
    return text if value is None else text.replace(_FULL_PLACE, value)


def _set(document: dict[str, Any], path: str, value: object) -> None:
    """Set a field of a JSON body, making the objects on the way."""
    *parents, last = path.split(".")
    for name in parents:
        child = document.setdefault(name, {})
        if not isinstance(child, dict):
            raise TrunklineError(f"requestBody holds no object at {name}, where {path} is to be set")
        document = child
    document[last] = value
