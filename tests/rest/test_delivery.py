"""One task's share of a write, driven without Spark: what it sends, what it reports, what the driver makes of it."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql.types import DoubleType, LongType, StringType, StructType
from tests.stores import store

from trunkline.coordination.progress import COUNTS
from trunkline.errors import OptionError, TrunklineError
from trunkline.http.auth import Auth
from trunkline.http.message import Exchange, Request
from trunkline.http.setup import open_client
from trunkline.http.verdict import Verdict
from trunkline.responses import Location, Task
from trunkline.rest.delivery import Delivery
from trunkline.rest.options import write_options
from trunkline.rest.report import Counts, Failure, Report, conclude
from trunkline.rest.stop import StopFlag
from trunkline.rest.writer import RestBatchWriter, RestCommitMessage
from trunkline.testing import FaultServer

CREATED = [{"status": 201}]
SCHEMA = StructType().add("id", LongType()).add("v", LongType())
Rows = list[tuple[int, int]]


def batch_of(rows: Rows) -> pa.RecordBatch:
    return pa.record_batch(
        {"id": pa.array([r[0] for r in rows], pa.int64()), "v": pa.array([r[1] for r in rows], pa.int64())}
    )


def writer_to(
    server: FaultServer, path: str = "/rows", schema: StructType = SCHEMA, **options: object
) -> RestBatchWriter:
    given = {name.replace("__", "."): str(value) for name, value in options.items()}
    return RestBatchWriter({"url": server.url_for(path), **given}, schema)


def deliver(writer: RestBatchWriter, batches: Iterable[pa.RecordBatch], partition: int = 0, attempt: int = 0) -> Report:
    task = Task(writer._plan.run_id, None, partition, attempt)
    return Delivery(writer._plan, task, writer._plan.run_id).run(iter(batches))


def logged(folder: Path) -> list[dict[str, Any]]:
    files = list(folder.rglob("*.parquet"))
    return [record for path in files for record in pq.ParquetFile(path).read().to_pylist()]


LOGIN = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<!DOCTYPE html><form>Sign in</form>"}


def test_a_login_page_is_no_acceptance(fault_server: FaultServer, tmp_path: Path) -> None:
    """A page of HTML with 200 took no row: it is of unknown outcome, and five in a row stop the task."""
    fault_server.route("POST /rows", [LOGIN])
    report = deliver(writer_to(fault_server), [batch_of([(1, 1)])])
    error = conclude([report], None)
    assert (report.counts.accepted, report.counts.ambiguous) == (0, 1)
    assert "may or may not have taken a row after 1 try: status 200, but a page of HTML: a login page" in str(error)
    writer = writer_to(fault_server, onError="deadLetter", responses=tmp_path, concurrency=1)
    report = deliver(writer, [batch_of([(i, i) for i in range(500)])])
    assert report.counts.ambiguous < 50
    assert "refused 5 times in a row (status 200, but a page of HTML" in str(conclude([report], None))
    form = writer_to(fault_server, body__type="form")
    assert deliver(form, [batch_of([(1, 1)])]).counts.accepted == 1


def test_tokens_for_a_few_requests_each_give_up_no_row(fault_server: FaultServer) -> None:
    """Though refusals overtake what was accepted; each row is taken once."""
    fault_server.oauth(clients={"c": "s"}, max_uses=4)
    refused = {"bearer": "/token", "status": 401, "headers": {"WWW-Authenticate": "Bearer"}}
    fault_server.route("POST /rows", [refused, {"status": 201, "delay": [0.0, 0.05]}], store=True)
    writer = writer_to(
        fault_server, concurrency=8, retry__maxAttempts=20, auth__type="oauth2", auth__clientId="c",
        auth__clientSecret="s", auth__tokenUrl=fault_server.url_for("/token"),
    )  # fmt: skip
    report = deliver(writer, [batch_of([(i, i) for i in range(120)])])
    assert conclude([report], None) is None
    assert sorted(row["id"] for row in fault_server.stored("/rows")) == list(range(120))
    assert fault_server.count("/token") <= 60


def test_what_a_write_counts_is_what_a_coordinator_adds_up() -> None:
    """A count that the coordinator does not know would vanish from progress and metrics without a word."""
    assert {one.name for one in fields(Counts)} <= set(COUNTS)


def test_the_entries_of_an_answer_with_a_byte_order_mark_are_read(fault_server: FaultServer) -> None:
    body = b'\xef\xbb\xbf[{"status": 201}, {"status": 409}]'.decode()
    fault_server.route("POST /rows", [{"status": 200, "body": body}])
    writer = writer_to(fault_server, batch__rows=2, results__path="$", results__ok="status")
    report = deliver(writer, [batch_of([(1, 1), (2, 2)])])
    assert (report.counts.accepted, report.counts.rejected) == (1, 1)


def test_every_row_read_is_counted(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", CREATED)
    report = deliver(writer_to(fault_server), [batch_of([(1, 1), (2, 2)]), batch_of([]), batch_of([(3, 3)])])
    assert (report.counts.rows, report.counts.accepted, report.counts.requests) == (3, 3, 3)
    assert conclude([report], None) is None


def test_no_row_is_lost_between_batches_that_are_put_together(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", CREATED, store=True)
    batches = [batch_of([(10 * i + j, 0) for j in range(i % 4)]) for i in range(40)]
    report = deliver(writer_to(fault_server, batch__rows=7), batches)
    assert report.counts.accepted == report.counts.rows == sum(map(len, batches))
    assert len({row["id"] for row in fault_server.stored("/rows")}) == report.counts.rows


def test_large_rows_are_not_held_back_to_fill_a_batch(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", CREATED)
    schema = StructType().add("text", StringType())
    text = pa.record_batch({"text": ["x" * 1_000_000] * 40})
    report = deliver(writer_to(fault_server, schema=schema, batch__rows=100_000, batch__bytes="2MB"), [text, text])
    assert report.counts.accepted == 80


def test_a_task_that_a_sibling_stopped_is_no_success_by_itself(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", CREATED)
    writer = writer_to(fault_server)
    StopFlag(writer._plan.nonce, None).set()
    report = deliver(writer, [batch_of([(1, 1)])])
    assert fault_server.count() == 0
    assert isinstance(conclude([report], None), TrunklineError)


def test_a_slow_task_that_a_sibling_stopped_is_no_success_either(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", CREATED)
    writer = writer_to(fault_server)
    delivery = Delivery(writer._plan, Task(writer._plan.run_id, None, 0, 0), writer._plan.run_id)

    def slow() -> Iterator[pa.RecordBatch]:
        StopFlag(writer._plan.nonce, None).set()
        until = time.monotonic() + 60
        while delivery._client.stopped is None and time.monotonic() < until:
            time.sleep(0.01)
        yield batch_of([(1, 1)])

    report = delivery.run(slow())
    assert fault_server.count() == 0
    assert report.failure is None
    assert isinstance(conclude([report], None), TrunklineError)


def test_a_repeated_task_sends_nothing_older_than_what_was_accepted(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("PUT /rows/{id}", [{"status": 200}], store={"key": "id", "version": "v"})
    writer = writer_to(
        fault_server,
        "/rows/{id}",
        method="PUT",
        bodyColumns="id,v",
        keyColumns="id",
        orderColumn="v",
        responses=tmp_path,
    )
    deliver(writer, [batch_of([(1, 2)])], attempt=0)
    for order in ([[(1, 2)], [(1, 1)]], [[(1, 1)], [(1, 2)]]):
        report = deliver(writer, [batch_of(rows) for rows in order], attempt=1)
        assert (report.counts.skipped, report.counts.superseded) == (1, 1)
    assert fault_server.overwrites("/rows/{id}") == []
    assert [sent.json for sent in fault_server.ledger()] == [{"id": 1, "v": 2}]


def test_a_superseded_row_stands_in_the_log(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("POST /rows", CREATED)
    writer = writer_to(fault_server, keyColumns="id", orderColumn="v", responses=tmp_path)
    report = deliver(writer, [batch_of([(1, 2)]), batch_of([(1, 1)])])
    assert conclude([report], None) is None
    assert [(r["outcome"], r["row"]) for r in logged(tmp_path) if r["outcome"] != "accepted"] == [
        ("superseded", '{"id":1,"v":1}')
    ]


def test_two_rows_never_travel_under_one_key_not_even_in_a_repeated_task(
    fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", CREATED, store={"dedupe": True})
    writer = writer_to(
        fault_server,
        keyColumns="id",
        idempotency__header="Idempotency-Key",
        onError="deadLetter",
        responses=tmp_path,
    )
    first = deliver(writer, [batch_of([(1, 1), (1, 2)])], attempt=0)
    again = deliver(writer, [batch_of([(1, 2)]), batch_of([(1, 1)])], attempt=1)
    assert (first.counts.accepted, first.counts.rejected) == (1, 1)
    assert (again.counts.accepted, again.counts.skipped, again.counts.rejected) == (0, 1, 1)
    assert fault_server.count() == 1


def test_many_bad_rows_are_found_in_many_batches(fault_server: FaultServer, tmp_path: Path) -> None:
    bad = {i * 250 + 17 for i in range(16)}
    steps = [{"when": {"text": f'"id":{i},'}, "status": 400} for i in sorted(bad)]
    fault_server.route("POST /rows", [*steps, {"status": 201}], store=True)
    writer = writer_to(fault_server, batch__rows=250, onError="deadLetter", responses=tmp_path)
    report = deliver(writer, [batch_of([(i, 0) for i in range(4000)])])
    assert report.counts.accepted == 4000 - 16
    assert {json.loads(r["row"])["id"] for r in logged(tmp_path) if r["outcome"] == "rejected"} == bad


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 409, 413, 422])
def test_a_refusal_fails_the_write_and_says_what_was_refused(fault_server: FaultServer, status: int) -> None:
    headers = {"Location": fault_server.other_url + "/rows"} if status < 400 else {}
    fault_server.route("POST /rows", [{"status": status, "headers": headers, "body": {"error": "no such thing"}}])
    error = conclude([deliver(writer_to(fault_server), [batch_of([(i, 0) for i in range(50)])])], None)
    assert type(error).__name__ == "RejectedError"
    assert f"POST {fault_server.url}/rows refused a row after 1 try: status {status}" in str(error)
    assert "no such thing" in str(error)
    assert fault_server.count(origin="other") == 0
    # No more than are in flight at first.
    assert fault_server.count() <= 4


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 302])
def test_with_dead_letters_a_server_that_refuses_all_leaves_every_row_in_the_log(
    fault_server: FaultServer, tmp_path: Path, status: int
) -> None:
    fault_server.route("POST /rows", [{"status": status}])
    writer = writer_to(fault_server, onError="deadLetter", responses=tmp_path)
    report = deliver(writer, [batch_of([(i, 0) for i in range(30)])])
    assert conclude([report], None) is None
    records = logged(tmp_path)
    assert sorted(json.loads(record["row"])["id"] for record in records) == list(range(30))
    assert {(record["outcome"], record["status_code"]) for record in records} == {("rejected", status)}


@pytest.mark.parametrize("status", [401, 403])
def test_a_credential_that_is_refused_at_once_is_an_auth_error(fault_server: FaultServer, status: int) -> None:
    fault_server.route("POST /rows", [{"status": status}])
    error = conclude([deliver(writer_to(fault_server), [batch_of([(i, 0) for i in range(50)])])], None)
    assert type(error).__name__ == "AuthError"
    assert re.search(rf"POST .* status {status}", str(error))


@pytest.mark.parametrize("status", [401, 403])
def test_one_refused_credential_fails_the_write_whatever_else_was_accepted(
    fault_server: FaultServer, tmp_path: Path, status: int
) -> None:
    fault_server.route("POST /rows", [{"when": {"json": {"id": 5}}, "status": status}, {"status": 201}])
    report = deliver(
        writer_to(fault_server, onError="deadLetter", responses=tmp_path), [batch_of([(i, 0) for i in range(20)])]
    )
    error = conclude([report], None)
    assert type(error).__name__ == "AuthError"
    assert f"status {status}" in str(error)


def test_at_most_once_does_not_repeat_a_row_that_the_answer_calls_500(
    fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"each": [{"when": {"json": {"id": 1}}, "status": 500}]}])
    writer = writer_to(
        fault_server,
        batch__rows=10,
        results__path="$",
        results__ok="status",
        delivery="atMostOnce",
        onError="deadLetter",
        responses=tmp_path,
    )
    report = deliver(writer, [batch_of([(0, 0), (1, 0)])])
    assert fault_server.count() == 1
    assert (report.counts.accepted, report.counts.ambiguous) == (1, 1)


def test_what_at_most_once_may_have_sent_is_not_sent_by_the_next_attempt(
    fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"fault": "reset_after_store"}, {"status": 201}], store=True)
    writer = writer_to(fault_server, delivery="atMostOnce", responses=tmp_path)
    deliver(writer, [batch_of([(1, 1)])], attempt=0)
    report = deliver(writer, [batch_of([(1, 1)])], attempt=1)
    assert fault_server.count() == 1
    assert "may have got 1 more rows accepted" in str(conclude([report], None))


def test_a_batch_whose_first_try_may_have_been_kept_is_not_split_under_new_keys(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", [{"fault": "reset_after_store"}, {"status": 400}], store={"dedupe": False})
    writer = writer_to(fault_server, batch__rows=4, idempotency__header="Idempotency-Key")
    report = deliver(writer, [batch_of([(i, 0) for i in range(4)])])
    assert Counter(row["id"] for row in fault_server.stored("/rows")) == Counter(range(4))
    assert report.counts.ambiguous == 4


def test_not_a_number_comes_back_from_the_log_as_what_it_was(fault_server: FaultServer, tmp_path: Path) -> None:
    schema = StructType().add("v", DoubleType())
    writer = writer_to(fault_server, schema=schema, onError="deadLetter", responses=tmp_path)
    deliver(writer, [pa.record_batch({"v": [float("nan"), float("-inf"), None]}).slice(0, 2)])
    assert sorted(record["row"] for record in logged(tmp_path)) == ['{"v":"-Infinity"}', '{"v":"NaN"}']
    assert fault_server.count() == 0


def test_a_long_answer_to_a_batch_is_logged_once(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("POST /rows", [{"status": 201, "body": "x" * 1_000_000}])
    writer = writer_to(fault_server, batch__rows=3000, responses=tmp_path, log__body="always")
    report = deliver(writer, [batch_of([(i, 0) for i in range(3000)])])
    assert report.counts.accepted == 3000
    assert sorted({len(r["response_body"] or "") for r in logged(tmp_path)}) == [0, 1_000_000]
    assert sum(1 for r in logged(tmp_path) if r["response_body"]) == 1


def test_what_went_wrong_is_told_even_when_the_summary_cannot_be_written(
    fault_server: FaultServer, tmp_path: Path
) -> None:
    fault_server.route("POST /rows", [{"status": 422}])
    (tmp_path / "_summary").write_text("a file where a folder must be")
    writer = writer_to(fault_server, responses=tmp_path)
    message = RestCommitMessage(deliver(writer, [batch_of([(1, 1)])]))
    with pytest.raises(TrunklineError, match="status 422"):
        writer.commit([message])


def test_a_bug_on_our_side_is_told_in_commit_and_not_raised_for_spark_to_repeat(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", CREATED)
    report = deliver(writer_to(fault_server), [pa.record_batch({"id": [1], "id2": [1]}).rename_columns(["id", "id"])])
    assert report.failure is not None
    assert report.failure.kind == "internal"


def test_lines_of_text_stay_one_row_each(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("POST /rows", CREATED)
    writer = writer_to(
        fault_server,
        schema=StructType().add("line", StringType()),
        body__type="text",
        batch__rows=5,
        batch__format="ndjson",
        onError="deadLetter",
        responses=tmp_path,
    )
    report = deliver(writer, [pa.record_batch({"line": ["a", "b\nc", "d"]})])
    assert fault_server.ledger()[0].body == b"a\nd\n"
    assert report.counts.rejected == 1


def test_a_header_of_the_users_takes_the_place_of_ours(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", CREATED)
    deliver(writer_to(fault_server, headers='{"user-agent": "mine"}'), [batch_of([(1, 1)])])
    assert fault_server.ledger()[0].headers["user-agent"] == "mine"


def test_options_that_would_keep_refused_rows_nowhere_are_refused(fault_server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="would keep the refused rows nowhere"):
        writer_to(fault_server, onError="deadLetter", responses=tmp_path, log__row="never")
    with pytest.raises(OptionError, match="responses holds a credential"):
        writer_to(fault_server, responses="s3://key:secret@bucket/log")


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([Report("r", None, 0, "n", Counts(rows=2, accepted=2))], None),
        ([Report("r", None, 0, "n", Counts(rows=2, accepted=1))], "not every row is accounted for"),
        ([Report("r", None, 0, "n", Counts(rows=1, accepted=1)), None], "1 of 2 tasks left no report"),
        ([Report("r", None, 0, "n", Counts(rows=1, rejected=1), dead_letters=True)], None),
        ([Report("r", None, 0, "n", Counts(rows=1, rejected=1), failure=Failure("rejected", "no"))], "no\n"),
    ],
)
def test_the_driver_concludes_from_the_reports(reports: list[Report | None], expected: str | None) -> None:
    error = conclude(reports, None)
    assert (error is None) if expected is None else (expected in str(error))


def test_sending_goes_on_while_a_slow_store_takes_its_time(
    fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first file is not finished before the server has five more requests than it was begun with."""
    fault_server.route("POST /rows", CREATED)
    went_on: list[bool] = []

    def slow(_: str) -> None:
        if not went_on:
            enough, until = fault_server.count() + 5, time.monotonic() + 60
            while fault_server.count() < enough and time.monotonic() < until:
                time.sleep(0.01)
            went_on.append(fault_server.count() >= enough)

    monkeypatch.setattr("trunkline.rest.delivery.locate", lambda _: Location(store(slow), str(tmp_path)))
    writer = writer_to(fault_server, responses=tmp_path, log__flush="100s,4000")
    report = deliver(writer, [batch_of([(i, 0) for i in range(5000)])])
    assert conclude([report], None) is None
    assert went_on == [True]
    assert [record["outcome"] for record in logged(tmp_path)] == ["accepted"] * 5000
    assert fault_server.count() == 5000


