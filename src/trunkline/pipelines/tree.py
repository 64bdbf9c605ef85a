"""What a configuration file says before it is known what it means: values with their places, substituted late.

The three dialects make the same tree, so `${vars.root}`, overrides and the line in a message work alike in each.

    Object
      name   [Value("load")]
      path   [Value("/data"), Join([Reference("vars.root"), Value("/x")])]     each assignment, the last one counts

`resolving.py` makes plain data of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Self

Path: TypeAlias = "tuple[str | int, ...]"

# Below these keys dots are part of a name: spark.speculation and spark.speculation.interval are two settings.
FLAT = ("conf", "options")
# JSON's numbers. Others, such as 007 or .5, are text.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
# `$${` is a plain `${`.
_REFERENCE = re.compile(r"\$?\$\{(\??)\s*([^{}$\"\s]+)\s*\}")
_WORDS = {"true": True, "false": False, "null": None}


class Place(NamedTuple):
    """Where something was said: a file and its line, or the word on the command line (line 0)."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


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


@dataclass(eq=False)
class Value:
    """Text, a number, true, false or null."""

    value: Any
    place: Place


@dataclass(eq=False)
class Reference:
    """`${keys}`: another value of the file, else an environment variable of that name.

    Attributes:
        base: Where in the file it was included, so that an included file may refer to itself.
    """

    keys: tuple[str, ...]
    place: Place
    optional: bool = False
    base: tuple[str, ...] = ()


@dataclass(eq=False)
class Join:
    """Values side by side: text is put together, lists are joined, objects merged. A `str` is the space between two."""

    parts: list[Node | str]
    place: Place


@dataclass(eq=False)
class Array:
    """`[...]`; or what `+=` adds to a list."""

    items: list[Node]
    place: Place
    adds: bool = False


@dataclass(eq=False)
class Object:
    """`{...}`: the assignments of each field, in the order of the file."""

    place: Place
    fields: dict[str, list[Node]] = field(default_factory=dict)

    def assign(self, keys: Sequence[str], node: Node) -> None:
        """`a.b = node`. An object right after an object is one with it."""
        assigned = self.fields.setdefault(keys[0], [])
        inner = node
        if len(keys) > 1:
            inner = Object(node.place)
            inner.assign(keys[1:], node)
        if assigned and isinstance(assigned[-1], Object) and isinstance(inner, Object):
            assigned[-1].merge(inner)
        else:
            assigned.append(inner)

    def merge(self, other: Object) -> None:
        """Take over the fields of another object."""
        for key, nodes in other.fields.items():
            for node in nodes:
                self.assign((key,), node)


Node: TypeAlias = "Value | Reference | Join | Array | Object"


def scalar(text: str) -> Any:
    """What a value without quotes is: true, false, null, a number of JSON's; anything else is text, as written."""
    if text in _WORDS:
        return _WORDS[text]
    match = NUMBER.fullmatch(text)
    if match is None or text == "-0":
        return text
    return Number(text) if match[2] or match[3] else int(text)


def as_text(value: Any) -> str:
    """A scalar as it was written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.text if isinstance(value, Number) else "null" if value is None else str(value)


def text_node(text: str, place: Place, base: tuple[str, ...] = ()) -> Node:
    """A text in quotes; `${vars.root}` in it is a reference, `$${` is not."""
    if "${" not in text:
        return Value(text, place)
    parts: list[Node | str] = []
    done = 0
    for match in _REFERENCE.finditer(text):
        ahead = text[done : match.start()]
        if match[0].startswith("$$"):
            parts.append(Value(ahead + match[0][1:], place))
        else:
            parts += [Value(ahead, place)] if ahead else []
            parts.append(reference(match[2], place, optional=bool(match[1]), base=base))
        done = match.end()
    if done < len(text):
        parts.append(Value(text[done:], place))
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Value) else Join(parts, place)


def reference(name: str, place: Place, *, optional: bool = False, base: tuple[str, ...] = ()) -> Reference:
    """What `${name}` or `${?name}` says."""
    return Reference(split_keys(name.split(".")), place, optional, base)


def split_keys(segments: Sequence[str]) -> tuple[str, ...]:
    """The keys of a path, of which what stands below `conf` or `options` is one: `spark`, `conf`, `spark.sql.x`."""
    at = next((at for at, one in enumerate(segments) if one in FLAT), len(segments))
    below = segments[at + 1 :]
    return (*segments[: at + 1], *([".".join(below)] if below else []))


def spoken(path: Path) -> str:
    """A path as it is written: `steps[2].read.options`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def near(name: str, candidates: Sequence[str] | Mapping[str, Any]) -> str | None:
    """The candidate that was probably meant."""
    import difflib

    found = difflib.get_close_matches(name.lower(), [one.lower() for one in candidates], n=1, cutoff=0.6)
    return next((one for one in candidates if found and one.lower() == found[0]), None)
