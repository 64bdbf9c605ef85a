"""Set-up that every test shares: where Spark's workers find Python, which tests need Spark, how Hypothesis runs."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession

import trunkline

# Workers run the interpreter of the tests, whichever `python3` stands first on the path.
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable

# Spark listens on the loopback address only, and needs no resolvable host name.
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"

# Workers unpickle what test modules define by importing those modules from the checkout.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
)

# The processes of a host share tokens by address, in files under its temporary folder: the token of a server of another
# run, or of the other process of this one, must not be there when a port comes round again. What tests leave for people
# to look at stays where pytest puts it.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
_OWN = tempfile.TemporaryDirectory(prefix="tl-", ignore_cleanup_errors=True)
os.environ["TMPDIR"] = tempfile.tempdir = _OWN.name

# A shared machine stalls at times, so no example has a deadline; what CI runs must be the same on every run.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

pytest_plugins = ["trunkline.testing.plugin", "tests.servers.fixtures", "tests.servers.connect"]

SPARK_FIXTURES = {"spark_session", "spark_context"}

# Files that take a minute or more, the longest first: a process that came to one of them last would keep the others
# waiting. Their tests stay together, and all that is short follows.
LONG_FILES = (
    "test_references.py", "rest/test_stream.py", "contract/test_rest_reader.py", "rest/test_reader_servers.py",
    "rest/test_secrets.py", "test_demo.py", "rest/test_reader.py", "contract/test_rest_writer.py",
    "rest/test_request_sql.py", "jobs/test_source.py",
)  # fmt: skip


@pytest.fixture
def spark(spark_session: SparkSession) -> SparkSession:
    """The session that all tests share, with the formats of Trunkline."""
    trunkline.register(spark_session)
    return spark_session


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for Spark, through whichever fixture, as `spark`; put the long files first."""
    for item in items:
        if SPARK_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("spark")
    first = {Path(__file__).parent / name: rank for rank, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: first.get(item.path, len(first)))
