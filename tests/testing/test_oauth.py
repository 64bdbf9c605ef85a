"""The token endpoint and the routes that trust it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from trunkline.testing import FaultServer
from trunkline.testing.transport_contract.subject import eventually

pytest_plugins = ["trunkline.testing.plugin"]

CLIENT = {"grant_type": "client_credentials"}


def ask(server: FaultServer, form: dict[str, str], **options: Any) -> requests.Response:
    options.setdefault("auth", ("me", "s3cret"))
    return requests.post(server.url_for("/token"), data=form, timeout=60, **options)


def call(server: FaultServer, token: str | None) -> requests.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return requests.get(server.url_for("/rows"), headers=headers, timeout=60)


def test_client_credentials_open_a_protected_route(fault_server: FaultServer) -> None:
    """Without or with an unknown token 401 says why; with the one issued the route answers."""
    fault_server.oauth(clients={"me": "s3cret"}, scope="read", expires_in=60)
    fault_server.route("GET /rows", [{"bearer": "/token"}, {"body": [1]}])
    missing, unknown = call(fault_server, None), call(fault_server, "guess")
    assert (missing.status_code, missing.headers["WWW-Authenticate"]) == (401, 'Bearer realm="trunkline"')
    assert unknown.headers["WWW-Authenticate"].endswith('error="invalid_token", error_description="unknown"')
    answer = ask(fault_server, {**CLIENT, "scope": "read"}).json()
    assert answer == {
        "access_token": fault_server.issued()[0], "token_type": "Bearer", "expires_in": 60, "scope": "read",
    }  # fmt: skip
    assert call(fault_server, answer["access_token"]).json() == [1]
    assert fault_server.count("POST /token") == 1


@pytest.mark.parametrize(
    ("form", "options", "status", "error"),
    [
        (CLIENT, {"auth": ("me", "wrong")}, 401, "invalid_client"),
        (CLIENT, {"auth": ("you", "s3cret")}, 401, "invalid_client"),
        ({**CLIENT, "client_id": "me", "client_secret": "wrong"}, {"auth": None}, 401, "invalid_client"),
        ({**CLIENT, "client_id": "me", "client_secret": "s3cret"}, {}, 400, "invalid_request"),
        ({**CLIENT, "scope": "write"}, {}, 400, "invalid_scope"),
        ({"grant_type": "password", "username": "u", "password": "no"}, {}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "no"}, {}, 400, "invalid_grant"),
        ({"grant_type": "telepathy"}, {}, 400, "unsupported_grant_type"),
    ],
)
def test_a_wrong_token_request_is_refused_as_rfc_6749_says(
    fault_server: FaultServer, form: dict[str, str], options: dict[str, Any], status: int, error: str
) -> None:
    fault_server.oauth(clients={"me": "s3cret"}, users={"u": "p"}, scope="read")
    answer = ask(fault_server, form, **options)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert fault_server.issued() == []


@pytest.mark.parametrize(("demanded", "statuses"), [("any", [200, 200]), ("basic", [200, 401]), ("post", [401, 200])])
def test_client_authentication_by_header_or_form(fault_server: FaultServer, demanded: Any, statuses: list[int]) -> None:
    fault_server.oauth(clients={"me": "s3cret"}, client_auth=demanded)
    by_form = {**CLIENT, "client_id": "me", "client_secret": "s3cret"}
    assert [ask(fault_server, CLIENT).status_code, ask(fault_server, by_form, auth=None).status_code] == statuses


def test_refresh_tokens_rotate_and_work_once(fault_server: FaultServer) -> None:
    fault_server.oauth(clients={"me": "s3cret"}, users={"u": "p"})
    first = ask(fault_server, {"grant_type": "password", "username": "u", "password": "p"}).json()
    second = ask(fault_server, {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}).json()
    assert second["refresh_token"] != first["refresh_token"]
    again = ask(fault_server, {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]})
    assert (again.status_code, again.json()["error_description"]) == (400, "the refresh token was used before")


def test_refresh_tokens_may_stay(fault_server: FaultServer) -> None:
    fault_server.oauth(clients={"me": "s3cret"}, refresh_tokens=["seed"], rotate=False)
    form = {"grant_type": "refresh_token", "refresh_token": "seed"}
    answers = [ask(fault_server, form).json() for _ in range(2)]
    assert ["refresh_token" in answer for answer in answers] == [False, False]


@pytest.mark.parametrize("how", ["max_uses", "lifetime", "revoke"])
def test_a_token_ends_in_mid_job(fault_server: FaultServer, how: str) -> None:
    """By uses, by time (less than announced), or revoked: 401 says which, a new token works."""
    limits: dict[str, dict[str, Any]] = {"max_uses": {"max_uses": 2}, "lifetime": {"lifetime": 0.05}, "revoke": {}}
    fault_server.oauth(clients={"me": "s3cret"}, **limits[how])
    fault_server.route("GET /rows", [{"bearer": "/token"}, {}])
    token = ""

    def good() -> bool:
        nonlocal token
        token = ask(fault_server, CLIENT).json()["access_token"]
        return call(fault_server, token).status_code == 200

    # A machine that stands still outlasts a short life.
    eventually(good)
    assert how == "lifetime" or len(fault_server.issued()) == 1
    if how == "max_uses":
        call(fault_server, token)
    elif how == "lifetime":
        time.sleep(0.06)
    else:
        fault_server.revoke()
    refused = call(fault_server, token)
    reason = "revoked" if how == "revoke" else "expired"
    assert (refused.status_code, reason in refused.headers["WWW-Authenticate"]) == (401, True)
    eventually(good)
    assert how == "lifetime" or len(fault_server.issued()) == 2


def test_the_token_endpoint_can_fail_first(fault_server: FaultServer) -> None:
    fault_server.oauth(clients={"me": "s3cret"}, steps=[{"status": 503, "times": 2}, {"status": 200, "body": "oops"}])
    assert [ask(fault_server, CLIENT).status_code for _ in range(4)] == [503, 503, 200, 200]
    assert len(fault_server.issued()) == 1


def test_fixed_tokens_need_no_endpoint(fault_server: FaultServer) -> None:
    fault_server.route("GET /rows", [{"bearer": ["good"], "status": 403, "body": "no"}, {}])
    assert [call(fault_server, token).status_code for token in ("good", "bad", None)] == [200, 403, 403]


def test_a_wrong_option_is_named(fault_server: FaultServer) -> None:
    with pytest.raises(ValueError, match="oauth option client_auth='magic': expected any, basic or post"):
        fault_server.oauth(clients={}, client_auth="magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no token endpoint at /none"):
        fault_server.issued("/none")
