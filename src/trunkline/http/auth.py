"""Logging in: what each request carries, and what to do when a server says that it is no longer good.

    auth = Auth.from_options(options)
    auth.headers()                # {"Authorization": "Bearer ..."}: the same object until the token changes
    auth.query                    # {"api_key": "..."} where the key of apiKey goes into the query
    auth.expired(headers)         # a request sent with these headers was answered 401

On the wire:

    none
    basic     Authorization: Basic bG9hZGVyOnMzY3JldA==        user name and password, UTF-8 (RFC 7617)
    bearer    Authorization: Bearer 2YotnFZFEjr1                (RFC 6750)
    apiKey    X-Api-Key: 2YotnFZFEjr1                           or ?api_key=2YotnFZFEjr1
    oauth2    Authorization: Bearer ...                         fetched and renewed, see `trunkline.http.tokens`

With `coordinator.url` the coordinator logs in, whatever its way, and tells what requests carry.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trunkline.coordination.channel import Place, place_of
from trunkline.coordination.link import Link
from trunkline.coordination.links import link_to
from trunkline.credentials import Secret
from trunkline.errors import OptionError
from trunkline.http.message import header_problem
from trunkline.http.oauth2 import Credential, Masked
from trunkline.http.tokens import tokens_of

if TYPE_CHECKING:
    from trunkline.http.transport import Settings
    from trunkline.options import Options

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Auth:
    """One way to log in. Prints without secrets; pickles with the credential, never with a fetched token.

        Auth.bearer(Secret("2YotnFZFEjr1")).headers()

    `headers()` costs a function call, for `oauth2` two and a look at the clock.
    """

    __slots__ = ("_headers", "_link", "_oauth2", "_place", "_query", "_secrets", "_tokens", "kind")

    def __init__(
        self,
        kind: str,
        secrets: tuple[Secret, ...] = (),
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        oauth2: tuple[Credential, Settings] | None = None,
        coordinator: Place | None = None,
    ) -> None:
        self.kind = kind
        self._secrets = secrets
        self._headers: Mapping[str, str] = Masked(headers or {})
        self._query: Mapping[str, str] = Masked(query or {})
        self._oauth2 = oauth2
        self._tokens = tokens_of(*oauth2) if oauth2 is not None else None
        self._place = coordinator
        self._link: Link | None = link_to(coordinator) if coordinator is not None else None

    @classmethod
    def from_options(cls, options: Options, settings: Settings | None = None) -> Auth:
        """What the options `auth.*` say.

        Args:
            options: Parsed and resolved.
            settings: Time-outs, TLS and proxy for the token endpoint; default: what the options say of them.

        Raises:
            OptionError: The credential cannot be sent as it is, or the token endpoint cannot be used.
        """
        kind = options["auth.type"]
        if kind == "none":
            place = place_of(options)
            return cls.none() if place is None else cls.coordinated(place)
        if kind == "basic":
            return cls.basic(options["auth.username"], options["auth.password"])
        if kind == "bearer":
            return cls.bearer(options["auth.token"])
        if kind == "apiKey":
            return cls.api_key(options["auth.token"], options["auth.name"], options["auth.in"])
        if kind != "oauth2":
            raise OptionError(f"auth.type={kind} is not in this release")
        empty = Secret("")
        credential = Credential(
            token_url=options["auth.tokenUrl"],
            client_id=options["auth.clientId"] or "",
            client_secret=options["auth.clientSecret"] or empty,
            grant=options["auth.grant"],
            scope=options["auth.scope"] or "",
            username=options["auth.username"] or "",
            password=options["auth.password"] or empty,
            refresh_token=options["auth.refreshToken"] or empty,
            client_auth=options["auth.clientAuth"],
        )
        if settings is None:
            from trunkline.http.setup import settings_of

            settings = settings_of(options)
        return cls.oauth2(credential, settings)

    @classmethod
    def none(cls) -> Auth:
        """No login."""
        return cls("none")

    @classmethod
    def basic(cls, username: str, password: Secret) -> Auth:
        """HTTP Basic.

        Raises:
            OptionError: The user name holds a colon, or either holds a control character.
        """
        if ":" in username or _CONTROL.search(username):
            raise OptionError(
                "auth.username: HTTP Basic has no way to send a colon or control character in a user name"
            )
        if _CONTROL.search(password.reveal()):
            raise OptionError("auth.password holds a line break or another control character")
        pair = Secret(base64.b64encode(f"{username}:{password.reveal()}".encode()).decode())
        return cls("basic", (password, pair), headers=Masked(Authorization=f"Basic {pair.reveal()}"))

    @classmethod
    def bearer(cls, token: Secret) -> Auth:
        """A token that is at hand.

        Raises:
            OptionError: It holds a space or something else that no token has.
        """
        _check_visible("auth.token", token, "give the token alone, without Bearer before it")
        return cls("bearer", (token,), headers=Masked(Authorization=f"Bearer {token.reveal()}"))

    @classmethod
    def api_key(cls, key: Secret, name: str = "X-Api-Key", place: str = "header") -> Auth:
        """A key in a header, or with `place="query"` in a query parameter.

        Raises:
            OptionError: A header of that name or value cannot be sent.
        """
        if place == "query":
            return cls("apiKey", (key,), query=Masked({name: key.reveal()}))
        _check_visible("auth.token", key, "give the key alone")
        problem = header_problem(name, "")
        if problem is not None:
            raise OptionError(f"auth.name: {problem}")
        return cls("apiKey", (key,), headers=Masked({name: key.reveal()}))

    @classmethod
    def oauth2(cls, credential: Credential, settings: Settings) -> Auth:
        """Tokens from a token endpoint; asked for at the first `headers()`."""
        return cls("oauth2", tuple(credential.secrets), oauth2=(credential, settings))

    @classmethod
    def coordinated(cls, place: Place) -> Auth:
        """Whatever the coordinator there logs in with."""
        return cls("coordinator", (place.token,), coordinator=place)

    @property
    def renewable(self) -> bool:
        """Whether a 401 may be cured by a new token."""
        # What the coordinator logs in with is known once it has answered; it ignores what it cannot renew.
        return self._tokens is not None or (self._link is not None and self._link.kind != "none")

    def until(self) -> tuple[float | None, float | None]:
        """When what requests carry is to be renewed, and when it ends, on the monotonic clock; None for never."""
        renew_at, ends_at = self._tokens.until() if self._tokens is not None else (math.inf, math.inf)
        return (None if math.isinf(renew_at) else renew_at), (None if math.isinf(ends_at) else ends_at)

    @property
    def query(self) -> Mapping[str, str]:
        """Query parameters to add, not encoded."""
        return self._query if self._link is None else self._link.query

    def headers(self, now_hint: float | None = None) -> Mapping[str, str]:
        """Headers to add to a request: the same object until they change, so what is merged with them can be kept.

        Args:
            now_hint: `time.monotonic()`, where the caller has it at hand.

        Raises:
            AuthError: The token endpoint refuses the credential.
            ResponseError: It answers without a token.
            UnavailableError: It cannot be reached or is not well.
            OptionError: A `tls.*` file cannot be loaded.
        """
        if self._link is not None:
            return self._link.headers()
        tokens = self._tokens
        return self._headers if tokens is None else tokens.headers(now_hint)

    def expired(self, headers: Mapping[str, str]) -> None:
        """A request sent with these headers was answered 401: the next `headers()` brings others, where it can.

        However many requests were sent with the same headers, one new token is fetched.
        """
        if self._tokens is not None:
            self._tokens.expired(headers)
        if self._link is not None:
            self._link.expired(headers)

    def secrets(self) -> list[str]:
        """Every string to cut out of messages: credentials, HTTP Basic's Base64, current and past tokens."""
        fetched = self._tokens.secrets() if self._tokens is not None else []
        if self._link is not None:
            fetched = self._link.secrets()
        return [secret.reveal() for secret in (*self._secrets, *fetched)]

    def __repr__(self) -> str:
        return f"<Auth {self.kind}>"

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.kind, self._secrets, self._headers, self._query, self._oauth2, self._place)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.kind, self._secrets, self._headers, self._query, self._oauth2, self._place = state
        self._tokens = tokens_of(*self._oauth2) if self._oauth2 is not None else None
        self._link = link_to(self._place) if self._place is not None else None


def _check_visible(option: str, value: Secret, cure: str) -> None:
    """A header's value is sent as it is, and servers disagree about anything but visible ASCII."""
    if not _VISIBLE.fullmatch(value.reveal()):
        raise OptionError(f"{option} is empty or holds a space, a line break or a character beyond ASCII: {cure}")
