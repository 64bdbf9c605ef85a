"""Where something stands in a parsed JSON document.

at({"meta": {"next": "abc"}}, "meta.next")                      # "abc"
at({"@odata.nextLink": "https://..."}, "@odata.nextLink")       # "https://...": the dot belongs to the key
at({"items": [{"id": 7}]}, "items.0.id")                        # 7
"""

from __future__ import annotations

from typing import Any, Final

# What `at` gives, if asked to, where there is nothing: null in a document is None.
MISSING: Final = object()


def at(document: Any, path: str, default: Any = None) -> Any:
    """What stands at a dotted path.

    Args:
        document: Parsed JSON.
        path: Keys, and positions in lists, joined by dots. `$` is the document itself, `$.a` the same as `a`. At every
            level a key that is spelled like the whole rest of the path comes first, then shorter ones.
        default: Given where there is nothing.
    """
    if path == "$":
        return document
    found = _find(document, path.removeprefix("$."))
    return default if found is MISSING else found


def _find(document: Any, path: str) -> Any:
    if isinstance(document, list):
        head, dot, rest = path.partition(".")
        if not (head.isascii() and head.isdecimal() and int(head) < len(document)):
            return MISSING
        return _find(document[int(head)], rest) if dot else document[int(head)]
    if not isinstance(document, dict):
        return MISSING
    if path in document:
        return document[path]
    end = path.rfind(".")
    while end >= 0:
        if path[:end] in document:
            found = _find(document[path[:end]], path[end + 1 :])
            if found is not MISSING:
                return found
        end = path.rfind(".", 0, end)
    return MISSING
