"""What `request()` keeps in memory, and what becomes of the answers of whoever stops in the middle."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.rest.asking import answers, ask, asking, ids, slowly

from trunkline.testing import FaultServer


def test_answers_from_the_log_wait_until_they_are_wanted(fault_server: FaultServer, tmp_path: Path) -> None:
    """Where nothing has to be asked, rows are taken no faster than they leave."""
    fault_server.route("GET /users/{id}", [{"body": "x"}])
    ask(fault_server, "/users/{id}", ids([1]), responses=str(tmp_path))
    taken: list[int] = []
    batches = slowly((ids([1] * 500) for _ in range(60)), taken)
    found = asking(fault_server, "/users/{id}", responses=str(tmp_path)).run(batches)
    next(found)
    time.sleep(0.5)
    assert sum(taken) < 10_000
    assert sum(len(batch) for batch in found) == 30_000 - 100
    assert fault_server.count() == 1


def test_parts_of_large_answers_stay_small(
    fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that need no request grow, but not when their answers already fill the memory."""
    fault_server.route("GET /users/{id}", [{"body": "x" * 2000}])
    options: dict[str, Any] = {"responses": str(tmp_path)}
    ask(fault_server, "/users/{id}", ids(range(1000)), **options)
    for large, most in ((4 * 1024 * 1024, 400), (100_000, 100)):
        monkeypatch.setattr("trunkline.rest.parts._LARGE_PART", large)
        found = asking(fault_server, "/users/{id}", **options).run(iter([ids(range(1000))]))
        assert max(len(batch) for batch in found) == most
    assert fault_server.count() == 1000


def test_answers_too_large_for_one_batch_leave_in_several(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.rest.leaving._MOST_LEAVING", 10_000)
    for user in range(20):
        fault_server.route(f"GET /users/{user}", [{"body": str(user) * 3000}])
    batches = list(asking(fault_server, "/users/{id}", keepOrder=True).run(iter([ids(range(20))])))
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert len(batches) >= 7
    assert [(row["id"], row["response"]["response_body"]) for row in rows] == [(i, str(i) * 3000) for i in range(20)]


def test_an_answer_that_is_not_about_single_rows_is_the_body_of_none(fault_server: FaultServer) -> None:
    """A batch of ten thousand rows would hold it ten thousand times; its beginning is in each error."""
    fault_server.route("POST /bulk", [{"body": "no list" * 1000}])
    batch: dict[str, Any] = {"method": "POST", "repeatable": True, "batch__rows": 10, "results__path": "items"}
    rows = ask(fault_server, "/bulk", ids(range(10)), **batch)
    assert {one[1] for one in answers(rows, "response_body")} == {None}
    assert all(one[1].startswith("the answer to the batch is not JSON: no listno") for one in answers(rows, "error"))
    [row] = ask(fault_server, "/bulk", ids([1]), **batch)
    assert row["response"]["response_body"] == "no list" * 1000


def test_what_is_in_flight_when_rows_are_not_wanted_any_more_is_written_down(
    fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the next evaluation does not send it again."""
    # On a machine that stalls, an answer may take longer than users are kept waiting for it.
    monkeypatch.setattr("trunkline.rest.asking._CLOSING", 60.0)
    fault_server.route("POST /users", [{"delay": 0.1, "status": 201}], store=True)
    options: dict[str, Any] = {"method": "POST", "responses": str(tmp_path), "concurrency": 50}
    found = asking(fault_server, "/users", **options).run(iter([ids(range(800))]))
    next(found)
    found.close()
    assert 100 <= fault_server.count() < 800
    rows = ask(fault_server, "/users", ids(range(800)), attempt=1, **options)
    assert {one[1] for one in answers(rows, "outcome")} == {"accepted"}
    assert Counter(row["id"] for row in fault_server.stored("/users")) == Counter(range(800))


@pytest.mark.parametrize("transport", ["libcurl", "aiohttp"])
def test_nothing_times_out_while_nobody_takes_the_rows(fault_server: FaultServer, transport: str) -> None:
    """What is in flight is received as it comes while whoever wants the rows is busy, and little more is asked for."""
    fault_server.route("GET /users/{id}", [{"delay": [0.0, 0.1], "body": "x"}])
    task = asking(fault_server, "/users/{id}", concurrency=50, transport=transport)
    began = time.monotonic()
    found = task.run(iter([ids(range(1600))]))
    rows = next(found).to_pylist()
    until = began + 60
    while not task._client.schedule.idle and time.monotonic() < until:
        time.sleep(0.01)
    # All has been received, and judged in time, though nobody has taken more than the first rows.
    assert task._client.schedule.idle
    longest = (time.monotonic() - began) * 1000
    asked = fault_server.count()
    assert asked < 1000
    time.sleep(1.0)
    rows += [row for batch in found for row in batch.to_pylist()]
    assert {one[1:] for one in answers(rows, "outcome", "attempts")} == {("accepted", 1)}
    # Left lying until somebody wanted rows again, an answer would seem to have taken until then.
    assert max(took for number, took in answers(rows, "elapsed_ms") if number < asked) <= longest
    assert (len(rows), fault_server.count()) == (1600, 1600)
