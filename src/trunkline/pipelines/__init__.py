"""Pipelines in HOCON, YAML or JSON: steps that read, transform, ask, check and write, checked before Spark starts.

    from trunkline.pipelines import plan, read_pipeline, run_pipeline

    pipeline = read_pipeline("users.conf", overrides=["vars.root=/tmp/data"])
    [planned.step.name for planned in plan(pipeline)]
    report = run_pipeline(config_path="users.conf")

What is named here is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Context": "trunkline.pipelines.calls",
    "PendingApprovalError": "trunkline.pipelines.calls",
    "Pipeline": "trunkline.pipelines.config",
    "PipelineError": "trunkline.pipelines.report",
    "Report": "trunkline.pipelines.report",
    "Resume": "trunkline.pipelines.resume",
    "RunInProgressError": "trunkline.pipelines.claims",
    "json_schema": "trunkline.pipelines.schema",
    "plan": "trunkline.pipelines.planning",
    "read_pipeline": "trunkline.pipelines.checks",
    "run_pipeline": "trunkline.pipelines.run",
}
__all__ = [
    "Context",
    "PendingApprovalError",
    "Pipeline",
    "PipelineError",
    "Report",
    "Resume",
    "RunInProgressError",
    "json_schema",
    "plan",
    "read_pipeline",
    "run_pipeline",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(home), name)
