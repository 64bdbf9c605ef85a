"""A real coordinator and real clients: what they send, by the server's ledger."""

from __future__ import annotations

import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
import urllib3
from pyspark.sql.types import LongType, StructType
from tests.measures import most_in_a_second, waited_for
from tests.rest.asking import ask, ids

import trunkline
from trunkline.coordination import coordinator as coordinators
from trunkline.coordination.channel import place_of
from trunkline.coordination.coordinator import Coordinator
from trunkline.coordination.leased_rate import LeasedRate
from trunkline.coordination.link import Link
from trunkline.coordination.links import link_to
from trunkline.errors import AuthError, OptionError
from trunkline.http.auth import Auth
from trunkline.http.cleaner import Cleaner
from trunkline.responses import Task
from trunkline.rest import delivery
from trunkline.rest.delivery import Delivery
from trunkline.rest.inference import inferred_schema
from trunkline.rest.options import write_options
from trunkline.rest.report import Report, conclude
from trunkline.rest.writer import RestBatchWriter
from trunkline.testing import FaultServer

SCHEMA = StructType().add("id", LongType())
CREATED = [{"status": 201}]


def oauth(server: FaultServer, **more: object) -> dict[str, Any]:
    return {
        "type": "oauth2", "tokenUrl": server.url_for("/token"), "clientId": "loader",
        "clientSecret": "s3cret-of-client", **more,
    }  # fmt: skip


def writer_to(server: FaultServer, c: Coordinator, **options: object) -> RestBatchWriter:
    given = {name.replace("__", "."): str(value) for name, value in options.items()}
    return RestBatchWriter({"url": server.url_for("/rows"), **c.options, **given}, SCHEMA)


def batch(rows: Sequence[int]) -> pa.RecordBatch:
    return pa.record_batch({"id": pa.array(rows, pa.int64())})


def deliver(writer: RestBatchWriter, partition: int, batches: Iterator[pa.RecordBatch]) -> Report:
    """One task."""
    task = Task(writer._plan.run_id, None, partition, partition)
    return Delivery(writer._plan, task, writer._plan.run_id).run(batches)


