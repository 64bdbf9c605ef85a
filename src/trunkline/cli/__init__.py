"""The command `trunkline`.

    trunkline demo                            see it work, with a local API and a local Spark; --pipeline for pipelines
    trunkline formats                         what can be read and written
    trunkline describe rest --write           the options of a format; --schema for JSON Schema
    trunkline submit my_project.etl --platform glue --wait
    trunkline runs --platform glue --since 1d
    trunkline validate pipeline.conf          what is wrong with a pipeline, before Spark starts; --schema for editors
    trunkline run pipeline.conf               run it: --dry-run shows what it would do, --resume last goes on
    trunkline coordinator --rate-limit 200/s  one rate and one login for all tasks of a query
    trunkline new entry glue entry.py         the script that runs any job on Glue
    trunkline new pipeline customers          a small pipeline, customers.yaml, to begin with
    trunkline new project salesforce          a folder of jobs with tests, Makefile and CI
    trunkline new job accounts                in such a folder: one more job
    trunkline log show /lake/responses        what became of each run
    trunkline log compact /lake/responses     merge the small files of runs that are over

Exit codes: 0 done, 1 failed, 2 wrong usage or options, or a package is missing, 130 interrupted; of `run` also
3 pending approval, 4 degraded.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from trunkline import __version__
from trunkline.errors import MissingExtraError, OptionError, TrunklineError
from trunkline.jobs.platforms import PLATFORMS

# The formats of `trunkline.SOURCES`, known without loading Spark.
FORMATS = ("rest", "jobs")
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


_PIPELINE_FILE = "a path or URI: .conf (HOCON), .yaml, .yml or .json"


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
    except (OptionError, MissingExtraError) as error:
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
    demo.add_argument("--pipeline", action="store_true", help="run five pipelines instead, one for each kind of login")
    demo.set_defaults(run=_demo)

    formats = commands.add_parser("formats", help="list the formats and what each can do")
    formats.set_defaults(run=_command("formats", "formats"))

    describe = commands.add_parser("describe", help="list the options of a format")
    describe.add_argument("format", choices=FORMATS, help="its name")
    uses = (("read", "reading"), ("stream", "reading a stream"), ("write", "writing"), ("request", "request()"))
    for use, spoken in uses:
        describe.add_argument(
            f"--{use}", dest="use", action="store_const", const=use, help=f"only what applies to {spoken}"
        )
    describe.add_argument("--schema", action="store_true", help="print JSON Schema instead")
    describe.set_defaults(run=_command("formats", "describe"))

    log = commands.add_parser("log", help="look at a response log, or merge its files")
    actions = log.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = actions.add_parser("show", help="what became of each run")
    show.add_argument("path", metavar="PATH", help="the folder or URI given as the option responses")
    show.set_defaults(run=_command("log", "show"))
    compact = actions.add_parser("compact", help="merge the small files of runs that are over")
    compact.add_argument("path", metavar="PATH", help="the folder or URI given as the option responses")
    compact.add_argument(
        "--older-than", metavar="AGE", help="also runs without a summary, if their newest file is older: 7d, 12h"
    )
    compact.set_defaults(run=_command("log", "compact"))

    submit = commands.add_parser("submit", help="start a job on a platform")
    submit.add_argument("job", metavar="MODULE", help="the job's module: my_project.etl")
    submit.add_argument("--platform", help=f"where: {', '.join(PLATFORMS)}")
    submit.add_argument("--arguments", metavar="JSON", default="{}", help="its arguments, a JSON object")
    submit.add_argument("--target", metavar="NAME", help="the platform's own job, by id or name")
    submit.add_argument("--artifact", metavar="URI", help="wheel, zip or Python file that holds the job")
    submit.add_argument("--run-key", metavar="KEY", help="names the run: the same key never starts a second one")
    submit.add_argument("--label", metavar="NAME=VALUE", action="append", default=[], help="shown beside the run")
    submit.add_argument("--wait", action="store_true", help="wait for its end, and fail if it fails")
    submit.add_argument("--json", action="store_true", help="print the run as one JSON object")
    _add_options(submit)
    submit.set_defaults(run=_command("jobs", "submit"))

    runs = commands.add_parser("runs", help="list the runs of a platform, newest first")
    runs.add_argument("--platform", help="one or several, with commas; default: local")
    for name, shape, spoken in (
        ("since", "TIME", "only runs that started at or after this time: 1h, 2d, 2026-05-01"),
        ("until", "TIME", "only runs that started before this time"),
        ("states", "STATES", "only runs in these states: FAILED,TIMED_OUT"),
        ("jobs", "MODULES", "only runs of these modules, or of these jobs of the platform's own"),
    ):
        runs.add_argument(f"--{name}", metavar=shape, help=spoken)
    runs.add_argument("--limit", metavar="N", type=int, default=20, help="at most so many; default: 20")
    runs.add_argument("--json", action="store_true", help="print each run as a line of JSON")
    _add_options(runs)
    runs.set_defaults(run=_command("jobs", "runs"))

    validate = commands.add_parser("validate", help="check a pipeline file, without Spark")
    validate.add_argument("file", metavar="FILE", nargs="?", help=_PIPELINE_FILE)
    _add_overrides(validate)
    validate.add_argument("--schema", action="store_true", help="print JSON Schema for editors instead")
    validate.set_defaults(run=_command("pipelines", "validate"))

    run = commands.add_parser("run", help="run a pipeline file")
    run.add_argument("file", metavar="FILE", help=_PIPELINE_FILE)
    _add_overrides(run)
    run.add_argument("--dry-run", action="store_true", help="show what would be done, without Spark")
    run.add_argument("--runs", metavar="URI", default="runs", help="where reports are kept; default: runs")
    run.add_argument(
        "--resume", metavar="RUN", help="go on with a run, by its id, `last`, or `auto`: what it finished is kept"
    )
    for name, spoken in (
        ("repeat", "with --resume: do this write again, though its rows may be there"),
        ("done", "with --resume: take this write for done"),
    ):
        run.add_argument(f"--{name}", metavar="STEP", action="append", default=[], help=spoken)
    run.add_argument("--log", choices=("console", "json"), default="console", help="form of the log; default: console")
    run.set_defaults(run=_command("pipelines", "run"))

    coordinator = commands.add_parser("coordinator", help="one rate and one login for all tasks of a query")
    coordinator.add_argument("--rate-limit", metavar="RATE", help="for all tasks together: 200/s, 10/s,5000/h")
    coordinator.add_argument(
        "--auth", metavar="NAME=VALUE", action="append", default=[],
        help="an option auth.* without its prefix: type=oauth2, clientSecret=env:CLIENT_SECRET",
    )  # fmt: skip
    coordinator.add_argument("--host", default="127.0.0.1", help="the address to listen on; default: 127.0.0.1")
    coordinator.add_argument("--port", type=int, default=0, help="default: any that is free")
    coordinator.add_argument(
        "--options-file", metavar="PATH",
        help="write the options there, as JSON only you can read, instead of printing them; a key it holds is kept",
    )  # fmt: skip
    coordinator.add_argument("--progress", action="store_true", help="show a progress bar")
    coordinator.set_defaults(run=_command("coordinator", "serve"))

    new = commands.add_parser("new", help="write a file or a folder to begin with")
    kinds = new.add_subparsers(title="commands", metavar="COMMAND", required=True)
    entry = kinds.add_parser("entry", help="the script that a platform calls to run any job")
    entry.add_argument("platform", choices=("databricks", "glue", "emr"), help="where it is to run")
    entry.add_argument("path", metavar="PATH", nargs="?", help="default: standard output")
    entry.set_defaults(run=_command("jobs", "new_entry"))
    pipeline = kinds.add_parser("pipeline", help="a small pipeline, NAME.yaml, to change as you need it")
    pipeline.add_argument("name", metavar="NAME", help="its name: letters, digits, _ and -")
    pipeline.set_defaults(run=_command("pipelines", "new_pipeline"))
    project = kinds.add_parser("project", help="a folder of jobs with tests, Makefile and CI, whose tests pass")
    project.add_argument("name", metavar="NAME", help="of the folder and the wheel: letters, digits, -, _ and .")
    project.set_defaults(run=_command("projects", "new_project"))
    job = kinds.add_parser("job", help="in a project: one more job, jobs/NAME, with its tests")
    job.add_argument("name", metavar="NAME", help="of the module: small letters, digits and _")
    job.set_defaults(run=_command("projects", "new_job"))
    return parser


def _add_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--override", metavar="KEY=VALUE", action="append", default=[],
        help="a value instead of the file's: spark.master=local[2], vars.root=/tmp, steps.load.write.path=/x",
    )  # fmt: skip


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--option", "-o", metavar="NAME=VALUE", action="append", default=[],
        help="an option of the format jobs, such as glue.job=nightly; `trunkline describe jobs` lists them",
    )  # fmt: skip


def _demo(given: argparse.Namespace) -> int:
    from trunkline.demo import auth, run

    return auth.run() if given.pipeline else run()


def _command(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """A command whose module is loaded when it is called."""

    def run(given: argparse.Namespace) -> int:
        code: int | None = getattr(import_module(f"trunkline.cli.{module}"), name)(given)
        return code or DONE

    return run
