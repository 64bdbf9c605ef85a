"""The options of the format `rest`: its tables keep the grammar, and its rules refuse what does nothing."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import OptionError
from trunkline.kinds import Flush
from trunkline.option_docs import json_schema, markdown
from trunkline.options import Option
from trunkline.rest.options import TABLE, write_options
from trunkline.rest.write_options import Envelope, batch_format, columns_of, content_type, envelope

URL = {"url": "https://api.example.com/rows"}
NAMES = [option.name for option in TABLE]
USES = ("read", "stream", "write")


def usable(use: str) -> list[Option]:
    """The options of one use: a name may be declared once for reading and once for writing."""
    return [option for option in TABLE if use in option.applies]


def problems(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Every problem of a write; none is an empty tuple."""
    try:
        write_options({**URL, **raw})
    except OptionError as error:
        return error.problems
    return ()


def test_no_option_is_a_dotted_prefix_of_another() -> None:
    """HOCON would drop one of the two silently. Case does not tell names apart: Spark lower-cases keys."""
    lower = [name.lower() for name in NAMES]
    for use in USES:
        names = [option.name.lower() for option in usable(use)]
        assert len(set(names)) == len(names)
    assert [(a, b) for a in lower for b in lower if b.startswith(a + ".")] == []


def test_every_credential_has_a_name_that_spark_hides() -> None:
    """Spark's default redaction knows secret, password and token; and nothing else is called so."""
    hidden = re.compile("secret|password|token", re.IGNORECASE)  # spark.redaction.regex, Spark 4.0 to 4.3
    assert [option.name for option in TABLE if option.kind.secret and not hidden.search(option.name)] == []
    assert [option.name for option in TABLE if not option.kind.secret and hidden.search(option.name)] == [
        "auth.tokenUrl"
    ]


def test_names_keep_the_grammar() -> None:
    """camelCase, one dot at most."""
    assert [name for name in NAMES if not re.fullmatch(r"[a-z][a-zA-Z]*(\.[a-z][a-zA-Z]*)?", name)] == []


@pytest.mark.parametrize("option", TABLE, ids=NAMES)
def test_the_schema_accepts_what_the_parser_accepts(option: Option) -> None:
    """Defaults and examples match the pattern that editors check."""
    pattern = option.kind.schema.get("pattern", "")
    assert [text for text in (option.default, option.example) if text and not re.search(pattern, text)] == []


@pytest.mark.parametrize("option", TABLE, ids=NAMES)
def test_what_a_table_shows_is_accepted(option: Option) -> None:
    """Defaults and examples are values; whatever has no default has an example; the text is one sentence or two."""
    for text in (option.default, option.example, *option.choices):
        if text is not None:
            option.parse(text)
    assert option.default or option.example or option.choices
    assert option.doc.endswith(".")
    assert "\n" not in option.doc
    assert "|" not in option.doc
    assert option.group


@pytest.mark.parametrize("use", USES)
def test_a_wrong_name_leads_to_one_option(use: str) -> None:
    """No two options of a use claim the same name of another tool, and none claims a name of ours."""
    names = [option.name for option in usable(use)]
    names += [name for option in usable(use) for name in option.known_as]
    bare = [re.sub(r"[._-]", "", name).lower() for name in names]  # api_key and apiKey are one name
    assert sorted({name for name in bare if bare.count(name) > 1}) == []


def test_every_option_is_documented() -> None:
    """The table in the documentation and the schema hold them all."""
    text = markdown(TABLE)
    assert re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE) != []
    assert set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)) == set(NAMES)
    schema = json_schema(TABLE, "rest", use="write")
    written = {option.name for option in TABLE if "write" in option.applies}
    assert set(schema["properties"]) - {"checkpointLocation", "queryName", "outputMode"} == written


