"""Credentials: references, a type that does not print, and a redactor."""

from __future__ import annotations

import base64
import copy
import html
import json
import pickle
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from trunkline.credentials import Redactor, Secret, credentials_within, is_reference, resolve, unresolved
from trunkline.errors import OptionError

SECRET = "s3cr3t/+pä ss"
# Long enough to be a credential, and of letters that the texts around it do not use.
passwords = st.text(st.sampled_from("ABCDEFGHIJ/+%&\"'\\äß€ \n"), min_size=6, max_size=30)
surroundings = st.text(st.sampled_from("klmnop .,:"), max_size=12)


def test_a_secret_prints_as_stars_however_it_is_printed() -> None:
    """repr, str, format and a container's repr never show the value."""
    secret = Secret("hunter2")
    assert [repr(secret), str(secret), f"{secret}", f"{secret:>20}", f"{secret!r}", "%s" % secret, str([secret])] == [  # noqa: UP031
        "Secret(***)", "***", "***", "***", "Secret(***)", "***", "[Secret(***)]",
    ]  # fmt: skip


def test_a_secret_survives_pickling_and_copying() -> None:
    """A writer takes its credential along to the tasks."""
    secret = Secret("hunter2", reference="env:PASSWORD")
    for other in (pickle.loads(pickle.dumps(secret)), copy.deepcopy(secret)):
        assert (other.reveal(), other.reference) == ("hunter2", "env:PASSWORD")


def test_secrets_are_equal_by_value() -> None:
    """The reference a value came from makes no difference; two references not looked up are equal by name."""
    assert Secret("a") == Secret("a", reference="env:X")
    assert hash(Secret("a")) == hash(Secret("a", reference="env:X"))
    assert Secret("a") != Secret("b")
    assert unresolved("env:X") == unresolved("env:X")
    assert unresolved("env:X") != unresolved("env:Y")
    assert unresolved("env:X") != Secret("")
    assert Secret("a") != "a"


def test_an_unresolved_secret_shows_its_reference_and_does_not_reveal() -> None:
    """A reference can never be sent as if it were the credential."""
    secret = unresolved("env:API_TOKEN")
    assert (secret.resolved, repr(secret), str(secret)) == (False, "Secret(env:API_TOKEN)", "***")
    with pytest.raises(RuntimeError, match="env:API_TOKEN was not resolved"):
        secret.reveal()


def test_a_literal_is_its_own_value() -> None:
    """Text with no known scheme is the credential, colons included."""
    assert [is_reference(text) for text in ("abc", "a:b", "https://x", "ENV:X", "environment")] == [False] * 5
    assert resolve("a:b").reveal() == "a:b"


def test_an_environment_variable_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """env:NAME gives the variable's value and remembers where it came from."""
    monkeypatch.setenv("API_TOKEN", " t0ken ")
    secret = resolve("env:API_TOKEN")
    assert (secret.reveal(), secret.reference) == (" t0ken ", "env:API_TOKEN")
    assert resolve(secret) is secret


@pytest.mark.parametrize("content", ["t0ken", "t0ken\n", "t0ken\r\n"])
def test_a_file_is_read_without_its_last_newline(tmp_path: Path, content: str) -> None:
    """file:/path strips one newline at the end, as an editor or `echo` leaves it."""
    path = tmp_path / "token"
    path.write_bytes(content.encode())
    assert resolve(f"file:{path}").reveal() == "t0ken"
    assert resolve(f"file://{path}").reveal() == "t0ken"


def test_only_one_newline_is_stripped(tmp_path: Path) -> None:
    """A key file's own blank line stays."""
    path = tmp_path / "token"
    path.write_text("a\n\n")
    assert resolve(f"file:{path}").reveal() == "a\n"


