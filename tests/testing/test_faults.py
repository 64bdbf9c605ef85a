"""Faults on the wire, byte by byte."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
import requests
from tests.testing.client import exchange_bytes, get, post

from trunkline.testing import FaultServer
from trunkline.testing.transport_contract.subject import eventually

pytest_plugins = ["trunkline.testing.plugin"]


def answer_to(server: FaultServer, step: dict[str, Any], wait: float = 0.02) -> tuple[bytes, bytes, str]:
    """Head, body and end of the connection for one GET answered by one step."""
    server.route("GET /a", [step])
    received, state = exchange_bytes(server, get("/a"), wait=wait)
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body, state


def test_reset_sends_nothing_and_rst(fault_server: FaultServer) -> None:
    assert answer_to(fault_server, {"fault": "reset"}) == (b"", b"", "reset")
    (seen,) = fault_server.ledger()
    assert (seen.fault, seen.status, seen.elapsed, seen.stored) == ("reset", None, None, False)


def test_reset_after_store_keeps_the_row_and_tells_nobody(fault_server: FaultServer) -> None:
    """The client sees a reset, the server has the row: sending again makes a duplicate."""
    fault_server.route("POST /rows", [{"fault": "reset_after_store"}, {"status": 201}])
    with pytest.raises(requests.ConnectionError):
        post(fault_server, "/rows", {"id": 1})
    assert fault_server.stored("/rows") == [{"id": 1}]
    assert post(fault_server, "/rows", {"id": 1}).status_code == 201
    assert fault_server.stored("/rows") == [{"id": 1}, {"id": 1}]
    assert [(e.status, e.stored) for e in fault_server.ledger()] == [(None, True), (201, True)]


@pytest.mark.parametrize("fault", ["reset", "hang", "garbage"])
def test_a_fault_without_an_answer_stores_nothing_unless_told(fault_server: FaultServer, fault: str) -> None:
    fault_server.route("POST /rows", [{"fault": fault}, {"fault": fault, "store": True}], store=True)
    for row in (1, 2):
        with pytest.raises(requests.RequestException):
            requests.post(fault_server.url_for("/rows"), json=row, timeout=0.1 if fault == "hang" else 60)
        # Who gives up on a hung request may do so before it was read.
        fault_server.wait_for("POST /rows", row)
    assert fault_server.stored("/rows") == [2]


def test_close_after_headers(fault_server: FaultServer) -> None:
    head, body, state = answer_to(fault_server, {"fault": "close_after_headers", "body": "hello"})
    assert (b"Content-Length: 5" in head, body, state) == (True, b"", "closed")


def test_close_after_answer_does_not_say_so(fault_server: FaultServer) -> None:
    """The race every keep-alive client must survive: the answer is whole, the connection is gone."""
    head, body, state = answer_to(fault_server, {"fault": "close_after_answer", "body": "hello"})
    assert (b"onnection" in head, body, state) == (False, b"hello", "closed")


@pytest.mark.parametrize(("keep", "body"), [({}, b"hel"), ({"keep": 1}, b"h"), ({"keep": 0}, b"")])
def test_truncate_promises_more_than_it_sends(fault_server: FaultServer, keep: dict[str, int], body: bytes) -> None:
    head, received, state = answer_to(fault_server, {"fault": "truncate", "body": "hello!", **keep})
    assert (b"Content-Length: 6" in head, received, state) == (True, body, "closed")


def test_truncated_chunks_never_end(fault_server: FaultServer) -> None:
    step = {"fault": "truncate", "body": "hello!", "chunked": 3, "keep": 8}
    assert answer_to(fault_server, step)[1:] == (b"3\r\nhel\r\n", "closed")


def test_hang_holds_the_request_open_until_the_client_leaves(fault_server: FaultServer) -> None:
    assert answer_to(fault_server, {"fault": "hang"}) == (b"", b"", "open")
    eventually(lambda: fault_server.stats()["in_flight"] == 0)
    (seen,) = fault_server.ledger()
    assert (seen.status, seen.elapsed, seen.fault) == (None, None, "hang")


def test_hang_body_sends_a_part_and_no_more(fault_server: FaultServer) -> None:
    head, body, state = answer_to(fault_server, {"fault": "hang_body", "body": "hello!", "keep": 4})
    assert (b"Content-Length: 6" in head, body, state) == (True, b"hell", "open")
    assert [(e.status, e.elapsed) for e in fault_server.ledger()] == [(200, None)]


def test_drip_sends_the_body_byte_by_byte(fault_server: FaultServer) -> None:
    """The head comes at once, each byte of the body an interval after the one before."""
    start = time.monotonic()
    _, body, state = answer_to(fault_server, {"fault": "drip", "interval": 0.03, "body": "hello"}, wait=0.3)
    assert (body, state) == (b"hello", "open")
    elapsed = fault_server.ledger()[0].elapsed
    assert elapsed is not None
    assert 5 * 0.03 - 0.01 <= elapsed <= time.monotonic() - start


def test_drip_head_sends_everything_byte_by_byte(fault_server: FaultServer) -> None:
    head, body, _ = answer_to(fault_server, {"fault": "drip_head", "interval": 0.001, "body": "hello"})
    assert (head.startswith(b"HTTP/1.1 200 OK\r\n"), body) == (True, b"hello")


def test_a_drip_the_client_gives_up_on_ends(fault_server: FaultServer) -> None:
    answer_to(fault_server, {"fault": "drip", "interval": 0.3, "body": "hello" * 1000}, wait=0.05)
    fault_server.route("GET /b", [{}])
    assert requests.get(fault_server.url_for("/b"), timeout=60).status_code == 200
    assert fault_server.ledger("/a")[0].elapsed is None


def test_garbage_is_no_http(fault_server: FaultServer) -> None:
    head, _, state = answer_to(fault_server, {"fault": "garbage"})
    assert (head.startswith(b"HTTP"), head != b"", state) == (False, True, "closed")


def test_gzip_and_double_gzip(fault_server: FaultServer) -> None:
    """Plain gzip decodes; the double one leaves gzip behind, announced once."""
    fault_server.route("GET /one", [{"gzip": True, "body": {"a": 1}}])
    fault_server.route("GET /two", [{"fault": "double_gzip", "body": {"a": 1}}])
    assert requests.get(fault_server.url_for("/one"), timeout=60).json() == {"a": 1}
    two = requests.get(fault_server.url_for("/two"), timeout=60)
    assert (two.headers["Content-Encoding"], json.loads(gzip.decompress(two.content))) == ("gzip", {"a": 1})


@pytest.mark.parametrize("size", [2, 1000, 3 * 1024 * 1024 + 17])
def test_gzip_bomb_is_small_on_the_wire_and_valid(fault_server: FaultServer, size: int) -> None:
    """It decodes, with a right checksum, to blanks and an empty list of the size asked for."""
    head, body, _ = answer_to(fault_server, {"fault": "gzip_bomb", "size": size})
    decoded = gzip.decompress(body)
    assert (b"Content-Encoding: gzip" in head, len(decoded), json.loads(decoded)) == (True, size, [])
    assert len(body) < 5000


@pytest.mark.parametrize(("length", "said"), [({}, b"4"), ({"length": 99}, b"99"), ({"length": "five"}, b"five")])
def test_wrong_length(fault_server: FaultServer, length: dict[str, Any], said: bytes) -> None:
    head, body, _ = answer_to(fault_server, {"fault": "wrong_length", "body": "hello", **length})
    assert (head.split(b"Content-Length: ")[1].split(b"\r\n")[0], body) == (said, b"hello")


def test_bom_and_bad_utf8(fault_server: FaultServer) -> None:
    assert answer_to(fault_server, {"fault": "bom", "body": [1]})[1] == b"\xef\xbb\xbf[1]"
    assert answer_to(fault_server, {"fault": "bad_utf8", "body": {"a": "b"}})[1] == b'{"\xffa": "b"}'


def test_chunked(fault_server: FaultServer) -> None:
    head, body, _ = answer_to(fault_server, {"chunked": 2, "body": "hello"})
    assert body == b"2\r\nhe\r\n2\r\nll\r\n1\r\no\r\n0\r\n\r\n"
    assert (b"Transfer-Encoding: chunked" in head, b"Content-Length" in head) == (True, False)


def test_a_closing_answer_says_so(fault_server: FaultServer) -> None:
    assert answer_to(fault_server, {"headers": {"Connection": "close"}, "body": "x"})[1:] == (b"x", "closed")
