"""The options of the format `rest`: one table, and the ways to read it.

    options = write_options({"url": "https://api.example.com/users", "auth.type": "bearer", "auth.token": "env:TOKEN"})
    options = read_options({"url": "https://api.example.com/users", "pagination": "offset"})
    options = request_options({"url": "https://api.example.com/users/{id}"})

The declarations are in `read_options`, `write_options` and `request_options`, those that all formats share in
`trunkline.http.options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.http.options import AUTH, COORDINATOR, ENGINE, REQUEST
from trunkline.options import Options, parse
from trunkline.rest.read_options import READ
from trunkline.rest.read_rules import READ_RULES, STREAM_RULES
from trunkline.rest.request_options import ASK, body_type
from trunkline.rest.request_rules import REQUEST_RULES
from trunkline.rest.write_options import WRITE
from trunkline.rest.write_rules import WRITE_RULES

TABLE = (*REQUEST, *READ, *WRITE, *ASK, *AUTH, *ENGINE, *COORDINATOR)


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


def request_options(raw: Mapping[str, Any]) -> Options:
    """The options of `trunkline.rest.request`, checked; `body.type` is there whether it was given or not.

    Raises:
        OptionError: With every problem at once.
    """
    options = parse(TABLE, raw, format="request", use="request", rules=REQUEST_RULES)
    return options.replaced({"body.type": body_type(options)})
