"""The progress bar, on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from trunkline.coordination.coordinator import Coordinator
from trunkline.errors import MissingExtraError

SHOWING = """
from trunkline.coordination.channel import Place
from trunkline.coordination.coordinator import Coordinator
from trunkline.coordination.links import link_to
from trunkline.coordination.task import TaskProgress

with Coordinator(host="127.0.0.1", progress=True) as c:
    link = link_to(Place(c.options["coordinator.url"], c._token, c.options["coordinator.fingerprint"]))
    progress = TaskProgress(link, "write/0")
    progress.seen(0.05)
    progress.tell({"rows": 1300, "accepted": 1234, "rejected": 66, "requests": 1300}, done=True)
"""


def test_the_bar_shows_rows_requests_failures_and_tasks() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 200, 0, 0))
    showing = subprocess.Popen([sys.executable, "-c", SHOWING], stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            said += (part := os.read(ours, 65536))
        except OSError:  # how a terminal whose other side is closed ends
            break
        if not part:
            break
    os.close(ours)
    assert showing.wait() == 0
    last = said.decode().strip().split("\r")[-1]
    assert "1234 rows" in last
    assert "requests/s, 66 failed, p99 49 ms" in last
    assert last.endswith("ms, 0 tasks]")


def test_without_a_terminal_nothing_is_shown() -> None:
    done = subprocess.run([sys.executable, "-c", SHOWING], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize(
    ("missing", "said"), [("cryptography", "a coordinator needs"), ("tqdm.auto", "a progress bar")]
)
def test_what_is_not_installed_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch, missing: str, said: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"{said}.*pip install 'trunkline\[coordinator\]'"):
        Coordinator(host="127.0.0.1", progress=True).start()
