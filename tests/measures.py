"""How tests wait for what another thread or process does, and how they measure a rate."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable


def waited_for(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether it holds at last."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def most_in_a_second(times: Iterable[float]) -> int:
    """The most of these moments that lie within any second."""
    ordered = sorted(times)
    return max(bisect_left(ordered, first + 1.0) - place for place, first in enumerate(ordered))
