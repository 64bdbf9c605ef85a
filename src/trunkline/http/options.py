"""The options of the HTTP engine, the same in every format that uses it, and what they demand of each other.

    TABLE = (*REQUEST, *AUTH, *ENGINE, *own_options)
    options = parse(TABLE, raw, format="splunk", use="write", rules=(*RULES, *own_rules))

Options may only stand in a table if the engine keeps them: one that does nothing is refused, not accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus, urlsplit

from trunkline.http.kinds import CODES, HEADERS, HOSTS, PARAMS, PROXY, SECRET_HEADERS, URL, header_name
from trunkline.kinds import BOOLEAN, CHOICE, CONCURRENCY, CREDENTIAL, DOOR, DURATION, INTEGER, RATES, SIZE, TEXT
from trunkline.options import Option, Options

READS = ("read", "stream")
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

REQUEST = (
    Option(
        "url", URL,
        "Where requests go. `{column}`, or `{partition}` in a read, fills a path segment or a query value, encoded.",
        required=True, example="https://api.example.com/users/{id}", group="Request",
        known_as=("uri", "endpoint", "baseUrl", "host", "address", "rest.url"),
    ),
    Option(
        "params", PARAMS,
        "Query parameters. A list repeats its name; `{column}` takes a row's value, `{partition}` a read's.",
        example='{"source": "spark", "tag": ["a", "b"]}', group="Request",
        known_as=("query", "queryParams", "queryParameters", "parameters"),
    ),
    Option(
        "headers", HEADERS,
        "Request headers. `{column}` and `{partition}` as in `params`. Credentials go into `secretHeaders`.",
        example='{"X-Source": "spark"}', group="Request",
        known_as=("header", "httpHeaders", "requestHeaders", "customHeaders"),
    ),
    Option(
        "secretHeaders", SECRET_HEADERS, "Headers that hold a credential; each value may be a reference.",
        example='{"X-Session-Token": "env:SESSION_TOKEN"}', group="Request",
        known_as=("authHeaders", "authorization", "cookie", "cookies"),
    ),
)  # fmt: skip

AUTH = (
    Option(
        "auth.type", CHOICE, "How requests are authenticated.", "none",
        choices=("none", "basic", "bearer", "apiKey", "oauth2"), later=("azure", "databricks", "aws"),
        group="Authentication", known_as=("auth", "authentication", "authMethod", "authentication.type"),
    ),
    Option(
        "auth.username", TEXT, "User name, for `basic` and for the grant `password`.", example="loader",
        group="Authentication", known_as=("username", "user", "login"),
    ),
    Option(
        "auth.password", CREDENTIAL, "Its password.", example="env:API_PASSWORD", group="Authentication",
        known_as=("password", "pass", "passwd"),
    ),
    Option(
        "auth.token", CREDENTIAL, "The token of `bearer`, the key of `apiKey`.", example="env:API_TOKEN",
        group="Authentication",
        known_as=("token", "apiKey", "accessToken", "bearerToken", "auth.apiKey", "auth.key"),
    ),
    Option(
        "auth.name", TEXT, "The header or query parameter that carries the key of `apiKey`.", "X-Api-Key",
        group="Authentication", known_as=("apiKeyHeader", "apiKeyName", "auth.header", "auth.headerName"),
    ),
    Option(
        "auth.in", CHOICE, "Where the key of `apiKey` goes.", "header", choices=("header", "query"),
        group="Authentication", known_as=("auth.location", "apiKeyLocation"),
    ),
    Option(
        "auth.tokenUrl", URL, "The token endpoint of `oauth2`.", example="https://login.example.com/oauth2/token",
        group="Authentication", known_as=("tokenUrl", "tokenEndpoint", "accessTokenUrl", "auth.tokenEndpoint"),
    ),
    Option(
        "auth.clientId", TEXT, "The client of `oauth2`.", example="trunkline", group="Authentication",
        known_as=("clientId",),
    ),
    Option(
        "auth.clientSecret", CREDENTIAL, "Its secret.", example="file:/run/secrets/client", group="Authentication",
        known_as=("clientSecret",),
    ),
    Option(
        "auth.scope", TEXT, "The scopes asked for, separated by spaces.", example="rows.write", group="Authentication",
        known_as=("scope", "scopes", "auth.scopes"),
    ),
    Option(
        "auth.grant", CHOICE, "The grant of `oauth2`.", "client_credentials",
        choices=("client_credentials", "password", "refresh_token"), group="Authentication",
        known_as=("grantType", "auth.grantType"),
    ),
    Option(
        "auth.refreshToken", CREDENTIAL, "The token of the grant `refresh_token`.", example="env:REFRESH_TOKEN",
        group="Authentication", known_as=("refreshToken",),
    ),
    Option(
        "auth.clientAuth", CHOICE, "How the client shows its secret: HTTP Basic or in the body.", "basic",
        choices=("basic", "post"), group="Authentication",
    ),
)  # fmt: skip

ENGINE = (
    Option(
        "concurrency", CONCURRENCY, "Requests in flight per task; `auto` finds what the server bears.", "auto",
        group="Pace",
        known_as=("maxConcurrency", "parallelism", "maxConnections", "poolSize", "connections", "maxInFlight"),
    ),
    Option(
        "rateLimit", RATES, "The most requests the whole query may send; several windows with commas.",
        example="10/s,5000/h", group="Pace",
        known_as=("rate", "rps", "qps", "requestsPerSecond", "maxRequestsPerSecond", "throttle", "rateLimit.requests"),
    ),
    Option(
        "rateLimitTasks", INTEGER, "How many tasks run at once, so that each takes its share of `rateLimit`.",
        minimum=1, example="8", group="Pace",
    ),
    Option(
        "timeout.connect", DURATION, "For a connection.", "10s", minimum=0.001, group="Time",
        known_as=("connectTimeout", "connectionTimeout"),
    ),
    Option(
        "timeout.read", DURATION, "Between two pieces of an answer.", "60s", minimum=0.001, group="Time",
        known_as=("readTimeout", "socketTimeout"),
    ),
    Option(
        "timeout.total", DURATION, "For one request with its answer.", "300s", minimum=0.001, group="Time",
        known_as=("timeout", "requestTimeout", "timeoutSeconds", "timeoutMs"),
    ),
    Option(
        "deadline", DURATION, "How long a task waits for a server that is not well.", "10m", minimum=0.001,
        group="Time", known_as=("maxWait", "retry.deadline", "retry.timeout"),
    ),
    Option(
        "retry.maxAttempts", INTEGER, "Tries per request, the first one included.", "5", minimum=1, group="Retry",
        known_as=("retries", "retry", "maxRetries", "numRetries", "retry.max", "retryCount", "attempts"),
    ),
    Option(
        "retry.codes", CODES, "Statuses worth another try.", "408,425,429,500,502,503,504", group="Retry",
        known_as=("retryStatusCodes", "retryOn", "statusForcelist", "retry.statuses"),
    ),
    Option(
        "retry.maxDelay", DURATION, "The longest back-off between two tries.", "30s", group="Retry",
        known_as=("maxBackoff", "retryDelay", "backoff", "retry.backoff", "backoffFactor"),
    ),
    Option(
        "retry.maxRetryAfter", DURATION, "The longest `Retry-After` that is waited for; a longer one fails now.",
        "600s", group="Retry", known_as=("retryAfter", "maxRetryAfter"),
    ),
    Option(
        "delivery", CHOICE, "`atMostOnce` never repeats a request that the server may have acted on.", "atLeastOnce",
        choices=("atLeastOnce", "atMostOnce"), group="Retry", applies=("write", "request"),
        known_as=("deliveryGuarantee", "semantics", "guarantee"),
    ),
    Option(
        "successCodes", CODES, "Statuses that mean accepted: codes, classes, exclusions.", "2XX",
        example="2XX,404,!203", group="Answers",
        known_as=("success", "successStatus", "expectedStatus", "okCodes", "acceptCodes"),
    ),
    Option(
        "maxResponseBytes", SIZE, "The largest answer, as it travels and decoded.", "64MiB", minimum=1, group="Answers",
        known_as=("maxResponseSize", "responseLimit"),
    ),
    Option(
        "allowedHosts", HOSTS, "Other hosts to which links and redirects are followed with credentials.",
        example="cdn.example.com,10.0.0.7:8443", group="Answers", applies=(*READS, "request"),
    ),
    Option(
        "crossOrigin", CHOICE, "A link to any other host: an error, or followed without credentials.", "error",
        choices=("error", "stripAuth"), group="Answers", applies=READS, known_as=("followRedirects", "redirects"),
    ),
    Option(
        "prepare", DOOR, "`prepare(request, row) -> request`, called before authentication.",
        example="my_package.doors:prepare", group="Doors",
    ),
    Option(
        "judge", DOOR, "`judge(response) -> verdict or None`, asked before the rules above.",
        example="my_package.doors:judge", group="Doors",
    ),
    Option(
        "tls.ca", TEXT, "A PEM file with the authorities to trust.", example="/etc/ssl/own-ca.pem", group="Connection",
        known_as=("caCert", "caBundle", "tls.caFile", "ssl.ca", "ssl.truststore"),
    ),
    Option(
        "tls.cert", TEXT, "A PEM file with the client certificate.", example="/etc/ssl/client.pem", group="Connection",
        known_as=("clientCert", "cert", "tls.certFile", "ssl.keystore"),
    ),
    Option(
        "tls.keyFile", TEXT, "A PEM file with its key, where `tls.cert` does not hold it.",
        example="/etc/ssl/client.key", group="Connection", known_as=("clientKey", "tls.key", "ssl.key"),
    ),
    Option(
        "tls.keyPassword", CREDENTIAL, "The password of the key.", example="env:KEY_PASSWORD", group="Connection",
    ),
    Option(
        "tls.verify", BOOLEAN, "Whether the server's certificate is checked.", "true", group="Connection",
        known_as=("verify", "verifySsl", "sslVerify", "insecure"),
    ),
    Option(
        "tls.minVersion", CHOICE, "The oldest TLS that is spoken.", "1.2", choices=("1.2", "1.3"), group="Connection",
    ),
    Option(
        "proxy.url", PROXY, "An HTTP proxy. Default: the environment's `HTTPS_PROXY` and `NO_PROXY`.",
        example="http://proxy.example.com:3128", group="Connection",
        known_as=("proxy", "httpProxy", "httpsProxy", "proxy.host"),
    ),
    Option(
        "transport", CHOICE, "What moves the bytes; auto is libcurl where `trunkline[fast]` is installed.", "auto",
        choices=("auto", "libcurl", "aiohttp"), group="Connection",
        known_as=("httpClient", "client", "engine"),
    ),
)  # fmt: skip

COORDINATOR = (
    Option(
        "coordinator.url", URL, "The coordinator of the query. All three come from `c.options`.",
        example="https://10.0.0.5:7077", group="Coordinator", known_as=("coordinator",),
    ),
    Option(
        "coordinator.token", CREDENTIAL, "Its key.", example="env:COORDINATOR_TOKEN", group="Coordinator",
        known_as=("coordinator.key",),
    ),
    Option(
        "coordinator.fingerprint", TEXT, "SHA-256 of its certificate, hexadecimal.",
        example="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", group="Coordinator",
        known_as=("coordinator.certificate",),
    ),
)  # fmt: skip

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


_KEY_IN_QUERY = "use auth.type=apiKey with auth.in=query, auth.name and auth.token"

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
