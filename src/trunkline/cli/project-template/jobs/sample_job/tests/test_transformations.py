from decimal import Decimal

from pyspark.sql import SparkSession

from jobs.sample_job.sources import ORDERS
from jobs.sample_job.transformations import totals_by_customer


def test_only_paid_orders_count(spark: SparkSession) -> None:
    rows = [
        (1, "Ann", "paid", Decimal("3.50")),
        (2, "Bob", "open", Decimal("9.00")),
        (3, "Ann", "paid", Decimal("4.25")),
    ]
    totals = totals_by_customer(spark.createDataFrame(rows, ORDERS))
    assert [row.asDict() for row in totals.collect()] == [{"customer": "Ann", "orders": 2, "amount": Decimal("7.75")}]
