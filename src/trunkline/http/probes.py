"""Whether an origin that fails is down, or fails at what it is asked for: it is asked again for what it answered well.

probes = Probes()
probes.used = True
probes.good = request             # it was answered well, and may be sent again
probe = probes.make(waiting)      # to be sent before what waits; None: that is tried itself
probes.ended(accepted=False)
"""

from __future__ import annotations

from trunkline.http.message import Request, origin


class Probes:
    """For whoever asks ahead, and so knows what will come, however often it was asked for before.

    Attributes:
        used: Whether somebody asks ahead.
        good: What was answered well last.
        latest: The last probe. Nobody admitted it, and it has no outcome.
    """

    def __init__(self) -> None:
        self.used = False
        self.good: Request | None = None
        self.latest: Request | None = None
        self._in_vain = False

    def make(self, waiting: Request | None) -> Request | None:
        """A probe, if its answer tells something of what waits."""
        good = self.good
        # A page may have come by a redirect, from an origin that is well while the other is not.
        if good is None or waiting is None or origin(good.url) != origin(waiting.url):
            return None
        if self._in_vain:
            # It may fail by itself now: every other time what waits is tried.
            self._in_vain = False
            return None
        probe = Request(good.method, good.url, good.headers, good.body, good.tag, weight=good.weight)
        probe.unwanted = True
        self.latest = probe
        return probe

    def ended(self, *, accepted: bool) -> None:
        """The last one was answered, as well as before or not."""
        self._in_vain = not accepted
