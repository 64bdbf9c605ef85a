"""The options that every format with the HTTP engine shares, and their rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from trunkline.errors import OptionError
from trunkline.http.option_rules import RULES
from trunkline.http.options import AUTH, ENGINE, REQUEST
from trunkline.kinds import Window
from trunkline.options import Options, parse

TABLE = (*REQUEST, *AUTH, *ENGINE)
URL = {"url": "https://api.example.com/rows"}
OAUTH2 = {"auth.type": "oauth2", "auth.tokenUrl": "https://login.example.com/token", "auth.clientId": "me"}


def read(raw: Mapping[str, Any], use: str = "read") -> Options:
    """The options of a call."""
    return parse(TABLE, {**URL, **raw}, format="test", use=use, rules=RULES)


def problems(raw: Mapping[str, Any], use: str = "read") -> tuple[str, ...]:
    """Every problem of a call; none is an empty tuple."""
    try:
        read(raw, use)
    except OptionError as error:
        return error.problems
    return ()


def test_the_defaults_are_those_of_the_engine() -> None:
    """Typed, without anything given but the URL."""
    options = read({})
    assert {name: value for name, value in options.items() if value is not None} == {
        "url": "https://api.example.com/rows",
        "auth.type": "none",
        "auth.name": "X-Api-Key",
        "auth.in": "header",
        "auth.grant": "client_credentials",
        "auth.clientAuth": "basic",
        "timeout.connect": 10.0,
        "timeout.read": 60.0,
        "timeout.total": 300.0,
        "deadline": 600.0,
        "retry.maxAttempts": 5,
        "retry.codes": {408, 425, 429, 500, 502, 503, 504},
        "retry.maxDelay": 30.0,
        "retry.maxRetryAfter": 600.0,
        "delivery": "atLeastOnce",
        "successCodes": set(range(200, 300)),
        "maxResponseBytes": 64 * 1024 * 1024,
        "crossOrigin": "error",
        "tls.verify": True,
        "tls.minVersion": "1.2",
        "transport": "auto",
    }
    assert (options["concurrency"], options["rateLimit"]) == (None, None)


def test_rates_and_codes_are_typed() -> None:
    """As the engine takes them."""
    options = read({"rateLimit": "10/s,5000/h", "successCodes": "2XX,404", "concurrency": 8})
    assert options["rateLimit"] == (Window(10, 1.0), Window(5000, 3600.0))
    assert (404 in options["successCodes"], 500 in options["successCodes"], options["concurrency"]) == (True, False, 8)


COMPLETE = [
    {"auth.type": "none"},
    {"auth.type": "basic", "auth.username": "me", "auth.password": "env:P"},
    {"auth.type": "bearer", "auth.token": "env:T"},
    {"auth.type": "apiKey", "auth.token": "env:T"},
    {"auth.type": "apiKey", "auth.token": "env:T", "auth.name": "filter[key]", "auth.in": "query"},
    {**OAUTH2, "auth.clientSecret": "env:S"},
    {**OAUTH2, "auth.clientSecret": "env:S", "auth.scope": "a b", "auth.clientAuth": "post"},
    {**OAUTH2, "auth.grant": "password", "auth.username": "me", "auth.password": "env:P"},
    {**OAUTH2, "auth.grant": "refresh_token", "auth.refreshToken": "env:R", "auth.clientSecret": "env:S"},
]


@pytest.mark.parametrize("raw", COMPLETE, ids=" ".join)
def test_a_complete_way_to_authenticate_is_accepted(raw: dict[str, str]) -> None:
    """What each way needs is enough."""
    assert problems(raw) == ()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"auth.type": "bearer"}, ["auth.token is missing: auth.type=bearer needs auth.token"]),
        (
            {"auth.type": "basic"},
            [
                "auth.username is missing: auth.type=basic needs auth.username and auth.password",
                "auth.password is missing: auth.type=basic needs auth.username and auth.password",
            ],
        ),
        (
            OAUTH2,
            [
                (
                    "auth.clientSecret is missing: auth.type=oauth2 with auth.grant=client_credentials needs "
                    "auth.tokenUrl and auth.clientId and auth.clientSecret"
                )
            ],
        ),
        ({"auth.token": "abc"}, ["auth.token is given but auth.type is none: set auth.type=bearer (or apiKey)"]),
        ({"auth.clientId": "abc"}, ["auth.clientId is given but auth.type is none: set auth.type=oauth2"]),
        (
            {"auth.type": "bearer", "auth.token": "abc", "auth.username": "me"},
            ["auth.username does not belong to auth.type=bearer"],
        ),
        (
            {**OAUTH2, "auth.clientSecret": "env:S", "auth.refreshToken": "env:R"},
            ["auth.refreshToken does not belong to auth.type=oauth2 with auth.grant=client_credentials"],
        ),
        (
            {"auth.type": "apiKey", "auth.token": "abc", "auth.in": "query"},
            ["auth.name is missing: name the query parameter that carries the key"],
        ),
        (
            {"auth.type": "basic", "auth.username": "a:b", "auth.password": "c"},
            ["auth.username holds a colon, which HTTP Basic takes for the start of the password"],
        ),
        (
            {"auth.type": "apiKey", "auth.token": "abc", "auth.name": "filter[key]"},
            ["auth.name: 'filter[key]' is no header name: letters, digits and hyphens"],
        ),
        (
            {"auth.type": "databricks"},
            ["auth.type: databricks is not in this release; available: none, basic, bearer, apiKey, oauth2"],
        ),
        (
            {"auth.type": "bearer", "auth.token": "abc", "secretHeaders": '{"authorization": "x"}'},
            ["secretHeaders holds Authorization, which auth.type=bearer sets: keep one of them"],
        ),
        (
            {"auth.type": "apiKey", "auth.token": "abc", "auth.name": "X-Mine", "headers": '{"x-mine": "x"}'},
            ["headers holds X-Mine, which auth.type=apiKey sets: keep one of them"],
        ),
    ],
)
def test_an_incomplete_way_says_what_is_missing(raw: dict[str, str], expected: list[str]) -> None:
    """Needs, strangers and contradictions."""
    assert problems(raw) == tuple(expected)


@pytest.mark.parametrize(
    ("header", "cure"),
    [
        ("Authorization", "auth.* or secretHeaders"),
        ("X-Api-Key", "secretHeaders"),
        ("cookie", "secretHeaders"),
        ("Proxy-Authorization", "secretHeaders"),
        ("X-Auth-Token", "secretHeaders"),
        ("X-Client-Secret", "secretHeaders"),
        ("Ocp-Apim-Subscription-Key", "secretHeaders"),
        ("DD-API-KEY", "secretHeaders"),
        ("PRIVATE-TOKEN", "secretHeaders"),
        ("X-Functions-Key", "secretHeaders"),
    ],
)
def test_a_credential_in_headers_is_refused(header: str, cure: str) -> None:
    """With the name to use and without the value; as a secret header it is fine."""
    assert problems({"headers": {header: "hunter2"}}) == (
        f"headers holds {header}, which carries a credential: give it in {cure}",
    )
    assert problems({"secretHeaders": {header: "hunter2"}}) == ()


def test_ordinary_headers_are_left_alone() -> None:
    """Names that only look a little like a credential."""
    assert problems({"headers": {"Accept": "a", "X-Key-Id": "b", "X-Author": "c", "If-Match": "d"}}) == ()


def test_headers_of_the_client_are_refused() -> None:
    """They are computed from the request, or have an option."""
    assert problems({"headers": '{"Host": "x", "Content-Type": "x"}', "secretHeaders": '{"Content-Length": "1"}'}) == (
        "headers holds Host, which the client sets itself: remove it",
        "headers holds Content-Type: use the option contentType",
        "secretHeaders holds Content-Length, which the client sets itself: remove it",
    )
    assert problems({"headers": '{"X-A": "1"}', "secretHeaders": '{"x-a": "2"}'}) == (
        "x-a stands in headers and in secretHeaders: keep one of them",
    )


@pytest.mark.parametrize("name", ["api_key", "apiKey", "access_token", "client_secret", "password", "X-Api-Key"])
def test_a_credential_in_the_query_is_refused(name: str) -> None:
    """In params and in the URL."""
    cure = "which carries a credential: use auth.type=apiKey with auth.in=query, auth.name and auth.token"
    assert problems({"params": {name: "hunter2"}}) == (f"params holds {name}, {cure}",)
    assert problems({"url": f"https://h/x?a=1&{name}=hunter2"}) == (f"the query of url holds {name}, {cure}",)


def test_a_page_token_in_the_query_is_none_of_these() -> None:
    """Names that can mean something else are left alone."""
    assert problems({"params": {"token": "abc", "pageToken": "x", "key": "y", "secretary": "z"}}) == ()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {"successCodes": "2XX,409", "retry.codes": "409,503"},
            "409 stands in successCodes and in retry.codes: keep one of them",
        ),
        ({"rateLimitTasks": "4"}, "rateLimitTasks does nothing without rateLimit"),
        ({"rateLimit": "1/s", "rateLimitTasks": "0"}, "rateLimitTasks: must be at least 1"),
        ({"retry.maxAttempts": "0"}, "retry.maxAttempts: must be at least 1"),
        ({"concurrency": "10001"}, "concurrency: '10001' is neither auto nor a number from 1 to 10000"),
        ({"tls.keyFile": "/k"}, "tls.keyFile does nothing without tls.cert"),
        ({"tls.keyPassword": "env:P"}, "tls.keyPassword does nothing without tls.cert"),
        ({"tls.ca": "/ca", "tls.verify": "false"}, "tls.ca does nothing with tls.verify=false: remove one of them"),
        ({"tls.minVersion": "1.1"}, "tls.minVersion: '1.1' is none of 1.2, 1.3"),
        ({"transport": "curl"}, "transport: 'curl' is none of auto, libcurl, aiohttp"),
    ],
)
def test_contradictions_are_refused(raw: dict[str, str], expected: str) -> None:
    """One sentence each."""
    assert problems(raw) == (expected,)


@pytest.mark.parametrize(
    "raw",
    [
        {"successCodes": "2XX,429"},
        {"rateLimit": "1/s", "rateLimitTasks": "4"},
        {"retry.maxAttempts": "1"},
        {"tls.cert": "/c", "tls.keyFile": "/k", "tls.keyPassword": "env:P", "tls.ca": "/ca"},
    ],
)
def test_what_belongs_together_is_accepted(raw: dict[str, str]) -> None:
    """A default gives way to what was said."""
    assert problems(raw) == ()


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("token", "auth.token"),
        ("apiKey", "auth.token"),
        ("maxRetries", "retry.maxAttempts"),
        ("retries", "retry.maxAttempts"),
        ("timeout", "timeout.total"),
        ("password", "auth.password"),
        ("clientSecret", "auth.clientSecret"),
        ("authorization", "secretHeaders"),
        ("verify_ssl", "tls.verify"),
        ("requestsPerSecond", "rateLimit"),
        ("endpoint", "url"),
        ("maxattempts", "retry.maxAttempts"),
    ],
)
def test_names_of_other_tools_lead_to_ours(key: str, wanted: str) -> None:
    """What people try first is answered with the name to use."""
    assert problems({key.lower(): "hunter2"}) == (f"{key.lower()} is unknown: did you mean {wanted}?",)


def test_following_links_is_for_reading() -> None:
    """A write never follows a redirect, so it refuses options about that."""
    raw = {"crossOrigin": "stripAuth", "allowedHosts": "cdn.example.com"}
    assert problems(raw, use="read") == ()
    assert problems(raw, use="write") == (
        "allowedHosts is for reading, reading a stream and request(), not for writing",
        "crossOrigin is for reading and reading a stream, not for writing",
    )
