"""OAuth2 (RFC 6749) as data: the credential, the token request it makes, and what the answer means. No I/O.

    POST /oauth/token
    Authorization: Basic dHJ1bmtsaW5lOnMzY3JldA==
    Content-Type: application/x-www-form-urlencoded

    grant_type=client_credentials&scope=rows.write

    {"access_token": "2YotnFZFEjr1", "token_type": "Bearer", "expires_in": 3600}

Wherever a bare secret has to exist it stands in an object that does not print: Spark may write the local variables of
a traceback into its event log.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import math
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from trunkline.credentials import MASK, Redactor, Secret
from trunkline.errors import AuthError, OptionError, ResponseError
from trunkline.http.message import Exchange, Request, origin, without_query

# RFC 6749 appendix A.12 and A.17: visible ASCII (and spaces, which RFC 6750 then leaves out of a bearer token).
# Anything else would break the header it goes into.
_TOKEN = re.compile(r"[\x21-\x7e]+")
# Of what the server says about an error; longer texts hold correlation ids and links.
_MAX_SAID = 300
_NO_SECRET = Secret("")
# What to look at, by the error codes of RFC 6749 section 5.2.
_CURES = {
    "invalid_client": "check auth.clientId and auth.clientSecret, and whether auth.clientAuth must be basic or post",
    "unauthorized_client": "this client may not use auth.grant={grant}",
    "unsupported_grant_type": "this endpoint does not know auth.grant={grant}",
    "invalid_scope": "check auth.scope",
}
_CURES_OF_GRANT = {
    "password": "check auth.username and auth.password",
    "refresh_token": "auth.refreshToken is spent, revoked or was rotated elsewhere: log in again for a new one",
}


class Masked(dict[str, Any]):
    """A dict whose values do not print: headers, parameters or an answer that hold a credential."""

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {MASK}' for name in self)}}}"


@dataclass(frozen=True)
class Credential:
    """All that a token depends on. Prints without secrets.

        Credential("https://login.example.com/token", "trunkline", Secret("s3cret"), scope="rows.write")

    Attributes:
        token_url: Of the token endpoint: https, or http on a loopback address.
        client_id: Of the client; empty where the endpoint wants none.
        client_secret: Empty for a public client, which then names itself in the body (RFC 6749 section 3.2.1).
        grant: `client_credentials`, `password` or `refresh_token`.
        scope: Scopes separated by spaces; empty asks for none.
        username: For the grant `password`.
        password: For the grant `password`.
        refresh_token: For the grant `refresh_token`.
        client_auth: How the client shows its secret: `basic` or `post`.

    Raises:
        OptionError: The token endpoint cannot be used.
    """

    token_url: str
    client_id: str = ""
    client_secret: Secret = _NO_SECRET
    grant: str = "client_credentials"
    scope: str = ""
    username: str = ""
    password: Secret = _NO_SECRET
    refresh_token: Secret = _NO_SECRET
    client_auth: str = "basic"

    def __post_init__(self) -> None:
        parts = urlsplit(self.token_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OptionError("auth.tokenUrl is not an absolute URL: write https://host/path")
        if "@" in parts.netloc:
            raise OptionError("auth.tokenUrl holds a user name or password: use auth.clientId and auth.clientSecret")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise OptionError(
                f"auth.tokenUrl {without_query(self.token_url)} would send credentials in clear: use https"
            )

    @property
    def key(self) -> str:
        """A digest of the whole credential: credentials that differ in anything never share a token."""
        return hashlib.sha256(
            json.dumps(
                [
                    self.token_url, self.grant, self.client_id, self.client_secret.reveal(), self.scope, self.username,
                    self.password.reveal(), self.refresh_token.reveal(), self.client_auth,
                ]
            ).encode()
        ).hexdigest()  # fmt: skip

    @property
    def where(self) -> str:
        """Origin and path of the token endpoint, for messages."""
        return origin(self.token_url) + urlsplit(self.token_url).path

    @property
    def secrets(self) -> list[Secret]:
        """What must not be seen: as given, and as HTTP Basic sends it."""
        given = [secret for secret in (self.client_secret, self.password, self.refresh_token) if secret.reveal()]
        return [*given, self._basic()] if self.client_auth == "basic" and self.client_secret.reveal() else given

    def request(self, refresh_token: Secret) -> Request:
        """The token request; `refresh_token` is the latest one, for the grant of that name."""
        fields: list[tuple[str, str | Secret]] = [("grant_type", self.grant)]
        if self.grant == "password":
            fields += [("username", self.username), ("password", self.password)]
        elif self.grant == "refresh_token":
            fields += [("refresh_token", refresh_token)]
        if self.scope:
            fields += [("scope", self.scope)]
        headers = Masked(
            {
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Content-Type": "application/x-www-form-urlencoded",
                "User-Agent": "trunkline",
            }
        )
        if self.client_auth == "basic" and self.client_secret.reveal():
            headers["Authorization"] = f"Basic {self._basic().reveal()}"
        elif self.client_id:
            fields += [("client_id", self.client_id)]
            if self.client_secret.reveal():
                fields += [("client_secret", self.client_secret)]
        return Request("POST", self.token_url, headers, _form(fields))

    def _basic(self) -> Secret:
        # RFC 6749 section 2.3.1: both are form-encoded first, so that a colon in the client id stays one of the id.
        return Secret(
            base64.b64encode(
                f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret.reveal())}".encode()
            ).decode()
        )


@dataclass(frozen=True)
class Token:
    """What a token endpoint issued.

    Attributes:
        access: The access token.
        lifetime: Seconds from the request on; None when the server did not say.
        refresh: The refresh token that takes the place of the one used, None when that one stays good.
    """

    access: Secret
    lifetime: float | None = None
    refresh: Secret | None = None


def read_token(exchange: Exchange, credential: Credential, redactor: Redactor) -> Token:
    """The token in a complete answer of the token endpoint that is no reason to try again.

    A missing `token_type` is taken for Bearer, and an `expires_in` that is missing, unreadable or not positive for
    unknown: some servers write 0 for "does not expire".

    Args:
        exchange: The answer, its body decoded.
        credential: Asked with.
        redactor: Cuts the secrets of the request out of what the server says.

    Raises:
        AuthError: The server refused, or issued what is no bearer token.
        ResponseError: A success without a token in it.
    """
    fields = _fields(exchange.body)
    status = exchange.status
    if 300 <= status < 400:
        target = without_query(exchange.headers.get("Location", "nowhere"))
        raise AuthError(
            f"the token endpoint {credential.where} redirects (status {status}) to {redactor.clean(target)}, and a "
            "credential does not follow: set auth.tokenUrl to the final address",
            status=status,
        )
    if status >= 400 or "error" in fields:
        raise AuthError(_refusal(status, fields, credential, redactor), status=status)
    kind = fields.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        said = _readable(kind, redactor) if isinstance(kind, str) else type(kind).__name__
        raise AuthError(
            f"the token endpoint {credential.where} issues tokens of type {said}; only Bearer is supported",
            status=status,
        )
    token = _secret(fields.get("access_token"))
    if token is None:
        raise ResponseError(
            f"the token endpoint {credential.where} answered {status} without a usable access_token: "
            "check auth.tokenUrl"
        )
    return Token(token, _seconds(fields.get("expires_in")), _secret(fields.get("refresh_token")))


def _secret(value: object) -> Secret | None:
    return Secret(value) if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _refusal(status: int, fields: Masked, credential: Credential, redactor: Redactor) -> str:
    said = [_readable(fields[name], redactor) for name in ("error", "error_description") if fields.get(name)]
    code = said[0] if fields.get("error") else ""
    cure = _CURES.get(code)
    if code == "invalid_grant":
        cure = _CURES_OF_GRANT.get(credential.grant)
    if status in (404, 405):
        cure = "check auth.tokenUrl"
    text = f"the token endpoint {credential.where} refused the credential: status {status}"
    text = ", ".join([text, ": ".join(said)]) if said else text
    return f"{text} ({cure.format(grant=credential.grant)})" if cure else text


def _readable(value: object, redactor: Redactor) -> str:
    """What a server said, safe to show. Secrets go first: half a secret is not recognised."""
    text = " ".join(redactor.clean(value if isinstance(value, str) else type(value).__name__).split())
    return "".join(c if c.isprintable() else "?" for c in text)[:_MAX_SAID]


def _fields(body: bytes) -> Masked:
    """The JSON object of a body; empty when it is none."""
    try:
        return Masked(json.loads(body))
    except (ValueError, TypeError, RecursionError):
        return Masked()


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _form(fields: list[tuple[str, str | Secret]]) -> bytes:
    return urlencode([(n, v.reveal() if isinstance(v, Secret) else v) for n, v in fields]).encode()


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
