"""Where the user's own code is found: beside the pipeline file, in the working directory, or installed.

put_on_path("jobs/users.conf")      # before anything of the user's is imported
missing("mylib.steps:shout", "jobs/users.conf")
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from trunkline.config import tree
from trunkline.pipelines.config import Pipeline


def put_on_path(uri: str) -> None:
    """Let the user's code be imported from the folder of the file and from the working directory, the folder first.

    As `python FILE` and `python -m MODULE` do. They stay there: code may import more of it while it runs.

    Args:
        uri: The pipeline file; the folder of one that is not local is left out.
    """
    known = {str(Path(one).resolve()) for one in sys.path}
    sys.path[:0] = [one for one in _places(uri) if one not in known]


def missing(spelled: str, uri: str) -> str | None:
    """A sentence that says so, if there is no such package. Nothing is imported.

    Args:
        spelled: `package.module:name`.
        uri: The pipeline file.
    """
    top = spelled.partition(":")[0].partition(".")[0]
    if top in sys.modules or find_spec(top) is not None or PathFinder.find_spec(top, _places(uri)) is not None:
        return None
    return no_package(spelled, top)


def no_package(spelled: str, top: str) -> str:
    """What is told of code whose package is not there."""
    return (
        f"{spelled} cannot be imported: there is no {top} beside the file, in the working directory or installed: "
        f"put {top} beside the file, or its folder on PYTHONPATH"
    )


def code_problems(pipeline: Pipeline, uri: str) -> Iterator[tuple[tree.Path, str]]:
    """Every `call` whose package is not there."""
    groups = {"steps": pipeline.steps, "hooks": pipeline.hooks, "notify": pipeline.notify}
    for group, held in groups.items():
        for at, one in enumerate(held):
            spelled: str | None = getattr(one, "call", None)
            if spelled is not None and (sentence := missing(spelled, uri)):
                yield (group, at, "call"), sentence


def _places(uri: str) -> list[str]:
    here = str(Path.cwd().resolve())
    if "://" in uri and not uri.startswith("file://"):
        return [here]
    path = uri.removeprefix("file://").removeprefix("file:")
    # What Databricks calls its own file system is a folder there.
    path = f"/dbfs/{path.removeprefix('dbfs:/').lstrip('/')}" if path.startswith("dbfs:/") else path
    folder = str(Path(path).parent.resolve())
    return [folder] if folder == here else [folder, here]
