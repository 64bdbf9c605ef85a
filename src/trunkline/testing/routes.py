"""Routes as data: which step answers a request.

A route is a list of steps; the first one that has `times` left and whose conditions hold answers. A step without
conditions answers once unless told otherwise; the last one, and steps with conditions, answer for ever.
The meaning of each key of a step stands in `FaultServer.route`.
"""

from __future__ import annotations

import random
import re
from typing import Any

from trunkline.testing.answers import Answer, check_retry_after, json_answer, scripted_answer
from trunkline.testing.conditions import condition, row_condition
from trunkline.testing.datasets import Dataset
from trunkline.testing.faults import CONNECTION_FAULTS, CONTENT_FAULTS, NOTHING_DONE
from trunkline.testing.limits import Rate
from trunkline.testing.names import check_names
from trunkline.testing.oauth import TokenEndpoint, bearer_refusal
from trunkline.testing.paging import Pager
from trunkline.testing.store import StoreOptions
from trunkline.testing.wire import Request

_NUMBER = (int, float)
_CONDITIONS: dict[str, Any] = {
    "when": (dict, list, str), "unless": (dict, list, str), "probability": _NUMBER, "rate": _NUMBER, "concurrency": int,
    "bearer": (str, list),
}  # fmt: skip
_KEYS: dict[str, Any] = {
    **_CONDITIONS, "times": int, "seed": int, "burst": _NUMBER, "bucket": str, "status": int, "headers": (dict, list),
    "body": object, "gzip": bool, "chunked": int, "retry_after": (str, int, float, dict), "skew": _NUMBER,
    "delay": (int, float, list), "fault": str, "interval": _NUMBER, "seconds": _NUMBER, "size": int,
    "length": (int, str), "keep": int, "store": bool, "each": list, "wrap": str, "token_endpoint": str,
    "dataset": dict, "redirect": str,
}  # fmt: skip
_ITEM_KEYS: dict[str, Any] = {
    "when": (dict, list, str), "times": int, "status": int, "error": object, "body": dict, "omit": bool,
}  # fmt: skip
_DEFAULT_STATUS = {"rate": 429, "concurrency": 503, "bearer": 401, "each": 207, "redirect": 307}


class Step:
    """One step of a route, compiled; `detail` is what its last condition found out (a wait, a token's problem)."""

    def __init__(self, spec: dict[str, Any], last: bool, shared: Shared, path: str) -> None:
        _check_keys(spec, _KEYS)
        conditional = any(key in spec for key in _CONDITIONS)
        self.left: int | None = spec.get("times", None if last or conditional else 1)
        self.fault: str | None = spec.get("fault")
        if self.fault is not None and self.fault not in (*CONTENT_FAULTS, *CONNECTION_FAULTS):
            known = ", ".join((*CONTENT_FAULTS, *CONNECTION_FAULTS))
            raise ValueError(f"fault {self.fault!r}: expected one of {known}")
        self.status: int = spec.get("status", next((s for k, s in _DEFAULT_STATUS.items() if k in spec), 200))
        done = 200 <= self.status < 300 and self.fault not in NOTHING_DONE
        self.store: bool = spec.get("store", done or self.fault == "reset_after_store")
        self.retry_after = spec.get("retry_after")
        if self.retry_after is not None:
            check_retry_after(self.retry_after)
        self.skew: float = spec.get("skew", 0.0)
        self.interval: float = spec.get("interval", 1.0)
        self.seconds: float = spec.get("seconds", 1.0)
        self.keep: int | None = spec.get("keep")
        self.token_endpoint: str | None = spec.get("token_endpoint")
        self.detail: Any = None
        self.answer = scripted_answer(spec, self.status)
        self._pager: Pager | None = None
        if "dataset" in spec:
            self._pager = Pager({"rows": path, **spec["dataset"]}, spec, shared.datasets, shared.urls)
        self._spec = spec
        self._shared = shared
        self._random = random.Random(spec.get("seed", 0))
        self._delay: float | list[float] = spec.get("delay", 0)
        self._when = condition(spec["when"]) if "when" in spec else None
        self._unless = condition(spec["unless"]) if "unless" in spec else None
        self._rate = shared.rate(spec) if "rate" in spec else None
        self._each = [_Item(item) for item in spec["each"]] if "each" in spec else None
        self._plain = not conditional

    def delay(self) -> float:
        """Seconds to wait before this answer."""
        if isinstance(self._delay, list):
            return self._random.uniform(self._delay[0], self._delay[1])
        return self._delay

    def holds(self, request: Request, route: Route, now: float) -> bool:
        """Whether all conditions hold for this request; asking may take a permit or use a token."""
        if self._plain:
            return True
        if self._when is not None and not self._when(request, route, now):
            return False
        if self._unless is not None and self._unless(request, route, now):
            return False
        if "probability" in self._spec and self._random.random() >= self._spec["probability"]:
            return False
        if "concurrency" in self._spec and route.in_flight <= self._spec["concurrency"]:
            return False
        if "bearer" in self._spec:
            self.detail = self._shared.bearer_problem(self._spec["bearer"], request, now)
            return self.detail is not None
        # Last, because asking takes a permit.
        if self._rate is not None:
            if not self._rate.over(now):
                return False
            self.detail = self._rate.wait()
        return True

    def respond(self, request: Request, route: Route, now: float) -> tuple[Answer, list[int] | None]:
        """The answer, and which rows of the request it accepts (None: all)."""
        if self._pager is not None:
            return self._pager.respond(request, self.status), None
        if "redirect" in self._spec:
            target = self._spec["redirect"]
            # An origin keeps the path; the query stays in any case.
            place = f"{self._shared.urls[target]}{request.path}" if target in self._shared.urls else target
            mark = f"?{request.query_string}" if request.query_string else ""
            return scripted_answer(self._spec, self.status, [("Location", place + mark)]), None
        if self.token_endpoint is not None:
            return self._shared.token_endpoints[self.token_endpoint].respond(request, now), None
        if "bearer" in self._spec:
            return scripted_answer(self._spec, self.status, bearer_refusal(self.detail)), None
        if self._each is None:
            return self.answer, None
        results, accepted = [], []
        for index, row in enumerate(request.rows(route.items)):
            item = next((one for one in self._each if one.holds(row, index)), None)
            status = 200 if item is None else item.status
            if 200 <= status < 300:
                accepted.append(index)
            if item is None or not item.omit:
                results.append(_result(row, index, status, item))
        body = {self._spec["wrap"]: results} if "wrap" in self._spec else results
        return json_answer(self.status, body, (self._spec.get("headers") or {}).items()), accepted


