"""How long a token is used, when it is renewed, and by how many: threads, processes, and clocks that jump.

Where processes matter, real ones ask a real endpoint, and its ledger says how often it was asked. Elsewhere two
`Tokens` stand for two processes: they share nothing but the file.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import pytest

from trunkline.credentials import Secret
from trunkline.errors import AuthError, ResponseError, TrunklineError, UnavailableError
from trunkline.http import token_file
from trunkline.http.auth import Auth
from trunkline.http.oauth2 import Credential
from trunkline.http.tokens import REFUSED_FOR, Tokens, margin, tokens_of
from trunkline.http.transport import Settings
from trunkline.testing import FaultServer

pytest_plugins = ["trunkline.testing.plugin"]

# The end of every wait: much longer than a machine stands still.
WAIT = 60.0
SETTINGS = Settings(connect=WAIT, read=WAIT)
CLIENTS = {"trunkline": "client-s3cret"}
PROCESSES = 8


@pytest.fixture(autouse=True)
def _own_token_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@dataclass
class Clocks:
    """A monotonic and a wall clock that move when told."""

    steady: float = 1000.0
    wall: float = 1_700_000_000.0

    def forward(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds


def credential_for(server: FaultServer, **more: Any) -> Credential:
    return Credential(server.url_for("/token"), "trunkline", **{"client_secret": Secret("client-s3cret"), **more})


def process(credential: Credential, clocks: Clocks | None = None) -> Tokens:
    """Tokens as a process of its own would have them."""
    if clocks is None:
        return Tokens(credential, SETTINGS)
    return Tokens(credential, SETTINGS, monotonic=lambda: clocks.steady, wall=lambda: clocks.wall)


def token(headers: Mapping[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


def after_renewal(tokens: Tokens, old: Mapping[str, str]) -> Mapping[str, str]:
    """The headers once the background has brought others; the last ones after a minute otherwise."""
    end = time.monotonic() + WAIT
    while tokens.headers() is old and time.monotonic() < end:
        time.sleep(0.002)
    return tokens.headers()


def settled(tokens: Tokens) -> None:
    """Wait until no renewal is under way in the background."""
    assert tokens._ahead.acquire(timeout=WAIT)
    tokens._ahead.release()


def in_threads(count: int, work: Callable[[], object]) -> list[object]:
    """What `count` threads return that begin together."""
    barrier, results = threading.Barrier(count), []

    def run() -> None:
        barrier.wait(WAIT)
        results.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    return results


@pytest.mark.parametrize(
    ("lifetime", "seconds"), [(3600.0, 60.0), (300.0, 60.0), (100.0, 20.0), (1.0, 0.2), (None, 0.0)]
)
def test_margin(lifetime: float | None, seconds: float) -> None:
    assert margin(lifetime) == pytest.approx(seconds)


def test_one_object_until_the_margin(fault_server: FaultServer) -> None:
    """Up to a minute before its end the same headers are given, whoever asks, and the endpoint was asked once."""
    fault_server.oauth(clients=CLIENTS, expires_in=3600)
    clocks = Clocks()
    tokens = process(credential_for(fault_server), clocks)
    headers = tokens.headers()
    clocks.forward(3539.0)
    assert {id(tokens.headers()), id(tokens.headers(clocks.steady))} == {id(headers)}
    assert (dict(headers), fault_server.count("POST /token")) == (
        {"Authorization": f"Bearer {fault_server.issued()[0]}"}, 1,
    )  # fmt: skip


def test_renewal_ahead_does_not_hold_anybody_up(fault_server: FaultServer) -> None:
    """Within the margin one thread asks, and everybody goes on with the token that is still good."""
    fault_server.oauth(clients=CLIENTS, expires_in=3600)
    clocks = Clocks()
    tokens = process(credential_for(fault_server), clocks)
    old = tokens.headers()
    fault_server.route("POST /token", [{"body": {"access_token": "at-next", "expires_in": 3600}}])
    # Nobody answers for now: who waited for the new token would wait for a minute.
    fault_server.listen("hang")
    clocks.forward(3541.0)
    began = time.monotonic()
    assert {id(tokens.headers()) for _ in range(1000)} == {id(old)}
    assert time.monotonic() - began < WAIT / 2
    fault_server.listen("accept")
    fault_server.drop_connections()
    assert token(after_renewal(tokens, old)) == "at-next"
    assert fault_server.count("POST /token") == 2


def test_a_renewal_ahead_that_fails_is_paused_and_harms_nobody(
    fault_server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The old token serves until its end; only then is the failure anybody's."""
    fault_server.oauth(clients=CLIENTS, expires_in=100)
    clocks = Clocks()
    tokens = process(credential_for(fault_server), clocks)
    headers = tokens.headers()
    fault_server.route("POST /token", [{"status": 400, "body": {"error": "invalid_scope"}}])
    clocks.forward(82.0)
    tokens.headers()
    settled(tokens)
    assert {id(tokens.headers()) for _ in range(100)} == {id(headers)}
    settled(tokens)
    assert fault_server.count("POST /token") == 2
    refusal = (
        f"the token endpoint {fault_server.url}/token refused the credential: status 400, invalid_scope "
        "(check auth.scope)"
    )
    assert caplog.messages == [f"the access token is good for 18 s more, but was not renewed: {refusal}"]
    clocks.forward(18.0 + REFUSED_FOR)
    with pytest.raises(AuthError) as caught:
        tokens.headers()
    assert (str(caught.value), fault_server.count("POST /token")) == (refusal, 3)


