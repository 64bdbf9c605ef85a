"""Names that Spark would ignore: its own lists are the measure."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from trunkline.pipelines.spark_names import NAMES, unknown_option, unknown_settings

# The objects of Spark that list the options of a format.
LISTS = {
    "csv": "catalyst.csv.CSVOptions",
    "json": "catalyst.json.JSONOptions",
    "xml": "catalyst.xml.XmlOptions",
    "parquet": "execution.datasources.parquet.ParquetOptions",
    "orc": "execution.datasources.orc.OrcOptions",
    "text": "execution.datasources.text.TextOptions",
    "avro": "avro.AvroOptions",
}


def test_every_option_that_spark_lists_is_known(spark: SparkSession) -> None:
    """Of this version: a new one of Spark's is to be added."""
    jvm = spark._jvm
    assert jvm is not None
    missing = {}
    for name, spelled in LISTS.items():
        found = jvm
        for part in f"org.apache.spark.sql.{spelled}".split("."):
            found = getattr(found, part)
        listed = found.getAllOptions().iterator()
        names = set()
        while listed.hasNext():
            names.add(listed.next())
        missing[name] = {one for one in names - NAMES[name] if "." not in one}
    jdbc = jvm.org.apache.spark.sql.execution.datasources.jdbc.JDBCOptions
    names = {getattr(jdbc, one)() for one in dir(jdbc) if one.startswith("JDBC_")}
    missing["jdbc"] = {one for one in names if isinstance(one, str)} - NAMES["jdbc"]
    assert missing == {name: set() for name in [*LISTS, "jdbc"]}


def test_a_setting_that_is_misspelt_is_told_by_the_session(spark: SparkSession) -> None:
    """Not so those that are static, internal, of a catalog, or of nothing that Spark lists."""
    conf = [
        "spark.sql.shufle.partitions",
        "spark.sql.shuffle.partitions",
        "spark.sql.warehouse.dir",
        "spark.sql.codegen.wholeStage",
        "spark.sql.ui.retainedExecutions",
        "spark.sql.catalog.lake.tpye",
        "spark.executor.memroy",
        "spark.sql.zzz",
    ]
    told = "is no setting that this Spark lists: did you mean spark.sql.shuffle.partitions?"
    assert list(unknown_settings(spark, conf)) == [f"spark.conf.spark.sql.shufle.partitions {told}"]


@pytest.mark.parametrize(
    ("format_", "name", "meant"),
    [
        ("csv", "heder", "header"),
        ("CSV", "HEADER", None),
        ("csv", "cryptic", ""),
        ("csv", "fs.s3a.endpoint", None),
        ("jdbc", "urll", "url"),
        ("jdbc", "dbtabel", "dbtable"),
        ("jdbc", "socketTimeout", None),
        ("jdbc", "ur", "url"),
        ("kafka", "kafka.bootstrap.servers", None),
        ("kafka", "subcribe", "subscribe"),
        ("kafka", "asyncProgressTrackingEnabled", None),
        ("delta", "anything", None),
    ],
)
def test_an_option_is_known_meant_unknown_or_none_of_ours(format_: str, name: str, meant: str | None) -> None:
    assert unknown_option(format_, name) == meant
