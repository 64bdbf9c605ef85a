"""One call of a JSON API: what goes out, what comes back, and under which name what went wrong is raised."""

from __future__ import annotations

import pytest
from tests.servers.process import free_port

from trunkline.credentials import Secret
from trunkline.errors import AuthError, OptionError, RejectedError, ResponseError, UnavailableError
from trunkline.http.api import call
from trunkline.testing import FaultServer


def test_a_call_sends_json_with_the_token_and_returns_what_was_answered(fault_server: FaultServer) -> None:
    fault_server.route("POST /runs", [{"status": 201, "body": {"id": 7}, "headers": {"X-Kind": "run"}}])
    status, headers, answer = call("POST", fault_server.url_for("/runs"), body={"a": [1]}, token=Secret("t0ken-1"))
    assert (status, headers["X-Kind"], answer) == (201, "run", {"id": 7})
    (sent,) = fault_server.ledger("POST /runs")
    assert sent.json == {"a": [1]}
    assert sent.headers["authorization"] == "Bearer t0ken-1"
    assert sent.headers["content-type"] == "application/json"


def test_an_answer_without_a_body_is_none(fault_server: FaultServer) -> None:
    fault_server.route("DELETE /runs", [{"status": 204}])
    assert call("DELETE", fault_server.url_for("/runs"))[2] is None


def test_a_read_is_asked_again_until_it_is_answered(fault_server: FaultServer) -> None:
    fault_server.route("GET /runs", [{"status": 500}, {"status": 200, "body": []}])
    assert call("GET", fault_server.url_for("/runs"))[2] == []
    assert len(fault_server.ledger("GET /runs")) == 2


def test_at_most_once_what_may_have_been_acted_on_is_not_sent_again(fault_server: FaultServer) -> None:
    fault_server.route("POST /runs", [{"status": 500}, {"status": 201}])
    with pytest.raises(RejectedError) as caught:
        call("POST", fault_server.url_for("/runs"), body={}, delivery="atMostOnce")
    assert (caught.value.outcome, caught.value.status) == ("ambiguous", 500)
    assert len(fault_server.ledger("POST /runs")) == 1


def test_a_refusal_is_named_with_what_the_server_said(fault_server: FaultServer) -> None:
    fault_server.route("POST /runs", [{"status": 400, "body": {"message": "no such class"}}])
    with pytest.raises(RejectedError, match="no such class") as caught:
        call("POST", fault_server.url_for("/runs?key=1"), body={})
    assert (caught.value.outcome, caught.value.status) == ("rejected", 400)
    assert "key=1" not in str(caught.value)


def test_a_refused_credential_names_its_option_and_is_not_shown(fault_server: FaultServer) -> None:
    fault_server.route("GET /runs", [{"status": 403, "body": {"said": "Bearer t0ken-1 is wrong"}}])
    with pytest.raises(AuthError, match=r"Check spark\.token\.") as caught:
        call("GET", fault_server.url_for("/runs"), token="t0ken-1", credential="spark.token")
    assert "t0ken-1" not in str(caught.value)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}/runs"
    with pytest.raises(UnavailableError, match="refused"):
        call("POST", url, body={}, **{"retry.maxAttempts": "1"})


def test_an_answer_that_is_no_json_breaks_the_promise(fault_server: FaultServer) -> None:
    fault_server.route("GET /runs", [{"status": 200, "body": "<html>"}])
    with pytest.raises(ResponseError, match="no JSON: <html>"):
        call("GET", fault_server.url_for("/runs"))


def test_a_wrong_option_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(OptionError, match="url"):
        call("GET", "ftp://127.0.0.1/runs")
