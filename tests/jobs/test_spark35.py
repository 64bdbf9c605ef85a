"""Jobs and sessions on the Spark that Glue 5 and EMR 7 ship, and without any Spark: nothing else of ours is there.

An environment with pyspark 3.5 alone is made once, as those of the test servers are; where it cannot be, the tests are
skipped and say why.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.jobs.test_entry import EVENS, OWN, SAME, WORDS
from tests.servers.install import UnavailableError, install_python

SRC = Path(__file__).parents[2] / "src"
# What must be there of ours before any Spark is.
LIGHT = ("arguments", "binding", "entry", "files", "hand_over", "job", "notes", "notify", "result", "run", "where")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def python_of_35() -> str:
    """The interpreter of an environment that holds pyspark 3.5 and nothing else."""
    if sys.version_info >= (3, 12):
        pytest.skip("pyspark 3.5 is made for Python 3.11 at most")
    try:
        return str(install_python("pyspark-3.5", ("pyspark==3.5.9",)) / "bin" / "python")
    except UnavailableError as error:
        pytest.skip(str(error))


def environment(folder: Path) -> dict[str, str]:
    """Of a process that finds our package and the job's module, and no Spark of this one."""
    own = ("PYSPARK_", "SPARK_", "PYTHONPATH", "TRUNKLINE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    path = os.pathsep.join((str(SRC), str(folder)))
    return {**kept, "PYTHONPATH": path, "SPARK_LOCAL_IP": "127.0.0.1", "TRUNKLINE_PLATFORM": "local"}


def test_the_same_module_runs_on_spark_35(python_of_35: str, job_module: Callable[..., str], tmp_path: Path) -> None:
    job_module(EVENS + "\n    import pyspark\n    print('spark', pyspark.__version__)\n", "evens")
    done = subprocess.run(
        [python_of_35, "-m", "trunkline.jobs", *WORDS], cwd=tmp_path, env=environment(tmp_path), capture_output=True,
        text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "spark 3.5." in done.stdout
    result = json.loads(done.stdout.splitlines()[-1])
    assert {name: value for name, value in result.items() if name not in OWN} == SAME


def test_jobs_are_light(python_of_35: str, tmp_path: Path) -> None:
    """Without pyarrow and aiohttp every module of jobs is imported, and none of them loads Spark."""
    code = "\n".join(f"import trunkline.jobs.{name}" for name in LIGHT)
    code += "\nimport trunkline.session, sys\nfrom trunkline.jobs import AbstractJob, main, WebhookNotification"
    code += "\nassert not {'pyspark', 'pyarrow', 'aiohttp'} & set(sys.modules)"
    done = subprocess.run(
        [python_of_35, "-c", code], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_is_not_there_is_named(python_of_35: str, job_module: Callable[..., str], tmp_path: Path) -> None:
    """A URI without pyarrow, and a webhook without aiohttp, are each a notice with its cure."""
    job_module(
        """
        from trunkline.jobs import WebhookNotification

        def main():
            return WebhookNotification("http://127.0.0.1:9/x").notify("a", "b")
        """,
        "tells",
    )
    words = ["--module_name=tells", "--result_path=s3://bucket/result.json"]
    done = subprocess.run(
        [python_of_35, "-m", "trunkline.jobs", *words], cwd=tmp_path, env=environment(tmp_path), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    result = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, result["output"]) == (0, False), done.stdout
    assert "webhooks need" in result["notices"][0]
    assert "s3://bucket/result.json needs pyarrow: pip install pyarrow" in result["notices"][1]
