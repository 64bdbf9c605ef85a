"""In which order steps run, and whose rows each takes.

    for planned in plan(pipeline):
        planned.step, planned.inputs, planned.needs, planned.streaming

A step takes the rows of the steps in `input`. Without it: a `read` takes none, `sql` takes those of the steps it
selects from, and any other takes those of the step before it in the file; a step that is another's fallback is
passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trunkline.errors import OptionError
from trunkline.pipelines.config import Pipeline, Step

FALLBACK = "fallback:"

# What holds no names: text in quotes and comments.
_NO_NAMES = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(r"`([^`]+)`|[\w.]+|[(),]")
# What ends the list of tables after FROM; ON and USING end one of its joins, after which a comma goes on with it.
_AFTER_TABLES = frozenset(
    {"select", "where", "group", "having", "order", "limit", "window", "union", "except", "intersect"}
)


class Planned(NamedTuple):
    """A step in its place.

    Attributes:
        step: As the file has it.
        inputs: The steps whose rows it takes, in the order the file names them.
        needs: All that must have run before it: inputs, `after`, the steps its rules refer to, and its fallback.
        streaming: Whether its rows are a stream.
    """

    step: Step
    inputs: tuple[str, ...]
    needs: tuple[str, ...]
    streaming: bool


def plan(pipeline: Pipeline) -> tuple[Planned, ...]:
    """The steps in an order in which each comes after all it needs; otherwise as in the file.

    Raises:
        OptionError: They go in a circle. `read_pipeline` has told that already.
    """
    inputs = inputs_of(pipeline.steps)
    needs = needs_of(pipeline.steps, inputs)
    order, circle = sorted_by(needs)
    if circle:
        raise OptionError(f"steps go in a circle: {' > '.join(circle)}")
    steps = {step.name: step for step in pipeline.steps}
    streams = streams_of(steps, order, inputs)
    return tuple(Planned(steps[name], inputs[name], needs[name], name in streams) for name in order)


def inputs_of(steps: Sequence[Step]) -> dict[str, tuple[str, ...]]:
    """Whose rows each step takes."""
    fallbacks = {step.on_failure.removeprefix(FALLBACK) for step in steps if step.on_failure.startswith(FALLBACK)}
    views = {step.name.lower(): step.name for step in steps}
    found: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for step in steps:
        if step.input is not None:
            found[step.name] = step.input
        elif step.read is not None:
            found[step.name] = ()
        else:
            named = selected_from(step.sql, views) if step.sql is not None else ()
            # A step may bear the name of the table it selects from.
            found[step.name] = tuple(name for name in named if name != step.name) or before
        if step.name not in fallbacks:
            before = (step.name,)
    return found


def selected_from(sql: str, views: Mapping[str, str]) -> tuple[str, ...]:
    """The steps whose views stand after FROM or JOIN, alone or in a list.

    Args:
        sql: A SELECT.
        views: The names of all steps, by their lower case.
    """
    found: list[str] = []
    listing = expected = False
    around: list[bool] = []
    for match in _TOKEN.finditer(_NO_NAMES.sub(" ", sql)):
        word = (match[1] or match[0]).lower()
        if word in {"from", "join"}:
            listing = expected = True
        elif word in _AFTER_TABLES:
            listing = expected = False
        elif word == "(":
            around.append(listing)
        elif word == ")":
            listing, expected = around.pop() if around else False, False
        elif word == ",":
            expected = listing
        elif expected:
            found += [views[word]] if word in views else []
            expected = False
    return tuple(dict.fromkeys(found))


def needs_of(steps: Sequence[Step], inputs: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """What must have run before each step."""
    found = {}
    for step in steps:
        fallback = step.on_failure.partition(FALLBACK)[2]
        looked_into = [rule.step for rule in step.expect or () if rule.step]
        stand_in = [fallback] if fallback else []
        found[step.name] = tuple(dict.fromkeys([*inputs[step.name], *step.after, *looked_into, *stand_in]))
    return found


def sorted_by(needs: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """Names so that each comes after what it needs, and a circle, if there is one, that prevents it."""
    order: list[str] = []
    done: set[str] = set()
    for start in needs:
        # Depth first without recursion: a pipeline may be one long chain.
        trail: list[str] = []
        waiting = [start]
        while waiting:
            name = waiting[-1]
            if name in done:
                waiting.pop()
                continue
            if trail and trail[-1] == name:
                trail.pop()
                waiting.pop()
                done.add(name)
                order.append(name)
                continue
            trail.append(name)
            for other in reversed(needs.get(name, ())):
                if other in trail:
                    return order, [*trail[trail.index(other) :], other]
                if other in needs and other not in done:
                    waiting.append(other)
    return order, []


def streams_of(steps: Mapping[str, Step], order: Sequence[str], inputs: Mapping[str, Sequence[str]]) -> set[str]:
    """The steps whose rows are a stream: those that read one, and those that take rows of one."""
    found: set[str] = set()
    for name in order:
        read = steps[name].read
        if (read is not None and read.stream) or found & set(inputs[name]):
            found.add(name)
    return found


def asked_of(one: Planned) -> list[str]:
    """The steps without which a step cannot run: all it needs, but for its fallback."""
    fallback = one.step.on_failure.partition(FALLBACK)[2]
    return [name for name in one.needs if name != fallback]


def only_fallbacks(planned: tuple[Planned, ...]) -> set[str]:
    """Steps that are somebody's fallback and nothing else: they run if they are needed."""
    names = {one.step.on_failure.removeprefix(FALLBACK) for one in planned if one.step.on_failure.startswith(FALLBACK)}
    taken = {name for one in planned for name in (*one.inputs, *one.step.after)}
    return names - taken
