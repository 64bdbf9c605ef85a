"""The log of a run: structlog to standard error, for people or as JSON, with the run's id and without secrets.

    2026-05-01T01:00:07Z [info     ] step ended      outcome=success pipeline=users run_id=users-... step=out
    {"pipeline": "users", "run_id": "users-...", "step": "out", "outcome": "success", "event": "step ended", ...}

The configuration of structlog that a program has made for itself is left alone.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from trunkline.errors import MissingExtraError, OptionError

KINDS = ("console", "json")


def open_log(kind: str, clean: Callable[[str], str], file: TextIO | None = None, **facts: str) -> Any:
    """A logger of structlog.

    Args:
        kind: `console` or `json`.
        clean: Cuts the secrets that are known by then out of a text.
        file: Default: standard error.
        **facts: In every line.

    Raises:
        OptionError: There is no such kind.
        MissingExtraError: structlog is not installed.
    """
    if kind not in KINDS:
        raise OptionError(f"log {kind!r} is none of {', '.join(KINDS)}")
    try:
        import structlog
    except ImportError:
        raise MissingExtraError('pipelines need structlog: pip install "trunkline[pipelines]"') from None
    target = file or sys.stderr
    renderer: Any = structlog.processors.JSONRenderer(default=str)
    if kind == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback
        )

    def without_secrets(_: Any, __: str, said: Mapping[str, Any]) -> dict[str, Any]:
        return {clean(key): cleaned(value, clean) for key, value in said.items()}

    processors = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # An exception is a text before it is cleaned.
        structlog.processors.format_exc_info,
        without_secrets,
        renderer,
    ]
    logger = structlog.PrintLogger(target)
    wrapper = structlog.make_filtering_bound_logger(logging.DEBUG)
    return structlog.wrap_logger(logger, processors=processors, wrapper_class=wrapper).bind(**facts)


def cleaned(held: Any, clean: Callable[[str], str]) -> Any:
    """A value of a log or of an audit trail, in which no text holds a secret."""
    if isinstance(held, Mapping):
        return {clean(str(key)): cleaned(value, clean) for key, value in held.items()}
    if isinstance(held, (list, tuple, set, frozenset)):
        return [cleaned(item, clean) for item in held]
    return held if held is None or isinstance(held, (bool, int, float)) else clean(str(held))
