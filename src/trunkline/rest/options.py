"""The options of the format `rest`.

    options = write_options({"url": "https://api.example.com/users", "auth.type": "bearer", "auth.token": "env:TOKEN"})

`TABLE` declares them, `WRITE_RULES` says what they demand of each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from trunkline.http.kinds import COLUMN, HEADER
from trunkline.http.options import AUTH, ENGINE, REQUEST
from trunkline.http.options import RULES as HTTP_RULES
from trunkline.kinds import BOOLEAN, CHOICE, FLUSH, INTEGER, NAMES, SIZE, TEXT, Kind, json_object
from trunkline.options import Option, Options, parse

# Where the rows go in `batch.envelope`.
ROWS = "{rows}"
WRITES = ("write",)
_LOG_CHOICES = ("never", "onError", "always")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Envelope(NamedTuple):
    """The JSON text before and after the array of rows."""

    prefix: str
    suffix: str


def envelope(given: object) -> Envelope:
    """A JSON object that holds `"{rows}"` once, where the array of rows goes: `{"records": "{rows}"}`.

    Raises:
        ValueError: It is no JSON object, or does not say where the rows go.
    """
    text = json.dumps(json_object(given), separators=(",", ":"), ensure_ascii=False)
    prefix, rows, suffix = text.partition(f'"{ROWS}"')
    if not rows or f'"{ROWS}"' in suffix or suffix.startswith(":"):
        message = f'must be a JSON object that holds "{ROWS}" once, as in {{"records": "{ROWS}"}}'
        raise ValueError(message)
    return Envelope(prefix, suffix)


ENVELOPE = Kind("JSON object", envelope, {"type": ["object", "string"]})

WRITE = (
    Option(
        "method", CHOICE, "The method of every request.", "POST", choices=("GET", "POST", "PUT", "PATCH", "DELETE"),
        group="Request", applies=WRITES, known_as=("httpMethod", "verb"),
    ),
    Option(
        "methodColumn", TEXT, "A column that holds each row's method.", example="op", group="Request", applies=WRITES,
    ),
    Option(
        "body.type", CHOICE, "What the body is made of.", "json", choices=("json", "form", "text", "none"),
        group="Body", applies=WRITES, known_as=("body", "bodyFormat", "payloadFormat", "payload"),
    ),
    Option(
        "bodyColumn", TEXT, "A column that holds a ready-made body: the fast way, with `to_json(struct(\"*\"))`.",
        example="payload", group="Body", applies=WRITES, known_as=("payloadColumn", "valueColumn", "dataColumn"),
    ),
    Option(
        "bodyColumns", NAMES,
        "The columns of the body. Default: all that `url`, `params`, `headers` and `methodColumn` do not use.",
        example="id,name", group="Body", applies=WRITES, known_as=("columns", "fields", "select"),
    ),
    Option(
        "body.nulls", CHOICE, "A null column: written as null, or left out.", "keep", choices=("keep", "omit"),
        group="Body", applies=WRITES, known_as=("ignoreNullFields", "dropNulls", "nulls"),
    ),
    Option(
        "body.nonFinite", CHOICE, "NaN and infinity, which JSON cannot hold: an error, or null.", "fail",
        choices=("fail", "null"), group="Body", applies=WRITES, known_as=("nan", "body.nan"),
    ),
    Option(
        "body.decimals", CHOICE, "A decimal: an exact JSON number, or text.", "number", choices=("number", "string"),
        group="Body", applies=WRITES,
    ),
    Option(
        "body.timestamps", CHOICE, "A timestamp: ISO 8601 text, or a number since 1970.", "iso",
        choices=("iso", "epochSeconds", "epochMillis"), group="Body", applies=WRITES,
        known_as=("timestampFormat", "dateFormat"),
    ),
    Option(
        "contentType", TEXT, "The `Content-Type`. Default: what `body.type` and `batch.format` make.",
        example="application/vnd.api+json", group="Body", applies=WRITES, known_as=("mediaType",),
    ),
    Option(
        "compression", CHOICE, "How bodies are compressed.", "none", choices=("none", "gzip"), group="Body",
        applies=WRITES, known_as=("compress", "codec", "gzip", "contentEncoding"),
    ),
    Option(
        "batch.rows", INTEGER, "The most rows in one request.", "1", minimum=1, group="Batches", applies=WRITES,
        known_as=("batchSize", "batch", "rowsPerRequest", "maxRecords", "chunkSize"),
    ),
    Option(
        "batch.bytes", SIZE, "The most bytes in one body, before compression.", "4MB", minimum=1, group="Batches",
        applies=WRITES, known_as=("maxBatchBytes", "maxBytes", "batch.maxBytes"),
    ),
    Option(
        "batch.format", CHOICE,
        "How rows share a body. Default: `array` where `batch.rows` is above 1; a single row stands bare.",
        choices=("array", "ndjson", "envelope"), group="Batches", applies=WRITES,
    ),
    Option(
        "batch.envelope", ENVELOPE, 'The object around the rows; `"{rows}"` is where their array goes.',
        example='{"records": "{rows}"}', group="Batches", applies=WRITES, known_as=("envelope", "wrapper"),
    ),
    Option(
        "batch.maxSplits", INTEGER,
        "How often a refused batch is halved to find the bad row; then the rest of it is refused. 0: never.", "64",
        minimum=0, group="Batches", applies=WRITES,
    ),
    Option(
        "results.path", TEXT, "Where an answer lists the fate of each row: a dotted path, `$` for the answer itself.",
        example="items", group="Batches", applies=WRITES, known_as=("results",),
    ),
    Option(
        "results.id", TEXT, "The field of an entry that names its row. Default: by position.", example="id",
        group="Batches", applies=WRITES,
    ),
    Option(
        "results.ok", TEXT, "The field that says accepted: true, or a status in `successCodes`.", example="status",
        group="Batches", applies=WRITES,
    ),
    Option(
        "results.error", TEXT, "The field that holds the reason; where it is set, the row was refused.",
        example="error.message", group="Batches", applies=WRITES,
    ),
    Option(
        "onError", CHOICE, "A row that is refused for good: fails the write, or goes to `responses`.", "fail",
        choices=("fail", "deadLetter"), group="Failures", applies=WRITES,
        known_as=("errorMode", "failOnError", "errorHandling", "onFailure", "ignoreErrors"),
    ),
    Option(
        "maxFailedRows", INTEGER, "With `deadLetter`, fail the write when more rows than this were refused.",
        minimum=0, example="1000", group="Failures", applies=WRITES, known_as=("maxErrors", "maxFailures"),
    ),
    Option(
        "responses", TEXT, "Where the response log is kept: a folder or URI.", example="/data/responses/users",
        group="Response log", applies=WRITES,
        known_as=("responsePath", "responseTable", "deadLetterPath", "outputPath", "deadLetter", "log.path", "log"),
    ),
    Option(
        "log.body", CHOICE, "Whose answers' bodies are kept.", "onError", choices=_LOG_CHOICES, group="Response log",
        applies=WRITES, known_as=("includeBody", "logResponses"),
    ),
    Option(
        "log.row", CHOICE, "Which rows are kept.", "onError", choices=_LOG_CHOICES, group="Response log",
        applies=WRITES,
    ),
    Option(
        "log.flush", FLUSH, "When the log is written: after this long, or this many rows.", "1s,5000",
        group="Response log", applies=WRITES, known_as=("flushInterval",),
    ),
    Option(
        "keyColumns", NAMES, "The columns that identify a row.", example="id", group="Identity", applies=WRITES,
        known_as=("key", "keys", "primaryKey", "idColumn", "keyColumn", "mergeKeys"),
    ),
    Option(
        "orderColumn", TEXT, "Rows with equal `keyColumns` go out in the order of this column.",
        example="updated_at", group="Identity", applies=WRITES, known_as=("orderBy", "sortColumn", "sequenceColumn"),
    ),
    Option(
        "runId", TEXT, "Names the write, so that a later run knows what it sent. Default: made anew for each write.",
        example="2026-11-21", group="Identity", applies=WRITES,
    ),
    Option(
        "idempotency.header", HEADER, "The header that carries a key which is the same for every try.",
        example="Idempotency-Key", group="Identity", applies=WRITES,
        known_as=("idempotencyKey", "idempotent", "idempotency"),
    ),
    Option(
        "idempotency.quote", BOOLEAN, "Write the key in quotes, as the IETF draft has it.", "false", group="Identity",
        applies=WRITES,
    ),
)  # fmt: skip

TABLE = (*REQUEST, *WRITE, *AUTH, *ENGINE)


def write_options(raw: Mapping[str, Any]) -> Options:
    """The options of a write, batch or stream, checked. Credentials are not looked up yet: see `Options.resolved`.

    Raises:
        OptionError: With every problem at once.
    """
    return parse(TABLE, raw, format="rest", use="write", rules=WRITE_RULES)


def columns_of(template: str) -> tuple[str, ...]:
    """The columns that a template of `url`, `params` or `headers` takes: `/users/{id}` takes `id`."""
    return tuple(dict.fromkeys(COLUMN.findall(template)))


def batch_format(options: Options) -> str | None:
    """`array`, `ndjson`, `envelope`, or None where each body is one bare row."""
    if options["batch.format"]:
        return str(options["batch.format"])
    return "array" if options["batch.rows"] > 1 else None


def content_type(options: Options) -> str | None:
    """The `Content-Type` of the bodies; None where there is no body."""
    if options["contentType"]:
        return str(options["contentType"])
    if options["body.type"] == "json" and batch_format(options) == "ndjson":
        return "application/x-ndjson"
    return {
        "json": "application/json",
        "form": "application/x-www-form-urlencoded",
        "text": "text/plain; charset=utf-8",
        "none": None,
    }[options["body.type"]]


def template_rule(options: Options) -> Iterator[str]:
    """Braces in templates come in pairs, with a column's name between."""
    values = [("url", options["url"])]
    values += [(f"params {name}", value) for name, value in options["params"] or ()]
    values += [(f"headers {name}", value) for name, value in (options["headers"] or {}).items()]
    for where, value in values:
        rest = COLUMN.sub("", value)
        if "{" in rest or "}" in rest:
            yield f"{where} holds a brace that is not part of {{column}}"


