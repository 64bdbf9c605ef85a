"""When Spark evaluates the rows of a step, and how often: each step's rows are made once.

Spark makes rows when somebody wants them, and again for everybody who does. A pipeline that checks rows and then
writes them would ask an API twice, and might write other rows than it checked. So rows that would be made more than
once are kept (`persist`) until the run is over.

What a failure of a step means is only clear if its rows were made: a step with `retry`, `timeout`, `breaker` or
`on_failure` is evaluated there and then. The others are evaluated by the expectation or write that needs them, and
fail there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from trunkline.pipelines.planning import FALLBACK, Planned
from trunkline.pipelines.step_checks import QUARANTINE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Observation

# Counts arrive from Spark's event queue shortly after the action.
_ARRIVAL = 5.0


def eager(planned: Sequence[Planned]) -> set[str]:
    """The steps that are evaluated there and then, though they write nothing."""
    return {
        one.step.name
        for one in planned
        if one.step.kind not in {"write", "expect"} and not one.streaming and _guarded(one)
    }


def kept(planned: Sequence[Planned]) -> set[str]:
    """The steps whose rows are kept, because they would be made more than once.

    Args:
        planned: In the order in which they run.
    """
    at_once = eager(planned)
    wanted = {one.step.name: int(one.step.name in at_once) for one in planned}
    stand_in = {
        one.step.on_failure.removeprefix(FALLBACK): one.step.name
        for one in planned
        if one.step.on_failure.startswith(FALLBACK)
    }
    found = set()
    for one in reversed(planned):
        name = one.step.name
        # Whoever takes a step's rows may come to take those of its fallback.
        taker = stand_in.get(name)
        times = wanted[name] + (1 if taker in found else wanted.get(taker or "", 0))
        if one.streaming:
            continue
        passes_on = one.step.kind == "write"
        if times > 1 and not passes_on:
            found.add(name)
            times = 1
        aside = {rule.severity for rule in one.step.expect or () if rule.severity.startswith(QUARANTINE)}
        own = 1 + len(aside)
        for other in one.inputs:
            wanted[other] += times + (own + _aggregates(one) if one.step.kind in {"write", "expect"} else 0)
        for rule in one.step.expect or ():
            if rule.step:
                # To find the wrong rows, to put them aside, and again for whoever makes the right ones.
                wanted[rule.step] += own + times
    return found | at_once


def _aggregates(one: Planned) -> int:
    """The rules that go over all rows by themselves."""
    return sum(rule.rule == "unique" for rule in one.step.expect or ())


def _guarded(one: Planned) -> bool:
    step = one.step
    return bool(step.retry or step.timeout or step.breaker) or step.on_failure != "fail"


class Counting:
    """Counts rows while Spark makes them: an observation, never a count of its own."""

    def __init__(self) -> None:
        self._observed: dict[str, Observation] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._found: dict[str, dict[str, int]] = {}

    def counted(self, df: DataFrame, name: str) -> DataFrame:
        """`df`, whose rows are counted under this name."""
        from pyspark.sql import functions as f

        return self.observed(df, name, [f.count(f.lit(1)).alias("rows")])

    def observed(self, df: DataFrame, name: str, numbers: Sequence[Column]) -> DataFrame:
        """`df`, observed. What was observed under this name before is forgotten."""
        from pyspark.sql import Observation

        self._threads.pop(name, None)
        observation = self._observed[name] = Observation()
        return df.observe(observation, *numbers)

    def arrived(self, names: Iterable[str]) -> dict[str, dict[str, int]]:
        """The numbers of these names that are there now, after an action that made their rows succeeded."""
        for name in names:
            if name in self._observed and name not in self._threads:
                thread = threading.Thread(target=self._take, args=(name, self._observed[name]), daemon=True)
                self._threads[name] = thread
                thread.start()
                thread.join(_ARRIVAL)
        return {name: self._found[name] for name in names if name in self._found}

    def _take(self, name: str, observation: Observation) -> None:
        try:
            found = {number: int(value) for number, value in observation.get.items() if value is not None}
        except Exception:  # noqa: BLE001 - a count that did not arrive is unknown, and no reason to fail
            return
        # Over Connect one may arrive with nothing in it.
        if found and self._observed.get(name) is observation:
            self._found[name] = found
