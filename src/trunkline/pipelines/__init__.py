"""Pipelines in HOCON, YAML or JSON: steps that read, transform, ask, check and write, checked before Spark starts.

    from trunkline.pipelines import read_pipeline, plan

    pipeline = read_pipeline("users.conf", overrides=["vars.root=/tmp/data"])
    [planned.step.name for planned in plan(pipeline)]

What is named here is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Pipeline": "trunkline.pipelines.config",
    "json_schema": "trunkline.pipelines.schema",
    "plan": "trunkline.pipelines.planning",
    "read_pipeline": "trunkline.pipelines.checks",
}
__all__ = ["Pipeline", "json_schema", "plan", "read_pipeline"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(home), name)
