"""The pipelines in `examples/pipelines` do what they say, as the server saw it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from trunkline.pipelines import run_pipeline
from trunkline.testing import FaultServer

EXAMPLES = Path(__file__).parents[2] / "examples" / "pipelines"


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def plans(spark: SparkSession) -> list[str]:
    """What Spark's SQL page shows of every query of the session."""
    found = spark._jsparkSession.sharedState().statusStore().executionsList()
    return [found.apply(number).physicalPlanDescription() for number in range(found.size())]


def test_users_leave_their_api_and_reach_the_warehouse_without_personal_data(
    spark: SparkSession,
    fault_server: FaultServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every user is read once, over an API that fails at first, and stored once, with hashes for email and phone.

    The API's token is in no plan, log, report or trail.
    """
    users: list[dict[str, Any]] = [
        {"user_id": number, "email": f"u{number}@example.com", "phone": f"+49{number}", "country": "de"}
        for number in range(5)
    ]
    fault_server.dataset(
        "GET /users", rows=users, key="user_id", paging="offset", steps=[{"bearer": ["crm-hunter2"]}, {"status": 503}]
    )
    fault_server.route("POST /warehouse/users", [{"status": 201}], store=True)
    # Spark began before the test, so the environment that its Python processes know is settled.
    (tmp_path / "crm-token").write_text("crm-hunter2")
    monkeypatch.delenv("SPARK_MASTER", raising=False)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    given = {"vars.api": fault_server.url, "secrets.crm": f"file:{tmp_path}/crm-token"}
    report = run_pipeline(spark, str(EXAMPLES / "users.conf"), overrides=given, runs=str(tmp_path / "runs"))
    stored = sorted(fault_server.stored("/warehouse/users"), key=lambda row: row["user_id"])
    assert stored == [{**row, "email": hashed(row["email"]), "phone": hashed(row["phone"])} for row in users]
    assert sorted(fault_server.served("/users")) == [0, 1, 2, 3, 4]
    assert [(one.name, one.outcome, one.rows_out) for one in report.steps] == [
        ("extract-users", "success", 5),
        ("anonymize-pii", "success", None),
        ("load-warehouse", "success", 5),
    ]
    assert (report.outcome, report.exit_code, report.notices) == ("success", 0, [])
    shown = [path.read_text() for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert len(shown) == 4
    assert any("rest" in plan for plan in plans(spark))
    assert "hunter2" not in "\n".join([*plans(spark), *shown, *capsys.readouterr(), report.table()])


def test_each_order_asks_for_its_company_once_though_it_is_checked_and_written(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers, also the bad one, are rows; nothing is asked twice; the check is in the report."""
    fault_server.route(
        "GET /companies/{id}",
        [
            {"bearer": ["company-hunter2"]},
            {"when": {"path": "/2"}, "status": 404, "body": {"error": "unknown"}},
            {"when": {"path": "/3"}, "times": 1, "status": 503},
            {"body": {"name": "Acme"}},
        ],
    )
    (tmp_path / "orders").mkdir()
    orders = [{"order_id": 10 + company, "company": company} for company in (1, 2, 3)]
    (tmp_path / "orders" / "a.json").write_text("\n".join(json.dumps(order) for order in orders))
    monkeypatch.setenv("COMPANY_TOKEN", "company-hunter2")
    given = {"vars.api": fault_server.url, "vars.root": str(tmp_path)}
    report = run_pipeline(spark, str(EXAMPLES / "companies.yaml"), overrides=given, runs=str(tmp_path / "runs"))
    rows = spark.read.parquet(str(tmp_path / "companies")).orderBy("order_id")
    assert [tuple(row) for row in rows.select("order_id", "name", "status", "outcome").collect()] == [
        (11, "Acme", 200, "accepted"),
        (12, None, 404, "rejected"),
        (13, "Acme", 200, "accepted"),
    ]
    asked = sorted((one.path, one.status) for one in fault_server.ledger("GET /companies/{id}"))
    assert asked == [("/companies/1", 200), ("/companies/2", 404), ("/companies/3", 200), ("/companies/3", 503)]
    assert [rule["passed"] for rule in report.step("checked").expectations] == [True, True]
    assert (report.step("sink").rows_in, report.step("sink").rows_out) == (3, 3)
