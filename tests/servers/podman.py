"""podman 4.3 behind its Docker-compatible API, with one image: this Python, Trunkline's sources and a job.

Shows: real containers, from create to logs and exit code, driven by Docker's own client; a name that is taken (409).

Cannot show: pulling (there is no registry), Docker's own engine where it differs, and a network of a container's own,
which would need the machine's firewall changed: create containers with `network_mode="none"`. Needs root.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.servers.install import UnavailableError, install_debian, libraries, unpacked
from tests.servers.process import Server, start

PACKAGES = ("podman", "runc", "conmon", "golang-github-containers-common")
IMAGE = "localhost/trunkline-job:test"
# The module `contained_job` of the image.
JOB = b"""
import sys, time

def main(seconds=0, fail=False, code=None, **kwargs):
    print("working", flush=True)
    time.sleep(seconds)
    if code is not None:
        sys.exit(code)
    if fail:
        raise ValueError("asked to")
    return {"metrics": {"rows": 3}}
"""
# Of the standard library all that no job needs: two thirds of it.
_LEFT_OUT = re.compile(r".*/(test|tests|site-packages|__pycache__|idlelib|ensurepip|tkinter|config-[^/]*)(/|$).*")
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


@dataclass(frozen=True)
class Podman:
    """The engine: `host` as `DOCKER_HOST` takes it."""

    host: str
    server: Server
    state: Path
    engine: list[str]
    environment: dict[str, str]

    def stop(self) -> None:
        """End the engine, and drop its images and containers."""
        everything = [*self.engine, "rm", "--all", "--force", "--time", "0"]
        subprocess.run(everything, capture_output=True, env=self.environment, timeout=120, check=False)
        self.server.stop()
        for folder in (self.state, self.server.folder / "storage"):
            shutil.rmtree(folder, ignore_errors=True)


def start_podman() -> Podman:
    """Install podman unless it is there, make the image, and start the engine.

    Raises:
        UnavailableError: It cannot be installed, or no container can be run here.
    """
    if os.geteuid():
        raise UnavailableError("podman: containers with a file system of their own need root here")
    folder = install_debian("podman", PACKAGES)
    environment = libraries(folder)
    # podman refuses a path of more than 50 characters for it.
    state = Path(tempfile.mkdtemp(prefix="podman-"))
    engine: list[str] = []
    program = str(unpacked(folder, "usr/bin/podman"))

    def command(port: int, place: Path) -> list[str]:
        configuration = place / "containers.conf"
        configuration.write_text(_configuration(folder), encoding="utf-8")
        policy = place / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}', encoding="utf-8")
        storage = ["--root", str(place / "storage"), "--runroot", str(state), "--storage-driver", "vfs"]
        engine[:] = ["env", f"CONTAINERS_CONF={configuration}", program, *storage, "--cgroup-manager", "cgroupfs"]
        changes = ["--change", "ENV PYTHONPATH=/app", "--change", "ENV PATH=/usr/bin", "--change", "WORKDIR /app"]
        made = {**os.environ, **environment}
        _run([*engine, "import", *changes, "--signature-policy", str(policy), "-", IMAGE], made, _root())
        _run([*engine, "run", "--rm", "--network", "none", IMAGE, "python3", "-c", "pass"], made)
        return [*engine, "system", "service", "--time=0", f"tcp://127.0.0.1:{port}"]

    server = start("podman", command, environment=environment)
    return Podman(server.url.replace("http", "tcp"), server, state, engine, {**os.environ, **environment})


def _run(command: list[str], environment: dict[str, str], given: bytes = b"") -> None:
    done = subprocess.run(command, input=given, capture_output=True, env=environment, timeout=240, check=False)
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        raise UnavailableError(f"podman: no container can be run here: {said}")


def _configuration(folder: Path) -> str:
    return f"""
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
conmon_path = ["{unpacked(folder, "usr/bin/conmon")}"]
[engine.runtimes]
runc = ["{unpacked(folder, "usr/sbin/runc")}", "{unpacked(folder, "usr/bin/runc")}"]
"""


def _root() -> bytes:
    """A root file system as a tar archive."""
    python = Path(os.path.realpath(sys.executable))
    library = Path(sysconfig.get_path("stdlib"))
    needed = {str(python), *_linked(python)}
    for extension in library.glob("lib-dynload/*.so"):
        needed.update(_linked(extension))
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path in sorted(needed):
            archive.add(os.path.realpath(path), path)
        archive.add(library, str(library), filter=lambda member: None if _LEFT_OUT.match(member.name) else member)
        link = tarfile.TarInfo("usr/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, str(python)
        archive.addfile(link)
        for name in ("tmp", "proc", "sys", "dev", "etc", "run"):
            made = tarfile.TarInfo(name)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(made)
        sources = Path(__file__).parents[2] / "src" / "trunkline"
        archive.add(sources, "app/trunkline", filter=lambda member: None if _LEFT_OUT.match(member.name) else member)
        module = tarfile.TarInfo("app/contained_job.py")
        module.size = len(JOB)
        archive.addfile(module, io.BytesIO(JOB))
    return data.getvalue()


def _linked(path: Path) -> list[str]:
    done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
    return _LIBRARY.findall(done.stdout)
