"""The rates that a coordinator leases to a process, by the bucket that each draws from; what a call asks and brings.

Nothing here is locked: the link holds its lock around every use.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from trunkline.coordination.leased_rate import LeasedRate
from trunkline.coordination.leases import Lease

Windows = Sequence[tuple[float, float]]

# What no task has used for so long is given back, or left to lapse.
UNUSED = 3.0


class Buckets:
    """Every rate that tasks of a process keep to.

    Args:
        use: What a rate calls when a task asks it for a permit.
    """

    def __init__(self, use: Callable[[], None]) -> None:
        self._use = use
        self._rates: dict[str, tuple[Windows | None, LeasedRate]] = {}
        # What a bucket's rate is: as the coordinator told last.
        self._told: dict[str, Windows] = {}

    def rate(self, name: str, windows: Windows | None) -> LeasedRate:
        """The rate of a bucket; `windows` are those of the options, None for the coordinator's own."""
        if name not in self._rates:
            self._rates[name] = (windows, LeasedRate(self._use))
        return self._rates[name][1]

    def rates(self) -> Iterable[LeasedRate]:
        """Each of them."""
        return [rate for _, rate in self._rates.values()]

    def touched_at(self, now: float) -> float:
        """When a task last asked one of them, at the latest now."""
        return max((min(now, rate.touched_at) for rate in self.rates()), default=-math.inf)

    def ask_at(self, now: float) -> float:
        """When the first of those in use has to ask for more."""
        return min((rate.ask_at() for rate in self.rates() if now < rate.touched_at + UNUSED), default=math.inf)

    def ask(self, now: float, *, bye: bool) -> dict[str, dict[str, Any]]:
        """What a call says of each: what it asks for, or at the end what it gives back."""
        return {
            name: {**asdict(rate.leave() if bye else rate.ask(now)), "windows": list(windows) if windows else None}
            for name, (windows, rate) in self._rates.items()
            # One that no task has asked for long is left to lapse: it holds a permit at most.
            if bye or now < rate.touched_at + UNUSED
        }

    def take(self, name: str, told: Mapping[str, Any], *, bye: bool) -> None:
        """What the answer brings for one of them."""
        rate = self._rates[name][1]
        lease = Lease(**{**told["lease"], "spent": tuple(told["lease"]["spent"])})
        if told["windows"] is None:
            rate.unlimited(lease)
        elif not bye:
            self._told[name] = [(permits, seconds) for permits, seconds in told["windows"]]
            rate.granted(lease, time.monotonic())

    def lost(self, now: float) -> float:
        """Go on without the coordinator; the largest share of a rate that is left."""
        shares = [rate.lost(self._told.get(name, ()), now) for name, (_, rate) in self._rates.items()]
        return max(shares, default=0.0)
