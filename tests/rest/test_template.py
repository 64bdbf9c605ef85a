"""Whatever a column holds, the request stays on its host, under its path, with its parameters."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from trunkline.rest.template import Refused, Template, UrlTemplate

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
NASTY = st.sampled_from(
    ["", ".", "..", "/", "%2f", "%2e%2e", "a/../b", "\\", "@evil.com", "?x=1", "#f", "a&b=c", "é\r\n", "\0"]
)
VALUES = st.lists(st.one_of(TEXTS, NASTY, st.none()), min_size=1, max_size=8)


@given(VALUES)
def test_a_value_fills_one_segment_and_one_parameter_or_is_refused(values: list[str | None]) -> None:
    template = UrlTemplate("https://api.example.com:8443/users/{v}/x?a=1", [("q", "<{v}>"), ("z", "2")])
    refused: Refused = {}
    urls = template.fill(pa.record_batch({"v": pa.array(values, pa.string())}), refused)
    for row, (value, url) in enumerate(zip(values, urls, strict=True)):
        bad = value in {None, "", ".", ".."} or any(c in "/\\\x7f" or c < " " for c in value or "")
        assert (row in refused) == bad
        if not bad:
            parts = urlsplit(url)
            assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example.com:8443", "")
            assert [unquote(segment) for segment in parts.path.split("/")] == ["", "users", value, "x"]
            assert parse_qsl(parts.query, keep_blank_values=True) == [("a", "1"), ("q", f"<{value}>"), ("z", "2")]
            assert url.isascii()


@given(VALUES)
def test_a_header_carries_the_value_as_it_is_and_never_a_second_line(values: list[str | None]) -> None:
    refused: Refused = {}
    filled = Template("id={v};", encode=False).fill(pa.record_batch({"v": pa.array(values, pa.string())}), refused)
    for row, (value, text) in enumerate(zip(values, filled, strict=True)):
        assert (row in refused) == (value is None or any(c in value for c in "\r\n\0"))
        if row not in refused:
            assert text == f"id={value};"


def test_a_template_without_columns_is_one_text() -> None:
    assert UrlTemplate("https://h/a#frag", [("b c", "ü&")]).fill(pa.record_batch({"v": ["x"]}), {}) == (
        "https://h/a?b%20c=%C3%BC%26"
    )
