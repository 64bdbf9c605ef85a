"""The connector of the page on testing keeps the contracts, in a folder of its own, as its readers would try it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "connector"


@pytest.mark.slow
def test_the_example_passes_where_it_is_copied_to(tmp_path: Path) -> None:
    """Two files and `pytest`: no other set-up, no skipped clause but those of what it does not promise."""
    for name in ("connector.py", "test_connector.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:pytest_spark",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout
    skipped = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)$", done.stdout, re.MULTILINE)
    assert skipped == ["this writer does not set refused rows aside"]
