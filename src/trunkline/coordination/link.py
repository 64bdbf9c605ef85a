"""A worker's side of the coordinator: one link per process, with a thread of its own.

    link = link_to(place)
    rate = link.rate(None, name="", deadline=600.0)   # for a Schedule
    link.headers()                                    # what requests carry
    link.stop(nonce); link.stopped(nonce)
    link.report("write/0/17", counts, latencies)

The thread calls the coordinator while some task needs it, and ends when none has for a while. Tasks see what it was
told last. They wait for it at their end alone, until their last totals are taken in.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import uuid
from collections.abc import Mapping

from trunkline.coordination.buckets import UNUSED, Buckets, Windows
from trunkline.coordination.channel import Channel, Place
from trunkline.coordination.contact import LOST_AFTER, Contact
from trunkline.coordination.leased_rate import LeasedRate
from trunkline.coordination.leases import SHORTEST
from trunkline.coordination.login import Login
from trunkline.coordination.outbox import Outbox
from trunkline.credentials import Secret
from trunkline.errors import AuthError, OptionError, UnavailableError
from trunkline.http.oauth2 import Masked

# What tasks did is told, and what siblings did is heard, so often at least.
_TELL_EVERY = 1.0
# How long the end of a task waits for its last report to be taken in, unless the coordinator is lost: one that comes
# later may find the query over, and its totals would lack the task. A driver that is busy answers after seconds.
_LAST_WORD = 10.0
# A login that ended between a look at it and its use is used: a server that refuses it asks for another.
_GRACE = 0.5

log = logging.getLogger("trunkline.coordinator")


class Link:
    """All that the tasks of a process know of one coordinator. Get it from `links.link_to`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.renew()

    def renew(self) -> None:
        """Begin anew, as a forked process must: its parent's thread, connection, permits and name are its parent's."""
        self._channel = Channel(self._place)
        self._name = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._buckets = Buckets(self._use)
        self._login = Login()
        self._nothing: Mapping[str, str] = Masked({})
        self._outbox = Outbox()
        self._used_at = -math.inf
        self._contact = Contact()
        self._urgent = self._warned = False
        self._deadline = 600.0
        self._share = 0.0

    def rate(self, windows: Windows | None, *, name: str, deadline: float) -> LeasedRate:
        """What a schedule keeps to: the coordinator's own rate, or a rate of the options, which it keeps too.

        Args:
            windows: Of the options; None for the coordinator's.
            name: Of the bucket: what shares it has the same.
            deadline: How long to wait for a coordinator, or a token, that is not there.
        """
        with self._condition:
            self._deadline = deadline
            rate = self._buckets.rate(name, windows)
            rate.touched_at = time.monotonic()
            rate.give_up_at = math.inf
            rate.usable_until = self._login.usable_until
        self._use()
        return rate

    @property
    def kind(self) -> str | None:
        """The coordinator's `auth.type`; None until it has answered."""
        return self._login.kind

    @property
    def active(self) -> bool:
        """Whether a task uses it."""
        return self._thread is not None

    @property
    def query(self) -> Mapping[str, str]:
        """Query parameters that log in, not encoded."""
        return self._login.query or self._nothing

    def headers(self) -> Mapping[str, str]:
        """Headers that log in: the same object until they change.

        Raises:
            AuthError: The coordinator's credential was refused.
            UnavailableError: The coordinator, or its token endpoint, was not there until the deadline.
        """
        now = time.monotonic()
        self._use()
        login, headers = self._login, self._login.headers
        if headers is not None and now < login.ends_at + _GRACE:
            return headers
        if self.kind == "none":
            return self._nothing
        # A task is not let so far without a login before the deadline, but for one that ended a moment ago.
        with self._condition:
            give_up_at = min((rate.give_up_at for rate in self._buckets.rates()), default=math.inf)
            patience = max(0.0, min(give_up_at, now + self._deadline) - now)
            self._condition.wait_for(lambda: not login.missing(time.monotonic()) or login.hopeless, patience)
            if login.headers is not None and not login.missing(time.monotonic()):
                return login.headers
            if self.kind == "none":
                return self._nothing
        if login.failure is not None:
            raise (AuthError if login.hopeless else UnavailableError)(login.failure[1])
        what = "has not answered yet" if self.kind is None else "has gone, and the access token has ended"
        silent = self._contact.silent(time.monotonic())
        raise UnavailableError(
            f"the coordinator {self._place.url} {what} (no answer for {silent:.0f} s): start it again at the same "
            "address and with the same token, or run the query with a new one"
        )

    def expired(self, headers: Mapping[str, str]) -> None:
        """A request sent with these was answered 401."""
        with self._condition:
            if self._login.refuse(headers):
                self._block(time.monotonic())
                self._hurry()

    def secrets(self) -> list[Secret]:
        """What must not be shown: the tokens so far."""
        return self._login.secrets()

    def stop(self, nonce: str) -> None:
        """Stop every task of a write, wherever it is."""
        with self._condition:
            self._use()
            self._outbox.stop(nonce)
            self._hurry()

    def stopped(self, nonce: str) -> bool:
        """Whether some task has stopped the write."""
        if self._thread is None:
            self._use()
        with self._condition:
            return self._outbox.stopped(nonce)

    def forget(self, nonce: str) -> None:
        """The write is over."""
        with self._condition:
            self._outbox.forget(nonce)

    def report(self, task: str, counts: Mapping[str, int], latencies: Mapping[int, int], *, done: bool = False) -> None:
        """Tell the totals of an attempt; at its end wait until they are taken in, or the coordinator is lost."""
        with self._condition:
            self._use()
            told = self._outbox.report(task, counts, latencies, done=done)
            if done and not self._contact.lost:
                self._hurry()
                self._condition.wait_for(lambda: told.sent or self._contact.lost, _LAST_WORD)

    def check(self) -> str:
        """Call once, now: what would fail in every task fails here. Gives the coordinator's `auth.type`.

        Raises:
            OptionError: It does not answer, or another does.
        """
        problem = self._call(time.monotonic())
        if problem is not None:
            raise OptionError(
                f"the coordinator cannot be used: {problem}; is it running, can this machine reach that address, and "
                "are these the options it gave last?"
            )
        return self.kind or "none"

    def __repr__(self) -> str:
        return f"<Link to {self._place.url}>"

    def _use(self) -> None:
        self._used_at = time.monotonic()
        if self._thread is None:
            with self._condition:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="trunkline-link", daemon=True)
                    self._thread.start()

    def _hurry(self) -> None:
        self._urgent = True
        self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                now = time.monotonic()
                self._used_at = max(self._used_at, self._buckets.touched_at(now))
                if now > self._used_at + UNUSED and not self._urgent:
                    self._thread = None
                    break
                wait = 0.0 if self._urgent else self._due(now) - now
                if wait > 0.0:
                    # A rate may run out before: look again.
                    self._condition.wait(min(wait, SHORTEST / 4))
                    continue
                self._urgent = False
            problem = self._call(time.monotonic())
            with self._condition:
                self._note(problem, time.monotonic())
                self._condition.notify_all()
        self._leave()

    def _due(self, now: float) -> float:
        if self._contact.failing:
            return self._contact.again_at
        called_at = self._contact.called_at
        due = called_at + (SHORTEST if self._outbox.overfull else _TELL_EVERY)
        if self._login.missing(now):
            due = called_at + SHORTEST
        elif self._login.renews_at < due:
            due = max(called_at + SHORTEST, self._login.renews_at)
        return min(due, self._buckets.ask_at(now))

    def _call(self, now: float, *, bye: bool = False) -> str | None:
        """One call; what went wrong, or None."""
        with self._condition:
            self._contact.called_at = now
            asked = self._buckets.ask(now, bye=bye)
            load, refused = self._outbox.load(), self._login.refused
            call = {
                "worker": self._name,
                "rates": asked,
                **load.wire(),
                "token": self._login.number,
                "refused": refused,
                "bye": bye,
            }
        answer = self._channel.exchange(call, brief=self._contact.doubtful)
        if isinstance(answer, str):
            return answer
        try:
            with self._condition:
                self._outbox.carried(load, answer["stopped"])
                login = self._login
                login.refused = None if login.refused == refused else login.refused
                login.kind = answer["kind"]
                login.failure = tuple(answer["failure"]) if answer["failure"] else None
                if answer["token"] is not None:
                    login.take(answer["token"], now)
                for name in asked:
                    self._buckets.take(name, answer["rates"][name], bye=bye)
        except (KeyError, TypeError, AttributeError, ValueError):
            # The thread must not end by it: tasks would wait for an answer that nobody asks for.
            return f"{self._place.url} answers what is not understood: is it of the same version?"
        return None

    def _note(self, problem: str | None, now: float) -> None:
        """Keep what a call came to; go on without the coordinator, and say so, where there is none."""
        if problem is None:
            if self._contact.answered():
                log.warning("the coordinator %s is back", self._place.url)
        elif self._contact.failed(now):
            self._share = self._buckets.lost(now)
        self._used_at = max(self._used_at, self._buckets.touched_at(now))  # the call may have taken seconds
        if self._contact.lost and not self._warned and now < self._used_at + LOST_AFTER:
            self._warned = True
            log.warning("%s: %s, and trying again every second", problem, self._left())
        self._block(now)

    def _left(self) -> str:
        """What there is to go on with."""
        if self.kind is None:
            return "waiting for its first answer"
        token = "" if self.kind == "none" else "the last access token and "
        rate = f"{self._share:.0%} of the rate" if self._share else "no request, because no rate was told"
        return f"going on with {token}{rate}"

    def _block(self, now: float) -> None:
        """Hold the tasks while there is no login; at the deadline, or when there can be none, let them find out."""
        blocked = self._login.missing(now)
        for rate in self._buckets.rates():
            if not (blocked or (self._contact.lost and not rate.can_go_on)):
                rate.give_up_at = math.inf
            elif math.isinf(rate.give_up_at):
                rate.give_up_at = now + self._deadline
            if blocked and self._login.hopeless:
                rate.give_up_at = now
            rate.usable_until = self._login.usable_until

    def _leave(self) -> None:
        if not self._contact.failing:
            self._call(time.monotonic(), bye=True)
        self._channel.close()
