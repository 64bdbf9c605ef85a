"""What goes with a run without being its outcome: notices, and the secrets that no text of it may show.

`trunkline.jobs.entry` opens notes for a run; hooks and notifications add to those that are open. Without any, as in a
test that calls `job.run()`, a notice is logged and that is all.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from trunkline.credentials import CREDENTIAL_NAME, Redactor, Secret, holds_credential, is_reference, resolve
from trunkline.errors import OptionError

# `max_tokens` counts something.
_SECRET_NUMBER = re.compile(r"passw(or)?d|secret|credential", re.IGNORECASE)

log = logging.getLogger("trunkline.jobs")


@dataclass
class Notes:
    """Of one run."""

    notices: list[str] = field(default_factory=list)
    redactor: Redactor = field(default_factory=lambda: Redactor(()))


_OPEN: ContextVar[Notes | None] = ContextVar("trunkline_job_notes", default=None)


@contextmanager
def open_notes(notes: Notes) -> Iterator[Notes]:
    """Let hooks and notifications find these notes."""
    token = _OPEN.set(notes)
    try:
        yield notes
    finally:
        _OPEN.reset(token)


def notice(text: str) -> None:
    """Tell something that does not change the outcome: in the result of the run, and in the log."""
    text = clean(text)
    notes = _OPEN.get()
    if notes is not None:
        notes.notices.append(text)
    log.warning(text)


def clean(text: str) -> str:
    """A text without the secrets of the run."""
    return redactor().clean(text)


def redactor() -> Redactor:
    """Of the secrets of the run whose notes are open."""
    notes = _OPEN.get()
    return Redactor(()) if notes is None else notes.redactor


def resolved(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with their references looked up, where they are the job's to see.

    `env:NAME` and `databricks:scope/key` are references in every argument; `file:/path` only under a name that holds
    `token`, `password`, `secret` or the like: elsewhere it is the path of a file.

    Raises:
        OptionError: References that point to nothing, all of them at once.
    """
    problems: list[str] = []

    def look_up(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return type(value)((key, look_up(key, item)) for key, item in value.items())  # type: ignore[call-arg]
        if isinstance(value, list):
            return [look_up(name, item) for item in value]
        if not isinstance(value, str) or not _refers(name, value):
            return value
        try:
            return resolve(value, name).reveal()
        except OptionError as error:
            problems.append(str(error))
            return value

    found = {name: look_up(name, value) for name, value in arguments.items()}
    if problems:
        raise OptionError("arguments of the job refer to what is not there", problems)
    return found


def secrets_in(arguments: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> list[Secret]:
    """The secret values among arguments, at any depth.

    Args:
        arguments: As the job gets them.
        before: The same with their references: what one pointed to is secret under any name.
    """
    return [Secret(text) for text in _secret_texts("", arguments, before)]


def _secret_texts(name: str, value: Any, before: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            inner = name if holds_credential(name) else str(key)
            yield from _secret_texts(inner, item, before.get(key) if isinstance(before, Mapping) else None)
    elif isinstance(value, (list, tuple)):
        for position, item in enumerate(value):
            earlier = before[position] if isinstance(before, (list, tuple)) else None
            yield from _secret_texts(name, item, earlier)
    elif isinstance(value, Secret):
        yield value.reveal() if value.resolved else ""
    elif isinstance(value, str) and (
        (holds_credential(name) and not is_reference(value)) or (isinstance(before, str) and before != value)
    ):
        yield value
    elif isinstance(value, int) and not isinstance(value, bool) and _SECRET_NUMBER.search(name):
        yield str(value)


def _refers(name: str, value: str) -> bool:
    return is_reference(value) and (value.startswith(("env:", "databricks:")) or bool(CREDENTIAL_NAME.search(name)))
