"""The command line of a job: the one form in which every platform hands arguments on.

--module_name=my_project.etl_job_factory --run_key=orders-2026-05-01 --etl_job={"input_path": "s3://..."}
"""

from __future__ import annotations

import json

from trunkline.jobs.run import RunRequest


def job_name(module: str) -> str:
    """What the job's own argument is called: `etl_job` for `my_project.etl_job_factory`."""
    return module.rpartition(".")[2].removesuffix("_factory")


def arguments_of(request: RunRequest) -> dict[str, str]:
    """The arguments that start a request's job, by name without dashes, each as text without line breaks."""
    text = json.dumps(dict(request.arguments), separators=(",", ":"), ensure_ascii=True)
    return {"module_name": request.job, "run_key": request.run_key, job_name(request.job): text}


def argv_of(request: RunRequest) -> list[str]:
    """The same as the words of a command line."""
    return [f"--{name}={value}" for name, value in arguments_of(request).items()]