def test_what_is_missing_is_named_by_option_and_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says which option, which reference and what is wrong with it."""
    monkeypatch.delenv("API_TOKEN", raising=False)
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    cases = {
        "env:API_TOKEN": "auth.token: env:API_TOKEN is not set: an environment variable has to be there "
        "before the program, or the Spark session, starts",
        "env:EMPTY": "auth.token: env:EMPTY is empty",
        "env:": "auth.token: an env: reference is written env:NAME, the name of an environment variable",
        f"file:{tmp_path}/none": f"auth.token: file:{tmp_path}/none cannot be read on the driver: "
        "No such file or directory",
        f"file:{tmp_path}/binary": f"auth.token: file:{tmp_path}/binary is not UTF-8 text",
        "file:token": "auth.token: a file: reference needs an absolute path: file:/path",
        "databricks:scope": "auth.token: a databricks: reference is written databricks:scope/key",
        "vault:a#b": "auth.token: a vault: reference is written vault:mount/path#field",
        "vault:secret/a": "auth.token: a vault: reference is written vault:mount/path#field",
        "aws-secretsmanager:": "auth.token: an aws-secretsmanager: reference is written aws-secretsmanager:name, "
        "or aws-secretsmanager:name#field",
        "azure-keyvault:v": "auth.token: an azure-keyvault: reference is written azure-keyvault:vault/name, "
        "the vault by its name or its host",
    }
    found = {}
    for reference in cases:
        with pytest.raises(OptionError) as caught:
            resolve(reference, option="auth.token")
        found[reference] = str(caught.value)
    assert found == cases


@given(passwords, surroundings, surroundings)
def test_a_secret_is_cut_in_every_spelling(password: str, before: str, after: str) -> None:
    """Plain, percent-encoded, form-encoded, JSON-, Python- or HTML-escaped, the text is left as it was around it."""
    redactor = Redactor([Secret(password)])
    spellings = [
        password,
        quote(password),
        quote(password, safe=""),
        quote_plus(password),
        json.dumps(password)[1:-1],
        json.dumps(password, ensure_ascii=False)[1:-1],
        repr(password)[1:-1],
        html.escape(password),
    ]
    expected = f"{before}|***|{after}"
    assert [redactor.clean(f"{before}|{spelling}|{after}") for spelling in spellings] == [expected] * len(spellings)


@given(passwords, st.text(max_size=12), st.text(max_size=12))
def test_a_secret_is_cut_out_of_base64_wherever_it_stands(password: str, before: str, after: str) -> None:
    """`Basic` credentials and other Base64 lose the whole run that holds the secret."""
    redactor = Redactor([Secret(password)])
    data = (before + password + after).encode()
    for encoded in (base64.b64encode(data), base64.urlsafe_b64encode(data), base64.b64encode(data).rstrip(b"=")):
        assert redactor.clean(f"sent 'Basic {encoded.decode()}' to it") == "sent 'Basic ***' to it"


def test_every_occurrence_of_every_secret_is_cut() -> None:
    """Longer secrets go first, so one that holds another leaves no rest."""
    redactor = Redactor([Secret("hunter"), "hunter2-long", Secret("", reference="env:X"), Secret("")])
    assert redactor.clean("hunter hunter2-long hunter") == "*** *** ***"


@given(st.text(st.characters(codec="utf-8", exclude_characters="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")))
def test_other_text_is_left_alone(text: str) -> None:
    """A message without the secret comes back as it is."""
    assert Redactor([Secret("HUNTER2-X")]).clean(text) == text
    assert Redactor([]).clean(text) == text


def test_a_secret_of_three_characters_is_left_where_it_stands() -> None:
    """It stands in other words, and to cut it out of them would spoil them and tell it."""
    assert Redactor([Secret("abc"), Secret("abcd")]).clean("abc, alphabcde, abcd") == "abc, alph***e, ***"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://me:hunter2@host/path", ["hunter2"]),
        ("https://me:p%40ss-w@host/path", ["p%40ss-w", "p@ss-w"]),
        ("https://me:p@ss-w@host/path", ["p@ss-w"]),
        ("https://host/path?api_key=hunter2&page=1#x", ["hunter2"]),
        ("jdbc:postgresql://db/etl?user=me&password=hunter2", ["hunter2"]),
        ("jdbc:sqlserver://db:1433;databaseName=etl;user=me;password=hunter2;encrypt=true", ["hunter2"]),
        ("jdbc:oracle:thin:me/hunter2@//db:1521/etl", ["hunter2"]),
        ("jdbc:derby:memory:x;password=hunter2", ["hunter2"]),
        ('o.a.k.PlainLoginModule required username="me" password="hunter2";', ["hunter2"]),
        ("https://host/path?tokens=5&sort_key=id", ["5"]),
        ("SELECT * FROM t WHERE password=other", []),
        ("https://host/token/path", []),
    ],
)
def test_credentials_are_found_within_urls_and_lines_of_jaas(text: str, found: list[str]) -> None:
    assert credentials_within(text) == found


def test_what_is_encrypted_says_where_its_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """So an option of `rest` may be encrypted, and Spark's plan holds no more than what is encrypted."""
    key = Fernet.generate_key()
    monkeypatch.setenv("KEY", key.decode())
    text = f"enc:{Fernet(key).encrypt(b'hunter2').decode()}#env:KEY"
    assert resolve(text).reveal() == "hunter2"
    assert repr(unresolved(text)) == f"Secret({text})"
    for wrong in ("enc:abc", "enc:abc#enc:def#env:KEY"):
        with pytest.raises(OptionError, match="an enc: value is written enc:TEXT#KEY"):
            resolve(wrong)


def test_a_redactor_does_not_print_what_it_knows() -> None:
    """Its repr holds no secret."""
    assert "hunter2" not in repr(Redactor([Secret("hunter2")]))
