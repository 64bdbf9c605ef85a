"""What is said of a name that is none."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any

from trunkline.config.tree import near


def check_names(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse the first of some names that is not known.

    check_names("key", {"statsu": 200}, ["body", "status"])    # unknown key 'statsu': did you mean 'status'?

    Raises:
        ValueError: With the name that was probably meant, or with all that there are where none is near.
    """
    for name in names:
        if name not in known:
            meant = near(name, [*known])
            guess = f": did you mean {meant!r}?" if meant else f"; known: {', '.join(sorted(known))}"
            raise ValueError(f"unknown {what} {name!r}{guess}")


def arguments(method: Callable[..., Any]) -> dict[str, bool]:
    """What a bound method takes by name after its first argument, and whether it cannot do without."""
    _, *known = inspect.signature(method).parameters.values()
    return {one.name: one.default is one.empty for one in known if one.kind is not one.VAR_KEYWORD}
