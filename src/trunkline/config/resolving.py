"""From a tree to plain data: `${...}` looked up, objects merged, the place of every value noted.

HOCON's specification (github.com/lightbend/config, HOCON.md) says how: objects merge, a later value replaces an earlier
one, `${?x}` without a value leaves the earlier one, and a value that refers to itself means what stood there before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trunkline.config.scalars import as_text
from trunkline.config.tree import Array, Dialect, Join, Node, Object, Path, Place, Reference, Value, near, spoken

# A file of this many values is not written by people: it is made by references to references, or by YAML's aliases.
MOST_VALUES = 100_000
_DEEPEST = 100


class Problems(list[tuple[Place | None, str]]):
    """What is wrong with a file: where, and a sentence."""


class Resolved(NamedTuple):
    """Plain data, and what messages about it need.

    Attributes:
        data: Objects, lists and scalars.
        places: Where each value was said, by its path.
        environment: What came out of environment variables: it may hold credentials, and is cut out of messages.
        wrong: The paths of the values that have a problem; `()` where it is all of the file.
    """

    data: Any
    places: dict[Path, Place]
    environment: set[str]
    wrong: set[Path]


def resolved(
    root: Object, environment: Mapping[str, str], problems: Problems, dialect: Dialect, prefix: tuple[str, ...] = ()
) -> Resolved:
    """Substitute and merge.

    Args:
        root: The file.
        environment: What `${NAME}` means where the file has no such value.
        problems: Gets what is wrong.
        dialect: Says which group holds secrets.
        prefix: A wrapper in which names are also looked for.
    """
    resolver = _Resolver(root, environment, problems, dialect, prefix)
    data = resolver.node(root, ())
    return Resolved(data, resolver.places, resolver.taken, resolver.wrong)


class _Undefined:
    """No value."""


_UNDEFINED = _Undefined()


class _Resolver:
    def __init__(
        self,
        root: Object,
        environment: Mapping[str, str],
        problems: Problems,
        dialect: Dialect,
        prefix: tuple[str, ...],
    ) -> None:
        self.places: dict[Path, Place] = {}
        self.taken: set[str] = set()
        self.wrong: set[Path] = set()
        self._root = root
        self._environment = environment
        self._problems = problems
        self._secrets = dialect.secrets
        self._prefix = prefix
        self._open: set[int] = set()
        # Of a list behind which another is joined: how many items stand before those of the other, by the path.
        self._before: dict[Path, int] = {}
        self._values = 0

    def node(self, node: Node, path: Path | None) -> Any:
        """What a node comes to. With a path it is part of the result, and its place is noted."""
        self._values += 1
        if self._values > MOST_VALUES or len(self._open) > _DEEPEST:
            if self._values <= MOST_VALUES * 2:
                self._tell(node.place, "the file comes to too much: references refer to each other", ())
            self._values = MOST_VALUES * 2 + 1
            return None
        if path is not None:
            self.places.setdefault(path, node.place)
        if isinstance(node, Value):
            return node.value
        if isinstance(node, Object):
            fields = {}
            for key, nodes in node.fields.items():
                value = self._field(nodes, None if path is None else (*path, key))
                if value is not _UNDEFINED:
                    fields[key] = value
            return fields
        self._open.add(id(node))
        try:
            if isinstance(node, Reference):
                return self._reference(node, path)
            if isinstance(node, Join):
                return self._join(node, path)
            return self._items(node, path)
        finally:
            self._open.discard(id(node))

    def _items(self, node: Array, path: Path | None) -> list[Any]:
        items: list[Any] = []
        before = 0 if path is None else self._before.get(path, 0)
        for item in node.items:
            at = None if path is None else (*path, before + len(items))
            value = self.node(item, at)
            if value is not _UNDEFINED:
                items.append(value)
            elif at is not None:
                # Here stands the next.
                self.places.pop(at, None)
        return items

    def _behind(self, count: int, node: Node, path: Path | None) -> Any:
        """What a node comes to behind a list of so many items."""
        if path is None:
            return self.node(node, None)
        before = self._before.get(path, 0)
        self._before[path] = before + count
        try:
            return self.node(node, path)
        finally:
            self._before[path] = before

    def _tell(self, place: Place, sentence: str, path: Path | None) -> None:
        self._problems.append((place, sentence))
        if path is not None:
            self.wrong.add(path)

    def _field(self, nodes: Sequence[Node], path: Path | None) -> Any:
        """What all assignments of a field come to; of those that are being resolved, what stood before."""
        end = next((at for at, node in enumerate(nodes) if id(node) in self._open), len(nodes))
        nodes = nodes[:end]
        if path is not None and any(isinstance(one, Object) for one in nodes):
            plain = next((one for one in nodes if isinstance(one, Value) and one.value is not None), None)
            if plain is not None:
                self._tell(plain.place, f"{spoken(path)} is given as a value and as a group of keys", path)
        merged: Any = _UNDEFINED
        for at, node in reversed([*enumerate(nodes)]):
            if merged is _UNDEFINED and isinstance(node, Array) and node.adds:
                return self._added(nodes[: at + 1], path)
            value = self.node(node, path)
            if value is _UNDEFINED:
                continue
            if merged is _UNDEFINED:
                merged = value
            elif isinstance(value, dict):
                merged = _merged(value, merged)
            if not isinstance(merged, dict):
                break
        return merged

    def _added(self, nodes: Sequence[Node], path: Path | None) -> list[Any]:
        """What assignments come to of which the last is a `+=`."""
        first = len(nodes)
        while first and isinstance(last := nodes[first - 1], Array) and last.adds:
            first -= 1
        earlier = self._field(nodes[:first], path)
        items = [*earlier] if isinstance(earlier, list) else []
        if earlier is not _UNDEFINED and not isinstance(earlier, list):
            self._tell(nodes[first - 1].place, "+= adds to a list, and this is none", path)
        for node in nodes[first:]:
            items += self._behind(len(items), node, path) or []
        return items

    def _reference(self, node: Reference, path: Path | None) -> Any:
        name = ".".join(node.keys)
        for base in dict.fromkeys((node.base, (), self._prefix)):
            assigned = self._assigned((*base, *node.keys))
            value = self._field(assigned, path)
            if value is not _UNDEFINED:
                # A secret is named where it is used, and looked up late.
                return f"secret:{node.keys[1]}" if self._named(node) and len(node.keys) == 2 else value
        found = self._environment.get(name)
        if found is not None:
            self.taken.add(found)
            return found
        if not node.optional:
            self._tell(node.place, self._without(node, name), path)
        return _UNDEFINED

    def _named(self, node: Reference) -> bool:
        return node.keys[0] == self._secrets

    def _without(self, node: Reference, name: str) -> str:
        held: list[str] = []
        for base in dict.fromkeys(((), self._prefix)):
            for one in self._assigned((*base, *node.keys[:-1])):
                held += one.fields if isinstance(one, Object) else []
        guess = near(node.keys[-1], [key for key in held if key != node.keys[-1]])
        if guess:
            return f"${{{name}}} has no value: did you mean ${{{'.'.join((*node.keys[:-1], guess))}}}?"
        variable = f", or the environment variable {name}" if len(node.keys) == 1 else ""
        return f"${{{name}}} has no value: set {name}{variable}, or write ${{?{name}}} where it may be missing"

    def _assigned(self, keys: Sequence[str]) -> list[Node]:
        """Every assignment to a path, in order."""
        nodes: list[Node] = [self._root]
        for key in keys:
            inner: list[Node] = []
            for node in nodes:
                if isinstance(node, Object):
                    inner += node.fields.get(key, ())
                elif isinstance(node, (Reference, Join)) and id(node) not in self._open:
                    value = self.node(node, None)
                    if isinstance(value, dict) and key in value:
                        inner.append(Value(value[key], node.place))
                else:
                    inner = []
            nodes = inner
        return nodes

    def _join(self, node: Join, path: Path | None) -> Any:
        values: list[Any] = []
        spaces: list[str] = []
        space = ""
        items = 0
        for part in node.parts:
            if isinstance(part, str):
                space = part
                continue
            value = self._behind(items, part, path)
            items += len(value) if isinstance(value, list) else 0
            if value is not _UNDEFINED:
                values.append(value)
                spaces.append(space)
            space = ""
        if len(values) > 1 and any(isinstance(part, Reference) and self._named(part) for part in node.parts):
            self._tell(node.place, "a secret is a value of its own: it cannot be joined with text", path)
        if len(values) <= 1:
            return values[0] if values else _UNDEFINED
        if all(isinstance(value, dict) for value in values):
            merged: dict[str, Any] = {}
            for value in values:
                merged = _merged(merged, value)
            return merged
        if all(isinstance(value, list) for value in values):
            return [item for value in values for item in value]
        if any(isinstance(value, (dict, list)) for value in values):
            self._tell(node.place, "text cannot be joined with a list or an object: write text in quotes", path)
            return None
        pieces = [piece for space, value in zip(spaces, values, strict=True) for piece in (space, as_text(value))]
        return "".join(pieces[1:])


def _merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    both = {**earlier, **later}
    for key, value in later.items():
        below = earlier.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            both[key] = _merged(below, value)
    return both
