"""Extract, transform, load: the job itself knows no Spark session, no platform and no path.

References: references/jobs.md.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - what everybody calls them

from trunkline.jobs import AbstractJob


class SimpleJob(AbstractJob):
    """Sums up the orders of each customer that have one status.

    Args:
        reader: `read(path) -> DataFrame`.
        writer: `write(rows, path)`.
        notifications: `notify(subject, message)`.
    """

    def __init__(self, reader: Any, writer: Any, notifications: Any) -> None:
        self.reader = reader
        self.writer = writer
        self.notifications = notifications

    def execute_job(self, input_path: str, output_path: str, status: str = "active") -> dict[str, Any]:
        totals = totals_of(self.reader.read(input_path), status)
        self.writer.write(totals, output_path)
        customers = totals.count()
        # A gate: the run ends with exit code 3, and somebody has a look, instead of an empty table going on.
        verdict = "SUCCESS" if customers else "PENDING_APPROVAL"
        return {
            "status": verdict,
            "metrics": {"customers": customers},
            "artifacts": [output_path],
            "quality": {"has_rows": customers > 0},
        }

    def on_success(self, results: Any) -> None:
        self.notifications.notify("orders are summed up", results["metrics"])

    def on_failure(self, error_message: str) -> None:
        self.notifications.notify("orders are not summed up", error_message)


def totals_of(orders: DataFrame, status: str) -> DataFrame:
    """`customer, orders, amount`, by customer."""
    chosen = orders.where(F.col("status") == status)
    totals = chosen.groupBy("customer").agg(F.count("*").alias("orders"), F.sum("amount").alias("amount"))
    return totals.orderBy("customer")
