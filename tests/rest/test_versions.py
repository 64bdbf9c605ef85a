"""Writing on every Spark it is made for: the tests of the writer, of replays and of the shim, each version on its own.

An environment per version is made by `make setup PYSPARK=...` where there is none yet, which takes some minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ("tests/rest/test_writer.py", "tests/rest/test_writer_replay.py", "tests/rest/test_shim.py")
# The writer's and the replays' alone are more than this; a run that finds nothing to run must not pass.
FEWEST = 80

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("version", ["4.0", "4.1", "4.2", "4.3"])
def test_writing_works_on_this_version_of_spark(version: str) -> None:
    # What this run of make and this Spark have set is not for the next.
    own = ("MAKE", "MFLAGS", "PYSPARK", "PYTHONPATH", "SPARK_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    arguments = [f"PYSPARK={version}.*", f"ARGS={' '.join(TESTS)}"]
    done = subprocess.run(
        ["make", "test", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= FEWEST
    assert not re.search(r"\d+ (skipped|xfailed|deselected)", done.stdout), done.stdout[-2000:]
    asked = [
        str(ROOT / f".venv-pyspark-{version}.x" / "bin" / "python"),
        "-c",
        "import pyspark; print(pyspark.__version__)",
    ]
    found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert found.startswith(f"{version}.")
