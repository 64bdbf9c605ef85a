from decimal import Decimal

from pyspark.sql import SparkSession
from trunkline.testing import FaultServer

from jobs.sample_job.sources import read_orders


def test_orders_arrive_typed(spark: SparkSession, api: FaultServer, token: str) -> None:
    orders = read_orders(spark, api.url, token).orderBy("id")
    assert [tuple(row) for row in orders.collect()] == [
        (1, "Ann", "paid", Decimal("3.50")),
        (2, "Bob", "open", Decimal("9.00")),
        (3, "Ann", "paid", Decimal("4.25")),
    ]
