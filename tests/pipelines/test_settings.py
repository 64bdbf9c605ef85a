"""A session that was there before a pipeline is given back as it was."""

from __future__ import annotations

from pyspark.sql import SparkSession

from trunkline.pipelines.settings import configured, restored

FILES, PARTITIONS = "spark.sql.files.maxRecordsPerFile", "spark.sql.shuffle.partitions"


def test_one_setting_that_cannot_be_set_back_keeps_none_of_the_others(spark: SparkSession) -> None:
    """Spark refuses what another setting, or what stood there before, does not allow any more."""
    before = spark.conf.get(PARTITIONS)
    notices: list[str] = []
    former = configured(spark, {FILES: "7", PARTITIONS: "3"}, notices.append)
    assert former == {FILES: None, PARTITIONS: before}
    # `spark.sql.warehouse.dir` is static: no session lets it be set.
    restored(spark, {"spark.sql.warehouse.dir": "/elsewhere", **former}, notices.append)
    assert (spark.conf.get(FILES, None), spark.conf.get(PARTITIONS)) == (None, before)
    assert len(notices) == 1
    assert notices[0].startswith("spark.conf.spark.sql.warehouse.dir could not be set back to what it was: ")
