"""Asking a token endpoint that answers, refuses, stalls or misleads."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from trunkline.credentials import Secret
from trunkline.errors import AuthError, ResponseError, TrunklineError, UnavailableError
from trunkline.http.oauth2 import Credential, Token
from trunkline.http.token_endpoint import fetch, longest
from trunkline.http.transport import Settings
from trunkline.testing import FaultServer

pytest_plugins = ["trunkline.testing.plugin"]

SETTINGS = Settings(connect=60.0, read=60.0)
CLIENTS = {"team:é one": "s/+ :%é-s3cret"}


def credential_for(server: FaultServer, origin: str = "main") -> Credential:
    return Credential(server.url_for("/token", origin), "team:é one", Secret("s/+ :%é-s3cret"))


def ask(credential: Credential, settings: Settings = SETTINGS) -> tuple[Token, list[float]]:
    """The token and the waits between tries."""
    waits: list[float] = []
    return fetch(credential, settings, credential.refresh_token, sleep=waits.append, random=Random(7)), waits


def failure_of(credential: Credential, settings: Settings = SETTINGS) -> tuple[TrunklineError, list[float]]:
    waits: list[float] = []
    with pytest.raises(TrunklineError) as caught:
        fetch(credential, settings, credential.refresh_token, sleep=waits.append, random=Random(7))
    return caught.value, waits


@pytest.mark.parametrize("way", ["basic", "post"])
def test_client_credentials(fault_server: FaultServer, way: str) -> None:
    """A client whose id and secret need encoding logs in either way, and the other way is not tried."""
    fault_server.oauth(clients=CLIENTS, client_auth="basic" if way == "basic" else "post", expires_in=60)
    fault_server.expect("POST /token", times=1)
    token, waits = ask(replace(credential_for(fault_server), client_auth=way))
    assert (token, waits) == (Token(Secret(fault_server.issued()[0]), 60.0), [])


def test_password_grant(fault_server: FaultServer) -> None:
    fault_server.oauth(clients=CLIENTS, users={"ann": "pä&ss"}, expires_in=60)
    token, _ = ask(replace(credential_for(fault_server), grant="password", username="ann", password=Secret("pä&ss")))
    assert token.access == Secret(fault_server.issued()[0])


def test_refresh_grant_brings_the_next_refresh_token(fault_server: FaultServer) -> None:
    fault_server.oauth(clients=CLIENTS, refresh_tokens=["rt-0"])
    credential = replace(credential_for(fault_server), grant="refresh_token", refresh_token=Secret("rt-0"))
    first, _ = ask(credential)
    assert first.refresh is not None
    second = fetch(credential, SETTINGS, first.refresh)
    assert [first.access.reveal(), second.access.reveal()] == fault_server.issued()


def test_an_endpoint_that_is_not_well_is_asked_again(fault_server: FaultServer) -> None:
    """Two bad answers, then the token; each wait is a jittered back-off."""
    fault_server.oauth(clients=CLIENTS, steps=[{"status": 500, "times": 1}, {"fault": "reset", "times": 1}])
    token, waits = ask(credential_for(fault_server))
    assert token.access == Secret(fault_server.issued()[0])
    assert [0 <= wait <= cap for wait, cap in zip(waits, (0.2, 0.4), strict=True)] == [True, True]


def test_retry_after_is_kept(fault_server: FaultServer) -> None:
    """Never less than told."""
    fault_server.oauth(
        clients=CLIENTS,
        steps=[{"status": 429, "retry_after": 7, "times": 1}, {"status": 503, "retry_after": 3, "times": 1}],
    )
    _, waits = ask(credential_for(fault_server))
    assert [told <= wait <= told + 1 for wait, told in zip(waits, (7, 3), strict=True)] == [True, True]


def test_a_retry_after_beyond_patience_fails_now(fault_server: FaultServer) -> None:
    fault_server.route("POST /token", [{"status": 429, "retry_after": 3600}])
    fault_server.expect("POST /token", times=1)
    error, waits = failure_of(credential_for(fault_server))
    assert isinstance(error, UnavailableError)
    assert str(error).startswith(
        f"the token endpoint {fault_server.url}/token gave no token: status 429, and asks to wait 3600 s (until "
    )
    assert (waits, error.status) == ([], 429)


def test_three_tries_and_no_more(fault_server: FaultServer) -> None:
    fault_server.route("POST /token", [{"status": 503}])
    fault_server.expect("POST /token", times=3)
    error, waits = failure_of(credential_for(fault_server))
    assert isinstance(error, UnavailableError)
    assert str(error) == f"the token endpoint {fault_server.url}/token gave no token: status 503 (tried 3 times)"
    assert (len(waits), error.__dict__) == (2, {"status": 503, "attempts": 3})


def test_a_refusal_is_not_asked_again(fault_server: FaultServer) -> None:
    fault_server.oauth(clients=CLIENTS)
    fault_server.expect("POST /token", times=1)
    error, _ = failure_of(replace(credential_for(fault_server), client_secret=Secret("wr0ng-s3cret")))
    assert isinstance(error, AuthError)
    assert str(error) == (
        f"the token endpoint {fault_server.url}/token refused the credential: status 401, invalid_client: unknown "
        "client or wrong secret (check auth.clientId and auth.clientSecret, and whether auth.clientAuth must be basic "
        "or post)"
    )
    assert error.__dict__ == {"status": 401, "attempts": 1}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(fault_server: FaultServer, status: int) -> None:
    """The credential reaches the configured endpoint and no other."""
    fault_server.route(
        "POST /token",
        [{"status": status, "headers": {"Location": fault_server.url_for("/elsewhere", "other")}}],
        origin="main",
    )
    error, _ = failure_of(credential_for(fault_server))
    assert isinstance(error, AuthError)
    assert f"redirects (status {status}) to {fault_server.other_url}/elsewhere" in str(error)
    assert [(e.origin, e.path) for e in fault_server.ledger()] == [("main", "/token")]


def test_netrc_does_not_replace_the_credential(
    fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other")
    monkeypatch.setenv("NETRC", str(netrc))
    fault_server.oauth(clients=CLIENTS)
    ask(credential_for(fault_server))
    assert len(fault_server.issued()) == 1


@pytest.mark.parametrize(
    ("step", "settings", "said"),
    [
        (
            {"body": {"access_token": "at"}, "fault": "truncate"}, SETTINGS,
            "the connection broke before the answer was complete",
        ),
        ({"fault": "hang"}, Settings(connect=0.2, read=0.1), "no complete answer in time"),
    ],
)  # fmt: skip
def test_broken_answers(fault_server: FaultServer, step: dict[str, object], settings: Settings, said: str) -> None:
    """What does not come, or not whole, is no answer."""
    fault_server.route("POST /token", [step])
    error, _ = failure_of(credential_for(fault_server), settings)
    assert isinstance(error, UnavailableError)
    assert str(error).startswith(f"the token endpoint {fault_server.url}/token gave no token: {said}")


@pytest.mark.parametrize(
    "step",
    [
        {"body": "x" * 70_000},
        {"body": "x" * 100_000, "fault": "hang_body", "keep": 70_000},
        {"fault": "gzip_bomb", "size": 10_000_000},
    ],
    ids=["long", "endless", "bomb"],
)
def test_an_endless_answer_is_not_read(fault_server: FaultServer, step: dict[str, object]) -> None:
    """More than 64 KiB, as it travels or decoded, is no token, and asking again will not make it one."""
    fault_server.route("POST /token", [step])
    fault_server.expect("POST /token", times=1)
    error, _ = failure_of(credential_for(fault_server))
    assert isinstance(error, ResponseError)
    assert str(error) == (
        f"the token endpoint {fault_server.url}/token answered more than 65536 bytes, which is no token: "
        "check auth.tokenUrl"
    )


def test_a_dripping_answer_is_bounded_as_a_whole(fault_server: FaultServer) -> None:
    """A byte now and then keeps a socket's time-out from ever being met; the try ends all the same."""
    fault_server.route("POST /token", [{"body": "x" * 1000, "fault": "drip_head", "interval": 0.05}])
    error, _ = failure_of(credential_for(fault_server), Settings(connect=0.1, read=0.1))
    assert str(error) == (
        f"the token endpoint {fault_server.url}/token gave no token: no complete answer in time (tried 3 times)"
    )


