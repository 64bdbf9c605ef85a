"""Where the rows go."""

from pyspark.sql import DataFrame


def write_totals(totals: DataFrame, path: str) -> None:
    """Parquet at `path`, in the place of what an earlier run left there."""
    totals.write.mode("overwrite").parquet(path)
