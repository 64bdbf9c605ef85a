"""No secret is ever written down: one pipeline has one wherever its file may hold one, and all that the run leaves
behind is searched.

Searched are: what the run printed (its log as JSON, its table, the error, `repr` of the report and the context), the
report, the audit trail, what the push gateway and the webhook got, the text served for Prometheus, Spark's event log,
Spark's own log, what Spark's UI answers over REST (environment, SQL with plans, jobs, stages), and `explain`.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet
from tests.servers.otlp import Otlp

from trunkline.testing import FaultServer

HERE = "tests.pipelines.planted_job"
KEY = Fernet.generate_key().decode()
DERBY = "org.apache.derby.iapi.jdbc.AutoloadedDriver"

# Where each secret is planted. Each value is its own, so that one that is found says where it was.
PLANTED = {
    name: f"plant{number:02}-Q7x{name[:4]}"
    for number, name in enumerate([
        "env_reference", "file_reference", "named_secret", "encrypted", "literal_auth", "secret_header",
        "conf_literal", "conf_named", "conf_account_key", "conf_other_name", "jdbc_url", "jdbc_password",
        "jdbc_encrypted", "own_option", "own_option_write", "call_config", "call_nested", "hook_config", "hook_named",
        "webhook_path", "webhook_token", "webhook_header", "notify_config", "pushgateway_login", "endpoint_query",
        "label", "variable", "request_token", "failing_config", "login_in_url",
    ])
}  # fmt: skip


def pipeline(api: FaultServer, folder: Path) -> dict[str, Any]:
    """The file. `here(name)` is a literal; what is looked up stands in the environment or in a file."""
    here = PLANTED.__getitem__

    def encrypted(name: str) -> str:
        return "enc:" + Fernet(KEY).encrypt(PLANTED[name].encode()).decode()

    derby = f"jdbc:derby:memory:planted;create=true;user=me;password={here('jdbc_url')}"
    skipped = {"on_failure": "skip"}
    return {
        "name": "planted",
        "vars": {"api_token": here("variable")},
        "secrets": {"named": "env:NAMED_SECRET", "conf": "env:CONF_NAMED", "encryption_key": "env:PIPELINE_KEY"},
        "spark": {
            "master": "local[2]",
            "conf": {
                "spark.ui.enabled": "true",
                "spark.ui.port": "0",
                "spark.eventLog.enabled": "true",
                "spark.eventLog.compress": "false",
                "spark.eventLog.dir": (folder / "events").as_uri(),
                "spark.sql.warehouse.dir": str(folder / "warehouse"),
                "spark.hadoop.fs.s3a.secret.key": here("conf_literal"),
                "spark.hadoop.lake.credentials": "${secrets.conf}",
                "spark.hadoop.fs.azure.account.key.lake.dfs.core.windows.net": here("conf_account_key"),
                "spark.hadoop.lake.where": "env:CONF_OTHER_NAME",
            },
        },
        "hooks": [{"call": f"{HERE}:Hook", "config": {"password": here("hook_config"), "where": "env:HOOK_NAMED"}}],
        "notify": [
            {
                "on": ["degraded", "failed"],
                "webhook": "env:WEBHOOK",
                "options": {
                    "auth": {"type": "bearer", "token": encrypted("webhook_token")},
                    "secretHeaders": {"X-Key": here("webhook_header")},
                },
            },
            {"on": "failed", "call": f"{HERE}:Chat", "config": {"token": here("notify_config")}},
        ],
        "metrics": {
            "labels": {"token": here("label")},
            "prometheus": {"pushgateway": "env:GATEWAY"},
            "opentelemetry": {"endpoint": "env:COLLECTOR"},
        },
        "audit": {},
        "steps": [
            {
                "name": "users",
                "read": {
                    "format": "rest",
                    "schema": "id BIGINT",
                    "options": {
                        "url": api.url_for("/users"), "pagination": "none",
                        "auth": {"type": "bearer", "token": "${secrets.named}"},
                        "secretHeaders": {"X-A": here("secret_header"), "X-B": "env:ENV_REFERENCE",
                                          "X-C": encrypted("encrypted"), "X-D": f"file:{folder / 'kept'}"},
                    },
                },
            },
            {
                "name": "refused",
                "read": {
                    "format": "rest",
                    "schema": "id BIGINT",
                    "options": {
                        "url": api.url_for("/refused"), "pagination": "none",
                        "auth": {"type": "basic", "username": "me", "password": here("literal_auth")},
                    },
                },
                "timeout": "2m",
                **skipped,
            },
            {"name": "looked", "call": f"{HERE}:explained", "input": "users",
             "config": {"password": here("call_config"), "deep": [{"token": {"of": here("call_nested")}}]}},
            {
                "name": "sent", "input": "looked",
                "request": {"options": {"url": api.url_for("/echo"), "method": "POST", "repeatable": True,
                                        "auth": {"type": "bearer", "token": here("request_token")}}},
            },
            {"name": "seen", "call": f"{HERE}:explained", "input": "sent"},
            {"name": "kept", "input": "looked", "write": {
                "format": "jdbc", "mode": "overwrite",
                "options": {"url": derby, "driver": DERBY, "dbtable": "kept", "user": "me",
                            "password": encrypted("jdbc_encrypted")}}},
            {"name": "back", "after": "kept", "read": {
                "format": "jdbc",
                "options": {"url": derby, "driver": DERBY, "dbtable": "kept", "password": here("jdbc_password")}}},
            {"name": "back_seen", "call": f"{HERE}:explained", "input": "back"},
            {"name": "lines", "input": "back_seen", "write": {
                "format": "csv", "mode": "overwrite", "path": str(folder / "out"),
                "options": {"lake.place": "env:OWN_OPTION_WRITE", "header": "true"}}},
            {"name": "again", "after": "lines", "read": {
                "format": "csv", "path": str(folder / "out"), "schema": "id STRING",
                "options": {"lake.place": "env:OWN_OPTION"}}},
            {"name": "again_seen", "call": f"{HERE}:explained", "input": "again"},
            {"name": "done", "input": "again_seen", "write": {"format": "noop", "mode": "append"}},
            {"name": "nowhere", "input": "looked", "write": {
                "format": "jdbc", "mode": "append", "options": {
                    "url": f"jdbc:nosuch://me:{here('login_in_url')}@db/etl", "dbtable": "x",
                    "driver": "no.such.Driver"}}, **skipped},
            {"name": "broken", "input": "looked", "call": f"{HERE}:fails",
             "config": {"password": here("failing_config"), "token": "${vars.api_token}",
                        "file_token": f"file:{folder / 'kept'}"}},
        ],
    }  # fmt: skip


@pytest.fixture
def api(fault_server: FaultServer) -> FaultServer:
    """A server that says what it was sent, as servers do."""
    fault_server.route("GET /users", [{"status": 200, "body": [{"id": 1}, {"id": 2}]}])
    basic = base64.b64encode(f"me:{PLANTED['literal_auth']}".encode()).decode()
    fault_server.route("GET /refused", [{"status": 403, "body": f"{PLANTED['literal_auth']} or {basic}"}])
    fault_server.route("POST /echo", [{"status": 200, "body": {"ok": True}}])
    fault_server.route("POST /hook/*", [{"status": 422, "body": f"{PLANTED['webhook_token']} is refused"}])
    fault_server.route("PUT /metrics/*", [{"status": 200}])
    fault_server.route("POST /v1/metrics", [{"status": 403, "body": PLANTED["endpoint_query"]}])
    return fault_server


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_secret_of_a_pipeline_stands_anywhere(api: FaultServer, otlp: Otlp, tmp_path: Path) -> None:
    folder, seen, runs = tmp_path / "data", tmp_path / "seen", tmp_path / "runs"
    for one in (folder / "events", seen, runs):
        one.mkdir(parents=True)
    (folder / "kept").write_text(PLANTED["file_reference"] + "\n")
    (folder / "p.json").write_text(json.dumps(pipeline(api, folder)))
    environment = {
        "NAMED_SECRET": PLANTED["named_secret"], "CONF_NAMED": PLANTED["conf_named"], "PIPELINE_KEY": KEY,
        "CONF_OTHER_NAME": PLANTED["conf_other_name"], "HOOK_NAMED": PLANTED["hook_named"],
        "WEBHOOK": api.url_for(f"/hook/{PLANTED['webhook_path']}"), "ENV_REFERENCE": PLANTED["env_reference"],
        "GATEWAY": api.url.replace("//", f"//me:{PLANTED['pushgateway_login']}@"),
        "COLLECTOR": api.url_for(f"/v1/metrics?key={PLANTED['endpoint_query']}"),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OWN_OPTION": PLANTED["own_option"], "OWN_OPTION_WRITE": PLANTED["own_option_write"],
    }  # fmt: skip
    command = [sys.executable, "-m", HERE, str(folder / "p.json"), str(runs), str(seen)]
    with (seen / "printed.txt").open("wb") as printed:
        done = subprocess.run(command, stdout=printed, stderr=subprocess.STDOUT, env={**os.environ, **environment},
                              timeout=850, check=False)  # fmt: skip
    text = (seen / "printed.txt").read_text()
    assert done.returncode == 0, text[-3000:]
    # They were used, each where it belongs.
    asked = api.ledger("GET /users")[0].headers
    sent = [asked[name] for name in ("authorization", "x-a", "x-b", "x-c", "x-d")]
    names = ("named_secret", "secret_header", "env_reference", "encrypted", "file_reference")
    assert sent == [f"{'Bearer ' * (name == 'named_secret')}{PLANTED[name]}" for name in names]
    hook = api.ledger("POST /hook/*")[0].headers
    assert (hook["authorization"], hook["x-key"]) == (f"Bearer {PLANTED['webhook_token']}", PLANTED["webhook_header"])
    for number, told in enumerate(api.ledger("PUT /metrics/*") + api.ledger("POST /hook/*")):
        (seen / f"sent-{number}.txt").write_text(told.path.replace(PLANTED["webhook_path"], "") + told.body.decode())
    outcomes = {
        step["name"]: step["outcome"] for step in json.loads(next(runs.rglob("report.json")).read_text())["steps"]
    }
    assert outcomes == dict.fromkeys(outcomes, "success") | {
        "refused": "skipped", "nowhere": "skipped", "broken": "failed"
    }  # fmt: skip
    files = [*seen.iterdir(), *(folder / "events").rglob("*"), *runs.rglob("*")]
    found = set()
    for path in files:
        if path.is_file():
            held = path.read_text(errors="replace")
            for name, value in PLANTED.items():
                forms = {value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("=")}
                if any(form in held for form in forms):
                    found.add((name, path.name))
    assert sorted(found) == []
    # What was searched is what is meant, and tells of what the run did.
    assert {path.name for path in seen.iterdir()} >= {
        "printed.txt", "explain.txt", "sent-0.txt", "ui-environment.json", "ui-sql.json", "ui-jobs.json",
        "ui-stages.json", "ui-executors.json",
    }  # fmt: skip
    assert {path.name for path in runs.rglob("*") if path.is_file()} >= {"report.json", "audit.jsonl"}
    events = "".join(path.read_text() for path in (folder / "events").rglob("events_*"))
    # Names that Spark would not have hidden by itself.
    assert "lake.place=*********(redacted)" in events
    assert '"fs.azure.account.key.lake.dfs.core.windows.net":"*********(redacted)"' in events
