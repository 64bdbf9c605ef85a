"""The file that processes of a host share tokens through: who may see it, and what it survives."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.credentials import Secret
from trunkline.errors import AuthError, UnavailableError
from trunkline.http.token_file import Failure, Kept, hold, path_of, read, write

TOKEN = Secret("at-s3cret")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory of the test's own, and the directory for tokens in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"trunkline-{os.getuid()}"


def kept_at(path: Path | None) -> Kept | None:
    with hold(path, 1.0) as file:
        return read(file)


def keep_at(path: Path | None, kept: Kept) -> None:
    with hold(path, 1.0) as file:
        write(file, kept)


def test_only_the_owner_can_read_tokens(folder: Path) -> None:
    """0600 files in a 0700 directory, whatever the umask says."""
    old = os.umask(0)
    try:
        path = path_of("key")
        keep_at(path, Kept(TOKEN, issued_at=1.0))
    finally:
        os.umask(old)
    assert path == folder / "key"
    assert [oct(each.stat().st_mode & 0o777) for each in (folder, path)] == ["0o700", "0o600"]


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o777])
def test_a_directory_that_others_can_enter_is_not_used(
    folder: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir()
    folder.chmod(mode)
    assert path_of("key") is None
    assert caplog.messages == [
        f"tokens are not shared between processes: {folder} can be entered by others: its mode must be 0700"
    ]


def test_a_directory_of_somebody_else_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """To this process, told that its user is another one, the directory belongs to somebody else."""
    stranger = os.getuid() + 1
    foreign = folder.with_name(f"trunkline-{stranger}")
    foreign.mkdir(0o700)
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    assert path_of("key") is None
    assert caplog.messages == [f"tokens are not shared between processes: {foreign} belongs to somebody else"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_directory_is_not_used(folder: Path, tmp_path: Path, kind: str) -> None:
    """A link is none, even where it leads to a directory of ours."""
    if kind == "file":
        folder.touch(0o600)
    else:
        (tmp_path / "real").mkdir(0o700)
        folder.symlink_to(tmp_path / "real")
    assert path_of("key") is None


def test_a_link_or_an_open_file_in_its_place_is_not_used(tmp_path: Path) -> None:
    path = path_of("key")
    assert path is not None
    target = tmp_path / "target"
    target.touch(0o600)
    path.symlink_to(target)
    keep_at(path, Kept(TOKEN))
    path.unlink()
    path.touch()
    path.chmod(0o644)
    keep_at(path, Kept(TOKEN))
    assert (target.read_bytes(), path.read_bytes()) == (b"", b"")


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)
TIMES = st.floats(allow_nan=False, allow_infinity=False)
FAILURES = st.builds(Failure, TEXTS, TEXTS, st.none() | st.integers(400, 599), TIMES)


@given(
    st.builds(
        Kept, st.none() | TEXTS.map(Secret), st.none() | TEXTS.map(Secret), TIMES, st.none() | TIMES,
        st.none() | FAILURES,
    )
)  # fmt: skip
def test_what_is_written_is_read(kept: Kept) -> None:
    path = path_of("key")
    keep_at(path, kept)
    assert kept_at(path) == kept


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"access_token": "at"}', b"\xff", b"null", b"[" * 70_000]
)
def test_a_damaged_file_holds_nothing_and_is_replaced(content: bytes) -> None:
    path = path_of("key")
    assert path is not None
    path.touch(0o600)
    path.write_bytes(content)
    assert kept_at(path) is None
    keep_at(path, Kept(TOKEN, issued_at=1.0))
    assert kept_at(path) == Kept(TOKEN, issued_at=1.0)


def test_a_shorter_content_leaves_nothing_of_a_longer_one() -> None:
    path = path_of("key")
    keep_at(path, Kept(Secret("a" * 5000)))
    keep_at(path, Kept(TOKEN))
    assert kept_at(path) == Kept(TOKEN)


def test_a_waiter_is_let_in_when_the_holder_leaves() -> None:
    path = path_of("key")
    order = []

    def wait() -> None:
        with hold(path, 60.0):
            order.append("waiter")

    with hold(path, 1.0):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.05)
        order.append("holder")
    thread.join(60.0)
    assert order == ["holder", "waiter"]


def test_patience_ends() -> None:
    path = path_of("key")
    with hold(path, 1.0), pytest.raises(TimeoutError), hold(path, 0.05):
        pass


def test_a_child_with_the_same_open_file_does_not_keep_the_lock() -> None:
    """As one that was forked meanwhile has it: the lock goes all the same when its owner lets go."""
    path = path_of("key")
    with hold(path, 1.0) as file:
        assert file is not None
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(file,))
    with child, hold(path, 0.5) as again:
        assert (again is not None, child.poll()) == (True, None)


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        (Kept(), 0.0),
        (Kept(TOKEN, issued_at=90.0, lifetime=60.0), 50.0),
        (Kept(TOKEN, issued_at=30.0, lifetime=60.0), -10.0),
        (Kept(TOKEN, issued_at=30.0), float("inf")),
        (Kept(TOKEN, issued_at=100.5, lifetime=60.0), 0.0),
        (Kept(TOKEN, issued_at=100.5), 0.0),
    ],
    ids=["none", "good", "ended", "unknown lifetime", "from the future", "from the future, unknown lifetime"],
)
def test_what_is_left_of_a_token(kept: Kept, left: float) -> None:
    """As of second 100."""
    assert kept.left(100.0) == left


def test_a_failure_is_the_same_error_again() -> None:
    error = Failure("AuthError", "refused", 401, 0.0).error()
    assert (type(error), str(error), error.__dict__) == (AuthError, "refused", {"status": 401})
    assert type(Failure("Nonsense", "?", None, 0.0).error()) is UnavailableError


def test_nothing_prints_a_secret() -> None:
    assert "s3cret" not in repr(Kept(TOKEN, TOKEN))
