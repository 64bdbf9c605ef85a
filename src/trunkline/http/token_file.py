"""Tokens shared by the processes of a host: one small file per credential, under a lock while it is in use.

    with hold(path, patience=60.0) as file:
        kept = read(file)
        write(file, Kept(access=Secret("..."), issued_at=time.time(), lifetime=3600.0))

The files hold tokens in clear, so they are 0600 in a 0700 directory below the temporary directory (`TMPDIR`), and a
directory that somebody else owns or can enter is not used. Without such a directory, and on Windows, which has no
`fcntl`, `hold` gives None and every process keeps tokens of its own.

A refresh token that an endpoint rotated is kept here and nowhere else that outlives the process. When the file is lost
(the host is replaced, the temporary directory emptied), the token of the options is spent, and somebody has to log in
again; two hosts never share a file. Both are cured by a grant without rotation, or by one token for all hosts through
a coordinator.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trunkline.credentials import Secret
from trunkline.errors import AuthError, ResponseError, TrunklineError, UnavailableError

if sys.platform != "win32":
    import fcntl

# A token answer is at most 64 KiB, and two of its tokens are kept.
_MAX_BYTES = 256 * 1024
# How often a waiter looks whether the lock is free: first, and at most, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05
_ERRORS = {error.__name__: error for error in (AuthError, ResponseError, UnavailableError)}

log = logging.getLogger("trunkline.http")


@dataclass(frozen=True)
class Failure:
    """Why there is no token, and until when (epoch seconds) nobody need ask again to hear the same.

    Its message is fit to be shown, so it is fit to be kept.
    """

    kind: str
    message: str
    status: int | None
    until: float

    def error(self) -> TrunklineError:
        """The error, as the process that asked raised it."""
        return _ERRORS.get(self.kind, UnavailableError)(self.message, status=self.status)


@dataclass(frozen=True)
class Kept:
    """What is known of one credential.

    Times are wall-clock: a monotonic clock means nothing to a process started after a reboot.

    Attributes:
        access: The latest access token.
        refresh: The refresh token that rotation put in the place of the credential's own.
        issued_at: When the access token was asked for, epoch seconds.
        lifetime: Of the access token, seconds; None when unknown.
        failure: How the latest attempt failed, None when it did not.
    """

    access: Secret | None = None
    refresh: Secret | None = None
    issued_at: float = 0.0
    lifetime: float | None = None
    failure: Failure | None = None

    def left(self, now: float) -> float:
        """Seconds the token is still good for. A token from the future (the clock was set back) is good for none."""
        if self.access is None or now < self.issued_at:
            return 0.0
        return float("inf") if self.lifetime is None else self.issued_at + self.lifetime - now


def path_of(key: str) -> Path | None:
    """Where the tokens of a credential are shared, None where they cannot be.

    Args:
        key: `Credential.key`.
    """
    if sys.platform == "win32":
        return None
    try:
        folder = Path(tempfile.gettempdir()) / f"trunkline-{os.getuid()}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        problem = _problem(folder.lstat())
    except OSError as error:
        log.warning("tokens are not shared between processes: no directory for them (%s)", error.strerror)
        return None
    if problem is not None:
        log.warning("tokens are not shared between processes: %s %s", folder, problem)
        return None
    return folder / key


@contextlib.contextmanager
def hold(path: Path | None, patience: float) -> Iterator[int | None]:
    """The open file, ours alone until the end of the block; None where it cannot be shared.

    Raises:
        TimeoutError: Another process did not let go of it for `patience` seconds.
    """
    file = _open(path)
    if file is None:
        yield None
        return
    try:
        yield file if _lock(file, patience) else None
    finally:
        # Said outright: a child forked meanwhile has the file open too, and would keep the lock alive.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)


def read(file: int | None) -> Kept | None:
    """What the file holds; None for nothing, or nothing readable."""
    if file is None:
        return None
    try:
        return _kept(os.pread(file, _MAX_BYTES, 0))
    except OSError:
        return None


def write(file: int | None, kept: Kept) -> None:
    """Replace what the file holds. A write that fails leaves nothing readable behind."""
    if file is None:
        return
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, _json(kept), 0)
    except OSError as error:
        log.warning("a token could not be shared between processes (%s)", error.strerror)


def _problem(found: os.stat_result) -> str | None:
    if not stat.S_ISDIR(found.st_mode):
        return "is no directory"
    if found.st_uid != os.getuid():
        return "belongs to somebody else"
    if found.st_mode & 0o077:
        return "can be entered by others: its mode must be 0700"
    return None


def _open(path: Path | None) -> int | None:
    if path is None:
        return None
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.warning("a token could not be shared between processes (%s)", error.strerror)
        return None
    found = os.fstat(file)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
        return file
    os.close(file)
    log.warning("tokens are not shared between processes: a file in %s is not ours alone", path.parent)
    return None


def _lock(file: int, patience: float) -> bool:
    """Take the lock; False where the file system knows none."""
    end = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError from None
        except OSError:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _json(kept: Kept) -> bytes:
    failure = kept.failure
    return json.dumps(
        {
            "access_token": kept.access.reveal() if kept.access is not None else None,
            "refresh_token": kept.refresh.reveal() if kept.refresh is not None else None,
            "issued_at": kept.issued_at,
            "lifetime": kept.lifetime,
            "failure": [failure.kind, failure.message, failure.status, failure.until] if failure is not None else None,
        }
    ).encode()


def _kept(text: bytes) -> Kept | None:
    try:
        values = json.loads(text)
        access, refresh, failure = values["access_token"], values["refresh_token"], values["failure"]
        return Kept(
            Secret(access) if access is not None else None,
            Secret(refresh) if refresh is not None else None,
            float(values["issued_at"]),
            float(values["lifetime"]) if values["lifetime"] is not None else None,
            Failure(*failure) if failure is not None else None,
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
