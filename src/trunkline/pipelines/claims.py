"""Who is at a run: a file beside its reports, so that no two processes go on with the same run at the same moment.

    claim = Claim("s3://bucket/runs", "users-20260501T010000000-1f0c9a", "users-20260501T020000000-77ab03")
    claim.take()
    with claim.kept(lost=stop, notice=print):
        ...
    claim.release()

    runs/users-20260501T010000000-1f0c9a/runners/users-20260501T020000000-77ab03.json
    {"pid": 4711, "host": "etl-3", "machine": "...", "since": "2026-05-01T02:00:00+00:00"}

Stores have no common way to make a file only if it is not there, so each process writes a claim of its own, then looks
for others, and withdraws if it finds one that is alive. Wherever a file that was written is listed at once (local
disks, S3, Google Cloud Storage, ADLS Gen2), of two that begin together at least one sees the other: never both go on,
and it may be that neither does.

A claim is renewed every `BEAT` seconds. It is dead when its process is gone, which can be told on the same machine, or
when it was not renewed for `DEAD` seconds by the store's own clock. Who takes a dead claim's place leaves a mark for it
(`.taken`): a process that only stood still finds that within `BEAT` seconds of waking, and ends. Until then both run.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from trunkline.errors import OptionError, TrunklineError
from trunkline.jobs.files import read_text, shown, write_text
from trunkline.pipelines.hooks import now

# Seconds between signs of life: four small files a minute.
BEAT = 15.0
# Seconds without a sign after which a process counts as dead: several beats, and more than a store is usually away.
DEAD = 120.0
_CLAIM, _RELEASED, _TAKEN = ".json", ".released", ".taken"


class RunInProgressError(TrunklineError):
    """Another process is at this run; the message says which, and what to do if it is dead."""


class Claim:
    """The claim of one process to a run.

    Args:
        runs: The folder or URI that holds the runs.
        origin: The first of the runs that go on with each other: one of them may be in progress.
        run_id: The one that this process wants to begin.
    """

    def __init__(self, runs: str, origin: str, run_id: str) -> None:
        self._folder = _folder(runs, origin)
        self._origin = origin
        self._run_id = run_id
        self._held = json.dumps(
            {"pid": os.getpid(), "host": socket.gethostname(), "machine": _machine(), "since": now()}
        )

    def take(self) -> None:
        """Claim the run.

        Raises:
            RunInProgressError: Another process is at it.
            OptionError: The store shows files too late.
            OSError: The claim cannot be written.
        """
        self._write(self._run_id, _CLAIM)
        try:
            standing = _standing(self._folder)
            if self._run_id not in standing:
                advice = "so nobody can be kept from going on with the same run: give --runs another place"
                raise OptionError(f"{shown(self._folder)} does not list a file that was just written, {advice}")
            own = standing.pop(self._run_id)
            for run_id in [run_id for run_id, renewed in standing.items() if self._dead(run_id, renewed, own)]:
                self._write(run_id, _TAKEN)
        except BaseException:
            self.withdraw()
            raise

    def withdraw(self) -> None:
        """Leave no trace: this process has not begun."""
        _remove(f"{self._folder}/{self._run_id}{_CLAIM}")

    def release(self) -> None:
        """This process is done with the run; what it claimed remains as a part of the run's history."""
        self._write(self._run_id, _RELEASED)

    @contextmanager
    def kept(self, lost: Callable[[str], None], notice: Callable[[str], None]) -> Iterator[None]:
        """Renew the claim, from another thread.

        Args:
            lost: Called at every beat from the one on at which another process has taken this one for dead; told so.
            notice: Called when the claim cannot be renewed, once for each time that this begins.
        """
        over = threading.Event()

        def beat() -> None:
            renewed = True
            while not over.wait(BEAT):
                try:
                    if self._is_taken():
                        lost(f"another process took this one for dead and goes on with {self._origin}")
                    else:
                        self._write(self._run_id, _CLAIM)
                    renewed = True
                except (OSError, TrunklineError) as error:
                    if renewed:
                        notice(f"the claim to this run cannot be renewed, and another may take it: {shown(str(error))}")
                    renewed = False

        thread = threading.Thread(target=beat, name="claim", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            # A store that does not answer must not keep the process.
            thread.join(BEAT)

    def _dead(self, run_id: str, renewed: datetime | None, at: datetime | None) -> bool:
        """Whether nobody is at a run any more; one that is alive is an error."""
        silent = None if renewed is None or at is None else (at - renewed).total_seconds()
        try:
            held = json.loads(read_text(f"{self._folder}/{run_id}{_CLAIM}"))
        except OptionError:
            if f"{run_id}{_CLAIM}" in _files(self._folder):
                raise
            # It was withdrawn meanwhile.
            return False
        gone = held["machine"] == _machine() and not _runs(int(held["pid"]))
        if gone or (silent is not None and silent > DEAD):
            return True
        who = f"process {held['pid']} on {held['host']}, since {held['since']}"
        last = "" if silent is None else f", last seen {max(silent, 0):.0f} s ago"
        cure = f"if it is dead, try again: {DEAD:.0f} s after its last sign it counts as dead"
        raise RunInProgressError(
            f"{self._origin} is in progress as {run_id}: {who}{last}. Wait for it, or end it; {cure}"
        )

    def _is_taken(self) -> bool:
        return f"{self._run_id}{_TAKEN}" in _files(self._folder)

    def _write(self, run_id: str, kind: str) -> None:
        write_text(f"{self._folder}/{run_id}{kind}", self._held)


def claimed(runs: str, origin: str) -> list[str]:
    """The runs that go on with each other from this one, the oldest first."""
    return sorted(file.removesuffix(_CLAIM) for file in _files(_folder(runs, origin)) if file.endswith(_CLAIM))


def _standing(folder: str) -> dict[str, datetime | None]:
    """The claims that stand, and when each was renewed by the clock of the store."""
    files = _files(folder)
    runs = [file.removesuffix(_CLAIM) for file in files if file.endswith(_CLAIM)]
    return {run: files[run + _CLAIM] for run in runs if not {run + _RELEASED, run + _TAKEN} & files.keys()}


def _files(folder: str) -> dict[str, datetime | None]:
    """The files of a folder, and when each was written; none where there is no folder."""
    from pyarrow import fs

    from trunkline.responses import locate

    location = locate(folder)
    found = location.files.get_file_info(fs.FileSelector(location.path, allow_not_found=True))
    # One that begins with a dot is not yet whole.
    return {info.base_name: info.mtime for info in found if not info.base_name.startswith(".")}


def _folder(runs: str, origin: str) -> str:
    return f"{runs.rstrip('/')}/{origin}/runners"


def _remove(uri: str) -> None:
    from trunkline.responses import locate

    location = locate(uri)
    location.files.delete_file(location.path)


def _machine() -> str:
    """Where a process id means the same process."""
    try:
        boot, space = Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = space = ""
    return " ".join(filter(None, [socket.gethostname(), boot.strip(), space]))


def _runs(pid: int) -> bool:
    """Whether there is such a process on this machine; where that cannot be asked without harm, yes."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
