"""Worker processes and a coordinator of its own process, some of which are killed: by the server's ledger."""

from __future__ import annotations

import json
import pickle
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from pyspark.sql.types import LongType, StructType
from tests.measures import most_in_a_second, waited_for

from trunkline.rest.report import Report, conclude
from trunkline.rest.writer import RestBatchWriter
from trunkline.testing import FaultServer

SCHEMA = StructType().add("id", LongType())
TASK = Path(__file__).with_name("writing_task.py")
SECRET = "s3cret-of-the-client"
# Of a task, where the rate is judged by when requests came: they all come at once when the server has stalled.
IN_FLIGHT = 2


@contextmanager
def serving(file: Path, *arguments: str, port: int = 0) -> Iterator[subprocess.Popen[str]]:
    """`trunkline coordinator`, ready."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    command = [sys.executable, "-m", "trunkline.cli", "coordinator", "--options-file", str(file), "--port", str(port)]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 120
        while not (file.exists() and file.stat().st_mtime_ns != before):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.communicate()


def oauth(server: FaultServer, folder: Path) -> list[str]:
    secret = folder / "secret"
    secret.write_text(SECRET)
    named = {
        "type": "oauth2", "tokenUrl": server.url_for("/token"), "clientId": "loader", "clientSecret": f"file:{secret}",
    }  # fmt: skip
    return [part for name, value in named.items() for part in ("--auth", f"{name}={value}")]


def tasks_of(writer: RestBatchWriter, count: int, rows: int) -> list[subprocess.Popen[bytes]]:
    """Processes that write each its rows."""
    pickled = pickle.dumps(writer)
    assert SECRET.encode() not in pickled
    found = []
    for number in range(count):
        arguments = [str(number), str(number * rows), str((number + 1) * rows)]
        command = [sys.executable, str(TASK), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(pickled)
        process.stdin.close()
        process.stdin = None
        found.append(process)
    return found


def reports_of(processes: list[subprocess.Popen[bytes]]) -> list[Report]:
    return [pickle.loads(bytes.fromhex(process.communicate(timeout=240)[0].decode())) for process in processes]


@pytest.mark.slow
def test_nothing_is_lost_when_the_coordinator_is_killed_and_the_api_is_down_meanwhile(
    fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"status": 201}], store=True)
    with serving(tmp_path / "c.json", "--rate-limit", "80/s") as coordinator:
        options = {**json.loads((tmp_path / "c.json").read_text()), "concurrency": str(IN_FLIGHT)}
        writer = RestBatchWriter({"url": fault_server.url_for("/rows"), **options}, SCHEMA)
        processes = tasks_of(writer, 4, 60)
        # One that never heard of the coordinator would wait for it until the deadline.
        assert waited_for(lambda: len({row["id"] // 60 for row in fault_server.stored("/rows")}) == 4)
        coordinator.send_signal(signal.SIGKILL)
        fault_server.route("POST /rows", [{"status": 503, "times": 12}, {"status": 201}], store=True)
        reports = reports_of(processes)
    assert conclude(reports, None) is None
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == list(range(240))
    # The rate, what was leased when it died, and what comes at once when the server has stalled.
    times = [one.at for one in fault_server.ledger("POST /rows")]
    assert most_in_a_second(times) <= 80 + 16 + 5 + 4 * IN_FLIGHT


@pytest.mark.slow
def test_nothing_is_lost_when_the_api_is_down_for_twenty_seconds(fault_server: FaultServer, tmp_path: Path) -> None:
    down = {"when": {"count": [60, 60]}, "fault": "refuse", "seconds": 20.0, "times": 1}
    fault_server.route("POST /rows", [down, {"status": 201}], store=True)
    with serving(tmp_path / "c.json", "--rate-limit", "50/s"):
        options = {**json.loads((tmp_path / "c.json").read_text()), "concurrency": str(IN_FLIGHT)}
        writer = RestBatchWriter({"url": fault_server.url_for("/rows"), **options}, SCHEMA)
        reports = reports_of(tasks_of(writer, 4, 60))
    assert conclude(reports, None) is None
    stored = [row["id"] for row in fault_server.stored("/rows")]
    assert set(stored) == set(range(240))
    times = sorted(one.at for one in fault_server.ledger("POST /rows"))
    assert max(later - earlier for earlier, later in pairwise(times)) >= 20.0
    # The connections that were reset may have carried rows that were taken in: what was in flight is sent again.
    assert len(stored) - 240 <= 4 * IN_FLIGHT
    assert most_in_a_second(times) <= 50 + 10 + 5 + 4 * IN_FLIGHT


@pytest.mark.slow
def test_workers_go_on_with_a_coordinator_that_is_started_again(fault_server: FaultServer, tmp_path: Path) -> None:
    # The server takes a token for longer than it says: on a busy machine one may end on its way there.
    fault_server.oauth("/token", clients={"loader": SECRET}, expires_in=3, lifetime=3 + 5)
    fault_server.route("POST /rows", [{"bearer": "/token"}, {"status": 201}], store=True)
    file, arguments = tmp_path / "c.json", ["--rate-limit", "60/s", *oauth(fault_server, tmp_path)]
    with serving(file, *arguments) as first:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        options = json.loads(file.read_text())
        processes = tasks_of(RestBatchWriter({"url": fault_server.url_for("/rows"), **options}, SCHEMA), 2, 200)
        fault_server.wait_for("POST /rows", 30, timeout=60)
        first.kill()
        first.wait()
        before = fault_server.issued()
        port = int(options["coordinator.url"].rpartition(":")[2])
        with serving(file, *arguments, port=port):
            assert json.loads(file.read_text()) == options
            reports = reports_of(processes)
    assert conclude(reports, None) is None
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == list(range(400))
    sent = fault_server.ledger("POST /rows")
    assert {one.status for one in sent} == {201}
    # None of its tokens lives for all of the rows.
    assert {one.headers["authorization"].removeprefix("Bearer ") for one in sent} - set(before)


@pytest.mark.parametrize(
    ("tasks", "rows", "rate", "lifetime"),
    [
        (2, 60, "30/s", 30),
        pytest.param(16, 240, "64/s", 5, marks=[pytest.mark.slow, pytest.mark.timeout(900)], id="60 s, tokens of 5 s"),
    ],
)
def test_many_processes_need_one_token_in_a_lifetime(
    fault_server: FaultServer, tmp_path: Path, tasks: int, rows: int, rate: str, lifetime: int
) -> None:
    """One in all where it outlives the tasks; else they go over to the next in time."""
    # The server takes a token for longer than it says: on a busy machine one may end on its way there.
    fault_server.oauth("/token", clients={"loader": SECRET}, expires_in=lifetime, lifetime=lifetime + 5)
    fault_server.route("POST /rows", [{"bearer": "/token"}, {"status": 201}], store=True)
    began = time.monotonic()
    with serving(tmp_path / "c.json", "--rate-limit", rate, *oauth(fault_server, tmp_path)):
        options = json.loads((tmp_path / "c.json").read_text())
        writer = RestBatchWriter({"url": fault_server.url_for("/rows"), **options}, SCHEMA)
        reports = reports_of(tasks_of(writer, tasks, rows))
    seconds = time.monotonic() - began
    assert conclude(reports, None) is None
    assert len(fault_server.stored("/rows")) == tasks * rows
    assert {one.status for one in fault_server.ledger("POST /rows")} == {201}
    # Renewed a fifth of its life before its end.
    assert min(2, tasks * rows // 500) + 1 <= fault_server.count("POST /token") <= 1 + seconds / (0.8 * lifetime)
