"""The result of a run goes to whoever waits for it. Nothing here changes the outcome or its exit code.

result_path      a file of its own, path or URI
Databricks       the task value `result`, where the task has such values (48 KiB at most: Databricks documentation,
                 "Use task values to pass information between tasks"); never `dbutils.notebook.exit`, which ends a
                 notebook before the lines below it
Kubernetes       /dev/termination-log, if the container has one (4096 bytes: Kubernetes documentation, "Determine the
                 reason for Pod failure")
everywhere       the last line of standard output: Airflow's BashOperator and DockerOperator take that for the XCom;
                 its KubernetesPodOperator reads a file: `--result_path=/airflow/xcom/return.json`
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from trunkline.errors import TrunklineError
from trunkline.jobs.files import shown, write_text
from trunkline.jobs.notes import log
from trunkline.jobs.result import Result
from trunkline.jobs.where import Where

TERMINATION_LOG = Path("/dev/termination-log")
_TERMINATION_LIMIT = 4096
_TASK_VALUE_LIMIT = 48 * 1024


def hand_over(result: Result, where: Where, path: str | None) -> None:
    """Tell a result everywhere it is waited for; what cannot be told is a notice in what is told after it."""
    if path is not None:
        try:
            write_text(path, result.line() + "\n")
        except (OSError, TrunklineError) as error:
            _untold(result, shown(f"the result could not be written to {path}: {error}"))
    if where.platform == "databricks":
        _to_databricks(result)
    if where.platform == "container" and os.access(TERMINATION_LOG, os.W_OK):
        try:
            TERMINATION_LOG.write_text(result.line(_TERMINATION_LIMIT), encoding="ascii")
        except OSError as error:
            _untold(result, f"the result could not be written to {TERMINATION_LOG}: {error.strerror}")
    if result.error is not None:
        sys.stderr.write(f"{result.job or 'job'}: {result.error['type']}: {result.error['message']}\n")
    sys.stderr.flush()
    # The job may have left a line unfinished.
    sys.stdout.write(f"\n{result.line()}\n")
    sys.stdout.flush()


def _to_databricks(result: Result) -> None:
    try:
        utils = _dbutils()
        if utils is not None:
            utils.jobs.taskValues.set(key="result", value=result.line(_TASK_VALUE_LIMIT))
    except Exception as error:  # noqa: BLE001 - outside of a job, and in some kinds of task, there are no task values
        _untold(result, f"the result could not be kept as a task value: {type(error).__name__}")


def _untold(result: Result, text: str) -> None:
    result.notices.append(text)
    log.warning(text)


def _dbutils() -> Any:
    """What Databricks calls `dbutils`, in a script or wheel task; None where it has none."""
    from trunkline.session import get_spark

    try:
        from pyspark.dbutils import DBUtils  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    return DBUtils(get_spark())