class Route:
    """The steps declared for one method and path, and how often it was asked."""

    def __init__(self, name: str, steps: list[dict[str, Any]], shared: Shared, options: dict[str, Any]) -> None:
        method, separator, path = name.partition(" ")
        if not separator or not path.startswith("/") or "?" in path:
            raise ValueError(f"route {name!r}: expected a method and a path, such as 'POST /rows'")
        if not steps:
            raise ValueError(f"route {name!r} has no step")
        self.name, self.method, self.path = name, method, path
        self.items: str = options.get("items") or ""
        self.origin: str | None = options.get("origin")
        store = options.get("store", False)
        self.store: StoreOptions | None = None
        self.steps: list[Step] = []
        try:
            self.store = None if store is False else StoreOptions(store)
            for at, spec in enumerate(steps):
                self.steps.append(Step(spec, at == len(steps) - 1, shared, path))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"route {name!r}, step {len(self.steps) + 1}: {error}") from None
        if self.store is None and any(step.fault == "reset_after_store" for step in self.steps):
            self.store = StoreOptions(True)
        self.pattern = None if "{" not in path and not path.endswith("*") else _pattern(path)
        self.seen = 0
        self.first_at = 0.0
        self.in_flight = 0

    def choose(self, request: Request, now: float) -> Step | None:
        """The step that answers; None when all are used up."""
        for step in self.steps:
            if step.left != 0 and step.holds(request, self, now):
                if step.left is not None:
                    step.left -= 1
                return step
        return None


class Shared:
    """What several routes have in common: token endpoints, datasets, named rate buckets, addresses of the origins."""

    def __init__(self, urls: dict[str, str]) -> None:
        self.urls = urls
        self.token_endpoints: dict[str, TokenEndpoint] = {}
        self.datasets: dict[str, Dataset] = {}
        self._buckets: dict[str, Rate] = {}

    def rate(self, spec: dict[str, Any]) -> Rate:
        """The bucket of a step with a `rate`: its own, or the one of that name."""
        rate = Rate(spec["rate"], spec.get("burst"))
        if "bucket" not in spec:
            return rate
        known = self._buckets.setdefault(spec["bucket"], rate)
        if (known.rate, known.burst) != (rate.rate, rate.burst):
            raise ValueError(f"bucket {spec['bucket']!r} was declared with another rate")
        return known

    def bearer_problem(self, accepted: Any, request: Request, now: float) -> str | None:
        """`accepted` is the path of a token endpoint, or a list of fixed tokens."""
        if isinstance(accepted, str):
            if accepted not in self.token_endpoints:
                return "unknown"
            return self.token_endpoints[accepted].problem(request, now)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return ""
        return None if token in accepted else "unknown"


class _Item:
    """One step for the rows of a batch."""

    def __init__(self, spec: dict[str, Any]) -> None:
        _check_keys(spec, _ITEM_KEYS)
        self.status: int = spec.get("status", 200)
        self.error = spec.get("error")
        self.body: dict[str, Any] = spec.get("body", {})
        self.omit: bool = spec.get("omit", False)
        self._left: int | None = spec.get("times")
        self._when = row_condition(spec["when"]) if "when" in spec else None

    def holds(self, row: Any, index: int) -> bool:
        if self._left == 0 or (self._when is not None and not self._when(row, index)):
            return False
        if self._left is not None:
            self._left -= 1
        return True


def _result(row: Any, index: int, status: int, item: _Item | None) -> dict[str, Any]:
    result: dict[str, Any] = {"index": index, "status": status}
    if isinstance(row, dict) and "id" in row:
        result["id"] = row["id"]
    if item is not None and item.error is not None:
        result["error"] = item.error
    return {**result, **item.body} if item is not None else result


def _pattern(path: str) -> re.Pattern[str]:
    parts = []
    for part in re.split(r"(\{\w+\}|\*$)", path):
        if part == "*":
            parts.append(".*")
        else:
            parts.append(f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part))
    return re.compile("".join(parts))


def _check_keys(spec: Any, known: dict[str, Any]) -> None:
    if not isinstance(spec, dict):
        raise ValueError(f"{spec!r} is no mapping")
    check_names("key", spec, known)
    for key, value in spec.items():
        if not isinstance(value, known[key]):
            types = known[key] if isinstance(known[key], tuple) else (known[key],)
            raise ValueError(f"{key}={value!r}: expected {' or '.join(one.__name__ for one in types)}")
