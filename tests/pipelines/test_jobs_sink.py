"""`jobs` as the sink of a pipeline: a run that is gone on with starts each of its runs once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from trunkline.pipelines import PipelineError, Report, Resume, run_pipeline

# Each run leaves a file of its own; that of `b` fails until it was mended.
JOB = """
import os, pathlib

def main(key):
    folder = pathlib.Path({folder!r})
    (folder / "ran" / f"{{key}}-{{os.getpid()}}").write_text("")
    if key == "b" and not (folder / "mended").exists():
        raise ValueError("not yet")
"""
FILE = """
name: starts
steps:
  - name: rows
    sql: "SELECT 'routed' AS job, map('key', key) AS arguments FROM VALUES ('a'), ('a'), ('b') AS t (key)"
  - name: started
    write:
      format: jobs
      options: {platform: local, local.folder: FOLDER/jobs, artifact: FOLDER/routed.py, wait: true, pollInterval: 200ms}
"""


@pytest.mark.slow
def test_each_run_is_started_once_however_often_the_step_is_made_again(spark: SparkSession, tmp_path: Path) -> None:
    """No row has a `run_key`, and two are equal. What failed is started anew, what succeeded is not; not even where
    the process was killed before it could write down that the step was done."""
    (tmp_path / "ran").mkdir()
    (tmp_path / "routed.py").write_text(JOB.format(folder=str(tmp_path)))
    (tmp_path / "p.yaml").write_text(FILE.replace("FOLDER", str(tmp_path)))

    def run(**more: str | Resume) -> Report:
        return run_pipeline(spark, str(tmp_path / "p.yaml"), runs=str(tmp_path / "runs"), **more)

    def ran() -> list[str]:
        return sorted(path.name.partition("-")[0] for path in (tmp_path / "ran").iterdir())

    with pytest.raises(PipelineError, match="did not succeed: routed on local"):
        run()
    assert ran() == ["a", "a", "b"]
    (tmp_path / "mended").write_text("")
    report = run(resume="last")
    assert (report.outcome, ran()) == ("success", ["a", "a", "b", "b"])
    held = tmp_path / "runs" / report.run_id / "report.json"
    held.write_text(held.read_text().replace('"success"', '"running"'))
    assert run(resume="last").outcome == "success"
    assert ran() == ["a", "a", "b", "b"]
    # One that is to be repeated is another write, and so is that of another run of the pipeline.
    run(resume=Resume("last", repeat=("started",)))
    assert ran() == ["a"] * 4 + ["b"] * 3
    run()
    assert ran() == ["a"] * 6 + ["b"] * 4
