"""Statuses, URLs, hosts, parameters and headers as option values."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.credentials import Secret
from trunkline.http.kinds import (
    CodeSet,
    header_name,
    headers,
    hosts,
    params,
    proxy,
    secret_headers,
    shown_pairs,
    shown_url,
    url,
)


def refusal(parse: Callable[[Any], object], given_value: object) -> str:
    """The sentence with which a parser refuses a value."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse(given_value)
    return str(caught.value)


@given(st.sets(st.integers(100, 599), min_size=1))
def test_a_code_set_comes_back_from_its_text(codes: set[int]) -> None:
    """Parsing what `str` wrote gives the same set."""
    written = CodeSet(codes)
    assert frozenset(CodeSet.parse(str(written))) == frozenset(written) == codes


@given(st.sets(st.integers(1, 5)), st.sets(st.integers(100, 599)), st.sets(st.integers(100, 599)), st.randoms())
def test_a_code_set_holds_what_is_named_minus_what_is_excluded(
    classes: set[int], codes: set[int], excluded: set[int], random: Any
) -> None:
    """Classes, codes and exclusions mean the same in any order."""
    parts = [f"{c}xx" for c in classes] + [str(c) for c in codes] + [f"!{c}" for c in excluded]
    random.shuffle(parts)
    wanted = (codes | {status for status in range(100, 600) if status // 100 in classes}) - excluded
    if wanted:
        assert frozenset(CodeSet.parse(" , ".join(parts))) == wanted


def test_a_code_set_is_written_short() -> None:
    """Whole classes with exclusions, else single codes."""
    texts = ["2XX,404,!203", "4xx", "503,500", "!404,4XX", "2XX,200"]
    assert [str(CodeSet.parse(text)) for text in texts] == ["2XX,!203,404", "4XX", "500,503", "4XX,!404", "2XX"]
    assert repr(CodeSet.parse("200")) == "CodeSet(200)"
    assert pickle.loads(pickle.dumps(CodeSet.parse("2XX"))) == CodeSet.parse("2XX")


@pytest.mark.parametrize("text", ["", "99", "600", "2X", "6XX", "200-204", "abc", "2XX,,3XX", "!", "20"])
def test_what_is_no_status(text: str) -> None:
    """Ranges and half-written classes are refused."""
    assert "is no status: write codes 404, classes 2XX, exclusions !203" in refusal(CodeSet.parse, text)


def test_a_code_set_is_never_empty() -> None:
    """Exclusions alone name nothing."""
    assert refusal(CodeSet.parse, "!404") == "'!404' leaves no status"
    assert refusal(CodeSet.parse, "404,!4XX") == "'404,!4XX' leaves no status"


@pytest.mark.parametrize(
    "text",
    [
        "https://api.example.com",
        "http://127.0.0.1:8080/rows?x=1",
        "https://[::1]:8443/",
        "https://api.example.com/users/{first name}?size={größe #1}",
        "https://a_b.example.com/x@y?z=@",
    ],
)
def test_a_url_is_taken_as_it_is(text: str) -> None:
    """Ports, IPv6, templates in path and query, and an @ behind the host are fine."""
    assert url(f" {text} ") == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("api.example.com/users", "not an absolute URL: write https://host/path"),
        ("ftp://host/x", "not an absolute URL: write https://host/path"),
        ("https:///path", "not an absolute URL: write https://host/path"),
        ("https://host:99999/", "not an absolute URL: write https://host/path"),
        ("https://[::1/", "not an absolute URL: write https://host/path"),
        ("https://{host}/x", "a column cannot fill the host of a URL, only its path and query"),
        ("https://api.{region}.example.com/", "a column cannot fill the host of a URL, only its path and query"),
        ("https://host/a#top", "a URL's part after # is never sent: remove it"),
    ],
)
def test_what_is_no_url(text: str, sentence: str) -> None:
    """Each fault has its sentence."""
    assert refusal(url, text) == sentence


