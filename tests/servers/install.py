"""Installs the real servers that tests run against, once per machine, on first use.

Everything goes to `.servers/` in the root of the checkout, or to the folder that `TRUNKLINE_SERVERS` names: Python
packages in a virtual environment per server, npm packages in a folder per server, Debian packages unpacked in a folder
per server. Debian packages are unpacked and not installed, so no daemon starts by itself, nothing of the system
changes, and root is not needed. A lock per server keeps two test runs from installing the same one at once.

    folder = install_debian("nginx", ["nginx-light"])
    nginx = unpacked(folder, "usr/sbin/nginx")
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Longer than any of these installations takes on two shared cores (Kinto, the slowest: 35 s), and short of the 300 s
# that one test may take.
INSTALL_SECONDS = 240

# Without it a PYTHONPATH of the tests would lend their packages to the server.
ISOLATED = ("-I",)

# A machine without a network must say so soon, and not after every client's own long series of retries.
PIP = ("--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1", "--timeout", "15")
NPM = ("--loglevel=error", "--logs-max=0", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000")
APT = ("-qq", "-y", "--no-install-recommends", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=15")


class UnavailableError(Exception):
    """A server cannot be installed here. The message is one sentence that says which, and why."""


def store() -> Path:
    """The folder that holds the installed servers and what they write while they run."""
    folder = Path(os.environ.get("TRUNKLINE_SERVERS") or Path(__file__).parents[2] / ".servers").absolute()
    if not (folder / ".gitignore").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")  # wherever it is, it belongs to no repository
    return folder


def install_python(name: str, requirements: Sequence[str]) -> Path:
    """Make a virtual environment of its own, for this version of Python, and install pinned requirements into it."""

    def steps(folder: Path) -> None:
        _run(name, [sys.executable, "-m", "venv", str(folder)])
        _run(name, [str(folder / "bin" / "python"), *ISOLATED, "-m", "pip", "install", *PIP, *requirements])

    return _once(f"{name}-py{sys.version_info.major}{sys.version_info.minor}", requirements, steps)


def install_node(name: str, packages: Sequence[str]) -> Path:
    """Install pinned npm packages into the `node_modules` of a folder of their own."""

    def steps(folder: Path) -> None:
        _run(name, ["npm", "install", *NPM, "--prefix", str(folder), *packages])

    _need(name, "node", "npm")
    return _once(name, packages, steps)


def install_debian(name: str, packages: Sequence[str]) -> Path:
    """Unpack Debian packages, and those they depend on that the system lacks, into a folder (see `unpacked`).

    Debian's mirrors keep one version per release, so the release is the pin: a server here is as old or new as the
    distribution the tests run on.
    """

    def steps(folder: Path) -> None:
        archives = folder / "archives"
        (archives / "partial").mkdir(parents=True)
        # Debug::NoLocking: the archives are ours alone and dpkg's state is only read, so the system's locks are not
        # wanted, which only root could take. APT::Sandbox::User: apt's own user cannot write to a private checkout.
        private = [f"Dir::Cache::archives={archives}", "Debug::NoLocking=true", f"APT::Sandbox::User={_user()}"]
        download = ["apt-get", "install", "--download-only", *APT, *_options(private), *packages]
        try:
            _run(name, download)
        except UnavailableError:  # no package lists yet, or lists older than the mirror: fetch some, kept apart
            (folder / "lists" / "partial").mkdir(parents=True)
            fresh = _options([f"Dir::State::lists={folder / 'lists'}", f"Dir::Cache={folder / 'cache'}", *private])
            (folder / "cache").mkdir()
            _run(name, ["apt-get", "update", *APT, *fresh])
            _run(name, [*download, *fresh])
        for archive in sorted(archives.glob("*.deb")):
            _run(name, ["dpkg", "--extract", str(archive), str(folder)])
        for leftover in ("archives", "lists", "cache"):
            shutil.rmtree(folder / leftover, ignore_errors=True)

    _need(name, "apt-get", "dpkg")
    release = platform.freedesktop_os_release().get("VERSION_ID", "unstable")
    return _once(f"{name}-debian{release}", packages, steps)


def unpacked(folder: Path, path: str) -> Path:
    """Where a file of a Debian package is: in `folder`, or in the system when the package was installed already."""
    return folder / path if (folder / path).exists() else Path("/") / path


def libraries(folder: Path) -> dict[str, str]:
    """The environment in which programs of `folder` find the shared libraries unpacked beside them."""
    return {"LD_LIBRARY_PATH": os.pathsep.join(str(found) for found in sorted(folder.glob("usr/lib/*-linux-*")))}


def _once(name: str, recipe: Sequence[str], steps: Callable[[Path], None]) -> Path:
    """Run `steps` on an empty folder unless they ran to their end there before, with the same recipe."""
    folder, wanted = store() / name, "\n".join(recipe)
    complete = folder / "complete"
    with _locked(name):
        if not complete.exists() or complete.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            steps(folder)
            complete.write_text(wanted, encoding="utf-8")
    return folder


@contextmanager
def _locked(name: str) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:
        raise UnavailableError(f"{name}: real servers are only started on POSIX systems") from None
    with (store() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go with the file, also when the process is killed
        yield


def _need(name: str, *programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise UnavailableError(f"{name}: `{program}` is needed to install it and is not on this machine")


def _run(name: str, command: Sequence[str]) -> None:
    try:
        subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{name}: `{Path(command[0]).name}` did not end within {INSTALL_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        said = " ".join((error.stderr or error.stdout).split())[-300:] or f"exit status {error.returncode}"
        raise UnavailableError(f"{name}: `{Path(command[0]).name}` could not install it: {said}") from None
    except OSError as error:
        raise UnavailableError(f"{name}: `{Path(command[0]).name}` could not be run: {error.strerror}") from None


def _options(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("-o", setting)]


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
