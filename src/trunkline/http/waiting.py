"""Requests that wait for their turn: what is ready, what is due later, what stands behind others with the same keys.

waiting = Waiting()
waiting.add(request)
waiting.take(now)               # the request; None where nothing is ready or due
waiting.put_off(request, at)    # it is to be sent again, from then on
waiting.release(request)        # it has ended: what stood behind it may go
"""

from __future__ import annotations

import heapq
import math
from collections import deque

from trunkline.http.message import Request


class Waiting:
    """What is not in flight. Requests that share a key come out in the order they were added, one at a time.

    Attributes:
        ready: What may go at any time, in its order.
        later: What may not go before a time, whether that has come or not; a heap.
        behind: How many stand behind another with the same key.
    """

    def __init__(self) -> None:
        self.ready: deque[Request] = deque()
        self.later: list[tuple[float, int, Request]] = []
        self.behind = 0
        self._sequence = 0
        self._queues: dict[object, deque[Request]] = {}

    def __bool__(self) -> bool:
        return bool(self.ready or self.later or self.behind)

    def add(self, request: Request, due: float = 0.0, after: Request | None = None) -> None:
        """Take in a request; one whose keys are under way waits for the end of every earlier one with such a key.

        Args:
            request: To be sent.
            due: Not before this time.
            after: A request that has ended and is not yet released, of which this one is a part: it takes its place
                before all that waits behind the same keys.
        """
        if not request.keys and not due:
            self.ready.append(request)
            return
        request.due = due
        if len(request.keys) > 1:
            # Named twice, a key would make the request wait for itself.
            request.keys = tuple(dict.fromkeys(request.keys))
        for key in request.keys:
            queue = self._queues.setdefault(key, deque())
            queue.insert(len(queue) if after is None else 1, request)
            request.blocked += len(queue) > 1
        if request.blocked:
            self.behind += 1
        else:
            self._make_ready(request)

    def put_off(self, request: Request, at: float) -> None:
        """Let a request wait until then; what stands behind it goes on waiting."""
        self._sequence += 1
        heapq.heappush(self.later, (at, self._sequence, request))

    def release(self, request: Request) -> None:
        """Let the requests go on that wait for the end of this one."""
        for key in request.keys:
            queue = self._queues.get(key)
            if queue is None or queue[0] is not request:
                continue
            queue.popleft()
            if not queue:
                del self._queues[key]
                continue
            following = queue[0]
            following.blocked -= 1
            if not following.blocked:
                self.behind -= 1
                self._make_ready(following)

    def withdraw(self, request: Request) -> None:
        """Forget a request without keys, if it is here."""
        self.ready = deque(one for one in self.ready if one is not request)
        self.later = [one for one in self.later if one[2] is not request]
        heapq.heapify(self.later)

    def first(self, now: float) -> Request | None:
        """What `take` would give."""
        if self.later and self.later[0][0] <= now:
            return self.later[0][2]
        return self.ready[0] if self.ready else None

    def take(self, now: float) -> Request | None:
        """The next request: those that are due come first."""
        if self.later and self.later[0][0] <= now:
            return heapq.heappop(self.later)[2]
        return self.ready.popleft() if self.ready else None

    def next_at(self, now: float) -> float:
        """When there is something to take, by itself: now or later, infinite for never."""
        if self.ready:
            return now
        return max(now, self.later[0][0]) if self.later else math.inf

    def clear(self) -> list[Request]:
        """Everything, in no order that can be relied on; nothing waits afterwards."""
        found = [*(request for _, _, request in sorted(self.later)), *self.ready]
        blocked = {id(request): request for queue in self._queues.values() for request in queue if request.blocked}
        found.extend(blocked.values())
        self.later, self.behind = [], 0
        self._queues.clear()
        self.ready.clear()
        return found

    def _make_ready(self, request: Request) -> None:
        if request.due:
            self.put_off(request, request.due)
        else:
            self.ready.append(request)
