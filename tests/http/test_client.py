"""The client, driven by a scripted transport and a clock that moves only while the transport waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from random import Random

import pytest

from trunkline.errors import AuthError, OptionError
from trunkline.http.client import Client
from trunkline.http.concurrency import Concurrency
from trunkline.http.health import START_PATIENCE
from trunkline.http.message import Exchange, Fault, Outcome, Request
from trunkline.http.pacing import RateLimit
from trunkline.http.schedule import Schedule
from trunkline.http.verdict import Rules, Verdict

Script = Callable[[Request, int], Exchange]
SUCCESS = frozenset(range(200, 300))
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class Line:
    """A transport and its clock: every exchange takes `elapsed` seconds and ends as the script says."""

    def __init__(self, script: Script, elapsed: float = 0.1) -> None:
        self.now = 0.0
        self.sent: list[tuple[float, Request, str, dict[str, str]]] = []
        self.refuses: Exception | None = None
        self.most_in_flight = 0
        self.empty_polls = 0
        self._script = script
        self._elapsed = elapsed
        self._flying: list[tuple[float, Exchange]] = []
        self._sends_at_poll = -1

    def start(self, request: Request, url: str, headers: Mapping[str, str]) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.sent.append((self.now, request, url, dict(headers)))
        exchange = self._script(request, len(self.sent))
        exchange.elapsed = self._elapsed
        self._flying.append((self.now + self._elapsed, exchange))
        self.most_in_flight = max(self.most_in_flight, len(self._flying))

    def poll(self, wait: float | None) -> list[Exchange]:
        assert wait is not None
        assert wait >= 0.0
        until = self.now + wait
        arrival = min((at for at, _ in self._flying), default=float("inf"))
        self.now = max(self.now, min(until, arrival))
        done = [exchange for at, exchange in self._flying if at <= self.now]
        self._flying = [(at, exchange) for at, exchange in self._flying if at > self.now]
        progress = bool(done) or wait > 0.0 or len(self.sent) != self._sends_at_poll
        self.empty_polls = 0 if progress else self.empty_polls + 1
        assert self.empty_polls < 2, "polls without waiting, and nothing comes of it"
        self._sends_at_poll = len(self.sent)
        return done

    def close(self) -> None: ...


class Login:
    """A credential whose token is numbered; `broken` is raised instead of it."""

    def __init__(self, *, renewable: bool = False, query: Mapping[str, str] | None = None) -> None:
        self.renewable = renewable
        self.query = query or {}
        self.broken: Exception | None = None
        self.fetched = 1
        self._headers = {"Authorization": "token 1"}

    def headers(self) -> Mapping[str, str]:
        if self.broken is not None:
            raise self.broken
        return self._headers

    def expired(self, headers: Mapping[str, str]) -> None:
        if headers is self._headers:
            self.fetched += 1
            self._headers = {"Authorization": f"token {self.fetched}"}


def statuses(*codes: int, then: int = 200, **headers: str) -> Script:
    """These answers in turn, then always the same."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def script(request: Request, number: int) -> Exchange:
        code = codes[number - 1] if number <= len(codes) else then
        return Exchange(request, code, named if code >= 400 else {})

    return script


def client(line: Line, login: Login | None = None, **extra: object) -> Client:
    login = login or Login()
    rules: dict[str, object] = {"at_most_once": False, "max_wait": 600.0, "door": None} | {
        name: extra.pop(name) for name in ("at_most_once", "max_wait", "door") if name in extra
    }
    concurrency = extra.pop("concurrency", None)
    plan = Schedule(Concurrency(concurrency), random=Random(3), **extra)  # type: ignore[arg-type]
    judged = Rules(success=SUCCESS, retry=RETRIED, renewable=login.renewable, **rules)  # type: ignore[arg-type]
    return Client(line, plan, judged, login, headers={"A": "b"}, idempotency_header="Key", clock=lambda: line.now)


def rows(count: int, method: str = "POST") -> Iterator[Request]:
    return (Request(method, "http://a/", tag=i) for i in range(count))


