"""Runs that no platform remembers, kept in a folder on a local disk.

    folder = RunFolder("~/.trunkline/runs", "local")
    folder.add(request, owner="4711-1")      # True for the one caller that made it, of however many at once
    folder.kept(run_id)                      # what is known of it, from one small file

    <base>/slots/0                           a lock for each run that may go on at the same time on this machine
    <base>/local/runs/<run id>/request.json  what was asked for
                               arguments.json   with which arguments, as the job's entry point reads them (--config)
                               run.json      what became of it: replaced, never written into
                               log           standard output and error
                               lock          held by whoever is at work on it, so by the process that watches over it
                               cancel        there once its end is asked for
    <base>/local/open/<asked>_<owner>_<run id>                      an empty file for each run that has not ended
    <base>/local/ended/<started>_<state>_<digest of job>_<run id>   and for each that has: listing narrows by names
    <base>/local/keepers/<owner>-<number>                           locks of the processes that start an owner's runs

The run id is a digest of the run's key, and a run's folder appears whole, by one rename: that is what makes two starts
with the same key one run. Whether somebody is at work on a run is told by a lock (`locks`), which needs a local disk.
Arguments may hold secrets: the folder and the file with them are for its owner alone.
"""

from __future__ import annotations

import heapq
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from trunkline.errors import RejectedError
from trunkline.jobs.locks import held, locked
from trunkline.jobs.run import Run, RunFilter, RunRequest, digest_of

# Enough of a digest that no two keys share one, short enough for a name.
_ID_LENGTH = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Kept:
    """What the folder knows of a run.

    Attributes:
        run: As it was written last.
        asked_at: When the run was asked for, UTC.
        owner: Who starts it: a name that the caller gave.
        outer_id: What another system calls it, None where there is none.
    """

    run: Run
    asked_at: datetime
    owner: str
    outer_id: str | None = None

    @property
    def at(self) -> datetime:
        """Its place in a list: the time that it counts by, or when it was asked for."""
        return self.run.at or self.asked_at


def run_id_of(run_key: str) -> str:
    """The id of the run with this key."""
    return digest_of(run_key)[:_ID_LENGTH]


