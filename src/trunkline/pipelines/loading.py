"""A pipeline file as plain data with the line of every key: HOCON, YAML or JSON, overrides, the environment.

loaded = load("s3://bucket/pipelines/users.conf", overrides={"vars.root": "/tmp/data"})
loaded.data["steps"][0]["name"]
loaded.at(("steps", 0, "retry"))    # users.conf:12
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trunkline.config.hocon import parse_json, parse_value, read_hocon
from trunkline.config.resolving import Problems, resolved
from trunkline.config.tree import Array, Dialect, Join, Node, Object, Path, Place, SyntaxProblem, Value, split_keys
from trunkline.config.yaml import parse_yaml
from trunkline.credentials import Redactor
from trunkline.errors import OptionError
from trunkline.jobs.files import read_text, shown

WRAPPER = "pipeline"
# Options and Spark's settings have names with dots, of which one may be the beginning of another. `${...}` counts in
# quotes because YAML and JSON have no other place for it, and so that SQL can use it.
DIALECT = Dialect(flat=("conf", "options"), quoted_references=True, secrets="secrets")


@dataclass(frozen=True)
class Loaded:
    """What a file holds.

    Attributes:
        file: Its path or URI, fit to be shown.
        data: Plain data. A `pipeline { }` wrapper is taken off, and keys beside it are `vars`.
        places: Where each value was said, by its path in `data`.
        redactor: Cuts out of messages what came from the environment.
        problems: What is wrong with single values, such as `${...}` without one.
        wrong: The paths of these values, which are missing in `data` or are not what was meant.
    """

    file: str
    data: dict[str, Any]
    places: Mapping[Path, Place]
    redactor: Redactor = field(repr=False)
    problems: Sequence[tuple[Place, str]] = ()
    wrong: frozenset[Path] = frozenset()

    def at(self, path: Path) -> Place:
        """Where a value was said, or what is around it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return Place(self.file, 0)

    def refusal(self, found: Sequence[tuple[Path, str]]) -> OptionError:
        """The error of this file: its own problems and others, in its order, with nothing of the environment in them.

        Args:
            found: Paths in `data`, and what is wrong there.
        """
        every = [*self.problems, *((self.at(path), sentence) for path, sentence in found)]
        told = [f"{place}: {self.redactor.clean(sentence)}" for place, sentence in sorted(every, key=_place)]
        return _refusal(self.file, list(dict.fromkeys(told)))


