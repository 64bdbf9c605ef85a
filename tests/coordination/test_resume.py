"""A write that fails half-way and is gone on with, both with a coordinator: by the server's ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import trunkline
from trunkline.rest import pending
from trunkline.testing import FaultServer

ROWS, TASKS = 400, 2


@pytest.mark.slow
def test_a_run_that_stopped_half_way_is_completed(
    spark: SparkSession, fault_server: FaultServer, tmp_path: Path
) -> None:
    refuse = {"when": {"count": [ROWS // 2, ROWS // 2]}, "status": 422, "times": 1}
    fault_server.route("POST /rows", [refuse, {"status": 201}], store=True)
    df = spark.range(0, ROWS, 1, TASKS)
    with trunkline.coordinator(spark, rateLimit="100/s") as c:
        options = {"url": fault_server.url_for("/rows"), "responses": str(tmp_path), **c.options}
        with pytest.raises(PySparkException, match="RejectedError"):
            df.write.format("rest").mode("append").options(**options).save()
        assert ROWS // 4 < len(fault_server.stored("/rows")) < ROWS * 3 // 4
        pending(df, str(tmp_path)).coalesce(TASKS).write.format("rest").mode("append").options(**options).save()
    assert Counter(row["id"] for row in fault_server.stored("/rows")) == Counter(range(ROWS))
