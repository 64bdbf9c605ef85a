"""The example `simple_etl`: its job with doubles, and the commands of its README as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest
from pyspark.sql import SparkSession

from trunkline.testing import NoopNotification, NoopSink, NoopSource

EXAMPLE = Path(__file__).parents[2] / "examples" / "simple_etl"
COMMANDS = re.findall(r"```bash\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)


@pytest.fixture
def simple_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import simple_job  # type: ignore[import-not-found]

    yield simple_job
    del sys.modules["simple_job"]


def test_the_job_sums_up_and_tells(spark_session: SparkSession, simple_job: ModuleType) -> None:
    """As the README tests it."""
    rows = [("ann", "active", Decimal("1.50")), ("cid", "active", Decimal(2)), ("ann", "active", Decimal(1)),
            ("bob", "active", Decimal(1)), ("dan", "lost", Decimal(9))]  # fmt: skip
    orders = spark_session.createDataFrame(rows, "customer string, status string, amount decimal(10, 2)")
    source, sink, told = NoopSource(orders), NoopSink(), NoopNotification()
    results = simple_job.SimpleJob(source, sink, told).run(input_path="in", output_path="out")
    assert [tuple(row) for row in sink.written[0].collect()] == [
        ("ann", 2, Decimal("2.50")),
        ("bob", 1, Decimal("1.00")),
        ("cid", 1, Decimal("2.00")),
    ]
    assert (source.reads, sink.calls) == ([(("in",), {})], [(("out",), {})])
    assert told.sent == [("orders are summed up", {"customers": 3})]
    assert results["artifacts"] == ["out"]


def test_a_job_without_rows_waits_for_somebody(spark_session: SparkSession, simple_job: ModuleType) -> None:
    orders = spark_session.createDataFrame([], "customer string, status string, amount decimal(10, 2)")
    told = NoopNotification()
    results = simple_job.SimpleJob(NoopSource(orders), NoopSink(), told).run(input_path="in", output_path="out")
    assert (results["status"], results["quality"], told.sent) == ("PENDING_APPROVAL", {"has_rows": False}, [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "status"),
    [(0, 0, "SUCCESS"), (1, 2, "FAILED"), (2, 3, "PENDING_APPROVAL"), (3, 0, "SUCCESS"), (4, 0, "SUCCESS")],
)
def test_the_commands_of_the_readme_do_as_it_says(tmp_path: Path, number: int, code: int, status: str) -> None:
    """In a copy of the folder. The webhook of the fourth is at a host that is none, which is a notice."""
    assert len(COMMANDS) == 5
    folder = shutil.copytree(EXAMPLE, tmp_path / "simple_etl")
    command = COMMANDS[number].replace("/tmp/", f"{tmp_path}/").replace("hooks.example.com", "127.0.0.1:9")
    config = folder / "simple_job.json"
    config.write_text(config.read_text().replace("/tmp/", f"{tmp_path}/"))
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    own = ("TRUNKLINE_", "PYSPARK_GATEWAY", "SPARK_REMOTE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env={**environment, "PATH": programs}, capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    result = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, result["status"]) == (code, status), done.stdout + done.stderr[-3000:]
    if number == 1:
        assert "outputpath is no argument of SimpleJob.execute_job: did you mean output_path?" in done.stderr
    elif number == 3:
        assert json.loads((tmp_path / "result.json").read_text())["metrics"] == {"customers": 3}
        assert "was not notified" in result["notices"][0]
    elif number in {0, 4}:
        assert (result["metrics"], result["artifacts"]) == ({"customers": 3}, [f"{tmp_path}/totals"])
