"""When a step answers: conditions on one request, written as data.

    {"when": {"json": {"id": 7000}}}              a row of the body has this id (dotted paths reach inside)
    {"when": "poison"}                            the body contains this text
    {"unless": {"header": {"X-Api-Key": "k"}}}    the header is missing or different
    {"when": {"count": [3, 5]}}                   the 3rd to 5th request of the route (null: no upper end)

Keys: `text`, `json`, `header`, `query`, `path` (contains), `count`, `seconds` (since the route's first request).
All keys of one condition must hold; a list of conditions holds when any of them does.
A value may be `{"in": [..]}` (one of), `{"mod": [10, 3]}` (a number that leaves 3 when divided by 10) or
`{"has": "x"}` (a text that contains x), `{"over": 100}` (a number above it, also as text, as queries have it);
null stands for a missing one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trunkline.testing.wire import Request, pick

if TYPE_CHECKING:
    from trunkline.testing.routes import Route

Condition = Callable[[Request, "Route", float], bool]
RowCondition = Callable[[Any, int], bool]

_KEYS = ("text", "json", "header", "query", "path", "count", "seconds")
_ROW_KEYS = ("text", "json", "index")


def condition(spec: Any) -> Condition:
    """Compile a condition on a request.

    Raises:
        ValueError: a key or value that has no meaning here.
    """
    if isinstance(spec, list):
        any_of = [condition(one) for one in spec]
        return lambda request, route, now: any(holds(request, route, now) for holds in any_of)
    if isinstance(spec, str):
        spec = {"text": spec}
    _check_keys(spec, _KEYS)
    all_of = [_condition(key, value) for key, value in spec.items()]
    return lambda request, route, now: all(holds(request, route, now) for holds in all_of)


def row_condition(spec: Any) -> RowCondition:
    """Compile a condition on one row of a batch and its index from 0."""
    if isinstance(spec, list):
        any_of = [row_condition(one) for one in spec]
        return lambda row, index: any(holds(row, index) for holds in any_of)
    if isinstance(spec, str):
        spec = {"text": spec}
    _check_keys(spec, _ROW_KEYS)
    return lambda row, index: (
        ("json" not in spec or _fields_match(row, spec["json"]))
        and ("index" not in spec or _matches(index, spec["index"]))
        and ("text" not in spec or spec["text"] in (row if isinstance(row, str) else json.dumps(row)))
    )


def _condition(key: str, value: Any) -> Condition:
    if key == "text":
        return lambda request, route, now: value in request.text
    if key == "path":
        return lambda request, route, now: value in request.path
    if key == "json":
        return lambda request, route, now: any(_fields_match(row, value) for row in request.rows(route.items))
    if key == "header":
        wanted = {name.lower(): expected for name, expected in value.items()}
        return lambda request, route, now: all(_matches(request.headers.get(n), e) for n, e in wanted.items())
    if key == "query":
        return lambda request, route, now: all(
            _matches(request.query.get(name, [None])[-1], expected) for name, expected in value.items()
        )
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{key} {value!r}: expected [from, to], to may be null")
    low, high = value
    if key == "count":
        return lambda request, route, now: low <= route.seen and (high is None or route.seen <= high)
    return lambda request, route, now: low <= now - route.first_at and (high is None or now - route.first_at < high)


def _fields_match(row: Any, fields: dict[str, Any]) -> bool:
    return all(_matches(pick(row, path), expected) for path, expected in fields.items())


def _matches(actual: Any, expected: Any) -> bool:
    if isinstance(expected, dict) and len(expected) == 1:
        ((operator, operand),) = expected.items()
        if operator == "in":
            return actual in operand
        if operator == "has":
            return isinstance(actual, str) and operand in actual
        if operator == "over":
            return isinstance(actual, (int, float, str)) and _as_number(actual) > operand
        if operator == "mod":
            return isinstance(actual, int) and actual % operand[0] == operand[1]
    # True == 1 in Python, not in JSON.
    return type(actual) is type(expected) and bool(actual == expected)


def _as_number(value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        # Not a number is above nothing.
        return math.nan


def _check_keys(spec: Any, known: tuple[str, ...]) -> None:
    if not isinstance(spec, dict) or not set(spec) <= set(known):
        raise ValueError(f"condition {spec!r}: expected a text or a mapping with keys of {', '.join(known)}")
