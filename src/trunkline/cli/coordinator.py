"""`trunkline coordinator`: one that runs alone, where no executor can reach the process that uses Spark."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import stat
import threading
from pathlib import Path

from trunkline.credentials import Secret, is_reference
from trunkline.errors import OptionError

_KEY = "coordinator.token"


def serve(given: argparse.Namespace) -> None:
    """Serve until interrupted."""
    from trunkline.coordination.coordinator import Coordinator

    file = Path(given.options_file) if given.options_file else None
    coordinator = Coordinator(
        host=given.host,
        port=given.port,
        rateLimit=given.rate_limit,
        auth=_auth(given.auth),
        token=_kept_key(file),
        progress=given.progress,
    )
    over = threading.Event()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    with coordinator as c:
        if file is None:
            print("Give these options to reads, writes and request(). The key is shown once:\n")
            print("\n".join(f"{name}={value}" for name, value in c.options.items()), flush=True)
        else:
            _write(file, dict(c.options))
            print(f"{c!r} serves; its options are in {file}", flush=True)
        over.wait()


def _auth(pairs: list[str]) -> dict[str, str]:
    """What `--auth NAME=VALUE` says; a credential in clear is refused, because other users see a command line."""
    from trunkline.http.options import AUTH
    from trunkline.kinds import CREDENTIAL

    # Names of options are taken in any case.
    secret = {option.name.removeprefix("auth.").lower() for option in AUTH if option.kind is CREDENTIAL}
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise OptionError("--auth: write --auth type=oauth2 --auth clientId=loader, one name and value each")
        if name.lower().removeprefix("auth.") in secret and not is_reference(value):
            raise OptionError(f"--auth {name}: others can see a command line: give env:NAME or file:/path")
        found[name] = value
    return found


def _kept_key(file: Path | None) -> Secret:
    """The key of the coordinator that wrote the file before, so that its workers go on with this one; or a new one."""
    if file is not None and file.exists():
        try:
            key = Secret(json.loads(file.read_text(encoding="utf-8"))[_KEY])
        except (ValueError, KeyError, TypeError):
            raise OptionError(f"--options-file {file} is there and holds no {_KEY}: name another") from None
        told = file.stat()
        if told.st_uid != os.getuid() or stat.S_IMODE(told.st_mode) & 0o077:
            raise OptionError(f"--options-file {file} is not yours alone, so its key is no secret: name another")
        return key
    return Secret(secrets.token_hex(32))


def _write(file: Path, options: dict[str, str]) -> None:
    """Ours alone from the first byte on, and whole whenever somebody reads it."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump(options, out, indent=2)
    unfinished.replace(file)
