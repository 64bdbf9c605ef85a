"""A fault server as a command: for a terminal, a notebook, or a client in another language.

    python -m trunkline.testing routes.json --port 8800

`routes.json` is a list of what `FaultServer.route`, `dataset` and `oauth` take: the first names what it is about, the
rest are their arguments.

    [
      {"route": "POST /rows", "steps": [{"status": 503, "times": 2}, {"status": 201}], "store": true},
      {"dataset": "GET /items", "count": 120, "paging": "nextUrl"},
      {"oauth": "/token", "clients": {"me": "opensesame"}}
    ]

It prints its addresses, then a line for each request when it is over, and ends with Ctrl-C or SIGTERM:

    main http://127.0.0.1:8800
    other http://127.0.0.1:43121
    POST /rows 503
    POST /rows 201

Lines show no query, header or body, which may hold credentials; `--ledger FILE` keeps them, as a JSON object per line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from trunkline.testing.ledger import Exchange
from trunkline.testing.names import arguments, check_names
from trunkline.testing.server import FaultServer

_KINDS = ("route", "dataset", "oauth")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to end; 2 where that cannot begin, or where the server's process ended by itself."""
    parser = argparse.ArgumentParser(prog="python -m trunkline.testing", description="A server that misbehaves.")
    parser.add_argument("routes", type=Path, help="JSON: what it answers")
    parser.add_argument("--port", type=int, default=0, help="of its main address; a free one by default")
    parser.add_argument("--tls", action="store_true", help="listen with TLS too, on a port of its own")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="append each request whole, as JSON")
    given = parser.parse_args(argv)
    # As Ctrl-C does: the server's process and its files go with this one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with FaultServer(tls=given.tls, port=given.port) as server, _opened(given.ledger) as ledger:
            _declare(server, given.routes)
            ended = server.follow()
            for origin in ("main", "other", "tls") if given.tls else ("main", "other"):
                _say(f"{origin} {server.url_for('', origin)}")
            if given.tls:
                _say(f"authority {server.ca_file}")
            for exchange in ended:
                if ledger is not None:
                    ledger.write(json.dumps(_document(exchange)) + "\n")
                    ledger.flush()
                _say(_line(exchange))
    except KeyboardInterrupt:
        return 0
    except (OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
    return 2


def _declare(server: FaultServer, file: Path) -> None:
    """Declare what a file says.

    Raises:
        ValueError: It says nothing that can be declared; names file and place.
    """
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: no JSON: {error}") from None
    if not isinstance(entries, list):
        raise ValueError(f"{file}: expected a list of routes, datasets and token endpoints")
    for number, entry in enumerate(entries, 1):
        kinds = [kind for kind in _KINDS if isinstance(entry, dict) and kind in entry]
        if len(kinds) != 1:
            raise ValueError(f"{file}, entry {number}: expected an object with one of {', '.join(_KINDS)}")
        (kind,), given = kinds, dict(entry)
        first = given.pop(kind)
        declare = getattr(server, kind)
        known = arguments(declare)
        try:
            # A dataset looks at names itself: it takes those of its pages, too.
            if kind != "dataset":
                check_names("key", given, known)
            for name, needed in known.items():
                if needed and name not in given:
                    raise ValueError(f"{name} is missing")
            declare(first, **given)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{file}, entry {number}: {error}") from None


def _opened(file: Path | None) -> contextlib.AbstractContextManager[IO[str] | None]:
    """A file to append to, for its owner alone: what clients send holds their credentials."""
    if file is None:
        return contextlib.nullcontext()
    return open(file, "a", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))


def _line(exchange: Exchange) -> str:
    words = [exchange.method or "-", exchange.path or "-", exchange.status or "-", exchange.fault or ""]
    return " ".join(map(str, words)).rstrip()


def _document(exchange: Exchange) -> dict[str, Any]:
    return {
        "time": exchange.time,
        "origin": exchange.origin,
        "method": exchange.method,
        "target": exchange.target,
        "headers": exchange.headers,
        "body": exchange.body.decode("utf-8", "replace"),
        "status": exchange.status,
        "route": exchange.route,
        "fault": exchange.fault,
        "stored": exchange.stored,
    }


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
