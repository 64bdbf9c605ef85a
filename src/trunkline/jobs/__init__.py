"""Job platforms: rows become job runs, and runs are rows to read and to follow.

    df.write.format("jobs").mode("append").option("platform", "glue").save()
    spark.read.format("jobs").option("platform", "glue").option("since", "1d").load()

A job is a module with `main(**kwargs)`, and runs unchanged on every platform:

    python -m trunkline.jobs --module_name=my_project.etl --etl='{"input_path": "s3://..."}'

`AbstractJob` and `AbstractJobFactory` give it a shape. None of this needs Spark 4, but for the format.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.jobs.entry import main as main
    from trunkline.jobs.job import AbstractJob as AbstractJob
    from trunkline.jobs.job import AbstractJobFactory as AbstractJobFactory
    from trunkline.jobs.notify import LogNotification as LogNotification
    from trunkline.jobs.notify import SnsNotification as SnsNotification
    from trunkline.jobs.notify import WebhookNotification as WebhookNotification

_HOMES = {
    "AbstractJob": "trunkline.jobs.job",
    "AbstractJobFactory": "trunkline.jobs.job",
    "LogNotification": "trunkline.jobs.notify",
    "SnsNotification": "trunkline.jobs.notify",
    "WebhookNotification": "trunkline.jobs.notify",
    "main": "trunkline.jobs.entry",
}

__all__ = [
    "AbstractJob",
    "AbstractJobFactory",
    "LogNotification",
    "SnsNotification",
    "WebhookNotification",
    "main",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
