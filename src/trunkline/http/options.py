"""The options of the HTTP engine, the same in every format that uses it.

    TABLE = (*REQUEST, *AUTH, *ENGINE, *own_options)
    options = parse(TABLE, raw, format="splunk", use="write", rules=(*RULES, *own_rules))

What they demand of each other stands in `option_rules`.

Options may only stand in a table if the engine keeps them: one that does nothing is refused, not accepted.
"""

from __future__ import annotations

from trunkline.http.kinds import CODES, HEADERS, HOSTS, PARAMS, PROXY, SECRET_HEADERS, URL
from trunkline.kinds import BOOLEAN, CHOICE, CONCURRENCY, CREDENTIAL, DOOR, DURATION, INTEGER, RATES, SIZE, TEXT
from trunkline.options import Option

READS = ("read", "stream")

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
