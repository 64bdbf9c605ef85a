"""The options of `rest` that are for writing, and what follows from them."""

from __future__ import annotations

import json
from typing import NamedTuple

from trunkline.http.kinds import COLUMN, HEADER
from trunkline.kinds import BOOLEAN, CHOICE, FLUSH, INTEGER, NAMES, SIZE, TEXT, Kind, json_object
from trunkline.options import USES, Option, Options

# Where the rows go in `batch.envelope`.
ROWS = "{rows}"
WRITES = ("write",)
# What turns rows into requests is for `request()` too.
SENDS = ("write", "request")
_LOG_CHOICES = ("never", "onError", "always")


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
        "methodColumn", TEXT, "A column that holds each row's method.", example="op", group="Request", applies=SENDS,
    ),
    Option(
        "body.type", CHOICE, "What the body is made of.", "json", choices=("json", "form", "text", "none"),
        group="Body", applies=WRITES, known_as=("body", "bodyFormat", "payloadFormat", "payload"),
    ),
    Option(
        "bodyColumn", TEXT, "A column that holds a ready-made body: the fast way, with `to_json(struct(\"*\"))`.",
        example="payload", group="Body", applies=SENDS, known_as=("payloadColumn", "valueColumn", "dataColumn"),
    ),
    Option(
        "bodyColumns", NAMES,
        "The columns of the body. Default: all that `url`, `params`, `headers` and `methodColumn` do not use.",
        example="id,name", group="Body", applies=SENDS, known_as=("columns", "fields", "select"),
    ),
    Option(
        "body.nulls", CHOICE, "A null column: written as null, or left out.", "keep", choices=("keep", "omit"),
        group="Body", applies=SENDS, known_as=("ignoreNullFields", "dropNulls", "nulls"),
    ),
    Option(
        "body.nonFinite", CHOICE, "NaN and infinity, which JSON cannot hold: an error, or null.", "fail",
        choices=("fail", "null"), group="Body", applies=SENDS, known_as=("nan", "body.nan"),
    ),
    Option(
        "body.decimals", CHOICE, "A decimal: an exact JSON number, or text.", "number", choices=("number", "string"),
        group="Body", applies=SENDS,
    ),
    Option(
        "body.timestamps", CHOICE, "A timestamp: ISO 8601 text, or a number since 1970.", "iso",
        choices=("iso", "epochSeconds", "epochMillis"), group="Body", applies=SENDS,
        known_as=("timestampFormat", "dateFormat"),
    ),
    Option(
        "contentType", TEXT,
        "The `Content-Type` of bodies. Default: what `body.type` and `batch.format` make; JSON for a read by POST.",
        example="application/vnd.api+json", group="Body", applies=USES, known_as=("mediaType",),
    ),
    Option(
        "compression", CHOICE, "How bodies are compressed.", "none", choices=("none", "gzip"), group="Body",
        applies=SENDS, known_as=("compress", "codec", "gzip", "contentEncoding"),
    ),
    Option(
        "batch.rows", INTEGER, "The most rows in one request.", "1", minimum=1, group="Batches", applies=SENDS,
        known_as=("batchSize", "batch", "rowsPerRequest", "maxRecords", "chunkSize"),
    ),
    Option(
        "batch.bytes", SIZE, "The most bytes in one body, before compression.", "4MB", minimum=1, group="Batches",
        applies=SENDS, known_as=("maxBatchBytes", "maxBytes", "batch.maxBytes"),
    ),
    Option(
        "batch.format", CHOICE,
        "How rows share a body. Default: `array` where `batch.rows` is above 1; a single row stands bare.",
        choices=("array", "ndjson", "envelope"), group="Batches", applies=SENDS,
    ),
    Option(
        "batch.envelope", ENVELOPE, 'The object around the rows; `"{rows}"` is where their array goes.',
        example='{"records": "{rows}"}', group="Batches", applies=SENDS, known_as=("envelope", "wrapper"),
    ),
    Option(
        "batch.maxSplits", INTEGER,
        "How often a refused batch is halved to find the bad row; then the rest of it is refused. 0: never.", "64",
        minimum=0, group="Batches", applies=SENDS,
    ),
    Option(
        "results.path", TEXT, "Where an answer lists the fate of each row: a dotted path, `$` for the answer itself.",
        example="items", group="Batches", applies=SENDS, known_as=("results",),
    ),
    Option(
        "results.id", TEXT, "The field of an entry that names its row. Default: by position.", example="id",
        group="Batches", applies=SENDS,
    ),
    Option(
        "results.ok", TEXT, "The field that says accepted: true, or a status in `successCodes`.", example="status",
        group="Batches", applies=SENDS,
    ),
    Option(
        "results.error", TEXT, "The field that holds the reason; where it is set, the row was refused.",
        example="error.message", group="Batches", applies=SENDS,
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
        group="Response log", applies=SENDS,
        known_as=("responsePath", "responseTable", "deadLetterPath", "outputPath", "deadLetter", "log.path", "log"),
    ),
    Option(
        "log.body", CHOICE, "Whose answers' bodies are kept.", "onError", choices=_LOG_CHOICES, group="Response log",
        applies=WRITES, known_as=("includeBody", "logResponses"),
    ),
    Option(
        "log.row", CHOICE, "Which rows are kept.", "onError", choices=_LOG_CHOICES, group="Response log",
        applies=SENDS,
    ),
    Option(
        "log.flush", FLUSH, "When the log is written: after this long, or this many rows.", "1s,5000",
        group="Response log", applies=SENDS, known_as=("flushInterval",),
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
        example="2026-11-21", group="Identity", applies=SENDS,
    ),
    Option(
        "idempotency.header", HEADER, "The header that carries a key which is the same for every try.",
        example="Idempotency-Key", group="Identity", applies=SENDS,
        known_as=("idempotencyKey", "idempotent", "idempotency"),
    ),
    Option(
        "idempotency.quote", BOOLEAN, "Write the key in quotes, as the IETF draft has it.", "false", group="Identity",
        applies=SENDS,
    ),
)  # fmt: skip


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
