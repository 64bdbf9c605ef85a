"""`request()` with several rows in a request: entries, halves, and rows that are asked for again alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import LongType, StringType, StructType
from tests.rest.asking import answers, ask, ids

from trunkline.testing import FaultServer

NAME = StructType().add("name", StringType())
BATCHED = {"method": "POST", "repeatable": True, "batch__rows": 10, "results__path": "items"}


def test_rows_of_one_request_get_their_entries_by_position(fault_server: FaultServer) -> None:
    fault_server.route("POST /bulk", [{"each": [{}], "wrap": "items"}])
    rows = ask(fault_server, "/bulk", ids(range(35)), schema=StructType().add("id", LongType()), **BATCHED)
    assert answers(rows, "response_body", "outcome") == [(i, {"id": i}, "accepted") for i in range(35)]
    assert fault_server.count() == 4


def test_rows_of_one_request_get_their_entries_by_id(fault_server: FaultServer) -> None:
    entries = [{"id": 2, "name": "Bob"}, {"id": 1, "name": "Ann"}]
    fault_server.route("POST /bulk", [{"body": {"items": entries}}])
    rows = ask(fault_server, "/bulk", ids([1, 2]), schema=NAME, **BATCHED, results__id="id")
    assert answers(rows, "response_body") == [(1, {"name": "Ann"}), (2, {"name": "Bob"})]


def test_entries_that_do_not_fit_the_rows_are_ambiguous(fault_server: FaultServer) -> None:
    fault_server.route("POST /bulk", [{"body": {"items": [1]}}])
    rows = ask(fault_server, "/bulk", ids([1, 2]), **BATCHED)
    assert {one[1:] for one in answers(rows, "outcome", "error")} == {
        ("ambiguous", 'the answer to the batch has 1 results at items for 2 rows: {"items": [1]}')
    }


def test_an_entry_may_be_refused(fault_server: FaultServer) -> None:
    step = {"each": [{"when": {"json": {"id": 1}}, "status": 404, "error": "none"}], "wrap": "items"}
    fault_server.route("POST /bulk", [step])
    rows = ask(fault_server, "/bulk", ids([0, 1]), **BATCHED, results__ok="status", results__error="error")
    assert answers(rows, "outcome", "status_code") == [(0, "accepted", 200), (1, "rejected", 404)]


def test_a_refused_batch_is_asked_again_in_halves(fault_server: FaultServer) -> None:
    fault_server.route("POST /bulk", [
        {"when": {"json": {"id": 3}}, "status": 400, "body": "bad id"}, {"each": [{}], "wrap": "items"},
    ])  # fmt: skip
    rows = ask(fault_server, "/bulk", ids(range(8)), **BATCHED)
    assert [one[1] for one in answers(rows, "outcome")] == ["rejected" if i == 3 else "accepted" for i in range(8)]


def test_rows_of_batches_are_known_to_the_log_one_by_one(fault_server: FaultServer, tmp_path: Path) -> None:
    """So other batches may be made of what is left, by another evaluation."""
    fault_server.route("POST /bulk", [{"each": [{}], "wrap": "items"}])
    options: dict[str, Any] = {**BATCHED, "repeatable": False, "responses": str(tmp_path)}
    ask(fault_server, "/bulk", ids(range(10)), **options)
    rows = ask(fault_server, "/bulk", ids(range(5, 20)), partition=1, **options)
    assert [json.loads(one[1])["id"] for one in answers(rows, "response_body")] == list(range(5, 20))
    sent = [row["id"] for one in fault_server.ledger() for row in json.loads(one.body)]
    assert sorted(sent) == list(range(20))


def sent_ids(server: FaultServer) -> list[list[int]]:
    """The ids of each request, in order of time."""
    return [[row["id"] for row in json.loads(one.body)] for one in server.ledger()]


def test_rows_whose_entries_say_later_are_asked_for_again_alone(fault_server: FaultServer) -> None:
    slow = {"when": {"json": {"id": {"in": [1, 3]}}}, "times": 2, "status": 429, "error": "slow"}
    fault_server.route("POST /bulk", [{"each": [slow, {}], "wrap": "items"}])
    options: dict[str, Any] = {**BATCHED, "results__ok": "status", "results__error": "error"}
    rows = ask(fault_server, "/bulk", ids(range(5)), **options)
    assert answers(rows, "outcome", "status_code") == [(i, "accepted", 200) for i in range(5)]
    assert sent_ids(fault_server) == [[0, 1, 2, 3, 4], [1, 3]]


def test_rows_whose_entries_always_say_later_are_given_up(fault_server: FaultServer, tmp_path: Path) -> None:
    """After `retry.maxAttempts` tries; and are asked for anew by the next evaluation."""
    slow = {"when": {"json": {"id": 1}}, "status": 429, "error": "slow"}
    fault_server.route("POST /bulk", [{"each": [slow, {}], "wrap": "items"}])
    options: dict[str, Any] = {
        **BATCHED, "results__ok": "status", "results__error": "error", "retry__maxAttempts": 3,
        "retry__maxDelay": "10ms", "repeatable": False, "responses": str(tmp_path),
    }  # fmt: skip
    for _ in range(2):
        rows = ask(fault_server, "/bulk", ids(range(3)), **options)
        assert answers(rows, "outcome") == [(0, "accepted"), (1, "exhausted"), (2, "accepted")]
    assert sent_ids(fault_server) == [[0, 1, 2], [1], [1], [1], [1], [1]]


def test_a_batch_refused_after_a_lost_try_is_halved_too(fault_server: FaultServer, tmp_path: Path) -> None:
    """At least once: good rows are not called rejected because of a bad one."""
    bad = {"when": {"json": {"id": 3}}, "status": 400, "body": "bad id"}
    fault_server.route("POST /bulk", [{"times": 1, "fault": "reset"}, bad, {"each": [{}], "wrap": "items"}])
    options: dict[str, Any] = {**BATCHED, "repeatable": False, "responses": str(tmp_path), "retry__maxDelay": "10ms"}
    rows = ask(fault_server, "/bulk", ids(range(8)), **options)
    assert [one[1] for one in answers(rows, "outcome")] == ["rejected" if i == 3 else "accepted" for i in range(8)]


def test_a_batch_with_a_key_refused_after_a_lost_try_is_ambiguous(fault_server: FaultServer) -> None:
    """The first try may have been kept, and halves would have keys of their own."""
    bad = {"when": {"json": {"id": 3}}, "status": 400, "body": "bad id"}
    fault_server.route("POST /bulk", [{"times": 1, "fault": "reset"}, bad, {"each": [{}], "wrap": "items"}])
    options: dict[str, Any] = {**BATCHED, "repeatable": False, "idempotency__header": "Key", "retry__maxDelay": "10ms"}
    rows = ask(fault_server, "/bulk", ids(range(8)), **options)
    assert {one[1:] for one in answers(rows, "outcome", "error")} == {
        ("ambiguous", "status 400, after a try whose answer was lost: bad id")
    }
    assert fault_server.count() == 2


def test_a_body_that_was_too_large_makes_the_next_ones_smaller(fault_server: FaultServer) -> None:
    large = {"when": {"header": {"content-length": {"over": 100}}}, "status": 413}
    fault_server.route("POST /bulk", [large, {"each": [{}], "wrap": "items"}])
    options: dict[str, Any] = {**BATCHED, "batch__rows": 20, "concurrency": 1}
    rows = ask(fault_server, "/bulk", ids(range(100, 300)), **options)
    assert {one[1] for one in answers(rows, "outcome")} == {"accepted"}
    assert sum(len(one.body) > 100 for one in fault_server.ledger()) == 3


@pytest.mark.parametrize("schema", [None, StructType().add("id", LongType())])
def test_a_byte_order_mark_is_no_part_of_an_answer(fault_server: FaultServer, schema: StructType | None) -> None:
    fault_server.route("POST /bulk", [{"body": '\ufeff{"items": [{"id": 1}, {"id": 2}]}'}])
    rows = ask(fault_server, "/bulk", ids([1, 2]), schema=schema, **BATCHED)
    expected = [(1, '{"id": 1}'), (2, '{"id": 2}')] if schema is None else [(1, {"id": 1}), (2, {"id": 2})]
    assert answers(rows, "response_body") == expected
    fault_server.route("GET /users/{id}", [{"body": '\ufeff{"name": "Ann"}'}])
    [row] = ask(fault_server, "/users/{id}", ids([1]), schema=NAME)
    assert row["response"]["response_body"] == {"name": "Ann"}
