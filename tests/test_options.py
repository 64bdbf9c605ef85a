"""Option tables: one declaration gives parsing, validation and redaction."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pyspark.sql.datasource import CaseInsensitiveDict

from trunkline.credentials import Secret
from trunkline.errors import OptionError
from trunkline.http.kinds import PARAMS, SECRET_HEADERS, URL
from trunkline.kinds import BOOLEAN, CHOICE, CREDENTIAL, DURATION, INTEGER, NAMES, SIZE, TEXT
from trunkline.options import Option, Options, parse

TABLE = (
    Option("url", URL, "Where.", required=True, example="https://h/x", group="One", known_as=("endpoint",)),
    Option("params", PARAMS, "Query.", group="One"),
    Option("secretHeaders", SECRET_HEADERS, "Hidden.", group="One"),
    Option("auth.type", CHOICE, "How.", "none", choices=("none", "apiKey"), later=("aws",), group="Two"),
    Option("auth.token", CREDENTIAL, "Which.", group="Two", known_as=("token", "api_key")),
    Option("batch.rows", INTEGER, "How many.", "1", minimum=1, group="Two", known_as=("batchSize",)),
    Option("timeout.total", DURATION, "How long.", "5m", minimum=0.001, group="Two"),
    Option("batch.bytes", SIZE, "How big.", "4MB", minimum=1, group="Two"),
    Option("tls.verify", BOOLEAN, "Whether.", "true", group="Two"),
    Option("columns", NAMES, "Which.", group="Two"),
    Option("records", TEXT, "Where in the answer.", group="Two", applies=("read", "stream")),
)


def read(raw: Mapping[str, Any], **extra: Any) -> Options:
    """Options of the test table."""
    return parse(TABLE, raw, format="test", **extra)


def problems(raw: Mapping[str, Any], **extra: Any) -> tuple[str, ...]:
    """Every problem of a call."""
    with pytest.raises(OptionError) as caught:
        read(raw, **extra)
    return caught.value.problems


def test_every_option_has_its_typed_value() -> None:
    """What was given and what was not, by canonical name."""
    options = read({"url": "https://h/x", "batch.rows": "500", "tls.verify": "FALSE", "auth.type": "APIKEY"})
    assert dict(options) == {
        "url": "https://h/x",
        "params": None,
        "secretHeaders": None,
        "auth.type": "apiKey",
        "auth.token": None,
        "batch.rows": 500,
        "timeout.total": 300.0,
        "batch.bytes": 4_000_000,
        "tls.verify": False,
        "columns": None,
        "records": None,
    }
    assert (options.given("batch.rows"), options.given("timeout.total"), len(options)) == (True, False, len(TABLE))


def test_keys_are_found_as_spark_hands_them_over() -> None:
    """Spark's dict lower-cases every key; Python callers nest or dot them in any case."""
    spelt = {"url": "https://h/x", "auth.type": "apiKey", "auth.token": "abc", "batch.rows": 5, "timeout.total": "1s"}
    nested = {
        "URL": "https://h/x",
        "auth": {"type": "apiKey", "token": "abc"},
        "batch": {"Rows": 5},
        "TIMEOUT": {"total": "1s"},
    }
    assert read(CaseInsensitiveDict(spelt)) == read(spelt) == read(nested)


def test_python_values_are_taken_as_they_are() -> None:
    """Dicts, lists, numbers, booleans and secrets need not be spelt as text; None is not given."""
    options = read(
        {"url": "https://h/x", "params": {"a": [1, True]}, "columns": ["a,b", "c"], "tls": {"verify": False},
         "batch.bytes": 100, "auth.token": Secret("abc"), "batch.rows": None}
    )  # fmt: skip
    names = ("params", "columns", "tls.verify", "batch.bytes", "auth.token", "batch.rows")
    assert [options[name] for name in names] == [
        (("a", "1"), ("a", "true")), ("a,b", "c"), False, 100, Secret("abc"), 1,
    ]  # fmt: skip
    assert not options.given("batch.rows")


def test_every_problem_is_reported_at_once() -> None:
    """One error, one line per problem, in the order people can work through."""
    with pytest.raises(OptionError) as caught:
        read({"endpoint": "x", "batch.rows": "0", "auth.type": "aws", "timeout": {"total": "30"}, "tls.verify": ""})
    assert str(caught.value).splitlines() == [
        "test: 6 problems with the options",
        "  - endpoint is unknown: did you mean url?",
        "  - url is missing: give one such as https://h/x",
        "  - auth.type: aws is not in this release; available: none, apiKey",
        "  - batch.rows: must be at least 1",
        "  - timeout.total: '30' is no duration: write 250ms, 30s, 5m, 1h or 2d",
        "  - tls.verify: is empty: give a value or leave it out",
    ]


