"""A worker's side, against coordinators that serve for real: what it survives."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from trunkline.coordination import buckets, links
from trunkline.coordination import link as one_link
from trunkline.coordination.certificate import make_certificate
from trunkline.coordination.channel import Channel, Place
from trunkline.coordination.coordinator import Coordinator
from trunkline.coordination.hub import Hub
from trunkline.coordination.leased_rate import LeasedRate
from trunkline.coordination.link import Link
from trunkline.coordination.links import link_to
from trunkline.coordination.server import Server
from trunkline.credentials import Secret
from trunkline.errors import OptionError

KEY = Secret("k" * 64)

FORKING = """
import os, sys, time
from trunkline.coordination.channel import Place
from trunkline.coordination.coordinator import Coordinator
from trunkline.coordination.links import link_to

def works(link):
    rate = link.rate(None, name="", deadline=5.0)
    end = time.monotonic() + 5
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


def permits(rate: LeasedRate, seconds: float) -> int:
    """How many requests are sent in so long by whoever always has one."""
    end, sent = time.monotonic() + seconds, 0
    while (now := time.monotonic()) < end:
        if rate.ready_at(now) <= now:
            rate.take(now)
            sent += 1
        time.sleep(0.005)
    return sent


def waited_for(condition: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


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
        assert permits(rate, 0.5) > 5
        assert waited_for(lambda: not link.active, 3.0)
        assert permits(link.rate(None, name="", deadline=5.0), 1.0) > 5


def test_a_forked_process_has_a_link_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=False)
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
        assert waited_for(lambda: hub.asked >= asked + 3, 5.0)


def test_a_slow_answer_does_not_make_a_token_live_longer() -> None:
    def slow(answer: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.7)
        token = {"number": 1, "headers": {"Authorization": "Bearer t"}, "query": {}, "ends_in": 1.0, "renews_in": 1.0}
        return {**answer, "kind": "oauth2", "token": token}

    with served(OddHub(slow)) as place:
        link = Link(place)
        before = time.monotonic()
        link.check()
        assert link._login.ends_at < before + 1.2


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
