"""A worker's side, against coordinators that serve for real: what it survives."""

from __future__ import annotations

import base64
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import urllib3
from tests.measures import waited_for

from trunkline.coordination import buckets, channel, links
from trunkline.coordination import link as one_link
from trunkline.coordination.certificate import make_certificate
from trunkline.coordination.channel import Channel, Place
from trunkline.coordination.coordinator import Coordinator
from trunkline.coordination.hub import Hub
from trunkline.coordination.leased_rate import LeasedRate
from trunkline.coordination.leases import Lease
from trunkline.coordination.link import Link
from trunkline.coordination.links import link_to
from trunkline.coordination.server import Server
from trunkline.credentials import Secret
from trunkline.errors import OptionError

KEY = Secret("k" * 64)
PATIENCE = 60.0

FORKING = """
import os, sys, time
from trunkline.coordination.channel import Place
from trunkline.coordination.coordinator import Coordinator
from trunkline.coordination.links import link_to

def works(link):
    rate = link.rate(None, name="", deadline=60.0)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        now = time.monotonic()
        if rate.ready_at(now) <= now:
            rate.take(now)
            return True
        time.sleep(0.01)
    return False

with Coordinator(host="127.0.0.1", rateLimit="50/s") as c:
    link = link_to(Place(c.options["coordinator.url"], c._token, c.options["coordinator.fingerprint"]))
    assert works(link)
    child = os.fork()
    if child == 0:
        os._exit(0 if works(link) else 1)
    _, status = os.waitpid(child, 0)
    assert works(link)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def place_of(c: Coordinator) -> Place:
    return Place(c.options["coordinator.url"], c._token, c.options["coordinator.fingerprint"])


def lets_go(rate: LeasedRate, requests: int) -> bool:
    """Whether so many requests of whoever always has one are sent at last."""
    end = time.monotonic() + PATIENCE
    while requests and (now := time.monotonic()) < end:
        if rate.ready_at(now) <= now:
            rate.take(now)
            requests -= 1
        time.sleep(0.005)
    return not requests


class OddHub(Hub):
    """Answers whatever it is given."""

    def __init__(self, answer: Any) -> None:
        super().__init__((), "none", lambda number: None)
        self.answer = answer
        self.asked = 0

    def sync(self, call: Mapping[str, Any], now: float) -> Any:
        self.asked += 1
        return self.answer(super().sync(call, now)) if callable(self.answer) else self.answer


@contextmanager
def served(hub: Hub) -> Iterator[Place]:
    certificate = make_certificate(KEY)
    server = Server(hub, certificate, KEY, host="127.0.0.1", port=0)
    server.start()
    yield Place(server.url, KEY, certificate.fingerprint)
    server.stop()


def test_a_link_that_rested_works_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reused Python worker, or a stream with a pause between two batches."""
    for module in (one_link, buckets):
        monkeypatch.setattr(module, "UNUSED", 0.2)
    with Coordinator(host="127.0.0.1", rateLimit="50/s") as c:
        link = link_to(place_of(c))
        rate = link.rate(None, name="", deadline=5.0)
        # More than one lease brings: the link goes on calling.
        assert lets_go(rate, 20)
        assert waited_for(lambda: not link.active)
        assert lets_go(link.rate(None, name="", deadline=5.0), 20)


def test_a_forked_process_has_a_link_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("answer", [[], {}, {"stopped": None}, "text"])
def test_an_answer_that_makes_no_sense_is_told_and_asked_for_again(answer: Any) -> None:
    hub = OddHub(answer)
    with served(hub) as place:
        link = Link(place)
        with pytest.raises(OptionError, match=r"cannot be used: https://.* is (no coordinator|.*same version)"):
            link.check()
        link.rate(None, name="", deadline=5.0)
        asked = hub.asked
        assert waited_for(lambda: hub.asked >= asked + 3)


def test_a_slow_answer_does_not_make_a_token_live_longer() -> None:
    """It lives on from when it was asked for: before the call came, and not from when the answer did."""
    came_at: list[float] = []

    def slow(answer: dict[str, Any]) -> dict[str, Any]:
        came_at.append(time.monotonic())
        token = {"number": 1, "headers": {"Authorization": "Bearer t"}, "query": {}, "ends_in": 9.0, "renews_in": 9.0}
        return {**answer, "kind": "oauth2", "token": token}

    with served(OddHub(slow)) as place:
        link = Link(place)
        link.check()
    assert link._login.ends_at < came_at[0] + 9.0


def test_the_end_of_a_task_waits_until_a_slow_coordinator_has_taken_its_totals_in() -> None:
    """A driver that stands still for a while is not gone: after the query its totals hold every task."""

    class SlowHub(Hub):
        def sync(self, call: Mapping[str, Any], now: float) -> Any:
            if call["tasks"]:
                time.sleep(1.5)
            return super().sync(call, now)

    hub = SlowHub((), "none", lambda number: None)
    with served(hub) as place:
        Link(place).report("write/0", {"rows": 3, "accepted": 2}, {}, done=True)
        told = hub.progress.snapshot(0.0)
    assert (told.rows, told.accepted, told.tasks_done) == (3, 2, 1)


