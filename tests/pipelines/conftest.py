"""Pipeline files in a temporary folder, and what is told of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from trunkline.errors import OptionError
from trunkline.pipelines import Pipeline, read_pipeline

ONE_STEP = "steps = [ { name = a, sql = SELECT } ]"


class Files:
    """A folder of pipeline files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, text: str, name: str = "p.conf") -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def read(
        self,
        text: str,
        name: str = "p.conf",
        overrides: Sequence[str] | Mapping[str, Any] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Pipeline:
        return read_pipeline(self.write(text, name), overrides, environment or {})

    def told(self, text: str, name: str = "p.conf", **more: Any) -> list[str]:
        """The problems of a file, without the folder."""
        with pytest.raises(OptionError) as caught:
            self.read(text, name, **more)
        return [problem.replace(f"{self.folder}/", "") for problem in caught.value.problems]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture(autouse=True)
def _path_of_before() -> Iterator[None]:
    """A run puts the folder of its file on the path, where the next test has no use for it."""
    before = list(sys.path)
    yield
    sys.path[:] = before


Told = Callable[..., list[str]]
