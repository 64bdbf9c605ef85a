"""The fault server's routes, conditions, ledger, listeners and life."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import textwrap
import time
from calendar import timegm
from itertools import islice
from typing import Any

import psutil
import pytest
import requests
from tests.testing.client import exchange_bytes, get, post

import trunkline.testing.server
from trunkline.testing import FaultServer
from trunkline.testing.transport_contract.subject import eventually

pytest_plugins = ["trunkline.testing.plugin"]


def test_the_usage_in_the_docstring_runs() -> None:
    """The first lines a newcomer pastes work as printed."""
    assert trunkline.testing.server.__doc__ is not None
    lines = trunkline.testing.server.__doc__.splitlines()
    usage = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
    assert "server.stored" in usage
    exec(usage, {})


def test_steps_answer_in_order_and_the_last_for_ever(fault_server: FaultServer) -> None:
    """`times` counts a step down; the last step has no end."""
    fault_server.route("POST /rows", [{"status": 429, "times": 2}, {"status": 503}, {"status": 201, "body": {"ok": 1}}])
    assert [post(fault_server, "/rows").status_code for _ in range(6)] == [429, 429, 503, 201, 201, 201]
    answer = post(fault_server, "/rows")
    assert (answer.json(), answer.headers["Content-Type"]) == ({"ok": 1}, "application/json")


def test_a_route_whose_steps_are_used_up_answers_404(fault_server: FaultServer) -> None:
    fault_server.route("GET /a", [{"times": 1}])
    fault_server.strict = False
    assert [requests.get(fault_server.url_for("/a"), timeout=60).status_code for _ in range(2)] == [200, 404]
    assert [e.fault for e in fault_server.ledger()] == [None, "no step left"]


def test_bodies_and_headers_are_sent_as_declared(fault_server: FaultServer) -> None:
    """Text, bytes, JSON, and headers twice or with a type of their own."""
    fault_server.route("GET /text", [{"body": "grün"}])
    fault_server.route("GET /bytes", [{"body": b"\x00\xff", "headers": {"Content-Type": "image/x"}}])
    fault_server.route("GET /pairs", [{"status": 299, "headers": [["X-A", "1"], ["X-A", "2"]]}])
    fault_server.route("GET /none", [{"status": 204, "body": "never sent"}])
    fault_server.route("HEAD /text", [{"body": "abc"}])
    text = requests.get(fault_server.url_for("/text"), timeout=60)
    assert (text.text, text.headers["Content-Type"]) == ("grün", "text/plain; charset=utf-8")
    raw = requests.get(fault_server.url_for("/bytes"), timeout=60)
    assert (raw.content, raw.headers["Content-Type"]) == (b"\x00\xff", "image/x")
    pairs = requests.get(fault_server.url_for("/pairs"), timeout=60)
    assert (pairs.status_code, pairs.headers["X-A"]) == (299, "1, 2")
    none, state = exchange_bytes(fault_server, get("/none"))
    assert (b"Content-Length" in none, none.endswith(b"\r\n\r\n"), state) == (False, True, "open")
    head = requests.head(fault_server.url_for("/text"), timeout=60)
    assert (head.headers["Content-Length"], head.content) == ("3", b"")


def test_paths_match_exactly_then_by_pattern(fault_server: FaultServer) -> None:
    """The very path wins over `{name}`, which takes one segment; `*` takes the rest."""
    fault_server.route("GET /users/{id}", [{"body": "pattern"}])
    fault_server.route("GET /users/me", [{"body": "exact"}])
    fault_server.route("* /files/*", [{"body": "rest"}])
    paths = ["/users/7?x=1", "/users/me", "/files/a/b"]
    assert [requests.get(fault_server.url_for(p), timeout=60).text for p in paths] == ["pattern", "exact", "rest"]
    assert requests.put(fault_server.url_for("/files/"), timeout=60).text == "rest"
    assert fault_server.count("GET /users/{id}") == 1
    assert fault_server.count("/users/7") == 1


def test_a_route_can_belong_to_one_origin(fault_server: FaultServer) -> None:
    """The other origin answers by its own route, and the ledger tells them apart."""
    fault_server.route("GET /a", [{"body": "everywhere"}])
    fault_server.route("GET /a", [{"body": "other"}], origin="other")
    urls = [fault_server.url, fault_server.other_url]
    assert [requests.get(f"{url}/a", timeout=60).text for url in urls] == ["everywhere", "other"]
    assert [e.origin for e in fault_server.ledger()] == ["main", "other"]
    assert fault_server.count("/a", origin="other") == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("other", [False, True])
def test_redirects_to_the_same_and_to_another_host(fault_server: FaultServer, status: int, other: bool) -> None:
    """A redirect is a status and a Location; the ledger shows where the client went with what."""
    target = (fault_server.other_url if other else "") + "/new"
    fault_server.route("* /old", [{"status": status, "headers": {"Location": target}}])
    fault_server.route("* /new", [{"body": "arrived"}])
    assert post(fault_server, "/old", {"id": 1}, headers={"X-Api-Key": "k"}).text == "arrived"
    last = fault_server.ledger(path="/new")[0]
    assert last.origin == ("other" if other else "main")
    assert (last.method, last.headers["x-api-key"]) == ("POST" if status > 302 else "GET", "k")


@pytest.mark.parametrize(
    ("condition", "hits"),
    [
        ({"when": {"json": {"id": 7000}}}, [7000]),
        ({"when": {"json": {"deep.value": 2}}}, [2]),
        ({"when": {"json": {"id": {"in": [1, 2]}}}}, [1, 2]),
        ({"when": {"json": {"id": {"mod": [10, 3]}}}}, [3, 13]),
        ({"when": {"json": {"name": {"has": "n1"}}}}, [1, 13]),
        ({"when": {"json": {"gone": None, "id": 3}}}, [3]),
        ({"when": '"id": 13'}, [13]),
        ({"when": [{"json": {"id": 1}}, {"json": {"id": 3}}]}, [1, 3]),
        ({"when": {"header": {"X-Row": "2"}}}, [2]),
        ({"when": {"query": {"row": "3"}}}, [3]),
        ({"unless": {"header": {"x-row": {"in": ["1", "2", "3", "13"]}}}}, [7000]),
        ({"when": {"count": [2, 3]}}, [2, 3]),
        ({"when": {"count": [4, None]}}, [13, 7000]),
        ({"when": {"path": "nowhere"}}, []),
        ({"when": {"seconds": [0, 60]}, "times": 1}, [1]),
        ({"when": {"seconds": [60, None]}}, []),
        ({"when": {"json": {"id": True}}}, []),
    ],
)
def test_conditions_choose_the_step(fault_server: FaultServer, condition: dict[str, Any], hits: list[int]) -> None:
    """A step answers only the requests its condition holds for."""
    fault_server.route("POST /rows", [{**condition, "status": 422}, {"status": 201}])
    statuses = {}
    for row in (1, 2, 3, 13, 7000):
        body = {"id": row, "name": f"n{row}", "deep": {"value": row}}
        statuses[row] = post(fault_server, f"/rows?row={row}", body, headers={"X-Row": str(row)}).status_code
    assert [row for row, status in statuses.items() if status == 422] == hits


def test_probability_is_the_same_on_every_run(fault_server: FaultServer) -> None:
    """One seed gives one sequence, near the share asked for."""
    fault_server.route("GET /a", [{"probability": 0.3, "seed": 5, "status": 503}, {}])

    def run() -> list[int | None]:
        exchange_bytes(fault_server, get("/a") * 200, wait=0.3)
        return [e.status for e in fault_server.ledger()]

    first = run()
    fault_server.clear()
    assert run() == first
    assert (len(first), 40 <= first.count(503) <= 80) == (200, True)


@pytest.mark.parametrize(
    ("retry_after", "value"),
    [(2, "2"), (1.5, "1.5"), ("7", "7"), ("day", "86400"), (-1, "-1")],
)
def test_retry_after_in_seconds(fault_server: FaultServer, retry_after: Any, value: str) -> None:
    fault_server.route("GET /a", [{"status": 429, "retry_after": retry_after}])
    assert requests.get(fault_server.url_for("/a"), timeout=60).headers["Retry-After"] == value


@pytest.mark.parametrize(
    ("retry_after", "pattern"),
    [
        ({"imf": 3}, "%a, %d %b %Y %H:%M:%S GMT"),
        ({"rfc850": 3}, "%A, %d-%b-%y %H:%M:%S GMT"),
        ({"asctime": 3}, "%a %b %d %H:%M:%S %Y"),
        ("past", "%a, %d %b %Y %H:%M:%S GMT"),
    ],
)
@pytest.mark.parametrize("skew", [0, 3600])
def test_retry_after_as_a_date_is_ahead_of_the_answers_own_date(
    fault_server: FaultServer, retry_after: Any, pattern: str, skew: int
) -> None:
    """The three HTTP dates, computed when the answer is sent, by a clock that may be wrong."""
    fault_server.route("GET /a", [{"status": 503, "retry_after": retry_after, "skew": skew}])
    before = int(time.time())
    headers = requests.get(fault_server.url_for("/a"), timeout=60).headers
    date = timegm(time.strptime(headers["Date"], "%a, %d %b %Y %H:%M:%S GMT"))
    assert before <= date - skew <= time.time()
    assert timegm(time.strptime(headers["Retry-After"], pattern)) - date == (-60 if retry_after == "past" else 3)


def test_a_garbage_retry_after_is_no_date_and_none_is_none(fault_server: FaultServer) -> None:
    fault_server.route("GET /a", [{"status": 429, "retry_after": "garbage"}, {"status": 429}])
    headers = [requests.get(fault_server.url_for("/a"), timeout=60).headers.get("Retry-After") for _ in range(2)]
    assert headers == ["soon-ish, maybe", None]


def test_a_rate_answers_429_beyond_it(fault_server: FaultServer) -> None:
    """A burst passes, the rest is refused with the time until there is room."""
    fault_server.route("POST /rows", [{"rate": 0.001, "burst": 3, "retry_after": "wait"}, {"status": 201}])
    answers = [post(fault_server, "/rows") for _ in range(5)]
    assert [a.status_code for a in answers] == [201, 201, 201, 429, 429]
    assert 900 < float(answers[-1].headers["Retry-After"]) <= 1000


def test_a_named_bucket_is_shared_by_routes(fault_server: FaultServer) -> None:
    limit = {"rate": 0.01, "burst": 2, "bucket": "api", "status": 503}
    fault_server.route("GET /a", [limit, {}])
    fault_server.route("GET /b", [limit, {}])
    paths = ["/a", "/b", "/a", "/b"]
    assert [requests.get(fault_server.url_for(p), timeout=60).status_code for p in paths] == [200, 200, 503, 503]
    with pytest.raises(ValueError, match="bucket 'api' was declared with another rate"):
        fault_server.route("GET /c", [{**limit, "rate": 5}])


def test_a_concurrency_limit_counts_open_requests(fault_server: FaultServer) -> None:
    """Beyond two open requests the third is refused; `max_in_flight` tells how many were open at once."""
    fault_server.route("GET /a", [{"concurrency": 2}, {"fault": "hang", "times": 2}, {}])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        first = [pool.submit(requests.get, fault_server.url_for("/a"), timeout=60) for _ in range(2)]
        fault_server.wait_for("GET /a", times=2)
        assert requests.get(fault_server.url_for("/a"), timeout=60).status_code == 503
        fault_server.drop_connections()
        assert [type(f.exception()) for f in first] == [requests.ConnectionError] * 2
    assert fault_server.max_in_flight == 3
    assert fault_server.stats()["in_flight"] == 0
    assert requests.get(fault_server.url_for("/a"), timeout=60).status_code == 200


def test_a_delay_is_waited_and_noted(fault_server: FaultServer) -> None:
    fault_server.route("GET /a", [{"delay": [0.05, 0.1]}])
    began = time.monotonic()
    requests.get(fault_server.url_for("/a"), timeout=60)
    elapsed = fault_server.ledger()[0].elapsed
    assert elapsed is not None
    assert 0.045 <= elapsed <= time.monotonic() - began


def test_the_ledger_holds_what_was_sent(fault_server: FaultServer) -> None:
    """Every part of an exchange, and the clocks of this host."""
    fault_server.route("POST /rows", [{"status": 201}], store=True)
    before, day = time.monotonic(), time.time()
    post(fault_server, "/rows?a=1&a=2", {"id": 1}, headers={"X-Key": "secret-value"})
    (seen,) = fault_server.ledger("POST /rows")
    assert (seen.method, seen.path, seen.query) == ("POST", "/rows", {"a": ["1", "2"]})
    assert (seen.headers["x-key"], seen.body, seen.json) == ("secret-value", b'{"id": 1}', {"id": 1})
    assert (seen.status, seen.route, seen.fault, seen.stored) == (201, "POST /rows", None, True)
    assert (seen.connection, seen.origin) == (1, "main")
    assert before <= seen.at <= time.monotonic()
    assert day <= seen.time <= time.time()
    assert "secret-value" not in repr(seen)


def test_the_ledger_narrows(fault_server: FaultServer) -> None:
    fault_server.route("* /a", [{"status": 500}, {}])
    fault_server.route("GET /b", [{}])
    for method, path in [("GET", "/a"), ("POST", "/a"), ("GET", "/b")]:
        requests.request(method, fault_server.url_for(path), timeout=60)
    assert [e.method for e in fault_server.ledger(path="/a")] == ["GET", "POST"]
    assert [e.path for e in fault_server.ledger(method="GET")] == ["/a", "/b"]
    assert [fault_server.count(status=s) for s in (500, 200, 404)] == [1, 2, 0]
    assert [fault_server.count(r) for r in ("GET /a", "/a", "/c", None)] == [1, 2, 0, 3]


def test_keep_alive_and_pipelined_requests_are_answered_in_order(fault_server: FaultServer) -> None:
    """Requests sent at once on one connection get their answers one after the other, a slow first one included."""
    fault_server.route("GET /slow", [{"delay": 0.1, "body": "1"}])
    fault_server.route("GET /fast", [{"body": "2"}])
    last = b"GET /fast HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    received, state = exchange_bytes(fault_server, get("/slow") + get("/fast") + last, wait=2)
    assert ([part[:1] for part in received.split(b"\r\n\r\n")[1:]], state) == ([b"1", b"2", b"2"], "closed")
    assert {e.connection for e in fault_server.ledger()} == {1}


def test_100_continue_is_sent_when_asked_for(fault_server: FaultServer) -> None:
    fault_server.route("POST /a", [{"status": 201}], store=True)
    with socket.create_connection(("127.0.0.1", fault_server.port()), timeout=60) as connection:
        connection.sendall(b"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"[")
        time.sleep(0.02)
        connection.sendall(b"]")
        assert connection.recv(100).startswith(b"HTTP/1.1 201 Created\r\n")


def test_half_a_request_is_noted(fault_server: FaultServer) -> None:
    """A client that dies while it sends leaves an incomplete record, not an answered one."""
    fault_server.strict = False
    with socket.create_connection(("127.0.0.1", fault_server.port()), timeout=60) as connection:
        connection.sendall(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n[1")
    fault_server.wait_for("POST /a")
    (seen,) = fault_server.ledger()
    assert (seen.fault, seen.status, seen.body, seen.stored) == ("incomplete", None, b"[1", False)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"statsu": 200}], r"route 'POST /a', step 1: unknown key 'statsu': did you mean 'status'\?"),
        ([{}, {"fault": "explode"}], r"step 2: fault 'explode': expected one of double_gzip"),
        ([{"when": {"jsn": {}}}], r"step 1: condition \{'jsn': \{\}\}: expected a text or a mapping with keys of text"),
        ([{"retry_after": {"rfc999": 1}}], r"step 1: retry_after .*: expected one of imf, rfc850, asctime"),
        ([{"rate": 0}], r"step 1: rate 0: expected more than 0"),
        ([{"each": [{"statu": 1}]}], r"step 1: unknown key 'statu': did you mean 'status'\?"),
        ([{"times": "2"}], r"step 1: times='2': expected int"),
        ([{"delay": "2s"}], r"step 1: delay='2s': expected int or float or list"),
        ([{"when": {"count": 3}}], r"step 1: count 3: expected \[from, to\]"),
        ([], r"route 'POST /a' has no step"),
    ],
)
def test_a_wrong_step_is_named(fault_server: FaultServer, steps: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fault_server.route("POST /a", steps)


def test_a_wrong_route_store_or_origin_is_named(fault_server: FaultServer) -> None:
    with pytest.raises(ValueError, match="route '/a': expected a method and a path, such as 'POST /rows'"):
        fault_server.route("/a", [{}])
    with pytest.raises(ValueError, match="store option dedup=True: expected one of dedupe, header"):
        fault_server.route("POST /a", [{}], store={"dedup": True})
    with pytest.raises(ValueError, match="origin 'mars': expected one of main, other, tls"):
        fault_server.route("POST /a", [{}], origin="mars")
    with pytest.raises(TypeError, match="cannot be part of a route"):
        fault_server.route("POST /a", [{"body": object()}])
    # The control connection survived all that.
    fault_server.route("POST /a", [{}])


def test_a_refused_origin_comes_back_on_the_same_port(fault_server: FaultServer) -> None:
    """While refusing nothing listens, open connections are gone, and the other origin goes on."""
    fault_server.route("GET /a", [{}])
    with requests.Session() as session:
        assert session.get(fault_server.url_for("/a"), timeout=60).status_code == 200
        for _ in range(5):
            fault_server.listen("refuse")
            with pytest.raises(requests.ConnectionError):
                session.get(fault_server.url_for("/a"), timeout=60)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", fault_server.port()), timeout=60)
            assert requests.get(f"{fault_server.other_url}/a", timeout=60).status_code == 200
            fault_server.listen("accept")
            assert session.get(fault_server.url_for("/a"), timeout=60).status_code == 200


def test_a_step_can_take_the_origin_down_for_a_while(fault_server: FaultServer) -> None:
    """The third request brings the outage: reset, refused, and back on the same port by itself."""
    fault_server.route("GET /a", [{"times": 2}, {"fault": "refuse", "seconds": 0.2}, {"body": "back"}])
    fault_server.route("GET /b", [{"fault": "refuse", "seconds": 600}])
    url = fault_server.url_for("/a")
    with requests.Session() as session:
        assert [session.get(url, timeout=60).status_code for _ in range(2)] == [200, 200]
        began = time.monotonic()
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=60)

    def back() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(url, timeout=60).text == "back"
        return False

    eventually(back)
    assert time.monotonic() - began >= 0.19
    with pytest.raises(requests.ConnectionError):
        requests.get(fault_server.url_for("/b"), timeout=60)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", fault_server.port()), timeout=60)
    assert [e.fault for e in fault_server.ledger()] == [None, None, "refuse", None, "refuse"]


def test_a_body_that_is_not_what_its_headers_say_is_refused(fault_server: FaultServer) -> None:
    """A wrong Content-Encoding gets 400, is noted, and nothing is stored."""
    fault_server.strict = False
    fault_server.route("POST /rows", [{"status": 201}], store=True)
    answer = requests.post(fault_server.url_for("/rows"), data=b"x", headers={"Content-Encoding": "gzip"}, timeout=60)
    assert (answer.status_code, fault_server.stored("/rows")) == (400, [])
    (seen,) = fault_server.ledger()
    assert (seen.stored, str(seen.fault)[:39]) == (False, "malformed: Content-Encoding is gzip, th")
    fault_server.strict = True
    with pytest.raises(AssertionError, match="POST /rows on main: malformed: Content-Encoding is gzip"):
        fault_server.verify()
    fault_server.clear()


def test_a_server_cannot_be_sent_elsewhere(fault_server: FaultServer) -> None:
    with pytest.raises(TypeError, match=r"give `server\.url` to code that runs elsewhere"):
        pickle.dumps(fault_server)


def test_connections_can_be_reset_or_left_hanging_when_accepted(fault_server: FaultServer) -> None:
    """`times` counts connections, then the origin accepts again."""
    fault_server.route("GET /a", [{}])
    fault_server.listen("reset", times=2)
    states = [exchange_bytes(fault_server, get("/a"))[1] for _ in range(3)]
    assert states == ["reset", "reset", "open"]
    fault_server.listen("hang", times=1)
    assert exchange_bytes(fault_server, get("/a")) == (b"", "open")
    assert fault_server.count("/a") == 1
    with pytest.raises(ValueError, match="refused connections are never seen"):
        fault_server.listen("refuse", times=1)
    with pytest.raises(ValueError, match="mode 'explode': expected one of accept, refuse, reset, hang"):
        fault_server.listen("explode")  # type: ignore[arg-type]


def test_idle_connections_can_be_dropped(fault_server: FaultServer) -> None:
    fault_server.route("GET /a", [{}])
    with socket.create_connection(("127.0.0.1", fault_server.port()), timeout=60) as connection:
        connection.sendall(get("/a"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        fault_server.drop_connections()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_clear_forgets_what_happened_and_keeps_the_routes(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", [{"status": 503}, {"status": 201}], store=True)
    first = [post(fault_server, "/rows", 1).status_code for _ in range(2)]
    fault_server.expect("POST /never")
    fault_server.clear()
    assert (fault_server.ledger(), fault_server.stored("/rows")) == ([], [])
    assert [post(fault_server, "/rows", 2).status_code for _ in range(2)] == first == [503, 201]


def test_renew_gives_new_ports_and_ends_what_was_open(fault_server: FaultServer) -> None:
    """A hung request of before is reset, and shows up nowhere."""
    fault_server.route("GET /a", [{"fault": "hang"}])
    before = fault_server.url
    with socket.create_connection(("127.0.0.1", fault_server.port()), timeout=60) as connection:
        connection.sendall(get("/a"))
        fault_server.wait_for("GET /a")
        fault_server.renew()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert fault_server.url != before
    assert fault_server.stats() == {
        "requests": 0, "in_flight": 0, "max_in_flight": 0, "connections": 0, "open_connections": 0, "errors": [],
    }  # fmt: skip


def test_expectations_are_checked_at_the_end_with_all_that_is_wrong() -> None:
    """Too few, too many, and a route nobody declared stand in one message."""
    with pytest.raises(AssertionError) as raised, FaultServer(strict=True) as server:  # noqa: PT012 - the exit raises
        server.route("GET /a", [{"status": 500}, {}])
        server.expect("GET /a", times=3)
        server.expect("GET /a", at_most=1)
        server.expect("GET /a", at_least=1, status=200)
        server.expect("POST /token")
        server.expect("GET /a", status=404, at_least=2)
        for path in ("/a", "/a", "/b?key=secret"):
            requests.get(server.url_for(path), timeout=60)
        exchange_bytes(server, b"nonsense\r\n\r\n")
    assert str(raised.value).splitlines() == [
        "fault server:",
        "  expected 3 x GET /a, got 2",
        "  expected at most 1 x GET /a, got 2",
        "  expected 1 x POST /token, got 0",
        "  expected at least 2 x GET /a answered 404, got 0",
        "  undeclared GET /b on main: no such route",
        "  on main: malformed: request line 'nonsense'",
    ]


def test_an_error_of_the_test_is_not_hidden_by_an_expectation() -> None:
    with pytest.raises(ZeroDivisionError), FaultServer() as server:  # noqa: PT012 - what is raised, not where
        server.expect("GET /a")
        _ = 1 / 0


def test_many_requests_at_once_are_all_in_the_ledger(fault_server: FaultServer) -> None:
    """Eight connections, four hundred rows: every row stored once, none twice."""
    fault_server.route("POST /rows", [{"status": 201}], store=True)

    def send(first: int) -> None:
        with requests.Session() as session:
            for row in range(first, first + 50):
                session.post(fault_server.url_for("/rows"), json={"id": row}, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(0, 400, 50)))
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == list(range(400))
    assert fault_server.count("POST /rows", status=201) == len(fault_server.ledger()) == 400
    assert fault_server.stats()["connections"] == 8


def test_tls_is_verified_against_its_own_authority() -> None:
    """The listener's certificate is good for its CA and for nobody else."""
    with FaultServer(tls=True) as server:
        server.route("GET /a", [{"body": "safe"}, {"fault": "reset"}])
        url = f"{server.tls_url}/a"
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url, timeout=60)
        assert requests.get(url, timeout=60, verify=server.ca_file).text == "safe"
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=60, verify=server.ca_file)
        assert [(e.origin, e.fault) for e in server.ledger()] == [("tls", None), ("tls", "reset")]