def ends(sender: Client, source: Iterator[Request | None]) -> list[Outcome]:
    return [outcome for outcome in sender.send(source) if outcome is not None]


def told(outcomes: list[Outcome]) -> list[tuple[object, str]]:
    return sorted(((o.request.tag, o.kind) for o in outcomes), key=str)


def test_every_row_ends_and_requests_are_pulled_only_as_they_can_be_sent() -> None:
    line, pulled = Line(statuses()), []

    def source() -> Iterator[Request]:
        for request in rows(500):
            pulled.append(request)
            assert len(pulled) - len(done) <= 2 * 200
            yield request

    done: list[Outcome] = []
    done.extend(outcome for outcome in client(line).send(source()) if outcome is not None)
    assert told(done) == sorted(((i, "accepted") for i in range(500)), key=str)
    assert line.now < 2.0


def test_headers_key_and_query_travel() -> None:
    line = Line(statuses())
    sender = client(line, Login(query={"k": "a b"}))
    request = Request("POST", "http://a/?x=1", {"C": "d"}, b"body", idempotency_key="i")
    assert [o.kind for o in ends(sender, iter([request]))] == ["accepted"]
    expected = {"A": "b", "Authorization": "token 1", "C": "d", "Key": "i"}
    assert [(url, headers) for _, _, url, headers in line.sent] == [("http://a/?x=1&k=a+b", expected)]
    assert (sender.requests, sender.sent_bytes) == (1, 4)


def test_a_slow_source_is_asked_again_soon_and_keeps_no_answer_waiting() -> None:
    line = Line(statuses())
    source = iter([Request("POST", "http://a/", tag=0), *[None] * 50, Request("POST", "http://a/", tag=1)])
    ended_at = {o.request.tag: line.now for o in client(line).send(source) if o is not None}
    assert ended_at == {0: pytest.approx(0.1), 1: pytest.approx(50 * 0.02 + 0.1, abs=0.03)}


def test_the_caller_gets_its_turn_once_a_second_whatever_happens() -> None:
    line = Line(statuses(), elapsed=30.0)
    turns = [line.now for outcome in client(line).send(rows(1)) if outcome is None]
    assert turns == pytest.approx([float(i) for i in range(31)], abs=0.01)


def test_a_rate_is_kept_and_used_up() -> None:
    line = Line(statuses(), elapsed=0.01)
    ends(client(line, rate=RateLimit([(10.0, 1.0)])), rows(51))
    assert [at for at, *_ in line.sent] == pytest.approx([i / 10 for i in range(51)], abs=1e-3)


def test_a_slow_pull_does_not_make_two_sends_of_one_permit() -> None:
    line = Line(statuses(), elapsed=0.01)

    def source() -> Iterator[Request]:
        for request in rows(6):
            line.now += 5.0
            yield request

    ends(client(line, rate=RateLimit([(1.0, 4.0)])), source())
    at = [at for at, *_ in line.sent]
    assert all(later - earlier >= 4.0 - 1e-3 for earlier, later in pairwise(at))


def test_a_stop_lets_what_is_in_flight_end_and_pulls_no_more() -> None:
    line = Line(statuses())
    sender = client(line)
    source = rows(1000)
    outcomes = []
    for outcome in sender.send(source):
        if outcome is not None:
            outcomes.append(outcome)
            sender.stop("enough")
    assert told(outcomes) == [(i, "accepted") for i in range(4)]
    assert (next(source).tag, sender.stopped) == (4, "enough")


def test_a_source_that_stops_the_client_has_its_next_request_given_back() -> None:
    line = Line(statuses())
    sender = client(line)

    def source() -> Iterator[Request]:
        sender.stop("a row cannot be sent")
        yield from rows(2)

    assert told(ends(sender, source())) == [(0, "unsent")]
    assert line.sent == []


