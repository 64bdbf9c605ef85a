"""The links of this process: one for each coordinator, made anew in a forked process."""

from __future__ import annotations

import os
import threading

from trunkline.coordination.channel import Place
from trunkline.coordination.link import Link

# Links that a process keeps: one that served a hundred queries, each with a coordinator, has use for the last few.
_MOST_LINKS = 16


def link_to(place: Place) -> Link:
    """The link of this process to a coordinator: the same object for the same place."""
    with _LOCK:
        link = _LINKS.get(place)
        if link is None:
            link = _LINKS[place] = Link(place)
            for unused in [old for old, one in _LINKS.items() if not one.active][: max(0, len(_LINKS) - _MOST_LINKS)]:
                if unused != place:
                    del _LINKS[unused]
        return link


def _after_fork() -> None:
    """In a forked process: a lock may be held by a thread that there is only in the parent."""
    global _LOCK  # noqa: PLW0603
    _LOCK = threading.Lock()
    for link in _LINKS.values():
        link.renew()


_LINKS: dict[Place, Link] = {}
_LOCK = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
