"""Good orders, by country: the same job on every platform.

References: references/jobs.md, references/platforms.md.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - what everybody calls them

from trunkline.jobs import AbstractJob


class EtlJob(AbstractJob):
    """Keeps the orders that are paid and whole, and writes them partitioned by country.

    Args:
        reader: `read(path) -> DataFrame`.
        writer: `write(rows, path, partition_by)`.
        notifications: `notify(subject, message)`.
    """

    def __init__(self, reader: Any, writer: Any, notifications: Any) -> None:
        self.reader = reader
        self.writer = writer
        self.notifications = notifications

    def execute_job(
        self, input_path: str, output_path: str, max_bad: float = 0.5, platform: str | None = None
    ) -> dict[str, Any]:
        """`platform` is filled in by the entry point, wherever the job runs."""
        orders = self.reader.read(input_path)
        good = good_of(orders)
        read, kept = orders.count(), good.count()
        bad = (read - kept) / read if read else 0.0
        quality = {"has_rows": read > 0, "few_bad_rows": bad <= max_bad}
        result = {"metrics": {"read": read, "kept": kept}, "quality": quality, "platform": platform}
        if not all(quality.values()):
            # A gate: nothing is written, the run ends with exit code 3, and somebody has a look.
            return {"status": "PENDING_APPROVAL", **result}
        self.writer.write(good, output_path, "country")
        return {"status": "SUCCESS", "artifacts": [output_path], **result}

    def on_success(self, results: Any) -> None:
        self.notifications.notify("orders are in", results["metrics"])

    def on_failure(self, error_message: str) -> None:
        self.notifications.notify("orders are not in", error_message)


def good_of(orders: DataFrame) -> DataFrame:
    """Orders that are paid, by somebody, and cost something."""
    return orders.where((F.col("status") == "paid") & F.col("customer").isNotNull() & (F.col("amount") > 0))