def test_a_stop_gives_back_what_waits() -> None:
    line = Line(statuses(503, then=200))
    sender = client(line, concurrency=3)
    source = iter([Request("POST", "http://a/", tag=i, keys=("k",)) for i in range(3)])
    outcomes = []
    for outcome in sender.send(source):
        if outcome is None and line.sent:
            sender.stop("enough")
        elif outcome is not None:
            outcomes.append(outcome)
    assert told(outcomes) == [(0, "exhausted"), (1, "unsent"), (2, "unsent")]


def test_what_the_source_raises_comes_out_after_what_was_sent_has_ended() -> None:
    def source() -> Iterator[Request]:
        yield from rows(2)
        raise OSError("no more")

    outcomes: list[Outcome] = []
    line = Line(statuses())
    with pytest.raises(OSError, match="no more"):
        outcomes.extend(o for o in client(line).send(source()) if o is not None)
    assert told(outcomes) == [(0, "accepted"), (1, "accepted")]


def test_a_door_that_raises_loses_no_row_and_stops() -> None:
    def door(exchange: Exchange) -> Verdict | None:
        raise KeyError("x")

    sender = client(Line(statuses()), door=door)
    outcomes = ends(sender, rows(100))
    assert told(outcomes) == [(i, "ambiguous") for i in range(4)]
    assert (str(sender.failure), sender.stopped) == ("judge raised KeyError: 'x'", "judge raised KeyError: 'x'")


def test_a_door_that_gives_nonsense_loses_no_row_either() -> None:
    sender = client(Line(statuses()), door=lambda _: True)
    assert told(ends(sender, rows(1))) == [(0, "ambiguous")]
    assert "must return None or a Verdict" in str(sender.failure)


@pytest.mark.parametrize("where", ["login", "transport"])
def test_a_login_or_transport_that_cannot_begin_leaves_the_row_unsent(where: str) -> None:
    line, login, error = Line(statuses()), Login(), AuthError("refused")
    if where == "login":
        login.broken = error
    else:
        line.refuses = error = OptionError("tls.ca: missing")  # type: ignore[assignment]
    sender = client(line, login)
    assert told(ends(sender, rows(9))) == [(0, "unsent")]
    assert (sender.failure, sender.stopped, sender.schedule.in_flight) == (error, str(error), 0)


def test_an_expired_token_is_fetched_once_for_all_that_were_sent_with_it() -> None:
    def script(request: Request, number: int) -> Exchange:
        return Exchange(request, 401 if number <= 4 else 200)

    line, login = Line(script), Login(renewable=True)
    outcomes = ends(client(line, login), rows(4))
    assert told(outcomes) == [(i, "accepted") for i in range(4)]
    assert [headers["Authorization"] for *_, headers in line.sent] == ["token 1"] * 4 + ["token 2"] * 4
    assert [o.attempts for o in outcomes] == [2] * 4


@pytest.mark.parametrize("concurrency", [4, 16, None])
def test_a_credential_that_was_never_good_is_given_up_after_two_tries_of_each_row(concurrency: int | None) -> None:
    line, login = Line(statuses(then=401)), Login(renewable=True)
    outcomes = ends(client(line, login, concurrency=concurrency), rows(1000))
    assert {(o.kind, o.attempts) for o in outcomes} == {("rejected", 2)}
    assert (len(line.sent), login.fetched) == (16, 3)


def test_a_second_401_is_a_rejection_and_five_in_a_row_stop() -> None:
    line = Line(statuses(then=401))
    sender = client(line, Login(renewable=True), concurrency=1)
    outcomes = ends(sender, rows(100))
    assert told(outcomes) == [(i, "rejected") for i in range(5)]
    assert (len(line.sent), sender.schedule.auth_refused) == (10, True)


