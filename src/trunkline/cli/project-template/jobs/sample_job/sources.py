"""Where the rows come from."""

from pyspark.sql import DataFrame, SparkSession

from jobs.libs.api import read_api

ORDERS = "id LONG, customer STRING, status STRING, amount DECIMAL(10, 2)"


def read_orders(spark: SparkSession, url: str, token: str) -> DataFrame:
    """All orders of the API at `url`."""
    return read_api(spark, f"{url}/orders", token, ORDERS)
