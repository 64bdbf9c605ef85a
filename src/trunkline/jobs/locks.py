"""Locks that end with their process, however it ends, and cannot be mistaken for another's as a process id can.

    with locked(path) as mine:
        ...                         # mine: nobody else holds it
    held(path)                      # whether somebody does

They are flocks on files, of a file system that has them: a local disk, not an object store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Try to hold a lock, without waiting; whether it is held now. It ends with the block or with the process."""
    import fcntl

    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield _same_file(file.fileno(), path)


def held(path: Path) -> bool:
    """Whether another process, or another place in this one, holds a lock."""
    import fcntl

    try:
        with path.open("rb") as file:
            # Shared: those who only look do not take each other for a holder.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _same_file(descriptor: int, path: Path) -> bool:
    """Whether the file that was opened is still there by that name: who held it before may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