@pytest.mark.parametrize("text", ["https://host/a b", "https://host/a\nb", "https://h\u00f6st/", "https://ho<st/"])
def test_characters_no_url_has(text: str) -> None:
    """Spaces, line breaks and letters beyond ASCII are to be encoded."""
    assert "characters that no URL has" in refusal(url, text)


@pytest.mark.parametrize(
    "text",
    ["https://user:hunter2@host/x", "https://hunter2@host", "https://a@hunter2@host/?b", "http://u:hunter2@h:x/"],
)
def test_a_credential_in_a_url_is_refused_unseen(text: str) -> None:
    """The password is not repeated; the cure differs between a URL and a proxy."""
    start = "a URL must not hold a user name or password: remove what stands before the @ and "
    assert refusal(url, text) == start + "use auth.*"
    assert refusal(proxy, text) == start + "set HTTPS_PROXY in the environment of the workers instead of proxy.url"


def test_hosts_are_lower_case_with_an_optional_port() -> None:
    """A URL is no host."""
    assert hosts("CDN.example.com, 10.0.0.7:8443,[::1]:80") == ("cdn.example.com", "10.0.0.7:8443", "[::1]:80")
    for text in ("https://cdn.example.com", "a b", "*.example.com", "host/path", "-"):
        assert "is no host" in refusal(hosts, text)


def test_params_keep_order_and_repeat_names() -> None:
    """Numbers and booleans become text; a template stays."""
    assert params('{"b": [1, "x"], "a": true, "c": "{id}", "d": 1.5, "e": []}') == (
        ("b", "1"), ("b", "x"), ("a", "true"), ("c", "{id}"), ("d", "1.5"),
    )  # fmt: skip
    assert params({"a": ("x", "y")}) == (("a", "x"), ("a", "y"))
    for value in ('{"a": null}', '{"a": {"b": 1}}', '{"a": [[1]]}'):
        assert refusal(params, value) == "the value of a must be text, a number, true or false"


def test_headers_keep_their_case() -> None:
    """Names are tokens, named once in whatever case; values hold no line break."""
    assert headers('{"X-Source": "spark", "x-n": 1}') == {"X-Source": "spark", "x-n": "1"}
    assert refusal(headers, '{"A": 1, "a": 2}') == refusal(headers, {"A": 1, " A": 2}) == "a header is named twice"
    assert refusal(headers, '{"X": "a\\r\\nEvil: b"}') == "the value of X holds a line break"
    assert refusal(headers, '{"X Y": "a"}') == "'X Y' is no header name: letters, digits and hyphens"
    assert refusal(header_name, "") == "'' is no header name: letters, digits and hyphens"


def test_secret_headers_hold_secrets() -> None:
    """Literals and references; a Secret of the caller's own goes through unopened."""
    own = Secret("abc")
    found = secret_headers({"X-A": "hunter2", "X-B": "env:B", "X-C": own})
    assert found["X-C"] is own
    assert (found["X-A"].reveal(), found["X-B"].reference, found["X-B"].resolved) == ("hunter2", "env:B", False)
    assert "a vault: reference is written vault:mount/path#field" in refusal(secret_headers, {"X": "vault:x"})
    assert "env:NAME" in refusal(secret_headers, {"X": "env:a b"})


def test_values_of_sensitive_names_are_not_shown() -> None:
    """Whatever sounds like a credential is masked where options are printed."""
    assert shown_url("https://h/x?id=1&sessionid=abc&X-Amz-Signature=def&flag") == (
        "https://h/x?id=1&sessionid=***&X-Amz-Signature=***&flag"
    )
    assert shown_url("https://h/x") == "https://h/x"
    assert (
        shown_pairs((("id", "1"), ("my_key", "abc")))
        == shown_pairs({"id": "1", "my_key": "z"})
        == "{id: 1, my_key: ***}"
    )