@pytest.mark.parametrize("uses", [1, 3, 20])
@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_tokens_that_run_out_after_a_few_requests_give_up_no_row(uses: int, concurrency: int) -> None:
    """However often a row meets one: each was good for another row since it was issued."""
    used: Counter[str] = Counter()

    def script(request: Request, number: int) -> Exchange:
        token = line.sent[-1][3]["Authorization"]
        used[token] += 1
        return Exchange(request, 200 if used[token] <= uses else 401)

    line, login = Line(script), Login(renewable=True)
    outcomes = ends(client(line, login, concurrency=concurrency, max_attempts=30), rows(100))
    assert told(outcomes) == sorted(((i, "accepted") for i in range(100)), key=str)
    assert login.fetched <= 100 // uses + 1


def test_rows_that_are_refused_with_every_login_are_no_outage_and_hold_up_no_other_row() -> None:
    """However often they are tried: a 401 says that the origin is there."""
    line, login = Line(lambda one, _: Exchange(one, 401 if one.tag % 10 == 0 else 200)), Login(renewable=True)
    outcomes = ends(client(line, login, concurrency=16), rows(300))
    accepted = {outcome.request.tag for outcome in outcomes if outcome.kind == "accepted"}
    assert accepted == {tag for tag in range(300) if tag % 10}


@pytest.mark.parametrize(("concurrency", "most"), [(1, 10), (4, 20), (16, 80)])
def test_a_credential_that_is_revoked_is_given_up_soon(concurrency: int, most: int) -> None:
    """Neither the origin nor the token endpoint is asked for long, however many new rows there are."""
    line = Line(lambda one, number: Exchange(one, 200 if number <= 100 else 401))
    login = Login(renewable=True)
    sender = client(line, login, concurrency=concurrency)
    ends(sender, rows(3000))
    assert (sender.schedule.auth_refused, len(line.sent) - 100 <= most, login.fetched <= 6) == (True, True, True)


@pytest.mark.parametrize("probe", ["sent", "not sent"])
def test_a_probe_has_no_outcome_and_renews_a_token_that_has_expired_meanwhile(probe: str) -> None:
    """Page 0 is answered well, the others are not until the gate closes: then page 0 is asked for again."""
    login = Login(renewable=True)

    def script(request: Request, number: int) -> Exchange:
        if request.tag == 0 and not failed:
            return Exchange(request, 200)
        if len(failed) >= 10:
            return Exchange(request, 200 if line.sent[-1][3]["Authorization"] == "token 2" else 401)
        return Exchange(request, 500)

    def door(exchange: Exchange) -> None:
        failed.extend([exchange.status] * (exchange.status == 500))
        if len(failed) == 10 and probe == "not sent":
            login.broken = AuthError("refused")

    def ahead() -> Iterator[Request]:
        for page in rows(9):
            page.early = True
            yield page

    failed: list[int] = []
    line = Line(script)
    sender = client(line, login, door=door)
    outcomes = ends(sender, ahead())
    assert Counter(outcome.request.tag for outcome in outcomes) == Counter(range(9))
    assert (login.fetched, sender.schedule.in_flight) == (2 if probe == "sent" else 1, 0)
    if probe == "sent":
        assert {outcome.request.login for outcome in outcomes if outcome.request.tag} == {1}


def test_a_wrong_password_costs_a_handful_of_requests_with_a_large_fixed_concurrency_too() -> None:
    line = Line(statuses(then=401))
    outcomes = ends(client(line, concurrency=100), rows(1000))
    assert (len(line.sent), {o.kind for o in outcomes}) == (8, {"rejected"})


def test_at_most_once_leaves_a_lost_answer_ambiguous() -> None:
    line = Line(lambda request, _: Exchange(request, fault=Fault.RESET))
    outcomes = ends(client(line, at_most_once=True), rows(1))
    assert (told(outcomes), len(line.sent)) == ([(0, "ambiguous")], 1)


@pytest.mark.parametrize(
    ("method", "then", "kind"),
    [("DELETE", 404, "accepted"), ("PUT", 409, "ambiguous"), ("PUT", 412, "ambiguous"), ("PUT", 404, "rejected")],
)
def test_after_an_answer_was_lost(method: str, then: int, kind: str) -> None:
    def script(request: Request, number: int) -> Exchange:
        return Exchange(request, fault=Fault.RESET) if number == 1 else Exchange(request, then)

    assert told(ends(client(Line(script)), rows(1, method))) == [(0, kind)]


