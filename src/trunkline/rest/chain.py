"""The pages of one row's answer: asked for one after the other, and put together.

    chain = Chain(options, request, clean)
    request = chain.first()
    while (request := chain.take(exchange)) is not None: ...
    chain.body()                # the records of all pages as one JSON array

Many chains go on at once; each is complete or an error. Where links may lead is kept by `page_request`.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from trunkline.errors import ResponseError
from trunkline.http.message import Exchange, Request
from trunkline.options import Options
from trunkline.rest.page_opener import MOST_REDIRECTS, REDIRECTS, PageOpener
from trunkline.rest.page_request import PageRequests
from trunkline.rest.paging import Ask, Walk, paging_of


class Chain:
    """One row's pages.

    Args:
        options: Resolved, with `pagination` and `page.*`.
        request: The row's request, without anything of pages.
        clean: Cuts credentials out of errors.

    Raises:
        ResponseError: The body, into which page parameters go, is no JSON object.
    """

    def __init__(self, options: Options, request: Request, clean: Callable[[str], str]) -> None:
        # The row has filled its places; its headers are added to what the pages add.
        own = {"url": request.url, "params": None, "headers": None, "prepare": None, "method": request.method}
        self._requests = PageRequests(options.replaced({**own, "requestBody": _document(request)}))
        self._headers = dict(request.headers or {})
        self._opener = PageOpener(options, clean)
        self._walk = Walk(paging_of(options), max_pages=options["maxPages"])
        self._most: int = options["maxResponseBytes"]
        self._before = ""
        self._texts: list[bytes] = []
        self._size = self._redirects = 0

    def first(self) -> Request:
        """The request of the first page."""
        return self._with_headers(self._requests.first(self._ask()))

    def take(self, exchange: Exchange) -> Request | None:
        """The request that follows an answer; None at the end.

        Raises:
            ResponseError: The answer is no page, leads to where nothing may be sent, or the pages are not complete.
        """
        request = exchange.request
        if exchange.status in REDIRECTS:
            return self._redirected(exchange)
        self._redirects = 0
        page = self._opener.page(self._ask(), self._before, exchange, request.url)
        self._before = request.url
        following = self._walk.take(self._opener.answer(page, exchange))
        if page.count and page.envelope is not None:
            self._texts.append(page.envelope.records.strip()[1:-1])
            self._size += len(self._texts[-1])
        if self._size > self._most:
            raise ResponseError(
                f"the pages of a row hold more than maxResponseBytes={self._most} together: raise it, or ask for less"
            )
        return None if following is None else self._with_headers(self._requests.following(following, self._before))

    def body(self) -> bytes:
        """The records of all pages."""
        return b"[" + b",".join(self._texts) + b"]"

    def _ask(self) -> Ask:
        if self._walk.ask is None:
            raise ValueError("there is no page to ask for: the pages have ended")
        return self._walk.ask

    def _redirected(self, exchange: Exchange) -> Request:
        location = exchange.headers.get("Location")
        self._redirects += 1
        if location is None or self._redirects > MOST_REDIRECTS:
            what = "without a Location" if location is None else f"after {MOST_REDIRECTS} redirects"
            raise ResponseError(f"status {exchange.status} {what}")
        return self._with_headers(self._requests.redirected(exchange.request, location))

    def _with_headers(self, request: Request) -> Request:
        if self._headers:
            request.headers = {**self._headers, **(request.headers or {})}
        return request


def _document(request: Request) -> object:
    """The JSON object of a request's body, None where it has none."""
    if request.body is None:
        return None
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise ResponseError("the body is no JSON object, so pages cannot be asked for with it")
    return document
