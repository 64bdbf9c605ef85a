"""Each real server answers as its module says, and ends when it should."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import requests
from tests.servers import install
from tests.servers.fixtures import _served
from tests.servers.gate import start_gate
from tests.servers.install import UnavailableError, install_node
from tests.servers.kinto import BATCH_MAX_REQUESTS, Kinto
from tests.servers.nginx import start_nginx
from tests.servers.oidc import Oidc, start_oidc
from tests.servers.process import Server, start


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the machine must not stand between
        yield session


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def within(holds: Callable[[], bool]) -> bool:
    """Whether something comes true at last."""
    deadline = time.monotonic() + 60.0
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def without_stamp(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "last_modified"}


def test_kinto_stores_what_it_is_sent(kinto: Kinto, http: requests.Session) -> None:
    path = kinto.new_collection()
    http.auth = kinto.auth
    assert http.put(f"{kinto.url}{path}/1", json={"data": {"n": 1}}).status_code == 201
    assert http.put(f"{kinto.url}{path}/2", json={"data": {"n": 2}}).status_code == 201
    assert http.patch(f"{kinto.url}{path}/2", json={"data": {"m": 3}}).status_code == 200
    assert http.delete(f"{kinto.url}{path}/1").status_code == 200
    assert [without_stamp(row) for row in kinto.records(path)] == [{"id": "2", "n": 2, "m": 3}]


def test_kinto_answers_for_each_request_of_a_batch(kinto: Kinto, http: requests.Session) -> None:
    path = kinto.new_collection()
    http.auth = kinto.auth
    http.put(f"{kinto.url}{path}/taken", json={"data": {"n": 0}})
    asked = [
        {"path": f"/v1{path}/new", "body": {"data": {"n": 1}}},
        {"path": f"/v1{path}/taken", "body": {"data": {"n": 2}}},
        {"path": f"/v1{path}/not!an!id", "body": {"data": {"n": 3}}},
    ]
    batch = {"defaults": {"method": "PUT", "headers": {"If-None-Match": "*"}}, "requests": asked}
    answer = http.post(f"{kinto.url}/batch", json=batch)
    assert (answer.status_code, [each["status"] for each in answer.json()["responses"]]) == (200, [201, 412, 400])
    assert [without_stamp(row) for row in kinto.records(path)] == [{"id": "new", "n": 1}, {"id": "taken", "n": 0}]


def test_kinto_takes_a_batch_up_to_its_limit_and_none_beyond(kinto: Kinto, http: requests.Session) -> None:
    path = kinto.new_collection()
    http.auth = kinto.auth
    asked = [{"path": f"/v1{path}/{n}", "body": {"data": {}}} for n in range(BATCH_MAX_REQUESTS + 1)]
    batch = {"defaults": {"method": "PUT"}, "requests": asked}
    assert http.post(f"{kinto.url}/batch", json=batch).status_code == 400
    assert kinto.records(path) == []
    batch = {"defaults": {"method": "PUT"}, "requests": asked[:-1]}
    statuses = [each["status"] for each in http.post(f"{kinto.url}/batch", json=batch).json()["responses"]]
    assert statuses == [201] * BATCH_MAX_REQUESTS


def test_kinto_refuses_a_change_of_another_version(kinto: Kinto, http: requests.Session) -> None:
    path = kinto.new_collection()
    http.auth = kinto.auth
    first = http.put(f"{kinto.url}{path}/1", json={"data": {"n": 1}}).headers["ETag"]
    second = http.put(f"{kinto.url}{path}/1", json={"data": {"n": 2}}, headers={"If-Match": first})
    third = http.put(f"{kinto.url}{path}/1", json={"data": {"n": 3}}, headers={"If-Match": first})
    assert (second.status_code, third.status_code) == (200, 412)


def test_kinto_refuses_a_wrong_password(kinto: Kinto, http: requests.Session) -> None:
    path = kinto.new_collection()
    answer = http.post(kinto.url + path, json={"data": {}}, auth=(kinto.auth[0], "wrong"))
    assert answer.status_code == 401
    assert kinto.records(path) == []


@pytest.mark.parametrize("client", ["basic", "post"])
def test_oidc_gives_a_client_a_token(oidc: Oidc, http: requests.Session, client: str) -> None:
    form = {"grant_type": "client_credentials", "scope": "api:write"}
    if client == "basic":
        answer = http.post(oidc.token_url, data=form, auth=(client, oidc.secret))
    else:
        answer = http.post(oidc.token_url, data={**form, "client_id": client, "client_secret": oidc.secret})
    body = answer.json()
    claims = oidc.introspect(body.pop("access_token"))
    assert body == {"expires_in": 5, "token_type": "Bearer", "scope": "api:write"}
    assert (claims["active"], claims["client_id"], claims["exp"] - claims["iat"]) == (True, client, oidc.ttl)
    assert oidc.token_requests()[-1] == f"granted {client} client_credentials"


def test_oidc_refuses_a_wrong_secret(oidc: Oidc, http: requests.Session) -> None:
    answer = http.post(oidc.token_url, data={"grant_type": "client_credentials"}, auth=("basic", "wrong"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_oidc_rotates_refresh_tokens_and_ends_the_family_of_a_used_one(oidc: Oidc, http: requests.Session) -> None:
    def refresh(token: str) -> dict[str, Any]:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        answer: dict[str, Any] = http.post(oidc.token_url, data=form, auth=("web", oidc.secret)).json()
        return answer

    first = oidc.sign_in()
    second = refresh(first)
    assert oidc.introspect(second["access_token"])["active"]
    assert second["refresh_token"] != first
    third = refresh(second["refresh_token"])
    assert refresh(first)["error"] == "invalid_grant"
    assert refresh(third["refresh_token"])["error"] == "invalid_grant"


def test_the_gate_lets_a_valid_token_through_to_kinto(guarded_kinto: Kinto, oidc: Oidc, http: requests.Session) -> None:
    path = guarded_kinto.new_collection()
    answer = http.post(guarded_kinto.url + path, json={"data": {"id": "1"}}, headers=bearer(oidc.token()))
    assert answer.status_code == 201
    assert [without_stamp(row) for row in guarded_kinto.records(path)] == [{"id": "1"}]


def test_pages_of_kinto_lead_back_through_the_gate(guarded_kinto: Kinto, oidc: Oidc, http: requests.Session) -> None:
    path = guarded_kinto.new_collection()
    # A token for each: they live for five seconds.
    for n in range(3):
        http.put(f"{guarded_kinto.url}{path}/{n}", json={"data": {}}, headers=bearer(oidc.token()))
    first = http.get(f"{guarded_kinto.url}{path}?_limit=2&_sort=id", headers=bearer(oidc.token()))
    second = http.get(first.headers["Next-Page"], headers=bearer(oidc.token()))
    assert urlsplit(second.url).netloc == urlsplit(guarded_kinto.url).netloc
    assert [row["id"] for page in (first, second) for row in page.json()["data"]] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer error="invalid_request"'),
        ({"Authorization": "Bearer made-up"}, 'Bearer error="invalid_token"'),
    ],
)
def test_the_gate_challenges_a_call_without_a_valid_token(
    guarded_kinto: Kinto, http: requests.Session, headers: dict[str, str], challenge: str
) -> None:
    path = guarded_kinto.new_collection()
    answer = http.post(guarded_kinto.url + path, json={"data": {}}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(challenge)
    assert guarded_kinto.records(path) == []
    assert within(lambda: guarded_kinto.answers()[-1] == f"401 POST /v1{path}")


def test_the_gate_refuses_a_revoked_token(guarded_kinto: Kinto, oidc: Oidc, http: requests.Session) -> None:
    token = oidc.token()
    oidc.revoke(token)
    assert http.get(guarded_kinto.url, headers=bearer(token)).status_code == 401


@pytest.mark.parametrize("token_format", ["opaque", "jwt"])
def test_the_gate_refuses_a_token_once_it_has_expired(
    kinto: Kinto, guarded_kinto: Kinto, http: requests.Session, token_format: Literal["opaque", "jwt"]
) -> None:
    oidc = start_oidc(ttl=2, token_format=token_format)
    gate = start_gate(kinto, oidc)
    try:

        def answer(token: str) -> int:
            return http.get(f"{gate.url}/", headers=bearer(token)).status_code

        tokens: list[str] = []

        def fresh() -> str:
            tokens.append(oidc.token())
            return tokens[-1]

        assert fresh().count(".") == (2 if token_format == "jwt" else 0)
        # On a busy machine one may have expired before it is there.
        assert within(lambda: answer(fresh()) == 200)
        assert within(lambda: answer(tokens[-1]) == 401)
        assert within(lambda: answer(fresh()) == 200)
    finally:
        gate.stop()
        oidc.stop()


def test_nginx_answers_posts(nginx: Server, http: requests.Session) -> None:
    empty = http.post(f"{nginx.url}/empty", data=b"x" * 100_000)
    full = http.post(f"{nginx.url}/ok", json={"n": 1})
    assert (empty.status_code, empty.content) == (204, b"")
    assert (full.status_code, full.headers["Content-Type"], full.json()) == (200, "application/json", {"ok": True})


def test_nginx_refuses_bodies_over_1024_bytes(nginx: Server, http: requests.Session) -> None:
    assert [http.post(f"{nginx.url}/small", data=b"x" * size).status_code for size in (1024, 1025)] == [204, 413]


def test_nginx_refuses_requests_beyond_its_rate_and_its_burst() -> None:
    """24 requests sent in one write arrive at once: 1 in time, 20 as the burst, 3 too many."""
    slow = start_nginx(rate=1 / 60, burst=20)
    try:
        assert statuses(slow, b"POST /limited HTTP/1.1\r\nHost: limits\r\nContent-Length: 0\r\n\r\n" * 24, 24) == [
            *[204] * 21,
            *[429] * 3,
        ]
        expected = [*["204 POST /limited"] * 21, *["429 POST /limited"] * 3]
        assert within(lambda: slow.answers() == expected)
    finally:
        slow.stop()


def test_nginx_refuses_requests_beyond_its_concurrency() -> None:
    """Two whose bodies have not come are at work, so the next is refused, until they are done."""
    busy = start_nginx(concurrency=2)
    try:
        head, body = b"POST /busy HTTP/1.1\r\nHost: limits\r\nContent-Length: 2\r\n\r\n", b"{}"
        at_work = [connected(busy), connected(busy)]
        for connection in at_work:
            connection.sendall(head)
        assert within(lambda: statuses(busy, head + body, 1) == [503])
        for connection in at_work:
            with connection:
                connection.sendall(body)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert within(lambda: statuses(busy, head + body, 1) == [200])
    finally:
        busy.stop()


def test_a_server_ends_when_it_is_stopped(http: requests.Session) -> None:
    server = start_nginx()
    assert http.get(f"{server.url}/empty").status_code == 204
    server.stop()
    server.stop()
    with pytest.raises(requests.ConnectionError):
        http.get(f"{server.url}/empty")


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_server_ends_when_the_test_run_is_killed() -> None:
    code = "from tests.servers.nginx import start_nginx; import time; print(start_nginx().process.pid, flush=True); "
    command = [sys.executable, "-c", f"{code} time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as run:
        assert run.stdout is not None
        server = Path("/proc") / run.stdout.readline().decode().strip()
        assert server.exists()
        run.send_signal(signal.SIGKILL)
    assert within(lambda: not server.exists())


def test_a_server_that_does_not_start_says_what_it_said() -> None:
    with pytest.raises(RuntimeError, match=r"broken did not start \(exit status 3\); its log ends:\nno such thing\n"):
        start("broken", lambda port, folder: ["sh", "-c", "echo no such thing; exit 3"])


def test_two_runs_install_a_server_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_SERVERS", str(tmp_path))
    ran: list[Path] = []

    def steps(folder: Path) -> None:
        ran.append(folder)
        time.sleep(0.1)

    with ThreadPoolExecutor(2) as threads:
        folders = list(threads.map(lambda _: install._once("thing", ["thing==1"], steps), range(2)))
    assert folders == [tmp_path / "thing", tmp_path / "thing"]
    assert ran == [tmp_path / "thing"]


def test_an_installation_that_failed_or_has_another_recipe_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_SERVERS", str(tmp_path))

    def fails(folder: Path) -> None:
        (folder / "half").touch()
        raise UnavailableError("thing: no")

    with pytest.raises(UnavailableError):
        install._once("thing", ["thing==1"], fails)
    folder = install._once("thing", ["thing==1"], lambda folder: (folder / "one").touch())
    assert sorted(path.name for path in folder.iterdir()) == ["complete", "one"]
    install._once("thing", ["thing==2"], lambda folder: (folder / "two").touch())
    assert sorted(path.name for path in folder.iterdir()) == ["complete", "two"]


def test_what_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_SERVERS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"^thing: `node` is needed to install it and is not on this machine$"):
        install_node("thing", ["thing@1"])


def test_a_server_that_cannot_be_installed_skips_its_tests_unless_it_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start_none() -> Server:
        raise UnavailableError("thing: no")

    monkeypatch.delenv("TRUNKLINE_SERVERS_REQUIRED", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^thing: no$"):
        next(_served(start_none))
    monkeypatch.setenv("TRUNKLINE_SERVERS_REQUIRED", "1")
    with pytest.raises(UnavailableError, match=r"^thing: no$"):
        next(_served(start_none))


def connected(server: Server) -> socket.socket:
    port = urlsplit(server.url).port
    assert port is not None
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def statuses(server: Server, requests_on_the_wire: bytes, count: int) -> list[int]:
    """The statuses of `count` answers to requests sent in one write."""
    received = b""
    with connected(server) as connection:
        connection.sendall(requests_on_the_wire)
        while received.count(b"HTTP/1.1 ") < count:
            received += connection.recv(65536)
    return [int(answer[:3]) for answer in received.split(b"HTTP/1.1 ")[1:]]
