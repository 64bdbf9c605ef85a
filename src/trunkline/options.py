"""Option tables: an option is declared once, and that gives parsing, validation, redaction, documentation and a schema.

    TABLE = (Option("url", URL, "Where to write.", required=True), Option("batch.rows", INTEGER, "...", "1", minimum=1))
    options = parse(TABLE, {"url": "https://api.example.com", "batch.rows": "500"}, format="rest", use="write")
    options["batch.rows"]   # 500
    options                 # <rest options: url=https://api.example.com, batch.rows=500>

Keys are found in any case, because Spark lower-cases them, and may be nested, `{"batch": {"rows": 500}}`, in Python.
Everything that is wrong with a call is reported in one `OptionError`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.credentials import MASK, Redactor, Secret, resolve
from trunkline.errors import OptionError
from trunkline.kinds import BOOLEAN, DURATION, SIZE, Kind

USES = ("read", "stream", "write", "request")
# What Spark itself adds to the options of a source or sink; none of them is for the format.
SPARK_KEYS = ("checkpointLocation", "queryName", "outputMode")
# Below this ratio a guess at the wanted name is noise.
_SIMILAR = 0.6


@dataclass(frozen=True)
class Option:
    """One option of a format.

    Attributes:
        name: As it is written in documentation and messages.
        kind: How its text becomes a value.
        doc: What it does, in Markdown, for the table of options.
        default: As a user would write it; None for none.
        choices: The values of a `CHOICE`, found in any case.
        later: Choices that are promised but not in this release.
        minimum: The smallest number, duration (seconds) or size (bytes).
        required: Whether there is no doing without it.
        example: A value that is accepted, as a user would write it.
        group: The heading it stands under in the documentation.
        applies: Where it may be given: `read` (batch), `stream` (reading a stream), `write` (batch and stream),
            `request` (`trunkline.rest.request`).
        known_as: Names that users of other tools try first.
    """

    name: str
    kind: Kind
    doc: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    minimum: float | None = None
    required: bool = False
    example: str | None = None
    group: str = ""
    applies: tuple[str, ...] = USES
    known_as: tuple[str, ...] = ()

    def parse(self, given: object) -> Any:
        """The value of what was given.

        Raises:
            ValueError: A sentence that says what is wrong, without the option's name.
        """
        if isinstance(given, str) and not given.strip():
            message = "is empty: give a value or leave it out"
            raise ValueError(message)
        value = self.kind.parse(given)
        if self.choices:
            value = self._choose(value)
        if self.minimum is not None and value is not None and value < self.minimum:
            message = f"must be at least {_amount(self.kind, self.minimum)}"
            raise ValueError(message)
        return value

    def _choose(self, value: str) -> str:
        wanted = value.strip().lower()
        for choice in self.choices:
            if choice.lower() == wanted:
                return choice
        available = ", ".join(self.choices)
        for choice in self.later:
            if choice.lower() == wanted:
                message = f"{choice} is not in this release; available: {available}"
                raise ValueError(message)
        message = f"{value!r} is none of {available}"
        raise ValueError(message)


class Options(Mapping[str, Any]):
    """The options of one call, checked and typed. Every option of the table is there, by its canonical name.

        options["timeout.total"]        # 300.0, the default
        options.given("timeout.total")  # False
        options = options.resolved()    # credentials looked up; once, on the driver
        options["auth.token"].reveal()

    Prints without credentials. Pickles with them.
    """

    __slots__ = ("_given", "_values", "format")

    def __init__(self, format: str, values: Mapping[str, Any], given: Mapping[str, str]) -> None:  # noqa: A002
        self.format = format
        self._values = dict(values)
        self._given = dict(given)

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        if isinstance(value, _UnreadableError):
            raise value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def given(self, name: str) -> bool:
        """Whether the user gave it, even if it equals the default."""
        return name in self._given

    def masked(self) -> dict[str, str]:
        """What the user gave, by canonical name, fit to be shown: credentials are `***` or their reference."""
        return dict(self._given)

    def resolved(self) -> Options:
        """The same with every credential looked up.

        Raises:
            OptionError: References that point to nothing, all of them at once.
        """
        problems: list[str] = []

        def look_up(secret: Secret, option: str) -> Secret:
            try:
                return resolve(secret, option)
            except OptionError as error:
                problems.append(str(error))
                return secret

        values = dict(self._values)
        for name, value in self._values.items():
            if isinstance(value, Secret):
                values[name] = look_up(value, name)
            elif isinstance(value, dict):
                values[name] = {
                    key: look_up(item, f"{name} {key}") if isinstance(item, Secret) else item
                    for key, item in value.items()
                }
        _raise_all(self.format, problems)
        return Options(self.format, values, self._given)

    def replaced(self, values: Mapping[str, Any]) -> Options:
        """The same with other values, already parsed, for some options."""
        return Options(self.format, {**self._values, **values}, self._given)

    def secrets(self) -> list[Secret]:
        """Every credential in it."""
        return [secret for value in self._values.values() for secret in _secrets_in(value)]

    def literals(self) -> list[str]:
        """The options that hold a credential in clear instead of a reference: Spark Connect and SQL keep them so."""
        return [name for name, value in self._values.items() if any(not s.reference for s in _secrets_in(value))]

    def redactor(self) -> Redactor:
        """What cuts these credentials out of messages. Make it after `resolved()`, once per task."""
        return Redactor(self.secrets())

    def __repr__(self) -> str:
        return f"<{self.format} options: {', '.join(f'{name}={text}' for name, text in self._given.items())}>"


Rule = Callable[[Options], Iterable[str]]


def parse(
    table: Sequence[Option],
    raw: Mapping[str, Any],
    *,
    format: str,  # noqa: A002 - Spark's word for it
    use: str = "write",
    rules: Sequence[Rule] = (),
) -> Options:
    """Check and type the options of one call.

    Args:
        table: The options of the format, those of every use.
        raw: What Spark handed over, or a Python caller's dict, nested or dotted.
        format: The format's name, for messages.
        use: `read`, `stream`, `write` or `request`.
        rules: What options demand of each other: each yields sentences. A rule that touches an option whose own value
            is wrong is left out: that value is reported already.

    Raises:
        OptionError: With every problem of the call in `problems`.
    """
    # One name may be declared once for reading and once for writing.
    by_key = {option.name.lower(): option for option in sorted(table, key=lambda option: use in option.applies)}
    table = [option for option in table if by_key[option.name.lower()] is option]
    problems: list[str] = []
    found = _gather(by_key, raw, use, problems)
    refused = _take_path(by_key, found, format)
    problems += refused

    values: dict[str, Any] = {}
    for option in table:
        if option.name not in found:
            if option.required and use in option.applies:
                values[option.name] = _UnreadableError()
                if not refused or option.name != "url":
                    problems.append(f"{option.name} is missing: give one such as {option.example}")
            else:
                values[option.name] = None if option.default is None else option.parse(option.default)
            continue
        try:
            values[option.name] = option.parse(found[option.name])
        except ValueError as error:
            values[option.name] = _UnreadableError()
            problems.append(f"{option.name}: {error}")
        if use not in option.applies:
            *others, last = map(_spoken, option.applies)
            where = f"{', '.join(others)} and {last}" if others else last
            problems.append(f"{option.name} is for {where}, not for {_spoken(use)}")

    given = {option.name: _shown(option, values[option.name], found[option.name]) for option in table
             if option.name in found}  # fmt: skip
    options = Options(format, values, given)
    for rule in rules:
        try:
            # One by one: what a rule said before it met an unreadable value stands.
            for problem in rule(options):
                problems.append(problem)
        except _UnreadableError:
            continue
    _raise_all(format, problems)
    return options


def markdown(table: Sequence[Option], use: str | None = None) -> str:
    """The documentation of a table: a Markdown table per group, in the order of declaration.

    Args:
        table: The options.
        use: Only those that apply there; without it, a column says what each is for.
    """
    chosen = [option for option in table if use is None or use in option.applies]
    blocks = []
    for group in dict.fromkeys(option.group for option in chosen):
        rows = [_markdown_row(option, uses=use is None) for option in chosen if option.group == group]
        heading = [f"**{group}**", ""] if group else []
        columns = ["option", *(["for"] if use is None else []), "values", "default", "meaning"]
        blocks.append("\n".join([*heading, f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows]))
    return "\n\n".join(blocks) + "\n"


def json_schema(table: Sequence[Option], format: str, use: str | None = None) -> dict[str, Any]:  # noqa: A002
    """JSON Schema (draft 2020-12) of the dotted options, for editors and pipeline files."""
    chosen = [option for option in table if use is None or use in option.applies]
    required = [option.name for option in chosen if option.required]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Options of the format {format}",
        "type": "object",
        "properties": {option.name: _property(option) for option in chosen} | dict.fromkeys(SPARK_KEYS, True),
        "additionalProperties": False,
    } | ({"required": required} if required else {})


class _UnreadableError(Exception):
    """Stands for a value that could not be read; using it ends a rule."""


def _secrets_in(value: object) -> list[Secret]:
    candidates = value.values() if isinstance(value, dict) else [value]
    return [candidate for candidate in candidates if isinstance(candidate, Secret)]


def _gather(by_key: Mapping[str, Option], raw: Mapping[str, Any], use: str, problems: list[str]) -> dict[str, Any]:
    """What was given, by canonical name; unknown and doubled keys become problems."""
    found: dict[str, Any] = {}
    ignored = {key.lower() for key in SPARK_KEYS}
    for key, value in _flatten(raw, by_key):
        lower = key.lower()
        name = by_key[lower].name if lower in by_key else lower
        if value is None or lower in ignored:
            continue
        if lower not in by_key and lower not in {"path", "paths"}:
            usable = {key: option for key, option in by_key.items() if use in option.applies}
            problems.append(f"{key} is unknown{_suggestion(lower, usable) or _suggestion(lower, by_key)}")
        elif name in found:
            problems.append(f"{name} is given twice")
        else:
            found[name] = value
    return found


def _flatten(raw: Mapping[str, Any], by_key: Mapping[str, Option], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of a nested dict. A dict given to an option is its value; any other is a group."""
    for key, value in raw.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and name.lower() not in by_key:
            yield from _flatten(value, by_key, f"{name}.")
        else:
            yield name, value


