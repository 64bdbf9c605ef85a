"""A pipeline file as two tasks of Airflow: `check`, then `run`. What both DAGs of this folder use.

    with DAG(...):
        outcome = pipeline("customers.yaml", {"day": "{{ ds }}"})

Why a `BashOperator`, and no `@task` around `run_pipeline`: Spark and Airflow pin different versions of the same
packages, and a DAG file has to load within seconds and without either. So Trunkline and Spark live in an environment of
their own on the worker (`TRUNKLINE`), and when Airflow ends the task, SIGTERM reaches the run itself, which ends its
Spark jobs and writes its report.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import XComArg

FOLDER = Path(__file__).parent
# The command, in its own environment. Reports stand where every worker reads them: a retry may be on another one.
PROGRAM = os.environ.get("TRUNKLINE", "/opt/trunkline/bin/trunkline")
RUNS = os.environ.get("TRUNKLINE_RUNS", "/data/runs")
# A folder for each run of the DAG, by Airflow's id of it: what a retry goes on with is never another day's.
RUN_FOLDER = RUNS + "/{{ dag.dag_id }}/{{ run_id | replace(':', '') | replace('+', '_') }}"

CHECK = 'exec "$TRUNKLINE" validate "$PIPELINE" {overrides}'
# The first try finds no run in its folder, and begins; a retry goes on behind what the try before it has finished. So
# does a task that was cleared after it failed; one that was cleared after a success begins anew.
RUN = """
"$TRUNKLINE" run "$PIPELINE" {overrides} --runs "$RUNS" --resume auto {flags} --log json
code=$?
case $code in
  0) echo success ;;
  4) echo degraded ;;
  *) exit $code ;;
esac
"""
PENDING_APPROVAL = 3


def pipeline(
    file: str, variables: Mapping[str, str], environment: Mapping[str, str] | None = None, flags: str = ""
) -> XComArg:
    """Check a pipeline file, then run it.

    | exit code of `trunkline run` | the task `run` |
    |---|---|
    | 0 success, 4 degraded | success; the word is what it returns |
    | 1 failed, or ended | failed, tried again |
    | 2 the file is wrong | `check` has failed before, and was not tried again; a secret that is missing shows here |
    | 3 pending approval | skipped, with all behind it; when somebody has approved, clear it: the run goes on |

    Args:
        file: In this folder.
        variables: Values for its `vars`; templates of Airflow.
        environment: What it refers to as `env:NAME`; templates too.
        flags: More of `trunkline run`.

    Returns:
        `success` or `degraded`, for the tasks behind it.
    """
    # Values go by the environment: in a command they would be read by the shell.
    held = {"TRUNKLINE": PROGRAM, "PIPELINE": str(FOLDER / file), "RUNS": RUN_FOLDER}
    held |= {f"VARS_{name}": value for name, value in variables.items()}
    overrides = " ".join(f'--override "vars.{name}=$VARS_{name}"' for name in variables)
    check = BashOperator(
        task_id="check",
        bash_command=CHECK.format(overrides=overrides),
        env=held,
        append_env=True,
        retries=0,
    )
    run = BashOperator(
        task_id="run",
        bash_command=RUN.format(overrides=overrides, flags=flags),
        env={**held, **(environment or {})},
        append_env=True,
        # A pipeline's modules may lie beside it.
        cwd=str(FOLDER),
        retries=2,
        skip_on_exit_code=PENDING_APPROVAL,
    )
    check >> run
    return run.output
