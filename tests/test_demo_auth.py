"""`trunkline demo --pipeline`: five pipelines, and what the server saw of each."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import requests
from pyspark.sql import SparkSession

from trunkline.cli import main
from trunkline.demo import auth
from trunkline.demo.screen import Screen
from trunkline.pipelines import read_pipeline
from trunkline.testing import FaultServer

EXAMPLES = Path(__file__).parents[1] / "examples" / "auth_pipelines"
CREDENTIALS = {"API_PASSWORD": "hunter2-password", "API_TOKEN": "hunter2-token", "API_CLIENT_SECRET": "hunter2-client"}
ROWS = 9
RIGHT = [(1, "silver", 37), (2, "gold", 74), (3, "bronze", 10)]


@pytest.fixture
def api(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """The demo's API, and the credentials that it wants in the environment."""
    auth.serve(fault_server, CREDENTIALS, ROWS)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return fault_server


def test_each_pipeline_asks_for_each_row_once_in_its_own_way(
    spark: SparkSession, api: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Requests, schemes and grants are those of the way; every answer is kept; no credential in report or log."""
    root = str(tmp_path)
    auth.make_source(spark, root, ROWS)
    once = Counter(range(1, ROWS + 1))
    saw = {}
    for name in auth.PIPELINES:
        report = auth.run_one(spark, name, root, api.url)
        assert (report.outcome, report.step("asked").rows_out, report.step("sink").rows_out) == ("success", ROWS, ROWS)
        saw[name] = auth.seen(api, name)
        assert sorted(auth.kept(spark, name, root))[:3] == RIGHT
        assert auth.problems(name, saw[name], auth.kept(spark, name, root), ROWS) == []
    assert saw == {
        "none": auth.Seen(once, 0, {"-"}, []),
        "basic": auth.Seen(once, 0, {"Basic"}, []),
        "bearer": auth.Seen(once, 0, {"Bearer"}, []),
        "oauth2_password": auth.Seen(once, 0, {"Bearer"}, ["password"]),
        "oauth2_client_credentials": auth.Seen(once, 0, {"Bearer"}, ["client_credentials"]),
    }
    reports = [path.read_text() for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert len(reports) >= len(auth.PIPELINES)
    assert "hunter2" not in "\n".join([*reports, *capsys.readouterr()])


def test_each_door_is_locked(api: FaultServer) -> None:
    """Without a credential and with a wrong one the API answers 401, but for the pipeline that needs none."""
    wrong = base64.b64encode(b"loader:guessed").decode()
    for given in ({}, {"Authorization": f"Basic {wrong}"}, {"Authorization": "Bearer guessed"}):
        statuses = {
            name: requests.get(api.url_for(f"/{name}/customers/1"), headers=given, timeout=60).status_code
            for name in auth.PIPELINES
        }
        assert statuses == {**dict.fromkeys(auth.PIPELINES, 401), "none": 200}
    for name, grant in (
        ("oauth2_password", {"grant_type": "password", "username": "loader", "password": "guessed"}),
        ("oauth2_client_credentials", {"grant_type": "client_credentials"}),
    ):
        answer = requests.post(api.url_for(f"/{name}/token"), data=grant, auth=("trunkline", "guessed"), timeout=60)
        assert answer.status_code == 401
        assert auth.seen(api, name) == auth.Seen(Counter({1: 3}), 4, {"-", "Basic", "Bearer"}, [grant["grant_type"]])


def test_what_is_missing_or_asked_for_twice_is_told() -> None:
    """A row asked for twice, one never asked for, one answered wrongly, one kept twice and a refusal are each seen."""
    good = auth.Seen(Counter({1: 1, 2: 1, 3: 1}), 0, {"-"}, [])
    assert auth.problems("none", good, list(reversed(RIGHT)), 3) == []
    assert auth.problems("none", good._replace(asked=Counter({1: 2, 2: 1, 3: 1})), RIGHT, 3) == [
        "none: 2 of 3 rows were asked for once, in 4 requests"
    ]
    assert auth.problems("none", good._replace(asked=Counter({1: 1, 2: 1})), RIGHT[:2], 3) == [
        "none: 2 of 3 rows were asked for once, in 2 requests",
        "none: 2 of 3 answers are in the table, which has 2 rows",
    ]
    for table in (RIGHT[:2], [*RIGHT[:2], (3, "gold", 10)]):
        told = f"none: 2 of 3 answers are in the table, which has {len(table)} rows"
        assert auth.problems("none", good, table, 3) == [told]
    assert auth.problems("none", good, [*RIGHT, RIGHT[0]], 3) == [
        "none: 3 of 3 answers are in the table, which has 4 rows"
    ]
    assert auth.problems("none", good._replace(refused=2), RIGHT, 3) == ["none: 2 requests were refused (401)"]


def test_the_demo_fails_if_anything_is_missing(tmp_path: Path) -> None:
    """The exit code is 1 where something is wrong, which is told, and 0 where nothing is."""
    saw = [("PIPELINE", "REQUESTS"), ("none", "4")]
    bad, good = io.StringIO(), io.StringIO()
    assert auth.conclude(Screen(bad), saw, ["none: 2 requests were refused (401)"], tmp_path, 0.0) == 1
    assert "none: 2 requests were refused (401)" in bad.getvalue()
    assert "kept once" not in bad.getvalue()
    assert auth.conclude(Screen(good), saw, [], tmp_path, 0.0) == 0
    assert "each row asked for once and each answer kept once" in good.getvalue()


def test_the_examples_are_the_files_that_the_demo_runs() -> None:
    """Byte for byte, none more and none fewer."""
    packaged = {path.name: path.read_bytes() for path in auth.FOLDER.glob("*.yaml")}
    assert sorted(packaged) == sorted(f"{name}.yaml" for name in auth.PIPELINES)
    assert {path.name: path.read_bytes() for path in EXAMPLES.glob("*.yaml")} == packaged


def test_the_five_files_differ_in_their_name_and_in_auth_only() -> None:
    """What `trunkline demo --pipeline` says of them."""
    told = []
    for name in auth.PIPELINES:
        whole = read_pipeline(str(auth.FOLDER / f"{name}.yaml"), environment={}).model_dump()
        [asked] = [step["request"] for step in whole["steps"] if step.get("request")]
        asked["options"].pop("auth")
        told.append(repr(whole).replace(name, "NAME"))
    assert set(told) == {told[0]}
    assert "NAME" in told[0]


@pytest.mark.slow
@pytest.mark.spark
def test_the_demo_of_pipelines_ends_well_and_leaves_what_it_names(tmp_path: Path) -> None:
    """Exit code 0 and nothing on standard error; a line of the server's account for each pipeline; scratch is gone."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "http_proxy": "http://127.0.0.1:1", "SPARK_HOME": "/nowhere"}
    command = [sys.executable, "-m", "trunkline.cli", "demo", "--pipeline"]
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path, timeout=580
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    shown = [line.strip() for line in finished.stdout.splitlines()]
    account = (EXAMPLES / "README.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0].splitlines()
    assert [line for line in account if line not in shown] == []
    assert len(account) == 1 + len(auth.PIPELINES)
    [folder] = tmp_path.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["answers", "customers", "responses", "runs", "spark.log"]
    for name in auth.PIPELINES:
        assert main(["log", "compact", str(folder / "responses" / name)]) == 0