def _take_path(by_key: Mapping[str, Option], found: dict[str, Any], format: str) -> list[str]:  # noqa: A002
    """`load("https://...")` and `save("https://...")` mean `url`; any other path is refused: the problems."""
    several = found.pop("paths", None)
    path = found.pop("path", None)
    if several is not None:
        return ["load() takes one URL, not a list"]
    if path is None:
        return []
    if "url" not in by_key:
        return [f"{format} has no path: leave load() and save() empty"]
    if not str(path).lower().startswith(("http://", "https://")):
        return ['the path is no URL: give load("https://..."), save("https://...") or the option url']
    if found.setdefault("url", path) != path:
        return ["url is given twice: as an option and as the path"]
    return []


def _suggestion(key: str, by_key: Mapping[str, Option]) -> str:
    """`: did you mean ...?`, or nothing when no option comes near."""
    bare = _bare(key)
    for option in by_key.values():
        if bare in map(_bare, (option.name, *option.known_as)):
            return f": did you mean {option.name}?"
    last = [option.name for option in by_key.values() if bare == _bare(option.name.rpartition(".")[2])]
    near = difflib.get_close_matches(key, by_key, n=1, cutoff=_SIMILAR)
    guesses = last[:3] or [by_key[match].name for match in near]
    return f": did you mean {' or '.join(guesses)}?" if guesses else ""


