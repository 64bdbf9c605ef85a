"""Doors that tests open in worker processes: to kill them in the middle, and to do what users do."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from trunkline.http.message import Exchange, Request
from trunkline.http.verdict import Verdict

_seen = {"accepted": 0}


def kill_once(exchange: Exchange) -> Verdict | None:
    """Kill the worker, as the kernel would, after as many good answers as the file says; once."""
    order = Path(os.environ["TRUNKLINE_TEST_KILL"])
    if exchange.status == 201 and order.exists():
        _seen["accepted"] += 1
        if _seen["accepted"] >= int(order.read_text()):
            order.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    return None


def error_in_body(exchange: Exchange) -> Verdict | None:
    """An API that answers 200 with an error in its body."""
    if b'"error"' in exchange.body:
        return Verdict("rejected", "the body says error")
    return None


def broken(exchange: Exchange) -> Verdict | None:
    raise KeyError("no such thing")


def sign(request: Request, row: dict[str, Any]) -> Request:
    request.headers = {**(request.headers or {}), "X-Signature": f"{row['id']}/{len(request.body or b'')}"}
    return request


def elsewhere(request: Request, row: dict[str, Any]) -> Request:
    request.url = "http://127.0.0.2:9/rows"
    return request
