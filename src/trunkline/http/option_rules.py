"""What the options of the HTTP engine demand of each other.

    options = parse(TABLE, raw, format="splunk", use="write", rules=(*RULES, *own_rules))

Each rule yields a sentence for everything that is wrong; the tables stand in `options`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus, urlsplit

from trunkline.http.kinds import header_name
from trunkline.http.options import AUTH, COORDINATOR
from trunkline.options import Options

# Headers that carry a credential by definition, and the names that common APIs use for one.
_CREDENTIAL_HEADER = re.compile(
    r"(proxy-)?authorization|cookie|x-auth"
    r"|.*(token|secret|password|credential|(api|access|auth|subscription|functions)[-_]?key).*",
    re.IGNORECASE,
)
# Query parameters that can hold nothing but a credential. `token` alone is not one: page tokens are called so.
_CREDENTIAL_PARAM = re.compile(
    r"(x-)?api[-_]?key|access[-_]?token|auth[-_]?token|client[-_]?secret|password|passwd|secret", re.IGNORECASE
)
_FINGERPRINT = re.compile(r"[0-9a-fA-F]{64}")
# The client computes these from the request itself; a second opinion breaks the message.
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect"}
)
_ELSEWHERE = {"content-type": "contentType", "content-encoding": "compression"}
_KEY_IN_QUERY = "use auth.type=apiKey with auth.in=query, auth.name and auth.token"
# What each way to authenticate needs, and what else it takes.
_AUTH_NEEDS = {
    "none": (),
    "basic": ("auth.username", "auth.password"),
    "bearer": ("auth.token",),
    "apiKey": ("auth.token",),
    "client_credentials": ("auth.tokenUrl", "auth.clientId", "auth.clientSecret"),
    "password": ("auth.tokenUrl", "auth.clientId", "auth.username", "auth.password"),
    "refresh_token": ("auth.tokenUrl", "auth.clientId", "auth.refreshToken"),
}
_AUTH_TAKES = {
    "apiKey": ("auth.name", "auth.in"),
    "client_credentials": ("auth.grant", "auth.scope", "auth.clientAuth"),
    "password": ("auth.grant", "auth.scope", "auth.clientAuth", "auth.clientSecret"),
    "refresh_token": ("auth.grant", "auth.scope", "auth.clientAuth", "auth.clientSecret"),
}
# What `auth.type` was meant, where another `auth.*` option gives it away.
_MEANT = {
    "auth.token": "bearer (or apiKey)",
    "auth.username": "basic",
    "auth.password": "basic",
    "auth.name": "apiKey",
    "auth.in": "apiKey",
}


def auth_rule(options: Options) -> Iterator[str]:
    """Every way to authenticate has what it needs and nothing else."""
    kind = options["auth.type"]
    way = options["auth.grant"] if kind == "oauth2" else kind
    spoken = f"auth.type={kind}" + (f" with auth.grant={way}" if kind == "oauth2" else "")
    for name in _AUTH_NEEDS[way]:
        if not options.given(name):
            yield f"{name} is missing: {spoken} needs {' and '.join(_AUTH_NEEDS[way])}"
    belonging = {"auth.type", *_AUTH_NEEDS[way], *_AUTH_TAKES.get(way, ())}
    for option in AUTH:
        if options.given(option.name) and option.name not in belonging:
            if kind == "none":
                yield f"{option.name} is given but auth.type is none: set auth.type={_MEANT.get(option.name, 'oauth2')}"
            else:
                yield f"{option.name} does not belong to {spoken}"
    if kind == "basic" and ":" in (options["auth.username"] or ""):
        yield "auth.username holds a colon, which HTTP Basic takes for the start of the password"
    if kind == "apiKey" and options["auth.in"] == "query" and not options.given("auth.name"):
        yield "auth.name is missing: name the query parameter that carries the key"
    if kind == "apiKey" and options["auth.in"] == "header":
        try:
            header_name(options["auth.name"])
        except ValueError as error:
            yield f"auth.name: {error}"


def auth_header_rule(options: Options) -> Iterator[str]:
    """No header is set both by hand and by `auth.*`."""
    kind = options["auth.type"]
    if kind == "none" or (kind == "apiKey" and options["auth.in"] == "query"):
        return
    name = options["auth.name"] if kind == "apiKey" else "Authorization"
    for other in ("headers", "secretHeaders"):
        if name.lower() in map(str.lower, options[other] or ()):
            yield f"{other} holds {name}, which auth.type={kind} sets: keep one of them"


def headers_rule(options: Options) -> Iterator[str]:
    """Headers hold no credential and nothing the client sets itself."""
    for name in options["headers"] or ():
        if _CREDENTIAL_HEADER.fullmatch(name):
            cure = "auth.* or secretHeaders" if name.lower() == "authorization" else "secretHeaders"
            yield f"headers holds {name}, which carries a credential: give it in {cure}"


def own_headers_rule(options: Options) -> Iterator[str]:
    """Headers that the client sets from the request, or that have an option of their own."""
    for group in ("headers", "secretHeaders"):
        for name in options[group] or ():
            if name.lower() in _OWN_HEADERS:
                yield f"{group} holds {name}, which the client sets itself: remove it"
            elif name.lower() in _ELSEWHERE:
                yield f"{group} holds {name}: use the option {_ELSEWHERE[name.lower()]}"
    twice = set(map(str.lower, options["headers"] or ())) & set(map(str.lower, options["secretHeaders"] or ()))
    for lower in sorted(twice):
        yield f"{lower} stands in headers and in secretHeaders: keep one of them"


def params_rule(options: Options) -> Iterator[str]:
    """No credential in the query, where every log on the way would see it."""
    for name in dict.fromkeys(name for name, _ in options["params"] or ()):
        if _CREDENTIAL_PARAM.fullmatch(name):
            yield f"params holds {name}, which carries a credential: {_KEY_IN_QUERY}"


def url_rule(options: Options) -> Iterator[str]:
    """As `params_rule`, for the query that stands in the URL."""
    for pair in urlsplit(options["url"]).query.split("&"):
        name = unquote_plus(pair.partition("=")[0])
        if _CREDENTIAL_PARAM.fullmatch(name):
            yield f"the query of url holds {name}, which carries a credential: {_KEY_IN_QUERY}"


def codes_rule(options: Options) -> Iterator[str]:
    """No status means both accepted and try again. A default gives way to what was said."""
    if options.given("successCodes") and options.given("retry.codes"):
        both = sorted(options["successCodes"] & options["retry.codes"])
        if both:
            yield f"{', '.join(map(str, both))} stands in successCodes and in retry.codes: keep one of them"


def rate_rule(options: Options) -> Iterator[str]:
    """`rateLimitTasks` divides a rate."""
    if options.given("rateLimitTasks") and not options.given("rateLimit"):
        yield "rateLimitTasks does nothing without rateLimit"


def coordinator_rule(options: Options) -> Iterator[str]:
    """A coordinator is known by address, key and certificate, and keeps the rate by itself."""
    names = [option.name for option in COORDINATOR]
    given = [name for name in names if options.given(name)]
    if not given:
        return
    if len(given) < len(names):
        yield f"{' and '.join(name for name in names if name not in given)} is missing: give all of c.options"
    if options["coordinator.url"] and not options["coordinator.url"].startswith("https://"):
        yield "coordinator.url must begin with https://"
    fingerprint = options["coordinator.fingerprint"]
    if fingerprint and not _FINGERPRINT.fullmatch(fingerprint):
        yield "coordinator.fingerprint is no SHA-256: 64 hexadecimal digits"
    if options.given("rateLimitTasks"):
        yield "rateLimitTasks does nothing with a coordinator: it sees the tasks"


def tls_rule(options: Options) -> Iterator[str]:
    """Certificates come with what they need and are not switched off beside."""
    if options.given("tls.keyFile") and not options.given("tls.cert"):
        yield "tls.keyFile does nothing without tls.cert"
    if options.given("tls.keyPassword") and not options.given("tls.cert"):
        yield "tls.keyPassword does nothing without tls.cert"
    if options.given("tls.ca") and not options["tls.verify"]:
        yield "tls.ca does nothing with tls.verify=false: remove one of them"


RULES = (
    url_rule,
    headers_rule,
    own_headers_rule,
    params_rule,
    auth_rule,
    auth_header_rule,
    codes_rule,
    rate_rule,
    tls_rule,
    coordinator_rule,
)
