"""What the demo prints: a short story, with one line that moves on a terminal."""

from __future__ import annotations

import os
import textwrap
import time
from typing import TextIO

# Wider lines are hard to read.
_WIDTH = 100
# Between two lines of progress where lines cannot move.
_PLAIN_SECONDS = 5.0
_BOLD, _DIM, _PLAIN = "\033[1m", "\033[2m", "\033[0m"


class Screen:
    """Writes to a terminal or to a pipe.

    Args:
        stream: Where to.
        terminal: Whether lines can be overwritten; default: what the stream says.
        columns: Width of the terminal; a longer line of progress is cut, or it could not be overwritten.
    """

    def __init__(self, stream: TextIO, *, terminal: bool | None = None, columns: int = _WIDTH) -> None:
        self._stream = stream
        self._terminal = stream.isatty() if terminal is None else terminal
        self._styled = self._terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._columns = columns
        self._width = min(columns, _WIDTH)
        self._moving = ""
        self._next_plain = 0.0

    def heading(self, text: str) -> None:
        """What happens now, with an empty line before it."""
        self._write("\n" + self._style(_BOLD, self._wrapped(text)) + "\n")

    def say(self, text: str) -> None:
        """A sentence or two."""
        self._write(self._wrapped(text, "  ") + "\n")

    def code(self, text: str) -> None:
        """Code, as it stands."""
        self._write("\n" + self._style(_DIM, textwrap.indent(text.strip("\n"), "      ")) + "\n\n")

    def lines(self, *lines: str) -> None:
        """Lines of a small table, as they stand."""
        self._write("".join(f"      {line}".rstrip() + "\n" for line in lines))

    def wait(self, text: str) -> None:
        """Why nothing happens yet; on a terminal only, where it does not stay."""
        if self._terminal:
            self.move(text)

    def move(self, text: str, *, last: bool = False) -> None:
        """A line of progress: overwritten on a terminal, now and then a line in a pipe, always the last one."""
        if self._terminal:
            shown = f"      {text}"[: self._columns - 1]
            self._stream.write("\r" + shown.ljust(len(self._moving)) + ("\n" if last else ""))
            self._moving = "" if last else shown
        elif last or time.monotonic() >= self._next_plain:
            self._stream.write(f"      {text}".rstrip() + "\n")
            self._next_plain = time.monotonic() + _PLAIN_SECONDS
        self._stream.flush()

    def _wrapped(self, text: str, indent: str = "") -> str:
        return textwrap.fill(
            text,
            self._width,
            initial_indent=indent,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _style(self, code: str, text: str) -> str:
        return f"{code}{text}{_PLAIN}" if self._styled else text

    def _write(self, text: str) -> None:
        # A line of progress that something interrupted stays where it is.
        self._stream.write(("\n" if self._moving else "") + text)
        self._moving = ""
        self._stream.flush()
