"""How a contract says what it found: what the connector owes, and which rows are missing or too many.

    with owed("a write that succeeds"):
        write.commit(messages)

What is raised inside fails the test as "the connector owes a write that succeeds", followed by the error.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from trunkline.testing.writer_process import CallError


@contextmanager
def owed(what: str, errors: tuple[type[Exception], ...] = (CallError,)) -> Iterator[None]:
    """Say what the connector owes when something inside raises."""
    try:
        yield
    except errors as error:
        pytest.fail(f"the connector owes {what}\n\n{error}")


@contextmanager
def owed_error(what: str, errors: tuple[type[Exception], ...] = (CallError,)) -> Iterator[list[str]]:
    """Say what the connector owes when nothing inside raises; gives the text of the error that was raised."""
    texts: list[str] = []
    try:
        yield texts
    except errors as error:
        texts.append(str(error))
        return
    pytest.fail(f"the connector owes an error {what}")


@contextmanager
def failing(seen: dict[str, str], what: str) -> Iterator[None]:
    """Keep the text of an error that may be raised inside."""
    try:
        yield
    except CallError as error:
        seen[what] = str(error)


def counted(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How often each row is there, as text that can be compared and shown."""
    return Counter(json.dumps(row, sort_keys=True, default=str) for row in rows)


def differences(found: Counter[str], wanted: Counter[str]) -> str:
    """What is missing and what is too much, the first of each."""
    parts = []
    for word, more in (("missing", wanted - found), ("too many", found - wanted)):
        if more:
            parts.append(f"{more.total()} {word}, such as {min(more)}")
    return "; ".join(parts) or "nothing differs"
