"""HOCON and JSON, read into a tree that keeps lines and spelling.

    vars { root = "/data", root = ${?ROOT} }
    include "common.conf"
    steps = [ { name = orders, read { format = parquet, path = ${vars.root}"/orders" } } ]

pyhocon reads the same language and forgets what must be kept: the line of a key, that `5s` and `1e3` were written so,
that `a` and `a.b` were both there. Besides it takes longer than everything else that happens before Spark starts. What
it and this reader both read is compared in the tests.

Differences from HOCON, all of them towards being told: an include that is not there is an error; includes are files,
never URLs; `//` within a word is refused, where HOCON begins a comment in the middle of `s3://bucket`. What a `Dialect`
changes stands there.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Sequence

from trunkline.config.brackets import CLOSING, unclosed
from trunkline.config.grammar import Parser
from trunkline.config.scalars import scalar
from trunkline.config.tree import Array, Dialect, Join, Node, Object, Place, SyntaxProblem, Value
from trunkline.errors import OptionError

# Includes of includes of ...: deeper than this they go in a circle.
_DEEPEST_INCLUDE = 20


def read_hocon(uri: str, read: Callable[[str], str], shown: Callable[[str], str], dialect: Dialect) -> Object:
    """The tree of a file, with those that it includes.

    Args:
        uri: Its path or URI.
        read: Gives the text at a path or URI.
        shown: Makes a path or URI fit to be shown.
        dialect: Of all of them.

    Raises:
        SyntaxProblem: One of them is no HOCON, or includes what cannot be read.
        OptionError: The file itself cannot be read.
    """
    return _read(uri, read, shown, dialect, (), ())


def parse_hocon(
    text: str,
    file: str,
    include: Callable[[str, Place, tuple[str, ...]], Object],
    dialect: Dialect,
    base: tuple[str, ...] = (),
) -> Object:
    """The tree of a text.

    Args:
        text: What stands in the file.
        file: Its name in messages.
        include: Parses another one: its name, the place that asks for it, and where in the file that is.
        dialect: What is understood otherwise.
        base: Where this one is included itself.

    Raises:
        SyntaxProblem: It is no HOCON.
    """
    try:
        return Parser(text, file, include, dialect, base).file()
    except SyntaxProblem as problem:
        # That of a file which this one includes is none of its brackets.
        found = unclosed(text) if problem.place.file == file else None
        line, of_brackets = problem.place.line, str(problem).endswith(("} is missing", "] is missing"))
        if found is None or found.line == line or (found.line > line and not of_brackets):
            raise
        seen = "" if of_brackets else f"; seen in line {line}: {problem}"
        sentence = f"{found.sign} is never closed: a {CLOSING[found.sign]} is missing{seen}"
        raise SyntaxProblem(Place(file, found.line), sentence) from None


def parse_json(text: str, file: str, dialect: Dialect) -> Object:
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
    return Parser(text, file, _no_include, dialect, (), once=True).file()


def parse_value(text: str, name: str, dialect: Dialect) -> Node:
    """What `--override a.b=text` gives: an object or a list of HOCON's, else a scalar.

    Raises:
        SyntaxProblem: It begins as an object or a list, and is none.
    """
    place = Place(name, 0)
    if text.lstrip()[:1] not in {"{", "["}:
        return Value(scalar(text, lenient=dialect.lenient), place)
    parser = Parser(text, name, _no_include, dialect, ())
    node = parser.value((), flat=False)
    for held in _below(node):
        held.place = place
    return node


def _read(
    uri: str,
    read: Callable[[str], str],
    shown: Callable[[str], str],
    dialect: Dialect,
    within: Sequence[str],
    base: tuple[str, ...],
) -> Object:
    if uri in within or len(within) > _DEEPEST_INCLUDE:
        raise OptionError(f"{shown(uri)} includes itself, by way of {shown(within[-1])}")

    def include(name: str, place: Place, path: tuple[str, ...]) -> Object:
        other = name if name.startswith("/") else posixpath.join(posixpath.dirname(uri), name)
        if not name.endswith((".conf", ".hocon", ".json")):
            raise SyntaxProblem(place, "what is included ends in .conf, .hocon or .json")
        try:
            return _read(other, read, shown, dialect, [*within, uri], path)
        except OptionError as error:
            raise SyntaxProblem(place, f"include: {error}") from None

    return parse_hocon(read(uri), shown(uri), include, dialect, base)


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