def test_the_defaults_of_a_write() -> None:
    """POST one JSON object per row."""
    options = write_options(URL)
    chosen = ("method", "body.type", "batch.rows", "onError", "log.body", "log.row", "log.flush", "compression")
    assert [options[name] for name in chosen] == [
        "POST", "json", 1, "fail", "onError", "onError", Flush(1.0, 5000), "none",
    ]  # fmt: skip
    assert (batch_format(options), content_type(options)) == (None, "application/json")


ACCEPTED: list[dict[str, Any]] = [
    {"method": "put", "url": "https://h/users/{id}?since={updated_at}"},
    {"methodColumn": "op", "url": "https://h/{id}"},
    {"batch.rows": "500", "batch.bytes": "1MB", "batch.maxSplits": "0", "compression": "gzip"},
    {"batch.rows": "1", "batch.format": "array"},
    {"batch.rows": "9", "batch.format": "envelope", "batch.envelope": {"records": "{rows}"}},
    {"batch.rows": "9", "batch.format": "ndjson", "bodyColumn": "payload"},
    {"batch.rows": "9", "batch.format": "ndjson", "body.type": "text", "bodyColumn": "line"},
    {"batch.rows": "9", "results.path": "items", "results.id": "id", "results.ok": "status", "results.error": "e"},
    {"body.type": "text", "bodyColumns": "line"},
    {"body.type": "form", "bodyColumns": "a,b", "body.nulls": "omit"},
    {"body.type": "none", "method": "DELETE", "url": "https://h/{id}"},
    {"onError": "deadLetter", "responses": "/tmp/r", "maxFailedRows": "0"},
    {"responses": "s3://bucket/log", "log.body": "always", "log.row": "never", "log.flush": "250ms,1"},
    {"keyColumns": "id", "orderColumn": "updated_at", "runId": "2026-11-21_a.b"},
    {"idempotency.header": "Idempotency-Key", "idempotency.quote": "true", "delivery": "atMostOnce"},
    {"delivery": "atMostOnce", "responses": "/tmp/r"},
    {"params": {"id": "{id}", "tag": ["{a}", "b"]}, "headers": {"X-Id": "{id}"}},
    {"prepare": "my.doors:prepare", "judge": "my.doors:judge", "contentType": "application/vnd.api+json"},
]


@pytest.mark.parametrize("raw", ACCEPTED, ids=lambda raw: " ".join(f"{k}={v}" for k, v in raw.items()))
def test_what_goes_together_is_accepted(raw: dict[str, Any]) -> None:
    """None of the rules says more than it should."""
    assert problems(raw) == ()


