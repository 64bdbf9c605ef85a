"""The process that starts the runs of a folder, one at a time, watches over each, and writes down how it ended.

    python -c '...main()' <package root> <base> <platform> <owner> <number> <workers>

It leaves the session and the process group of who started it, so that it outlives a Python worker of Spark that is
killed. It takes an owner's runs in the order in which they were asked for, each when one of the machine's `workers`
slots is free, and ends when there is none left. Only the standard library is loaded here: it starts in some 50 ms, and
is there for as long as the run.

A run's process is killed with it where the system can (Linux), so that a run that is said to be lost does not go on.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, cast

from trunkline.jobs.ending import Ending, ending, last_line
from trunkline.jobs.folder import Kept, RunFolder
from trunkline.jobs.locks import locked

# How often a free slot, a wish for the end and a signal are looked for, seconds.
_LOOK = 0.1
# For how long, and how often, it looks for one run more before it ends, seconds: a caller with a thousand short runs
# does not start a thousand of these.
_LINGER, _NEXT = 1.0, 0.02
# A job that is asked to end has this long to do so, as `docker stop` gives it.
_GRACE = 10.0
# How long another may hold the lock of a run that still waits: those who look hold it for microseconds.
_CLAIM = 5.0
# Of the output the end that is searched for the last line, bytes: a result with a long stack trace fits.
_TAIL = 1 << 20
# prctl(2): the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1

# Why a run was ended.
_CANCELLED, _SIGTERM = "cancelled", "SIGTERM to its supervisor"

_stopped: list[int] = []


def main() -> None:
    """Leave the caller behind, then work off its runs; see the top of this module for the arguments."""
    base, platform, owner, number, workers = sys.argv[2:7]
    signal.signal(signal.SIGTERM, lambda number, _: _stopped.append(number))
    keep(RunFolder(base, platform), owner, int(number), int(workers), _leave)


def keep(folder: RunFolder, owner: str, number: int, workers: int, ready: Callable[[], None]) -> None:
    """Start and watch the runs of an owner until none is left.

    Args:
        folder: Where they are kept.
        owner: Whose runs.
        number: Which of the owner's keepers this is; another of the same number ends at once.
        workers: The most runs that go on at the same time on this machine.
        ready: Called when it is sure that this is the keeper of that number.
    """
    leave: Callable[[], None] | None = ready
    path = folder.keepers / f"{owner}-{number}"
    while not _stopped:
        with locked(path) as mine:
            if not mine:
                return
            if leave is not None:
                leave()
                leave = None
            last = time.monotonic()
            while not _stopped and time.monotonic() - last < _LINGER:
                for run_id in folder.waiting(owner):
                    with _slot(folder.slots, workers), _claimed(folder, run_id) as kept:
                        if kept is not None and not _stopped:
                            _run(folder, kept)
                    last = time.monotonic()
                time.sleep(_NEXT)
            path.unlink(missing_ok=True)
        # A run may have been asked for while the lock was still held: then its owner has started no other keeper.
        if not folder.waiting(owner):
            return


def _leave() -> None:
    """Let the caller go on: it waits for the parent, and its child inherits the locks."""
    if os.fork():
        os._exit(0)
    os.setsid()


@contextmanager
def _slot(slots: Path, workers: int) -> Iterator[None]:
    while True:
        for number in range(workers):
            with locked(slots / str(number)) as mine:
                if mine:
                    yield
                    return
        if _stopped:
            yield
            return
        time.sleep(_LOOK)


@contextmanager
def _claimed(folder: RunFolder, run_id: str) -> Iterator[Kept | None]:
    """The run, if it is this process that may start it: it is pending still, and nobody else is at work on it."""
    give_up = time.monotonic() + _CLAIM
    while (kept := folder.kept(run_id)) is not None and kept.run.state == "PENDING" and time.monotonic() < give_up:
        with folder.locked(run_id) as mine:
            kept = folder.kept(run_id)
            if mine and kept is not None and kept.run.state == "PENDING":
                yield kept
                return
        time.sleep(0.01)
    yield None


def _run(folder: RunFolder, kept: Kept) -> None:
    run_id = kept.run.run_id
    kept = replace(kept, run=replace(kept.run, state="RUNNING", state_detail="RUNNING", started_at=_now()))
    folder.write(kept)
    request = folder.request(run_id)
    with folder.path(run_id, "log").open("ab", buffering=0) as log:
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is what is asked for
                request["command"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **request["environment"]},
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
                bufsize=0,
            )
        except OSError as error:
            end = Ending("FAILED", "not started", f"cannot be started: {error}", None)
        else:
            try:
                tail, why = _watched(process, log, folder.path(run_id, "cancel"))
                words = last_line(_end_of(folder.path(run_id, "log")))
                end = _told(ending(process.returncode, last_line(tail), last_words=words), process.returncode, why)
            except BaseException:
                # Nobody would watch over it any more, as when its output cannot be kept.
                _signal(process, signal.SIGKILL)
                raise
    folder.write(replace(kept, run=replace(kept.run, ended_at=_now(), **end._asdict())))


def _watched(process: subprocess.Popen[bytes], log: IO[bytes], cancel: Path) -> tuple[str, str]:
    """Copy the output of a process to its end, and end it when that is asked for.

    Returns:
        The end of its standard output, and why it was ended, if it was.
    """
    out = cast("IO[bytes]", process.stdout)
    os.set_blocking(out.fileno(), False)
    tail, why, asked_at = b"", "", 0.0
    with selectors.DefaultSelector() as selector, out:
        selector.register(out, selectors.EVENT_READ)
        while True:
            # Looked at before the output is read: what it printed before its end is not missed.
            over = process.poll() is not None
            if not selector.get_map():
                time.sleep(_LOOK / 10)
            elif selector.select(0 if over else _LOOK):
                while data := out.read(1 << 16):
                    log.write(data)
                    tail = (tail + data)[-_TAIL:]
                if data == b"":
                    # The process is about to end, or has closed its output to go on without.
                    selector.unregister(out)
            if over:
                break
            if not why and (_stopped or cancel.exists()):
                why = _SIGTERM if _stopped else _CANCELLED
                asked_at = time.monotonic()
                _signal(process, signal.SIGTERM)
            elif why and time.monotonic() - asked_at > _GRACE:
                _signal(process, signal.SIGKILL)
    if why:
        # What it started ends with it.
        _signal(process, signal.SIGKILL)
    return tail.decode("utf-8", "replace"), why


def _told(end: Ending, code: int, why: str) -> Ending:
    """The end of a process in the light of why it was ended; one that did its work all the same succeeded."""
    if not why or code == 0:
        return end
    if why == _CANCELLED:
        return Ending("CANCELLED", f"cancelled: {end.state_detail}", None, end.result)
    return end._replace(state="FAILED", state_detail=why, error=f"ended by {why}")


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4096))
        return file.read().decode("utf-8", "replace")


# Looked up here: between fork and exec nothing may be imported.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _now() -> datetime:
    return datetime.now(timezone.utc)
