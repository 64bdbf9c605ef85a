"""`trunkline new pipeline`: the file is valid and runs as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from trunkline.cli import main
from trunkline.pipelines import run_pipeline
from trunkline.testing import FaultServer


def test_a_new_pipeline_runs_as_it_stands(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ten rows are asked for once each, and the answers are written."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", "pipeline", "crm"]) == 0
    fault_server.route("GET /customers/{id}", [{"body": {"name": "Acme"}}])
    given = {"vars.api": fault_server.url, "vars.root": str(tmp_path / "data")}
    report = run_pipeline(spark, "crm.yaml", overrides=given, runs=str(tmp_path / "runs"))
    assert (report.pipeline, report.outcome) == ("crm", "success")
    asked = sorted(one.path for one in fault_server.ledger())
    assert asked == sorted(f"/customers/{number}" for number in range(1, 11))
    answers = spark.read.parquet(str(tmp_path / "data" / "answers"))
    assert [row.name for row in answers.select("response.response_body.name").collect()] == ["Acme"] * 10


def test_a_new_pipeline_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is valid, whatever its name means in YAML; what is there already stays as it is."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", "pipeline", "null"]) == 0
    assert main(["validate", "null.yaml"]) == 0
    assert "null is valid: 4 steps" in capsys.readouterr().out
    assert main(["new", "pipeline", "crm"]) == 0
    assert capsys.readouterr().out == (
        "crm.yaml written. To begin with:\n"
        "  put the address of your API at vars.api in crm.yaml, and its path at url\n"
        "  trunkline validate crm.yaml\n"
        "  trunkline run crm.yaml --override vars.root=/tmp/crm\n"
    )
    assert main(["validate", "crm.yaml"]) == 0
    assert "crm is valid: 4 steps" in capsys.readouterr().out
    (tmp_path / "crm.yaml").write_text("mine")
    assert main(["new", "pipeline", "crm"]) == 2
    assert capsys.readouterr().err == "trunkline: crm.yaml is there already; nothing was written\n"
    assert (tmp_path / "crm.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["2fast", "a b", "x: y", "../up", "-"])
def test_a_name_that_no_pipeline_has_writes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["new", "pipeline", name]) == 2
    told = f"trunkline: {name!r} is no name of a file to begin with: a letter, then letters, digits, _ and -\n"
    assert capsys.readouterr().err == told
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
