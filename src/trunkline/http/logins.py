"""Which logins were good: a 401 speaks of the request only where the login was good for nobody.

logins = Logins()
logins.sent(request)                    # request.login: how often the login had been renewed
logins.ended(request, accepted=True)
logins.renew(request)                   # what it was sent with was refused: the next ones are sent with another
"""

from __future__ import annotations

from trunkline.http.message import Request


class Logins:
    """What requests carry from one renewal to the next is one login; they are counted from 0.

    Tokens that are good for a few requests, or for a few seconds, run out while many are in flight: a request may meet
    one that has run out again and again, and is not at fault.
    """

    def __init__(self) -> None:
        self._current = 0
        self._newest_taken = -1
        # How many are in flight with the current one.
        self._in_flight = 0

    def sent(self, request: Request) -> None:
        """Note what a request is sent with."""
        request.login = self._current
        self._in_flight += 1

    def ended(self, request: Request, *, accepted: bool) -> None:
        """Note that there is an answer, or none."""
        login = request.login
        if login == self._current:
            self._in_flight -= 1
        if accepted and login > self._newest_taken:
            self._newest_taken = login

    def renew(self, request: Request) -> None:
        """The login of this request was refused; of those in flight with the same one only the first renews it."""
        if request.login == self._current:
            self._current += 1
            self._in_flight = 0

    def was_good(self, request: Request) -> bool:
        """Whether somebody was accepted with the login of this request, or with a later one."""
        return request.login <= self._newest_taken

    def may_be_good(self, request: Request) -> bool:
        """Whether that is not known yet: others are on their way with it, or it has been renewed meanwhile.

        Where none was ever good, or the one before was good for nobody, this one is not either: a wrong credential is
        told at once, and one that was revoked soon. The request itself is still in flight.
        """
        if self._newest_taken < max(0, request.login - 1):
            return False
        return request.login < self._current or self._in_flight > 1
