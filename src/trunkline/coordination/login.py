"""What a worker knows of the coordinator's login: the headers and parameters that carry it, and how long they hold.

    login = Login()
    login.take({"number": 1, "headers": {"Authorization": "Bearer ..."}, "query": {}, "ends_in": 300, "renews_in": 240},
               asked_at=now)
    login.headers, login.usable_until

Without a thread or a lock: `Link` keeps it, and is the only one to change it.
"""

from __future__ import annotations

import base64
import contextlib
import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from trunkline.credentials import Secret
from trunkline.http.oauth2 import Masked

# Tokens that are remembered for redaction.
_PAST = 20


class Login:
    """The login of the moment, none at first.

    Attributes:
        kind: The coordinator's `auth.type`; None until it has answered.
        number: Counts the tokens: what the coordinator is told that a worker has.
        headers, query: What requests carry; None while there is no token.
        ends_at, renews_at: When it ends and when the next is there, seconds of the clock of `asked_at`.
        refused: The number of the token that a server has answered with 401.
        failure: What kept the coordinator from logging in: the name of the error and its text.
    """

    def __init__(self) -> None:
        self.kind: str | None = None
        self.number = 0
        self.headers: Mapping[str, str] | None = None
        self.query: Mapping[str, str] | None = None
        self.ends_at = math.inf
        self.renews_at = math.inf
        self.refused: int | None = None
        self.failure: tuple[str, str] | None = None
        self._past: deque[Secret] = deque(maxlen=_PAST)

    @property
    def usable_until(self) -> float:
        """When requests can no longer be sent: never where no login is needed, long ago where there is none."""
        if self.kind == "none":
            return math.inf
        return -math.inf if self.headers is None else self.ends_at

    @property
    def hopeless(self) -> bool:
        """Whether no token will come: the credential itself was refused."""
        return self.failure is not None and self.failure[0] == "AuthError"

    def missing(self, now: float) -> bool:
        """Whether there is none to send requests with."""
        return now >= self.usable_until

    def take(self, told: Mapping[str, Any], asked_at: float) -> None:
        """Use a token; it ends by the time it was asked for, not by when a slow answer came."""
        headers = Masked(told["headers"])
        for value in (*headers.values(), *told["query"].values()):
            self._past.extend(_secrets_in(value))
        self.number, self.headers, self.query = told["number"], headers, Masked(told["query"])
        self.ends_at = math.inf if told["ends_in"] is None else asked_at + told["ends_in"]
        self.renews_at = math.inf if told["renews_in"] is None else asked_at + told["renews_in"]

    def refuse(self, headers: Mapping[str, str]) -> bool:
        """A request sent with these was answered 401: do without them; False where they are no longer in use."""
        if self.headers is not headers:
            return False
        self.refused = self.number
        self.headers = self.query = None
        self.ends_at = self.renews_at = math.inf
        return True

    def secrets(self) -> list[Secret]:
        """What must not be shown: the tokens so far."""
        return list(self._past)


def _secrets_in(value: str) -> list[Secret]:
    """What must not be shown of a header or parameter that logs in: the credential, and what Base64 hides of it."""
    scheme, _, credential = value.rpartition(" ")
    found = [Secret(credential)]
    if scheme == "Basic":
        with contextlib.suppress(ValueError):
            found.append(Secret(base64.b64decode(credential).decode().partition(":")[2]))
    return [secret for secret in found if secret.reveal()]
