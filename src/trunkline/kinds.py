"""How the text of an option becomes a value: one notation, one `Kind`.

    DURATION.parse("5m")          # 300.0
    RATES.parse("10/s,5000/h")    # (Window(10, 1.0), Window(5000, 3600.0))

Every parser raises `ValueError` with a sentence that says how the value is written. None of them names the option:
`trunkline.options` puts its name in front. Kinds that speak HTTP live in `trunkline.http.kinds`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from trunkline.credentials import MASK, Secret, unresolved

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# kB and MB count in thousands (SI), KiB and MiB in 1,024 (IEC 80000-13).
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
# Twelve digits hold any sensible amount and keep an endless number from being one.
_AMOUNT = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([a-z]*)", re.ASCII)
_RATE = re.compile(r"(\d{1,12})/(\d{0,12}[a-z]+)", re.ASCII)
_DOOR = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
# These would start a header of their own, or a second line of a log.
LINE_BREAKS = re.compile(r"[\r\n\0]")
# How much of a value a message quotes.
_QUOTED = 60

Json = dict[str, Any]


class Kind(NamedTuple):
    """A kind of value.

    Attributes:
        name: As the documentation writes it.
        parse: From the text, or from what a Python caller gave; raises `ValueError` with a sentence.
        schema: JSON Schema of the text.
        show: How a value looks where people see it; None for the text that was given.
        secret: Whether it is a credential.
    """

    name: str
    parse: Callable[[Any], Any]
    schema: Json
    show: Callable[[Any], str] | None = None
    secret: bool = False


class Window(NamedTuple):
    """One window of a rate: at most `permits` requests in `seconds`."""

    permits: int
    seconds: float


class Flush(NamedTuple):
    """When a buffer is written: after `seconds`, or when it holds `rows`."""

    seconds: float
    rows: int


def duration(text: str) -> float:
    """Seconds of `250ms`, `30s`, `5m`, `1h`, `2d`."""
    match = _AMOUNT.fullmatch(text.strip().lower())
    if match is None or match[2] not in _SECONDS:
        message = f"{quoted(text)} is no duration: write 250ms, 30s, 5m, 1h or 2d"
        raise ValueError(message)
    if match[2] == "ms":
        return float(match[1]) / 1000  # exact where a product with 0.001 is not
    return float(match[1]) * _SECONDS[match[2]]


def size(text: str) -> int:
    """Bytes of `4MB` (4,000,000), `4MiB` (4,194,304), `64kB`, `1GiB` or a bare number."""
    match = _AMOUNT.fullmatch(text.strip().lower())
    unit = _BYTES.get(match[2] or "b") if match else None
    if match is None or unit is None:
        message = f"{quoted(text)} is no size: write 4MB (4,000,000 bytes), 4MiB (4,194,304) or a number of bytes"
        raise ValueError(message)
    return int(Decimal(match[1]) * unit)


def rates(text: str) -> tuple[Window, ...]:
    """Windows of `200/s`, `10/s,5000/h` or `30/10s`, in the order given."""
    windows = []
    for part in text.lower().split(","):
        match = _RATE.fullmatch("".join(part.split()))
        try:
            # "/s" is one second, "/10s" is ten.
            seconds = duration(match[2] if match[2][0].isdigit() else "1" + match[2]) if match else 0.0
        except ValueError:
            seconds = 0.0
        if match is None or not seconds or not int(match[1]):
            message = f"{quoted(part.strip())} is no rate: write 200/s, 5000/h or 30/10s, several with commas"
            raise ValueError(message)
        windows.append(Window(int(match[1]), seconds))
    if len({window.seconds for window in windows}) < len(windows):
        message = f"{quoted(text)} names the same window twice"
        raise ValueError(message)
    return tuple(windows)


def flush(text: str) -> Flush:
    """`1s,5000`: after one second or 5,000 rows, whichever comes first."""
    seconds, _, rows = text.partition(",")
    if not rows.strip().isdecimal() or int(rows) < 1:
        message = f"{quoted(text)} is no flush policy: write a duration and a number of rows, as in 1s,5000"
        raise ValueError(message)
    return Flush(duration(seconds), int(rows))


def boolean(text: str) -> bool:
    """`true` or `false`."""
    value = {"true": True, "false": False}.get(text.strip().lower())
    if value is None:
        message = f"{quoted(text)} is neither true nor false"
        raise ValueError(message)
    return value


def integer(text: str) -> int:
    """A whole number."""
    if re.fullmatch(r"[+-]?\d{1,18}", text.strip(), re.ASCII) is None:
        message = f"{quoted(text)} is no whole number"
        raise ValueError(message)
    return int(text)


def concurrency(text: str) -> int | None:
    """A number from 1 to 10000; None for `auto`."""
    if text.strip().lower() == "auto":
        return None
    try:
        number = integer(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 10_000:
        message = f"{quoted(text)} is neither auto nor a number from 1 to 10000"
        raise ValueError(message)
    return number


def names(given: object) -> tuple[str, ...]:
    """Names separated by commas, `id,name`; as a JSON array or a Python list where a name holds a comma."""
    items: Any = given
    if isinstance(given, str):
        items = _json(given) if given.lstrip().startswith("[") else [part.strip() for part in given.split(",")]
    if not isinstance(items, (list, tuple)) or not items or not all(isinstance(item, str) and item for item in items):
        message = 'names are separated by commas, as in id,name; or a JSON array, as in ["id", "first, last"]'
        raise ValueError(message)
    twice = {item for item in items if items.count(item) > 1}
    if twice:
        message = f"{', '.join(sorted(twice))} is named twice"
        raise ValueError(message)
    return tuple(items)


def door(text: str) -> str:
    """`package.module:function`, checked for its spelling only."""
    text = text.strip()
    if _DOOR.fullmatch(text) is None:
        message = f"{quoted(text)} names no function: write package.module:function"
        raise ValueError(message)
    return text


def credential(given: object) -> Secret:
    """A credential, or a reference to where it is kept."""
    if isinstance(given, Secret):
        return given
    text = text_of(given)
    if LINE_BREAKS.search(text):
        message = "holds a line break; keep it in a file and give file:/path"
        raise ValueError(message)
    return unresolved(text)


def json_object(given: object) -> Json:
    """A JSON object, from its text or as a Python dict. No field twice."""
    value = _json(given) if isinstance(given, str) else given
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        message = 'not a JSON object: write {"name": "value"}'
        raise ValueError(message)
    return dict(value)


def text_of(given: object) -> str:
    """What a Python caller gave, as the text Spark would have handed over."""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, (list, tuple, set, frozenset)):
        return ",".join(text_of(item) for item in given)
    if isinstance(given, (str, int, float)):
        return str(given)
    message = f"a {type(given).__name__} cannot be given here"
    raise ValueError(message)


def quoted(text: str) -> str:
    """A value in a message: whole if short."""
    return repr(text if len(text) <= _QUOTED else text[:_QUOTED] + "...")


def of_text(parse: Callable[[str], Any]) -> Callable[[object], Any]:
    """A parser of text, made to take what a Python caller may give too: a number, true or false, a list."""
    return lambda given: parse(text_of(given))


def _json(text: str) -> Any:
    """Strict JSON. Errors say where, never what: the text may hold a credential."""
    try:
        return json.loads(text, object_pairs_hook=_no_name_twice, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        message = f'not JSON at character {error.pos + 1}: {error.msg}; write {{"name": "value"}}'
        raise ValueError(message) from None
    except RecursionError:
        message = "the JSON is nested too deeply"
        raise ValueError(message) from None


def _no_name_twice(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        message = "the JSON names a field twice"
        raise ValueError(message)
    return found


def _no_constant(name: str) -> float:
    message = f"{name} is not JSON"
    raise ValueError(message)


_PATTERN_DURATION = r"^\d+(\.\d+)?\s*(ms|s|m|min|h|d)$"
_PATTERN_SIZE = r"^\d+(\.\d+)?\s*([kKmMgG][iI]?)?[bB]?$"

TEXT = Kind("text", of_text(str), {"type": "string", "minLength": 1})
CHOICE = Kind("choice", of_text(str), {"type": "string"})
BOOLEAN = Kind("true, false", of_text(boolean), {"type": ["boolean", "string"], "pattern": "^(true|false)$"})
INTEGER = Kind("number", of_text(integer), {"type": ["integer", "string"], "pattern": r"^[+-]?\d+$"})
DURATION = Kind("duration", of_text(duration), {"type": "string", "pattern": _PATTERN_DURATION})
SIZE = Kind("size", of_text(size), {"type": ["integer", "string"], "pattern": _PATTERN_SIZE})
RATES = Kind("rates", of_text(rates), {"type": "string", "pattern": r"^\s*\d+/\d*[a-z]+\s*(,\s*\d+/\d*[a-z]+\s*)*$"})
FLUSH = Kind("duration,rows", of_text(flush), {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|min|h|d),\s*\d+$"})
CONCURRENCY = Kind("auto, number", of_text(concurrency), {"type": ["integer", "string"], "pattern": r"^(auto|\d+)$"})
NAMES = Kind("names", names, {"type": ["string", "array"], "items": {"type": "string"}})
DOOR = Kind("function", of_text(door), {"type": "string", "pattern": r"^[\w.]+:[\w.]+$"})
CREDENTIAL = Kind(
    "credential", credential, {"type": "string"}, show=lambda secret: secret.reference or MASK, secret=True
)
