"""The command `trunkline`.

    trunkline demo                            see it work, with a local API and a local Spark
    trunkline formats                         what can be read and written
    trunkline describe rest --write           the options of a format; --schema for JSON Schema
    trunkline log show /lake/responses        what became of each run
    trunkline log compact /lake/responses     merge the small files of runs that are over

Exit codes: 0 done, 1 failed, 2 wrong usage or options, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from trunkline import __version__
from trunkline.errors import MissingExtraError, OptionError, ResponseLogError, TrunklineError

if TYPE_CHECKING:
    from trunkline.options import Option
    from trunkline.responses import Location

# The formats of `trunkline.SOURCES`, known without loading Spark.
FORMATS = ("rest", "jobs")
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
# Wide enough for the text of an option, narrow enough to be read.
_WIDEST = 120
# How many kinds of error `log show` names for a run, and how much of each.
_ERRORS, _ERROR_LENGTH = 3, 160


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what the wheel's `trunkline` calls.

    Args:
        arguments: Without the program's name; default: those of the process.

    Returns:
        The exit code.
    """
    try:
        given = _parser().parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        code: int = given.run(given)
        sys.stdout.flush()
        return code
    except OptionError as error:
        print(f"trunkline: {error}", file=sys.stderr)
        return USAGE
    except (TrunklineError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # The reader has seen enough (`| head`). Nothing more may be written, not even at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        print(f"trunkline: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("trunkline: interrupted", file=sys.stderr)
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command with its whole help: one look shows what would have been right."""

    def error(self, message: str) -> NoReturn:
        self.print_help(sys.stderr)
        self.exit(USAGE, f"\n{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="trunkline", description="REST APIs and job platforms as native Spark data sources.")
    parser.add_argument("--version", action="version", version=f"trunkline {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="see it work: a local API, Spark, rows in and out")
    demo.set_defaults(run=_demo)

    formats = commands.add_parser("formats", help="list the formats and what each can do")
    formats.set_defaults(run=_formats)

    describe = commands.add_parser("describe", help="list the options of a format")
    describe.add_argument("format", choices=FORMATS, help="its name")
    for use, spoken in (("read", "reading"), ("stream", "reading a stream"), ("write", "writing")):
        describe.add_argument(
            f"--{use}", dest="use", action="store_const", const=use, help=f"only what applies to {spoken}"
        )
    describe.add_argument("--schema", action="store_true", help="print JSON Schema instead")
    describe.set_defaults(run=_describe)

    log = commands.add_parser("log", help="look at a response log, or merge its files")
    actions = log.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = actions.add_parser("show", help="what became of each run")
    show.add_argument("path", metavar="PATH", help="the folder or URI given as the option responses")
    show.set_defaults(run=_log_show)
    compact = actions.add_parser("compact", help="merge the small files of runs that are over")
    compact.add_argument("path", metavar="PATH", help="the folder or URI given as the option responses")
    compact.add_argument(
        "--older-than", metavar="AGE", help="also runs without a summary, if their newest file is older: 7d, 12h"
    )
    compact.set_defaults(run=_log_compact)
    return parser


def _demo(_: argparse.Namespace) -> int:
    from trunkline.demo import run

    return run()


def _formats(_: argparse.Namespace) -> int:
    try:
        from pyspark.sql.datasource import DataSource
    except ImportError:
        raise MissingExtraError('formats asks Spark 4, which is not here: pip install "trunkline[spark]"') from None
    from trunkline import SOURCES

    ways = {"read": "reader", "readStream": "streamReader", "write": "writer", "writeStream": "streamWriter"}
    rows = [["format", *ways, "what it is"]]
    for source in SOURCES:
        can = [getattr(source, method) is not getattr(DataSource, method) for method in ways.values()]
        about = (importlib.import_module(f"trunkline.{source.name()}").__doc__ or "").split("\n", 1)[0]
        rows.append([source.name(), *("yes" if one else "-" for one in can), about])
    for row in rows:
        print("".join(f"{cell:<13}" for cell in row).rstrip())
    print("\ntrunkline describe FORMAT lists its options.")
    return DONE


def _describe(given: argparse.Namespace) -> int:
    from trunkline.options import json_schema

    table: Sequence[Option] = importlib.import_module(f"trunkline.{given.format}.options").TABLE
    use = given.use
    if given.schema:
        print(json.dumps(json_schema(table, given.format, use), indent=2))
        return DONE
    chosen = [option for option in table if use is None or use in option.applies]
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    names = max(len(option.name) for option in chosen) + 2
    for group in dict.fromkeys(option.group for option in chosen):
        print(f"\n{group}")
        for option in chosen:
            if option.group == group:
                print("\n".join(_option_lines(option, names, width)))
    return DONE


def _option_lines(option: Option, names: int, width: int) -> Iterator[str]:
    """An option for a terminal: its name, what it does, and below that what it takes."""
    values = " | ".join(option.choices) or option.kind.name
    default = "required" if option.required else f"default {option.default}" if option.default is not None else ""
    example = f"such as {option.example}" if option.example and not option.default else ""
    indent = " " * (names + 2)
    doc = textwrap.wrap(option.doc.replace("`", ""), max(width - names - 2, 20))
    yield f"  {option.name:<{names}}{doc[0]}"
    yield from (indent + line for line in doc[1:])
    takes = textwrap.wrap("; ".join(filter(None, [values, default, example])), max(width - names - 2, 20))
    yield from (indent + line for line in takes)


def _log_show(given: argparse.Namespace) -> int:
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
    return DONE


def _log_compact(given: argparse.Namespace) -> int:
    from trunkline.compact import compact
    from trunkline.kinds import duration

    _existing_log(given.path)
    try:
        older_than = None if given.older_than is None else duration(given.older_than)
    except ValueError as error:
        raise OptionError(f"--older-than: {error}") from None
    before = after = 0
    left: Counter[str] = Counter()
    for folder in compact(given.path, older_than=older_than):
        if folder.left_alone:
            left[folder.left_alone] += 1
        before, after = before + folder.before, after + folder.after
    print(f"{before:,} files before, {after:,} now")
    for reason, count in left.items():
        print(f"{count:,} partition{'s' if count > 1 else ''} left alone: {reason}")
    return DONE


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


if __name__ == "__main__":
    raise SystemExit(main())
