"""The request parser: strict, exact, and indifferent to how the bytes are cut."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.testing.wire import BadRequestError, RequestParser, parse_json, pick, split_rows


def parse(stream: bytes) -> list[tuple[str, str, bytes]]:
    parser = RequestParser()
    parser.feed(stream)
    return taken(parser)


def taken(parser: RequestParser) -> list[tuple[str, str, bytes]]:
    requests = []
    while (request := parser.take()) is not None:
        requests.append((request.method, request.target, request.body))
    return requests


def framed(body: bytes, chunk: int | None) -> bytes:
    if chunk is None:
        return b"POST /a?b=1 HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    head = b"POST /a?b=1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    return head + b"".join(b"%x;x=y\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nT: v\r\n\r\n"


@given(st.lists(st.tuples(st.binary(max_size=60), st.none() | st.integers(1, 20)), max_size=4), st.data())
def test_every_cut_of_a_stream_gives_the_same_requests(
    bodies: list[tuple[bytes, int | None]], data: st.DataObject
) -> None:
    """However TCP cuts the bytes, the same requests come out."""
    stream = b"".join(framed(body, chunk) for body, chunk in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser, found = RequestParser(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        parser.feed(stream[start:end])
        found += taken(parser)
    assert found == [("POST", "/a?b=1", body) for body, _ in bodies]


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "request line"),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "request line"),
        (b"GET / HTTP/1.1\r\n\r\n", "no Host header"),
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", "header line"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", "header line"),
        (b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", "header line"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", "host is given twice"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "Content-Length '-1' is no number"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "given twice"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "not supported"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk size"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "does not end with CRLF"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 70_000, "longer than 65536 bytes"),
    ],
)
def test_what_is_no_request_is_refused_by_name(stream: bytes, why: str) -> None:
    with pytest.raises(BadRequestError, match=why):
        parse(stream)


def test_headers_are_lower_case_and_joined() -> None:
    parser = RequestParser()
    parser.feed(b"GET /p%20q?a=1&a=&b=%C3%A9 HTTP/1.1\r\nHOST: h\r\nX-A: 1\r\nx-a:2 \r\n\r\n")
    request = parser.take()
    assert request is not None
    assert (request.headers, request.path) == ({"host": "h", "x-a": "1, 2"}, "/p%20q")
    assert request.query == {"a": ["1", ""], "b": ["é"]}


@pytest.mark.parametrize(
    ("content", "content_type", "items", "rows"),
    [
        (b"", "", "", []),
        (b'{"id":1}', "application/json", "", [{"id": 1}]),
        (b'[{"id":1},{"id":2}]', "application/json", "", [{"id": 1}, {"id": 2}]),
        (b'{"id":1}\n\n{"id":2}\n', "application/x-ndjson", "", [{"id": 1}, {"id": 2}]),
        (b'{"data":{"rows":[1,2]}}', "application/json", "data.rows", [1, 2]),
        (b"a=1&b=%20", "application/x-www-form-urlencoded; charset=utf-8", "", [{"a": "1", "b": " "}]),
        (b'{"x":NaN}', "application/json", "", ['{"x":NaN}']),
        (b'{"x":9223372036854775809}', "application/json", "", [{"x": 2**63 + 1}]),
    ],
)
def test_bodies_are_cut_into_rows(content: bytes, content_type: str, items: str, rows: list[object]) -> None:
    assert split_rows(content, content_type, items) == rows


def test_nan_is_not_json() -> None:
    with pytest.raises(ValueError, match="NaN is not JSON"):
        parse_json("[NaN]")


def test_compressed_content_is_decoded_and_wrong_coding_is_an_error() -> None:
    parser = RequestParser()
    body = gzip.compress(b"hello")
    parser.feed(
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    request = parser.take()
    assert request is not None
    assert (request.body, request.content) == (body, b"hello")
    parser.feed(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")
    wrong = parser.take()
    assert wrong is not None
    with pytest.raises(ValueError, match="Content-Encoding is gzip, the body is not"):
        _ = wrong.content


def test_pick_follows_names_and_indices() -> None:
    value = {"a": [{"b": 5}]}
    assert [pick(value, path) for path in ("a.0.b", "a.1.b", "a.x", "c.d")] == [5, None, None, None]