def deliver_all(
    writer: RestBatchWriter, tasks: int, rows: int, after_twenty: Callable[[], object] = lambda: None
) -> list[Report]:
    """Tasks side by side, each of so many rows; `after_twenty` is called before a task reads any of the others."""

    def batches(rows: range) -> Iterator[pa.RecordBatch]:
        yield batch(rows[:20])
        after_twenty()
        yield from (batch(rows[at : at + 20]) for at in range(20, len(rows), 20))

    with ThreadPoolExecutor(tasks) as pool:
        parts = [range(rows * task, rows * (task + 1)) for task in range(tasks)]
        return list(pool.map(lambda one: deliver(writer, one[0], batches(one[1])), enumerate(parts)))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each request was let go, on the clock that its task decided by: on a busy machine arrivals come in bunches,
    however evenly they were sent."""
    times: list[float] = []
    take = LeasedRate.take

    def noted(rate: LeasedRate, now: float, weight: int = 1) -> None:
        times.append(now)
        take(rate, now, weight)

    monkeypatch.setattr(LeasedRate, "take", noted)
    return times


def test_tasks_share_one_token_that_only_the_coordinator_fetches(fault_server: FaultServer) -> None:
    """Each goes on until the server has seen a second token, so that all of them work with both."""
    # The server takes a token for longer than it says: on a busy machine one may end on its way there.
    fault_server.oauth("/token", clients={"loader": "s3cret-of-client"}, expires_in=2, lifetime=2 + 5)
    fault_server.route("POST /rows", [{"bearer": "/token"}, {"status": 201}], store=True)
    given: list[int] = []

    def tokens() -> set[str]:
        return {one.headers["authorization"] for one in fault_server.ledger("POST /rows")}

    def rows_of(task: int) -> Iterator[pa.RecordBatch]:
        for row in count(task * 1_000_000):
            given.append(row)
            yield batch([row])
            if len(tokens()) >= 2:
                return

    began = time.monotonic()
    with Coordinator(host="127.0.0.1", auth=oauth(fault_server), rateLimit="60/s") as c:
        writer = writer_to(fault_server, c)
        assert b"s3cret-of-client" not in pickle.dumps(writer)
        with ThreadPoolExecutor(4) as pool:
            reports = list(pool.map(lambda task: deliver(writer, task, rows_of(task)), range(4)))
    seconds = time.monotonic() - began
    assert conclude(reports, None) is None
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == sorted(given)
    # A token of two seconds is renewed a fifth of its life before its end.
    assert len(tokens()) <= len(fault_server.ledger("POST /token")) <= 1 + seconds / 1.6


def test_a_token_that_many_requests_find_refused_is_renewed_once(fault_server: FaultServer) -> None:
    fault_server.oauth("/token", clients={"loader": "s3cret-of-client"}, max_uses=60)
    fault_server.route("POST /rows", [{"bearer": "/token"}, {"status": 201}], store=True)
    with Coordinator(host="127.0.0.1", auth=oauth(fault_server)) as c:
        reports = deliver_all(writer_to(fault_server, c), 4, 25)
    # 60 of at most 100 in flight are taken, and what is left is less than the next token is good for.
    assert conclude(reports, None) is None
    assert len(fault_server.stored("/rows")) == 100
    assert len(fault_server.ledger("POST /token")) == 2


@pytest.mark.parametrize("whose", ["coordinator", "options"])
def test_a_rate_holds_for_all_tasks_together(fault_server: FaultServer, taken: list[float], whose: str) -> None:
    """One that the coordinator was started with, or that the options name.

    Not shown here: that it is used up, because how much is sent in a second depends on the machine. tests/http/
    test_simulation.py shows it in virtual time; over real links only test_cluster.py does, which is slow.
    """
    fault_server.route("POST /rows", CREATED)
    with Coordinator(host="127.0.0.1", rateLimit="100/s" if whose == "coordinator" else None) as c:
        writer = writer_to(fault_server, c, **({"rateLimit": "100/s"} if whose == "options" else {}))
        began = time.monotonic()
        reports = deliver_all(writer, 4, 50)
        seconds = time.monotonic() - began
    assert conclude(reports, None) is None
    assert fault_server.count("POST /rows") == len(taken) == 200
    # The rate, what is leased (20) and gathers (15) in the periods before, and what a task decided by a late clock.
    assert most_in_a_second(taken) <= 100 + 20 + 15 + 10
    assert seconds >= (200 - 20 - 15) / 100


def test_progress_adds_up_what_all_tasks_did(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("POST /rows", [{"when": {"json": {"id": 7}}, "status": 422}, {"status": 201}])
    with Coordinator(host="127.0.0.1") as c:
        deliver_all(writer_to(fault_server, c, onError="deadLetter", maxFailedRows=5, responses=tmp_path), 2, 30)
        told = c.progress()
    assert (told.rows, told.accepted, told.rejected, told.requests) == (60, 59, 1, 60)
    assert (told.tasks_active, told.tasks_done) == (0, 2)
    assert 0.0 < told.p50 <= told.p95 <= told.p99 < 60.0


def test_a_failed_task_stops_its_siblings_through_the_coordinator(fault_server: FaultServer) -> None:
    with Coordinator(host="127.0.0.1") as c:
        place = place_of(write_options({"url": fault_server.url, **c.options}))
        assert place is not None
        first, second = Link(place), Link(place)
        assert not second.stopped("nonce")
        first.stop("nonce")
        assert waited_for(lambda: second.stopped("nonce"))


def test_nothing_is_served_without_the_key() -> None:
    with Coordinator(host="127.0.0.1", auth={"type": "bearer", "token": "t0ken"}) as c:
        url = c.options["coordinator.url"] + "/v1/sync"
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            answers = [
                requests.post(url, data=b"{}", headers=headers, verify=False, timeout=60)
                for headers in ({}, {"Authorization": "Bearer " + "0" * 64}, {"Authorization": "Basic x"})
            ]
    assert [(answer.status_code, answer.content) for answer in answers] == [(401, b"")] * 3


def test_a_body_that_is_too_large_or_no_call_is_refused() -> None:
    with Coordinator(host="127.0.0.1", rateLimit="10/s") as c:
        url = c.options["coordinator.url"] + "/v1/sync"
        key = {"Authorization": f"Bearer {c.options['coordinator.token']}"}
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            statuses = [
                requests.post(url, data=body, headers=key, verify=False, timeout=60).status_code
                for body in (b"x" * 2_000_000, b"no json", b"[]", b'{"worker": 1, "rates": {"": {}}}')
            ]
    assert statuses == [413, 400, 400, 400]


def test_another_certificate_than_the_one_pinned_gets_no_key(fault_server: FaultServer) -> None:
    with Coordinator(host="127.0.0.1") as c, pytest.raises(OptionError, match="another certificate"):
        writer_to(fault_server, c, coordinator__fingerprint="0" * 64)


def test_the_same_key_makes_the_same_certificate() -> None:
    token = "k" * 64
    first, second = (Coordinator(host="127.0.0.1", port=7077, token=token) for _ in range(2))
    assert first.options == second.options


def test_no_secret_prints() -> None:
    c = Coordinator(host="127.0.0.1", port=7077, auth={"type": "bearer", "token": "t0ken-of-api"})
    shown = f"{c!r} {c.options!r} {c._hub!r} {c._certificate!r}"
    assert c._token.reveal() not in shown
    assert "t0ken-of-api" not in shown
    assert "PRIVATE" not in shown


def test_two_logins_are_refused_with_one_sentence(fault_server: FaultServer) -> None:
    expected = r"rest: auth\.\* is given, and the coordinator logs in too \(auth\.type=bearer\): leave auth\.\* out"
    with (
        Coordinator(host="127.0.0.1", auth={"type": "bearer", "token": "t0ken"}) as c,
        pytest.raises(OptionError, match=expected),
    ):
        writer_to(fault_server, c, auth__type="bearer", auth__token="other")


def test_a_credential_that_is_refused_is_told_at_the_start(fault_server: FaultServer) -> None:
    fault_server.oauth("/token", clients={"loader": "another"})
    with pytest.raises(AuthError):
        Coordinator(host="127.0.0.1", auth=oauth(fault_server)).start()


def test_without_a_way_to_reach_it_none_is_started() -> None:
    with pytest.raises(OptionError, match="needs the session or a host"):
        trunkline.coordinator()
    with pytest.raises(OptionError, match=r"cannot listen on 203\.0\.113\.7"):
        Coordinator(host="203.0.113.7").start()


def test_where_it_cannot_listen_no_thread_stays(fault_server: FaultServer) -> None:
    fault_server.oauth("/token", clients={"loader": "s3cret-of-client"})
    with pytest.raises(OptionError, match="cannot listen"):
        Coordinator(host="203.0.113.7", auth=oauth(fault_server)).start()
    assert threads_of_coordinators() == []


def test_its_options_are_told_once_it_has_an_address() -> None:
    c = Coordinator(host="127.0.0.1")
    with pytest.raises(OptionError, match="has no address before it starts"):
        _ = c.options
    with c.start() as again:
        assert again is c
        assert not c.options["coordinator.url"].endswith(":0")
    with pytest.raises(OptionError, match="this coordinator was closed"):
        c.start()


def test_a_key_in_a_query_parameter_goes_on_after_a_refusal(fault_server: FaultServer) -> None:
    """Nothing can be renewed, and the rows must not wait for it until the deadline, which would fail them."""
    fault_server.route(
        "POST /rows", [{"status": 401, "when": {"count": [5, 5]}, "times": 1}, {"status": 201}], store=True
    )
    key = {"type": "apiKey", "token": "k3y", "name": "api_key", "in": "query"}
    with Coordinator(host="127.0.0.1", auth=key) as c:
        writer = writer_to(fault_server, c, deadline="60s")
        assert b"k3y" not in pickle.dumps(writer)
        [report] = deliver_all(writer, 1, 20)
    assert (report.failure, report.counts.accepted) == (None, 20)
    assert {tuple(one.query["api_key"]) for one in fault_server.ledger("POST /rows")} == {("k3y",)}


def test_a_login_that_is_refused_while_it_is_told_is_not_told_again(fault_server: FaultServer) -> None:
    """A worker that got the refused token a second time would take the row for refused."""
    fault_server.oauth("/token", clients={"loader": "s3cret-of-client"})
    c = Coordinator(host="127.0.0.1", auth=oauth(fault_server))
    c._log_in()
    refused = c._hub.login
    until = c._auth.until

    class RefusedMeanwhile:
        def headers(self) -> Any:
            headers = refused.headers
            c._refused(refused.number)
            return headers

        query: dict[str, str] = {}  # noqa: RUF012 - a stand-in for one moment

        def until(self) -> Any:
            return until()

        def expired(self, headers: Any) -> None:
            pass

    real, c._auth = c._auth, RefusedMeanwhile()  # type: ignore[assignment]
    c._log_in()
    assert c._hub.login.headers == {}
    c._auth = real


def test_tokens_are_hidden_however_many_there_were(fault_server: FaultServer) -> None:
    with Coordinator(host="127.0.0.1", auth={"type": "bearer", "token": "t0ken"}) as c:
        options = write_options({"url": fault_server.url, **c.options})
        auth = Auth.from_options(options)
        cleaner = Cleaner(options, auth)
        place = place_of(options)
        assert place is not None
        for number in range(30):
            told = {"number": number, "headers": {"Authorization": f"Bearer t0ken-{number:03}"}, "query": {}}
            link_to(place)._login.take({**told, "ends_in": None, "renews_in": None}, 0.0)
            assert "t0ken" not in cleaner.clean(f"refused: t0ken-{number:03}")


def test_request_tells_its_progress(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"when": {"path": "/users/7"}, "status": 404}, {"body": {"name": "Ann"}}])
    with Coordinator(host="127.0.0.1") as c:
        found = ask(
            fault_server, "/users/{id}", ids(range(20)), **{k.replace(".", "__"): v for k, v in c.options.items()}
        )
        told = c.progress()
    assert len(found) == 20
    assert (told.rows, told.accepted, told.rejected, told.requests) == (20, 19, 1, 20)
    assert (told.tasks_active, told.tasks_done) == (0, 1)
    assert told.p50 > 0.0


def test_tasks_outlive_their_coordinator_at_an_even_share_of_the_rate(
    fault_server: FaultServer, taken: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    c = Coordinator(host="127.0.0.1", rateLimit="50/s").start()
    writer = writer_to(fault_server, c)
    one_at_a_time = threading.Lock()

    def close() -> None:
        with one_at_a_time:
            fault_server.wait_for("POST /rows", 40, timeout=60)
            c.close()

    with caplog.at_level(logging.WARNING, "trunkline.coordinator"):
        reports = deliver_all(writer, 2, 70, after_twenty=close)
    assert conclude(reports, None) is None
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == list(range(140))
    assert len(taken) == 140
    # The rate, what is leased (10) and gathers (8) in the periods before, and what a task decided by a late clock.
    assert most_in_a_second(taken) <= 50 + 10 + 8 + 5
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "going on with 100% of the rate" in warnings[0]


def test_without_a_coordinator_that_has_the_token_tasks_wait_until_the_deadline(
    fault_server: FaultServer, taken: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And send nothing with a token that has ended, which this server takes for ever: no refusal would stop them."""
    monkeypatch.setattr(delivery, "_DRAIN_SECONDS", 120.0)
    fault_server.oauth("/token", clients={"loader": "s3cret-of-client"}, expires_in=2, lifetime=3600)
    fault_server.route("POST /rows", [{"bearer": "/token"}, {"status": 201}], store=True)
    c = Coordinator(host="127.0.0.1", auth=oauth(fault_server), rateLimit="30/s").start()
    writer = writer_to(fault_server, c, deadline="1s")
    place = place_of(writer._plan.options)
    assert place is not None

    came: list[bool] = []

    def close() -> None:
        # None comes where the machine stood still until the first token had ended: the task has failed by then.
        came.append(waited_for(lambda: fault_server.count("POST /rows"), 10.0))
        c.close()

    try:
        [report] = deliver_all(writer, 1, 300, after_twenty=close)
    finally:
        c.close()
    assert report.failure is not None
    assert report.counts.accepted > 0 or came == [False]
    assert "has gone, and the access token has ended" in report.failure.message
    assert report.counts.unsent == 300 - report.counts.accepted > 0
    assert fault_server.count("POST /rows") <= sum(at < link_to(place)._login.ends_at for at in taken)