class RunFolder:
    """The runs of one platform.

    Args:
        base: The folder of all platforms; `~` is the home of who runs this.
        platform: The name of the platform.
    """

    def __init__(self, base: str, platform: str) -> None:
        self.base = Path(base).expanduser().absolute()
        self.platform = platform
        self.root = self.base / platform
        self.slots, self.keepers = self.base / "slots", self.root / "keepers"
        self._open, self._ended = self.root / "open", self.root / "ended"

    def path(self, run_id: str, name: str) -> Path:
        """A file of a run."""
        return self.root / "runs" / run_id / name

    def add(self, request: RunRequest, owner: str, more: Mapping[str, Any]) -> bool:
        """Write a new run down, as pending.

        Args:
            request: What is asked for.
            owner: Who will start it.
            more: Kept beside the request, for who starts it.

        Returns:
            Whether the run is new: False leaves the one that bears the key as it is.
        """
        from trunkline.jobs.arguments import config_of  # not at the top: the supervisor, a process for each, needs none

        run_id = run_id_of(request.run_key)
        now = datetime.now(timezone.utc)
        run = Run(self.platform, request.job, run_id, request.run_key, url=self.path(run_id, "log").as_uri())
        final = self.path(run_id, "")
        if final.exists():
            return False
        for folder in (self.base, self.root, self._open, self._ended, final.parent, self.slots, self.keepers):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = self.root / f"new-{uuid.uuid4().hex}"
        made.mkdir(mode=0o700)
        asked = {"job": request.job, "run_key": request.run_key}
        _write(made / "request.json", {**asked, "target": request.target, "labels": dict(request.labels), **more})
        _write(made / "arguments.json", config_of(request), mode=0o600)
        _write(made / "run.json", _document(Kept(run, now, owner)))
        # First, so that no run is ever without: a name without its run is passed over.
        entry = self._open_entry(now, owner, run_id)
        entry.touch(mode=0o600)
        try:
            made.rename(final)
        except OSError:
            # A folder that holds something cannot be replaced: another caller was first.
            entry.unlink(missing_ok=True)
            shutil.rmtree(made, ignore_errors=True)
            if not final.exists():
                raise
            return False
        return True

    def request(self, run_id: str) -> dict[str, Any]:
        """What was asked for but the arguments, and what `add` was given beside it."""
        document: dict[str, Any] = json.loads(self.path(run_id, "request.json").read_bytes())
        return document

    def kept(self, run_id: str) -> Kept | None:
        """What is known of a run, None if there is none."""
        try:
            data = self.path(run_id, "run.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _kept(json.loads(data))

    def get(self, run_id: str) -> Kept:
        """What is known of a run that must be there.

        Raises:
            RejectedError: It is not.
        """
        kept = self.kept(run_id)
        if kept is None:
            raise RejectedError(f"there is no run {run_id} in {self.root} any more", gone=True)
        return kept

    def write(self, kept: Kept) -> None:
        """Replace what is known of a run. For who holds its lock."""
        before = self.kept(kept.run.run_id)
        run = kept.run
        _write(self.path(run.run_id, "run.json"), _document(kept))
        if before is not None and before.owner != kept.owner:
            self._open_entry(kept.asked_at, kept.owner, run.run_id).touch(mode=0o600)
            self._open_entry(before.asked_at, before.owner, run.run_id).unlink(missing_ok=True)
        if run.ended:
            # In this order a listing meets it under one name or the other, or under both.
            name = f"{_micros(kept.at):020d}_{run.state}_{_digest(run.job)}_{run.run_id}"
            (self._ended / name).touch(mode=0o600)
            self._open_entry(kept.asked_at, kept.owner, run.run_id).unlink(missing_ok=True)

    def remove(self, kept: Kept) -> None:
        """Forget a run that never was one. For who holds its lock."""
        shutil.rmtree(self.path(kept.run.run_id, ""), ignore_errors=True)
        self._open_entry(kept.asked_at, kept.owner, kept.run.run_id).unlink(missing_ok=True)

    @contextmanager
    def locked(self, run_id: str) -> Iterator[bool]:
        """Try to be the one at work on a run; whether it came true."""
        with locked(self.path(run_id, "lock")) as mine:
            yield mine

    def watched(self, run_id: str) -> bool:
        """Whether somebody is at work on a run."""
        return held(self.path(run_id, "lock"))

    def waiting(self, owner: str) -> list[str]:
        """The ids of an owner's runs that have not been started, the oldest first."""
        entries = sorted(name for name in _names(self._open) if name.split("_")[1] == owner)
        found = (self.kept(name.rpartition("_")[2]) for name in entries)
        return [kept.run.run_id for kept in found if kept is not None and kept.run.state == "PENDING"]

    def listed(self, wanted: RunFilter, settled: Callable[[list[Kept]], Iterable[Kept]]) -> Iterator[Kept]:
        """The runs that are asked for, newest first.

        Of the runs that have ended only those are opened whose name fits, and only as they are taken.

        Args:
            wanted: Which.
            settled: Brings runs that were not over when they were last written down up to date.
        """
        names = [name.rpartition("_")[2] for name in _names(self._open)]
        opened = [kept for run_id in dict.fromkeys(names) if (kept := self.kept(run_id)) is not None]
        current = sorted(settled(opened), key=lambda kept: kept.at, reverse=True)
        seen = {kept.run.run_id for kept in current}
        closed = self._closed(wanted, seen)
        for kept in heapq.merge(current, closed, key=lambda kept: kept.at, reverse=True):
            if wanted.takes(kept.run):
                yield kept

    def _closed(self, wanted: RunFilter, seen: set[str]) -> Iterator[Kept]:
        since = f"{_micros(wanted.since):020d}" if wanted.since else ""
        until = f"{_micros(wanted.until):020d}" if wanted.until else "~"
        digests = {_digest(job) for job in wanted.jobs}
        for name in sorted((name for name in _names(self._ended) if since <= name < until), reverse=True):
            # A state may hold the character that stands between the parts; the digests do not.
            _, _, rest = name.partition("_")
            state, digest, run_id = rest.rsplit("_", 2)
            if run_id in seen or (wanted.states and state not in wanted.states) or (digests and digest not in digests):
                continue
            kept = self.kept(run_id)
            if kept is not None:
                yield kept

    def _open_entry(self, asked_at: datetime, owner: str, run_id: str) -> Path:
        return self._open / f"{_micros(asked_at):020d}_{owner}_{run_id}"


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is wanted of ten thousand
    except FileNotFoundError:
        return []


def _micros(at: datetime) -> int:
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _digest(job: str | None) -> str:
    return digest_of(job or "")[:8]


def _document(kept: Kept) -> dict[str, Any]:
    return {**asdict(kept), "run": {name: value for name, value in asdict(kept.run).items() if value is not None}}


def _kept(document: dict[str, Any]) -> Kept:
    fields = document.pop("run")
    for name in ("started_at", "ended_at"):
        if name in fields:
            fields[name] = datetime.fromisoformat(fields[name])
    return Kept(Run(**fields), datetime.fromisoformat(document["asked_at"]), document["owner"], document["outer_id"])


def _write(path: Path, document: Mapping[str, Any], mode: int = 0o666) -> None:
    """Replace a file at once: a reader meets the old or the new, whole. The umask takes from the mode."""
    hidden = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    with open(hidden, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        json.dump(document, file, default=_json, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())  # a file that is empty after a power cut would hide what was started
    hidden.replace(path)


def _json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON")
