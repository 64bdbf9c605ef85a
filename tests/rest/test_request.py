"""`request()` for one partition, driven without Spark: what is sent, and that each row comes out once, answered."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql.types import ArrayType, DecimalType, IntegerType, LongType, StringType, StructType, TimestampType
from tests.rest.asking import answers, ask, asked, asking, ids, slowly

from trunkline.errors import AuthError, OptionError, RejectedError, ResponseError, UnavailableError
from trunkline.responses import locate
from trunkline.rest.asked import counted
from trunkline.rest.options import request_options
from trunkline.testing import FaultServer

OK = [{"body": {"name": "Ann"}}]
NAME = StructType().add("name", StringType())


def test_every_row_comes_out_with_its_columns_and_its_answer(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/1", [{"body": {"name": "Ann"}, "headers": {"X-Page": "1", "Set-Cookie": "a=b"}}])
    [row] = ask(fault_server, "/users/{id}", ids([1], note=["first"]))
    response = row.pop("response")
    assert row == {"id": 1, "note": "first"}
    assert dict(response["response_headers"])["x-page"] == "1"
    assert "set-cookie" not in dict(response["response_headers"])
    assert 0 <= response["elapsed_ms"] < 60_000
    assert abs(response["requested_at"].timestamp() - fault_server.ledger()[0].time) < 600
    told = {name: response[name] for name in ("status_code", "response_body", "outcome", "error", "attempts")}
    assert told == {
        "status_code": 200, "response_body": '{"name": "Ann"}', "outcome": "accepted", "error": None, "attempts": 1,
    }  # fmt: skip


def test_a_misspelt_field_of_the_schema_ends_the_query(fault_server: FaultServer) -> None:
    """A column of nulls is no answer: the error names the request, the field, and the one that was meant."""
    fault_server.route("GET /users/{id}", [{"body": {"userName": "Ann"}}])
    schema = StructType().add("user_name", StringType())
    with pytest.raises(ResponseError) as caught:
        ask(fault_server, "/users/{id}", ids([1]), schema=schema)
    assert str(caught.value) == (
        f"GET {fault_server.url_for('/users/1')}: no record has user_name, but userName, which the schema leaves out: "
        "did you mean userName? Correct the schema (names are told apart by case), or set missingFields=null if both "
        "may occur"
    )
    [row] = ask(fault_server, "/users/{id}", ids([1]), schema=schema, missingFields="null")
    assert (row["response"]["outcome"], row["response"]["response_body"]) == ("accepted", {"user_name": None})
    with pytest.raises(ResponseError, match=r"no record has \[\]\.user_name, but userName"):
        ask(fault_server, "/users/{id}", ids([1]), schema=schema, records="$")


def test_a_login_page_is_no_answer(fault_server: FaultServer, tmp_path: Path) -> None:
    """Where JSON was asked for, a page of HTML says nothing of the row, and is asked for again next time."""
    page = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>Sign in</html>"}
    fault_server.route("GET /users/{id}", [{**page, "times": 1}, {"body": {"name": "Ann"}}])
    options: dict[str, Any] = {"schema": NAME, "responses": str(tmp_path)}
    [row] = ask(fault_server, "/users/{id}", ids([1]), **options)
    assert row["response"]["outcome"] == "ambiguous"
    assert row["response"]["error"].startswith("status 200, but a page of HTML: a login page")
    [row] = ask(fault_server, "/users/{id}", ids([1]), **options)
    assert (row["response"]["outcome"], row["response"]["response_body"]) == ("accepted", {"name": "Ann"})
    [row] = ask(fault_server, "/users/{id}", ids([2]))
    assert row["response"]["outcome"] == "accepted"


def test_an_origin_that_is_not_there_is_told_once(fault_server: FaultServer) -> None:
    """What stopped the task and what became of its first row are the same: the text stands once."""
    fault_server.route("GET /users/{id}", [{"fault": "reset"}])
    with pytest.raises(UnavailableError) as caught:
        ask(fault_server, "/users/{id}", ids([1, 2]), deadline="1s", retry__maxDelay="50ms")
    assert str(caught.value).count("no good answer for") == 1
    assert str(caught.value).endswith(". Ask again later.")
    assert fault_server.url_for("/users/") in str(caught.value)


def test_each_row_gets_the_answer_to_its_own_request(fault_server: FaultServer) -> None:
    """Under faults of every kind, each row comes out once: 429, 503, resets, 400s."""
    fault_server.route(
        "POST /lookup",
        [
            {"when": {"json": {"id": {"mod": [50, 7]}}}, "status": 400, "body": "bad id"},
            {"probability": 0.02, "seed": 1, "status": 429, "retry_after": 0},
            {"probability": 0.02, "seed": 2, "status": 503},
            {"probability": 0.02, "seed": 3, "fault": "reset"},
            {"each": [{}]},
        ],
    )
    batches = [ids(range(i, i + 73)) for i in range(0, 292, 73)]
    rows = ask(
        fault_server, "/lookup", batches, method="POST", repeatable=True, retry__maxAttempts=20, retry__maxDelay="20ms"
    )
    assert [row["id"] for row in sorted(rows, key=lambda row: row["id"])] == list(range(292))
    for row in rows:
        response = row["response"]
        if row["id"] % 50 == 7:
            assert (response["outcome"], response["error"]) == ("rejected", "status 400: bad id")
        else:
            assert json.loads(response["response_body"])[0]["id"] == row["id"]


def test_a_plain_404_is_a_row(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"when": {"path": "/users/2"}, "status": 404, "body": "no such user"}, *OK])
    rows = ask(fault_server, "/users/{id}", ids([1, 2]), schema=NAME)
    assert answers(rows, "status_code", "outcome", "error", "response_body") == [
        (1, 200, "accepted", None, {"name": "Ann"}),
        (2, 404, "rejected", "status 404: no such user", None),
    ]


def test_a_row_that_cannot_be_sent_says_why(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", OK)
    rows = ask(fault_server, "/users/{id}", ids([1, None]))
    assert answers(rows, "outcome", "error", "attempts", "status_code") == [
        (1, "accepted", None, 1, 200),
        (None, "rejected", "not sent: column id is null, and the url needs it", 0, None),
    ]
    assert fault_server.count() == 1


def test_a_row_given_up_after_retries_says_so(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"when": {"path": "/users/2"}, "status": 500}, *OK])
    options: dict[str, Any] = {"retry__maxAttempts": 3, "retry__maxDelay": "10ms"}
    rows = ask(fault_server, "/users/{id}", ids([2, *range(100, 160)]), **options)
    assert answers(rows, "outcome", "attempts", "error")[0] == (2, "exhausted", 3, "status 500")


def test_on_error_fail_raises_at_the_first_refused_row(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"when": {"path": "/users/2"}, "status": 404, "body": "no such user"}, *OK])
    with pytest.raises(RejectedError, match=r"GET http://127.0.0.1:\d+/users/2 after 1 try: status 404: no such user"):
        ask(fault_server, "/users/{id}", ids([1, 2, 3]), onError="fail")


def test_a_refused_credential_raises(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"status": 401, "body": "who are you"}])
    options: dict[str, Any] = {"auth__type": "bearer", "auth__token": "very-secret", "concurrency": 1}
    for rows in (200, 2):
        with pytest.raises(AuthError, match="who are you") as raised:
            ask(fault_server, "/users/{id}", ids(range(rows)), **options)
        assert "very-secret" not in str(raised.value)
    assert fault_server.count() == 5 + 2


def test_an_origin_that_cannot_be_reached_raises(fault_server: FaultServer) -> None:
    fault_server.listen("refuse")
    with pytest.raises(UnavailableError, match="no good answer"):
        ask(fault_server, "/users/{id}", ids([1]), deadline="300ms", retry__maxDelay="10ms")


def test_what_the_source_of_the_rows_raises_comes_through(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", OK)

    def rows() -> Any:
        yield ids([1])
        message = "the file is gone"
        raise OSError(message)

    with pytest.raises(OSError, match="the file is gone"):
        list(asking(fault_server, "/users/{id}").run(rows()))


def test_bodies_are_parsed_by_the_schema(fault_server: FaultServer) -> None:
    body = {"id": 9007199254740993, "price": "12.50", "at": "2026-01-02T03:04:05+01:00", "extra": [1]}
    fault_server.route("GET /things/{id}", [{"body": body}])
    kind = StructType().add("id", LongType()).add("price", DecimalType(6, 2)).add("at", TimestampType())
    [row] = ask(fault_server, "/things/{id}", ids([1]), schema=kind)
    told = row["response"]["response_body"]
    assert (told["id"], str(told["price"]), told["at"].isoformat()) == (
        9007199254740993, "12.50", "2026-01-02T02:04:05+00:00",
    )  # fmt: skip


def test_a_body_may_be_an_array_or_a_single_value(fault_server: FaultServer) -> None:
    fault_server.route("GET /list/{id}", [{"body": [{"name": "Ann"}, {"name": "Bob"}]}])
    fault_server.route("GET /count/{id}", [{"body": "7"}])
    [row] = ask(fault_server, "/list/{id}", ids([1]), schema=ArrayType(NAME))
    assert row["response"]["response_body"] == [{"name": "Ann"}, {"name": "Bob"}]
    [row] = ask(fault_server, "/count/{id}", ids([1]), schema=IntegerType())
    assert row["response"]["response_body"] == 7


def test_a_body_that_does_not_fit_says_so_in_its_row(fault_server: FaultServer) -> None:
    steps: list[dict[str, Any]] = [
        {"when": {"path": "/1"}, "body": {"name": "Ann", "age": "old"}},
        {"when": {"path": "/2"}, "body": "<html>"},
        {"when": {"path": "/3"}, "body": '{"name": "x"},"value":{"name": "y"}'},
        {"when": {"path": "/4"}, "status": 204},
        {"body": {"name": "Bob", "age": 7}},
    ]
    fault_server.route("GET /{id}", steps)
    kind = StructType().add("name", StringType()).add("age", IntegerType()).add("_corrupt_record", StringType())
    rows = ask(fault_server, "/{id}", ids([1, 2, 3, 4, 5]), schema=kind)
    told = answers(rows, "outcome", "response_body", "error")
    expected: list[tuple[str, Any]] = [
        ("malformed", {"name": "Ann", "age": None, "_corrupt_record": '{"name": "Ann", "age": "old"}'}),
        ("malformed", {"name": None, "age": None, "_corrupt_record": "<html>"}),
        ("malformed", {"name": None, "age": None, "_corrupt_record": '{"name": "x"},"value":{"name": "y"}'}),
        ("accepted", None),
        ("accepted", {"name": "Bob", "age": 7, "_corrupt_record": None}),
    ]
    assert [(one[1], one[2]) for one in told] == expected
    assert told[0][3] == 'the body does not fit the schema: age must be INT, found "old"'


def test_failfast_raises_where_a_body_does_not_fit(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", [{"body": {"name": "Ann", "age": "old"}}])
    kind = StructType().add("age", IntegerType())
    with pytest.raises(
        ResponseError, match=r"GET http://127.0.0.1:\d+/users/7: the body does not fit .*age must be INT"
    ):
        ask(fault_server, "/users/{id}", ids([7]), schema=kind, mode="FAILFAST")


def test_equal_requests_are_asked_once(fault_server: FaultServer) -> None:
    """Also while the first is in flight; a request is its method, URL, headers and body, not its row."""
    fault_server.route("GET /users/{id}", [{"delay": 0.05, "body": "x"}])
    batches = [ids([i % 3 for i in range(250)], note=[str(i) for i in range(250)]) for _ in range(2)]
    rows = ask(fault_server, "/users/{id}", batches)
    assert Counter(row["response"]["response_body"] for row in rows) == {"x": 500}
    assert asked(fault_server) == ["GET /users/0", "GET /users/1", "GET /users/2"]


def test_requests_that_differ_in_a_header_only_are_two(fault_server: FaultServer) -> None:
    fault_server.route("GET /users", OK)
    ask(fault_server, "/users", ids([1, 1], lang=["de", "fr"]), headers={"Accept-Language": "{lang}"})
    assert sorted(one.headers["accept-language"] for one in fault_server.ledger()) == ["de", "fr"]


def test_what_changes_something_is_asked_once_for_each_row(fault_server: FaultServer, tmp_path: Path) -> None:
    """Rows are told apart by all of their columns; `repeatable=true` tells requests apart instead."""
    fault_server.route("POST /users", [{"status": 201}])
    batch = ids([1, 1, 1], note=["a", "b", "c"])
    options: dict[str, Any] = {"method": "POST", "bodyColumns": "id"}
    ask(fault_server, "/users", batch, **options, responses=str(tmp_path))
    assert fault_server.count() == 3
    ask(fault_server, "/users", batch, **options, repeatable=True)
    assert fault_server.count() == 4


def test_remembered_answers_stay_within_their_bound(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.rest.shared_answers._MOST_REMEMBERED", 5_000)
    fault_server.route("GET /users/{id}", [{"body": "x" * 1000}])
    batches = [ids([1]), ids(range(100, 140)), ids([139]), ids([1])]
    ask(fault_server, "/users/{id}", batches, concurrency=1)
    assert Counter(asked(fault_server))["GET /users/1"] == 2
    assert Counter(asked(fault_server))["GET /users/139"] == 1


def test_rows_keep_their_order_where_asked_to(fault_server: FaultServer) -> None:
    slow = {"when": {"path": "/users/03"}, "body": "x"}
    batch = pa.record_batch({"id": [f"{i:02}" if i < 10 else str(i) for i in range(500)]})
    there = batch.column(0).to_pylist()
    fault_server.route("GET /users/{id}", [{**slow, "delay": 0.5}, *OK])
    assert [row["id"] for row in ask(fault_server, "/users/{id}", batch, keepOrder=True)] == there
    fault_server.route("GET /users/{id}", [{**slow, "delay": 50}, *OK])
    found = asking(fault_server, "/users/{id}").run(iter([batch]))
    assert "03" not in next(found).column("id").to_pylist()
    found.close()


def test_memory_is_flat_while_one_row_is_slow(fault_server: FaultServer) -> None:
    """No more than 64 parts of a hundred rows are under way, so the source is not read on."""
    fault_server.route("GET /users/{id}", [{"when": {"path": "/users/0"}, "delay": 2.0, "body": "x"}, *OK])
    taken: list[int] = []
    batches = slowly((ids(range(i, i + 500)) for i in range(0, 30_000, 500)), taken)
    found = asking(fault_server, "/users/{id}", keepOrder=True, maxRequests=3000).run(batches)
    next(found)
    assert sum(taken) < 9_000
    found.close()


def test_whoever_wants_few_rows_asks_for_few(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", OK)
    found = asking(fault_server, "/users/{id}").run(iter([ids(range(25_000))]))
    assert len(next(found)) == 100
    seen = 0
    while seen < (asked := fault_server.count()) < 1000:
        seen = asked
        time.sleep(0.2)
    # It has come to rest: two parts wait to be taken, and others were on their way when those came.
    assert asked < 1000
    found.close()


def test_max_requests_bounds_a_try(fault_server: FaultServer) -> None:
    fault_server.route("GET /users/{id}", OK)
    rows = ask(fault_server, "/users/{id}", [ids(range(300)), ids([0, 1])], maxRequests=10)
    told = answers(rows, "outcome", "error")
    assert Counter(one[1] for one in told) == {"accepted": 12, "unsent": 290}
    assert {one[2] for one in told if one[1] == "unsent"} == {"not sent: this task has sent maxRequests=10 requests"}
    assert fault_server.count() == 10


def test_what_is_logged_is_not_asked_again(fault_server: FaultServer, tmp_path: Path) -> None:
    """By no later evaluation of the run, whatever its partitions; and the rows are the same."""
    fault_server.route("GET /users/{id}", [{"when": {"path": "/users/7"}, "status": 404, "body": "none"}, *OK])
    options: dict[str, Any] = {"responses": str(tmp_path), "schema": NAME}
    first = ask(fault_server, "/users/{id}", ids(range(150)), partition=0, **options)
    first += ask(fault_server, "/users/{id}", ids(range(150, 300)), partition=1, **options)
    assert fault_server.count() == 300
    again = ask(fault_server, "/users/{id}", [ids(range(200, 300)), ids(range(200))], partition=0, **options)
    assert fault_server.count() == 300
    assert sorted(again, key=lambda row: row["id"]) == sorted(first, key=lambda row: row["id"])


def test_another_run_asks_anew(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("GET /users/{id}", OK)
    for run in ("one", "two"):
        ask(fault_server, "/users/{id}", ids([1]), run=run, responses=str(tmp_path))
    assert fault_server.count() == 2


def test_a_repeated_task_asks_only_for_the_rest(fault_server: FaultServer, tmp_path: Path) -> None:
    """An attempt that ended in the middle keeps what it was answered."""
    fault_server.route("POST /users", [{"status": 201}], store=True)
    options: dict[str, Any] = {
        "method": "POST", "responses": str(tmp_path), "log__flush": "20ms,10", "concurrency": 20,
    }  # fmt: skip
    found = asking(fault_server, "/users", **options).run(iter([ids(range(1000))]))
    next(found)
    found.close()
    before = fault_server.count()
    assert before < 1000
    rows = ask(fault_server, "/users", ids(range(1000)), attempt=1, **options)
    assert {one[1] for one in answers(rows, "outcome")} == {"accepted"}
    times = Counter(row["id"] for row in fault_server.stored("/users"))
    assert set(times) == set(range(1000))
    # What was in flight when the attempt was cut off may be asked again, and nothing else.
    assert sum(times.values()) - 1000 < 100


def test_what_was_given_up_or_lacked_its_credential_is_asked_again(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("GET /users/1", [{"status": 500, "times": 2}, *OK])
    fault_server.route("GET /users/2", [{"status": 403, "times": 1}, *OK])
    fault_server.route("GET /users/{id}", OK)
    options: dict[str, Any] = {"responses": str(tmp_path), "retry__maxAttempts": 2, "retry__maxDelay": "10ms"}
    batch = ids([1, 2, *range(100, 140)])
    assert answers(ask(fault_server, "/users/{id}", batch, **options), "outcome")[:2] == [
        (1, "exhausted"),
        (2, "rejected"),
    ]
    before = fault_server.count()
    assert {one[1] for one in answers(ask(fault_server, "/users/{id}", batch, **options), "outcome")} == {"accepted"}
    assert fault_server.count() == before + 2


def test_a_micro_batch_that_is_replayed_asks_only_for_the_rest(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("GET /users/{id}", OK)
    for batch in (0, 0, 1):
        ask(fault_server, "/users/{id}", ids(range(20)), batch=batch, responses=str(tmp_path))
    assert fault_server.count() == 40


def test_the_log_holds_every_row_and_each_answer_once(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("GET /users/{id}", OK)
    ask(fault_server, "/users/{id}", ids([1, 1, 2], n=["a", "b", "c"]), responses=str(tmp_path))
    records = [row for file in tmp_path.rglob("*.parquet") for row in pq.ParquetFile(file).read().to_pylist()]
    assert Counter(record["request_id"] for record in records).most_common() == [
        (records[0]["request_id"], 2), (next(r["request_id"] for r in records if r["url"].endswith("2")), 1),
    ]  # fmt: skip
    assert sorted(record["response_body"] or "" for record in records) == ["", '{"name": "Ann"}', '{"name": "Ann"}']
    assert len({record["row_digest"] for record in records}) == 3


def test_secrets_are_in_neither_rows_nor_log(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("GET /users/{id}", [{"body": "you are very-secret", "headers": {"X-Echo": "very-secret"}}])
    options: dict[str, Any] = {"auth__type": "bearer", "auth__token": "very-secret", "responses": str(tmp_path)}
    rows = ask(fault_server, "/users/{id}", ids([1]), **options)
    assert fault_server.ledger()[0].headers["authorization"] == "Bearer very-secret"
    assert "very-secret" not in repr(rows)
    assert all(b"very-secret" not in file.read_bytes() for file in tmp_path.rglob("*.parquet"))


def test_an_idempotency_key_is_that_of_the_row_in_every_evaluation(fault_server: FaultServer) -> None:
    fault_server.route("POST /users", [{"status": 201}])
    options: dict[str, Any] = {"method": "POST", "idempotency__header": "Idempotency-Key"}
    for partition in (0, 1):
        ask(fault_server, "/users", ids([1, 2]), partition=partition, **options)
    keys = [(one.body, one.headers["idempotency-key"]) for one in fault_server.ledger()]
    assert len(keys) == 4
    assert len(set(keys)) == len({key for _, key in keys}) == 2


def test_an_equal_row_of_another_micro_batch_has_a_key_of_its_own(fault_server: FaultServer) -> None:
    """Or the server would take it for a repetition; a replay of its own micro-batch is one."""
    fault_server.route("POST /users", [{"status": 201}])
    for batch in (0, 1, 1):
        ask(fault_server, "/users", ids([1]), batch=batch, method="POST", idempotency__header="Idempotency-Key")
    first, second, replayed = [one.headers["idempotency-key"] for one in fault_server.ledger()]
    assert (first != second, second == replayed) == (True, True)


def test_one_secret_or_broken_byte_among_many_answers_is_found(fault_server: FaultServer) -> None:
    """In plain, in Base64 and in a header; answers beside it stay as they are."""
    token = "very-secret-token"
    fault_server.route("GET /1", [{"body": f"a {token} b"}])
    fault_server.route("GET /2", [{"body": f"c {base64.b64encode(token.encode()).decode()} d"}])
    fault_server.route("GET /3", [{"body": "e", "headers": {"X-Echo": f"Bearer {token}"}}])
    fault_server.route("GET /{id}", [{"body": "{id} fine \u00fc"}])
    rows = ask(fault_server, "/{id}", ids(range(60)), auth__type="bearer", auth__token=token, keepOrder=True)
    bodies = [row["response"]["response_body"] for row in rows]
    assert bodies[1:4] == ["a *** b", "c *** d", "e"]
    assert dict(rows[3]["response"]["response_headers"])["x-echo"] == "Bearer ***"
    assert set(bodies[4:]) == {"{id} fine \u00fc"}


def test_pages_that_break_are_counted_in_the_summary_of_a_run(fault_server: FaultServer, tmp_path: Path) -> None:
    fault_server.route("GET /1", [{"body": "<html>"}])
    fault_server.route("GET /{id}", [{"body": {"items": [1]}}])
    ask(fault_server, "/{id}", ids(range(3)), records="items", responses=str(tmp_path))
    told = counted(locate(str(tmp_path)), {"run_id": "run", "batch_id": None, "finished_at": ""})
    assert {name: told[name] for name in ("rows", "accepted", "malformed", "rejected")} == {
        "rows": 3, "accepted": 2, "malformed": 1, "rejected": 0,
    }  # fmt: skip


@pytest.mark.parametrize("cure", [{"responses": "/tmp/log"}, {"idempotency.header": "Key"}, {"repeatable": "true"}])
def test_what_may_change_something_names_three_cures(cure: dict[str, str]) -> None:
    given: dict[str, Any] = {"url": "https://api.example.com/users", "method": "POST"}
    with pytest.raises(OptionError) as raised:
        request_options(given)
    assert next(iter(cure)) in str(raised.value)
    assert request_options(given | cure)["method"] == "POST"


def test_options_of_reads_and_writes_are_refused_by_name() -> None:
    given: dict[str, Any] = {"url": "https://api.example.com/users", "maxRows": 1, "maxFailedRows": 3, "retries": 3}
    with pytest.raises(OptionError) as raised:
        request_options(given)
    assert raised.value.problems == (
        "retries is unknown: did you mean retry.maxAttempts?",
        "maxRows is for reading, not for request()",
        "maxFailedRows is for writing, not for request()",
    )


def test_a_partition_without_rows_asks_nothing(fault_server: FaultServer) -> None:
    assert ask(fault_server, "/users/{id}", []) == []
    assert ask(fault_server, "/users/{id}", [pa.record_batch({"id": pa.array([], pa.int64())})]) == []
