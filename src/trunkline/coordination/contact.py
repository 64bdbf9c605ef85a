"""Whether the coordinator answers: well, not for a moment, or not any more."""

from __future__ import annotations

import math

# The coordinator counts as lost when two calls in a row have failed, and the first was begun so long ago: one alone may
# fail because its connection was closed. A call that failed is repeated soon.
LOST_AFTER, _AGAIN = 1.0, 0.2
# Between two calls of a lost coordinator.
_LOST_EVERY = 1.0


class Contact:
    """What its last calls came to.

    Attributes:
        called_at: When it was called last.
        lost: Whether it counts as lost.
    """

    def __init__(self) -> None:
        self.called_at = -math.inf
        self.lost = False
        self._failing_since: float | None = None

    @property
    def failing(self) -> bool:
        """Whether the last call failed."""
        return self._failing_since is not None

    @property
    def doubtful(self) -> bool:
        """Whether a call failed, and the next may show that it is lost: tasks wait for what comes of that."""
        return self.failing and not self.lost

    @property
    def again_at(self) -> float:
        """When a call that failed is repeated."""
        return self.called_at + (_LOST_EVERY if self.lost else _AGAIN)

    def silent(self, now: float) -> float:
        """Seconds without an answer, since the first call that has none was begun."""
        return 0.0 if self._failing_since is None else now - self._failing_since

    def answered(self) -> bool:
        """A call was answered; whether the coordinator had been lost."""
        back, self.lost, self._failing_since = self.lost, False, None
        return back

    def failed(self, now: float) -> bool:
        """A call was not answered; whether the coordinator is lost from now on."""
        if self._failing_since is None:
            self._failing_since = self.called_at
            return False
        newly = not self.lost and self.silent(now) >= LOST_AFTER
        self.lost = self.lost or newly
        return newly
