"""The response log: what was sent and what came back, as Parquet files that are only ever added.

One record per row sent, under `run=<run>/batch=<batch>/part=<partition>/`, so that a task finds its own partition's
records in one small folder and Spark can prune by run:

    spark.read.parquet("/lake/responses").where("outcome <> 'accepted'").select("status_code", "error", "row")

It is capture, dead-letter queue, receipts and journal in one, and is never rolled back: a sent request cannot be
unsent. Files appear whole: on a local path under a hidden name first, on an object store as one put.
"""

from __future__ import annotations

from trunkline.responses.location import Location, locate, prepare_folder
from trunkline.responses.log import ResponseLog
from trunkline.responses.records import SCHEMA, Record, Task
from trunkline.responses.summary import read_summaries, write_summary

__all__ = [
    "SCHEMA",
    "Location",
    "Record",
    "ResponseLog",
    "Task",
    "locate",
    "prepare_folder",
    "read_summaries",
    "write_summary",
]
