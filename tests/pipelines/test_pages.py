"""The pipeline files on the pages are read, and what is told of them is what stands below them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.pipelines.conftest import Files

from trunkline.cli import main
from trunkline.pipelines.config import Pipeline, Step
from trunkline.pipelines.problems import keys_of
from trunkline.pipelines.step_checks import RULES

PAGES = Path(__file__).parents[2] / "references"


class Block(NamedTuple):
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    text = (PAGES / page).read_text(encoding="utf-8")
    return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


@pytest.mark.parametrize("page", ["pipelines.md", "configuration.md", "secrets.md", "observability.md"])
def test_every_file_on_a_page_is_read_as_the_page_says(
    page: str, files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is followed by what `trunkline validate` says of it, or is valid."""
    monkeypatch.delenv("ROOT", raising=False)
    for package in ("my.py", "delta_sink.py"):
        # The code that the pages name is there.
        files.write("", package)
    found = blocks(page)
    read = 0
    for block, following in zip(found, [*found[1:], Block("", "")], strict=True):
        if block.language not in {"hocon", "yaml"} or "steps" not in block.text:
            continue
        read += 1
        path = files.write(block.text, "p.conf" if block.language == "hocon" else "p.yaml")
        code = main(["validate", path])
        out, err = capsys.readouterr()
        if following.language == "text":
            assert (out or err).replace(f"{files.folder}/", "").rstrip() == following.text.rstrip()
        else:
            assert (code, err) == (0, "")
    assert read > 0


def test_both_languages_on_the_page_are_one_pipeline(files: Files) -> None:
    hocon, yaml = (block for block in blocks("pipelines.md")[:2])
    assert files.read(hocon.text) == files.read(yaml.text, "p.yaml")


def test_every_rule_and_every_kind_is_on_the_page() -> None:
    text = (PAGES / "pipelines.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| ", text.split("## Expectations")[1].split("\n## ")[0], re.MULTILINE) == list(
        RULES
    )
    kinds = re.findall(r"^\| `(\w+)` \| ", text.split("## Steps")[1].split("##")[0], re.MULTILINE)
    assert [kind for kind in kinds if kind not in keys_of(Step)] == []


def test_the_page_of_keys_has_every_key() -> None:
    text = (PAGES / "configuration.md").read_text(encoding="utf-8").split("<!-- pipeline -->")[1]
    table = text.split("**a pipeline**")[1].split("\n\n**")[0]
    assert re.findall(r"^\| `(\w+)` \| ", table, re.MULTILINE) == keys_of(Pipeline)