@pytest.mark.slow
def test_a_coordinator_that_comes_back_with_the_same_key_goes_on(fault_server: FaultServer) -> None:
    """With tokens of its own: what is read after the last one of its predecessor has ended goes with none of those."""
    # The server takes a token for longer than it says: on a busy machine one may end on its way there.
    fault_server.oauth("/token", clients={"loader": "s3cret-of-client"}, expires_in=2, lifetime=2 + 5)
    fault_server.route("POST /rows", [{"bearer": "/token"}, {"status": 201}], store=True)
    first = Coordinator(host="127.0.0.1", auth=oauth(fault_server), rateLimit="40/s").start()
    running = [first]
    writer = writer_to(fault_server, first, deadline="60s")
    place = place_of(writer._plan.options)
    assert place is not None
    link = link_to(place)
    port = int(first.options["coordinator.url"].rpartition(":")[2])
    one_at_a_time = threading.Lock()
    before: list[str] = []

    def ended() -> bool:
        # A link that no task uses for long takes a rest.
        return (link._contact.lost or not link.active) and time.monotonic() > link._login.ends_at

    def replace() -> None:
        with one_at_a_time:
            if not before:
                fault_server.wait_for("POST /rows", 20)
                first.close()
                before.extend(fault_server.issued())
                assert waited_for(ended)
                again = Coordinator(
                    host="127.0.0.1", port=port, token=first._token, auth=oauth(fault_server), rateLimit="40/s"
                )
                running.append(again.start())

    try:
        reports = deliver_all(writer, 2, 60, after_twenty=replace)
    finally:
        for one in running:
            one.close()
    assert conclude(reports, None) is None
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == list(range(120))
    sent = fault_server.ledger("POST /rows")
    assert {one.status for one in sent} == {201}
    late = {one.headers["authorization"].removeprefix("Bearer ") for one in sent if one.json["id"] % 60 >= 20}
    assert late <= set(fault_server.issued()) - set(before)


