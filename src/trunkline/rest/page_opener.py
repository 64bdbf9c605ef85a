"""Finds the records in answers: what makes a page of an exchange.

opener = PageOpener(options, clean)
page = opener.page(ask, came_from, exchange, url)
walk.take(opener.answer(page, exchange))
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trunkline.errors import ResponseError
from trunkline.http.message import Exchange
from trunkline.options import Options
from trunkline.rest.page_request import shown_query
from trunkline.rest.paging import Answer, Ask
from trunkline.values.envelope import Envelope, open_envelope
from trunkline.values.from_json import Decoded

# How many redirects one page may take; browsers stop at 20, curl at 50 and most libraries at 10 to 30.
MOST_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_CONTENT = 204
_NOTHING = Envelope(None, b"[]", "$")
# What stands beside records and is not one: names that tell of pages, links and the fate of the request.
_ABOUT_PAGES = re.compile(
    r"total|count|size|limit|offset|page|next|prev|more|cursor|token|link|meta|error|warn|status|success|ok$|kind|etag"
    r"|message|self|first|last|per_|result|@odata|object|url|time|date|version|request|query",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Page:
    """A page that has arrived.

    Attributes:
        ask: What it was asked for with.
        came_from: The URL of the page before, to which `ask` may be relative.
        url: Where it came from.
        body: As it came, decompressed.
        envelope: Its JSON records and what stands around them; None for other formats.
        count: Its records.
        decoded: The records, if whoever wanted the pages said how to read them, and they could be.
    """

    ask: Ask
    came_from: str
    url: str
    body: bytes
    envelope: Envelope | None
    count: int
    decoded: Decoded | None = None


class PageOpener:
    """Finds the records in the answers of one chain.

    Args:
        options: `format` and `records` say where they are.
        clean: Cuts credentials out of errors.
        decode: Reads the JSON array of a page's records.
    """

    def __init__(
        self,
        options: Options,
        clean: Callable[[str], str],
        decode: Callable[[bytes], Decoded | None] | None = None,
    ) -> None:
        self._options = options
        self._clean = clean
        self._decode = decode
        self._json = options["format"] == "json"
        self._records: str | None = options["records"]

    def page(self, ask: Ask, came_from: str, exchange: Exchange, url: str) -> Page:
        """The page that an answer holds.

        Args:
            ask: What it was asked for with.
            came_from: The URL of the page before.
            exchange: The answer.
            url: Where it came from.

        Raises:
            ResponseError: It holds none.
        """
        body = exchange.body
        if not self._json:
            return Page(ask, came_from, url, body, None, self._counted(body))
        if exchange.status == _NO_CONTENT and not body:
            return Page(ask, came_from, url, body, _NOTHING, 0)
        try:
            envelope = open_envelope(body, self._records)
            if self._records is None:
                self._pin(envelope)
            decoded = None if self._decode is None else self._decode(envelope.records)
            count = envelope.count if decoded is None else len(decoded.rows)
            return Page(ask, came_from, url, body, envelope, count, decoded)
        except ResponseError as error:
            kind = exchange.headers.get("Content-Type")
            said = f", status {exchange.status}" + (f", {kind}" if kind else "")
            text = self._clean(f"{exchange.request.method} {shown_query(url)}{said}: {error}")
            raise ResponseError(text) from None

    def answer(self, page: Page, exchange: Exchange) -> Answer:
        """What the walk is told of a page."""
        envelope, count = page.envelope, page.count
        records = page.body if envelope is None else envelope.records
        # A keyed hash of 64 bits tells the pages of one chain apart at a fifth of what a digest costs.
        fingerprint = b"%d:%d" % (hash(records), len(records)) if count else b""
        if envelope is not None:
            return Answer(page.url, exchange.headers, envelope.document, count, envelope.last, fingerprint)
        return Answer(page.url, exchange.headers, None, count, lambda: _last_line(page.body), fingerprint)

    def _pin(self, envelope: Envelope) -> None:
        """Take the records of all pages from where those of the first were found.

        Raises:
            ResponseError: The only list is empty, and the answer might as well be one record that has an empty list.
        """
        if envelope.count:
            self._records = envelope.path
        elif isinstance(envelope.document, dict) and envelope.path != "$":
            others = [name for name in envelope.document if name != envelope.path and not _ABOUT_PAGES.search(name)]
            if others:
                raise ResponseError(
                    f"{envelope.path} is empty beside {', '.join(others[:5])}: no records, or one record with an empty "
                    f"list? Set records={envelope.path} or records=$"
                )

    def _counted(self, body: bytes) -> int:
        """The records of an answer that is no JSON: what its decoder will make of it."""
        options = self._options
        kind = options["format"]
        if kind == "binary":
            return 1
        lines = body.replace(b"\r\n", b"\n").split(b"\n")
        if kind == "text":
            return len(lines) - (not lines[-1])
        if kind == "csv" and b'"' in body:
            # A field in quotes may hold line breaks.
            text = io.StringIO(body.decode("utf-8-sig", "replace"), newline="")
            count = sum(1 for fields in csv.reader(text, delimiter=options["csv.separator"]) if fields)
        else:
            count = sum(1 for line in lines if (line if kind == "csv" else line.strip()))
        return max(0, count - 1) if kind == "csv" and options["csv.header"] else count


def _last_line(body: bytes) -> Any:
    """The last record of an NDJSON page, None where there is none that could be read."""
    lines = [line for line in body.splitlines() if line.strip()]
    try:
        return json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
