"""What the tests of all jobs share: a local Spark, and an API that stands in for the real one."""

import os
import sys
from collections.abc import Iterator

import pytest
import trunkline
from pyspark.sql import SparkSession
from trunkline.session import get_spark
from trunkline.testing import FaultServer

from jobs.libs.tests import stand_in

pytest_plugins = ["trunkline.testing.plugin"]

os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One session for all tests: starting it takes longer than most of them."""
    session = get_spark(config={"spark.sql.shuffle.partitions": "2", "spark.ui.enabled": "false"})
    trunkline.register(session)
    yield session
    session.stop()


@pytest.fixture
def api(fault_server: FaultServer) -> FaultServer:
    """Answers over HTTP, and keeps a ledger of what it was asked. What nobody declared fails the test."""
    stand_in.serve(fault_server)
    return fault_server


@pytest.fixture
def token() -> str:
    """Opens the API."""
    return stand_in.TOKEN
