"""Runs on this machine, each a process of its own.

    df.write.format("jobs").mode("append").option("platform", "local").save()

What a run is started as, with the environment of the driver:

    python -m trunkline.jobs --module_name=my_project.etl --run_key=orders-2026-05-01
        --config=<local.folder>/local/runs/<run id>/arguments.json --run_id=<run id>

It goes on when the driver ends. What is known of it is in `local.folder`, see `trunkline.jobs.folder`: start is native
idempotency there, however many ask at once. `local.workers` go on at the same time on the machine; the others wait in
the order in which each caller asked for them.

The state is that of the exit code, see `trunkline.jobs.ending`; a run whose supervisor was killed, or that a restart
of the machine ended, is FAILED with the detail LOST.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from trunkline.jobs.arguments import argv_of
from trunkline.jobs.folder import RunFolder, run_id_of
from trunkline.jobs.processes import Processes, python_path
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.options import Options


def start(request: RunRequest, options: Options) -> Run:
    """Start a run, or find the one that bears its key already; there is no window in which two could start.

    Raises:
        OptionError: The artifact is not on this machine, or Trunkline is not installed on it.
        UnavailableError: `local.folder` cannot be written, or no process can be started.
    """
    environment = {**python_path(options["artifact"]), "TRUNKLINE_PLATFORM": "local"}
    return _processes(options).start(request, _command(request, options), environment, workers=options["local.workers"])


def find(request: RunRequest, options: Options) -> Run | None:
    """The run of this key, if there is one."""
    return _processes(options).find(request)


def poll(runs: Sequence[Run], options: Options) -> list[Run]:
    """The same runs as they are now, in the same order.

    Raises:
        RejectedError: The folder holds no such run; `gone`.
    """
    return _processes(options).poll(runs)


def list_runs(wanted: RunFilter, options: Options) -> Iterator[Run]:
    """Newest first. Of those that have ended only the ones that fit are opened."""
    return _processes(options).list_runs(wanted)


def cancel(run: Run, options: Options) -> None:
    """Ask for its end: SIGTERM to its process group, SIGKILL after ten seconds; one that waits is CANCELLED at once.

    Raises:
        RejectedError: The folder holds no such run.
    """
    _processes(options).cancel(run)


def _command(request: RunRequest, options: Options) -> list[str]:
    run_id = run_id_of(request.run_key)
    words = argv_of(request, str(_folder(options).path(run_id, "arguments.json")))
    return [sys.executable, "-m", "trunkline.jobs", *words, f"--run_id={run_id}"]


def _processes(options: Options) -> Processes:
    return Processes(_folder(options))


def _folder(options: Options) -> RunFolder:
    return RunFolder(options["local.folder"], "local")
