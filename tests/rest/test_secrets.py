"""No credential is ever written down: one job uses all kinds of them, and everything it leaves behind is searched."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from trunkline.testing import FaultServer

PLANTED = {
    "password": "pass-Q7!x/zz 9",
    "token": "tok-Zr81kQ0p",
    "key": "key-81hhWq+/=1",
    "secret": "cs-55Tz&!mm",
    "header": "hdr-9Wq_pp1",
}


def test_no_credential_stands_in_any_log_error_plan_event_log_or_file(
    fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.oauth("/token", clients={"client": PLANTED["secret"]}, expires_in=600)
    basic = base64.b64encode(f"loader:{PLANTED['password']}".encode()).decode()
    echoes = {
        "basic": f"Basic {basic} or {PLANTED['password']}",
        "bearer": f"Bearer {PLANTED['token']}",
        "apiKey": f"k={quote(PLANTED['key'])} is {PLANTED['key']}",
        "oauth2": f"client:{PLANTED['secret']}",
        "headers": json.dumps({"X-Session": PLANTED["header"]}),
    }
    for kind, echo in echoes.items():
        # Servers do this: they say what they were sent.
        fault_server.route(f"POST /echo/{kind}", [{"status": 422, "body": echo, "headers": {"X-Echo": echo[:40]}}])
        fault_server.route(f"POST /forbidden/{kind}", [{"status": 403, "body": echo}])
    (tmp_path / "events").mkdir()
    out = tmp_path / "output.txt"
    with out.open("wb") as stream:
        job = [sys.executable, str(Path(__file__).with_name("secrets_job.py"))]
        arguments = [fault_server.url, fault_server.url + "/token", str(tmp_path), json.dumps(PLANTED)]
        done = subprocess.run([*job, *arguments], stdout=stream, stderr=subprocess.STDOUT, timeout=240, check=False)
    text = out.read_text()
    assert done.returncode == 0, text[-3000:]
    sent = [exchange.headers for exchange in fault_server.ledger("/echo/bearer")]
    assert any("tok-Zr81kQ0p" in headers.get("authorization", "") for headers in sent)
    issued = fault_server.issued("/token")
    assert issued
    forms = [*PLANTED.values(), *(quote(value, safe="") for value in PLANTED.values()), *issued]
    forms += [basic]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.is_relative_to(tmp_path / "events") for path in files)
    assert any(path.suffix == ".parquet" for path in files)
    found = {(path.name, form) for path in files for form in forms if form.encode() in path.read_bytes()}
    assert found == set()
