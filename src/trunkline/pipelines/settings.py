"""What a pipeline sets on a session that was there before it, and that the session is given back as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def configured(spark: SparkSession, conf: Mapping[str, str], notice: Callable[[str], None]) -> dict[str, str | None]:
    """Set what Spark lets change on a session that is there.

    Args:
        spark: The session.
        conf: Its new settings.
        notice: Told of each that cannot be changed any more.

    Returns:
        What stood there before, None where nothing did: for `restored`.
    """
    former: dict[str, str | None] = {}
    try:
        for name, text in conf.items():
            before = spark.conf.get(name, None)
            if spark.conf.isModifiable(name):
                spark.conf.set(name, text)
                former[name] = before
            elif before != text:
                notice(f"spark.conf.{name} is settled when a session starts, and this one has")
    except BaseException:
        restored(spark, former, notice)
        raise
    return former


def restored(spark: SparkSession, former: Mapping[str, str | None], notice: Callable[[str], None]) -> None:
    """Set back what `configured` has changed.

    Args:
        spark: The session.
        former: What stood there before.
        notice: Told of each that cannot be set back; the others are all the same.
    """
    for name, text in former.items():
        try:
            if text is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, text)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to keep the others
            notice(f"spark.conf.{name} could not be set back to what it was: {type(error).__name__}")