def test_sending_waits_for_a_store_that_does_not_keep_up(
    fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is sent than may be unwritten and in flight while the first file is not there."""
    fault_server.route("POST /rows", CREATED)
    counts: list[int] = []

    def stuck(_: str) -> None:
        if counts:
            return
        counts.append(0)
        until = time.monotonic() + 60
        while ((now := fault_server.count()) > counts[-1] or now < 80) and time.monotonic() < until:
            counts.append(now)
            time.sleep(0.3)

    monkeypatch.setattr("trunkline.rest.delivery.locate", lambda _: Location(store(stuck), str(tmp_path)))
    writer = writer_to(fault_server, responses=tmp_path, log__flush="100s,100", concurrency=8)
    report = deliver(writer, [batch_of([(i, 0) for i in range(1000)])])
    assert report.counts.accepted == 1000
    assert 80 <= counts[-1] <= 100 + 8


def test_a_store_that_refuses_stops_sending_and_fails_the_write(
    fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault_server.route("POST /rows", CREATED)

    def full(_: str) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("trunkline.rest.delivery.locate", lambda _: Location(store(full), str(tmp_path)))
    writer = writer_to(fault_server, responses=tmp_path, log__flush="100s,100", concurrency=8)
    report = deliver(writer, [batch_of([(i, 0) for i in range(5000)])])
    error = conclude([report], None)
    assert type(error).__name__ == "ResponseLogError"
    assert "no space left" in str(error)
    assert fault_server.count() <= 100 + 2 * 8


def test_a_pause_is_told_without_the_credential_that_the_server_repeats(
    fault_server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    options = write_options({"url": fault_server.url, "auth.type": "bearer", "auth.token": "tok-Zr81kQ0p"})
    client = open_client(options, Auth.from_options(options), {})
    request = Request("POST", fault_server.url)
    client.schedule.started(request, 0.0)
    refused = Verdict("retry", "status 503: no room for Bearer tok-Zr81kQ0p", throttled=True, unhealthy=True)
    client.schedule.finished(Exchange(request, 503), refused, 0.0)
    client._tell_pause(0.0, 10.0)
    client.close()
    assert [record.getMessage() for record in caplog.records] == ["waiting 10 s: status 503: no room for Bearer ***"]
