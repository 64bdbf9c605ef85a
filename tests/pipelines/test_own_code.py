"""The user's own code is found beside the file and in the working directory, and told where it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.pipelines.conftest import Files

from trunkline.cli import main
from trunkline.pipelines.own_code import missing, put_on_path

# A class that ends what it is made by: no Spark is needed to see that it was found.
LIB = """
class Shout:
    def __init__(self):
        raise ValueError("found")
    def run(self): ...
"""
PIPELINE = 'name = p\nsteps = [ { name = a, call = "mylib.steps:Shout" } ]'
CURE = "put mylib beside the file, or its folder on PYTHONPATH"


def trunkline(folder: Path, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-P", "-m", "trunkline.cli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("place", ["beside", "working"])
def test_code_is_found_beside_the_file_and_in_the_working_directory(files: Files, place: str) -> None:
    """`validate` says that it is there without importing it, and `run` imports it."""
    for folder in ("beside", "working"):
        (files.folder / folder).mkdir()
    files.write(PIPELINE, "beside/p.conf")
    files.write("raise RuntimeError", f"{place}/mylib/__init__.py")
    assert trunkline(files.folder / "working", "validate", "../beside/p.conf") == (0, "")
    files.write("", f"{place}/mylib/__init__.py")
    files.write(LIB, f"{place}/mylib/steps.py")
    code, told = trunkline(files.folder / "working", "run", "../beside/p.conf")
    assert (code, told) == (2, "trunkline: steps.a: mylib.steps:Shout cannot be made: ValueError: found\n")


def test_code_that_is_nowhere_is_told_with_the_cure(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """By `validate` with its line, for steps, hooks and notifications, and by `run`; a module within is for the run."""
    nowhere = "mylib.steps:Shout cannot be imported: there is no mylib beside the file, in the working directory or "
    text = 'hooks = [ { call = "mylib.steps:Shout" } ]\nnotify = [ { call = "mylib.steps:Shout" } ]\n' + PIPELINE
    path = files.write(text)
    for words in (["validate", path], ["run", path, "--dry-run"]):
        assert main(words) == 2
        told = capsys.readouterr().err
        for line, key in ((1, "hooks[0]"), (2, "notify[0]"), (4, "steps.a")):
            assert f"{path}:{line}: {key}.call: {nowhere}installed: {CURE}\n" in told
    assert main(["run", files.write(PIPELINE, "q.conf"), "--runs", str(files.folder / "runs")]) == 2
    assert capsys.readouterr().err == f"trunkline: steps.a: {nowhere}installed: {CURE}\n"
    assert missing("json.no_such:thing", path) is None
    assert missing("__main__:thing", path) is None


def test_the_path_is_that_of_python_and_names_a_folder_once(
    files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder of the file, then the working directory, before all others; that of a URI is no place for code."""
    monkeypatch.setattr(sys, "path", ["/usr/lib"])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    put_on_path("s3://bucket/jobs/p.conf")
    assert sys.path == [str(tmp_path / "here"), "/usr/lib"]
    for uri in ("../p.conf", f"file://{tmp_path}/p.conf"):
        put_on_path(uri)
        assert sys.path == [str(tmp_path), str(tmp_path / "here"), "/usr/lib"]
