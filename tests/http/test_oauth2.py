"""What a token request says, and what its answer means."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.credentials import Redactor, Secret
from trunkline.errors import AuthError, OptionError, ResponseError
from trunkline.http.message import Exchange, Request
from trunkline.http.oauth2 import Credential, Token, read_token

URL = "https://login.example.com/oauth/token"
CREDENTIAL = Credential(URL, "trunkline", Secret("client-s3cret"))
SPENT = "auth.refreshToken is spent, revoked or was rotated elsewhere: log in again for a new one"
WHERE = "the token endpoint https://login.example.com:443/oauth/token"
NAMES = ("access_token", "token_type", "expires_in", "refresh_token", "error", "error_description")
VALUES: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("Bearer") | st.just([{}])
)


def sent(credential: Credential, refresh_token: str = "") -> tuple[str | None, list[tuple[str, str]]]:
    """The Authorization header and the form fields of a token request."""
    request = credential.request(Secret(refresh_token) if refresh_token else credential.refresh_token)
    assert request.headers is not None
    assert request.body is not None
    fields = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    return request.headers.get("Authorization"), fields


def answer(status: int, body: object, headers: dict[str, str] | None = None) -> Exchange:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(Request("POST", URL), status, headers or {}, text)


def read(exchange: Exchange, credential: Credential = CREDENTIAL) -> Token:
    return read_token(exchange, credential, Redactor(credential.secrets))


def basic(header: str | None) -> str:
    assert header is not None
    return base64.b64decode(header.removeprefix("Basic "), validate=True).decode()


def test_basic_form_encodes_both_halves() -> None:
    """A colon, a space or a letter beyond ASCII in id or secret survives HTTP Basic (RFC 6749 section 2.3.1)."""
    header, fields = sent(Credential(URL, "team:é one", Secret("s/+ :%é"), scope="a b"))
    assert basic(header) == "team%3A%C3%A9+one:s%2F%2B+%3A%25%C3%A9"
    assert fields == [("grant_type", "client_credentials"), ("scope", "a b")]


def test_post_sends_the_client_in_the_body() -> None:
    header, fields = sent(Credential(URL, "team:é one", Secret("s/+ :%é"), client_auth="post"))
    assert header is None
    assert fields == [("grant_type", "client_credentials"), ("client_id", "team:é one"), ("client_secret", "s/+ :%é")]


def test_password_grant() -> None:
    header, fields = sent(replace(CREDENTIAL, grant="password", username="ann", password=Secret("pä&ss")))
    assert basic(header) == "trunkline:client-s3cret"
    assert fields == [("grant_type", "password"), ("username", "ann"), ("password", "pä&ss")]


def test_refresh_grant_sends_the_latest_refresh_token() -> None:
    credential = replace(CREDENTIAL, grant="refresh_token", refresh_token=Secret("rt-0"))
    assert sent(credential, "rt-7")[1] == [("grant_type", "refresh_token"), ("refresh_token", "rt-7")]


def test_a_public_client_names_itself_in_the_body() -> None:
    """Without a secret there is nothing to show by HTTP Basic."""
    credential = Credential(URL, "app", grant="refresh_token", refresh_token=Secret("rt-0"))
    assert sent(credential) == (
        None,
        [("grant_type", "refresh_token"), ("refresh_token", "rt-0"), ("client_id", "app")],
    )


@pytest.mark.parametrize(
    "change",
    [
        {"token_url": URL + "2"},
        {"grant": "password"},
        {"client_id": "other"},
        {"client_secret": Secret("other")},
        {"scope": "rows"},
        {"username": "ann"},
        {"password": Secret("other")},
        {"refresh_token": Secret("other")},
        {"client_auth": "post"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_key_tells_credentials_apart(change: dict[str, Any]) -> None:
    """Credentials that differ in any one thing have different keys."""
    assert replace(CREDENTIAL, **change).key != CREDENTIAL.key


def test_the_key_is_the_same_for_equal_credentials() -> None:
    assert Credential(URL, "trunkline", Secret("client-s3cret")).key == CREDENTIAL.key


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/t", "http://localhost/t", "http://[::1]/t", "https://a.b/t"])
def test_https_is_asked_for_except_on_loopback(url: str) -> None:
    assert Credential(url).token_url == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "http://login.example.com/t?k=v",
            "auth.tokenUrl http://login.example.com/t would send credentials in clear: use https",
        ),
        ("http://127.0.0.1.example.com/t", "auth.tokenUrl http://127.0.0.1.example.com/t would send credentials in "),
        ("login.example.com/t", "auth.tokenUrl is not an absolute URL: write https://host/path"),
        ("ftp://login.example.com/t", "auth.tokenUrl is not an absolute URL: write https://host/path"),
        ("https://ann:pw@a.b/t", "auth.tokenUrl holds a user name or password: use auth.clientId and auth.client"),
    ],
)
def test_unsafe_token_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Credential(url)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [
        (3600, 3600.0),
        (0.5, 0.5),
        ("3600", 3600.0),
        (None, None),
        (0, None),
        (-1, None),
        ("soon", None),
        ("NaN", None),
        ("inf", None),
        (True, None),
        ([60], None),
        (10**400, None),
    ],
)
def test_lifetimes(expires_in: object, lifetime: float | None) -> None:
    """What says nothing usable about a lifetime leaves it unknown."""
    assert read(answer(200, {"access_token": "at", "expires_in": expires_in})) == Token(Secret("at"), lifetime)


def test_a_whole_answer() -> None:
    body = {"access_token": "at", "token_type": "bEaReR", "expires_in": 60, "refresh_token": "rt", "scope": "x"}
    assert read(answer(200, body)) == Token(Secret("at"), 60.0, Secret("rt"))


@pytest.mark.parametrize("kind", ["DPoP", "mac", "N_A", 7, None])
def test_only_bearer_tokens_are_taken(kind: object) -> None:
    with pytest.raises(AuthError) as caught:
        read(answer(200, {"access_token": "at", "token_type": kind}))
    named = kind if isinstance(kind, str) else type(kind).__name__
    assert str(caught.value) == f"{WHERE} issues tokens of type {named}; only Bearer is supported"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>log in</html>",
        b"",
        b"[1]",
        b"[" * 60_000,
        {},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "two words"},
        {"access_token": "at\r\nX-Evil: 1"},
        {"access_token": "ätoken"},
    ],
)
def test_a_success_without_a_usable_token(body: object) -> None:
    with pytest.raises(ResponseError) as caught:
        read(answer(200, body))
    assert str(caught.value) == f"{WHERE} answered 200 without a usable access_token: check auth.tokenUrl"


def test_what_the_server_says_is_told_without_secrets() -> None:
    """The error fields are shown on one line, cut to a length, with every secret of the request masked."""
    description = (
        f"no client-s3cret,\n nor {base64.b64encode(b'trunkline:client-s3cret').decode()}, \x1b[31m{'x' * 400}"
    )
    with pytest.raises(AuthError) as caught:
        read(answer(401, {"error": "invalid_client", "error_description": description}))
    said = ("no ***, nor ***, ?[31m" + "x" * 400)[:300]
    assert str(caught.value) == (
        f"{WHERE} refused the credential: status 401, invalid_client: {said} "
        "(check auth.clientId and auth.clientSecret, and whether auth.clientAuth must be basic or post)"
    )
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("grant", "status", "body", "end"),
    [
        ("client_credentials", 403, b"<html>", "status 403"),
        ("client_credentials", 404, b"", "status 404 (check auth.tokenUrl)"),
        ("client_credentials", 400, {"error": "invalid_scope"}, "status 400, invalid_scope (check auth.scope)"),
        ("client_credentials", 400, {"error": {"code": 1}}, "status 400, dict"),
        (
            "client_credentials",
            400,
            {"error": "unauthorized_client"},
            "status 400, unauthorized_client (this client may not use auth.grant=client_credentials)",
        ),
        (
            "password",
            400,
            {"error": "invalid_grant"},
            "status 400, invalid_grant (check auth.username and auth.password)",
        ),
        (
            "refresh_token",
            400,
            {"error": "invalid_grant", "error_description": "used"},
            f"status 400, invalid_grant: used ({SPENT})",
        ),
        ("password", 200, {"error": "bad_code"}, "status 200, bad_code"),
    ],
)
def test_refusals(grant: str, status: int, body: object, end: str) -> None:
    """A refusal names endpoint, status, what the server said, and what to look at."""
    with pytest.raises(AuthError) as caught:
        read(answer(status, body), replace(CREDENTIAL, grant=grant))
    assert str(caught.value) == f"{WHERE} refused the credential: {end}"


def test_a_redirect_is_a_refusal_that_names_the_target_without_its_query() -> None:
    with pytest.raises(AuthError) as caught:
        read(answer(302, b"", {"Location": "https://sso.example.com/login?state=client-s3cret"}))
    assert str(caught.value) == (
        f"{WHERE} redirects (status 302) to https://sso.example.com/login, and a credential does not follow: "
        "set auth.tokenUrl to the final address"
    )


@given(st.binary() | st.dictionaries(st.sampled_from(NAMES), VALUES).map(lambda fields: json.dumps(fields).encode()))
def test_no_answer_breaks_the_reader(body: bytes) -> None:
    """Whatever a success holds, the outcome is a token, an AuthError or a ResponseError."""
    with contextlib.suppress(AuthError, ResponseError):
        assert isinstance(read(answer(200, body)), Token)


def test_nothing_prints_a_secret() -> None:
    """Neither the credential, nor its request with headers, nor a token shows a secret."""
    credential = replace(
        CREDENTIAL, grant="refresh_token", password=Secret("pw-s3cret"), refresh_token=Secret("rt-s3cret")
    )
    request = credential.request(credential.refresh_token)
    shown = f"{credential!r} {request!r} {request.headers!r} {Token(Secret('at-s3cret'), 1.0, Secret('rt-s3cret'))!r}"
    assert "s3cret" not in shown
    assert basic((request.headers or {})["Authorization"]) == "trunkline:client-s3cret"
    assert (request.headers or {})["Authorization"].removeprefix("Basic ") not in shown
