"""Option tables: an option is declared once, and that gives parsing, validation, redaction, documentation and a schema.

    TABLE = (Option("url", URL, "Where to write.", required=True), Option("batch.rows", INTEGER, "...", "1", minimum=1))
    options = parse(TABLE, {"url": "https://api.example.com", "batch.rows": "500"}, format="rest", use="write")
    options["batch.rows"]   # 500
    options                 # <rest options: url=https://api.example.com, batch.rows=500>

Keys are found in any case, because Spark lower-cases them, and may be nested, `{"batch": {"rows": 500}}`, in Python.
Everything that is wrong with a call is reported in one `OptionError`. `option_docs` makes documentation of a table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.credentials import MASK, Redactor, Secret, resolve
from trunkline.errors import OptionError
from trunkline.kinds import DURATION, SIZE, Kind
from trunkline.option_names import SPOKEN, gather, take_path

USES = ("read", "stream", "write", "request")


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
    found = gather(by_key, raw, use, problems)
    refused = take_path(by_key, found, format)
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
            *others, last = (SPOKEN[one] for one in option.applies)
            where = f"{', '.join(others)} and {last}" if others else last
            problems.append(f"{option.name} is for {where}, not for {SPOKEN[use]}")

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


class _UnreadableError(Exception):
    """Stands for a value that could not be read; using it ends a rule."""


def _secrets_in(value: object) -> list[Secret]:
    candidates = value.values() if isinstance(value, dict) else [value]
    return [candidate for candidate in candidates if isinstance(candidate, Secret)]


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