def load(
    uri: str,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Read a pipeline file.

    Args:
        uri: A path, or any URI `pyarrow.fs` knows. `.conf` and `.hocon` are HOCON, `.yaml` and `.yml` YAML.
        overrides: `{"spark.master": "local[2]"}` or `["spark.master=local[2]"]`. A step is found by its name:
            `steps.load.write.path`. They count before `${...}` is looked up: one for `vars` reaches all that uses it.
        environment: Default: that of the process.

    Raises:
        OptionError: It cannot be read, or is not well-formed; with file and line, and no value.
        MissingExtraError: YAML needs pyyaml, a URI needs pyarrow.
    """
    file = shown(uri)
    try:
        root = _parse(uri, file)
        prefix = _wrapper(root)
        for name, value in _pairs(overrides):
            _override(root, prefix, name, value)
    except SyntaxProblem as problem:
        raise OptionError(f"{problem.place}: {problem}", problems=[f"{problem.place}: {problem}"]) from None
    problems = Problems()
    found = resolved(root, os.environ if environment is None else environment, problems, DIALECT, prefix)
    data, places, wrong = found.data, found.places, found.wrong
    if prefix and () not in wrong:
        data, places, wrong = _unwrapped(data, places, wrong, problems)
    told = [(place or Place(file, 0), sentence) for place, sentence in problems]
    loaded = Loaded(file, data, places, Redactor(found.environment), told, frozenset(wrong))
    if () in wrong:
        raise loaded.refusal(())
    return loaded


def _place(problem: tuple[Place, str]) -> Place:
    return problem[0]


def _refusal(file: str, problems: Sequence[str]) -> OptionError:
    if len(problems) == 1:
        return OptionError(problems[0], problems=problems)
    return OptionError(f"{file}: {len(problems)} problems", problems=problems)


def _parse(uri: str, file: str) -> Object:
    ending = uri.partition("?")[0].rpartition(".")[2].lower()
    if ending in {"conf", "hocon"}:
        return read_hocon(uri, read_text, shown, DIALECT)
    if ending in {"yaml", "yml"}:
        return parse_yaml(read_text(uri), file, DIALECT)
    if ending == "json":
        return parse_json(read_text(uri), file, DIALECT)
    raise OptionError(f"{file}: what is it? A pipeline file ends in .conf (HOCON), .yaml, .yml or .json")


def _wrapper(root: Object) -> tuple[str, ...]:
    return (WRAPPER,) if any(isinstance(node, Object) for node in root.fields.get(WRAPPER, [])[-1:]) else ()


def _pairs(overrides: Mapping[str, Any] | Sequence[str]) -> list[tuple[str, Any]]:
    if isinstance(overrides, Mapping):
        return list(overrides.items())
    found = []
    for text in overrides:
        name, equals, value = text.partition("=")
        if not equals or not name.strip(". "):
            raise OptionError(f"--override {name}: write KEY=VALUE, as in spark.master=local[2]")
        found.append((name.strip(), value))
    return found


def _override(root: Object, prefix: tuple[str, ...], name: str, value: Any) -> None:
    """Assign once more, after all that the files say."""
    place = Place(f"--override {name}", 0)
    node = parse_value(value, place.file, DIALECT) if isinstance(value, str) else _plain(value, place)
    keys = split_keys(name.split("."), DIALECT.flat)
    if not all(keys):
        raise SyntaxProblem(place, "a key has an empty part")
    if prefix and keys[0] != WRAPPER and keys[0] not in root.fields:
        keys = (*prefix, *keys)
    own = keys[len(prefix) :] if keys[: len(prefix)] == prefix else keys
    if own[0] != "steps" or len(own) == 1:
        root.assign(_spelled([root], keys), node)
        return
    inside = root.fields[WRAPPER][-1] if prefix else root
    given = inside.fields.get("steps", []) if isinstance(inside, Object) else []
    steps = given[-1].items if given and isinstance(given[-1], Array) else []
    named = {_name(step): step for step in steps if isinstance(step, Object)}
    step = named.get(own[1]) or (steps[int(own[1])] if own[1].isdecimal() and int(own[1]) < len(steps) else None)
    if not isinstance(step, Object):
        raise SyntaxProblem(place, f"there is no step {own[1]}: {', '.join(filter(None, named)) or 'none has a name'}")
    if len(own) == 2:
        raise SyntaxProblem(place, f"which key of the step? steps.{own[1]}.KEY=VALUE")
    step.assign(_spelled([step], own[2:]), node)


def _spelled(around: Sequence[Object], keys: Sequence[str]) -> tuple[str, ...]:
    """Keys as the file has them: an option's name with dots is nested where the file nests it."""
    if not keys or not around:
        return tuple(keys)
    first, rest = keys[0], keys[1:]
    if "." in first and not any(first in one.fields for one in around):
        segments = first.split(".")
        for end in range(len(segments) - 1, 0, -1):
            if inner := _objects(around, head := ".".join(segments[:end])):
                return (head, *_spelled(inner, (".".join(segments[end:]), *rest)))
    return (first, *_spelled(_objects(around, first), rest))


def _objects(around: Sequence[Object], key: str) -> list[Object]:
    """What is assigned to a key as an object, also as a part of `${vars.paced} { ... }`."""
    nodes = [node for one in around for node in one.fields.get(key, [])]
    parts = [part for node in nodes for part in (node.parts if isinstance(node, Join) else [node])]
    return [part for part in parts if isinstance(part, Object)]


def _name(step: Object) -> str | None:
    given = step.fields.get("name", [])
    return str(given[-1].value) if given and isinstance(given[-1], Value) else None


def _plain(value: Any, place: Place) -> Node:
    """What a Python caller gave, as a node."""
    if isinstance(value, Mapping):
        return Object(place, {str(key): [_plain(item, place)] for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return Array([_plain(item, place) for item in value], place)
    return Value(value, place)


def _unwrapped(
    data: dict[str, Any], places: Mapping[Path, Place], wrong: set[Path], problems: Problems
) -> tuple[dict[str, Any], dict[Path, Place], set[Path]]:
    """What stands in `pipeline { }`, with the keys beside it as variables."""
    inside = dict(data[WRAPPER])
    beside = {key: value for key, value in data.items() if key != WRAPPER}
    variables = inside.get("vars") or {}
    if not isinstance(variables, Mapping):
        variables, beside = {}, {}
    for name in beside.keys() & variables.keys():
        problems.append((places.get((name,)), f"{name} is given twice: beside pipeline {{ }} and in vars"))
    moved = {path[1:]: place for path, place in places.items() if path[:1] == (WRAPPER,)}
    moved |= {("vars", *path): place for path, place in places.items() if path and path[0] != WRAPPER}
    if beside or variables:
        inside["vars"] = {**beside, **variables}
    return inside, moved, {path[1:] if path[0] == WRAPPER else ("vars", *path) for path in wrong}
