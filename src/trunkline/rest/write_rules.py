"""What the options of a write demand of each other: each rule yields sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from trunkline.http.kinds import COLUMN
from trunkline.http.option_rules import RULES as HTTP_RULES
from trunkline.options import Options
from trunkline.rest.write_options import columns_of

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


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
