"""What a new run still owes: the rows of a DataFrame that an earlier run did not get accepted.

rest = pending(df, "/lake/responses", run_id="night-1")
rest.write.format("rest").mode("append").options(**options).save()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from trunkline.errors import OptionError
from trunkline.responses import locate, read_summaries
from trunkline.values import row_digests

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_DIGEST, _NUMBER, _SETTLED = "_trunkline_digest", "_trunkline_number", "_trunkline_settled"
# One row of a run; its record may stand in the log more than once, after a repeated task or while files are merged.
_ROW = ("batch_id", "partition_id", "row_digest", "occurrence")


def pending(
    df: DataFrame,
    sent: str | DataFrame,
    *,
    run_id: str | Sequence[str] | None = None,
    key_columns: Sequence[str] = (),
    ambiguous: bool = False,
) -> DataFrame:
    """The rows of `df` that are still to be sent: all but those accepted, or superseded by a newer version.

    Rows are compared by the digest that the writer puts into the log, nulls included, and equal rows are counted: of
    three equal rows of which two were accepted, one is pending. In which partition a row stands does not matter.

    The files of the log are listed now; what is written to it afterwards changes nothing.

    Args:
        df: What the earlier run wrote, with the same columns.
        sent: Its response log: the folder or URI, the name of a table that holds the records, or a DataFrame of them.
        run_id: The run, or several that sent parts of `df`; default: the newest in the log.
        key_columns: Compare only these columns, which must be unique: a row is settled if a row with its key was
            accepted, whatever else it held. The run must have been written with `log.row=always`.
        ambiguous: Whether rows of which it is not known if the server took them are pending too.

    Returns:
        Rows of `df`, with its columns.

    Raises:
        OptionError: The log holds no record, or its run had other columns.
    """
    from pyspark.sql import functions as f

    spark = df.sparkSession
    path = sent if isinstance(sent, str) and ("/" in sent or "://" in sent) else None
    log = spark.read.parquet(path) if path else spark.table(sent) if isinstance(sent, str) else sent
    runs = _runs(log, run_id)
    log = log.where(f.col("run_id").isin(runs))
    settled = log.where(f.col("outcome").isin("accepted", "superseded", *(() if ambiguous else ("ambiguous",))))
    if key_columns:
        return _by_keys(df, settled, list(key_columns))
    return _by_digests(df, settled, _columns_written(path, runs, df))


def _runs(log: DataFrame, run_id: str | Sequence[str] | None) -> list[str]:
    from pyspark.sql import functions as f

    if run_id is not None:
        wanted = [run_id] if isinstance(run_id, str) else list(run_id)
        there = {row["run_id"] for row in log.where(f.col("run_id").isin(wanted)).select("run_id").distinct().collect()}
        if missing := sorted(set(wanted) - there):
            raise OptionError(f"pending: the log holds no run {', '.join(missing)}: every row would go out again")
        return wanted
    newest = log.orderBy(f.col("requested_at").desc_nulls_last()).select("run_id").first()
    if newest is None:
        raise OptionError("the response log holds no record to tell what was sent")
    return [newest["run_id"]]


def _columns_written(path: str | None, runs: Sequence[str], df: DataFrame) -> list[str]:
    """The columns in the order in which the runs had them, which their digests depend on; the log's summaries tell."""
    from pyspark.sql.types import StructType

    found = [one for one in read_summaries(locate(path)) if one["run_id"] in runs and one.get("schema")] if path else []
    orders = {tuple((field.name, field.dataType) for field in StructType.fromJson(one["schema"])) for one in found}
    here = {(field.name, field.dataType) for field in df.schema}
    for order in orders:
        if set(order) != here:
            wrote = ", ".join(f"{name} {kind.simpleString()}" for name, kind in order)
            raise OptionError(f"the run wrote other columns, so no row can be told to be the same: {wrote}")
    if len(orders) > 1:
        raise OptionError("these runs wrote their columns in different orders: ask for one run at a time")
    return [name for name, _ in next(iter(orders))] if orders else df.columns


def _by_digests(df: DataFrame, settled: DataFrame, columns: Sequence[str]) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as f
    from pyspark.sql.types import BinaryType, StructField, StructType

    # Spark's mapInArrow takes no name with a dot.
    plain = df.select(*map(_quoted, columns)).toDF(*(f"c{number}" for number in range(len(columns))))
    schema = StructType([*plain.schema.fields, StructField(_DIGEST, BinaryType(), nullable=False)])

    def with_digests(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            # Digests hold the names.
            named = pa.schema([field.with_name(name) for field, name in zip(batch.schema, columns, strict=True)])
            digests = pa.array(row_digests(pa.RecordBatch.from_arrays(batch.columns, schema=named)), pa.binary())
            yield pa.RecordBatch.from_arrays([*batch.columns, digests], names=schema.names)

    rows = plain.mapInArrow(with_digests, schema).toDF(*columns, _DIGEST)
    equal = Window.partitionBy(_DIGEST).orderBy(f.lit(0))
    numbered = rows.withColumn(_NUMBER, f.row_number().over(equal))
    times = settled.select("run_id", *_ROW).distinct().groupBy("row_digest").agg(f.count("*").alias(_SETTLED))
    joined = numbered.join(times, numbered[_DIGEST] == times["row_digest"], "left")
    owed = joined.where(f.col(_NUMBER) > f.coalesce(f.col(_SETTLED), f.lit(0)))
    return owed.select(*map(_quoted, df.columns))


def _by_keys(df: DataFrame, settled: DataFrame, keys: Sequence[str]) -> DataFrame:
    from pyspark.sql import functions as f
    from pyspark.sql.types import StructType

    missing = [name for name in keys if name not in df.columns]
    if missing:
        raise OptionError(f"key_columns: no column {', '.join(missing)}; there are {', '.join(df.columns)}")
    schema = StructType([df.schema[name] for name in keys])
    lost = f.raise_error(
        f.lit("a settled row was not kept in the response log, so its key is not known: write with log.row=always")
    )
    kept = f.from_json(f.coalesce("row", lost.cast("string")), schema, {"mode": "FAILFAST"})
    known = settled.select(kept.alias(_SETTLED)).distinct()
    same = [df[_quoted(name)].eqNullSafe(known[_SETTLED][name]) for name in keys]
    condition = same[0]
    for one in same[1:]:
        condition &= one
    return df.join(known, condition, "left_anti")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
