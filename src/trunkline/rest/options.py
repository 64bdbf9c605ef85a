"""The options of the format `rest`: one table, and the two ways to read it.

    options = write_options({"url": "https://api.example.com/users", "auth.type": "bearer", "auth.token": "env:TOKEN"})
    options = read_options({"url": "https://api.example.com/users", "pagination": "offset"})

The declarations are in `read_options` and `write_options`, those that all formats share in `trunkline.http.options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.http.options import AUTH, ENGINE, REQUEST
from trunkline.options import Options, parse
from trunkline.rest.read_options import READ
from trunkline.rest.read_rules import READ_RULES, STREAM_RULES
from trunkline.rest.write_options import WRITE
from trunkline.rest.write_rules import WRITE_RULES

TABLE = (*REQUEST, *READ, *WRITE, *AUTH, *ENGINE)


def write_options(raw: Mapping[str, Any]) -> Options:
    """The options of a write, batch or stream, checked. Credentials are not looked up yet: see `Options.resolved`.

    Raises:
        OptionError: With every problem at once.
    """
    return parse(TABLE, raw, format="rest", use="write", rules=WRITE_RULES)


def read_options(raw: Mapping[str, Any]) -> Options:
    """The options of `spark.read`, checked.

    Raises:
        OptionError: With every problem at once.
    """
    return parse(TABLE, raw, format="rest", use="read", rules=READ_RULES)


def stream_options(raw: Mapping[str, Any]) -> Options:
    """The options of `spark.readStream`, checked.

    Raises:
        OptionError: With every problem at once.
    """
    return parse(TABLE, raw, format="rest", use="stream", rules=STREAM_RULES)
