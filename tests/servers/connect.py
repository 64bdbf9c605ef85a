"""A Spark Connect server whose Python has everything that is installed here, but for this package."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
from tests.servers.process import free_port

SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its interpreter."""
    folder = tmp_path_factory.mktemp("server-python")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    site = folder / "site"
    site.mkdir()
    for item in Path(sysconfig.get_path("purelib")).iterdir():
        if not item.name.startswith(("trunkline", "pyspark_trunkline", "__pycache__")):
            (site / item.name).symlink_to(item)
    [packages] = (folder / "env").glob("lib/python*/site-packages")
    (packages / "bare.pth").write_text(f"{site}\n")
    python = str(folder / "env" / "bin" / "python")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run([python, "-c", "import trunkline"], capture_output=True, check=False, env=environment)
    assert b"No module named 'trunkline'" in found.stderr
    return python


@pytest.fixture(scope="session")
def connect_server(bare_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    folder = tmp_path_factory.mktemp("connect")
    port = free_port()
    home = str(Path(pyspark.__file__).parent)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"SPARK_HOME": home, "PYSPARK_PYTHON": bare_python, "SPARK_LOCAL_IP": "127.0.0.1"}
    settings = {
        "spark.connect.grpc.binding.port": port,
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.ui.enabled": "false",
    }
    confs = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    command = [f"{home}/bin/spark-submit", "--class", SERVER_CLASS, "--master", "local[2]", *confs, "spark-internal"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        else:
            pytest.fail(f"the Connect server did not start: {(folder / 'server.log').read_text()[-2000:]}")
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def run_client(script: Path, *words: str) -> Any:
    """What a client told on the last line of its output, as JSON; it runs in a process without a session of its own."""
    done = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