def test_mutual_tls_wants_a_client_certificate() -> None:
    with FaultServer(tls="mutual") as server:
        server.route("GET /a", [{"body": "known"}])
        url, pair = f"{server.tls_url}/a", (server.client_cert_file, server.client_key_file)
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=60, verify=server.ca_file)
        assert requests.get(url, timeout=60, verify=server.ca_file, cert=pair).text == "known"


def test_a_server_without_tls_says_how_to_get_it(fault_server: FaultServer) -> None:
    with pytest.raises(RuntimeError, match="has no origin 'tls': pass tls=True"):
        _ = fault_server.tls_url
    with pytest.raises(RuntimeError, match="has no origin 'main': start the server"):
        _ = FaultServer().url


def test_the_server_ends_with_its_handle() -> None:
    with FaultServer() as server:
        pid = server.pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
    assert not server.alive


@pytest.mark.parametrize("forked", [False, True])
def test_the_server_dies_with_its_parent(forked: bool) -> None:
    """A killed test leaves nothing behind, not even when a child of it still holds the pipe open."""
    hold = "os.fork() or time.sleep(200);" if forked else ""
    script = (
        "import os, sys, time; from trunkline.testing import FaultServer; server = FaultServer(); server.start();"
        f"print(server.pid, flush=True); {hold} time.sleep(200)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    try:
        assert ends(server)
    finally:
        parent.stdout.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


def ends(process: psutil.Process, seconds: float = 60.0) -> bool:
    """Whether a process that is no child of ours ends; whoever inherited it may take its time to clear it away."""
    end = time.monotonic() + seconds
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
    return True


def test_a_server_that_died_is_reported_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match="the fault server does not run"), FaultServer() as server:  # noqa: PT012 - the exit raises
        os.kill(server.pid, signal.SIGKILL)
        while server.alive:
            time.sleep(0.01)


