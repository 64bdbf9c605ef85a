"""What a run ends in: one JSON object, the same on every platform, and the exit code that goes with it.

    {"job": "my_project.etl", "run_id": "jr_1", "run_key": "orders-2026-05-01", "platform": "glue",
     "status": "SUCCESS", "failure_type": null, "artifacts": null, "quality": null, "metrics": {"rows": 12},
     "output": {"day": "2026-05-01"}, "error": null, "notices": [],
     "started_at": "2026-05-01T01:00:00.000Z", "ended_at": "2026-05-01T01:00:07.113Z"}

    failure_type   exit code
    null                   0    SUCCESS
    null                   3    PENDING_APPROVAL: a gate said wait
    DEGRADED               4    SUCCESS, though a step was skipped or replaced
    ERROR                  1    FAILED: the job raised
    STATUS                 1    FAILED: the job returned a failed status
    RESULT                 1    FAILED: what it returned cannot be understood
    CANCELLED              1    FAILED: it was interrupted or told to end
    CONFIGURATION          2    FAILED: arguments, options, or what they need is missing

An `error` is `{"type": "ValueError", "message": "...", "stack_trace": "..."}`, without the secrets of the run.
"""

from __future__ import annotations

import inspect
import json
import math
import traceback
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import date, datetime, time, timezone
from typing import Any

from trunkline.credentials import Redactor
from trunkline.errors import MissingExtraError, OptionError

SUCCESS, FAILED, USAGE, PENDING_APPROVAL, DEGRADED = range(5)
# The words that jobs use, in any case, and those of the result. The second is the failure type.
_STATUSES = {
    "success": "SUCCESS", "succeeded": "SUCCESS", "ok": "SUCCESS", "completed": "SUCCESS", "done": "SUCCESS",
    "degraded": "DEGRADED", "pending_approval": "PENDING_APPROVAL", "pending": "PENDING_APPROVAL",
    "failed": "FAILED", "failure": "FAILED", "fail": "FAILED", "error": "FAILED",
}  # fmt: skip
_PARTS = ("metrics", "artifacts", "quality")
# Errors of a JVM quote whole plans; the end of a trace is where it happened.
_LONGEST_MESSAGE, _LONGEST_TRACE = 4_000, 16_000
# What goes first where a platform keeps less than the whole.
_SHEDDABLE = ("stack_trace", "output", "artifacts", "quality", "metrics", "notices")


@dataclass
class Result:
    """The end of a run; see the module for its JSON."""

    job: str | None
    run_id: str
    run_key: str | None = None
    platform: str = "local"
    status: str = "SUCCESS"
    failure_type: str | None = None
    artifacts: Any = None
    quality: Any = None
    metrics: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    notices: list[str] = field(default_factory=list)
    started_at: str | None = None
    ended_at: str | None = None

    @property
    def exit_code(self) -> int:
        """Of the process that ran the job."""
        if self.status == "PENDING_APPROVAL":
            return PENDING_APPROVAL
        if self.status == "SUCCESS":
            return DEGRADED if self.failure_type == "DEGRADED" else SUCCESS
        return USAGE if self.failure_type == "CONFIGURATION" else FAILED

    def line(self, limit: int | None = None) -> str:
        """The JSON, in one line of ASCII.

        Args:
            limit: The most bytes that a place keeps: stack trace, output and so on go, until it fits.
        """
        document = asdict(self)
        text = _dumps(document)
        for name in _SHEDDABLE if limit is not None else ():
            if limit is None or len(text) <= limit:
                break
            if name != "stack_trace":
                document[name] = [] if name == "notices" else None
            elif document["error"]:
                document["error"]["stack_trace"] = None
            text = _dumps(document)
        if limit is not None and len(text) > limit and document["error"]:
            document["error"]["message"] = document["error"]["message"][: max(0, limit // 8)]
            text = _dumps(document)
        return text

    def take(self, returned: Any, redactor: Redactor) -> None:
        """Fill in what the job returned."""
        status = status_of(returned)
        plain = jsonable(returned, redactor)
        if status is None and not isinstance(plain, dict):
            what = f"the job returned a {type(returned).__name__} and has not run: it must return, not yield or await"
            self.fail("RESULT", "ResultError", what)
            if hasattr(returned, "close"):
                returned.close()
            return
        if not isinstance(plain, dict):
            self.output = plain
            return
        for name in _PARTS:
            setattr(self, name, plain.pop(name, None))
        given = plain.pop("status", None)
        self.output = plain or None
        if status is None:
            allowed = "SUCCESS, PENDING_APPROVAL, FAILED or DEGRADED"
            self.fail("RESULT", "ResultError", f"the job returned the status {str(given)[:60]!r}: it is {allowed}")
        elif status == "DEGRADED":
            self.failure_type = "DEGRADED"
        elif status == "FAILED":
            said = next((plain[name] for name in ("error", "message", "reason") if plain.get(name)), None)
            text = said if isinstance(said, str) else _dumps(said) if said else "the job returned a failed status"
            self.fail("STATUS", "FailedStatus", text[:_LONGEST_MESSAGE])
        else:
            self.status = status

    def take_error(self, error: BaseException, redactor: Redactor) -> None:
        """Fill in what the job raised, or what kept it from running."""
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        if isinstance(error, KeyboardInterrupt):
            failure = "CANCELLED"
        else:
            failure = "CONFIGURATION" if isinstance(error, (OptionError, MissingExtraError)) else "ERROR"
        trace = redactor.clean("".join(traceback.format_exception(kind, error, error.__traceback__)))
        if len(trace) > _LONGEST_TRACE:
            trace = "..." + trace[-_LONGEST_TRACE:]
        self.fail(failure, name, redactor.clean(str(error))[:_LONGEST_MESSAGE] or kind.__name__, trace)

    def fail(self, failure_type: str, kind: str, message: str, stack_trace: str | None = None) -> None:
        """Make it a failure."""
        self.status, self.failure_type = "FAILED", failure_type
        self.error = {"type": kind, "message": message, "stack_trace": stack_trace}


def status_of(returned: Any) -> str | None:
    """SUCCESS, PENDING_APPROVAL, FAILED or DEGRADED as a job returned it; None for what is none of these.

    A generator or a coroutine is none either: nothing of it has run.
    """
    if inspect.isgenerator(returned) or inspect.isawaitable(returned):
        return None
    given = returned.get("status") if isinstance(returned, Mapping) else None
    if given is None:
        return "SUCCESS"
    word = str(getattr(given, "value", given)).strip().lower().replace("-", "_").replace(" ", "_")
    return _STATUSES.get(word)


def jsonable(value: Any, redactor: Redactor) -> Any:
    """A value as JSON can say it, texts without secrets: times in ISO 8601, rows as objects, what has no form as text.

    Exact decimals become text; NaN and infinities, which JSON does not have, become null.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return redactor.clean(str(value))
    if is_dataclass(value) and not isinstance(value, type):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    elif not isinstance(value, Mapping) and hasattr(value, "asDict"):  # a row of Spark's is a tuple too
        value = value.asDict()
    if isinstance(value, Mapping):
        return {redactor.clean(str(key)): jsonable(item, redactor) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item, redactor) for item in value]
    if isinstance(value, AbstractSet):
        return sorted((jsonable(item, redactor) for item in value), key=str)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return jsonable(value.tolist(), redactor)
    return redactor.clean(str(value))


def utc_now() -> str:
    """As the times of a result are written."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dumps(document: Any) -> str:
    return json.dumps(document, ensure_ascii=True, separators=(", ", ": "))
