"""The command line of a job: the one form in which every platform hands arguments on, written and read.

    --module_name=my_project.etl_job_factory --run_key=orders-2026-05-01 --etl_job={"input_path": "s3://..."}

Reading takes `--name=value`, `--name value` and `--flag` (true). A value that begins with `--` stands after `=`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from trunkline.config.hocon import read_hocon
from trunkline.config.resolving import Problems, resolved
from trunkline.config.scalars import bare
from trunkline.config.tree import Dialect, SyntaxProblem
from trunkline.errors import MissingExtraError, OptionError
from trunkline.jobs.files import read_text, shown
from trunkline.jobs.run import RunRequest
from trunkline.kinds import json_object

# For Trunkline, not for the job; `run_id` and `run_key` reach a job that asks for them.
RESERVED = ("module_name", "config", "run_key", "run_id", "result_path")
# The language as it is commonly read: `s3://bucket` needs no quotes, and `False` is not a text.
_DIALECT = Dialect(lenient=True)


class Fact(str):
    """What Trunkline knows and adds to the arguments of a job; one that does not take it goes without."""

    __slots__ = ()


class JobObject(dict[str, Any]):
    """The job's own argument, `--etl_job={...}`, as a whole; its fields stand beside it as arguments."""


def job_name(module: str) -> str:
    """What the job's own argument is called: `etl_job` for `my_project.etl_job_factory`, `load` for `my.etl:load`."""
    name = module.rpartition(":")[2].rpartition(".")[2].removesuffix("_factory")
    return f"{name}_job" if name in RESERVED else name


def arguments_of(request: RunRequest) -> dict[str, str]:
    """The arguments that start a request's job, by name without dashes, each as text without line breaks."""
    text = json.dumps(dict(request.arguments), separators=(",", ":"), ensure_ascii=True)
    return {"module_name": request.job, "run_key": request.run_key, job_name(request.job): text}


def argv_of(request: RunRequest, config: str | None = None) -> list[str]:
    """The same as the words of a command line.

    Args:
        request: What is asked for.
        config: The file that holds `config_of(request)`, for a command line on this machine, where everybody sees it.
    """
    given = arguments_of(request)
    if config is not None:
        del given[job_name(request.job)]
        given["config"] = config
    return [f"--{name}={value}" for name, value in given.items()]


def config_of(request: RunRequest) -> dict[str, Any]:
    """The arguments of a request's job as a file holds them."""
    return {job_name(request.job): dict(request.arguments)}


def read_argv(words: Iterable[str], of_platform: Callable[[str], bool] | None = None) -> dict[str, Any]:
    """Arguments by name, as text; a JSON object as what it holds, a flag as true.

        read_argv(["--limit=5", "--etl_job", '{"day": "2026-05-01"}', "--full"])
        # {"limit": "5", "etl_job": {"day": "2026-05-01"}, "full": True}

    Args:
        words: Of the command line, without the program's name.
        of_platform: Which names are the platform's own, and left out. Words that belong to no name are then its own
            too: Glue adds some.

    Raises:
        OptionError: With every problem at once, and no value in it.
    """
    found: dict[str, Any] = {}
    problems: list[str] = []
    waiting: str | None = None
    for position, word in enumerate(words, 1):
        if word.startswith("--"):
            name, equals, text = word[2:].partition("=")
            if not name:
                problems.append(f"word {position} has no name: write --name=value")
            elif name in found and not (of_platform and of_platform(name)):
                problems.append(f"{name} is given twice")
            found[name] = text if equals else True
            waiting = None if equals else name
        elif waiting is not None:
            found[waiting], waiting = word, None
        elif of_platform is None:
            problems.append(f"word {position} belongs to no argument: write --name=value")
    for name, value in found.items():
        try:
            found[name] = _json_or_text(value)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise OptionError("the command line of the job is wrong", problems)
    return {
        name: value
        for name, value in found.items()
        if not (of_platform and of_platform(name)) or isinstance(value, dict)
    }


def read_config(uri: str) -> dict[str, Any]:
    """The arguments in a file: an object of the same names as on the command line, in JSON, YAML or HOCON.

    Args:
        uri: A path, or a URI that `pyarrow.fs` opens. `.yaml`, `.yml`, `.conf` and `.hocon` say what it holds; any
            other is JSON.

    Raises:
        OptionError: It cannot be read, or holds no object; of HOCON every problem with its file and line, and no value.
        MissingExtraError: YAML needs pyyaml, a URI needs pyarrow.
    """
    ending = uri.partition("?")[0].rpartition(".")[2].lower()
    if ending in {"conf", "hocon"}:
        return _hocon(uri)
    text = read_text(uri)
    try:
        if ending in {"yaml", "yml"}:
            import yaml

            return json_object(yaml.safe_load(text))
        return json_object(text)
    except ImportError:
        raise MissingExtraError(f"config={shown(uri)} needs pyyaml: pip install pyyaml, or write it in JSON") from None
    except Exception as error:  # noqa: BLE001 - a library has errors of its own, which may quote the file
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise OptionError(f"config={shown(uri)} cannot be read: {reason}") from None


def merged(config: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """Both; the command line goes before the file, field by field in the objects that both hold."""
    both = {**config, **words}
    for name, value in words.items():
        if isinstance(value, Mapping) and isinstance(config.get(name), Mapping):
            both[name] = {**config[name], **value}
    return both


def unfolded(arguments: Mapping[str, Any], module: str, parameters: Collection[str] = ()) -> dict[str, Any]:
    """The fields of the job's own argument beside the others, which go before them; itself as a `JobObject`.

    It is the one that bears the job's name, else the only one that holds an object and is no parameter itself.

    Args:
        arguments: By name.
        module: The job.
        parameters: That the job takes by name.

    Raises:
        OptionError: Several might be it.
    """
    own = job_name(module)
    held = [name for name, value in arguments.items() if isinstance(value, Mapping)]
    objects = [name for name in held if name == own or name not in parameters]
    if own not in objects and len(objects) > 1:
        advice = f"give the arguments of the job as --{own}={{...}}"
        raise OptionError(f"{' and '.join(objects)} hold JSON objects: {advice}")
    if not objects:
        return dict(arguments)
    name = own if own in objects else objects[0]
    return {**arguments[name], **arguments, name: JobObject(arguments[name])}


def _hocon(uri: str) -> dict[str, Any]:
    problems = Problems()
    try:
        found = resolved(read_hocon(uri, read_text, shown, _DIALECT), os.environ, problems, _DIALECT)
    except SyntaxProblem as problem:
        problems.append((problem.place, str(problem)))
    if problems:
        told = list(dict.fromkeys(f"{place or shown(uri)}: {sentence}" for place, sentence in problems))
        raise OptionError(f"config={shown(uri)} cannot be read", told)
    held: dict[str, Any] = bare(found.data)
    return held


def _json_or_text(value: Any) -> Any:
    """A text that can only be meant as a JSON object as that object; `{day}/x` is a text."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    inner = value.lstrip()[1:].lstrip()
    return json_object(value) if inner[:1] in {'"', "}"} else value