def test_an_end_that_is_interrupted_ends_the_token_and_the_bar_too(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the server is waited for; nobody renews a token for ever."""

    def interrupted(patience: float) -> None:
        raise KeyboardInterrupt

    fault_server.oauth("/token", clients={"loader": "s3cret-of-client"})
    c = Coordinator(host="127.0.0.1", auth=oauth(fault_server), progress=True).start()
    assert len(threads_of_coordinators()) == 3
    assert c._server._thread is not None
    monkeypatch.setattr(c._server._thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        c.close()
    c.close()
    assert waited_for(lambda: not threads_of_coordinators())


def test_the_end_waits_for_the_bar_and_not_for_the_token_endpoint(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for either longer than a test may take."""
    monkeypatch.setattr(coordinators, "_BAR_PATIENCE", 3600.0)
    asked, answered = threading.Event(), threading.Event()

    def hanging(auth: Auth) -> dict[str, str]:
        asked.set()
        answered.wait()
        return {}

    fault_server.oauth("/token", clients={"loader": "s3cret-of-client"})
    c = Coordinator(host="127.0.0.1", auth=oauth(fault_server), progress=True).start()
    try:
        monkeypatch.setattr(Auth, "headers", hanging)
        assert asked.wait(60.0)
        c.close()
        assert threads_of_coordinators() == ["trunkline-coordinator-token"]
    finally:
        answered.set()
    assert waited_for(lambda: not threads_of_coordinators())


def threads_of_coordinators() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "trunkline-coordinator" in thread.name]


def test_a_login_may_be_written_with_or_without_its_prefix_and_is_a_dict() -> None:
    for prefix in ("", "auth."):
        Coordinator(
            host="127.0.0.1", auth={f"{prefix}type": "basic", f"{prefix}username": "u", f"{prefix}password": "p"}
        )
    with pytest.raises(OptionError, match="auth and options are dicts"):
        Coordinator(host="127.0.0.1", auth="bearer")  # type: ignore[arg-type]


def test_columns_are_not_inferred_without_the_coordinator(fault_server: FaultServer) -> None:
    """Told at once, as in a write: not after the deadline, in which the first page would have waited for it."""
    fault_server.dataset("GET /rows", count=3)
    c = Coordinator(host="127.0.0.1", rateLimit="50/s").start()
    options = {"url": fault_server.url_for("/rows"), **c.options}
    c.close()
    with pytest.raises(OptionError, match="the coordinator cannot be used"):
        inferred_schema(options)
    assert fault_server.count() == 0
