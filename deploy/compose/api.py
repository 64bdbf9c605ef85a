"""The API that the five pipelines of `examples/auth_pipelines` ask, with Keycloak behind its OAuth2 doors.

    GET /none/customers/7                        open to everybody
    GET /basic/customers/7                       Authorization: Basic, user `loader`
    GET /bearer/customers/7                      Authorization: Bearer, the one token
    GET /oauth2_password/customers/7             Authorization: Bearer, a token of Keycloak's
    POST /oauth2_password/token                  handed on to Keycloak
    GET /seen                                    {"basic": {"requests": 100, "refused": 0}, ...}

    {"tier": "silver", "score": 57}

It makes itself a certificate, `api.crt` in the folder API_CERTIFICATES, because credentials do not travel in the clear
from one host to another.
"""

from __future__ import annotations

import base64
import hmac
import os
import ssl
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import web

USER, CLIENT = "loader", os.environ.get("API_CLIENT_ID", "trunkline")
OPEN, BASIC, BEARER, OAUTH2 = "none", "basic", "bearer", ("oauth2_password", "oauth2_client_credentials")
NAMES = (OPEN, BASIC, BEARER, *OAUTH2)
# Keycloak is asked again about a token after so long: revoking one counts from then on.
REMEMBERED = 5.0


class Api:
    """Who may come in, and who came."""

    def __init__(self, calls: aiohttp.ClientSession) -> None:
        self.calls = calls
        self.client = {"Authorization": basic(CLIENT, os.environ["API_CLIENT_SECRET"])}
        self.keys = {BASIC: basic(USER, os.environ["API_PASSWORD"]), BEARER: f"Bearer {os.environ['API_TOKEN']}"}
        self.active: dict[str, float] = {}
        self.requests: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def customer(self, request: web.Request) -> web.Response:
        """One customer, if the door opens."""
        name, number = request.match_info["name"], int(request.match_info["number"])
        if name not in NAMES:
            raise web.HTTPNotFound
        self.requests[name] += 1
        if not await self.opens(name, request.headers.get("Authorization", "")):
            self.refused[name] += 1
            scheme = "Basic" if name == BASIC else "Bearer"
            return web.json_response(
                {"error": "unauthorized"}, status=401, headers={"WWW-Authenticate": f'{scheme} realm="{name}"'}
            )
        return web.json_response({"tier": ("bronze", "silver", "gold")[number % 3], "score": number * 37 % 101})

    async def opens(self, name: str, authorization: str) -> bool:
        """Whether this is the key to that door."""
        if name == OPEN:
            return True
        if name in self.keys:
            return hmac.compare_digest(authorization.encode(), self.keys[name].encode())
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token:
            return False
        if self.active.get(token, 0) > time.monotonic():
            return True
        async with self.calls.post(
            os.environ["INTROSPECTION_URL"], data={"token": token}, headers=self.client
        ) as answer:
            answer.raise_for_status()
            active = (await answer.json()).get("active") is True
        if active:
            self.active[token] = time.monotonic() + REMEMBERED
        return active

    async def token(self, request: web.Request) -> web.Response:
        """Hand a request for a token on, and the answer back."""
        if request.match_info["name"] not in OAUTH2:
            raise web.HTTPNotFound
        kept = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        async with self.calls.post(os.environ["TOKEN_URL"], data=await request.read(), headers=kept) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    async def seen(self, request: web.Request) -> web.Response:
        """How often each door was knocked at."""
        return web.json_response(
            {name: {"requests": self.requests[name], "refused": self.refused[name]} for name in NAMES}
        )


def basic(name: str, password: str) -> str:
    """The header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def make_app() -> web.Application:
    """The application; its calls to Keycloak end with it."""
    calls = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
    api = Api(calls)
    app = web.Application()
    app.add_routes(
        [
            web.get("/seen", api.seen),
            web.get(r"/{name}/customers/{number:\d+}", api.customer),
            web.post("/{name}/token", api.token),
        ]
    )

    async def close(_: web.Application) -> None:
        await calls.close()

    app.on_cleanup.append(close)
    return app


def certificate(folder: Path) -> ssl.SSLContext:
    """A new one for `api` and `localhost`; its key stays in this container."""
    key, public = Path(tempfile.mkdtemp()) / "api.key", folder / "api.crt"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=api"]
    names = ["-addext", "subjectAltName=DNS:api,DNS:localhost"]
    subprocess.run([*made, *names, "-keyout", str(key), "-out", str(public)], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, key)
    return context


if __name__ == "__main__":
    web.run_app(
        make_app(),
        host=os.environ["API_HOST"],
        port=int(os.environ["API_PORT"]),
        ssl_context=certificate(Path(os.environ["API_CERTIFICATES"])),
        print=None,
    )
