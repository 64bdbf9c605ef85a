"""Arguments meet a signature: what is missing, what nobody takes, and texts that stand for numbers.

bound(load, {"day": "2026-05-01", "limit": "5"})   # for def load(day: str, limit: int = 10)
# {"day": "2026-05-01", "limit": 5}
"""

from __future__ import annotations

import difflib
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from trunkline.errors import OptionError
from trunkline.jobs.arguments import Fact, JobObject

# Types that a text of the command line can stand for; any other is the job's to read.
_READABLE = (bool, int, float, list, dict)
_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
# Below this ratio a guess at the wanted name is noise.
_SIMILAR = 0.6


def bound(function: Callable[..., Any], arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The arguments that a function takes, typed by its annotations where they came as text.

    Args:
        function: With any signature; one with `**kwargs` takes all there are.
        arguments: By name. Of those that Trunkline added, the ones it does not take are left out.
        name: What the function is called in messages.

    Raises:
        OptionError: Arguments are missing, unknown or of the wrong type; all of them at once, without any value.
    """
    parameters = parameters_of(function)
    if parameters is None:
        return dict(arguments)
    named, rest = named_in(parameters), takes_any(parameters)
    problems: list[str] = []
    taken: dict[str, Any] = {}
    unknown = []
    hints = _hints(function)
    for key, value in arguments.items():
        if key in named:
            try:
                taken[key] = str(value) if isinstance(value, Fact) else _typed(value, hints.get(key))
            except ValueError as error:
                problems.append(f"{key} of {name} {error}")
        elif rest:
            taken[key] = value
        elif not isinstance(value, (Fact, JobObject)):
            unknown.append(key)
    missing = [key for key in named if parameters[key].default is inspect.Parameter.empty and key not in arguments]
    extras = [key for key in arguments if key not in named]
    for key in missing:
        # Where nothing is unknown, a misspelt name would pass for one more.
        near = [extra for extra in extras if rest and difflib.get_close_matches(extra, named, 1, _SIMILAR) == [key]]
        problems.append(f"{key} is missing: {name} needs it" + (f"; {near[0]} was given" if near else ""))
    for key in unknown:
        near = difflib.get_close_matches(key, named, 1, _SIMILAR)
        advice = f"did you mean {near[0]}?" if near else f"it takes {', '.join(named) or 'none'}"
        problems.append(f"{key} is no argument of {name}: {advice}")
    if problems:
        raise OptionError("the arguments of the job are wrong", problems)
    return taken


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """The parameters of a function; None for one of C that does not tell."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None


def named_in(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """Those that can be given by name."""
    return [key for key, parameter in parameters.items() if parameter.kind in _KEYWORD]


def takes_any(parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Whether there is a `**kwargs`."""
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - annotations are the job's; they may name what is only imported for checkers
        return {}


def _typed(value: Any, hint: Any) -> Any:
    """A text as the type that its parameter names, if it names one that a text can stand for and is not a text too."""
    options = typing.get_args(hint) if typing.get_origin(hint) in {typing.Union, types.UnionType} else (hint,)
    kinds = [typing.get_origin(option) or option for option in options]
    wanted = [kind for kind in kinds if kind in _READABLE]
    if not isinstance(value, str) or not wanted or str in kinds or Any in kinds:
        return value
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    for kind in wanted:
        if type(read) is kind:
            return read
        if kind is float and type(read) is int:
            return float(read)
    message = f"must be {' or '.join(kind.__name__ for kind in wanted)}"
    raise ValueError(message)
