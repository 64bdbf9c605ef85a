"""The door `prepare`: the user's function sees each request before it is authenticated, and may change it.

def prepare(request: Request, row: dict) -> Request: ...      # rows: a list of dicts where requests carry several
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from trunkline.http.message import Request, header_problem, origin
from trunkline.http.setup import load_door
from trunkline.options import Options
from trunkline.rest.rows import Sent


class Door:
    """What `prepare` may do and what it may not.

    Args:
        options: Of the write.
        batched: Whether requests may carry several rows.
    """

    def __init__(self, options: Options, *, batched: bool) -> None:
        self._prepare: Callable[..., Any] | None = load_door(options, "prepare")
        self._origin = origin(options["url"])
        self._batched = batched

    def opened(self, request: Request) -> Request | str:
        """The request as the user's function leaves it, or why it cannot be sent."""
        if self._prepare is None:
            return request
        sent: Sent = request.tag
        rows = sent.chunk.batch.take(pa.array(sent.rows, pa.int64())).to_pylist()
        try:
            prepared = self._prepare(request, rows if self._batched else rows[0])
            problem = problem_of(prepared, self._origin)
        except Exception as error:  # noqa: BLE001 - the user's code: its bug must not lose the row
            problem = f"prepare raised {type(error).__name__}: {error}"
        if problem is not None:
            return problem
        prepared.tag, prepared.keys = request.tag, request.keys
        prepared.idempotency_key = prepared.idempotency_key or request.idempotency_key
        return prepared  # type: ignore[no-any-return]


def problem_of(prepared: object, allowed: str) -> str | None:
    """Why what `prepare` returned cannot be sent, or None.

    Args:
        prepared: What it returned.
        allowed: The origin it may go to.
    """
    if not isinstance(prepared, Request):
        return f"prepare returned {type(prepared).__name__} instead of a request"
    body: object = prepared.body
    if body is not None and not isinstance(body, bytes):
        return f"prepare left a body of {type(body).__name__}; it must be bytes or None"
    if not prepared.url.isprintable() or " " in prepared.url:
        return "prepare left a url with a space or a control character in it; percent-encode it"
    if origin(prepared.url) != allowed:
        return f"prepare turned the request to {origin(prepared.url)}, which is not the origin of url"
    for name, value in (prepared.headers or {}).items():
        if problem := header_problem(name, value):
            return f"prepare: {problem}"
    return None
