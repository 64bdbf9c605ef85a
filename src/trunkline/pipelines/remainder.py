"""What is right in a file that has problems, so that all of it is checked and told about at once.

    found = remainder(loaded)
    found.pipeline      # without what is wrong, None where nothing can be made of the rest
    found.problems      # of the shape of the keys: path and sentence
    found.certain(("steps", 2, "retry"))

A key that is unknown or has the wrong kind is left out, one that cannot be missing gets a stand-in. What is then said
of the same group of keys may come of that, and is not certain: with `mode = mrege` left out, `merge_keys` would be
refused.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from trunkline.config.tree import Path
from trunkline.pipelines.config import Pipeline
from trunkline.pipelines.loading import Loaded
from trunkline.pipelines.problems import problems_of
from trunkline.pipelines.running_checks import CHECKPOINTS

Problem = tuple[Path, str]

# What is left out may leave a group without a key that it cannot do without, and no more.
_ROUNDS = 5
_STAND_INS = {"rule": "row_count", "call": "builtins:print", "steps": [{"name": "unnamed", "sql": "SELECT 1"}]}
# Keys of a step, of its read and of its write, by which nothing is decided but what they say themselves.
_APART = {"config", "retry", "breaker", "timeout", "path", "schema", "partition_by", "merge_keys"}


@dataclass(frozen=True)
class Remainder:
    """What is right in a file.

    Attributes:
        pipeline: Made of it, None where nothing can be made of it.
        problems: Of the shape of its keys.
        wrong: Paths of values that are not what was meant; nothing is said of them again.
        left_out: Paths of keys that are not in `pipeline`.
    """

    pipeline: Pipeline | None
    problems: list[Problem]
    wrong: frozenset[Path]
    left_out: frozenset[Path]

    def certain(self, path: Path) -> bool:
        """Whether a problem at this path is one of the file, and not of what was left out of it."""
        again = any(path[: len(one)] == one for one in self.wrong)
        # The groups of the file itself have little to do with each other, and of an option its table knows that.
        judged = {one for one in self.wrong if "options" not in one and one[-1] not in _APART} | self.left_out
        beside = any(path[: len(one) - 1] == one[:-1] and 1 < len(one) >= len(path) for one in judged)
        return not (again or beside)

    @property
    def names_are_known(self) -> bool:
        """Whether those of all steps are."""
        return not any(one[:1] == ("steps",) and one[2:] in {(), ("name",)} for one in self.left_out | self.wrong)

    def doubtful(self, number: int) -> bool:
        """Whether nobody knows of a step whose rows it takes, whether they are a stream, or how it writes."""
        step = ("steps", number)
        return any(
            one == step[: len(one)]
            or (one[:2] == step and one[-1] not in _APART and (len(one) == 3 or one[2:-1] in {("read",), ("write",)}))
            for one in self.left_out | self.wrong
        )


def remainder(loaded: Loaded) -> Remainder:
    """The pipeline of a file, as far as the file is right.

    Args:
        loaded: The file.
    """
    # Of a list that has lost an item nobody knows which are left.
    wrong = frozenset(path[:-1] if isinstance(path[-1], int) else path for path in loaded.wrong)
    data = copy.deepcopy(loaded.data) if wrong else loaded.data
    for path in wrong:
        # An option that is empty is no value, and what options demand of each other passes over it.
        _stand_in(data, path, "" if "options" in path else "unknown")
    problems: list[Problem] | None = None
    left_out: set[Path] = set()
    for _ in range(_ROUNDS):
        try:
            return Remainder(Pipeline.model_validate(data), problems or [], wrong, frozenset(left_out))
        except ValidationError as error:
            if problems is None:
                found = problems_of(error, loaded.data)
                problems = [one for one in found if not any(one[0][: len(path)] == path for path in wrong)]
                data = copy.deepcopy(data)
            left_out |= _mended(data, error)
    return Remainder(None, problems or [], wrong, frozenset(left_out))


def _mended(data: dict[str, Any], error: ValidationError) -> set[Path]:
    """Leave out what is wrong, and put stand-ins where something is missing; the paths of both."""
    found: set[Path] = set()
    missing: set[Path] = set()
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        path: Path = tuple(one["loc"])
        if one["type"] == "missing":
            # Names are unique.
            name = f"unnamed_{path[1]}" if len(path) > 1 else "unnamed"
            _stand_in(data, path, copy.deepcopy(_STAND_INS.get(str(path[-1]), name)))
            missing.add(path)
        else:
            # The key that holds it: of a list with a wrong item that of the list.
            ends = range(len(path), 0, -1)
            found.add(next((path[:end] for end in ends if isinstance(_at(data, path[: end - 1]), dict)), path))
    for path in sorted(found, key=len, reverse=True):
        group = _at(data, path[:-1])
        group.pop(path[-1], None)
        if path[0] == "spark":
            # There may be a setting that gives every stream its checkpoint.
            for end, held in ((1, {}), (2, {}), (3, "unknown")):
                _stand_in(data, ("spark", "conf", CHECKPOINTS)[:end], held)
        if path[:-1] == ("secrets",):
            # Who uses it uses one that is there.
            group[path[-1]] = "env:UNKNOWN"
        if path[-2:-1] in {("read",), ("write",)} and not {"format", "table"} & group.keys():
            # Whose options they are is not known.
            group.pop("options", None)
    return found | missing


def _at(data: Any, path: Path) -> Any:
    """What stands at a path, None where nothing does."""
    for key in path:
        if isinstance(data, dict):
            data = data.get(key)
        else:
            data = data[key] if isinstance(data, list) and isinstance(key, int) and key < len(data) else None
    return data


def _stand_in(data: dict[str, Any], path: Path, value: Any) -> None:
    group = _at(data, path[:-1])
    if isinstance(group, dict) and group.setdefault(path[-1], value) == []:
        # All of its items are missing.
        group[path[-1]] = [value]
