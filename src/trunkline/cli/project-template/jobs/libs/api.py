"""How the API is read. The sources of every job use it, so that its login and its paging stand in one place."""

from pyspark.sql import DataFrame, SparkSession


def read_api(spark: SparkSession, url: str, token: str, schema: str) -> DataFrame:
    """All rows of one collection, page after page: complete or an error.

    Args:
        spark: A session that knows the formats of Trunkline.
        url: The collection's, such as https://api.example.com/orders.
        token: A bearer token, or a reference to one, such as env:API_TOKEN.
        schema: The columns to read. A value that does not fit fails the read.
    """
    reader = spark.read.format("rest").schema(schema)
    reader = reader.option("auth.type", "bearer").option("auth.token", token)
    return reader.option("pagination", "nextUrl").option("page.nextField", "next").load(url)