def test_an_ended_token_is_replaced_in_the_foreground(fault_server: FaultServer) -> None:
    """By one request, however many threads wait for it."""
    fault_server.oauth(clients=CLIENTS, expires_in=100)
    clocks = Clocks()
    tokens = process(credential_for(fault_server), clocks)
    tokens.headers()
    clocks.forward(100.0)
    assert {token(h) for h in in_threads(16, tokens.headers) if isinstance(h, Mapping)} == {fault_server.issued()[1]}
    assert fault_server.count("POST /token") == 2


def test_a_token_of_unknown_lifetime_is_kept_until_it_is_refused(fault_server: FaultServer) -> None:
    """A process that starts a year later takes it over, too."""
    fault_server.route(
        "POST /token", [{"body": {"access_token": "at-1"}, "times": 1}, {"body": {"access_token": "at-2"}}]
    )
    clocks = Clocks()
    first = process(credential_for(fault_server), clocks)
    headers = first.headers()
    clocks.forward(365 * 86_400.0)
    later = process(credential_for(fault_server), clocks)
    assert (first.headers() is headers, token(later.headers())) == (True, "at-1")
    later.expired(later.headers())
    assert (token(later.headers()), fault_server.count("POST /token")) == ("at-2", 2)


def test_concurrent_401s_cause_one_renewal(fault_server: FaultServer) -> None:
    """Sixteen requests sent with the same headers are refused: the first report counts, the others find a new token."""
    fault_server.oauth(clients=CLIENTS)
    tokens = process(credential_for(fault_server))
    refused = tokens.headers()

    def report() -> str:
        tokens.expired(refused)
        return token(tokens.headers())

    assert set(in_threads(16, report)) == {fault_server.issued()[1]}
    assert fault_server.count("POST /token") == 2


def test_a_late_401_does_not_drop_the_new_token(fault_server: FaultServer) -> None:
    fault_server.oauth(clients=CLIENTS)
    tokens = process(credential_for(fault_server))
    old = tokens.headers()
    tokens.expired(old)
    new = tokens.headers()
    tokens.expired(old)
    tokens.expired(dict(new))
    assert (tokens.headers() is new, fault_server.count("POST /token")) == (True, 2)


def test_a_refused_token_is_not_taken_back_from_the_file(fault_server: FaultServer) -> None:
    """Two processes hold it, both hear 401: one asks, the other takes what that one got."""
    fault_server.oauth(clients=CLIENTS)
    one, two = process(credential_for(fault_server)), process(credential_for(fault_server))
    for each in (one, two):
        each.expired(each.headers())
    assert [token(one.headers()), token(two.headers())] == [fault_server.issued()[1]] * 2
    assert fault_server.count("POST /token") == 2


