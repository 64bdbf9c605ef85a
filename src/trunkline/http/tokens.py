"""Access tokens of one credential: kept per process and per host, renewed ahead of their end, fetched once.

    tokens = tokens_of(credential, Settings())
    headers = tokens.headers()      # {"Authorization": "Bearer ..."}: the same object until the token changes
    tokens.expired(headers)         # a 401 came for a request sent with them

A token is looked for in this process, then in the host's file (see `trunkline.http.token_file`), and only then asked
for, under the file's lock: sixteen processes of a host make one token request per lifetime.

Time in a process is monotonic, so a clock that is set back cannot stretch a token's life. Between processes it is
wall-clock. Set back meanwhile, it can let a process take over a token that has ended, by no more than one lifetime: a
process never takes back the token it held last, and from then on its own clock counts. A 401 ends that too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trunkline.credentials import Secret
from trunkline.errors import AuthError, ResponseError, TrunklineError, UnavailableError
from trunkline.http import token_file
from trunkline.http.oauth2 import Credential, Masked, Token
from trunkline.http.token_file import Failure, Kept

if TYPE_CHECKING:
    from trunkline.http.transport import Settings

# A token must still be good when a request sent with it is checked: read timeout and clock skew together are about a
# minute, and there must be time for a second try at renewal. Of a short life a minute would be most: a fifth, then.
_MARGIN, _MARGIN_SHARE = 60.0, 0.2
# A credential that was refused is not tried again for so long by any process of the host: a thousand tasks with a
# wrong password would lock the account. Whoever corrects it has another credential, and does not wait.
REFUSED_FOR = 30.0
# Between two failed attempts to renew ahead of the end.
_PAUSE_AHEAD = 1.0
# Past tokens that are remembered for redaction: more than can still be in an answer or a message.
_PAST = 100

log = logging.getLogger("trunkline.http")


class _Held:
    """A token in use; times on the monotonic clock. Never changed, only replaced: readers take no lock."""

    __slots__ = ("ends_at", "headers", "renew_at")

    def __init__(self, headers: Mapping[str, str], renew_at: float, ends_at: float) -> None:
        self.headers = headers
        self.renew_at = renew_at
        self.ends_at = ends_at


_NOTHING = _Held({}, float("-inf"), float("-inf"))


class Tokens:
    """The access token of one credential in this process. Get it from `tokens_of`.

    Args:
        credential: To ask with.
        settings: Time-outs, TLS and proxy for the token endpoint.
        monotonic: A steady clock, seconds.
        wall: Epoch seconds.
    """

    def __init__(
        self,
        credential: Credential,
        settings: Settings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._credential = credential
        self._settings = settings
        self._monotonic = monotonic
        self._wall = wall
        self._held = _NOTHING
        # The token held last, ended or refused as it may be: it is never taken back from the file.
        self._last: Secret | None = None
        self._kept = Kept()
        self._past: deque[Secret] = deque(maxlen=_PAST)
        self._swap = threading.Lock()
        self._renewing = threading.Lock()
        self._ahead = threading.Lock()

    def headers(self, now: float | None = None) -> Mapping[str, str]:
        """What to add to a request. Blocks only when there is no token that is good.

        Args:
            now: The monotonic time, where the caller has it at hand.

        Raises:
            AuthError: The token endpoint refuses the credential.
            ResponseError: It answers without a token.
            UnavailableError: It cannot be reached or is not well.
            OptionError: A `tls.*` file cannot be loaded.
        """
        held = self._held
        if (self._monotonic() if now is None else now) < held.renew_at:
            return held.headers
        return self._late(held)

    def expired(self, headers: Mapping[str, str]) -> None:
        """A request sent with these headers was answered 401: forget the token, unless it was replaced meanwhile."""
        with self._swap:
            if headers is self._held.headers:
                self._held = _NOTHING

    def until(self) -> tuple[float, float]:
        """When the current token is to be renewed, and when it ends, on the monotonic clock."""
        held = self._held
        return held.renew_at, held.ends_at

    def secrets(self) -> list[Secret]:
        """The current token and those before it, for redaction."""
        with self._swap:
            return list(self._past)

    def __repr__(self) -> str:
        return f"<Tokens of {self._credential.where}>"

    def _late(self, held: _Held) -> Mapping[str, str]:
        if self._monotonic() >= held.ends_at:
            return self._renew(ahead=False)
        if self._ahead.acquire(blocking=False):
            try:
                threading.Thread(target=self._renew_ahead, name="trunkline-token", daemon=True).start()
            except RuntimeError:  # no more threads: renewed when it ends, then
                self._ahead.release()
        return held.headers

    def _renew_ahead(self) -> None:
        held = self._held
        try:
            self._renew(ahead=True)
        except Exception as error:  # noqa: BLE001 - the old token is still good; what is wrong is raised when it ends
            said = error if isinstance(error, TrunklineError) else type(error).__name__
            now = self._monotonic()
            log.warning("the access token is good for %.0f s more, but was not renewed: %s", held.ends_at - now, said)
            with self._swap:
                if self._held is held:
                    pause = max(_PAUSE_AHEAD, (held.ends_at - now) / 3)
                    self._held = _Held(held.headers, min(now + pause, held.ends_at), held.ends_at)
        finally:
            self._ahead.release()

    def _renew(self, *, ahead: bool) -> Mapping[str, str]:
        from trunkline.http.token_endpoint import longest

        waiting_since = self._wall()
        with self._renewing:
            held = self._held
            if self._monotonic() < (held.renew_at if ahead else held.ends_at):
                return held.headers
            patience = longest(self._settings)
            path = token_file.path_of(self._credential.key)
            with contextlib.ExitStack() as stack:
                try:
                    file = stack.enter_context(token_file.hold(path, patience))
                except TimeoutError:
                    raise UnavailableError(
                        f"another process of this host has been asking the token endpoint {self._credential.where} "
                        f"for over {patience:.0f} s"
                    ) from None
                return self._take_or_fetch(file, waiting_since, ahead=ahead)

    def _take_or_fetch(self, file: int | None, waiting_since: float, *, ahead: bool) -> Mapping[str, str]:
        """With the lock held: the token another process put down meanwhile, else a new one."""
        from trunkline.http.token_endpoint import fetch

        kept = token_file.read(file) or self._kept
        now = self._wall()
        left = kept.left(now)
        if kept.access is not None and kept.access != self._last and left > (margin(kept.lifetime) if ahead else 0.0):
            self._kept = kept
            self._remember(kept.refresh)
            return self._hold(kept.access, kept.lifetime, self._monotonic() + left)
        failure = kept.failure
        if failure is not None and waiting_since < failure.until <= now + REFUSED_FOR:
            raise failure.error()
        asked_at = self._monotonic()
        try:
            token = fetch(self._credential, self._settings, kept.refresh or self._credential.refresh_token)
        except (AuthError, ResponseError, UnavailableError) as error:
            until = self._wall() + (REFUSED_FOR if isinstance(error, AuthError) else 0.0)
            failure = Failure(type(error).__name__, str(error), getattr(error, "status", None), until)
            # What did not do for us will not do for others, unless it was only renewed ahead.
            self._keep(file, dataclasses.replace(kept, access=kept.access if ahead else None, failure=failure))
            raise
        self._keep(file, self._following(kept, token, now))
        ends_at = float("inf") if token.lifetime is None else asked_at + token.lifetime
        return self._hold(token.access, token.lifetime, ends_at)

    def _following(self, kept: Kept, token: Token, asked_at: float) -> Kept:
        """What to keep. Only one grant has a use for refresh tokens: the others show their own credential again."""
        rotates = self._credential.grant == "refresh_token"
        refresh = (token.refresh or kept.refresh) if rotates else None
        return Kept(token.access, refresh, asked_at, token.lifetime)

    def _keep(self, file: int | None, kept: Kept) -> None:
        self._kept = kept
        self._remember(kept.refresh)
        token_file.write(file, kept)

    def _hold(self, access: Secret, lifetime: float | None, ends_at: float) -> Mapping[str, str]:
        headers = Masked({"Authorization": f"Bearer {access.reveal()}"})
        self._remember(access)
        with self._swap:
            self._last = access
            self._held = _Held(headers, ends_at - margin(lifetime), ends_at)
        return headers

    def _remember(self, secret: Secret | None) -> None:
        with self._swap:
            if secret is not None and secret not in self._past:
                self._past.append(secret)


def margin(lifetime: float | None) -> float:
    """How long before its end a token is renewed, seconds."""
    return 0.0 if lifetime is None else min(_MARGIN, _MARGIN_SHARE * lifetime)


def tokens_of(credential: Credential, settings: Settings) -> Tokens:
    """The tokens of a credential in this process: the same object for the same credential and settings."""
    key = (credential.key, settings)
    with _CACHE_LOCK:
        tokens = _CACHE.get(key)
        if tokens is None:
            tokens = _CACHE[key] = Tokens(credential, settings)
        return tokens


_CACHE: dict[tuple[str, Settings], Tokens] = {}
_CACHE_LOCK = threading.Lock()
