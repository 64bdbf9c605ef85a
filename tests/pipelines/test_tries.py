"""What a pipeline tells of requests that had to be repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from trunkline.pipelines import Report, run_pipeline
from trunkline.pipelines.report import StepReport
from trunkline.pipelines.tries import tries_of_write
from trunkline.responses import locate
from trunkline.responses.summary import write_summary
from trunkline.testing import FaultServer

FILE = """
name = asks
vars { root = /data, api = "http://127.0.0.1:1", paced { concurrency = 1, retry.maxDelay = 10ms } }
steps = [
  { name = numbers, sql = "SELECT id FROM range(0, 4, 1, 1)" }
  { name = asked, request { options = ${vars.paced} { url = ${vars.api}"/names/{id}", responseColumn = "said so" } } }
  { name = names, sql = "SELECT id, `said so`.outcome AS outcome FROM asked" }
  {
    name = sent
    write { format = rest, options = ${vars.paced} { url = ${vars.api}"/rows", responses = ${vars.root}/log } }
  }
  { name = unlogged, write { format = rest, options = ${vars.paced} { url = ${vars.api}"/rows" } } }
]
"""


def test_requests_that_were_repeated_are_in_the_report(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    """Of a request by its rows, of a write by its log; without one nobody knows. The steps themselves ran once."""
    fault_server.route("GET /names/2", [{"status": 503}, {"status": 503}, {"body": {}}])
    fault_server.route("GET /names/{id}", [{"body": {}}])
    fault_server.route("POST /rows", [{"status": 503}, {"status": 201}])
    text = FILE.replace("/data", f'"{tmp_path}"').replace("http://127.0.0.1:1", fault_server.url)
    (tmp_path / "p.conf").write_text(text)
    report = run_pipeline(spark, str(tmp_path / "p.conf"), runs=str(tmp_path / "runs"))
    asked = [len(fault_server.ledger(f"GET /names/{name}")) for name in ("2", "{id}")]
    assert (asked, len(fault_server.ledger("POST /rows"))) == ([3, 3], 9)
    held = json.loads((tmp_path / "runs" / report.run_id / "report.json").read_text())
    assert {step["name"]: (step["attempts"], step["http"]) for step in held["steps"]} == {
        "numbers": (1, {}),
        "asked": (1, {"rows_repeated": 1, "most_tries": 3}),
        "names": (1, {}),
        "sent": (1, {"requests": 5, "repeated": 1}),
        "unlogged": (1, {}),
    }
    *_, asked_line, sent_line = report.table().splitlines()
    assert asked_line == "asked: 1 row took more than one request, at most 3"
    assert sent_line == "sent: 5 requests, 1 of them repeated"


def test_only_what_a_write_leaves_itself_is_counted(tmp_path: Path) -> None:
    """Not what was there, not another run whose name begins as this one's does; and what of a write that failed."""

    def leave(run: str) -> None:
        write_summary(locate(str(tmp_path)), f"{run}-0", {"run_id": run, "requests": 2, "retries": 1})

    def write(report: StepReport) -> None:
        with tries_of_write({"responses": str(tmp_path), "runId": "daily"}, report):
            leave("daily")
            leave("daily-0-x")
            raise OSError("away")

    report = StepReport("sent", "write")
    leave("daily")
    with pytest.raises(OSError, match="away"):
        write(report)
    assert report.http == {"requests": 2, "repeated": 1}


def test_the_table_tells_of_requests_below_it() -> None:
    """A column for them would be empty for most steps."""
    steps = [
        StepReport("few", "request", "success", 1, http={"rows_repeated": 0, "most_tries": 1}),
        StepReport("none", "request", "success", 1, http={"rows_repeated": 0}),
        StepReport("many", "request", "success", 1, http={"rows_repeated": 1200, "most_tries": 4}),
        StepReport("one", "write", "success", 1, http={"requests": 1, "repeated": 0}),
    ]
    report = Report("asks", "asks-1", "p.conf", "", steps, "success")
    assert report.table().splitlines()[2:] == [
        "STEP  KIND     ROWS IN  ROWS OUT  SECONDS  RETRIES  OUTCOME",
        "few   request  -        -         0.0      0        success",
        "none  request  -        -         0.0      0        success",
        "many  request  -        -         0.0      0        success",
        "one   write    -        -         0.0      0        success",
        "",
        "many: 1,200 rows took more than one request, at most 4",
        "one: 1 request",
    ]
