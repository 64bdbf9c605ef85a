"""Which bracket of a text in HOCON is never closed: the one that a person would name.

    steps = [
      { name = a, read { format = csv
      }
    ]

    unclosed(text)      # Unclosed(2, "{"): by the rules the } closes `read`, and the step is not closed

Who left out a bracket learns of it at the end of the file, or where something stands that cannot stand within. Where
brackets are closed at the beginning of lines, lines are indented, and there it is seen which one was meant.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

CLOSING = {"{": "}", "[": "]"}
# Texts and comments are passed over; a quote that is left is one without an end.
_TOKEN = re.compile(r'"""[\s\S]*?"""+|"(?:[^"\\\n]|\\.)*"|#[^\n]*|(?<![^\s,{}\[\]])//[^\n]*|[{}\[\]"]')
_INDENT = re.compile(r"[ \t]*")


class Unclosed(NamedTuple):
    """A bracket without its end.

    Attributes:
        line: Where it stands.
        sign: `{` or `[`.
    """

    line: int
    sign: str


class _Open(NamedTuple):
    line: int
    sign: str
    indent: str


def unclosed(text: str) -> Unclosed | None:
    """The bracket of a text that is never closed, None where all are or nobody can tell.

    Args:
        text: HOCON.
    """
    lines = text.split("\n")
    waiting: list[_Open] = []
    odd: _Open | None = None
    number, begin = 1, 0
    for match in _TOKEN.finditer(text):
        while begin + len(lines[number - 1]) < match.start():
            begin += len(lines[number - 1]) + 1
            number += 1
        sign = match[0]
        indent = _INDENT.match(lines[number - 1])[0]  # type: ignore[index]
        if sign == '"':
            return None
        if sign in CLOSING:
            waiting.append(_Open(number, sign, indent))
        elif sign in CLOSING.values():
            if not waiting:
                return None
            one = waiting.pop()
            if sign != CLOSING[one.sign]:
                return _short_of(text, odd, one)
            first = begin + len(indent) == match.start()
            # One that stands further left was meant to close something around.
            if odd is None and first and len(indent) < len(one.indent):
                odd = one
    return _short_of(text, odd, waiting[-1]) if waiting else None


def _short_of(text: str, *suspects: _Open | None) -> Unclosed | None:
    """The first of them whose kind is opened more often than it is closed: else one is closed too often."""
    signs = Counter(match[0] for match in _TOKEN.finditer(text))
    found = (one for one in suspects if one is not None and signs[one.sign] > signs[CLOSING[one.sign]])
    return next((Unclosed(one.line, one.sign) for one in found), None)