def test_a_single_problem_is_one_line() -> None:
    """Nothing is said twice."""
    with pytest.raises(OptionError) as caught:
        read({"url": "https://h/x", "auth.type": "kerberos"})
    assert str(caught.value) == "test: auth.type: 'kerberos' is none of none, apiKey"
    assert caught.value.problems == ("auth.type: 'kerberos' is none of none, apiKey",)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("token", ": did you mean auth.token?"),
        ("apiKey", ": did you mean auth.token?"),
        ("auth_token", ": did you mean auth.token?"),
        ("authToken", ": did you mean auth.token?"),
        ("batchsize", ": did you mean batch.rows?"),
        ("BATCH_SIZE", ": did you mean batch.rows?"),
        ("batch.row", ": did you mean batch.rows?"),
        ("verify", ": did you mean tls.verify?"),
        ("rows", ": did you mean batch.rows?"),
        ("ulr", ": did you mean url?"),
        ("colums", ": did you mean columns?"),
        ("recrods", ": did you mean records, which is not for writing?"),
        ("zzzz", ""),
    ],
)
def test_an_unknown_key_gets_a_hint(key: str, hint: str) -> None:
    """Names of other tools, other spellings and slips of the hand."""
    assert problems({"url": "https://h/x", key: "hunter2"}) == (f"{key} is unknown{hint}",)


def test_options_that_share_a_name_elsewhere_are_all_named() -> None:
    table = [Option(name, TEXT, "", group="One", known_as=("chunkSize",)) for name in ("batch.rows", "page.size")]
    with pytest.raises(OptionError, match=r"chunk_size is unknown: did you mean batch\.rows or page\.size\?"):
        parse(table, {"chunk_size": 5}, format="test")


def test_an_unknown_group_is_unknown_key_by_key() -> None:
    """A nested dict under a wrong name keeps its hints."""
    assert problems({"url": "https://h/x", "auht": {"token": "hunter2"}}) == (
        "auht.token is unknown: did you mean auth.token?",
    )


def test_an_option_is_given_once() -> None:
    """Two spellings of one key may disagree."""
    assert problems({"url": "https://h/x", "batch.rows": 1, "batch": {"rows": 2}}) == ("batch.rows is given twice",)


def test_what_spark_adds_is_ignored() -> None:
    """The keys that streaming queries bring along are not the format's."""
    streaming = {"queryname": "q", "checkpointlocation": "/tmp/c", "outputmode": "append"}
    assert read({"url": "https://h/x", **streaming}) == read({"url": "https://h/x"})


def test_a_path_that_is_a_url_is_the_url() -> None:
    """`load("https://...")`, and the option besides as long as both agree."""
    assert read({"path": "https://h/x"}) == read({"url": "https://h/x", "path": "https://h/x"})
    assert read({"path": "https://h/x"})["url"] == "https://h/x"


def test_any_other_path_is_refused() -> None:
    """With the sentence that cures it, and no second one about a missing url."""
    no_url = 'the path is no URL: give load("https://..."), save("https://...") or the option url'
    assert problems({"path": "/data/x"}) == (no_url,)
    assert problems({"path": "/data/x", "url": "https://h/x"}) == (no_url,)
    assert problems({"paths": '["https://a","https://b"]'}) == ("load() takes one URL, not a list",)
    twice = "url is given twice: as an option and as the path"
    assert problems({"path": "https://h/y", "url": "https://h/x"}) == (twice,)
    with pytest.raises(OptionError, match=r"^jobs: jobs has no path: leave load\(\) and save\(\) empty$"):
        parse(TABLE[1:], {"path": "https://h/x"}, format="jobs")


def test_an_option_of_another_use_is_refused() -> None:
    """What would do nothing is not accepted."""
    raw = {"url": "https://h/x", "records": "items"}
    assert problems(raw, use="write") == ("records is for reading and reading a stream, not for writing",)
    assert read(raw, use="read")["records"] == "items"


def test_required_options_are_required_where_they_apply() -> None:
    """A reader's own required option does not bind a writer."""
    table = (Option("records", TEXT, "Where.", required=True, example="items", applies=("read",)),)
    assert parse(table, {}, format="test", use="write")["records"] is None
    with pytest.raises(OptionError, match="records is missing: give one such as items"):
        parse(table, {}, format="test", use="read")


def needs_rows(options: Options) -> Iterator[str]:
    """A rule of the tests."""
    yield "said before"
    if options["batch.rows"] < 2:
        yield "columns needs batch.rows"