def shared_request_rule(options: Options) -> Iterator[str]:
    """Rows of one request share its method, URL and headers."""
    if options["batch.rows"] == 1:
        return
    reason = "the rows of one request share it: set batch.rows=1 or leave it literal"
    if columns := columns_of(options["url"]):
        yield f"url takes a value from each row ({', '.join(columns)}), but batch.rows is above 1 and {reason}"
    for name, value in options["params"] or ():
        if columns_of(value):
            yield f"params {name} takes a value from each row, but batch.rows is above 1 and {reason}"
    for name, value in (options["headers"] or {}).items():
        if columns_of(value):
            yield f"headers {name} takes a value from each row, but batch.rows is above 1 and {reason}"
    if options.given("methodColumn"):
        yield "methodColumn gives each row a method, but batch.rows is above 1 and the rows of one request share it"


def method_rule(options: Options) -> Iterator[str]:
    """One source of the method."""
    if options.given("methodColumn") and options.given("method"):
        yield "method and methodColumn exclude each other: keep one of them"


def body_rule(options: Options) -> Iterator[str]:
    """The parts of a body that go together."""
    kind = options["body.type"]
    if options.given("bodyColumn") and options.given("bodyColumns"):
        yield "bodyColumn and bodyColumns exclude each other: keep one of them"
    if options.given("bodyColumn") and kind == "form":
        yield "bodyColumn holds a ready-made body, which body.type=form would build: use body.type=text or bodyColumns"
    if kind == "text" and len(options["bodyColumns"] or ("one",)) > 1:
        yield "body.type=text sends one column: name it in bodyColumn"
    if kind == "none":
        for name in ("bodyColumn", "bodyColumns", "contentType", "compression"):
            if options.given(name) and options[name] != "none":
                yield f"{name} does nothing with body.type=none"


