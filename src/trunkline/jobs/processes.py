"""Runs as processes of this machine: what the platforms that have none of their own are made of.

    runs = Processes(RunFolder(base, "local"))
    runs.start(request, [sys.executable, "-m", "my.job"], {"PYTHONPATH": "..."}, workers=4)

The run does not need the caller any more once `start` has returned. A caller that is killed within `start` leaves a run
that is pending and that nobody will start: it is told as FAILED, "ABANDONED", after a minute, and the next `start` with
the same key, which may come at any time, starts it after all. It never ran before that.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import sysconfig
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import trunkline
from trunkline.errors import OptionError, UnavailableError
from trunkline.jobs.ending import ABANDONED_AFTER, abandoned
from trunkline.jobs.folder import Kept, RunFolder, run_id_of
from trunkline.jobs.locks import held
from trunkline.jobs.run import Run, RunFilter, RunRequest

_START_SECONDS = 60.0
_IMPORT = uuid.uuid4().hex[:12]
# Threads that start runs at the same moment would each start the same keeper, and all but one of those would end.
_KEEPERS = threading.Lock()
# Neither the current folder nor what is installed beside Trunkline goes before the standard library.
_KEEPER = "import sys; del sys.path[0]; sys.path.append(sys.argv[1]); from trunkline.jobs.supervise import main; main()"
# How a Python worker of Spark and a driver under spark-submit are told of their JVM: a run has one of its own.
_OF_THE_CALLER = ("PYTHON_WORKER_FACTORY_", "PYSPARK_GATEWAY_", "PYTHON_UNIX_DOMAIN", "SPARK_JOB_ARTIFACT_UUID",
                  "SPARK_CONNECT_MODE_ENABLED", "SPARK_LOCAL_REMOTE", "SPARK_REMOTE")  # fmt: skip


def package_root() -> str:
    """What a process of this machine needs on its path to import Trunkline.

    Raises:
        OptionError: It is not installed here, as on a Spark Connect server that got it with the query.
    """
    root = Path(trunkline.__file__ or "").parent.parent
    if not root.exists():
        raise OptionError(
            "runs as processes need Trunkline installed where the driver runs, and it is not: "
            "pip install trunkline there, or start them on another platform"
        )
    return str(root)


def python_path(artifact: str | None) -> dict[str, str]:
    """The environment in which Python finds the job: the artifact, Trunkline, and what the caller's PYTHONPATH has.

    Args:
        artifact: Wheel, zip or folder by its path, or a `.py` file, whose folder is taken.

    Raises:
        OptionError: It is not on this machine.
    """
    parts = []
    if artifact:
        path = Path(artifact.removeprefix("file://")).expanduser().absolute()
        if not path.exists():
            raise OptionError(f"artifact={artifact} is not on this machine; runs here take a path")
        parts.append(str(path.parent if path.suffix == ".py" else path))
    root = package_root()
    if root not in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        parts.append(root)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (*parts, os.environ.get("PYTHONPATH"))))}


class Processes:
    """The runs of one platform on this machine."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def start(
        self, request: RunRequest, command: Sequence[str], environment: Mapping[str, str], *, workers: int
    ) -> Run:
        """Start a run, or find the one that bears its key.

        Args:
            request: What is asked for.
            command: What is run. Everybody on the machine may see it: the arguments are in a file of the folder.
            environment: Added to that of this process, which the run gets.
            workers: The most runs that go on at the same time on this machine; this one waits where they do.

        Raises:
            UnavailableError: The folder cannot be written, or no process can be started.
        """
        if sys.platform == "win32":
            raise OptionError("runs as processes need POSIX file locks: use another platform than Windows")
        folder, owner, run_id = self.folder, _owner(), run_id_of(request.run_key)
        try:
            new = folder.add(request, owner, {"command": list(command), "environment": dict(environment)})
            if not new:
                self._take_over(run_id, owner)
            kept = self.folder.get(run_id)
            if kept.run.state == "PENDING" and kept.owner == owner:
                with _KEEPERS:
                    self._ensure_keeper(owner, workers)
            return self.settled(self.folder.get(run_id)).run
        except OSError as error:
            raise UnavailableError(f"local.folder={folder.base}: {error.strerror or error}") from None

    def find(self, request: RunRequest) -> Run | None:
        """The run of this key, None if there is none."""
        kept = self.folder.kept(run_id_of(request.run_key))
        return None if kept is None else self.settled(kept).run

    def poll(self, runs: Sequence[Run]) -> list[Run]:
        """The same runs as they are now.

        Raises:
            RejectedError: There is no such run.
        """
        return [self.settled(self.folder.get(run.run_id)).run for run in runs]

    def list_runs(self, wanted: RunFilter) -> Iterator[Run]:
        """Those that are asked for, newest first."""
        for kept in self.folder.listed(wanted, lambda found: map(self.settled, found)):
            yield kept.run

    def cancel(self, run: Run) -> None:
        """Ask for a run's end: SIGTERM to all of its processes, SIGKILL ten seconds later. One that waits never starts.

        Raises:
            RejectedError: There is no such run.
        """
        self.folder.path(self.folder.get(run.run_id).run.run_id, "cancel").touch(mode=0o600)
        with self.folder.locked(run.run_id) as mine:
            kept = self.folder.get(run.run_id)
            if mine and kept.run.state == "PENDING":
                done = replace(kept.run, state="CANCELLED", state_detail="cancelled before its start", ended_at=_now())
                self.folder.write(replace(kept, run=done))

    def settled(self, kept: Kept) -> Kept:
        """The run as it is now: of one that is not written down as over, whoever was at work on it may be gone."""
        folder, run_id = self.folder, kept.run.run_id
        if kept.run.ended:
            return kept
        if kept.run.state == "PENDING":
            if _now() - kept.asked_at < ABANDONED_AFTER or self._owned(kept.owner) or folder.watched(run_id):
                return kept
            # Not written down: the same key may be asked for again, and this run is then started.
            return replace(kept, run=abandoned(kept.run))
        with folder.locked(run_id) as mine:
            current = self.folder.get(run_id)
            if not mine or current.run.ended:
                return current
            why = "the process that watched over it is gone: it was killed, or the machine was restarted"
            lost = replace(current.run, state="FAILED", state_detail="LOST", error=why, ended_at=_now())
            current = replace(current, run=lost)
            with contextlib.suppress(PermissionError):  # whoever may only read the folder is told the same
                folder.write(current)
            return current

    def _take_over(self, run_id: str, owner: str) -> None:
        """Become the owner of a run that waits for a process that is gone."""
        kept = self.folder.get(run_id)
        if kept.run.state != "PENDING" or kept.owner == owner or self._owned(kept.owner):
            return
        with self.folder.locked(run_id) as mine:
            kept = self.folder.get(run_id)
            if mine and kept.run.state == "PENDING":
                self.folder.write(replace(kept, owner=owner))

    def _owned(self, owner: str) -> bool:
        return any(map(held, self.folder.keepers.glob(f"{owner}-*")))

    def _ensure_keeper(self, owner: str, workers: int) -> None:
        """Have one process more at work on the owner's runs, unless there are as many as may be."""
        folder = self.folder
        for number in range(workers):
            if held(folder.keepers / f"{owner}-{number}"):
                continue
            arguments = [package_root(), folder.base, folder.platform, owner, number, workers]
            environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_CALLER)}
            with (folder.root / "supervise.log").open("ab") as log:
                # Without site-packages, which it does not need. It returns at once: what goes on is its child.
                done = subprocess.run(  # noqa: S603 - this interpreter
                    [sys.executable, "-S", "-c", _KEEPER, *map(str, arguments)], env=environment,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=_START_SECONDS, check=False,
                )  # fmt: skip
            if done.returncode:
                raise UnavailableError(
                    f"no process could be started to watch over the run: exit code {done.returncode}; "
                    f"see {folder.root / 'supervise.log'}"
                )
            return


def _owner() -> str:
    """A name for this process: imported once, this module may be in several that were forked since."""
    return f"{os.getpid()}.{_IMPORT}"


def _now() -> datetime:
    return datetime.now(timezone.utc)
