"""What a configuration file says before it is known what it means: values with their places, substituted late.

HOCON, YAML and JSON make the same tree, so `${vars.root}`, overrides and the line in a message work alike in each.

    Object
      name   [Value("load")]
      path   [Value("/data"), Join([Reference("vars.root"), Value("/x")])]     each assignment, the last one counts

`resolving.py` makes plain data of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Path: TypeAlias = "tuple[str | int, ...]"

# `$${` is a plain `${`.
_REFERENCE = re.compile(r"\$?\$\{(\??)\s*([^{}$\"\s]+)\s*\}")


class Place(NamedTuple):
    """Where something was said: a file and its line, or the word on the command line (line 0)."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class SyntaxProblem(ValueError):  # noqa: N818 - a problem among others, not the failure itself
    """The file cannot be read on from here; the sentence quotes nothing of it.

    Attributes:
        place: Where.
    """

    def __init__(self, place: Place, sentence: str) -> None:
        super().__init__(sentence)
        self.place = place


@dataclass(frozen=True)
class Dialect:
    """What one use of these files understands otherwise than another.

    Attributes:
        flat: Keys below which dots are part of a name: below `conf`, `spark.speculation` and
            `spark.speculation.interval` are two settings.
        quoted_references: Whether `${...}` counts in quotes too, and `$${` is a plain `${` there.
        secrets: The group whose values are named where they are used, and looked up late: `${secrets.api}` comes to
            `secret:api`. Default: none.
        lenient: Whether `True`, `NULL`, `.5` and `s3://bucket` are read without quotes as they are meant. HOCON's
            specification makes text of the first three, and a comment of all after `s3:`.
    """

    flat: tuple[str, ...] = ()
    quoted_references: bool = False
    secrets: str | None = None
    lenient: bool = False


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


def text_node(text: str, place: Place, dialect: Dialect, base: tuple[str, ...] = ()) -> Node:
    """A text in quotes; where the dialect has it so, `${vars.root}` in it is a reference, and `$${` is not."""
    if not dialect.quoted_references or "${" not in text:
        return Value(text, place)
    parts: list[Node | str] = []
    done = 0
    for match in _REFERENCE.finditer(text):
        ahead = text[done : match.start()]
        if match[0].startswith("$$"):
            parts.append(Value(ahead + match[0][1:], place))
        else:
            parts += [Value(ahead, place)] if ahead else []
            parts.append(Reference(split_keys(match[2].split("."), dialect.flat), place, bool(match[1]), base))
        done = match.end()
    if done < len(text):
        parts.append(Value(text[done:], place))
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Value) else Join(parts, place)


def split_keys(segments: Sequence[str], flat: Sequence[str]) -> tuple[str, ...]:
    """The keys of a path, of which what stands below a flat one is one: `spark`, `conf`, `spark.sql.x`."""
    at = next((at for at, one in enumerate(segments) if one in flat), len(segments))
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