def test_a_refused_token_is_not_left_to_others(fault_server: FaultServer) -> None:
    """The endpoint is down when the token is to be replaced: who starts next asks, and does not try the refused one."""
    fault_server.oauth(clients=CLIENTS)
    one = process(credential_for(fault_server))
    one.expired(one.headers())
    fault_server.route("POST /token", [{"status": 503, "times": 3}, {"body": {"access_token": "at-next"}}])
    with pytest.raises(UnavailableError):
        one.headers()
    assert token(process(credential_for(fault_server)).headers()) == "at-next"


def test_a_token_taken_from_the_file_ends_when_it_ends(fault_server: FaultServer) -> None:
    """Not a lifetime after it was taken."""
    fault_server.oauth(clients=CLIENTS, expires_in=100)
    clocks = Clocks()
    process(credential_for(fault_server), clocks).headers()
    clocks.forward(79.0)
    later = process(credential_for(fault_server), clocks)
    taken = later.headers()
    clocks.forward(0.9)
    assert (later.headers() is taken, fault_server.count("POST /token")) == (True, 1)
    clocks.forward(20.1)
    assert [token(taken), token(later.headers())] == fault_server.issued()


def test_a_clock_set_back_makes_no_token_immortal(fault_server: FaultServer) -> None:
    """Every hour the wall clock goes back an hour: tokens still end, and a new process trusts none from the future."""
    fault_server.oauth(clients=CLIENTS, expires_in=3600)
    clocks = Clocks()
    tokens = process(credential_for(fault_server), clocks)
    for _ in range(3):
        tokens.headers()
        clocks.steady += 3600.0
    assert fault_server.count("POST /token") == 3
    clocks.wall -= 10.0
    process(credential_for(fault_server), clocks).headers()
    assert fault_server.count("POST /token") == 4


def test_rotation_is_followed_by_every_process(fault_server: FaultServer) -> None:
    """Each renewal shows the refresh token the last one brought, whichever process asked; none is shown twice."""
    fault_server.oauth(clients=CLIENTS, refresh_tokens=["rt-0"], expires_in=100)
    credential = credential_for(fault_server, grant="refresh_token", refresh_token=Secret("rt-0"))
    clocks = Clocks()
    one, two = process(credential, clocks), process(credential, clocks)
    got = []
    for tokens in (one, two, two, one, process(credential, clocks)):
        got.append(token(tokens.headers()))
        clocks.forward(100.0)
    assert got == fault_server.issued()
    assert {e.status for e in fault_server.ledger("POST /token")} == {200}
    past = [secret.reveal() for secret in one.secrets()]
    assert [past.count(each) for each in (got[0], got[3])] == [1, 1]
    assert sum(each.startswith("rt-") for each in past) == 2


def test_a_lost_rotation_says_so(fault_server: FaultServer, tmp_path: Path) -> None:
    """Without the file (another host, an emptied directory) the token of the options is spent."""
    fault_server.oauth(clients=CLIENTS, refresh_tokens=["rt-0"])
    credential = credential_for(fault_server, grant="refresh_token", refresh_token=Secret("rt-0"))
    process(credential).headers()
    (tmp_path / f"trunkline-{os.getuid()}" / credential.key).unlink()
    with pytest.raises(AuthError) as caught:
        process(credential).headers()
    assert str(caught.value) == (
        f"the token endpoint {fault_server.url}/token refused the credential: status 400, invalid_grant: the refresh "
        "token was used before (auth.refreshToken is spent, revoked or was rotated elsewhere: log in again for a new "
        "one)"
    )


def test_the_password_grant_shows_the_password_each_time(fault_server: FaultServer) -> None:
    """Its refresh tokens are not kept: less to lose, and nothing to rotate."""
    fault_server.oauth(clients=CLIENTS, users={"ann": "pw"}, expires_in=100)
    credential = credential_for(fault_server, grant="password", username="ann", password=Secret("pw"))
    clocks = Clocks()
    tokens = process(credential, clocks)
    tokens.headers()
    clocks.forward(100.0)
    tokens.headers()
    assert [b"grant_type=password" in e.body for e in fault_server.ledger("POST /token")] == [True, True]
    with token_file.hold(token_file.path_of(credential.key), 1.0) as file:
        kept = token_file.read(file)
    assert kept is not None
    assert kept.refresh is None


