"""`trunkline log`: what became of the runs of a response log, and fewer files of it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.errors import OptionError, ResponseLogError

if TYPE_CHECKING:
    from trunkline.responses import Location

# How many kinds of error `log show` names for a run, and how much of each.
_ERRORS, _ERROR_LENGTH = 3, 160


def show(given: argparse.Namespace) -> None:
    """What became of each run."""
    from trunkline.compact import folders
    from trunkline.responses import read_summaries
    from trunkline.rest.report import Counts, tell

    log = _existing_log(given.path)
    summaries = read_summaries(log)
    for summary in summaries:
        counts = Counts(**{one.name: summary.get(one.name, 0) for one in fields(Counts)})
        batch = "" if summary.get("batch_id") is None else f" micro-batch {summary['batch_id']}"
        at = str(summary.get("finished_at", ""))[:19].replace("T", " ")
        print(f"{summary['run_id']}{batch}  {summary['state']}  {at}\n  {tell(counts)}")
        if summary.get("error"):
            print(f"  {_short(summary['error'])}")
        if counts.refused:
            batch_folder = f"batch={summary.get('batch_id') or 0}"
            _print_errors(_outcomes(log.within(f"run={summary['run_id']}", batch_folder))[1])
    told = {(f"run={summary['run_id']}", f"batch={summary.get('batch_id') or 0}") for summary in summaries}
    for run in folders(log, "run="):
        for batch_location in folders(run, "batch="):
            names = (Path(run.path).name, Path(batch_location.path).name)
            if names not in told:
                accepted, others = _outcomes(batch_location)
                print(f"{names[0][4:]} {names[1]}  no summary: still running, or killed")
                print(f"  So far {accepted:,} accepted, {len(others):,} not")
                _print_errors(others)
    if not summaries and not folders(log, "run="):
        print("no runs yet")


def compact(given: argparse.Namespace) -> None:
    """Merge the small files of runs that are over."""
    from trunkline.compact import compact as merge
    from trunkline.kinds import duration

    _existing_log(given.path)
    try:
        older_than = None if given.older_than is None else duration(given.older_than)
    except ValueError as error:
        raise OptionError(f"--older-than: {error}") from None
    before = after = 0
    left: Counter[str] = Counter()
    for folder in merge(given.path, older_than=older_than):
        if folder.left_alone:
            left[folder.left_alone] += 1
        before, after = before + folder.before, after + folder.after
    print(f"{before:,} files before, {after:,} now")
    for reason, count in left.items():
        print(f"{count:,} partition{'s' if count > 1 else ''} left alone: {reason}")


def _existing_log(path: str) -> Location:
    import pyarrow.fs as pafs

    from trunkline.responses import locate

    location = locate(path)
    if location.files.get_file_info(location.path).type != pafs.FileType.Directory:
        raise OptionError(f"there is no response log at {path}")
    return location


def _outcomes(folder: Location) -> tuple[int, list[dict[str, Any]]]:
    """How many rows of a micro-batch were accepted, and the newest record of each row that was not."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    # Within one folder these tell a row; a copy of a record, or an earlier attempt at the row, has the same.
    identity = ["partition_id", "row_digest", "occurrence"]
    told = [*identity, "requested_at", "outcome", "error", "response_body"]
    is_accepted = ds.field("outcome") == "accepted"
    try:
        found = ds.dataset(folder.path, filesystem=folder.files, format="parquet", partitioning=None)
        accepted = found.to_table(identity, filter=is_accepted).group_by(identity).aggregate([])
        others = found.to_table(told, filter=~is_accepted).join(accepted, identity, join_type="left anti")
    except (OSError, pa.ArrowException) as error:
        raise ResponseLogError(f"the response log {folder.path} cannot be read: {error}") from None
    others = others.sort_by([("requested_at", "ascending")])
    newest = {tuple(record[name] for name in identity): record for record in others.to_pylist()}
    return accepted.num_rows, list(newest.values())


def _print_errors(records: Sequence[dict[str, Any]]) -> None:
    """The commonest reasons for which rows were not accepted."""
    reasons = Counter(
        f"{record['outcome']}: {_short(' '.join(filter(None, [record['error'], record['response_body']])))}"
        for record in records
    )
    for reason, count in reasons.most_common(_ERRORS):
        print(f"  {count:,} x {reason}")
    if len(reasons) > _ERRORS:
        print(f"  and {len(reasons) - _ERRORS:,} other reasons")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ERROR_LENGTH else line[: _ERROR_LENGTH - 3] + "..."
