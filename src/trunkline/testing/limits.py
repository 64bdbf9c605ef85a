"""Rate limiting as servers do it: a bucket that refills all the time."""

from __future__ import annotations


class Rate:
    """At most `rate` requests a second on average, `burst` at once (default: one second's worth).

    Times are seconds of any one clock; a refused request costs nothing.
    """

    def __init__(self, rate: float, burst: float | None = None) -> None:
        if rate <= 0:
            raise ValueError(f"rate {rate!r}: expected more than 0 requests a second")
        self.rate = rate
        self.burst = max(1.0, rate if burst is None else burst)
        self._permits = self.burst
        self._at = 0.0

    def over(self, now: float) -> bool:
        """Take one permit; True when there was none."""
        self._permits = min(self.burst, self._permits + (now - self._at) * self.rate)
        self._at = now
        if self._permits < 1.0:
            return True
        self._permits -= 1.0
        return False

    def wait(self) -> float:
        """Seconds until the next permit, as of the last `over`."""
        return max(0.0, (1.0 - self._permits) / self.rate)
