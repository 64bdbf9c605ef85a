from __future__ import annotations

from pyspark.sql import SparkSession

from trunkline.values import JsonOptions, encode

EVERY_TYPE = r"""
SELECT true AS bool, 1Y AS byte, 2S AS short, 3 AS int, 4L AS long, 0.1F AS float, 1D AS double,
       cast('0.0000001' AS decimal(38, 10)) AS decimal, 'a"b' AS string, X'00ff' AS binary,
       cast('c' AS varchar(3)) AS varchar, date'2024-05-01' AS date,
       timestamp'2024-05-01 12:00:00.5Z' AS at, timestamp_ntz'2024-05-01 12:00:00' AS ntz,
       interval '1 02:03:04' day to second AS gap, array(1, null) AS list, map('k', 1.5D) AS map,
       map(date'2024-05-01', true) AS days, named_struct('x', 1, 'y', array(named_struct('z', null))) AS struct,
       parse_json('{"v": [1, 2.5, "x", null]}') AS variant, array(parse_json('true')) AS variants, null AS nothing
"""


def test_every_type_as_spark_sends_it(spark_session: SparkSession) -> None:
    """Rows that come out of Spark in Arrow, Variants and intervals among them, are written as documented."""
    (batch,) = spark_session.sql(EVERY_TYPE).toArrow().to_batches()
    rows = encode(batch, JsonOptions())
    assert rows.errors == {}
    assert rows.row(0).decode() == (
        '{"bool":true,"byte":1,"short":2,"int":3,"long":4,"float":0.1,"double":1.0,"decimal":0.0000001000,'
        '"string":"a\\"b","binary":"AP8=","varchar":"c","date":"2024-05-01","at":"2024-05-01T12:00:00.500000Z",'
        '"ntz":"2024-05-01T12:00:00","gap":"P1DT2H3M4S","list":[1,null],"map":{"k":1.5},"days":{"2024-05-01":true},'
        '"struct":{"x":1,"y":[{"z":null}]},"variant":{"v":[1,2.5,"x",null]},"variants":[true],"nothing":null}'
    )
