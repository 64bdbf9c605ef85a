"""No credential is ever written down: one job uses all kinds of them, and everything it leaves behind is searched."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from trunkline.testing import FaultServer

PLANTED = {
    "password": "pass-Q7!x/zz 9",
    "token": "tok-Zr81kQ0p",
    "key": "key-81hhWq+/=1",
    "secret": "cs-55Tz&!mm",
    "header": "hdr-9Wq_pp1",
}
BASIC = base64.b64encode(f"loader:{PLANTED['password']}".encode()).decode()


@pytest.fixture
def echoing(fault_server: FaultServer) -> FaultServer:
    """A server that says what it was sent, as servers do."""
    fault_server.oauth("/token", clients={"client": PLANTED["secret"]}, expires_in=600)
    echoes = {
        "basic": f"Basic {BASIC} or {PLANTED['password']}",
        "bearer": f"Bearer {PLANTED['token']}",
        "apiKey": f"k={quote(PLANTED['key'])} is {PLANTED['key']}",
        "oauth2": f"client:{PLANTED['secret']}",
        "headers": json.dumps({"X-Session": PLANTED["header"]}),
    }
    for kind, echo in echoes.items():
        fault_server.route(f"POST /echo/{kind}", [{"status": 422, "body": echo, "headers": {"X-Echo": echo[:40]}}])
        fault_server.route(f"POST /forbidden/{kind}", [{"status": 403, "body": echo}])
    return fault_server


@pytest.fixture(scope="module")
def connect_events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a Connect server that is started after this writes its event log."""
    folder = tmp_path_factory.mktemp("connect-events")
    (folder / "spark-defaults.conf").write_text(
        f"spark.eventLog.enabled true\nspark.eventLog.compress false\nspark.eventLog.dir {folder.as_uri()}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))
        yield folder


def run_job(server: FaultServer, folder: Path, credentials: dict[str, str], *remote: str) -> str:
    """What the job printed; its log and errors stand beside."""
    job = [sys.executable, str(Path(__file__).with_name("secrets_job.py"))]
    arguments = [server.url, server.url + "/token", str(folder), json.dumps(credentials), *remote]
    with (folder / "output.txt").open("wb") as stream:
        done = subprocess.run([*job, *arguments], stdout=stream, stderr=subprocess.STDOUT, timeout=560, check=False)
    text = (folder / "output.txt").read_text()
    assert done.returncode == 0, text[-3000:]
    sent = [exchange.headers for exchange in server.ledger("/echo/bearer")]
    assert any(PLANTED["token"] in headers.get("authorization", "") for headers in sent)
    return text


def found_in(server: FaultServer, *folders: Path) -> set[tuple[str, str]]:
    """Which secret stands in which file."""
    issued = server.issued("/token")
    assert issued
    forms = [*PLANTED.values(), *(quote(value, safe="") for value in PLANTED.values()), *issued, BASIC]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {(path.name, form) for path in files for text in (readable(path),) for form in forms if form in text}


def readable(path: Path) -> str:
    """What stands in a file; in a Parquet file, of which the bytes are compressed, in its columns."""
    if path.suffix == ".parquet":
        return "\n".join(repr(row) for row in pq.ParquetFile(path).read().to_pylist())
    return path.read_text(errors="replace")


def holds_tasks(folder: Path) -> bool:
    """Whether an event log can be read, and tells of the tasks of the writes."""
    return any("SparkListenerTaskEnd" in readable(path) for path in folder.rglob("*") if path.is_file())


def test_no_credential_stands_in_any_log_error_plan_event_log_or_file(echoing: FaultServer, tmp_path: Path) -> None:
    """Also with the local variables of each frame printed in tracebacks."""
    (tmp_path / "events").mkdir()
    text = run_job(echoing, tmp_path, PLANTED)
    assert [text.count(f"failed as meant: {what}") for what in ("broken rows", "broken door")] == [1, 1]
    assert re.findall(r"^(\w+) fail ", text, re.MULTILINE) == ["basic", "bearer", "apiKey", "oauth2", "headers"]
    assert holds_tasks(tmp_path / "events")
    assert "'outcome': 'rejected'" in "".join(readable(path) for path in tmp_path.rglob("*.parquet"))
    assert found_in(echoing, tmp_path) == set()


@pytest.mark.slow
def test_no_credential_that_is_a_reference_stands_anywhere_over_spark_connect(
    echoing: FaultServer,
    connect_events: Path,
    connect_server: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    kept = tmp_path_factory.mktemp("credentials")
    for name, value in PLANTED.items():
        (kept / name).write_text(value + "\n")
    references = {name: f"file:{kept / name}" for name in PLANTED}
    text = run_job(echoing, tmp_path, references, connect_server)
    for what in ("broken rows", "broken door", "wrong option", "wrong column"):
        assert text.count(f"failed as meant: {what}") == 1
    logs = list(tmp_path_factory.getbasetemp().glob("connect*/server.log"))
    assert logs
    assert holds_tasks(connect_events)
    assert found_in(echoing, tmp_path, connect_events, *(log.parent for log in logs)) == set()