SHARE = "batch.rows is above 1 and the rows of one request share it: set batch.rows=1 or leave it literal"
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"url": "https://h/{id}", "batch.rows": "2"}, [f"url takes a value from each row (id), but {SHARE}"]),
    (
        {"params": {"a": "{x}"}, "headers": {"B": "{y}"}, "batch.rows": "2"},
        [
            f"params a takes a value from each row, but {SHARE}",
            f"headers B takes a value from each row, but {SHARE}",
        ],
    ),
    (
        {"methodColumn": "op", "batch.rows": "2"},
        ["methodColumn gives each row a method, but batch.rows is above 1 and the rows of one request share it"],
    ),
    (
        {"methodColumn": "op", "method": "PUT"},
        ["method and methodColumn exclude each other: keep one of them"],
    ),
    ({"method": "HEAD"}, ["method: 'HEAD' is none of GET, POST, PUT, PATCH, DELETE"]),
    ({"url": "https://h/{id"}, ["url holds a brace that is not part of {column}"]),
    ({"params": {"a": "x}"}}, ["params a holds a brace that is not part of {column}"]),
    (
        {"bodyColumn": "a", "bodyColumns": "b"},
        ["bodyColumn and bodyColumns exclude each other: keep one of them"],
    ),
    (
        {"bodyColumn": "a", "body.type": "form"},
        ["bodyColumn holds a ready-made body, which body.type=form would build: use body.type=text or bodyColumns"],
    ),
    ({"body.type": "text", "bodyColumns": "a,b"}, ["body.type=text sends one column: name it in bodyColumn"]),
    (
        {"body.type": "none", "contentType": "text/csv", "compression": "gzip", "batch.rows": "2"},
        [
            "contentType does nothing with body.type=none",
            "compression does nothing with body.type=none",
            "body.type=none cannot hold several rows: leave out batch.* or use body.type=json",
        ],
    ),
    (
        {"body.type": "form", "batch.rows": "2"},
        ["body.type=form cannot hold several rows: leave out batch.* or use body.type=json"],
    ),
    (
        {"body.type": "text", "batch.rows": "2"},
        ["body.type=text puts several rows on lines of their own: set batch.format=ndjson"],
    ),
    ({"body.type": "text", "batch.format": "array"}, ["batch.format=array is JSON: use body.type=json"]),
    (
        {"bodyColumn": "a", "body.nulls": "omit"},
        ["body.nulls does nothing here: no column is turned into JSON"],
    ),
    (
        {"batch.rows": "2", "batch.format": "envelope"},
        ['batch.envelope is missing: batch.format=envelope needs it, as in {"records": "{rows}"}'],
    ),
    (
        {"batch.rows": "2", "batch.envelope": '{"a": "{rows}"}'},
        ["batch.envelope does nothing without batch.format=envelope"],
    ),
    (
        {"batch.bytes": "1MB", "batch.maxSplits": "3"},
        [
            "batch.bytes does nothing while batch.rows is 1: give batch.rows",
            "batch.maxSplits does nothing while batch.rows is 1: give batch.rows",
        ],
    ),
    ({"batch.rows": "0"}, ["batch.rows: must be at least 1"]),
    (
        {"results.path": "items", "results.ok": "ok"},
        ["results.path, results.ok: the answer to a single row needs no results.*: give batch.rows or leave them out"],
    ),
    (
        {"batch.rows": "2", "results.id": "id"},
        ["results.path is missing: results.id need it, $ where the answer itself is the list"],
    ),
    (
        {"batch.rows": "2", "results.path": "items"},
        ["results.path needs results.ok or results.error, or no row could be told from another"],
    ),
    ({"onError": "deadletter"}, ["onError=deadLetter needs responses: that is where the refused rows go"]),
    (
        {"maxFailedRows": "3", "responses": "/tmp/r"},
        ["maxFailedRows does nothing without onError=deadLetter: the first refused row fails the write"],
    ),
    (
        {"log.body": "always", "log.row": "always", "log.flush": "1s,1"},
        [f"{name} does nothing without responses" for name in ("log.body", "log.row", "log.flush")],
    ),
    ({"responses": "https://h/x"}, ["responses is a folder or the URI of an object store, not a web address"]),
    ({"orderColumn": "t"}, ["orderColumn needs keyColumns: only rows with equal keys are kept in order"]),
    (
        {"orderColumn": "t", "keyColumns": "id,t"},
        ["orderColumn is one of keyColumns: rows with equal keys would all be equal in it"],
    ),
    ({"runId": "../x"}, ["runId: letters, digits, dots, hyphens and underscores, at most 128"]),
    ({"idempotency.quote": "true"}, ["idempotency.quote does nothing without idempotency.header"]),
    (
        {"idempotency.header": "X-Key", "headers": '{"x-key": "1"}'},
        ["headers holds X-Key, which idempotency.header sets: keep one of them"],
    ),
    (
        {"delivery": "atMostOnce"},
        ["delivery=atMostOnce needs responses or idempotency.header: without them a repeated task sends again"],
    ),
    ({"prepare": "my.module"}, ["prepare: 'my.module' names no function: write package.module:function"]),
    ({"compression": "zstd"}, ["compression: 'zstd' is none of none, gzip"]),
    (
        {"coordinator.url": "https://h:1", "coordinator.fingerprint": "ab"},
        [
            "coordinator.token is missing: give all of c.options",
            "coordinator.fingerprint is no SHA-256: 64 hexadecimal digits",
        ],
    ),
    (
        {
            "coordinator.url": "http://h:1",
            "coordinator.token": "k",
            "coordinator.fingerprint": "0" * 64,
            "rateLimit": "5/s",
            "rateLimitTasks": 2,
        },
        [
            "coordinator.url must begin with https://",
            "rateLimitTasks does nothing with a coordinator: it sees the tasks",
        ],
    ),
    ({"body": "x"}, ["body is unknown: did you mean body.type?"]),
    ({"batchsize": "5"}, ["batchsize is unknown: did you mean batch.rows?"]),
    ({"crossOrigin": "error"}, ["crossOrigin is for reading and reading a stream, not for writing"]),
]


