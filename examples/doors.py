"""Doors of the format `rest`: what options cannot say about a request or an answer, said in Python.

    df.write.format("rest").option("prepare", "doors:sign").option("judge", "doors:read_answer")...

References: references/middleware.md.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlsplit

from trunkline.credentials import Secret, resolve
from trunkline.http.message import Exchange, Request
from trunkline.rest import Verdict

SIGNING_KEY = "file:/run/secrets/signing-key"


def sign(request: Request, row: dict[str, Any]) -> Request:  # noqa: ARG001 - every door is called like this
    """Sign time, method, path and body with HMAC-SHA256."""
    at = str(int(time.time()))
    path = urlsplit(request.url).path
    message = b"\n".join([at.encode(), request.method.encode(), path.encode(), request.body or b""])
    signature = hmac.new(signing_key().reveal().encode(), message, hashlib.sha256).hexdigest()
    request.headers = {**(request.headers or {}), "X-Timestamp": at, "X-Signature": signature}
    return request


@functools.cache
def signing_key() -> Secret:
    """Read once per worker process; a `Secret` prints as `***`."""
    return resolve(SIGNING_KEY)


def delete_tombstones(request: Request, row: dict[str, Any]) -> Request:
    """A row whose column `deleted` is true becomes a DELETE without a body."""
    if row["deleted"]:
        request.method, request.body = "DELETE", None
    return request


def read_answer(exchange: Exchange) -> Verdict | None:
    """An API that answers everything with 200 and says `{"ok": false, "code": "busy"}` in the body."""
    if exchange.status != 200:
        return None
    try:
        answer = json.loads(exchange.body)
    except ValueError:
        return Verdict("ambiguous", "the answer is not JSON")
    if answer.get("ok"):
        return None
    code = str(answer.get("code"))
    if code == "busy":
        return Verdict("retry", code, throttled=True)
    return Verdict("rejected", code)
