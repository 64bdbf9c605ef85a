"""The one entry point of jobs, on every platform.

    python -m trunkline.jobs --module_name=my_project.etl_job_factory --etl_job='{"input_path": "s3://..."}'
    trunkline-job --module_name=my_project.load:load --config=s3://bucket/load.json --day=2026-05-01

    module_name    the module that holds the job, or `module:function`
    <job_name>     its arguments, a JSON object: the argument with the job's name, or the only one with an object
    config         a file with arguments: JSON, YAML or HOCON. What the command line says goes before it
    run_key        names the run for good; handed through to the result
    run_id         default: the platform's own, else a new one
    result_path    where the result is written to besides, a path or URI

Every other argument is the job's. A module's `main` is called with them; without `main` the only job factory or job
that the module defines. `platform`, `run_id`, `run_key`, `region` and `workspace` are added where the signature has a
place for them and nothing was given. A `main(**kwargs)` gets the job's own argument as a whole too, by its name.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from trunkline.credentials import Redactor
from trunkline.errors import OptionError
from trunkline.jobs.arguments import RESERVED, Fact, merged, read_argv, read_config, unfolded
from trunkline.jobs.binding import bound, named_in, parameters_of
from trunkline.jobs.hand_over import hand_over
from trunkline.jobs.job import AbstractJob, AbstractJobFactory
from trunkline.jobs.notes import Notes, open_notes, resolved, secrets_in
from trunkline.jobs.result import SUCCESS, Result, utc_now
from trunkline.jobs.where import Where, find_out, read_file


def main(argv: Sequence[str] | None = None) -> int:
    """Run a job and tell its result: as the last line of standard output, where `result_path` says, to the platform.

    Args:
        argv: Without the program's name; default: that of the process.

    Returns:
        The exit code: 0 success, 1 failed, 2 wrong arguments or configuration, 3 pending approval, 4 degraded.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if words in (["--help"], ["-h"]):
        sys.stdout.write(__doc__ or "")
        return SUCCESS
    # What a job logs is for people, on standard error; py4j tells of every connection.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    result, where, path = execute(words, os.environ)
    hand_over(result, where, path)
    return result.exit_code


def main_exit() -> None:
    """`main` for a process of its own: what the wheel's `trunkline-job` and the entry scripts of platforms call.

    Ends the process only where the code is not 0: a platform that calls this in a process of its own may take any
    `SystemExit` for a failure.
    """
    with contextlib.suppress(ValueError):  # not in the main thread, as in a notebook
        signal.signal(signal.SIGTERM, _told_to_end)
    code = main()
    if code:
        sys.exit(code)


def execute(
    argv: Sequence[str], environ: Mapping[str, str], read: Callable[[str], str | None] = read_file
) -> tuple[Result, Where, str | None]:
    """Run a job; whatever happens becomes its result.

    Args:
        argv: Without the program's name.
        environ: The environment, for finding out where this is.
        read: Gives the text of a file that tells of the platform.

    Returns:
        The result, the place, and the path or URI that the result is asked for at.
    """
    result = Result(None, str(uuid.uuid4()), started_at=utc_now())
    where, path, notes = Where("local"), None, Notes()
    with open_notes(notes):
        try:
            where = find_out(argv, environ, read)
            result.platform = where.platform
            result.run_id = where.run_id or result.run_id
            words = read_argv(argv, where.owns if where.platform == "glue" else None)
            path = _text(words, "result_path")
            result.job, result.run_key = _text(words, "module_name"), _text(words, "run_key")
            # Before the configuration is read, so that an error of that shows no secret of the command line.
            notes.redactor = Redactor(secrets_in(words))
            config = _text(words, "config")
            given = merged(read_config(config), words) if config else words
            path = _text(given, "result_path")
            result.job, result.run_key = _text(given, "module_name"), _text(given, "run_key")
            run_id = _text(given, "run_id")
            # As it stands in a task's parameters; where Databricks does not know it, it comes as it is.
            result.run_id = run_id if run_id and not run_id.startswith("{{") else result.run_id
            if result.job is None:
                raise OptionError("module_name is missing: give --module_name=package.module")
            notes.redactor = Redactor(secrets_in(given))
            arguments = resolved({name: value for name, value in given.items() if name not in RESERVED})
            notes.redactor = Redactor(secrets_in(arguments, given))
            function = _function(result.job)
            facts = _facts(result, where)
            everything = {**facts, **unfolded(arguments, result.job, named_in(parameters_of(function) or {}))}
            result.take(function(**bound(function, everything, result.job)), notes.redactor)
        except SystemExit as end:
            if end.code:
                result.take_error(end, notes.redactor)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the result is where it is told
            result.take_error(error, notes.redactor)
    result.notices, result.ended_at = notes.notices, utc_now()
    return result, where, path


def _facts(result: Result, where: Where) -> dict[str, Any]:
    known = {
        "platform": where.platform,
        "run_id": result.run_id,
        "run_key": result.run_key,
        "region": where.region,
        "workspace": where.workspace,
    }
    return {name: Fact(value) for name, value in known.items() if value}


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise OptionError(f"{name} needs a value: --{name}=...")
    return value


def _function(spelled: str) -> Callable[..., Any]:
    """What runs the job: `main`, the function that is named, a factory's or a job's `run`."""
    name, _, path = spelled.partition(":")
    if not all(part.isidentifier() for part in name.split(".")):
        raise OptionError("module_name names no module: write package.module or package.module:function")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        hint = "is its wheel installed? From a folder, python -m trunkline.jobs finds the modules in it"
        raise OptionError(f"there is no module {error.name}: {hint}") from None
    if path:
        found = getattr(module, path, None)
        if found is None:
            raise OptionError(f"{name} has no {path}")
        return _runner(found, spelled)
    if hasattr(module, "main"):
        return _runner(module.main, f"{name}.main")
    own = [value for value in vars(module).values() if _is_job(value) and value.__module__ == module.__name__]
    factories = [value for value in own if issubclass(value, AbstractJobFactory)]
    chosen = factories or own
    if len(chosen) != 1:
        what = f"several jobs: name one, as in {name}:{chosen[0].__name__}" if chosen else "no main and no job"
        raise OptionError(f"{name} has {what}; the entry point calls main(**kwargs) or a function {name}:function")
    return _runner(chosen[0], spelled)


def _runner(found: Any, spelled: str) -> Callable[..., Any]:
    if _is_job(found):
        found = found()
    if isinstance(found, (AbstractJob, AbstractJobFactory)):
        return found.run
    if not callable(found):
        raise OptionError(f"{spelled} is no function")
    return found  # type: ignore[no-any-return]


def _is_job(value: Any) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, (AbstractJob, AbstractJobFactory))
        and not inspect.isabstract(value)
    )


def _told_to_end(number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(f"told to end by {signal.Signals(number).name}")
