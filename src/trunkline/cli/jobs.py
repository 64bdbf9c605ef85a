"""`trunkline submit`, `trunkline runs` and `trunkline new entry`: jobs without Spark at hand."""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from trunkline.errors import OptionError, RunError
from trunkline.jobs.options import filter_of, read_options, resolved_for, write_options
from trunkline.jobs.platforms import PLATFORMS, platform_of
from trunkline.jobs.run import Run, RunRequest
from trunkline.jobs.starting import start_all
from trunkline.kinds import json_object

_ENTRY = '''"""Runs any job on {platform}: --module_name=my_project.etl --etl='{{"input_path": "..."}}'"""

from trunkline.jobs.entry import main_exit

main_exit()
'''
_HEADINGS = ("STARTED (UTC)", "TOOK", "PLATFORM", "JOB", "STATE", "RUN", "ERROR")
# How much of an error a line shows.
_ERROR_LENGTH = 60
# When a run that has not started counts.
_TO_COME = datetime.max.replace(tzinfo=timezone.utc)


def submit(given: argparse.Namespace) -> None:
    """Start one run.

    Raises:
        OptionError: Arguments or options are wrong; nothing was started.
        TrunklineError: The platform refused it, or, with `--wait`, it did not succeed.
    """
    try:
        arguments = json_object(given.arguments)
    except ValueError as error:
        raise OptionError(f"--arguments: {error}") from None
    options = write_options(
        _options(given, platform=given.platform, wait="true" if given.wait else None, artifact=given.artifact)
    )
    if not options["platform"]:
        raise OptionError(f"--platform is missing: where? One of {', '.join(PLATFORMS)}")
    options = resolved_for(options, options["platform"])
    key = given.run_key or uuid.uuid4().hex
    labels = dict(_pair(text, "--label") for text in given.label)
    try:
        [run] = start_all(
            [RunRequest(options["platform"][0], given.job, key, arguments, given.target, labels)], options
        )
    except RunError:
        if not given.run_key:
            print(f"run_key {key}", file=sys.stderr)
        raise
    if given.json:
        print(_json(run))
        return
    print(f"{run.state}  {run.job} on {run.platform}, run {run.run_id}" + (f"  {run.url}" if run.url else ""))
    if not given.run_key:
        print(f"run_key {key}: give it as --run-key to start this run, and no second one, again")


def runs(given: argparse.Namespace) -> None:
    """List runs.

    Raises:
        OptionError: Options are wrong.
        TrunklineError: A platform cannot be asked.
    """
    named = {name: getattr(given, name) for name in ("platform", "since", "until", "states", "jobs")}
    options = read_options({"platform": "local", **_options(given, **named)})
    options = resolved_for(options, options["platform"])
    each = [platform_of(name).list_runs(filter_of(options), options) for name in options["platform"]]
    newest_first = heapq.merge(*each, key=lambda run: run.at or _TO_COME, reverse=True)
    found = list(itertools.islice(newest_first, given.limit))
    if given.json:
        for run in found:
            print(_json(run))
        return
    for line in _table([_HEADINGS, *map(_row, found)] if found else [("no runs",)]):
        print(line)


def new_entry(given: argparse.Namespace) -> None:
    """Print or write an entry script.

    Raises:
        OptionError: There is a file already.
    """
    text = _ENTRY.format(platform={"databricks": "Databricks", "glue": "AWS Glue", "emr": "Amazon EMR"}[given.platform])
    if given.path is None:
        print(text, end="")
        return
    path = Path(given.path)
    if path.exists():
        raise OptionError(f"{path} is there already; nothing was written")
    path.write_text(text, encoding="utf-8")
    print(f"{path} written")


def _options(given: argparse.Namespace, **named: str | None) -> dict[str, str]:
    """What was given by `--option`, and by arguments of their own."""
    found = dict(_pair(text, "--option") for text in given.option)
    for name, value in named.items():
        if value is not None and found.setdefault(name, value) != value:
            raise OptionError(f"{name} is given twice: as --{name} and as --option {name}=...")
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"{option} {text}: write NAME=VALUE")
    return name, value


def _json(run: Run) -> str:
    return json.dumps(asdict(run), default=lambda at: at.isoformat())


def _row(run: Run) -> tuple[str, ...]:
    started = f"{run.started_at:%Y-%m-%d %H:%M:%S}" if run.started_at else "-"
    took = "-"
    if run.started_at:
        took = str((run.ended_at or datetime.now(timezone.utc)) - run.started_at).partition(".")[0]
    error = " ".join((run.error or "").split())
    shown = error if len(error) <= _ERROR_LENGTH else error[: _ERROR_LENGTH - 3] + "..."
    return started, took, run.platform, run.job or "-", run.state, run.run_id, shown


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