@pytest.mark.parametrize(("raw", "expected"), REFUSED, ids=[" ".join(raw) for raw, _ in REFUSED])
def test_what_contradicts_itself_is_refused(raw: dict[str, Any], expected: list[str]) -> None:
    """One sentence per problem, with the cure."""
    assert problems(raw) == tuple(expected)


def test_problems_of_every_layer_come_together() -> None:
    """Unknown keys, unreadable values and contradictions in one error."""
    raw = {
        "token": "x",
        "batch.rows": "many",
        "results.path": "a",
        "headers": '{"Cookie": "hunter2"}',
        "log.row": "never",
    }
    assert problems(raw) == (
        "token is unknown: did you mean auth.token?",
        "batch.rows: 'many' is no whole number",
        "headers holds Cookie, which carries a credential: give it in secretHeaders",
        "log.row does nothing without responses",
    )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, (None, "application/json")),
        ({"batch.rows": "2"}, ("array", "application/json")),
        ({"batch.rows": "2", "batch.format": "ndjson"}, ("ndjson", "application/x-ndjson")),
        ({"batch.format": "array"}, ("array", "application/json")),
        ({"body.type": "form"}, (None, "application/x-www-form-urlencoded")),
        ({"body.type": "text"}, (None, "text/plain; charset=utf-8")),
        ({"body.type": "none"}, (None, None)),
        ({"contentType": "text/csv", "body.type": "text"}, (None, "text/csv")),
    ],
)
def test_the_shape_and_type_of_a_body(raw: dict[str, str], expected: tuple[str | None, str | None]) -> None:
    """Derived where they are not given."""
    options = write_options({**URL, **raw})
    assert (batch_format(options), content_type(options)) == expected


def test_an_envelope_is_the_text_around_the_rows() -> None:
    """The marker stands once, at any depth, as a value of its own."""
    assert envelope('{"a": 1, "b": {"rows": "{rows}"}}') == Envelope('{"a":1,"b":{"rows":', "}}")
    assert envelope({"records": "{rows}"}) == Envelope('{"records":', "}")
    for wrong in ('{"a": 1}', '{"a": "{rows}", "b": "{rows}"}', '{"a": "x{rows}"}', '{"{rows}": 1}'):
        with pytest.raises(ValueError, match="must be a JSON object that holds"):
            envelope(wrong)


@given(st.lists(st.text(st.characters(exclude_characters="{}"), min_size=1), unique=True))
def test_the_columns_of_a_template(columns: list[str]) -> None:
    """Each once, in order, whatever stands between."""
    template = "/x/" + "/".join(f"{{{column}}}" for column in [*columns, *columns])
    assert columns_of(template) == tuple(columns)


def test_options_of_a_write_survive_pickling() -> None:
    """The writer takes them to its tasks."""
    raw = {"batch.rows": "9", "batch.format": "envelope", "batch.envelope": '{"a": "{rows}"}', "rateLimit": "5/s"}
    options = write_options({**URL, **raw})
    assert pickle.loads(pickle.dumps(options)) == options
