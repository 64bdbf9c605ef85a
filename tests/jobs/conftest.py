"""Job modules as users write them, and what running one tells."""

from __future__ import annotations

import itertools
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from trunkline.jobs.entry import main

_NUMBERS = itertools.count(1)


class Told(NamedTuple):
    """What a run in this process told."""

    code: int
    result: dict[str, Any]
    out: str
    err: str


@pytest.fixture
def job_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Writes a module that can be imported, and gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def write(text: str, name: str | None = None) -> str:
        name = name or f"job_{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        made.append(name)
        return name

    yield write
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def run_job(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    """Runs the entry point in this process, as on a machine of one's own."""
    for name in ("TRUNKLINE_PLATFORM", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRUNKLINE_PLATFORM", "local")

    def run(*argv: str) -> Told:
        capfd.readouterr()
        code = main(argv)
        captured = capfd.readouterr()
        return Told(code, json.loads(captured.out.splitlines()[-1]), captured.out, captured.err)

    return run
