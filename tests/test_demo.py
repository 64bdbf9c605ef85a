"""The demo: told once from beginning to end, and what it says where it cannot be told."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from trunkline import demo
from trunkline.cli import main
from trunkline.demo import surroundings
from trunkline.demo.screen import Screen

DATA = Path(demo.__file__).with_name("airports.csv")


@pytest.mark.spark
def test_the_demo_ends_well_and_leaves_only_what_it_names(tmp_path: Path) -> None:
    """Every row exactly once by the server's ledger; no warning on the screen; no process and no scratch files left."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "http_proxy": "http://127.0.0.1:1", "SPARK_HOME": "/nowhere"}
    command = [sys.executable, "-m", "trunkline.cli", "demo"]
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path, timeout=580
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    shown = finished.stdout
    assert "5,210 rows: 5,207 accepted, 3 refused." in shown
    assert shown.count('{"error": "municipality is missing"}') == 3
    assert "3 rows: 3 accepted." in shown
    assert "5,210 rows, 5,210 different airports; the table has 5,210." in shown
    assert re.search(r"5,210 rows in \d+ pages of 300 at most.* 0 missing\.", " ".join(shown.split()))
    assert re.findall(r"^ +(XX\d\d)  ", shown, re.MULTILINE) == ["XX01", "XX02"]
    assert "Each row exactly once" in shown
    assert not re.search(r"WARN|Warning|Traceback|Setting default log level", shown)
    assert "\r" not in shown
    assert len(shown.splitlines()) < 140
    [folder] = tmp_path.iterdir()
    assert folder.name.startswith("trunkline-demo-")
    assert sorted(path.name for path in folder.iterdir()) == ["responses", "spark.log"]
    assert processes_of(folder) == []
    assert main(["log", "compact", str(folder / "responses")]) == 0


def processes_of(folder: Path) -> list[str]:
    """Processes that have a folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes()
            if str(folder).encode() in told:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_without_pyspark_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(surroundings, "version", missing)
    assert main(["demo"]) == 2
    assert capsys.readouterr() == (
        "",
        'trunkline: the demo needs Spark 4, and pyspark is not installed: pip install "trunkline[spark]"\n',
    )


def test_with_an_old_pyspark_the_sentence_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(surroundings, "version", lambda name: "3.5.3")
    assert main(["demo"]) == 2
    assert "needs Spark 4, and pyspark 3.5.3 is installed: pip install" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "this is Java 11"),
        ('java version "1.8.0_402"', "this is Java 8"),
        (None, "there is none here"),
    ],
)
def test_without_a_java_that_fits_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    told: str | None,
    found: str,
) -> None:
    if told is not None:
        (tmp_path / "bin").mkdir()
        java = tmp_path / "bin" / "java"
        java.write_text(f"#!/bin/sh\necho '{told}' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert main(["demo"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(
        f"trunkline: Spark needs Java 17 or later, and {found}: sudo apt-get install openjdk-17"
    )
    assert len(shown.err.splitlines()) == 1


def test_the_data_is_small_and_keyed() -> None:
    """5,210 airports in less than half a megabyte; exactly three are such as the API refuses."""
    assert DATA.stat().st_size < 500_000
    with DATA.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["ident"] for row in rows}) == len(rows) == 5210
    refused = {row["ident"] for row in rows if row["type"] == "large" and not row["municipality"]}
    assert refused == {"RODN", "UAIT", "VCRI"}


def test_progress_moves_on_a_terminal() -> None:
    stream = io.StringIO()
    screen = Screen(stream, terminal=True, columns=16)
    screen.move("one of many rows")
    screen.move("two")
    screen.move("three", last=True)
    assert stream.getvalue() == "\r      one of ma\r      two      \r      three\n"


def test_progress_in_a_pipe_is_a_line_now_and_then_and_the_last() -> None:
    stream = io.StringIO()
    screen = Screen(stream, terminal=False)
    screen.wait("soon")
    screen.move("one")
    screen.move("two")
    screen.move("three", last=True)
    assert stream.getvalue() == "      one\n      three\n"


def test_own_environment_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", "/elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    before = dict(os.environ)
    with surroundings.own_environment(MORE="1"):
        assert os.environ["PYSPARK_PYTHON"] == sys.executable
        assert os.environ["MORE"] == "1"
        assert {"SPARK_HOME", "HTTPS_PROXY"} & set(os.environ) == set()
    assert dict(os.environ) == before
