"""What each way to log in puts on a request, and what of it can be seen."""

from __future__ import annotations

import base64
import json
import pickle
import tempfile
import timeit
import traceback
from pathlib import Path
from typing import Any

import pytest

from trunkline.credentials import Secret
from trunkline.errors import AuthError, OptionError
from trunkline.http.auth import Auth
from trunkline.http.oauth2 import Credential
from trunkline.http.option_rules import RULES
from trunkline.http.options import AUTH, ENGINE, REQUEST
from trunkline.http.transport import Settings
from trunkline.options import parse
from trunkline.testing import FaultServer

pytest_plugins = ["trunkline.testing.plugin"]

SETTINGS = Settings(connect=5.0, read=5.0)


@pytest.fixture(autouse=True)
def _own_token_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def from_options(**auth: str) -> Auth:
    """Through the same table and rules as a format's options."""
    raw = {"url": "https://api.example.com/rows", "auth": auth}
    return Auth.from_options(parse((*REQUEST, *AUTH, *ENGINE), raw, format="rest", rules=RULES).resolved())


def oauth2(server: FaultServer, secret: str = "client-s3cret", **more: Any) -> Auth:
    return Auth.oauth2(Credential(server.url_for("/token"), "trunkline", Secret(secret), **more), SETTINGS)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("options", "headers", "query"),
    [
        ({"type": "none"}, {}, {}),
        ({"type": "basic", "username": "ann", "password": "pä:ss"}, {"Authorization": f"Basic {b64('ann:pä:ss')}"}, {}),
        ({"type": "bearer", "token": "at-1"}, {"Authorization": "Bearer at-1"}, {}),
        ({"type": "apiKey", "token": "k-1"}, {"X-Api-Key": "k-1"}, {}),
        ({"type": "apiKey", "token": "k-1", "name": "X-Own"}, {"X-Own": "k-1"}, {}),
        ({"type": "apiKey", "token": "k 1&", "name": "api_key", "in": "query"}, {}, {"api_key": "k 1&"}),
    ],
    ids=lambda value: value.get("type", "") if isinstance(value, dict) else "",
)
def test_what_a_request_carries(options: dict[str, str], headers: dict[str, str], query: dict[str, str]) -> None:
    """The same objects at every call; none of these ways can renew anything."""
    auth = from_options(**options)
    assert (dict(auth.headers()), dict(auth.query), auth.renewable) == (headers, query, False)
    before = auth.headers()
    auth.expired(before)
    assert auth.headers() is before


def test_oauth2_from_options(fault_server: FaultServer) -> None:
    """Every option of the credential reaches the endpoint, and the token every request."""
    fault_server.oauth(clients={"me": "client-s3cret"}, users={"ann": "pw"}, scope="rows", client_auth="post")
    auth = from_options(
        type="oauth2",
        grant="password",
        tokenUrl=fault_server.url_for("/token"),
        clientId="me",
        clientSecret="client-s3cret",
        username="ann",
        password="pw",
        scope="rows",
        clientAuth="post",
    )
    headers = dict(auth.headers())
    assert (headers, dict(auth.query), auth.renewable) == (
        {"Authorization": f"Bearer {fault_server.issued()[0]}"}, {}, True,
    )  # fmt: skip


def test_refresh_token_from_options(fault_server: FaultServer) -> None:
    fault_server.oauth(clients={"me": ""}, refresh_tokens=["rt-0"])
    auth = from_options(
        type="oauth2",
        grant="refresh_token",
        tokenUrl=fault_server.url_for("/token"),
        clientId="me",
        refreshToken="rt-0",
    )
    assert auth.headers() == {"Authorization": f"Bearer {fault_server.issued()[0]}"}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Auth.bearer(Secret("Bearer x-s3cret")), "auth.token is empty or holds a space, a line break or a "),
        (
            lambda: Auth.bearer(Secret("x-s3cret\r\nX-Evil: 1")),
            "auth.token is empty or holds a space, a line break or ",
        ),
        (lambda: Auth.bearer(Secret("")), "auth.token is empty or holds a space, a line break or a character beyond "),
        (
            lambda: Auth.api_key(Secret("ü-s3cret")),
            "auth.token is empty or holds a space, a line break or a character ",
        ),
        (lambda: Auth.api_key(Secret("x-s3cret"), "X Own"), "auth.name: 'X Own' is not a header name"),
        (
            lambda: Auth.basic("a:b", Secret("s3cret")),
            "auth.username: HTTP Basic has no way to send a colon or control ",
        ),
        (lambda: Auth.basic("a", Secret("s3cret\n")), "auth.password holds a line break or another control character"),
    ],
)
def test_what_no_header_can_carry_is_refused(build: Any, message: str) -> None:
    """Before anything is sent, naming the option and not its value."""
    with pytest.raises(OptionError) as caught:
        build()
    assert str(caught.value).startswith(message)
    assert "s3cret" not in str(caught.value)


