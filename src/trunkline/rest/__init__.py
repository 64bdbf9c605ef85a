"""Any REST API as a Spark data source: `format("rest")`.

    from trunkline.rest import pending, preview, rejected, request, summary

What is named here is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "RestDataSource": "trunkline.rest.source",
    "pending": "trunkline.rest.owed",
    "preview": "trunkline.rest.review",
    "rejected": "trunkline.rest.review",
    "request": "trunkline.rest.ask",
    "summary": "trunkline.rest.review",
    "Verdict": "trunkline.http.verdict",
}
__all__ = ["RestDataSource", "Verdict", "pending", "preview", "rejected", "request", "summary"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(home), name)