def test_nobody_listens() -> None:
    credential = Credential("http://127.0.0.1:9/token", "c", Secret("s3cret"))
    error, _ = failure_of(credential)
    assert str(error) == (
        "the token endpoint http://127.0.0.1:9/token gave no token: the connection was refused "
        "([Errno 111] Connection refused) (tried 3 times)"
    )


def test_the_proxy_of_the_settings_is_used(fault_server: FaultServer) -> None:
    """The request goes to the proxy, for the endpoint's whole URL."""
    fault_server.strict = False
    error, _ = failure_of(credential_for(fault_server), replace(SETTINGS, proxy=fault_server.other_url))
    assert isinstance(error, AuthError)
    assert [(e.origin, e.path) for e in fault_server.ledger()] == [("other", f"{fault_server.url}/token")]


def test_longest_covers_every_try_and_wait() -> None:
    assert longest(Settings(connect=10, read=60, total=300)) == 3 * 70 + 2 * 31


@pytest.fixture(scope="module")
def tls_server() -> Iterator[FaultServer]:
    with FaultServer(tls="mutual", strict=True) as server:
        yield server


def test_tls_with_own_authority_and_client_certificate(tls_server: FaultServer) -> None:
    tls_server.oauth(clients=CLIENTS)
    settings = replace(
        SETTINGS, ca=tls_server.ca_file, cert=tls_server.client_cert_file, key_file=tls_server.client_key_file
    )
    token, _ = ask(credential_for(tls_server, "tls"), settings)
    assert token.access == Secret(tls_server.issued()[0])


