"""The flag by which one failed task stops its siblings before they send more.

A file in the temporary folder of the host, and for tasks on other hosts the coordinator, and a file beside the response
log. Its name is a nonce made with the writer, so no later write, replay or restart ever meets an old one.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.fs as pafs

from trunkline.coordination.link import Link
from trunkline.responses import Location

# A look at the local disk costs microseconds, one at an object store milliseconds.
_LOCAL_EVERY, _REMOTE_EVERY = 0.05, 1.0


class StopFlag:
    """Set by one task, seen by all tasks of the same write.

    Args:
        nonce: Names the write.
        log: The response log's folder, None without one.
        link: To the coordinator, which tells tasks on other hosts; None without one.
        clock: A steady clock in seconds.
    """

    def __init__(
        self,
        nonce: str,
        log: Location | None,
        link: Link | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nonce = nonce
        self._link = link
        self._local = Path(tempfile.gettempdir()) / f"trunkline-stop-{nonce}"
        self._remote = None if log is None else log.within(f"_stop-{nonce}")
        self._clock = clock
        self._local_due = self._remote_due = 0.0

    def set(self) -> None:
        """Stop the siblings. That a flag cannot be set is no failure of its own: siblings fail by themselves then."""
        if self._link is not None:
            self._link.stop(self._nonce)
        with contextlib.suppress(OSError):
            self._local.touch(mode=0o600)
        if self._remote is not None:
            with contextlib.suppress(OSError), self._remote.files.open_output_stream(self._remote.path) as stream:
                stream.write(b"")

    def is_set(self) -> bool:
        """Whether some task has stopped the write; looks at the disk now and then only."""
        if self._link is not None and self._link.stopped(self._nonce):
            return True
        now = self._clock()
        if now >= self._local_due:
            self._local_due = now + _LOCAL_EVERY
            if self._local.exists():
                return True
        if self._remote is not None and now >= self._remote_due:
            self._remote_due = now + _REMOTE_EVERY
            with contextlib.suppress(OSError):
                return bool(self._remote.files.get_file_info(self._remote.path).type == pafs.FileType.File)
        return False

    def clear(self) -> None:
        """Remove it once no task runs any more."""
        if self._link is not None:
            self._link.forget(self._nonce)
        with contextlib.suppress(OSError):
            os.unlink(self._local)  # noqa: PTH108 - Path.unlink would raise the same
        if self._remote is not None:
            with contextlib.suppress(OSError):
                self._remote.files.delete_file(self._remote.path)
