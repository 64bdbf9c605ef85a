"""From DataFrame to DataFrame: no files, no network, no session."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as sf


def totals_by_customer(orders: DataFrame) -> DataFrame:
    """`customer, orders, amount` of what is paid."""
    paid = orders.where(sf.col("status") == "paid")
    return paid.groupBy("customer").agg(sf.count("*").alias("orders"), sf.sum("amount").alias("amount"))
