"""A word about credentials that are given in clear."""

from __future__ import annotations

import logging

from trunkline.options import Options

log = logging.getLogger("trunkline")

# A coordinator makes a key for itself, and the key ends with it.
_SHORT_LIVED = frozenset({"coordinator.token"})
_told: set[str] = set()


def warn_of_literals(options: Options) -> None:
    """Warn, once per process and option, that a credential stands in the options instead of a reference to it.

    Here it cannot be known how the options came: the process that plans a query sees neither Spark Connect nor SQL,
    where they are kept in clear. So the warning comes with every literal, and says where it matters.
    """
    names = [name for name in options.literals() if name not in _told and name not in _SHORT_LIVED]
    if names:
        _told.update(names)
        log.warning(
            "%s: a credential is given in clear. On Spark Connect and in SQL OPTIONS it stands so in the server's "
            "event log: give a reference instead, env:NAME, file:/path or databricks:scope/key",
            ", ".join(names),
        )
