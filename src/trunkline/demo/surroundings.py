"""A Spark of the demo's own, whatever the machine is set up for, that leaves nothing on the screen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from trunkline.demo.screen import Screen
from trunkline.errors import MissingExtraError, TrunklineError
from trunkline.testing import FaultServer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Spark 4 runs on Java 17 and later.
_JAVA = 17
_JAVA_CURE = (
    "sudo apt-get install openjdk-17-jre-headless (Debian, Ubuntu) or brew install openjdk@17 (macOS), and point "
    "JAVA_HOME at it if another Java stands first"
)
_SPARK_CURE = 'pip install "trunkline[spark]"'
_JAVA_SECONDS = 30.0
_END_SECONDS = 20.0
# They would send the demo to another Spark, or its requests to a proxy.
_NOT_OURS = re.compile(r"(SPARK_.*|PYSPARK_.*|HADOOP_.*|YARN_.*|(https?|all)_proxy)", re.IGNORECASE)


def check() -> str:
    """The version of Spark that is here.

    Raises:
        MissingExtraError: No pyspark 4.
        TrunklineError: No Java that it runs on.
    """
    try:
        found = version("pyspark")
    except PackageNotFoundError:
        raise MissingExtraError(f"the demo needs Spark 4, and pyspark is not installed: {_SPARK_CURE}") from None
    if int(found.split(".", 1)[0]) < 4:
        raise MissingExtraError(f"the demo needs Spark 4, and pyspark {found} is installed: {_SPARK_CURE} --upgrade")
    java = _java_version()
    if java < _JAVA:
        here = f"this is Java {java}" if java else "there is none here"
        raise TrunklineError(f"Spark needs Java {_JAVA} or later, and {here}: {_JAVA_CURE}")
    return found


def _java_version() -> int:
    """The major version of the Java that Spark would start, 0 for none."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if java is None:
        return 0
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=_JAVA_SECONDS, check=False)  # noqa: S603 - the user's own
    except (OSError, subprocess.TimeoutExpired):
        return 0
    # 'openjdk version "17.0.12"', and "1.8.0_402" until Java 8.
    match = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    return int(match[1]) if match else 0


@contextmanager
def stage(**environment: str) -> Iterator[tuple[Screen, FaultServer, Path]]:
    """What a demo needs before Spark starts: a screen, a server and a folder that stays but for its `scratch`.

    Args:
        **environment: Variables for Spark and its workers.
    """
    folder = Path(tempfile.mkdtemp(prefix="trunkline-demo-"))
    scratch = folder / "scratch"
    scratch.mkdir()
    log = folder / "spark.log"
    # Of the terminal only; in a pipe nothing is cut.
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    # The workers share their token through a file in the temporary folder.
    own = {**environment, "TMPDIR": str(scratch)}
    try:
        with undisturbed(log) as stream, own_environment(**own), FaultServer() as server:
            yield Screen(stream, columns=columns), server, folder
    except Exception:
        sys.stderr.write(f"The demo broke off; what Spark said is in {log}\n")
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def undisturbed(log: Path) -> Iterator[TextIO]:
    """Everything that processes started meanwhile print goes to a file; the stream given still reaches the screen."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with log.open("ab") as file, os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors="replace") as screen:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield screen
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in enumerate(kept, 1):
                os.dup2(old, number)
                os.close(old)


@contextmanager
def own_environment(**values: str) -> Iterator[None]:
    """Environment variables for Spark and its workers; afterwards all is as it was."""
    before = dict(os.environ)
    for name in [name for name in before if _NOT_OURS.fullmatch(name)]:
        del os.environ[name]
    os.environ.update(
        PYSPARK_PYTHON=sys.executable, PYSPARK_DRIVER_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1", **values
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def local_spark(scratch: Path) -> Iterator[SparkSession]:
    """A session on two cores that keeps its files in `scratch` and is gone, with its process, afterwards."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if SparkContext._active_spark_context is not None:  # noqa: SLF001 - there is no other way to ask
        raise TrunklineError("the demo starts a Spark of its own: run it where no session is active")
    # Spark puts a folder for artifacts where it is started.
    here = Path.cwd()
    os.chdir(scratch)
    try:
        spark = (
            SparkSession.builder.master("local[2]")
            .appName("trunkline demo")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.local.dir", str(scratch))
            .config("spark.sql.warehouse.dir", str(scratch / "warehouse"))
            .config("spark.sql.shuffle.partitions", "2")
            .getOrCreate()
        )
    finally:
        os.chdir(here)
    try:
        yield spark
    finally:
        gateway = SparkContext._gateway  # noqa: SLF001 - Spark ends its process only with ours
        spark.stop()
        if gateway is not None:
            gateway.shutdown()
            gateway.proc.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                gateway.proc.wait(_END_SECONDS)
            SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 - so that another session can start
