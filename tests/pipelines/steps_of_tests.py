"""The user's code in the pipelines of the tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.errors import UnavailableError
from trunkline.pipelines import PendingApprovalError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from trunkline.pipelines import Context

# What hooks and steps saw, in order.
SEEN: list[Any] = []
SETTINGS = ("spark.sql.files.maxRecordsPerFile", "spark.sql.shuffle.partitions", "spark.sql.files.maxPartitionNum")
# What a test does while the step `on_the_way` runs.
ON_THE_WAY: list[Callable[[], None]] = []


@dataclass
class LimitConfig:
    rows: int
    password: str = ""


class Limit:
    """A class with a typed configuration."""

    def __init__(self, config: LimitConfig) -> None:
        self.config = config

    def run(self, df: DataFrame) -> DataFrame:
        return df.limit(self.config.rows)


class Bare:
    """A class that is given nothing and gets its configuration as an attribute."""

    config: dict[str, Any]

    def transform(self, df: DataFrame) -> DataFrame:
        return df


def numbers(context: Context) -> DataFrame:
    SEEN.append("numbers")
    df: DataFrame = context.spark.range(10)
    return df


def on_the_way(df: DataFrame, context: Context) -> DataFrame:
    context.metrics.gauge("lag_seconds", 2.5, source="crm")
    for look in ON_THE_WAY:
        look()
    return df


def flaky(df: DataFrame, context: Context) -> DataFrame:
    """Fails twice."""
    SEEN.append("flaky")
    if SEEN.count("flaky") < 3:
        raise UnavailableError("down for now")
    return df


def broken(df: DataFrame, context: Context) -> DataFrame:
    SEEN.append("broken")
    raise RuntimeError(f"cannot do it with {context.config['password']}")


def settings(context: Context) -> DataFrame:
    """Notes what is set while the pipeline runs."""
    SEEN.append([context.spark.conf.get(name, None) for name in SETTINGS])
    df: DataFrame = context.spark.range(1)
    return df


class KilledError(BaseException):
    """Like SIGKILL, nobody has a chance to write anything down."""


def dies_once(df: DataFrame) -> DataFrame:
    SEEN.append("dies")
    if SEEN.count("dies") < 2:
        raise KilledError
    return df


def interrupted(df: DataFrame) -> DataFrame:
    """What Ctrl+C does, and a notebook that is stopped."""
    raise KeyboardInterrupt


def ask_first(df: DataFrame) -> DataFrame:
    raise PendingApprovalError("somebody must look at it")


def slow(df: DataFrame, context: Context) -> DataFrame:
    """A query that takes ten minutes."""
    import pyspark.sql.functions as f

    def asleep(value: int) -> int:
        time.sleep(600)
        return value

    sleeping = f.udf(asleep, "bigint")
    context.spark.range(1).select(sleeping("id")).collect()
    return df


class Watching:
    """A hook that notes all it is told."""

    def before_pipeline(self, context: Context) -> None:
        SEEN.append("before_pipeline")

    def before_step(self, step: str) -> None:
        SEEN.append(("before_step", step))

    def after_step(self, step_name: str, result: DataFrame) -> None:
        SEEN.append(("after_step", step_name, result.columns))

    def on_retry(self, step: str, error: Exception, attempt: int, delay: float) -> None:
        SEEN.append(("on_retry", step, type(error).__name__, attempt))

    def on_failure(self, step: str, error: Exception) -> None:
        SEEN.append(("on_failure", step, type(error).__name__))

    def after_pipeline(self, report: Any) -> None:
        SEEN.append(("after_pipeline", report.outcome))


class TakenOver:
    """A hook that does what another process does which takes this one for dead."""

    config: dict[str, Any]

    def before_step(self, context: Context) -> None:
        self.taken(context)

    def on_retry(self, context: Context) -> None:
        self.taken(context)

    def taken(self, context: Context) -> None:
        folder = Path(self.config["runs"]) / context.origin / "runners"
        (folder / f"{context.run_id}.taken").write_text("{}")


def failing_hook(event: str) -> None:
    raise ValueError(f"no luck in {event}")


class Told:
    """A notification."""

    def notify(self, subject: str, message: Any) -> None:
        SEEN.append(("notified", subject, message["outcome"]))


class Grumpy:
    """A notification that fails."""

    def notify(self, subject: str, message: Any) -> None:
        raise ValueError("not today, hunter2")


def slowly(df: DataFrame) -> DataFrame:
    """A millisecond or two for each row, when they are wanted."""
    import pyspark.sql.functions as f

    def later(value: int) -> int:
        time.sleep(0.001)
        return value

    return df.withColumn("id", f.udf(later, "bigint")("id"))


def asleep(df: DataFrame) -> DataFrame:
    """Some seconds in Python, so that a kill meets it."""
    time.sleep(5)
    return df


class Picky:
    """A step, a hook and a notification that likes no configuration, and says so."""

    def __init__(self, config: dict[str, Any]) -> None:
        raise ValueError(f"what is {config}?")

    def run(self) -> None:
        raise NotImplementedError

    def before_step(self) -> None:
        """It comes to no step."""

    def notify(self, subject: str, message: Any) -> None:
        """It comes to no end."""


def until_the_stream_failed(df: DataFrame, context: Context) -> DataFrame:
    """Waits until the query of a step is no longer there, and the others have done a micro-batch."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        active = context.spark.streams.active
        if context.config["stream"] not in [one.name for one in active] and all(one.lastProgress for one in active):
            break
        time.sleep(0.1)
    return df
