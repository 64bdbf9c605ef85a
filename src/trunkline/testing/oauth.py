"""An OAuth2 token endpoint (RFC 6749) and the bearer check of RFC 6750 that trusts it.

    POST /token   grant_type=client_credentials, Authorization: Basic ...
    {"access_token": "at-1-...", "token_type": "Bearer", "expires_in": 3600}

    GET /rows     Authorization: Bearer at-1-...
    401, WWW-Authenticate: Bearer realm="trunkline", error="invalid_token", error_description="expired"

Clients authenticate by HTTP Basic or in the form; refresh tokens rotate.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from trunkline.testing.answers import Answer, json_answer
from trunkline.testing.wire import Request

_OPTIONS = {
    "clients": dict,
    "users": dict,
    "refresh_tokens": list,
    "expires_in": (int, float),
    "lifetime": (int, float),
    "max_uses": int,
    "client_auth": str,
    "rotate": bool,
    "scope": str,
}
_NO_STORE = [("Cache-Control", "no-store")]


class TokenEndpoint:
    """Issues and checks tokens; the meaning of the options stands in `FaultServer.oauth`."""

    def __init__(self, options: dict[str, Any]) -> None:
        for name, value in options.items():
            if name not in _OPTIONS or not isinstance(value, _OPTIONS[name]):  # type: ignore[arg-type]
                raise ValueError(f"oauth option {name}={value!r}: expected one of {', '.join(_OPTIONS)}")
        self._clients: dict[str, str] = options.get("clients", {})
        self._users: dict[str, str] = options.get("users", {})
        self._refresh: set[str] = set(options.get("refresh_tokens", []))
        self._used_refresh: set[str] = set()
        self._expires_in = options.get("expires_in", 3600)
        self._lifetime = options.get("lifetime", self._expires_in)
        self._max_uses = options.get("max_uses")
        self._client_auth = options.get("client_auth", "any")
        if self._client_auth not in ("any", "basic", "post"):
            raise ValueError(f"oauth option client_auth={self._client_auth!r}: expected any, basic or post")
        self._rotate = options.get("rotate", True)
        self._scope = options.get("scope")
        self.issued: list[str] = []
        self._expiry: dict[str, float] = {}
        self._uses: dict[str, int] = {}
        self._revoked: set[str] = set()

    def respond(self, request: Request, now: float) -> Answer:
        """The answer to a token request."""
        if request.method != "POST":
            return _error(405, "invalid_request", "use POST")
        form = {k: v[-1] for k, v in parse_qs(request.text, keep_blank_values=True).items()}
        refusal = self._check_client(request, form)
        if refusal is not None:
            return refusal
        grant = form.get("grant_type")
        with_refresh = True
        if grant == "client_credentials":
            with_refresh = False
        elif grant == "password":
            if self._users.get(form.get("username", "")) != form.get("password", ""):
                return _error(400, "invalid_grant", "unknown user or wrong password")
        elif grant == "refresh_token":
            token = form.get("refresh_token", "")
            if token in self._used_refresh:
                return _error(400, "invalid_grant", "the refresh token was used before")
            if token not in self._refresh:
                return _error(400, "invalid_grant", "unknown refresh token")
            with_refresh = self._rotate
            if self._rotate:
                self._refresh.discard(token)
                self._used_refresh.add(token)
        else:
            return _error(400, "unsupported_grant_type", f"grant_type {grant!r}")
        if self._scope is not None and form.get("scope", self._scope) != self._scope:
            return _error(400, "invalid_scope", f"only {self._scope!r}")
        return self._new_token(now, with_refresh)

    def problem(self, request: Request, now: float) -> str | None:
        """Why the bearer token is not good: "" when there is none, None when it is good (a use is counted)."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return ""
        if token not in self._expiry:
            return "unknown"
        if token in self._revoked:
            return "revoked"
        if now >= self._expiry[token]:
            return "expired"
        self._uses[token] += 1
        if self._max_uses is not None and self._uses[token] > self._max_uses:
            return "expired"
        return None

    def revoke(self, refresh_tokens: bool = False) -> None:
        """Make every access token issued so far worthless, the refresh tokens too when asked."""
        self._revoked.update(self.issued)
        if refresh_tokens:
            self._refresh.clear()

    def _new_token(self, now: float, with_refresh: bool) -> Answer:
        number = len(self.issued) + 1
        token = f"at-{number}-{secrets.token_urlsafe(12)}"
        self.issued.append(token)
        self._expiry[token] = now + self._lifetime
        self._uses[token] = 0
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self._expires_in}
        if self._scope is not None:
            answer["scope"] = self._scope
        if with_refresh:
            refresh = f"rt-{number}-{secrets.token_urlsafe(12)}"
            self._refresh.add(refresh)
            answer["refresh_token"] = refresh
        return json_answer(200, answer, _NO_STORE)

    def _check_client(self, request: Request, form: dict[str, str]) -> Answer | None:
        header = request.headers.get("authorization")
        if header is not None and "client_secret" in form:
            return _error(400, "invalid_request", "client credentials in the header and in the body")
        if header is not None:
            used, (client, password) = "basic", _basic(header)
        else:
            used, client, password = "post", form.get("client_id", ""), form.get("client_secret", "")
        if self._client_auth not in ("any", used):
            return _error(401, "invalid_client", f"client authentication by {self._client_auth} only", header)
        if client not in self._clients or self._clients[client] != password:
            return _error(401, "invalid_client", "unknown client or wrong secret", header)
        return None


def bearer_refusal(problem: str) -> list[tuple[str, str]]:
    """The WWW-Authenticate header for a request whose token is missing ("") or not good."""
    detail = f', error="invalid_token", error_description="{problem}"' if problem else ""
    return [("WWW-Authenticate", f'Bearer realm="trunkline"{detail}')]


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    try:
        decoded = base64.b64decode(value, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    # RFC 6749 section 2.3.1: both halves are form-encoded before Base64.
    client, _, password = decoded.partition(":")
    return unquote_plus(client), unquote_plus(password)


def _error(status: int, error: str, description: str, header: str | None = None) -> Answer:
    challenge = [("WWW-Authenticate", 'Basic realm="trunkline"')] if header is not None else []
    return json_answer(status, {"error": error, "error_description": description}, [*_NO_STORE, *challenge])
