"""Run by test_planted.py in a process of its own: a pipeline with a secret wherever a file may hold one.

python planted_job.py PIPELINE RUNS SEEN

Into the folder SEEN goes what Spark's UI answers while the run lasts, and what `explain` prints.
"""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from trunkline.pipelines import Context

PARTS = ("environment", "sql?details=true&planDescription=true&length=1000", "jobs", "stages?details=true", "executors")


class Hook:
    """A hook that says what it should not, and looks at Spark's UI at the end."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def before_step(self, step: str, context: Context) -> None:
        context.logger.info("configured", **self.config)
        context.metrics.count("steps_seen", login=self.config["password"])
        raise ValueError(f"cannot log in with {self.config}")

    def after_pipeline(self, context: Context) -> None:
        spark = context.spark.sparkContext
        base = f"{spark.uiWebUrl}/api/v1/applications/{spark.applicationId}"
        for part in PARTS:
            with urllib.request.urlopen(f"{base}/{part}", timeout=60) as answer:
                (Path(sys.argv[3]) / f"ui-{part.partition('?')[0]}.json").write_bytes(answer.read())


class Chat:
    """A notification that fails."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def notify(self, subject: str, message: Any) -> None:
        raise ValueError(f"{self.config} is refused: {json.dumps(message)}")


def explained(df: DataFrame, context: Context) -> DataFrame:
    """Print the plan of the rows, and the configuration, as somebody would who looks for an error."""
    with (Path(sys.argv[3]) / "explain.txt").open("a") as file, contextlib.redirect_stdout(file):
        df.explain(True)
        context.spark.sql("SET").show(1000, truncate=False)
    print(context)
    context.logger.warning("looking", config=context.config)
    return df


def fails(df: DataFrame, context: Context) -> DataFrame:
    """An error of the user's own code that quotes its configuration."""
    raise ValueError(f"cannot do it with {context.config}")


if __name__ == "__main__":
    from trunkline.pipelines import PipelineError, run_pipeline

    # The pipeline imports it under this name; as `__main__` it would be another.
    try:
        report = run_pipeline(config_path=sys.argv[1], runs=sys.argv[2], log="json")
    except PipelineError as error:
        print("failed", error)
        report = error.report
    print(report.table())
    print(report)
