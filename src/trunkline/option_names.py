"""What a user wrote, by the names of the options: any case, nested or dotted; a guess where no option has the name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.options import Option

# What Spark itself adds to the options of a source or sink; none of them is for the format.
SPARK_KEYS = ("checkpointLocation", "queryName", "outputMode")
# Below this ratio a guess at the wanted name is noise.
_SIMILAR = 0.6
# What is done with a format, in a sentence.
SPOKEN = {"read": "reading", "stream": "reading a stream", "write": "writing", "request": "request()"}


def gather(by_key: Mapping[str, Option], raw: Mapping[str, Any], use: str, problems: list[str]) -> dict[str, Any]:
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
            others = {key: option for key, option in by_key.items() if key not in usable}
            guess = _suggestion(lower, usable) or _suggestion(lower, others, f", which is not for {SPOKEN[use]}")
            problems.append(f"{key} is unknown{guess}")
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


def take_path(by_key: Mapping[str, Option], found: dict[str, Any], format: str) -> list[str]:  # noqa: A002
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


def _suggestion(key: str, by_key: Mapping[str, Option], but: str = "") -> str:
    """`: did you mean ...?`, with `but` about those that are guessed; nothing when no option comes near."""
    bare = _bare(key)
    known = [one.name for one in by_key.values() if bare in map(_bare, (one.name, *one.known_as))]
    last = [option.name for option in by_key.values() if bare == _bare(option.name.rpartition(".")[2])]
    near = difflib.get_close_matches(key, by_key, n=1, cutoff=_SIMILAR)
    guesses = known or last[:3] or [by_key[match].name for match in near]
    return f": did you mean {' or '.join(guesses)}{but}?" if guesses else ""


def _bare(name: str) -> str:
    """Without what people write differently: `retry.maxAttempts`, `retry_max_attempts` and `RetryMaxAttempts`."""
    return re.sub(r"[._\s-]", "", name).lower()
