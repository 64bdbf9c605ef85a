"""What can only be said of all steps together: whose rows each takes, circles, streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from trunkline.pipelines.config import Pipeline, Step
from trunkline.pipelines.planning import FALLBACK, inputs_of, needs_of, sorted_by, streams_of
from trunkline.pipelines.running_checks import running_problems
from trunkline.pipelines.step_checks import Problem, kinds_of, said_given


def graph_problems(pipeline: Pipeline, doubtful: Callable[[int], bool]) -> Iterator[Problem]:
    """Problems of the graph of the steps, also where some of them are wrong themselves: what that hides is not told.

    Args:
        pipeline: The whole. A name that no step has or that two have, and a step of several kinds or of none, have been
            told.
        doubtful: Whether something is not known of the step of this number, as another key of it is wrong.
    """
    steps = _distinct(pipeline.steps)
    at = {step.name: ("steps", number) for number, step in enumerate(steps)}
    bearers = Counter(step.name.lower() for step in pipeline.steps)
    unsure = {
        step.name
        for number, step in enumerate(steps)
        if doubtful(number)
        or len(kinds_of(step)) != 1
        or bearers[pipeline.steps[number].name.lower()] > 1
        or not set(step.input or ()) <= at.keys() - {step.name}
    }
    inputs = {name: tuple(one for one in taken if one in at) for name, taken in inputs_of(steps).items()}
    needs = {
        name: [one for one in needed if one in at and one != name] for name, needed in needs_of(steps, inputs).items()
    }
    order, circle = sorted_by(needs)
    while circle:
        if not unsure & set(circle):
            yield at[circle[0]], f"goes in a circle: {' needs '.join(circle)}"
        # As if this were mended: there may be another.
        needs[circle[-2]].remove(circle[-1])
        order, circle = sorted_by(needs)
    streams = streams_of({step.name: step for step in steps}, order, inputs)
    for name in order:
        # And of those who take its rows.
        unsure |= {name} if unsure & set(inputs[name]) else set()
    for number, step in enumerate(steps):
        path = ("steps", number)
        if len(kinds_of(step)) != 1:
            continue
        taken = inputs[step.name]
        # The first step may be given rows by who calls the pipeline; a name that no step has is told already.
        unclear = number == 0 if step.input is None else any(one not in at or one == step.name for one in step.input)
        if step.kind in {"request", "expect", "write"} and len(taken) != 1 and not unclear:
            yield (*path, "input"), f"{step.kind} takes the rows of one step: {said_given(taken)}"
        yield from running_problems(pipeline, path, step, streams, unsure)
        other = step.on_failure.partition(FALLBACK)[2]
        if other in at and not unsure & {other, step.name} and (other in streams) != (step.name in streams):
            yield (*path, "on_failure"), f"a stream and a batch cannot stand in for each other: see {other}"


def _distinct(steps: Sequence[Step]) -> list[Step]:
    """The steps, each with a name of its own: the second of one name is told elsewhere, and nobody means it."""
    found: dict[str, Step] = {}
    for step in steps:
        name = step.name
        while name.lower() in found:
            name += "_"
        found[name.lower()] = step if name == step.name else step.model_copy(update={"name": name})
    return list(found.values())
