"""`trunkline formats` and `trunkline describe`: what can be read and written, and the options of it."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from trunkline.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from trunkline.options import Option

# Wide enough for the text of an option, narrow enough to be read.
_WIDEST = 120


def formats(_: argparse.Namespace) -> None:
    """What each format can do."""
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


def describe(given: argparse.Namespace) -> None:
    """The options of a format."""
    from trunkline.option_docs import json_schema

    table: Sequence[Option] = importlib.import_module(f"trunkline.{given.format}.options").TABLE
    use = given.use
    if use == "request" and given.format != "rest":
        raise OptionError("request() takes options of rest: trunkline describe rest --request")
    if given.schema:
        print(json.dumps(json_schema(table, given.format, use), indent=2))
        return
    chosen = [option for option in table if use is None or use in option.applies]
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    names = max(len(option.name) for option in chosen) + 2
    for group in dict.fromkeys(option.group for option in chosen):
        print(f"\n{group}")
        for option in chosen:
            if option.group == group:
                print("\n".join(_option_lines(option, names, width)))


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