def body_values_rule(options: Options) -> Iterator[str]:
    """How values are written matters only where values are written."""
    ready = options["body.type"] in {"text", "none"} or options.given("bodyColumn")
    for name in ("body.nulls", "body.nonFinite", "body.decimals", "body.timestamps"):
        if options.given(name) and ready:
            yield f"{name} does nothing here: no column is turned into {_written(options['body.type'])}"


def batch_rule(options: Options) -> Iterator[str]:
    """What a batch needs, and what only a batch needs."""
    many = options["batch.rows"] > 1
    shape = options["batch.format"]
    kind = options["body.type"]
    if kind in {"none", "form"} and (many or shape):
        yield f"body.type={kind} cannot hold several rows: leave out batch.* or use body.type=json"
    if kind == "text" and many and shape != "ndjson":
        yield "body.type=text puts several rows on lines of their own: set batch.format=ndjson"
    if kind == "text" and shape in {"array", "envelope"} and not many:
        yield f"batch.format={shape} is JSON: use body.type=json"
    if shape == "envelope" and not options.given("batch.envelope"):
        yield 'batch.envelope is missing: batch.format=envelope needs it, as in {"records": "{rows}"}'
    if options.given("batch.envelope") and shape != "envelope":
        yield "batch.envelope does nothing without batch.format=envelope"
    if not many:
        for name in ("batch.bytes", "batch.maxSplits"):
            if options.given(name):
                yield f"{name} does nothing while batch.rows is 1: give batch.rows"


