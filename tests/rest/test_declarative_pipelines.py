"""`rest` in a Declarative Pipeline, by the name that needs no registering."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from trunkline.testing import FaultServer

SPEC = "name: api\nstorage: file://{folder}/storage\nlibraries:\n  - glob:\n      include: transformations/**\n"
TABLES = """
from pyspark import pipelines as dp
from pyspark.sql import SparkSession

spark = SparkSession.active()
SCHEMA = "id LONG, name STRING"
OPTIONS = {{"pagination": "offset", "url": "{url}"}}

@dp.materialized_view
def items():
    return spark.read.format("trunkline.rest").schema(SCHEMA).options(**OPTIONS).load()

@dp.table
def followed():
    return spark.readStream.format("trunkline.rest").schema(SCHEMA).options(**OPTIONS).load()
"""


@pytest.mark.slow
def test_a_view_and_a_streaming_table_are_filled(fault_server: FaultServer, tmp_path: Path) -> None:
    """Once: a second run over the same tables needs a metastore."""
    pytest.importorskip("pyspark.pipelines", reason="Declarative Pipelines came with Spark 4.1")
    fault_server.dataset("GET /items", count=250, size=100, total=True)
    (tmp_path / "transformations").mkdir()
    (tmp_path / "spark-pipeline.yml").write_text(SPEC.format(folder=tmp_path))
    (tmp_path / "transformations" / "tables.py").write_text(TABLES.format(url=fault_server.url_for("/items")))
    run(tmp_path)
    for table in ("items", "followed"):
        files = (tmp_path / "spark-warehouse" / table).rglob("*.parquet")
        assert sorted(row for path in files for row in pq.read_table(path)["id"].to_pylist()) == list(range(250))


def run(folder: Path) -> None:
    program = str(Path(sys.executable).with_name("spark-pipelines"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    words = [program, "run", "--spec", "spark-pipeline.yml"]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
