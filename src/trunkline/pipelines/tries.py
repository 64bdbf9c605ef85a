"""How often an API was asked by a step, and how often again: retries of `rest`, not of the step.

A `request` has the tries of each row in its answer, which Spark adds up while it makes the rows. A write leaves its
counts with its response log; of one without `responses` they are only in the error, if it fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trunkline.errors import TrunklineError
from trunkline.pipelines.report import StepReport
from trunkline.rest.request_options import RESPONSE_COLUMN

if TYPE_CHECKING:
    from pyspark.sql import Column


def tries_of_rows(options: Mapping[str, Any]) -> list[Column]:
    """The rows of a `request` that took more than one try, and the most tries of one, to be observed.

    Args:
        options: Of the request.
    """
    from pyspark.sql import functions as f

    name = _by_lower(options).get(RESPONSE_COLUMN.name.lower(), RESPONSE_COLUMN.default)
    attempts = f.col(f"`{name}`.attempts")
    return [f.count(f.when(attempts > 1, 1)).alias("rows_repeated"), f.max(attempts).alias("most_tries")]


@contextmanager
def tries_of_write(options: Mapping[str, Any], report: StepReport) -> Iterator[None]:
    """Add to the report of a step what its write to `rest` leaves with its response log, also if it fails.

    Args:
        options: Of the write.
        report: Of the step.
    """
    given = _by_lower(options)
    where, run = given.get("responses"), given.get("runid")
    before = _summaries(where, run)

    def add() -> None:
        for name, summary in (_summaries(where, run) or {}).items():
            if before is not None and name not in before:
                for said, counted in (("requests", "requests"), ("repeated", "retries")):
                    report.http[said] = report.http.get(said, 0) + int(summary.get(counted, 0))

    try:
        yield
    except Exception:
        # Not where the process is told to end: a store may take its time.
        add()
        raise
    add()


def _summaries(where: str | None, run: str | None) -> dict[str, dict[str, Any]] | None:
    """The summaries of a run by their names; None where they cannot be seen from here."""
    if not where or not run:
        return None
    from pyarrow import ArrowException, fs

    from trunkline.responses import locate
    from trunkline.responses.summary import SUMMARY_FOLDER

    try:
        folder = locate(where).within(SUMMARY_FOLDER)
        files = folder.files.get_file_info(fs.FileSelector(folder.path, allow_not_found=True))
        found = {}
        for file in files:
            # RUN-BATCH-TRY.json; the batch of a write that is none of a stream is 0.
            if file.base_name.startswith(f"{run}-0-") and file.base_name.endswith(".json"):
                with folder.files.open_input_stream(file.path) as stream:
                    summary = json.loads(stream.read())
                if summary.get("run_id") == run:
                    found[file.base_name] = summary
        return found
    except (OSError, ValueError, ArrowException, TrunklineError):
        return None


def _by_lower(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in options.items()}