def test_a_retry_after_beyond_what_is_allowed_stops_and_says_until_when() -> None:
    sender = client(Line(statuses(then=429, Retry_After="86400")), concurrency=1)
    assert told(ends(sender, rows(50))) == [(0, "exhausted")]
    assert "the server asks to wait 86400 s (until " in str(sender.stopped)


def test_a_retry_after_is_waited_for() -> None:
    line = Line(statuses(429, Retry_After="90"))
    assert told(ends(client(line), rows(1))) == [(0, "accepted")]
    assert line.sent[1][0] >= 90.1


def test_an_outage_pauses_and_eats_no_row() -> None:
    line = Line(lambda request, _: Exchange(request))

    def script(request: Request, number: int) -> Exchange:
        return Exchange(request, fault=Fault.REFUSED) if 1.0 < line.now < 300.0 else Exchange(request, 200)

    line._script = script
    outcomes = ends(client(line, rate=RateLimit([(100.0, 1.0)])), rows(1000))
    assert told(outcomes) == sorted(((i, "accepted") for i in range(1000)), key=str)
    assert sum(1.0 < at < 300.0 for at, *_ in line.sent) < 60


def test_past_the_deadline_what_was_never_sent_is_unsent_and_the_rest_exhausted() -> None:
    line = Line(lambda request, number: Exchange(request, 200 if number == 1 else 503))
    sender = client(line, concurrency=2, deadline=120.0)
    outcomes = ends(sender, iter([Request("POST", "http://a/", tag=i, keys=(i % 5,)) for i in range(40)]))
    kinds = {o.request.tag: (o.kind, o.attempts > 0) for o in outcomes if o.kind != "accepted"}
    assert set(kinds.values()) == {("exhausted", True), ("unsent", False)}
    assert "no good answer for" in str(sender.stopped)
    assert 120.0 <= line.now < 125.0


def test_an_origin_that_never_answered_gets_a_minute_and_leaves_unpulled_rows_alone() -> None:
    line = Line(lambda request, _: Exchange(request, fault=Fault.REFUSED))
    sender, source = client(line), rows(1000)
    outcomes = ends(sender, source)
    assert {o.kind for o in outcomes} <= {"exhausted", "unsent"}
    assert START_PATIENCE <= line.now < START_PATIENCE + 5
    assert next(source).tag == len(outcomes) < 40


def test_halves_of_a_refused_batch_end_too_and_so_do_those_handed_in_after_the_stop() -> None:
    def script(request: Request, number: int) -> Exchange:
        return Exchange(request, 400 if len(request.tag) > 1 and 3 in request.tag else 200)

    sender = client(Line(script))
    ended = []
    for outcome in sender.send(iter([Request("POST", "http://a/", tag=tuple(range(8)), keys=("k",))])):
        if outcome is None:
            continue
        tag = outcome.request.tag
        if outcome.kind == "rejected":
            for half in (tag[len(tag) // 2 :], tag[: len(tag) // 2]):
                sender.send_part(Request("POST", "http://a/", tag=half, keys=("k",)), outcome.request)
        else:
            ended.append((tag, outcome.kind))
    assert ended == [((0, 1), "accepted"), ((2,), "accepted"), ((3,), "accepted"), ((4, 5, 6, 7), "accepted")]


def test_a_part_handed_in_for_what_was_given_up_is_given_up_too() -> None:
    sender = client(Line(statuses(503)), concurrency=1)
    parts = 0
    kinds = []
    for outcome in sender.send(rows(1)):
        if outcome is None:
            if sender.requests:
                sender.stop("enough")
            continue
        kinds.append(outcome.kind)
        if not parts:
            parts += 1
            sender.send_part(Request("POST", "http://a/"), outcome.request)
    assert kinds == ["exhausted", "unsent"]
