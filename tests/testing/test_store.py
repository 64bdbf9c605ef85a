"""What a write route keeps."""

from __future__ import annotations

import gzip
from typing import Any

import requests
from tests.testing.client import post

from trunkline.testing import FaultServer

pytest_plugins = ["trunkline.testing.plugin"]


def test_rows_are_stored_from_every_form_of_body(fault_server: FaultServer) -> None:
    """Object, array, NDJSON, form, gzip and plain text, in the order they came; a 4xx stores nothing."""
    fault_server.route("POST /rows", [{"when": "bad", "status": 422}, {"status": 201}], store=True)
    url = fault_server.url_for("/rows")
    post(fault_server, "/rows", {"id": 1})
    post(fault_server, "/rows", [{"id": 2}, {"id": 3}])
    requests.post(url, data=b'{"id": 4}\n{"id": 5}\n', headers={"Content-Type": "application/x-ndjson"}, timeout=60)
    requests.post(url, data={"id": "6"}, timeout=60)
    requests.post(url, data=gzip.compress(b'{"id": 7}'), headers={"Content-Encoding": "gzip"}, timeout=60)
    requests.post(url, data=b"eight", timeout=60)
    post(fault_server, "/rows", {"id": "bad"})
    ids = [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}, {"id": 5}, {"id": "6"}, {"id": 7}, "eight"]
    assert fault_server.stored("/rows") == ids


def test_rows_inside_an_envelope(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", [{"when": {"json": {"id": 9}}, "status": 422}, {}], store=True, items="data.rows")
    assert [post(fault_server, "/rows", {"data": {"rows": [{"id": n}]}}).status_code for n in (8, 9)] == [200, 422]
    assert fault_server.stored("/rows") == [{"id": 8}]


def test_routes_can_store_into_one_collection(fault_server: FaultServer) -> None:
    fault_server.route("POST /a", [{}], store={"into": "all"})
    fault_server.route("PUT /b/{id}", [{}], store={"into": "all"})
    post(fault_server, "/a", 1)
    requests.put(fault_server.url_for("/b/1"), json=2, timeout=60)
    assert fault_server.stored("all") == [1, 2]


def test_an_idempotency_key_stores_once_and_gets_the_first_answer_again(fault_server: FaultServer) -> None:
    """Also after a reset; another body under the key is refused, another key is another row."""
    steps: list[dict[str, Any]] = [{"fault": "reset_after_store", "status": 201}, {"status": 200}]
    fault_server.route("POST /rows", steps, store={"dedupe": True})

    def send(key: str, row: int) -> int | None:
        try:
            return post(fault_server, "/rows", {"id": row}, headers={"Idempotency-Key": key}).status_code
        except requests.ConnectionError:
            return None

    assert [send("a", 1), send("a", 1), send("a", 2), send("b", 1), send("b", 1)] == [None, 201, 422, 200, 200]
    assert fault_server.stored("/rows") == [{"id": 1}, {"id": 1}]
    assert [e.stored for e in fault_server.ledger()] == [True, False, False, True, False]


def test_a_key_can_be_required_under_a_name_of_its_own(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", [{}], store={"dedupe": True, "require": True, "header": "X-Request-Id"})
    headers = [{}, {"Idempotency-Key": "a"}, {"X-Request-Id": "a"}, {"X-Request-Id": "a"}]
    assert [post(fault_server, "/rows", 1, headers=h).status_code for h in headers] == [400, 400, 200, 200]
    assert fault_server.stored("/rows") == [1]


def test_the_latest_row_per_key_and_older_versions_that_came_later(fault_server: FaultServer) -> None:
    """The server takes what comes and notes each time an older version overwrote a newer one."""
    fault_server.route("POST /rows", [{}], store={"key": "id", "version": "v"})
    for row, version in [(1, 1), (1, 3), (1, 2), (2, 1)]:
        post(fault_server, "/rows", {"id": row, "v": version})
    assert fault_server.latest("/rows") == {1: {"id": 1, "v": 2}, 2: {"id": 2, "v": 1}}
    assert fault_server.overwrites("/rows") == [(1, 3, 2)]
    assert len(fault_server.stored("/rows")) == 4


def test_a_guarded_store_refuses_the_older_version(fault_server: FaultServer) -> None:
    fault_server.route("POST /rows", [{}], store={"key": ["a", "b"], "version": "v", "guard": True})
    statuses = [post(fault_server, "/rows", {"a": 1, "b": 2, "v": v}).status_code for v in (2, 1, 2)]
    assert statuses == [200, 409, 200]
    assert fault_server.latest("/rows") == {(1, 2): {"a": 1, "b": 2, "v": 2}}
    assert fault_server.overwrites("/rows") == []


def test_a_key_from_the_path_is_put_and_deleted(fault_server: FaultServer) -> None:
    """A DELETE of what is not there answers 404."""
    fault_server.route("PUT /users/{id}", [{}], store={"key": "id"})
    fault_server.route("DELETE /users/{id}", [{"status": 204}], store={"key": "id"})
    url = fault_server.url_for("/users/7")
    requests.put(url, json={"name": "x"}, timeout=60)
    assert fault_server.latest("/users/{id}") == {"7": {"name": "x"}}
    assert [requests.delete(url, timeout=60).status_code for _ in range(2)] == [204, 404]
    assert fault_server.latest("/users/{id}") == {}


def test_a_batch_answered_row_by_row(fault_server: FaultServer) -> None:
    """Each row gets the status of the first entry that fits it; only accepted rows are stored."""
    each = [
        {"when": {"json": {"id": 7000}}, "status": 422, "error": "no such id"},
        {"when": {"json": {"id": 2}}, "status": 503, "times": 1, "body": {"code": "BUSY"}},
        {"status": 201},
    ]
    fault_server.route("POST /rows", [{"each": each}], store=True)
    answer = post(fault_server, "/rows", [{"id": 1}, {"id": 7000}, {"id": 2}, {"id": 2}])
    assert (answer.status_code, answer.json()) == (
        207,
        [
            {"index": 0, "status": 201, "id": 1},
            {"index": 1, "status": 422, "id": 7000, "error": "no such id"},
            {"index": 2, "status": 503, "id": 2, "code": "BUSY"},
            {"index": 3, "status": 201, "id": 2},
        ],
    )
    assert fault_server.stored("/rows") == [{"id": 1}, {"id": 2}]


def test_batch_results_can_be_wrapped_lack_one_and_speak_200(fault_server: FaultServer) -> None:
    """NDJSON in an envelope of the answer's own, with one result missing."""
    step = {"each": [{"when": {"index": 1}, "omit": True}], "wrap": "items", "status": 200, "headers": {"X-A": "b"}}
    fault_server.route("POST /rows", [step], store=True)
    answer = requests.post(fault_server.url_for("/rows"), data=b'{"x":1}\n{"x":2}\n{"x":3}', timeout=60)
    assert answer.json() == {"items": [{"index": 0, "status": 200}, {"index": 2, "status": 200}]}
    assert (answer.status_code, answer.headers["X-A"]) == (200, "b")
    assert len(fault_server.stored("/rows")) == 3
