"""`trunkline new project`, `trunkline new job`: folders to begin with, whose tests pass as they stand."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import keyword
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from trunkline.errors import OptionError

# A project that works under these names, and is checked by its own settings. The dash in the folder's name keeps it
# from being a package of Trunkline: for mypy its modules are `jobs...`, as they are for its users.
_TEMPLATE = Path(__file__).with_name("project-template")
_PROJECT, _JOB = "sample-project", "sample_job"
# What tools leave in it where Trunkline is developed.
_LEFT_BY_TOOLS = {"__pycache__", ".ruff_cache"}

# Of a distribution (PEP 508), and so of a folder too.
_PROJECT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
# Of a module, by PEP 8.
_JOB_NAME = re.compile(r"[a-z][a-z0-9_]*")


def new_project(given: argparse.Namespace) -> None:
    """Write a project, a folder NAME.

    Raises:
        OptionError: The name is none for a project, or the folder is not empty; nothing was written.
    """
    name: str = given.name
    if not _PROJECT_NAME.fullmatch(name):
        raise OptionError(f"{name!r} is no name of a project: letters and digits, -, _ and . between them")
    if _canonical(name) in _needed():
        raise OptionError(f"{name!r} is the name of a package that the project needs: pip would take it for that")
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "and not empty" if folder.is_dir() else "and no folder"
        raise OptionError(f"{folder} is there already, {what}; nothing was written")
    _copy(_TEMPLATE, folder, _PROJECT, name)
    print(f"{folder} written. To begin with:\n  cd {folder}\n  make setup{_origin()}\n  make test")


def new_job(given: argparse.Namespace) -> None:
    """Write a job into the project of this folder, `jobs/NAME`.

    Raises:
        OptionError: This is no project, the name is none for a job, or it is taken; nothing was written.
    """
    name: str = given.name
    if not _JOB_NAME.fullmatch(name) or keyword.iskeyword(name):
        raise OptionError(f"{name!r} is no name of a job: a small letter, then small letters, digits and _")
    if not Path("jobs").is_dir():
        raise OptionError("there is no folder jobs here: go to that of a project, or trunkline new project NAME")
    folder = Path("jobs", name)
    if folder.exists():
        raise OptionError(f"{folder} is there already; nothing was written")
    _copy(_TEMPLATE / "jobs" / _JOB, folder, _JOB, name)
    print(f"{folder} written. Its tests: make test ARGS={folder}")


def _copy(template: Path, folder: Path, name: str, new: str) -> None:
    """The files of a template, with its name replaced by a new one."""
    for source in _files(template):
        target = folder / source.relative_to(template)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8").replace(name, new), encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in _LEFT_BY_TOOLS:
            yield from _files(path)
        elif path.is_file():
            yield path


def _needed() -> set[str]:
    """Trunkline, and what it needs, extras included."""
    installed = _installed()
    requirements = (installed.requires if installed else None) or ()
    return {"trunkline", *(_canonical(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in requirements)}


def _canonical(name: str) -> str:
    """As indexes compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _origin() -> str:
    """Says where this Trunkline comes from, if that is a folder, as pip noted it (PEP 610)."""
    installed = _installed()
    noted = json.loads((installed.read_text("direct_url.json") if installed else None) or "{}")
    return f" TRUNKLINE={url2pathname(urlsplit(noted['url']).path)}" if "dir_info" in noted else ""


def _installed() -> importlib.metadata.Distribution | None:
    """What pip knows of this Trunkline; nothing, if it was put on the path by hand."""
    try:
        return importlib.metadata.distribution("trunkline")
    except importlib.metadata.PackageNotFoundError:
        return None
