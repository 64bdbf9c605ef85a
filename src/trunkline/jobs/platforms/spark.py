"""Runs by spark-submit from this machine, or by the submission API of a standalone master.

    options = {"platform": "spark", "spark.master": "spark://host:7077"}
    df.write.format("jobs").mode("append").options(**options).save()

Without `spark.restUrl` a run is a process of this machine, kept as those of the platform `local` are, with its driver
in it (client mode). `spark-submit` is that of `SPARK_HOME`, of the path, or of the pyspark that is installed:

    spark-submit --master spark://host:7077 --py-files my_project.whl <folder>/entry.py --module_name=... --run_key=...
        --config=<folder>/runs/<run id>/arguments.json --run_id=<run id>

With `spark.restUrl` the master puts the driver on one of its workers: see `spark_master`.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trunkline.errors import OptionError, TrunklineError, UnavailableError
from trunkline.jobs.arguments import argv_of
from trunkline.jobs.files import write_text
from trunkline.jobs.folder import Kept, RunFolder, run_id_of
from trunkline.jobs.platforms import spark_master
from trunkline.jobs.processes import Processes, python_path
from trunkline.jobs.run import Run, RunFilter, RunRequest
from trunkline.options import Options

_ENTRY = 'import runpy\n\nrunpy.run_module("trunkline.jobs", run_name="__main__", alter_sys=True)\n'

log = logging.getLogger("trunkline.jobs")


def start(request: RunRequest, options: Options) -> Run:
    """Start a run, or find the one that bears its key already; the top of this module states the API's window.

    Raises:
        OptionError: There is no spark-submit, or the artifact is not on this machine.
        RejectedError: The master refuses the submission; `ambiguous`: its answer was lost, so it may run.
        AuthError: It refuses `spark.token`.
        UnavailableError: It cannot be reached, or `local.folder` cannot be written. Nothing was started.
    """
    folder, run_id = _folder(options), run_id_of(request.run_key)
    try:
        if options["spark.restUrl"]:
            script = [options["spark.entryPoint"] or _entry(folder), *argv_of(request), f"--run_id={run_id}"]
            return spark_master.submit(request, options, folder, script)
        python = os.environ.get("PYSPARK_PYTHON", sys.executable)
        environment = {**python_path(None), "PYSPARK_PYTHON": python, "TRUNKLINE_PLATFORM": "spark"}
        words = argv_of(request, str(folder.path(run_id, "arguments.json")))
        command = [_spark_submit(), *_options_of(options), _entry(folder), *words, f"--run_id={run_id}"]
        return Processes(folder).start(request, command, environment, workers=options["local.workers"])
    except OSError as error:
        raise UnavailableError(f"local.folder={folder.base}: {error.strerror or error}") from None


def find(request: RunRequest, options: Options) -> Run | None:
    """The run of this key, if there is one in the folder."""
    kept = _folder(options).kept(run_id_of(request.run_key))
    return None if kept is None else next(iter(_current([kept], options))).run


def poll(runs: Sequence[Run], options: Options) -> list[Run]:
    """The same runs as they are now, in the same order.

    Raises:
        RejectedError: The folder holds no such run; `gone`.
        AuthError, UnavailableError: The master refuses `spark.token`, or cannot be reached.
    """
    folder = _folder(options)
    return [kept.run for kept in _current([folder.get(run.run_id) for run in runs], options)]


def list_runs(wanted: RunFilter, options: Options) -> Iterator[Run]:
    """Newest first; masters are asked for those that were not over when they were last looked at.

    What a master that does not answer was given stays as it was last seen, with a warning in the log.
    """
    for kept in _folder(options).listed(wanted, lambda found: _current_or_last(found, options)):
        yield kept.run


def cancel(run: Run, options: Options) -> None:
    """Ask for its end: as the platform `local` does, or of the master.

    Raises:
        RejectedError: There is no such run, or the master says why it does not end it.
    """
    folder = _folder(options)
    kept = folder.get(run.run_id)
    if _at_master(kept):
        spark_master.kill(kept, options, folder)
    else:
        Processes(folder).cancel(run)


def _folder(options: Options) -> RunFolder:
    return RunFolder(options["local.folder"], "spark")


def _spark_submit() -> str:
    home = os.environ.get("SPARK_HOME")
    found = str(Path(home) / "bin" / "spark-submit") if home else shutil.which("spark-submit")
    if found is None:
        try:
            import pyspark
        except ImportError:
            raise OptionError(
                "platform=spark finds no spark-submit: set SPARK_HOME, or give spark.restUrl, the master's submission "
                'API; pip install "trunkline[spark]" brings one'
            ) from None
        found = str(Path(pyspark.__file__).parent / "bin" / "spark-submit")
    return found


def _options_of(options: Options) -> list[str]:
    artifact = options["artifact"]
    if artifact and "://" not in artifact and not Path(artifact).expanduser().exists():
        raise OptionError(f"artifact={artifact} is not on this machine; spark-submit takes a path or a URI")
    given = (("--master", options["spark.master"]), ("--deploy-mode", "client"), ("--py-files", artifact))
    return [word for name, value in given if value for word in (name, value)]


def _entry(folder: RunFolder) -> str:
    """The script that spark-submit is given, the same for every run."""
    path = folder.root / "entry.py"
    if not path.exists():
        folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text(str(path), _ENTRY)
    return str(path)


def _at_master(kept: Kept) -> bool:
    return kept.owner == "master"


def _current(found: Iterable[Kept], options: Options) -> Iterator[Kept]:
    """Runs as they are now, whichever way they went."""
    folder = _folder(options)
    processes = Processes(folder)
    for kept in found:
        yield spark_master.seen(kept, options, folder) if _at_master(kept) else processes.settled(kept)


def _current_or_last(found: Iterable[Kept], options: Options) -> Iterator[Kept]:
    """The same for a list, which one master must not end; it is asked until it fails once."""
    folder = _folder(options)
    failed = set()
    for kept in found:
        base = spark_master.base_of(kept, folder) if _at_master(kept) else None
        now = kept
        if base not in failed:
            try:
                now = next(_current([kept], options))
            except TrunklineError as error:
                if base is None:
                    raise
                failed.add(base)
                log.warning("runs at %s are listed as they were last seen: %s", base, error)
        yield now
