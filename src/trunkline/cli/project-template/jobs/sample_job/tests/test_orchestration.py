from decimal import Decimal
from pathlib import Path

from pyspark.sql import SparkSession
from trunkline.testing import FaultServer

from jobs.sample_job.orchestration import main


def test_orders_of_the_api_become_totals_in_files(
    spark: SparkSession, api: FaultServer, token: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "totals")
    assert main(api.url, path, token) == {"metrics": {"customers": 1}, "artifacts": [path]}
    assert [tuple(row) for row in spark.read.parquet(path).collect()] == [("Ann", 2, Decimal("7.75"))]
    assert api.count("GET /orders") == 2
