import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from trunkline.testing import FaultServer

from jobs.libs.api import read_api


def test_every_page_is_read_once(spark: SparkSession, api: FaultServer, token: str) -> None:
    rows = read_api(spark, api.url_for("/orders"), token, "id LONG").collect()
    assert [row.id for row in rows] == [1, 2, 3]
    assert api.count("GET /orders") == 2


def test_a_wrong_token_fails_the_read(spark: SparkSession, api: FaultServer) -> None:
    with pytest.raises(PySparkException, match="401"):
        read_api(spark, api.url_for("/orders"), "another-token", "id LONG").collect()