def test_the_end_of_a_task_waits_no_longer_once_the_coordinator_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait longer than a test may take."""
    monkeypatch.setattr(one_link, "_LAST_WORD", 3600.0)
    with served(OddHub({"kind": "none"})) as place:
        link = Link(place)
    link.report("write/0", {"rows": 3, "accepted": 2}, {}, done=True)
    assert link._contact.lost


def test_an_address_that_answers_nothing_is_made_sure_of_in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks may wait for what comes of the call after a failed one; with the patience of others, this test for ever."""
    monkeypatch.setattr(channel, "_PATIENCE", urllib3.Timeout(connect=3600.0, read=3600.0))
    monkeypatch.setattr(channel, "_BRIEF", urllib3.Timeout(connect=0.1, read=3600.0))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = Link(Place(f"https://127.0.0.1:{silent.getsockname()[1]}", KEY, "0" * 64))
        link._contact.called_at = time.monotonic() - 5.0
        link._contact.failed(time.monotonic())
        problem = link._call(time.monotonic())
        link._note(problem, time.monotonic())
    assert problem is not None
    assert "does not answer" in problem
    assert link._contact.lost


def test_whoever_waits_for_a_permit_is_told_that_nothing_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where each call takes seconds, and where nobody waits any more nothing is said: in virtual time."""
    monkeypatch.setattr(Link, "_use", lambda link: None)
    for waits in (True, False):
        link = Link(Place("https://127.0.0.1:9", KEY, "0" * 64))
        rate = link._buckets.rate("", None)
        with caplog.at_level(logging.WARNING, "trunkline.coordinator"):
            for began, ended in ((100.0, 105.0), (105.0, 106.0), (106.0, 111.0)):
                rate.ready_at(ended if waits else 100.0)
                link._contact.called_at = began
                link._note("it does not answer", ended)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["it does not answer: waiting for its first answer, and trying again every second"]


def test_a_link_calls_as_soon_as_its_rate_wants_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the pace of its reports: in virtual time, without its thread."""
    monkeypatch.setattr(Link, "_use", lambda link: None)
    link = Link(Place("https://127.0.0.1:9", KEY, "0" * 64))
    link._login.kind = "none"
    link._contact.called_at = 100.0
    rate = link._buckets.rate("", None)
    rate.ready_at(100.0)
    rate.ask(100.0)
    rate.granted(Lease(1, next_in=0.4, soonest=0.1, workers=4), 100.0)
    assert link._due(100.01) == pytest.approx(100.4)
    rate.take(100.01)
    rate.ready_at(100.02)
    assert link._due(100.02) == pytest.approx(100.1)


def test_the_environment_has_no_say_in_where_the_key_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Coordinator(host="127.0.0.1") as c:
        assert Link(place_of(c)).check() == "none"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"token": Secret("another" * 10)}, "refuses coordinator.token: it was started with another key"),
        ({"fingerprint": "0" * 64}, "another certificate than coordinator.fingerprint"),
        ({"url": "https://127.0.0.1:9"}, "https://127.0.0.1:9 does not answer (NewConnectionError)"),
    ],
)
def test_what_is_wrong_is_told_at_once_and_without_the_key(change: dict[str, Any], said: str) -> None:
    with Coordinator(host="127.0.0.1") as c:
        place = place_of(c)
        wrong = Place(**{"url": place.url, "token": place.token, "fingerprint": place.fingerprint, **change})
        with pytest.raises(OptionError) as raised:
            Link(wrong).check()
    assert said in str(raised.value)
    assert "is it running, can this machine reach that address" in str(raised.value)
    assert wrong.token.reveal() not in str(raised.value)


def test_a_channel_that_was_closed_opens_again() -> None:
    with served(OddHub({"kind": "none"})) as place:
        channel = Channel(place)
        assert channel.exchange({"worker": "w"}) == {"kind": "none"}
        channel.close()
        assert channel.exchange({"worker": "w"}) == {"kind": "none"}


def test_a_process_that_served_many_coordinators_keeps_the_last_few() -> None:
    places = [Place(f"https://127.0.0.1:{port}", KEY, "0" * 64) for port in range(1, 101)]
    kept = [link_to(place) for place in places]
    assert len(links._LINKS) <= 16
    assert link_to(places[-1]) is kept[-1]


def test_of_a_login_with_a_password_the_password_is_hidden_too() -> None:
    pair = base64.b64encode(b"loader:hunter2").decode()
    told = {"number": 1, "headers": {"Authorization": f"Basic {pair}"}, "query": {"api_key": "k3y"}}
    link = Link(Place("https://127.0.0.1:9", KEY, "0" * 64))
    link._login.take({**told, "ends_in": None, "renews_in": None}, 0.0)
    assert {secret.reveal() for secret in link.secrets()} == {pair, "hunter2", "k3y"}
