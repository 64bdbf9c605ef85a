"""Runs as containers: of Docker or podman (`docker_engine`), or as Jobs of Kubernetes (`kubernetes`).

    options = {"platform": "container", "container.image": "my/etl:1.0"}
    df.write.format("jobs").mode("append").options(**options).save()

`container.host=kubernetes` says which; any other host is an engine's.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from types import ModuleType

from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.options import Options


def start(request: RunRequest, options: Options) -> Run:
    """Start a run, or find the one that bears its key already."""
    return _place(options).start(request, options)  # type: ignore[no-any-return]


def find(request: RunRequest, options: Options) -> Run | None:
    """The run of this key, if there is one."""
    return _place(options).find(request, options)  # type: ignore[no-any-return]


def poll(runs: Sequence[Run], options: Options) -> list[Run]:
    """The same runs as they are now, in the same order."""
    return _place(options).poll(runs, options)  # type: ignore[no-any-return]


def list_runs(wanted: RunFilter, options: Options) -> Iterator[Run]:
    """Those that are asked for, newest first."""
    return _place(options).list_runs(wanted, options)  # type: ignore[no-any-return]


def cancel(run: Run, options: Options) -> None:
    """Ask for its end."""
    _place(options).cancel(run, options)


def _place(options: Options) -> ModuleType:
    name = "kubernetes" if (options["container.host"] or "").lower() == "kubernetes" else "docker_engine"
    return importlib.import_module(f"trunkline.jobs.platforms.{name}")
