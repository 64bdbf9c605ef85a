"""Values without quotes: true, false, null, numbers that remember how they were written, and text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

# JSON's numbers. Others, such as 007 or .5, are text.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_FRACTION = re.compile(r"-?\.\d+([eE]-?\d+)?", re.ASCII)
_WORDS = {"true": True, "false": False, "null": None}


class Number(float):
    """A number with a point or an exponent that remembers how it was written: `1e3`, `0.10`."""

    text: str

    def __new__(cls, text: str) -> Self:
        """A number from its text."""
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return (Number, (self.text,))


def scalar(text: str, *, lenient: bool = False) -> Any:
    """What a value without quotes is: true, false, null, a number of JSON's; anything else is text, as written.

    Args:
        text: The value.
        lenient: Whether `True`, `NULL`, `.5` and `-0` are what they look like too, not text.
    """
    word = text.lower() if lenient else text
    if word in _WORDS:
        return _WORDS[word]
    if lenient and _FRACTION.fullmatch(text):
        return Number(text)
    match = NUMBER.fullmatch(text)
    if match is None or (text == "-0" and not lenient):
        return text
    return Number(text) if match[2] or match[3] else int(text)


def as_text(value: Any) -> str:
    """A scalar as it was written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.text if isinstance(value, Number) else "null" if value is None else str(value)


def bare(held: Any) -> Any:
    """Plain data for Python: numbers without how they were written."""
    if isinstance(held, Mapping):
        return {key: bare(value) for key, value in held.items()}
    if isinstance(held, (list, tuple)):
        return [bare(item) for item in held]
    return float(held) if isinstance(held, Number) else held
