"""HOCON's grammar: what stands in one file, as a tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from trunkline.config.scalars import NUMBER, scalar
from trunkline.config.scanner import Scanner
from trunkline.config.tree import (
    Array,
    Dialect,
    Join,
    Node,
    Object,
    Place,
    Reference,
    SyntaxProblem,
    Value,
    split_keys,
    text_node,
)

_DEEPEST_NESTING = 60
_SPACE = re.compile(r"[ \t\r\f\u00a0\ufeff]*")
_BLANK = re.compile(r"(?:[\s,\ufeff]|#[^\n]*|//[^\n]*)*")
_TURN = re.compile(r"(?:[\s\ufeff]|#[^\n]*|//[^\n]*)*")
_KEY = re.compile(r"[^\s\"{}\[\],=:+#`^?!@*&\\$]+")
# Forbidden without quotes, in the words of the specification: $ " { } [ ] : = , + # ` ^ ? ! @ * & \ and whitespace. A
# colon is let through, because references are written so: env:TOKEN.
_CHARACTER = r"[^\s\"{}\[\],=+#`^?!@*&\\$]"
_WORD = re.compile(rf"(?:(?!//){_CHARACTER})+")
_URI_OR_WORD = re.compile(rf"(?:(?!//){_CHARACTER}|(?<=:)//+)+")
# Only numbers have a + in them.
_AMOUNT = re.compile(rf"{NUMBER.pattern}(?=[\s,\]}}#]|$)", re.ASCII)
_SUBSTITUTION = re.compile(r"\$\{(\??)\s*([^{}$\"\s]+)\s*\}")
_INCLUDE = re.compile(r"include(?=[\s\"])")
_INCLUDED = re.compile(r'(?P<required>required\s*\(\s*)?(?P<kind>[a-z]+\s*\(\s*)?(?=")')


class Parser:
    """Reads one text; what its methods raise is a `SyntaxProblem`."""

    def __init__(
        self,
        text: str,
        file: str,
        include: Callable[[str, Place, tuple[str, ...]], Object],
        dialect: Dialect,
        base: tuple[str, ...],
        *,
        once: bool = False,
    ) -> None:
        """See `parse_hocon`; with `once` no key may be given twice, as in JSON."""
        self._text = Scanner(text, file)
        self._include = include
        self._dialect = dialect
        self._word = _URI_OR_WORD if dialect.lenient else _WORD
        self._base = base
        self._once = once
        self._depth = 0

    def file(self) -> Object:
        """All of it, with or without { } around."""
        self._text.skip(_BLANK)
        braces = self._text.take("{")
        if not braces and self._text.peek() == "[":
            raise self._text.problem("the file holds a list, and should hold keys: name = ...")
        root = self._members((), flat=False)
        if braces and not self._text.take("}"):
            raise self._text.problem("ends within { }: a } is missing")
        self._text.skip(_BLANK)
        if self._text.peek():
            raise self._text.problem(
                "a } or ] too many" if self._text.peek() in {"}", "]"} else "stands after the last }"
            )
        return root

    def value(self, path: tuple[str, ...] | None, *, flat: bool) -> Node:
        """Everything up to the comma, the end of the line or the bracket: one value or several side by side."""
        place = self._text.place()
        parts: list[Node | str] = []
        plain: list[str] = []
        while True:
            space = self._text.skip(_SPACE)
            char = self._text.peek()
            comment = char == "#" or (self._text.starts("//") and (space or not parts))
            if not char or char in "\n,}]" or comment:
                break
            if parts and space:
                parts.append(space)
                plain.append(space)
            parts.append(self._part(char, path, plain, flat=flat))
        if not parts:
            raise SyntaxProblem(place, 'a value is missing; an empty text is written ""')
        if len(plain) == len(parts):
            return Value(scalar("".join(plain), lenient=self._dialect.lenient), place)
        return parts[0] if len(parts) == 1 and not isinstance(parts[0], str) else Join(parts, place)

    def _part(self, char: str, path: tuple[str, ...] | None, plain: list[str], *, flat: bool) -> Node:
        place = self._text.place()
        if char == "{":
            return self._object(path, flat=flat)
        if char == "[":
            return self._array(flat=flat)
        if char == '"':
            return text_node(self._text.string(), place, self._dialect, self._base)
        if match := self._text.match(_SUBSTITUTION):
            return Reference(self._keys(match[2].split(".")), place, bool(match[1]), self._base)
        match = self._text.match(_AMOUNT) or self._text.match(self._word)
        if match is None:
            word = "//" if self._text.starts("//") else char
            raise self._text.problem(f"{word} must stand in quotes")
        plain.append(match[0])
        return Value(match[0], place)

    def _members(self, path: tuple[str, ...] | None, *, flat: bool) -> Object:
        found = Object(self._text.place())
        while True:
            self._text.skip(_BLANK)
            char = self._text.peek()
            if not char or char == "}":
                return found
            if not self._once and self._text.ahead(_INCLUDE):
                found.merge(self._included(path))
            else:
                self._member(found, path, flat=flat)
            self._text.skip(_SPACE)
            if self._text.peek() not in {"", "\n", ",", "}", "#"} and not self._text.starts("//"):
                raise self._text.problem("a comma or the end of the line is missing")

    def _member(self, found: Object, path: tuple[str, ...] | None, *, flat: bool) -> None:
        place = self._text.place()
        segments = self._segments()
        keys = (".".join(segments),) if flat else self._keys(segments)
        below = None if path is None else (*path, *keys)
        flat = flat or any(key in self._dialect.flat for key in keys)
        self._text.skip(_TURN if self._text.starts(("{", "=", ":", "+="), _TURN) else _SPACE)
        adding = self._text.take("+=")
        if self._text.peek() == "{" and not adding:
            node = self.value(below, flat=flat)
        elif adding or self._text.take("=") or self._text.take(":"):
            self._text.skip(_TURN)
            node = self.value(below, flat=flat)
        else:
            raise self._text.problem("= is missing after a key")
        # A key stands where its name does, also where its value begins on the next line.
        node.place = place
        assigned = found.fields.get(keys[0], [])
        if adding:
            if len(keys) > 1:
                raise SyntaxProblem(place, "+= takes one key, not a path: write group { key += value }")
            node = Array([node], place, adds=True)
        if self._once and assigned:
            raise SyntaxProblem(place, f"{keys[0]} is given twice")
        found.assign(keys, node)

    def _object(self, path: tuple[str, ...] | None, *, flat: bool) -> Object:
        self._deeper()
        place = self._text.place()
        self._text.at += 1
        found = self._members(path, flat=flat)
        found.place = place
        if not self._text.take("}"):
            raise SyntaxProblem(place, "{ is never closed: a } is missing")
        self._depth -= 1
        return found

    def _array(self, *, flat: bool) -> Array:
        self._deeper()
        place = self._text.place()
        self._text.at += 1
        items: list[Node] = []
        while True:
            self._text.skip(_BLANK)
            if self._text.take("]"):
                self._depth -= 1
                return Array(items, place)
            if self._text.peek() == "}":
                raise self._text.problem("this } closes nothing, or a ] is missing")
            if not self._text.peek():
                raise SyntaxProblem(place, "[ is never closed: a ] is missing")
            items.append(self.value(None, flat=flat))

    def _included(self, path: tuple[str, ...] | None) -> Object:
        place = self._text.place()
        self._text.at += len("include")
        self._text.skip(_SPACE)
        match = self._text.match(_INCLUDED)
        kind = (match["kind"] or "").rstrip(" (") if match else ""
        name = self._text.string() if match else ""
        if match is None or kind not in {"", "file"} or "://" in name:
            raise SyntaxProblem(place, 'only files are included: include "common.conf", beside this file')
        for _ in filter(None, (match["kind"], match["required"])):
            self._text.skip(_SPACE)
            if not self._text.take(")"):
                raise SyntaxProblem(place, "include: a ) is missing")
        return self._include(name, place, (*self._base, *(path or ())))

    def _keys(self, segments: Sequence[str]) -> tuple[str, ...]:
        return split_keys(segments, self._dialect.flat)

    def _segments(self) -> list[str]:
        """The parts of a key: `a."b.c".d` has three."""
        segments = [""]
        start = self._text.at
        while True:
            if self._text.peek() == '"':
                segments[-1] += self._text.string()
            elif match := self._text.match(_KEY):
                first, *others = match[0].split(".")
                segments[-1] += first
                segments += others
            else:
                break
        if self._text.at == start:
            raise self._text.problem("a key is missing here" if self._text.peek() in set("=:") else "this is no key")
        if not all(segments):
            raise self._text.problem("a key has an empty part: a.b, or in quotes")
        return segments

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST_NESTING:
            raise self._text.problem("nested too deeply")
