"""Pipelines over Spark Connect, on a server whose Python has never heard of Trunkline."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.pipelines.test_kills import reports, started, steps_of

from trunkline.testing import FaultServer

FILE = """
name = remote
vars { root = /data, api = "http://127.0.0.1:1" }
spark { remote = "REMOTE", conf { spark.sql.shuffle.partitions = 2 } }
steps = [
  { name = numbers, read { format = json, path = ${vars.root}/in, schema = "id BIGINT" } }
  { name = asked, request { schema = "name STRING", options { url = ${vars.api}"/names/{id}" } } }
  { name = names, sql = "SELECT id, response.response_body.name AS name FROM asked" }
  {
    name = checked
    expect = [
      { rule = between, column = id, max = 17, severity = drop }
      { rule = not_null, column = name }
    ]
  }
  { name = out, write { format = parquet, path = ${vars.root}/out, mode = overwrite } }
  { name = few, input = numbers, call = "tests.pipelines.steps_of_tests:Limit", config { rows = 5 } }
  { name = sent, write { format = rest, options { url = ${vars.api}"/rows" } } }
  { name = slow, input = numbers, call = "tests.pipelines.steps_of_tests:slow", timeout = 3s, on_failure = skip }
  { name = events, read { format = json, stream = true, path = ${vars.root}/in, schema = "id BIGINT" } }
  { name = odd, expect = [ { rule = condition, condition = "id % 2 = 1", severity = drop } ] }
  {
    name = live
    write {
      format = parquet, path = ${vars.root}/live, checkpoint = ${vars.root}/checkpoint, trigger = available_now
    }
  }
]
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_pipeline_runs_and_goes_on_over_connect(
    connect_server: str, fault_server: FaultServer, tmp_path: Path
) -> None:
    """Reads, requests, checks, writes, a step that is ended and a stream; what is finished is kept by a second run."""
    fault_server.route("GET /names/{id}", [{"body": {"name": "Ann"}}])
    fault_server.route("POST /rows", [{"status": 201}], store=True)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_text("\n".join(json.dumps({"id": number}) for number in range(20)))
    text = FILE.replace("REMOTE", connect_server).replace("/data", f'"{tmp_path}"')
    (tmp_path / "p.conf").write_text(text.replace("http://127.0.0.1:1", fault_server.url))
    assert started(tmp_path).wait(400) == 4, (tmp_path / "log").read_text()[-3_000:]
    (report,) = reports(tmp_path)
    assert (report["outcome"], report["notices"]) == ("degraded", [])
    assert {step["name"]: (step["outcome"], step["rows_out"]) for step in report["steps"]} == {
        "numbers": ("success", None),
        "asked": ("success", None),
        "names": ("success", 20),
        "checked": ("success", 18),
        "out": ("success", 18),
        "few": ("success", None),
        "sent": ("success", 5),
        "slow": ("skipped", None),
        "events": ("success", None),
        "odd": ("success", None),
        "live": ("success", None),
    }
    assert report["steps"][10]["rows_in"] == 20
    assert [(rule["passed"], rule["wrong_rows"]) for rule in report["steps"][9]["expectations"]] == [(False, None)]
    assert pq.read_table(tmp_path / "out").to_pydict() == {"id": list(range(18)), "name": ["Ann"] * 18}
    assert sorted(pq.read_table(tmp_path / "live")["id"].to_pylist()) == list(range(1, 20, 2))
    asked = Counter(one.path for one in fault_server.ledger("GET /names/{id}"))
    assert asked == Counter(f"/names/{number}" for number in range(20))
    assert len(fault_server.stored("/rows")) == 5
    assert started(tmp_path, "--resume", "last").wait(400) == 4, (tmp_path / "log").read_text()[-3_000:]
    assert {name: steps_of(tmp_path)[name] for name in ("out", "sent", "asked")} == dict.fromkeys(
        ("out", "sent", "asked"), "kept"
    )
    assert fault_server.count("GET /names/{id}") == 20
    assert len(fault_server.stored("/rows")) == 5


MERGING = """
name = merging
vars { root = /data }
spark { remote = "REMOTE" }
steps = [
  {
    name = events
    read { format = json, stream = true, path = ${vars.root}/in, schema = "id BIGINT, name STRING" }
    read.options { maxFilesPerTrigger = 1 }
  }
  {
    name = merged
    write {
      table = TABLE, mode = merge, merge_keys = id, checkpoint = ${vars.root}/checkpoint, trigger = available_now
      options { path = ${vars.root}/table }
    }
  }
  { name = again, after = merged, read { table = TABLE } }
  { name = out, write { format = parquet, path = ${vars.root}/out, mode = overwrite } }
]
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stream_merges_over_connect(connect_server: str, tmp_path: Path) -> None:
    """The micro-batch is written on the server: the first makes the table, the second is a MERGE INTO.

    Spark without jars has no table that can be merged into, so what is seen of the second is that Spark refuses it.
    """
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_text('{"id": 1, "name": "Ann"}\n{"id": 2, "name": "Bob"}')
    text = MERGING.replace("REMOTE", connect_server).replace("TABLE", f"merged_{tmp_path.name}".replace("-", "_"))
    (tmp_path / "p.conf").write_text(text.replace("/data", f'"{tmp_path}"'))
    assert started(tmp_path).wait(400) == 0, (tmp_path / "log").read_text()[-3_000:]
    assert pq.read_table(tmp_path / "out").sort_by("id").to_pydict() == {"id": [1, 2], "name": ["Ann", "Bob"]}
    (tmp_path / "in" / "b.json").write_text('{"id": 2, "name": "Bobby"}')
    assert started(tmp_path).wait(400) == 1
    (failed,) = [step for step in reports(tmp_path)[-1]["steps"] if step["outcome"] == "failed"]
    assert (failed["name"], "MERGE INTO TABLE" in failed["error"]) == ("merged", True), failed["error"]
