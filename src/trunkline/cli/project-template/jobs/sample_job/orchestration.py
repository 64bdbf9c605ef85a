"""Orders of the API become totals by customer. The only module that knows of all the others.

make execute JOB=sample_job
"""

import trunkline
from pyspark.sql import Observation
from pyspark.sql import functions as sf
from trunkline.session import get_spark

from jobs.sample_job import destinations, sources, transformations


def main(url: str, output_path: str, token: str = "env:API_TOKEN") -> dict[str, object]:
    """What `python -m trunkline.jobs` calls, on every platform, with its arguments by their names."""
    spark = get_spark()
    trunkline.register(spark)
    orders = sources.read_orders(spark, url, token)
    totals = transformations.totals_by_customer(orders)
    # Counted while they are written: count() would ask the API again.
    written = Observation()
    destinations.write_totals(totals.observe(written, sf.count("*").alias("customers")), output_path)
    return {"metrics": written.get, "artifacts": [output_path]}
