"""HOCON and JSON, read into a tree that keeps lines and spelling.

    vars { root = "/data", root = ${?ROOT} }
    include "common.conf"
    steps = [ { name = orders, read { format = parquet, path = ${vars.root}"/orders" } } ]

pyhocon reads the same language and forgets what a pipeline file must keep: the line of a key, that `5s` and `1e3` were
written so, that `a` and `a.b` were both there. Besides it takes longer than everything else that happens before Spark
starts. What it and this reader both read is compared in the tests.

Differences from HOCON, all of them towards being told: an include that is not there is an error; includes are files,
never URLs; `${...}` counts in quotes too, as it does in YAML (`$${` is a plain `${`); `//` within a word is refused,
where HOCON begins a comment in the middle of `s3://bucket`. Under `conf` and `options` a dotted key is one key.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Callable

from trunkline.pipelines.tree import (
    FLAT,
    NUMBER,
    Array,
    Join,
    Node,
    Object,
    Place,
    Value,
    reference,
    scalar,
    split_keys,
    text_node,
)

_SPACE = re.compile(r"[ \t\r\f\u00a0\ufeff]*")
_BLANK = re.compile(r"(?:[\s,\ufeff]|#[^\n]*|//[^\n]*)*")
_TURN = re.compile(r"(?:[\s\ufeff]|#[^\n]*|//[^\n]*)*")
_TRIPLE = re.compile(r'"""(.*?)"""(?!")', re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_KEY = re.compile(r"[^\s\"{}\[\],=:+#`^?!@*&\\$]+")
# Forbidden without quotes, in the words of the specification: $ " { } [ ] : = , + # ` ^ ? ! @ * & \ and whitespace. A
# colon is let through, because references are written so: env:TOKEN.
_WORD = re.compile(r"(?:(?!//)[^\s\"{}\[\],=+#`^?!@*&\\$])+")
# Only numbers have a + in them.
_AMOUNT = re.compile(rf"{NUMBER.pattern}(?=[\s,\]}}#]|$)", re.ASCII)
_SUBSTITUTION = re.compile(r"\$\{(\??)\s*([^{}$\"\s]+)\s*\}")
_INCLUDE = re.compile(r"include(?=[\s\"])")
_INCLUDED = re.compile(r'(?P<required>required\s*\(\s*)?(?P<kind>[a-z]+\s*\(\s*)?(?P<name>"(?:[^"\\\n]|\\.)*")')


class SyntaxProblem(ValueError):  # noqa: N818 - a problem among others, not the failure itself
    """The file cannot be read on from here; the sentence quotes nothing of it.

    Attributes:
        place: Where.
    """

    def __init__(self, place: Place, sentence: str) -> None:
        super().__init__(sentence)
        self.place = place


def parse_hocon(
    text: str, file: str, include: Callable[[str, Place, tuple[str, ...]], Object], base: tuple[str, ...] = ()
) -> Object:
    """The tree of a file.

    Args:
        text: What stands in it.
        file: Its name in messages.
        include: Parses another one: its name, the place that asks for it, and where in the file that is.
        base: Where this one is included itself.

    Raises:
        SyntaxProblem: It is no HOCON.
    """
    return _Parser(text, file, include, base).file()


def parse_json(text: str, file: str) -> Object:
    """The tree of a file that is JSON and nothing more.

    Raises:
        SyntaxProblem: It is no JSON, or no object.
    """
    try:
        held = json.loads(text)
    except json.JSONDecodeError as error:
        raise SyntaxProblem(Place(file, error.lineno), f"not JSON at column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise SyntaxProblem(Place(file, 1), "nested too deeply") from None
    if not isinstance(held, dict):
        raise SyntaxProblem(Place(file, 1), "not a JSON object")
    return _Parser(text, file, _no_include, (), once=True).file()


def parse_value(text: str, name: str) -> Node:
    """What `--override a.b=text` gives: an object or a list of HOCON's, else a scalar.

    Raises:
        SyntaxProblem: It begins as an object or a list, and is none.
    """
    place = Place(name, 0)
    if text.lstrip()[:1] not in {"{", "["}:
        return Value(scalar(text), place)
    parser = _Parser(text, name, _no_include, ())
    node = parser.value((), flat=False)
    for held in _below(node):
        held.place = place
    return node


class _Parser:
    def __init__(
        self,
        text: str,
        file: str,
        include: Callable[[str, Place, tuple[str, ...]], Object],
        base: tuple[str, ...],
        *,
        once: bool = False,
    ) -> None:
        self._text = text
        self._file = file
        self._include = include
        self._base = base
        self._once = once
        self._at = 0
        self._depth = 0
        self._lines = [match.start() for match in re.finditer("\n", text)]

    def file(self) -> Object:
        self._skip(_BLANK)
        braces = self._take("{")
        if not braces and self._peek() == "[":
            raise self._problem("the file holds a list: a pipeline is an object, name = ..., steps = [...]")
        root = self._members((), flat=False)
        if braces and not self._take("}"):
            raise self._problem("ends within { }: a } is missing")
        self._skip(_BLANK)
        if self._at < len(self._text):
            raise self._problem("a } or ] too many" if self._peek() in {"}", "]"} else "stands after the last }")
        return root

    def value(self, path: tuple[str, ...] | None, *, flat: bool) -> Node:
        """Everything up to the comma, the end of the line or the bracket: one value or several side by side."""
        place = self._place()
        parts: list[Node | str] = []
        plain: list[str] = []
        while True:
            space = self._skip(_SPACE)
            char = self._peek()
            comment = char == "#" or (self._text.startswith("//", self._at) and (space or not parts))
            if not char or char in "\n,}]" or comment:
                break
            if parts and space:
                parts.append(space)
                plain.append(space)
            parts.append(self._part(char, path, plain, flat=flat))
        if not parts:
            raise SyntaxProblem(place, 'a value is missing; an empty text is written ""')
        if len(plain) == len(parts):
            return Value(scalar("".join(plain)), place)
        return parts[0] if len(parts) == 1 and not isinstance(parts[0], str) else Join(parts, place)

    def _part(self, char: str, path: tuple[str, ...] | None, plain: list[str], *, flat: bool) -> Node:
        place = self._place()
        if char == "{":
            return self._object(path, flat=flat)
        if char == "[":
            return self._array(flat=flat)
        if char == '"':
            return text_node(self._string(), place, self._base)
        if match := _SUBSTITUTION.match(self._text, self._at):
            self._at = match.end()
            return reference(match[2], place, optional=bool(match[1]), base=self._base)
        match = _AMOUNT.match(self._text, self._at) or _WORD.match(self._text, self._at)
        if match is None:
            word = "//" if self._text.startswith("//", self._at) else char
            raise self._problem(f"{word} must stand in quotes")
        self._at = match.end()
        plain.append(match[0])
        return Value(match[0], place)

    def _members(self, path: tuple[str, ...] | None, *, flat: bool) -> Object:
        found = Object(self._place())
        while True:
            self._skip(_BLANK)
            char = self._peek()
            if not char or char == "}":
                return found
            if not self._once and _INCLUDE.match(self._text, self._at):
                found.merge(self._included(path))
            else:
                self._member(found, path, flat=flat)
            self._skip(_SPACE)
            if self._peek() not in {"", "\n", ",", "}", "#"} and not self._text.startswith("//", self._at):
                raise self._problem("a comma or the end of the line is missing")

    def _member(self, found: Object, path: tuple[str, ...] | None, *, flat: bool) -> None:
        place = self._place()
        segments = self._segments()
        keys = (".".join(segments),) if flat else split_keys(segments)
        below = None if path is None else (*path, *keys)
        flat = flat or any(key in FLAT for key in keys)
        self._skip(_TURN if self._next_is("{", "=", ":", "+=") else _SPACE)
        adding = self._take("+=")
        if self._peek() == "{" and not adding:
            node = self.value(below, flat=flat)
        elif adding or self._take("=") or self._take(":"):
            self._skip(_TURN)
            node = self.value(below, flat=flat)
        else:
            raise self._problem("= is missing after a key")
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
        place = self._place()
        self._at += 1
        found = self._members(path, flat=flat)
        found.place = place
        if not self._take("}"):
            raise SyntaxProblem(place, "{ is never closed: a } is missing")
        self._depth -= 1
        return found

    def _array(self, *, flat: bool) -> Array:
        self._deeper()
        place = self._place()
        self._at += 1
        items: list[Node] = []
        while True:
            self._skip(_BLANK)
            if self._take("]"):
                self._depth -= 1
                return Array(items, place)
            if not self._peek() or self._peek() == "}":
                raise SyntaxProblem(place, "[ is never closed: a ] is missing")
            items.append(self.value(None, flat=flat))

    def _included(self, path: tuple[str, ...] | None) -> Object:
        place = self._place()
        self._at += len("include")
        self._skip(_SPACE)
        match = _INCLUDED.match(self._text, self._at)
        kind = (match["kind"] or "").rstrip(" (") if match else ""
        if match is None or kind not in {"", "file"} or "://" in match["name"]:
            raise SyntaxProblem(place, 'only files are included: include "common.conf", beside this file')
        self._at = match.end()
        for _ in filter(None, (match["kind"], match["required"])):
            self._skip(_SPACE)
            if not self._take(")"):
                raise SyntaxProblem(place, "include: a ) is missing")
        return self._include(self._unescaped(match["name"], place), place, (*self._base, *(path or ())))

    def _segments(self) -> list[str]:
        """The parts of a key: `a."b.c".d` has three."""
        segments = [""]
        start = self._at
        while True:
            if self._peek() == '"':
                segments[-1] += self._string()
            elif match := _KEY.match(self._text, self._at):
                self._at = match.end()
                first, *others = match[0].split(".")
                segments[-1] += first
                segments += others
            else:
                break
        if self._at == start:
            raise self._problem("a key is missing here" if self._peek() in set("=:") else "this is no key")
        if not all(segments):
            raise self._problem("a key has an empty part: a.b, or in quotes")
        return segments

    def _string(self) -> str:
        place = self._place()
        if match := _TRIPLE.match(self._text, self._at):
            self._at = match.end()
            return match[1]
        match = _QUOTED.match(self._text, self._at)
        if match is None or self._text.startswith('"""', self._at):
            raise SyntaxProblem(place, "a quote is never closed")
        self._at = match.end()
        return self._unescaped(match[0], place)

    def _unescaped(self, quoted: str, place: Place) -> str:
        try:
            return str(json.loads(quoted, strict=False))
        except ValueError:
            raise SyntaxProblem(place, r'a \ in quotes is written \\, or the text in """ """') from None

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > 60:
            raise self._problem("nested too deeply")

    def _next_is(self, *signs: str) -> bool:
        match = _TURN.match(self._text, self._at)
        return self._text.startswith(signs, match.end() if match else self._at)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _place(self) -> Place:
        return Place(self._file, bisect.bisect_left(self._lines, self._at) + 1)

    def _problem(self, sentence: str) -> SyntaxProblem:
        return SyntaxProblem(self._place(), sentence)


def _no_include(_name: str, place: Place, _base: tuple[str, ...]) -> Object:
    raise SyntaxProblem(place, "nothing is included here")


def _below(node: Node) -> list[Node]:
    """A node and all under it."""
    found = [node]
    if isinstance(node, Object):
        children = [child for nodes in node.fields.values() for child in nodes]
    elif isinstance(node, Array):
        children = node.items
    else:
        children = [part for part in node.parts if not isinstance(part, str)] if isinstance(node, Join) else []
    for child in children:
        found += _below(child)
    return found
