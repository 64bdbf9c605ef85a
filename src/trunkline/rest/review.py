"""Looking before and after: what a write would send, what it came to, and which rows were refused.

preview(df, {"url": "https://api.example.com/users/{id}"}, n=2)   # nothing is sent
summary("/lake/responses")                                        # one dict per run and micro-batch
rejected(spark, "/lake/responses")                                # the refused rows, typed as they were
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trunkline.credentials import MASK
from trunkline.errors import OptionError
from trunkline.responses import locate, read_summaries
from trunkline.rest.asked import ASKED, counted
from trunkline.rest.door import Door
from trunkline.rest.kept_rows import with_types
from trunkline.rest.options import write_options
from trunkline.rest.rows import RequestBuilder
from trunkline.rest.write_options import content_type

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# The struct in which `rejected` puts what the log knows of a row, beside the row's own columns.
RESPONSE_COLUMN = "response"
_IDENTITY = ["run_id", "batch_id", "partition_id", "row_digest", "occurrence"]
_TOLD = ["run_id", "batch_id", "request_id", "outcome", "status_code", "error", "response_body", "requested_at"]


def preview(df: DataFrame, options: Mapping[str, Any], n: int = 5) -> list[dict[str, Any]]:
    """The first requests a write would send, with credentials masked. Nothing is sent, no token is fetched.

    Args:
        df: What would be written.
        options: As for the write; nested or dotted.
        n: Rows to look at.

    Returns:
        `method`, `url`, `headers` and `body` (text) of each request; `refused` with the reason for a row that cannot
        be sent.

    Raises:
        OptionError: As the write would raise it.
    """
    from trunkline.rest.writer import check_columns
    from trunkline.values.spark_rows import from_rows
    from trunkline.values.spark_types import arrow_schema

    parsed = write_options(options)
    check_columns(df.schema, parsed)
    builder = RequestBuilder(parsed, df.columns)
    door = Door(parsed, batched=builder.batched)
    found: list[dict[str, Any]] = []
    # Not by toArrow(), which fails on a null of what has parts that are never null: a Variant, a struct.
    rows = from_rows(df.limit(n).collect(), df.schema, arrow_schema(df.schema))
    for batch in builder.rechunked(iter((rows,))):
        if batch is None:
            continue
        chunk = builder.chunk(builder.ordered(batch))
        found += [{"refused": reason} for _, reason in sorted(chunk.refused.items())]
        for request in builder.requests(chunk):
            opened = door.opened(request)
            if isinstance(opened, str):
                found.append({"refused": opened})
                continue
            headers = {name: value for name, value in (parsed["headers"] or {}).items() if "{" not in value}
            headers |= dict(opened.headers or {}) | dict.fromkeys(parsed["secretHeaders"] or (), MASK)
            if (kind := content_type(parsed)) is not None:
                headers["Content-Type"] = kind
            if (name := _auth_header(parsed)) is not None:
                headers[name] = MASK
            if parsed["compression"] == "gzip" and opened.body is not None:
                headers["Content-Encoding"] = "gzip"
            found.append({"method": opened.method, "url": opened.url, "headers": headers, "body": _text(opened.body)})
    return found


def summary(responses: str) -> list[dict[str, Any]]:
    """What each run (and micro-batch) in a response log came to, oldest first.

    Args:
        responses: The folder or URI given as the option `responses`.

    Returns:
        Per run `run_id`, `batch_id`, `state` (succeeded, failed), `error`, the counts of rows by outcome, `requests`,
        `retries`, `bytes_sent`, `tasks`, `task_seconds`, `finished_at`. Of a `request()`, whose end nobody sees, the
        `state` is `asked`, and counts are those of the records that are there now.
    """
    location = locate(responses)
    found = read_summaries(location)
    # A run may be asked for, and a micro-batch replayed, more than once: their records are the same.
    newest = {(one["run_id"], one["batch_id"]): one for one in found if one["state"] == ASKED}
    summaries = [one for one in found if one["state"] != ASKED or newest[one["run_id"], one["batch_id"]] is one]
    summaries = [counted(location, one) if one["state"] == ASKED else one for one in summaries]
    return [{name: value for name, value in found.items() if name != "schema"} for found in summaries]


def rejected(spark: SparkSession, responses: str, run_id: str | None = None) -> DataFrame:
    """The rows that were not accepted, with the columns and types they had, to be mended and written again.

    A row that a later attempt of the same run got accepted is not among them. A Variant that held the null of JSON is
    null. Wants pandas on the driver, as Spark's mapInArrow does.

    Args:
        spark: The session to read with.
        responses: The folder or URI given as the option `responses`.
        run_id: Of one run only; default: of the newest.

    Returns:
        The original columns, and a struct `response`: run_id, batch_id, request_id, outcome, status_code, error,
        response_body, requested_at.

    Raises:
        OptionError: The log has no summary to tell the rows' types by, or was written with `log.row=never`.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f
    from pyspark.sql.types import StructType

    summaries = [
        one for one in read_summaries(locate(responses)) if one.get("schema") and run_id in (None, one["run_id"])
    ]
    if not summaries:
        raise OptionError(
            f"{responses} holds no finished run{f' {run_id}' if run_id else ''} to tell the rows' types by"
        )
    newest = max(summaries, key=lambda one: str(one["finished_at"]))
    schema = StructType.fromJson(newest["schema"])
    log = spark.read.parquet(responses)
    # The folder's own column lets Spark leave other runs unread.
    log = log.where((f.col("run").cast("string") == newest["run_id"]) & (f.col("run_id") == newest["run_id"]))
    accepted = f.max((f.col("outcome") == "accepted").cast("int")).over(Window.partitionBy(*_IDENTITY))
    latest = f.row_number().over(Window.partitionBy(*_IDENTITY).orderBy(f.col("requested_at").desc_nulls_last()))
    refused = log.withColumns({"_accepted": accepted, "_latest": latest}).where(
        "_accepted = 0 AND _latest = 1 AND outcome NOT IN ('unsent', 'superseded')"
    )
    lost = f.raise_error(
        f.lit("a refused row was not kept in the response log (log.row), or JSON cannot hold its values")
    )
    refused = refused.withColumn("row", f.coalesce("row", lost.cast("string")))
    return with_types(refused.select("row", f.struct(*_TOLD).alias(RESPONSE_COLUMN)), schema)


def _text(body: bytes | None) -> str | None:
    if body is None:
        return None
    packed = body[:2] == b"\x1f\x8b"
    return (gzip.decompress(body) if packed else body).decode("utf-8", "replace")


def _auth_header(options: Mapping[str, Any]) -> str | None:
    kind = options["auth.type"]
    if kind == "none" or (kind == "apiKey" and options["auth.in"] == "query"):
        return None
    return str(options["auth.name"]) if kind == "apiKey" else "Authorization"