def _bare(name: str) -> str:
    """Without what people write differently: `retry.maxAttempts`, `retry_max_attempts` and `RetryMaxAttempts`."""
    return re.sub(r"[._\s-]", "", name).lower()


def _raise_all(format: str, problems: Sequence[str]) -> None:  # noqa: A002
    problems = list(dict.fromkeys(problems))
    if len(problems) == 1:
        raise OptionError(f"{format}: {problems[0]}", problems=problems)
    if problems:
        raise OptionError(f"{format}: {len(problems)} problems with the options", problems=problems)


def _shown(option: Option, value: object, given: object) -> str:
    """What may be shown of a value that was given."""
    if isinstance(value, _UnreadableError):
        return MASK
    if option.kind.show is not None:
        return option.kind.show(value)
    if isinstance(given, (Mapping, list, tuple)):
        return json.dumps(given, default=str)
    return str(given).lower() if isinstance(given, bool) else str(given)


def _amount(kind: Kind, number: float) -> str:
    if kind is DURATION:
        return f"{number:g}s" if number >= 1 else f"{number * 1000:g}ms"
    return f"{number:g} bytes" if kind is SIZE else f"{number:g}"


def _spoken(use: str) -> str:
    return {"read": "reading", "stream": "reading a stream", "write": "writing", "request": "request()"}[use]


def _markdown_row(option: Option, *, uses: bool) -> str:
    values = ", ".join(f"`{choice}`" for choice in option.choices) or option.kind.name
    default = "required" if option.required else "" if option.default is None else f"`{option.default}`"
    applies = f" {', '.join(option.applies) if len(option.applies) < len(USES) else 'all'} |" if uses else ""
    return f"| `{option.name}` |{applies} {values} | {default} | {option.doc} |".replace("\n", " ")


def _property(option: Option) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": option.doc} | option.kind.schema
    if option.choices:
        schema["enum"] = list(option.choices)
    if option.kind is BOOLEAN:
        schema = {"description": option.doc, "anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}
    if option.default is not None:
        schema["default"] = option.default
    if option.example is not None:
        schema["examples"] = [option.example]
    if option.kind.secret:
        schema["writeOnly"] = True
    return schema
