"""One write from inside a container: the package installed as users install it, with no word of the checkout.

Needs a container engine, and an image with Python 3.10 and Java 17 or later; `TRUNKLINE_TEST_IMAGE` names another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import from_env  # type: ignore[import-untyped,unused-ignore]
from docker.errors import DockerException  # type: ignore[import-untyped,unused-ignore]
from testcontainers.core.container import DockerContainer

from trunkline.testing import FaultServer

IMAGE = os.environ.get("TRUNKLINE_TEST_IMAGE", "apache/spark:4.0.1-python3")
ROOT = Path(__file__).parents[2]

WRITE = """
import sys
from pyspark.sql import SparkSession
import trunkline

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
trunkline.register(spark)
df = spark.range(100).selectExpr("id", "concat('n', id) AS name")
df.write.format("rest").mode("append").save(sys.argv[1])
"""

# The image may bring a Spark of its own, whose Python would stand before the one that is installed.
COMMAND = """
set -eu
unset SPARK_HOME PYTHONPATH
mkdir /tmp/trunkline
cp -r /checkout/src /checkout/pyproject.toml /checkout/README.md /checkout/LICENSE /tmp/trunkline
python3 -m pip install --quiet "/tmp/trunkline[spark]"
cd /tmp
python3 -c "$0" "$1"
"""


@pytest.fixture
def container() -> Iterator[DockerContainer]:
    """A container that waits for commands, on the network of the host; skips where none can be started."""
    try:
        client = from_env()
        try:
            client.ping()
        finally:
            client.close()
        waiting = DockerContainer(IMAGE).with_command("sleep 3600").with_volume_mapping(str(ROOT), "/checkout", "ro")
        waiting.with_kwargs(network_mode="host", user="root", entrypoint="").start()
    except DockerException as reason:
        if os.environ.get("TRUNKLINE_SERVERS_REQUIRED"):
            raise
        pytest.skip(f"no container can be started: {' '.join(str(reason).split())[:200]}")
    yield waiting
    waiting.stop()


@pytest.mark.timeout(900)
def test_a_write_from_inside_a_container_delivers_each_row(
    container: DockerContainer, fault_server: FaultServer
) -> None:
    fault_server.route("POST /rows", [{"status": 201}], store=True)
    code, output = container.exec(["bash", "-c", COMMAND, WRITE, fault_server.url_for("/rows")])
    assert code == 0, output.decode(errors="replace")[-3000:]
    rows = sorted(fault_server.stored("/rows"), key=lambda row: row["id"])
    assert rows == [{"id": i, "name": f"n{i}"} for i in range(100)]
