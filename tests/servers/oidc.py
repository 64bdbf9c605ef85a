"""oidc-provider 9.13: a certified OAuth2 and OpenID Connect server, with access tokens that live for seconds.

Shows: the client credentials grant with the secret in the `Authorization` header (client `basic`) or in the body
(client `post`), and its 401 `invalid_client`; the refresh grant with rotation, where a used refresh token is refused
and takes its successors with it (client `web`); introspection and revocation (RFC 7662, RFC 7009); JWTs signed with
the keys at `/jwks`, or opaque tokens; discovery at `/.well-known/openid-configuration`.

Cannot show: a person signing in (`sign_in` stands in for it), TLS, private_key_jwt or mTLS clients, a slow or failing
token endpoint, a vendor's deviations from the standards.

    POST /token
    Authorization: Basic YmFzaWM6...
    grant_type=client_credentials&scope=api:write

    {"access_token": "...", "expires_in": 5, "token_type": "Bearer", "scope": "api:write"}
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import requests
from tests.servers.install import install_node
from tests.servers.process import Server, start

PACKAGES = ("oidc-provider@9.13.3",)


@dataclass(frozen=True)
class Oidc(Server):
    """A running oidc-provider; `url` is the issuer.

    Attributes:
        ttl: How long an access token lives, in seconds.
        secret: The secret of the clients `basic`, `post` and `web`.
    """

    ttl: int
    secret: str = field(repr=False)

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self.url}/token"

    @property
    def introspection_url(self) -> str:
        """The introspection endpoint."""
        return f"{self.url}/token/introspection"

    @property
    def jwks_url(self) -> str:
        """The public keys that JWTs are signed with."""
        return f"{self.url}/jwks"

    def token(self) -> str:
        """A new access token of the client `basic`, for both scopes."""
        form = {"grant_type": "client_credentials", "scope": "api:read api:write"}
        answer = requests.post(self.token_url, data=form, auth=("basic", self.secret), timeout=10)
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def revoke(self, token: str) -> None:
        """Revoke an opaque access token of the client `basic`; a JWT cannot be revoked."""
        form, client = {"token": token}, ("basic", self.secret)
        requests.post(f"{self.token_url}/revocation", data=form, auth=client, timeout=10).raise_for_status()

    def introspect(self, token: str) -> dict[str, Any]:
        """What the server says of an opaque token; `{"active": False}` once it has expired or is revoked."""
        form, client = {"token": token}, ("basic", self.secret)
        answer = requests.post(self.introspection_url, data=form, auth=client, timeout=10)
        answer.raise_for_status()
        claims: dict[str, Any] = answer.json()
        return claims

    def sign_in(self) -> str:
        """A new refresh token of the client `web`, as if a person had signed in and consented."""
        answer = requests.post(f"{self.url}/test/sign-in", timeout=10)
        answer.raise_for_status()
        token: str = answer.json()["refresh_token"]
        return token

    def token_requests(self) -> list[str]:
        """One line per request to the token endpoint, in order, as `granted basic client_credentials`."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith(("granted ", "refused "))]


def start_oidc(ttl: int = 5, token_format: Literal["jwt", "opaque"] = "opaque") -> Oidc:
    """Install oidc-provider unless it is there, and start it.

    Args:
        ttl: How long an access token lives, in seconds.
        token_format: Opaque tokens can be introspected and revoked; JWTs are checked by their signature alone.
    """
    package = install_node("oidc", PACKAGES) / "node_modules" / "oidc-provider" / "lib" / "index.js"
    script = Path(__file__).with_name("oidc_server.mjs")
    secret = secrets.token_hex(16)

    def command(port: int, folder: Path) -> list[str]:
        return ["node", str(script), str(package), str(port)]

    environment = {"TTL": str(ttl), "FORMAT": token_format, "CLIENT_SECRET": secret}
    server = start("oidc", command, environment=environment)
    return Oidc(server.url, server.folder, server.process, ttl, secret)