def test_a_refused_credential_rests(fault_server: FaultServer) -> None:
    """No process shows it again for half a minute: a wrong password must not lock the account."""
    fault_server.oauth(clients=CLIENTS)
    credential = credential_for(fault_server, client_secret=Secret("wr0ng"))
    clocks = Clocks()
    texts = []
    for _ in range(3):
        with pytest.raises(AuthError) as caught:
            process(credential, clocks).headers()
        texts.append((str(caught.value), caught.value.status))
        clocks.forward(REFUSED_FOR / 3 - 1)
    assert (len(set(texts)), fault_server.count("POST /token")) == (1, 1)
    clocks.forward(REFUSED_FOR)
    with pytest.raises(AuthError):
        process(credential, clocks).headers()
    assert fault_server.count("POST /token") == 2


def test_who_waited_shares_the_failure_and_who_comes_later_tries(fault_server: FaultServer) -> None:
    """An endpoint that is down is asked three times for all that wait together, not three times for each."""
    fault_server.oauth(clients=CLIENTS, steps=[{"status": 503, "times": 3}])
    credential = credential_for(fault_server)
    all_wait = threading.Barrier(8)

    def fail() -> str:
        # The first look at the clock says since when it waits: nobody goes on before all do.
        first = iter([True])

        def wall() -> float:
            now = time.time()
            if next(first, False):
                all_wait.wait(WAIT)
            return now

        return outcome(Tokens(credential, SETTINGS, wall=wall))

    def outcome(tokens: Tokens) -> str:
        try:
            return token(tokens.headers())
        except UnavailableError as error:
            return str(error)

    said = f"the token endpoint {fault_server.url}/token gave no token: status 503 (tried 3 times)"
    assert in_threads(8, fail) == [said] * 8
    assert fault_server.count("POST /token") == 3
    assert outcome(process(credential)) == fault_server.issued()[0]


def test_an_answer_without_a_token_is_an_error_every_time(fault_server: FaultServer) -> None:
    """It rests on nothing: the next call asks again."""
    fault_server.route("POST /token", [{"body": {}}])
    tokens = process(credential_for(fault_server))
    for _ in range(2):
        with pytest.raises(ResponseError):
            tokens.headers()
    assert fault_server.count("POST /token") == 2


def test_without_a_shared_file_a_process_keeps_its_own(fault_server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / f"trunkline-{os.getuid()}").touch()
    fault_server.oauth(clients=CLIENTS, refresh_tokens=["rt-0"], expires_in=100)
    credential = credential_for(fault_server, grant="refresh_token", refresh_token=Secret("rt-0"))
    clocks = Clocks()
    tokens = process(credential, clocks)
    first = token(tokens.headers())
    clocks.forward(100.0)
    assert [first, token(tokens.headers())] == fault_server.issued()


