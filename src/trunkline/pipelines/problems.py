"""What pydantic finds, as sentences that name the key and, where one can be guessed, the right one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from trunkline.config.tree import Path, near, spoken
from trunkline.pipelines.config import Pipeline
from trunkline.pipelines.fields import Section

_SAID = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "is empty: give a value or leave it out",
    "string_pattern_mismatch": "is no name: letters, digits, _ and -, a letter first",
    "string_too_long": "is too long",
    "dict_type": "must be a group of keys: { key = value }",
    "model_type": "must be a group of keys: { key = value }",
    "model_attributes_type": "must be a group of keys: { key = value }",
    "tuple_type": "must be a list: [ ... ]",
    "list_type": "must be a list: [ ... ]",
    "too_short": "is empty",
}
# Of a choice: whatever else stands there may be a secret.
_WORD = re.compile(r"[A-Za-z_]{1,20}")


def problems_of(error: ValidationError, data: Any) -> list[tuple[Path, str]]:
    """Path and sentence of each problem; of values there are durations, functions and choices as they were written."""
    found = error.errors(include_url=False)
    # A list whose items are all wrong is not short of items.
    wrong = {one["loc"][:end] for one in found for end in range(len(one["loc"]))}
    return [_problem(one, data) for one in found if one["type"] != "too_short" or one["loc"] not in wrong]


def none_of(key: str, given: Any, choices: Sequence[str], said: str) -> str:
    """What is told of a choice that is none, with the one that was probably meant.

    Args:
        key: Where it stands.
        given: The value; it is repeated if it is a word.
        choices: The words that are right.
        said: All that is right.
    """
    if not isinstance(given, str) or _WORD.fullmatch(given) is None:
        return f"{key} is none of {said}"
    guess = near(given, choices)
    return f"{key}: {given} is none of {said}" + (f": did you mean {guess}?" if guess else "")


def named(path: Path, data: Any) -> str:
    """A path as people say it, steps by their names: `steps.load.retry.max_attempts`."""
    if len(path) > 1 and path[0] == "steps" and isinstance(path[1], int):
        # Of a step that only stands in for one the file has none.
        step = dict(enumerate(data.get("steps", ()))).get(path[1])
        name = step.get("name") if isinstance(step, Mapping) else None
        if isinstance(name, str) and name:
            return spoken(("steps", name, *path[2:]))
    return spoken(path)


def _problem(error: Any, data: Any) -> tuple[Path, str]:
    path: Path = tuple(error["loc"])
    kind = error["type"]
    key = named(path, data)
    if kind == "extra_forbidden":
        return path, f"{key} is unknown{_meant(path)}"
    if kind == "missing":
        return path, f"{key} is missing"
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        return path, none_of(key, error["input"], re.findall(r"'([^']*)'", expected), expected.replace("'", ""))
    if kind in {"greater_than_equal", "less_than_equal"}:
        limit = "at least" if kind == "greater_than_equal" else "at most"
        return path, f"{key} must be {limit} {error['ctx'].get('ge', error['ctx'].get('le'))}"
    if kind == "value_error":
        return path, f"{key}: {error['ctx']['error']}"
    if path[:1] == ("hooks",) and len(path) == 1:
        return path, "hooks is a list: [ { call = package.module:name } ]; metrics and audit are sections of their own"
    return path, f"{key} {_SAID.get(kind, error['msg'])}"


def _meant(path: Path) -> str:
    section = section_at(path[:-1])
    keys = keys_of(section)
    wanted = str(path[-1])
    guess = section.known_as.get(wanted) or near(wanted, keys)
    return f": did you mean {guess}?" if guess else f"; it can be {', '.join(keys)}"


def keys_of(section: type[Section]) -> list[str]:
    """As they are written."""
    return [field.alias or name for name, field in section.model_fields.items()]


def section_at(path: Path) -> type[Section]:
    """What stands at a path."""
    section: type[Section] = Pipeline
    for key in path:
        field = section.model_fields.get(key) if isinstance(key, str) else None
        inner = section_in(field.annotation) if field is not None else None
        section = inner or section
    return section


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a type holds, alone, in a list or beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation if issubclass(annotation, Section) else None
    inside: Sequence[Any] = get_args(annotation)
    return next((found for one in inside if (found := section_in(one)) is not None), None)
