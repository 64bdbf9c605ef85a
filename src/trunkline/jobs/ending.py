"""What the end of a process tells of a run: its exit code, and the last line that it printed.

    ending(3, '{"status": "PENDING_APPROVAL"}')
    # Ending("PENDING_APPROVAL", "exit code 3", None, '{"status": "PENDING_APPROVAL"}')

Every platform that runs a job as a process of its own reads its end here. A job that was told to end, by SIGTERM say,
ends as a failure whose result says so: its state is CANCELLED.
"""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from trunkline.jobs.run import Run

# The exit codes of the entry point. 4 is a run that did its work, though a step was skipped or replaced.
_STATES = {
    0: ("SUCCEEDED", "exit code 0"),
    3: ("PENDING_APPROVAL", "exit code 3"),
    4: ("SUCCEEDED", "degraded: exit code 4"),
}
# Who asks for a run starts it within seconds; a stalled machine gets this long before the run counts as abandoned.
ABANDONED_AFTER = timedelta(seconds=60)
# How much of a line that is no result stands in an error.
_HEAD = 300


class Ending(NamedTuple):
    """The end of a run, by the names of `trunkline.jobs.run.Run`."""

    state: str
    state_detail: str
    error: str | None
    result: str | None


def ending(code: int, last_line: str, *, last_words: str = "") -> Ending:
    """How a run ended.

    Args:
        code: The exit code; negative, or above 128, for the signal that killed it.
        last_line: The last line of standard output; the result, if it is a JSON object.
        last_words: The last line of standard error, which stands for the error where there is no result.
    """
    result = _object(last_line)
    if code in _STATES:
        state, detail = _STATES[code]
        return Ending(state, detail, None, None if result is None else last_line.strip())
    if result is not None and result.get("failure_type") == "CANCELLED":
        return Ending("CANCELLED", f"told to end: exit code {code}", None, last_line.strip())
    detail = f"exit code {code}"
    number = -code if code < 0 else code - 128
    if number > 0:
        with suppress(ValueError):
            detail = f"killed by {signal.Signals(number).name}"
    said = _error_in(result) if result is not None else (last_words or last_line).strip()[:_HEAD]
    return Ending("FAILED", detail, said or detail, None if result is None else last_line.strip())


def abandoned(run: Run) -> Run:
    """A run that was written down and never started. Its key may be asked for again, so this is no end."""
    why = "nobody started it: who asked for it ended before. Ask for the same run_key again"
    return replace(run, state="FAILED", state_detail="ABANDONED", error=why)


def last_line(text: str) -> str:
    """The last line that holds anything."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def _object(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line) if line.lstrip().startswith("{") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _error_in(result: dict[str, object]) -> str:
    error = result.get("error")
    if not isinstance(error, dict):
        return str(error) if error else ""
    kind, message = error.get("type"), error.get("message")
    return ": ".join(str(part) for part in (kind, message) if part)