def test_rules_speak_about_readable_values_only() -> None:
    """A rule stops where it meets a value that is reported already; what it said before stands."""
    raw = {"url": "https://h/x"}
    assert problems(raw, rules=[needs_rows]) == ("said before", "columns needs batch.rows")
    assert problems({**raw, "batch.rows": "x"}, rules=[needs_rows]) == (
        "batch.rows: 'x' is no whole number",
        "said before",
    )


def test_minimums_are_told_in_the_units_of_the_option() -> None:
    """Milliseconds, bytes and plain numbers."""
    raw = {"url": "https://h/x", "batch.rows": "-3", "timeout.total": "0s", "batch.bytes": "0"}
    assert problems(raw) == (
        "batch.rows: must be at least 1",
        "timeout.total: must be at least 1ms",
        "batch.bytes: must be at least 1 bytes",
    )


RAW_WITH_SECRETS = {
    "url": "https://h/x?session_id=hunter2",
    "params": '{"a": "1", "key": "hunter2"}',
    "secretHeaders": '{"X-A": "hunter2", "X-B": "env:TOKEN_B"}',
    "auth.token": "hunter2",
    "columns": ["a", "b"],
    "tls.verify": False,
}


def test_options_print_without_credentials() -> None:
    """repr and the masked view show names, references and stars."""
    options = read(RAW_WITH_SECRETS)
    masked = {
        "url": "https://h/x?session_id=***",
        "params": "{a: 1, key: ***}",
        "secretHeaders": "{X-A: ***, X-B: env:TOKEN_B}",
        "auth.token": "***",
        "tls.verify": "false",
        "columns": '["a", "b"]',
    }
    assert options.masked() == masked
    assert repr(options) == f"<test options: {', '.join(f'{name}={text}' for name, text in masked.items())}>"
    assert read({"url": "https://h/x", "auth.token": "env:T"}).masked()["auth.token"] == "env:T"


def test_no_error_prints_a_credential() -> None:
    """Not even one that stands in the wrong place or is malformed."""
    wrong = {
        "password": "hunter2",
        "url": "https://me:hunter2@h/",
        "params": '{"a": hunter2}',
        "secretHeaders": '{"X": "hunter2\\n"}',
        "auth.token": "hunter2\r\nX: y",
    }
    with pytest.raises(OptionError) as caught:
        read(wrong)
    assert len(caught.value.problems) == 5
    assert "hunter2" not in str(caught.value)


def test_credentials_are_looked_up_once_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Late, on the driver, everywhere they stand; the rest is the same."""
    monkeypatch.setenv("TOKEN_A", "aaaa")
    monkeypatch.setenv("TOKEN_B", "bbbb")
    options = read({"url": "https://h/x", "auth.token": "env:TOKEN_A", "secretHeaders": '{"X-B": "env:TOKEN_B"}'})
    assert not options["auth.token"].resolved
    resolved = options.resolved()
    assert resolved["auth.token"].reveal() == "aaaa"
    assert resolved["secretHeaders"]["X-B"].reveal() == "bbbb"
    assert [secret.reveal() for secret in resolved.secrets()] == ["bbbb", "aaaa"]
    assert resolved.redactor().clean("aaaabbbb") == "******"
    assert (repr(resolved), resolved["url"], resolved.given("auth.token")) == (repr(options), "https://h/x", True)


def test_all_missing_references_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its option, or its header."""
    monkeypatch.delenv("NOT_SET", raising=False)
    options = read({"url": "https://h/x", "auth.token": "env:NOT_SET", "secretHeaders": {"X-B": "file:/not/there"}})
    with pytest.raises(OptionError) as caught:
        options.resolved()
    assert caught.value.problems == (
        "secretHeaders X-B: file:/not/there cannot be read on the driver: No such file or directory",
        (
            "auth.token: env:NOT_SET is not set: an environment variable has to be there before the program, or the "
            "Spark session, starts"
        ),
    )


def test_literal_credentials_can_be_found() -> None:
    """For the warning where plans and logs keep literals in clear."""
    options = read({"url": "https://h/x", "auth.token": "env:T", "secretHeaders": '{"X-A": "env:A", "X-B": "abc"}'})
    assert options.literals() == ["secretHeaders"]


def test_options_survive_pickling() -> None:
    """They travel to the tasks with the writer, credentials included."""
    options = read(RAW_WITH_SECRETS)
    other = pickle.loads(pickle.dumps(options))
    assert (other, repr(other), other.format) == (options, repr(options), "test")
    assert other["auth.token"].reveal() == "hunter2"


def test_options_are_hard_to_misspell_in_code() -> None:
    """A name that no table has is a KeyError, not None."""
    with pytest.raises(KeyError):
        read({"url": "https://h/x"})["batch.row"]
