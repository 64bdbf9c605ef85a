"""Where jobs run: a module for each platform, with the same five functions.

    start(request, options) -> Run           start a run, or find the one that bears its key already
    find(request, options) -> Run | None     the run of this key, if there is one
    poll(runs, options) -> list[Run]         the same runs as they are now, in the same order
    list_runs(wanted, options) -> Iterator[Run]    newest first, narrowed by the platform where it can
    cancel(run, options) -> None             ask for its end; done before it is over

`options` are those of the format `jobs`, resolved. Errors have the names of `trunkline.errors`: a request that the
platform refuses is a `RejectedError`, one that it could not take now an `UnavailableError`, a bad credential an
`AuthError`. Where one of the runs to poll is not known any more, poll raises a `RejectedError` with `gone=True`.
"""

from __future__ import annotations

import importlib
from types import ModuleType

# Of each platform the module that knows it.
PLATFORMS = {
    "local": "local",
    "spark": "spark",
    "databricks": "databricks",
    "glue": "glue",
    "emr": "emr",
    "emr-serverless": "emr_serverless",
    "container": "container",
}


def platform_of(name: str) -> ModuleType:
    """The module of a platform; its libraries are loaded now.

    Args:
        name: One of `PLATFORMS`.

    Raises:
        MissingExtraError: The platform's library is not installed.
    """
    return importlib.import_module(f"trunkline.jobs.platforms.{PLATFORMS[name]}")
