"""`format("trunkline.rest")` without registering anything, as Spark finds it by itself."""

from __future__ import annotations

import subprocess
import sys

from pyspark.sql import SparkSession

from trunkline.testing import FaultServer


def test_spark_finds_the_format_by_itself(spark_session: SparkSession, fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", [{"status": 201}], store=True)
    df = spark_session.range(5)
    df.write.format("trunkline.rest").mode("append").save(fault_server.url_for("/rows"))
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == [0, 1, 2, 3, 4]


def test_the_shim_never_raises_on_import() -> None:
    broken = "import sys; sys.modules['trunkline.rest.source'] = None; import pyspark_trunkline_rest as s;print(dir(s))"
    done = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True, check=True)
    assert "DefaultSource" not in done.stdout


def test_importing_the_shim_loads_no_http_library() -> None:
    loaded = (
        "import sys, pyspark_trunkline_rest; print([m for m in ('aiohttp', 'requests', 'pyarrow') if m in sys.modules])"
    )
    before = (
        "import sys, pyspark.sql.datasource; print([m for m in ('aiohttp', 'requests', 'pyarrow') if m in sys.modules])"
    )
    outputs = [
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True).stdout
        for code in (before, loaded)
    ]
    assert outputs[0] == outputs[1]
