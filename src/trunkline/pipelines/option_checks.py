"""Options of reads, writes, requests and webhooks: by the tables of our own formats, and by the names Spark knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trunkline.config.tree import Path
from trunkline.errors import OptionError
from trunkline.options import Option
from trunkline.pipelines.config import Pipeline, Read, Request, Step, Write
from trunkline.pipelines.observability import Notify
from trunkline.pipelines.problems import keys_of
from trunkline.pipelines.secrets import is_secret, referred
from trunkline.pipelines.spark_names import unknown_option
from trunkline.pipelines.step_checks import OWN_FORMATS, Problem

# What stands there for a webhook whose address is looked up when it is needed.
_SOMEWHERE = "https://webhook.invalid/"


def option_problems(pipeline: Pipeline, path: Path, step: Step) -> Iterator[Problem]:
    """Options of a step: ours by our tables, Spark's by their names; those of formats that nobody knows are theirs."""
    for kind in ("read", "write", "request"):
        part: Read | Write | Request | None = getattr(step, kind)
        if part is None:
            continue
        below = (*path, kind, "options")
        name = "rest" if isinstance(part, Request) else part.format
        if name not in OWN_FORMATS:
            misplaced = [] if isinstance(part, Request) else list(_keys_among_options(below, part))
            yield from misplaced
            told = {path[-1] for path, _ in misplaced}
            yield from _others(below, name, {key: value for key, value in part.options.items() if key not in told})
            continue
        given = referred(part.options, pipeline.secrets)
        if not isinstance(part, Request) and part.path:
            given["path"] = part.path
        use = "stream" if isinstance(part, Read) and part.stream else kind
        table, parse = _format(name, use)
        yield from _checked(below, part.options, given, table, parse)


def webhook_problems(pipeline: Pipeline, path: Path, notify: Notify) -> Iterator[Problem]:
    """Options of a webhook, which are some of `rest`."""
    from trunkline.jobs.notify import WEBHOOK, webhook_options

    if notify.webhook is not None:
        given = referred(notify.options, pipeline.secrets)
        below = (*path, "options")
        if own := next((key for key in notify.options if key.lower() == "url"), None):
            yield (*below, own), "is the webhook itself"
        yield from _checked(below, notify.options, given, WEBHOOK, lambda held: webhook_options(_SOMEWHERE, held))


def foreign_options(pipeline: Pipeline) -> Iterator[Mapping[str, Any]]:
    """The options of each read and write of another format than ours, whose secrets are given to Spark."""
    for step in pipeline.steps:
        for part in (step.read, step.write):
            if part is not None and part.format not in OWN_FORMATS:
                yield part.options


def unknown_options(pipeline: Pipeline) -> Iterator[str]:
    """Sentences about options that are in no list of their format, and near to none that is: Spark may ignore them."""
    for step in pipeline.steps:
        for kind in ("read", "write"):
            part: Read | Write | None = getattr(step, kind)
            if part is None or part.format is None:
                continue
            for key, value in part.options.items():
                if not isinstance(value, Mapping) and unknown_option(part.format, key) == "":
                    yield f"steps.{step.name}.{kind}.options.{key} is in no list of {part.format}: Spark may ignore it"


def _keys_among_options(below: Path, part: Read | Write) -> Iterator[Problem]:
    """Keys of a read or write that stand among the options of a format of Spark's, which has none of that name."""
    names = {name: name for name in keys_of(type(part))} | {
        name: key for name, key in part.known_as.items() if not key.startswith("options")
    }
    keys = {_bare(name): key for name, key in names.items()}
    for name in part.options:
        if part.format and _bare(name) in keys and unknown_option(part.format, name) is not None:
            yield (*below, name), f"is no option of {part.format}: write {keys[_bare(name)]}, beside options"


def _bare(name: str) -> str:
    return name.replace("_", "").lower()


def _others(below: Path, name: str | None, options: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in options.items():
        if isinstance(value, (list, tuple)):
            yield (*below, key), "is a list: Spark takes text"
        elif isinstance(value, Mapping):
            # Of a name with a dot there is no list.
            yield from _others((*below, key), None, value)
        elif name and (meant := unknown_option(name, key)):
            yield (*below, key), f"is unknown to {name}, and Spark would ignore it: did you mean {meant}?"


def _checked(
    below: Path,
    options: Mapping[str, Any],
    given: Mapping[str, Any],
    table: Sequence[Option],
    parse: Callable[[Mapping[str, Any]], Any],
) -> Iterator[Problem]:
    misplaced = list(_misplaced(below, options, table))
    yield from misplaced
    told = {path[: len(below) + 1] for path, _ in misplaced}
    try:
        parse(given)
    except OptionError as error:
        for sentence in error.problems:
            key = sentence.split(" ", 1)[0].rstrip(":")
            found = _option_path(below, options, key)
            if found[: len(below) + 1] not in told:
                yield found, sentence if found == below else sentence[len(key) :].lstrip(": ")


def _misplaced(below: Path, options: Mapping[str, Any], table: Sequence[Option]) -> Iterator[Problem]:
    """References in options that hold no credential: they would be sent as they stand."""
    credentials = {option.name.lower() for option in table if option.kind.secret}
    others = {option.name.lower() for option in table} - credentials
    for path, text in texts(options, ()):
        names = {".".join(map(str, path[:end])).lower() for end in range(1, len(path) + 1)}
        if is_secret(text, str(path[-1])) and names & others and not names & credentials:
            yield (*below, *path), "is a secret, and this option takes none: auth.* and secretHeaders do"


def texts(held: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text in plain data, with where it stands."""
    if isinstance(held, Mapping):
        for key, value in held.items():
            yield from texts(value, (*path, key))
    elif isinstance(held, (list, tuple)):
        for at, value in enumerate(held):
            yield from texts(value, (*path, at))
    elif isinstance(held, str):
        yield path, held


def _format(name: str, use: str) -> tuple[Sequence[Option], Callable[[Mapping[str, Any]], Any]]:
    if name == "rest":
        from trunkline.rest import options as rest

        return rest.TABLE, {
            "read": rest.read_options,
            "stream": rest.stream_options,
            "write": rest.write_options,
            "request": rest.request_options,
        }[use]
    from trunkline.jobs import options as jobs

    parsers = {"read": jobs.read_options, "stream": jobs.stream_options, "write": jobs.write_options}
    return jobs.TABLE, parsers[use]


def _option_path(path: Path, options: Mapping[str, Any], key: str) -> Path:
    """Where an option stands, in one of the ways it can be written."""
    for name, value in options.items():
        if name.lower() == key.lower():
            return (*path, name)
        if isinstance(value, Mapping) and key.lower().startswith(f"{name.lower()}."):
            return _option_path((*path, name), value, key[len(name) + 1 :])
    return path
