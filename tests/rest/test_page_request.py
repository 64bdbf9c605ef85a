"""Where a link of an answer may lead: home, to hosts that were named, and nowhere else."""

from __future__ import annotations

import pytest

from trunkline.errors import ResponseError
from trunkline.rest.options import read_options
from trunkline.rest.page_request import PageRequests, Target


def requests(url: str = "http://api.example.com/rows", **options: str) -> PageRequests:
    return PageRequests(read_options({"url": url, **options}).resolved())


@pytest.mark.parametrize(
    ("home", "allowed", "link"),
    [
        ("http://api.example.com/rows", "", "http://API.example.com:80/rows?page=2"),
        ("http://api.example.com/rows", "cdn.example.com", "http://cdn.example.com:8080/rows?page=2"),
        ("http://api.example.com/rows", "cdn.example.com:80", "http://cdn.example.com/rows?page=2"),
        ("http://[::1]:8080/rows", "", "http://[::1]:8080/rows?page=2"),
        ("http://[::1]:8080/rows", "[::2]:8443", "http://[::2]:8443/rows?page=2"),
        ("http://[::1]:8080/rows", "[::2]", "http://[::2]:8443/rows?page=2"),
    ],
)
def test_a_link_home_or_to_a_named_host_is_followed(home: str, allowed: str, link: str) -> None:
    options = {"allowedHosts": allowed} if allowed else {}
    assert requests(home, **options).follow(link, home, "the next link") == Target(link)


@pytest.mark.parametrize(
    ("allowed", "link", "named"),
    [
        ("", "http://cdn.example.com/rows", "cdn.example.com:80"),
        ("cdn.example.com:81", "http://cdn.example.com/rows", "cdn.example.com:80"),
        ("", "http://[::2]:8443/rows", r"\[::2\]:8443"),
        ("[::2]:8443", "http://[::3]:8443/rows", r"\[::3\]:8443"),
    ],
)
def test_a_link_elsewhere_is_refused_with_the_option_that_would_allow_it(allowed: str, link: str, named: str) -> None:
    options = {"allowedHosts": allowed} if allowed else {}
    with pytest.raises(ResponseError, match=f"leads to another host, {named}, .* add allowedHosts={named} if"):
        requests(**options).follow(link, "http://api.example.com/rows", "the next link")