def results_rule(options: Options) -> Iterator[str]:
    """`results.*` read the answer to a batch."""
    given = [name for name in ("results.path", "results.id", "results.ok", "results.error") if options.given(name)]
    if not given:
        return
    if options["batch.rows"] == 1:
        yield f"{', '.join(given)}: the answer to a single row needs no results.*: give batch.rows or leave them out"
    if "results.path" not in given:
        yield f"results.path is missing: {', '.join(given)} need it, $ where the answer itself is the list"
    elif not {"results.ok", "results.error"} & set(given):
        yield "results.path needs results.ok or results.error, or no row could be told from another"


def error_rule(options: Options) -> Iterator[str]:
    """Dead letters have a place, and a limit belongs to them."""
    if options["onError"] == "deadLetter" and not options.given("responses"):
        yield "onError=deadLetter needs responses: that is where the refused rows go"
    if options["onError"] == "deadLetter" and options["log.row"] == "never":
        yield "onError=deadLetter with log.row=never would keep the refused rows nowhere: use onError or always"
    if options.given("maxFailedRows") and options["onError"] != "deadLetter":
        yield "maxFailedRows does nothing without onError=deadLetter: the first refused row fails the write"


def log_rule(options: Options) -> Iterator[str]:
    """What the log holds matters only where there is one."""
    for name in ("log.body", "log.row", "log.flush"):
        if options.given(name) and not options.given("responses"):
            yield f"{name} does nothing without responses"


def responses_rule(options: Options) -> Iterator[str]:
    """The log is files, not a service."""
    if re.match(r"https?://", options["responses"] or "", re.IGNORECASE):
        yield "responses is a folder or the URI of an object store, not a web address"
    parts = urlsplit(options["responses"] or "")
    if parts.username or parts.password or re.search("secret|token|password|key=", parts.query, re.IGNORECASE):
        yield "responses holds a credential: leave it to the environment of driver and workers"


def identity_rule(options: Options) -> Iterator[str]:
    """What identifies a row, and what needs that."""
    if options.given("orderColumn") and not options.given("keyColumns"):
        yield "orderColumn needs keyColumns: only rows with equal keys are kept in order"
    if options.given("orderColumn") and options["orderColumn"] in (options["keyColumns"] or ()):
        yield "orderColumn is one of keyColumns: rows with equal keys would all be equal in it"
    if options.given("runId") and not _RUN_ID.fullmatch(options["runId"]):
        yield "runId: letters, digits, dots, hyphens and underscores, at most 128"


def idempotency_rule(options: Options) -> Iterator[str]:
    """The key has a header of its own."""
    header = options["idempotency.header"]
    if options.given("idempotency.quote") and not header:
        yield "idempotency.quote does nothing without idempotency.header"
    for group in ("headers", "secretHeaders"):
        if header and header.lower() in map(str.lower, options[group] or ()):
            yield f"{group} holds {header}, which idempotency.header sets: keep one of them"


def delivery_rule(options: Options) -> Iterator[str]:
    """Spark replays a failed task; without a memory it would send everything again."""
    if options["delivery"] == "atMostOnce" and not (options.given("responses") or options.given("idempotency.header")):
        yield "delivery=atMostOnce needs responses or idempotency.header: without them a repeated task sends again"


WRITE_RULES = (
    *HTTP_RULES,
    template_rule,
    shared_request_rule,
    method_rule,
    body_rule,
    body_values_rule,
    batch_rule,
    results_rule,
    error_rule,
    log_rule,
    responses_rule,
    identity_rule,
    idempotency_rule,
    delivery_rule,
)


def _written(kind: str) -> str:
    return "JSON" if kind == "json" else f"a {kind} body"