def test_a_process_that_hangs_with_the_lock_is_named(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.http.token_endpoint.longest", lambda _: 0.05)
    fault_server.oauth(clients=CLIENTS)
    fault_server.expect("POST /token", times=0)
    credential = credential_for(fault_server)
    with token_file.hold(token_file.path_of(credential.key), 1.0), pytest.raises(UnavailableError) as caught:
        process(credential).headers()
    assert str(caught.value) == (
        f"another process of this host has been asking the token endpoint {fault_server.url}/token for over 0 s"
    )


def test_a_process_has_one_cache_for_a_credential(fault_server: FaultServer) -> None:
    """Keyed by the whole credential and by how the endpoint is reached."""
    credential = credential_for(fault_server)
    same = tokens_of(credential_for(fault_server), Settings(connect=WAIT, read=WAIT))
    assert same is tokens_of(credential, SETTINGS)
    assert same is not tokens_of(replace(credential, scope="rows"), SETTINGS)
    assert same is not tokens_of(credential, replace(SETTINGS, verify=False))


@pytest.fixture(scope="module")
def workers() -> Iterator[Pool]:
    """Eight processes that begin each task together.

    Forked, as Spark's daemon forks its workers, from a process that has done nothing but import.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "trunkline.http.token_endpoint"])
    with context.Pool(PROCESSES, _begin, (context.Barrier(PROCESSES),)) as pool:
        yield pool


def in_processes(workers: Pool, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What each process returns; the barrier in `_run` keeps one from taking two tasks."""
    return workers.map(_run, [(tempfile.gettempdir(), work, arguments)] * PROCESSES, chunksize=1)


def _begin(barrier: Any) -> None:
    globals()["_together"] = barrier.wait


def _run(task: tuple[str, Callable[..., Any], tuple[Any, ...]]) -> Any:
    tempfile.tempdir, work, arguments = task
    globals()["_together"](60.0)
    return work(*arguments)


def _call_for(seconds: float, auth: Auth) -> tuple[set[str], list[float]]:
    """The tokens that many calls gave, two of them at least, and when this process asked for those it put down."""
    seen: set[str] = set()
    asked: list[float] = []
    write = token_file.write

    def noted(file: int | None, kept: token_file.Kept) -> None:
        asked.append(kept.issued_at)
        write(file, kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_file, "write", noted)
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(seen) < 2:
            for _ in range(1000):
                seen.add(auth.headers()["Authorization"])
        assert auth._tokens is not None
        settled(auth._tokens)
    return seen, asked


def _refused_once(auth: Auth) -> list[str]:
    headers = auth.headers()
    globals()["_together"](60.0)
    auth.expired(headers)
    return [token(headers), token(auth.headers())]


def _error(auth: Auth) -> tuple[str, str]:
    try:
        return "token", token(auth.headers())
    except TrunklineError as error:
        return type(error).__name__, str(error)


def test_eight_processes_make_one_token_request_per_lifetime(fault_server: FaultServer, workers: Pool) -> None:
    """Many thousand calls, three lifetimes: requests are a lifetime less its margin apart, and all see the same."""
    fault_server.oauth(clients=CLIENTS, expires_in=0.5)
    results = in_processes(workers, _call_for, 1.1, Auth.oauth2(credential_for(fault_server), SETTINGS))
    # Of the clients' clock: between asking and arriving, a busy machine may stand still.
    asked = sorted(at for _, times in results for at in times)
    assert len(asked) == fault_server.count("POST /token") == len(fault_server.issued())
    assert min(later - earlier for earlier, later in pairwise(asked)) > 0.399
    seen = {header for headers, _ in results for header in headers}
    assert seen <= {f"Bearer {each}" for each in fault_server.issued()}


def test_eight_processes_renew_once_after_a_401(fault_server: FaultServer, workers: Pool) -> None:
    fault_server.oauth(clients=CLIENTS)
    results = in_processes(workers, _refused_once, Auth.oauth2(credential_for(fault_server), SETTINGS))
    assert results == [fault_server.issued()] * PROCESSES
    assert fault_server.count("POST /token") == 2


def test_eight_processes_show_a_wrong_secret_once(fault_server: FaultServer, workers: Pool) -> None:
    fault_server.oauth(clients=CLIENTS)
    auth = Auth.oauth2(credential_for(fault_server, client_secret=Secret("wr0ng-s3cret")), SETTINGS)
    results = in_processes(workers, _error, auth)
    assert {kind for kind, _ in results} == {"AuthError"}
    assert (len(set(results)), fault_server.count("POST /token")) == (1, 1)


def test_eight_processes_rotate_in_turn(fault_server: FaultServer, workers: Pool) -> None:
    """Refresh tokens that work once survive eight processes that all need them."""
    fault_server.oauth(clients=CLIENTS, refresh_tokens=["rt-0"], expires_in=0.3)
    credential = credential_for(fault_server, grant="refresh_token", refresh_token=Secret("rt-0"))
    in_processes(workers, _call_for, 0.8, Auth.oauth2(credential, SETTINGS))
    statuses = [e.status for e in fault_server.ledger("POST /token")]
    assert (set(statuses), len(statuses) >= 2) == ({200}, True)
