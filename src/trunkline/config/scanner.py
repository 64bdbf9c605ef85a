"""A text that is read from its beginning to its end, by signs and patterns, with the line of where one is."""

from __future__ import annotations

import bisect
import json
import re

from trunkline.config.tree import Place, SyntaxProblem

_TRIPLE = re.compile(r'"""(.*?)"""(?!")', re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')


class Scanner:
    """Where one is in a text.

    Attributes:
        at: How far it has been read.
    """

    def __init__(self, text: str, file: str) -> None:
        self.at = 0
        self._text = text
        self._file = file
        self._lines = [match.start() for match in re.finditer("\n", text)]

    def peek(self) -> str:
        """The next character; empty at the end."""
        return self._text[self.at : self.at + 1]

    def ahead(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What a pattern finds here."""
        return pattern.match(self._text, self.at)

    def starts(self, signs: str | tuple[str, ...], after: re.Pattern[str] | None = None) -> bool:
        """Whether one of the signs stands here, or after what the pattern finds here."""
        match = self.ahead(after) if after else None
        return self._text.startswith(signs, match.end() if match else self.at)

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Read what a pattern finds here, if it does."""
        found = self.ahead(pattern)
        if found is not None:
            self.at = found.end()
        return found

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Read what a pattern finds here: maybe nothing."""
        found = self.match(pattern)
        return found[0] if found else ""

    def take(self, sign: str) -> bool:
        """Read a sign, if it stands here."""
        if not self._text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def string(self) -> str:
        """Read a text in quotes, or in three of them.

        Raises:
            SyntaxProblem: It does not end, or a backslash in it means nothing.
        """
        place = self.place()
        if match := self.match(_TRIPLE):
            return match[1]
        match = self.ahead(_QUOTED)
        if match is None or self.starts('"""'):
            raise SyntaxProblem(place, "a quote is never closed")
        self.at = match.end()
        try:
            return str(json.loads(match[0], strict=False))
        except ValueError:
            raise SyntaxProblem(place, r'a \ in quotes is written \\, or the text in """ """') from None

    def place(self) -> Place:
        """Where one is."""
        return Place(self._file, bisect.bisect_left(self._lines, self.at) + 1)

    def problem(self, sentence: str) -> SyntaxProblem:
        """What is wrong where one is."""
        return SyntaxProblem(self.place(), sentence)
