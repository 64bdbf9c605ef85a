"""YAML, read into a tree, by version 1.2: `on` and `no` are text, and so are dates and 12:30."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from trunkline.config.resolving import MOST_VALUES
from trunkline.config.scalars import scalar
from trunkline.config.tree import Array, Dialect, Node, Object, Place, SyntaxProblem, Value, text_node
from trunkline.errors import MissingExtraError

if TYPE_CHECKING:
    from yaml import MappingNode, ScalarNode
    from yaml import Node as YamlNode

_DEEPEST_NESTING = 60
# What YAML 1.1 makes of a value without quotes, and what it may be said to be.
_TAGS = ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")


def parse_yaml(text: str, file: str, dialect: Dialect) -> Object:
    """The tree of a file.

    Args:
        text: What stands in it.
        file: Its name in messages.
        dialect: Says what `${...}` in it means.

    Raises:
        SyntaxProblem: It is no YAML, or no mapping.
        MissingExtraError: pyyaml is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise MissingExtraError(f'{file} is YAML: pip install "trunkline[pipelines]"') from None
    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SyntaxProblem(Place(file, line), f"not YAML: {error.problem or error.context}") from None
    except RecursionError:
        raise SyntaxProblem(Place(file, 1), "nested too deeply") from None
    except yaml.YAMLError:
        raise SyntaxProblem(Place(file, 1), "not YAML: it holds a character that YAML does not allow") from None
    if not isinstance(node, yaml.MappingNode):
        raise SyntaxProblem(Place(file, 1), "not a mapping: name: ..., steps: [...]")
    found = _Reader(file, dialect).node(node)
    assert isinstance(found, Object)  # noqa: S101 - what a mapping becomes
    return found


class _Reader:
    def __init__(self, file: str, dialect: Dialect) -> None:
        self._file = file
        self._dialect = dialect
        self._open: set[int] = set()
        self._values = 0

    def node(self, node: YamlNode) -> Node:
        # An alias is made anew each time: an override of one is not meant for the others.
        place = Place(self._file, node.start_mark.line + 1)
        self._values += 1
        if len(self._open) > _DEEPEST_NESTING:
            raise SyntaxProblem(place, "nested too deeply")
        if self._values > MOST_VALUES:
            raise SyntaxProblem(place, "the file comes to too much: aliases of aliases")
        if id(node) in self._open:
            raise SyntaxProblem(place, "an alias refers to what is around it")
        if node.tag.rpartition(":")[2] not in _TAGS or not node.tag.startswith("tag:yaml.org,2002:"):
            raise SyntaxProblem(place, "a tag of its own (!...) means nothing here")
        self._open.add(id(node))
        # Its own name for what a node is; yaml's types do not know it.
        kind = getattr(node, "id", "scalar")
        if kind == "mapping":
            found: Node = self._mapping(cast("MappingNode", node), place)
        elif kind == "sequence":
            found = Array([self.node(item) for item in node.value], place)
        else:
            found = self._scalar(cast("ScalarNode", node), place)
        self._open.discard(id(node))
        return found

    def _mapping(self, node: MappingNode, place: Place) -> Object:
        found = Object(place)
        merged: list[Node] = []
        for key, value in node.value:
            at = Place(self._file, key.start_mark.line + 1)
            if getattr(key, "id", "") != "scalar":
                raise SyntaxProblem(at, "a key is text, not a list or a mapping")
            inner = self.node(value)
            if key.value == "<<" and not key.style:
                merged += inner.items if isinstance(inner, Array) else [inner]
                continue
            if key.value in found.fields:
                raise SyntaxProblem(at, f"{key.value} is given twice")
            inner.place = at
            found.fields[key.value] = [inner]
        for other in merged:
            if not isinstance(other, Object):
                raise SyntaxProblem(place, "<< takes a mapping")
            for name, nodes in other.fields.items():
                found.fields.setdefault(name, nodes)
        return found

    def _scalar(self, node: ScalarNode, place: Place) -> Node:
        if not node.style and node.value in {"", "~"}:
            return Value(None, place)
        if not node.style and "${" not in node.value:
            return Value(scalar(node.value), place)
        return text_node(node.value, place, self._dialect)