def test_an_unknown_authority_is_refused_at_once(tls_server: FaultServer) -> None:
    error, waits = failure_of(credential_for(tls_server, "tls"))
    assert isinstance(error, UnavailableError)
    # OpenSSL's wording differs between versions.
    assert re.fullmatch(
        rf"the token endpoint {tls_server.tls_url}/token gave no token: the TLS connection failed \(.*certificate.*\)",
        str(error),
    )
    assert waits == []


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ({"status": 401, "body": {"error": "invalid_client", "error_description": "s/+ :%é-s3cret"}}, AuthError),
        ({"status": 503, "body": "s3cret"}, UnavailableError),
        ({"fault": "reset"}, UnavailableError),
        ({"fault": "truncate", "body": {"access_token": "at-s3cret"}}, UnavailableError),
        ({"status": 200, "body": {"access_token": "at-s3cret with spaces"}}, ResponseError),
        ({"status": 200, "body": {"access_token": "at-s3cret", "token_type": "DPoP"}}, AuthError),
        ({"status": 200, "body": "at-s3cret"}, ResponseError),
    ],
)
def test_no_traceback_shows_a_secret(fault_server: FaultServer, step: dict[str, object], kind: type) -> None:
    """Not even with the local variables of every frame and every exception behind the one that is raised."""
    fault_server.route("POST /token", [step])
    credential = credential_for(fault_server)
    basic = credential.secrets[-1].reveal()
    error, _ = failure_of(credential)
    assert type(error) is kind
    shown = ""
    seen: BaseException | None = error
    while seen is not None:
        lines = traceback.TracebackException.from_exception(seen, capture_locals=True).format()
        shown += "".join(line for line in lines if "test_token_endpoint.py" not in line)
        seen = seen.__context__
    # This file's own lines name it; the frames that matter are the engine's.
    assert "fetch" in shown
    assert ["s3cret" in shown, basic in shown] == [False, False]