def test_secrets_are_all_that_must_not_be_seen(fault_server: FaultServer) -> None:
    """Credentials as given, HTTP Basic's Base64, and every token there has been."""
    fault_server.oauth(clients={"trunkline": "client-s3cret"})
    renewed = oauth2(fault_server)
    renewed.expired(renewed.headers())
    renewed.headers()
    assert [
        Auth.none().secrets(),
        Auth.basic("ann", Secret("pw")).secrets(),
        Auth.bearer(Secret("at")).secrets(),
        Auth.api_key(Secret("k"), "q", "query").secrets(),
        renewed.secrets(),
    ] == [
        [],
        ["pw", b64("ann:pw")],
        ["at"],
        ["k"],
        ["client-s3cret", b64("trunkline:client-s3cret"), *fault_server.issued()],
    ]


@pytest.mark.parametrize("kind", ["basic", "bearer", "apiKey", "query", "oauth2"])
def test_nothing_prints_a_secret(fault_server: FaultServer, kind: str) -> None:
    """Neither the object, nor what it gives out, nor a copy that was pickled; `str` and formatting included."""
    fault_server.oauth(clients={"trunkline": "client-s3cret"})
    auth = {
        "basic": lambda: Auth.basic("ann", Secret("pw-s3cret")),
        "bearer": lambda: Auth.bearer(Secret("at-s3cret")),
        "apiKey": lambda: Auth.api_key(Secret("k-s3cret")),
        "query": lambda: Auth.api_key(Secret("k-s3cret"), "q", "query"),
        "oauth2": lambda: oauth2(fault_server),
    }[kind]()
    copy = pickle.loads(pickle.dumps(auth))
    parts = [auth, copy, auth.headers(), copy.headers(), auth.query, auth.__getstate__(), auth._tokens]
    shown = "".join(f"{part!r}{part}{[part]}" for part in parts)
    assert [secret for secret in auth.secrets() if secret in shown] == []


def test_no_traceback_shows_a_secret(fault_server: FaultServer) -> None:
    """A token that is renewed in vain: not even the local variables of the frames on the way hold one."""
    fault_server.oauth(clients={"trunkline": "client-s3cret"}, refresh_tokens=["rt-s3cret"])
    auth = oauth2(fault_server, grant="refresh_token", refresh_token=Secret("rt-s3cret"))
    auth.expired(auth.headers())
    fault_server.revoke(refresh_tokens=True)
    with pytest.raises(AuthError) as caught:
        auth.headers()
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    shown = "".join(line for line in frames if "test_auth.py" not in line)
    assert "_take_or_fetch" in shown
    assert [secret for secret in auth.secrets() if secret in shown] == []


def test_a_pickled_copy_logs_in_the_same_way(fault_server: FaultServer) -> None:
    """It takes the credential along, not the token: within a process it shares that, elsewhere it finds its own."""
    fault_server.oauth(clients={"trunkline": "client-s3cret"})
    auth = oauth2(fault_server)
    headers = auth.headers()
    travelling = pickle.dumps(auth)
    assert fault_server.issued()[0].encode() not in travelling
    assert pickle.loads(travelling).headers() is headers
    assert dict(pickle.loads(pickle.dumps(Auth.bearer(Secret("at")))).headers()) == {"Authorization": "Bearer at"}


def test_different_credentials_never_share_a_token(fault_server: FaultServer) -> None:
    """One process, one endpoint: whatever differs in the credential, the token is another."""
    fault_server.oauth(clients={"trunkline": "client-s3cret", "other": "client-s3cret"}, users={"a": "1", "b": "1"})
    variants = [
        oauth2(fault_server),
        oauth2(fault_server, scope="rows"),
        oauth2(fault_server, client_auth="post"),
        oauth2(fault_server, grant="password", username="a", password=Secret("1")),
        oauth2(fault_server, grant="password", username="b", password=Secret("1")),
        Auth.oauth2(Credential(fault_server.url_for("/token"), "other", Secret("client-s3cret")), SETTINGS),
    ]
    tokens = [auth.headers()["Authorization"].removeprefix("Bearer ") for auth in variants]
    assert tokens == fault_server.issued()
    assert len(set(tokens)) == 6


def test_headers_cost_next_to_nothing(fault_server: FaultServer) -> None:
    """Tens of thousands of calls a second: well below ten microseconds each, even on a machine that is busy."""
    fault_server.oauth(clients={"trunkline": "client-s3cret"})
    for auth in (Auth.bearer(Secret("at")), oauth2(fault_server)):
        auth.headers()
        assert min(timeit.repeat(auth.headers, number=1000, repeat=5)) / 1000 < 10e-6


def test_a_token_answer_that_names_json_loosely(fault_server: FaultServer) -> None:
    """Wrong media type, lifetime as text, no token_type: servers do all of it."""
    body = json.dumps({"access_token": "at-1", "expires_in": "3600"})
    fault_server.route("POST /token", [{"body": body, "headers": {"Content-Type": "text/html"}}])
    assert dict(oauth2(fault_server).headers()) == {"Authorization": "Bearer at-1"}
