"""A dataset in pages, in every style that APIs have.

    GET /items?limit=2&cursor=WzIse31d
    {"items": [{"id": 2}, {"id": 3}], "next": "WzQse31d", "total": 5}

A cursor holds the position and the filters it was made for: it is worth the same however often it is sent, and another
query with it is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

from trunkline.testing.answers import Answer, dressed_answer, json_answer
from trunkline.testing.datasets import Dataset, Filter, Page, View
from trunkline.testing.formats import CONTENT_TYPES
from trunkline.testing.names import check_names
from trunkline.testing.page_options import PAGE_OPTIONS, PageOptions
from trunkline.testing.wire import Request, parse_json, pick

# Stands in the envelope for the rows until they are put there; no JSON text of a client can hold it.
_HOLE = "\0rows\0"


class RefusedError(Exception):
    """The request gets this answer instead of a page."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.answer = json_answer(status, {"error": error})


class Pager:
    """Answers requests for pages of a dataset, for one step of a route.

    Args:
        spec: the fields of `PageOptions`.
        step: the step the pager stands in; its `gzip`, `chunked`, `headers` and content faults change the answer.
        datasets: by name; looked up when a request comes.
        urls: origin -> address, as the server has them then.
    """

    def __init__(
        self, spec: dict[str, Any], step: dict[str, Any], datasets: Mapping[str, Dataset], urls: Mapping[str, str]
    ) -> None:
        check_names("option of a dataset", spec, PAGE_OPTIONS)
        self.options = o = PageOptions(**spec)
        if o.rows not in datasets:
            raise ValueError(f"no rows are declared under {o.rows!r}: use FaultServer.dataset")
        self._step = step
        self._datasets = datasets
        self._urls = urls
        self._kind = o.by if o.paging in ("link", "nextUrl") else {"headerCursor": "cursor"}.get(o.paging, o.paging)
        default = "page_size" if self._kind == "page" else "limit"
        self._limit_param = default if o.limit_param is None else o.limit_param
        self._position_param = {
            "page": o.page_param, "offset": o.offset_param, "cursor": o.cursor_param, "lastRecord": o.after_param,
        }.get(self._kind, "")  # fmt: skip
        self._sort = o.sort or (datasets[o.rows].key if o.keyset or o.paging == "lastRecord" else None)
        self._short = sorted((int(page), rows) for page, rows in o.short_pages.items())
        self._leads = {int(page): to for page, to in o.next_page.items()}
        self._uses: dict[str, int] = {}
        # Fields that cannot stand together are found here, not in the middle of a test.
        self._envelope("", 0, more=True)

    def respond(self, request: Request, status: int) -> Answer:
        """The page a request asks for, or why it cannot have it."""
        try:
            return self._page(request, status)
        except RefusedError as refusal:
            return refusal.answer
        except ValueError as error:
            return json_answer(400, {"error": str(error)})

    def _page(self, request: Request, status: int) -> Answer:
        o = self.options
        dataset = self._datasets[o.rows]
        document = _document(request) if o.params_in == "body" or (o.filters and request.body) else {}
        asked = self._param(request, document, self._limit_param)
        limit = o.size if asked is None else _number(self._limit_param, asked, 1)
        limit = limit if o.cap is None else min(limit, o.cap)
        position = self._param(request, document, self._position_param)
        given = self._filters(request, document)
        start: int | str = 0
        if self._kind == "cursor" and position:
            start, given = self._open(position, given)
        filters: tuple[Filter, ...] = tuple((*o.filters[name], value) for name, value in given.items())  # type: ignore[misc]
        view = dataset.view(filters, self._sort)
        total = len(view.numbers)
        if o.max_range_rows is not None and total > o.max_range_rows:
            raise RefusedError(o.range_status, f"the range holds {total} rows, more than {o.max_range_rows}")
        rows = total if o.window is None else min(total, o.window)
        if self._kind == "none":
            limit = max(1, rows)
        elif self._kind == "offset" and position is not None:
            start = _number(o.offset_param, position, 0)
        elif self._kind == "page" and position is not None:
            start = (_number(o.page_param, position, o.first_page) - o.first_page) * limit
        elif self._kind == "lastRecord" and position is not None:
            start = dataset.after(view, position)
        elif isinstance(start, str):
            start = dataset.after(view, start)
        assert isinstance(start, int)
        places = rows
        for number, left in self._short:
            places += o.size - left if (number - 1) * o.size < places else 0
        if start >= places and start > 0 and o.beyond != 200 and self._kind in ("page", "offset"):
            if o.beyond != "last":
                raise RefusedError(int(o.beyond), "there is no such page")
            start = max(0, places - 1) // limit * limit
        page = dataset.page(view, min(rows, self._row(start)), min(rows, self._row(start + limit)), o.format)
        following = self._following(start, limit, places)
        leads_to = following
        if following is None and o.next_missing == "token" and start < places:
            leads_to = start + limit
        name = None
        if leads_to is not None and o.paging in ("cursor", "headerCursor", "link", "nextUrl"):
            name = self._name(leads_to, limit, given, dataset, view)
        if o.totals:
            total = o.totals[min(dataset.pages, len(o.totals) - 1)]
        headers: list[tuple[str, str]] = []
        if o.total == "header":
            headers.append((o.total_header, str(total)))
        if o.paging == "link":
            headers += self._links(request, name, limit, places)
        elif o.paging == "nextUrl" and name is not None:
            name = self._url(request, name)
        elif o.paging == "headerCursor" and name is not None:
            headers.append((o.next_header, name))
        before, after = self._envelope(name, total, more=following is not None)
        return self._answer(page, status, headers, before, after)

    def _answer(self, page: Page, status: int, headers: list[tuple[str, str]], before: bytes, after: bytes) -> Answer:
        key = (self, status, headers, before, after)
        if page.packed is not None and page.packed[0] == key:
            packed: Answer = page.packed[1]
            return packed
        content_type = CONTENT_TYPES[self.options.format]
        answer = dressed_answer(self._step, status, headers, before + page.data + after, content_type)
        answer.page = page
        if self._step.get("gzip"):
            # Compressing costs more than all the rest.
            page.packed = (key, answer)
        return answer

    def _param(self, request: Request, document: Any, name: str) -> str | None:
        if not name:
            return None
        if self.options.params_in == "header":
            return request.headers.get(name.lower())
        if self.options.params_in == "body":
            return _text(pick(document, name))
        return request.query.get(name, [None])[-1]

    def _filters(self, request: Request, document: Any) -> dict[str, str]:
        given = {}
        for name in self.options.filters:
            value = request.params.get(name) or request.query.get(name, [None])[-1] or _text(pick(document, name))
            if value is not None:
                given[name] = value
        return given

    def _open(self, token: str, given: dict[str, str]) -> tuple[int | str, dict[str, str]]:
        """What a cursor was made for; the filters may be sent again, but not changed."""
        try:
            position, made_for = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True))
        except (binascii.Error, UnicodeDecodeError, ValueError, TypeError):
            raise RefusedError(400, "unknown cursor") from None
        if not made_for.keys() <= self.options.filters.keys():
            raise RefusedError(400, "unknown cursor")
        if given and given != made_for:
            raise RefusedError(400, "the cursor belongs to another query")
        if self.options.token_uses is not None:
            self._uses[token] = self._uses.get(token, 0) + 1
            if self._uses[token] > self.options.token_uses:
                raise RefusedError(410, "the cursor has expired")
        return position, made_for

    def _row(self, place: int) -> int:
        """How many rows stand before a place, some places being empty."""
        hidden = 0
        size = self.options.size
        for page, left in self._short:
            hidden += min(max(0, place - (page - 1) * size - left), size - left)
        return place - hidden

    def _following(self, start: int, limit: int, places: int) -> int | None:
        """Where the next page starts; None at the end, right or wrong."""
        page = start // limit + 1
        if page in self._leads:
            to = self._leads[page]
            return None if to is None else (to - 1) * limit
        return start + limit if start + limit < places else None

    def _name(self, place: int, limit: int, given: dict[str, str], dataset: Dataset, view: View) -> str:
        """A place as clients name it."""
        if self._kind == "page":
            return str(place // limit + self.options.first_page)
        if self._kind == "offset":
            return str(place)
        position: int | str = place
        if self.options.keyset:
            last = min(place, len(view.numbers)) - 1
            position = str(dataset.value(view, last)) if last >= 0 else 0
        token = json.dumps([position, given], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(token).decode().rstrip("=")

    def _url(self, request: Request, name: str) -> str:
        o = self.options
        pairs = parse_qsl(request.query_string, keep_blank_values=True)
        pairs = [pair for pair in pairs if pair[0] != self._position_param]
        query = urlencode([*pairs, (self._position_param, name)])
        if o.next_form == "query":
            return f"?{query}"
        if o.next_form == "relative":
            return f"{request.path.rpartition('/')[2]}?{query}"
        host = request.url if o.next_host is None else self._urls.get(o.next_host, o.next_host)
        if o.next_form == "network":
            host = host[host.index(":") + 1 :]
        return f"{'' if o.next_form == 'path' else host}{request.path}?{query}"

    def _links(self, request: Request, name: str | None, limit: int, places: int) -> list[tuple[str, str]]:
        links = []
        if self._kind != "cursor":
            links.append((self._url(request, str(self.options.first_page if self._kind == "page" else 0)), "first"))
        if name is not None:
            links.append((self._url(request, name), "next"))
        if self._kind != "cursor":
            last = max(0, places - 1) // limit
            last = last + self.options.first_page if self._kind == "page" else last * limit
            links.append((self._url(request, str(last)), "last"))
        if self.options.links == "bare":
            written = [f"<{url}>; rel={rel}" for url, rel in links]
        elif self.options.links == "tricky":
            written = [f'<{url}> ;title="a, <b>; rel=\\"next\\"" ; REL="chapter {rel}"' for url, rel in links]
        else:
            written = [f'<{url}>; rel="{rel}"' for url, rel in links]
        if self.options.links == "many":
            return [("Link", one) for one in written]
        return [("Link", ", ".join(written))] if written else []

    def _envelope(self, following: str | None, total: int, more: bool) -> tuple[bytes, bytes]:
        """What stands before the rows and after them."""
        o = self.options
        if o.format != "json":
            return b"", b""
        if o.records in ("", []):
            return b"[", b"]"
        document: Any = json.loads(json.dumps(o.envelope))
        _put(document, o.records, _HOLE)
        if o.paging in ("cursor", "nextUrl"):
            if following is None and o.next_missing == "empty":
                following = ""
            if following is not None or o.next_missing != "absent":
                _put(document, o.next_field, following)
        if o.has_more is not None:
            _put(document, o.has_more, more)
        if o.total is True or (o.totals and o.total is False):
            _put(document, o.total_field, total)
        before, _, after = json.dumps(document, separators=(",", ":"), ensure_ascii=False).partition(json.dumps(_HOLE))
        return f"{before}[".encode(), f"]{after}".encode()


def _document(request: Request) -> Any:
    if not request.body:
        return {}
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {name: values[-1] for name, values in parse_qs(request.text, keep_blank_values=True).items()}
    return parse_json(request.content)


def _put(document: Any, path: str | list[str], value: Any) -> None:
    parts = path if isinstance(path, list) else [path] if path.startswith("@") else path.split(".")
    for name in parts[:-1]:
        document = document.setdefault(name, {})
    if not isinstance(document, dict) or parts[-1] in document:
        raise ValueError(f"{path!r} has no place in the answer beside its other fields")
    document[parts[-1]] = value


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _number(name: str, text: str, low: int) -> int:
    if not text.removeprefix("-").isdigit() or int(text) < low:
        raise RefusedError(400, f"{name}={text!r}: expected a number from {low}")
    return int(text)