def test_the_control_port_wants_the_key(fault_server: FaultServer) -> None:
    """A stranger on the host gets the connection closed and no word."""
    assert fault_server._running is not None
    with socket.create_connection(("127.0.0.1", fault_server._running._control_port), timeout=60) as stranger:
        for frame in (b'{"key": "guess"}', b'{"command": "stats"}'):
            stranger.sendall(len(frame).to_bytes(4, "big") + frame)
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(100) == b""


def test_followed_requests_are_told_when_they_are_over(fault_server: FaultServer) -> None:
    """In the order they end, whole or broken, from the call on, and the ledger keeps its own order."""
    fault_server.route("GET /early", [{}])
    fault_server.route("GET /slow", [{"fault": "hang"}])
    fault_server.route("GET /reset", [{"fault": "reset"}])
    requests.get(fault_server.url_for("/early"), timeout=60)
    following = fault_server.follow()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.get, fault_server.url_for("/slow"), timeout=60)
        fault_server.wait_for("/slow")
        with pytest.raises(requests.ConnectionError):
            requests.get(fault_server.url_for("/reset"), timeout=60)
        requests.get(fault_server.url_for("/early"), timeout=60)
        fault_server.drop_connections()
        told = [(one.path, one.status, one.fault) for one in islice(following, 3)]
        assert isinstance(slow.exception(), requests.ConnectionError)
    assert told == [("/reset", None, "reset"), ("/early", 200, None), ("/slow", None, "hang")]
    assert [one.path for one in fault_server.ledger()] == ["/early", "/slow", "/reset", "/early"]


def test_who_follows_no_more_is_no_error(fault_server: FaultServer) -> None:
    """The server goes on, and `verify` finds nothing wrong in it."""
    fault_server.route("GET /a", [{}])
    following = fault_server.follow()
    requests.get(fault_server.url_for("/a"), timeout=60)
    assert next(following).path == "/a"
    del following
    for _ in range(5):
        requests.get(fault_server.url_for("/a"), timeout=60)
        time.sleep(0.02)
    fault_server.verify()
    assert fault_server.count("GET /a") == 6


def test_following_ends_with_the_server() -> None:
    with FaultServer() as server:
        following = server.follow()
    assert list(following) == []


def test_a_server_on_a_port_of_ones_choice_keeps_it() -> None:
    """Also when it is started again: an address that others know stays good."""
    with FaultServer() as server:
        port = server.port()
    for _ in range(2):
        with FaultServer(port=port) as server:
            server.route("GET /a", [{}])
            assert server.url == f"http://127.0.0.1:{port}"
            server.renew()
            assert server.port() == port
