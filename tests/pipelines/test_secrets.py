"""Secrets of a pipeline: what counts as one, looked up late and once, and cut out of what is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from tests.pipelines.conftest import Files

from trunkline.credentials import Secret
from trunkline.errors import OptionError
from trunkline.pipelines.dry_run import shown_plan
from trunkline.pipelines.prepared import prepare
from trunkline.pipelines.secrets import PipelineSecrets, hidden, hiding, referred

KEY = Fernet.generate_key().decode()
NOT_SET = (
    "env:NO_SUCH_NAME is not set: an environment variable has to be there before the program, or the Spark session, "
    "starts"
)


def test_secrets_are_found_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file:` counts under a key that holds credentials; elsewhere it is a path, and so is any other text."""
    monkeypatch.setenv("API_TOKEN", "hunter2")
    monkeypatch.setenv("PIPELINE_KEY", KEY)
    kept = tmp_path / "kept"
    kept.write_text("from-a-file\n")
    encrypted = "enc:" + Fernet(KEY).encrypt("gruß".encode()).decode()
    secrets = PipelineSecrets({"api": "env:API_TOKEN", "file": f"file:{kept}", "encryption_key": "env:PIPELINE_KEY"})
    held = {
        "url": "https://a.example", "auth": {"token": "secret:api"}, "path": f"file:{kept}", "password": f"file:{kept}",
        "named": "secret:file", "list": ["env:API_TOKEN", 5, encrypted], "environment": "env",
    }  # fmt: skip
    found = secrets.resolved(held, "steps.a.config")
    assert found == {
        "url": "https://a.example", "auth": {"token": Secret("hunter2")}, "path": f"file:{kept}",
        "password": Secret("from-a-file"), "named": Secret("from-a-file"),
        "list": [Secret("hunter2"), 5, Secret("gruß")], "environment": "env",
    }  # fmt: skip
    assert held["auth"] == {"token": "secret:api"}
    assert "hunter2" not in repr(found)
    assert secrets.clean("hunter2, gruß and from-a-file") == "***, *** and ***"


def test_what_stands_in_the_file_itself_is_known_too() -> None:
    """Under names that say so, at any depth; in URLs; and what came from a variable of the environment of such a name.

    A reference is none, and neither is what is so short that it stands in other words.
    """
    secrets = PipelineSecrets({})
    held = {
        "conf": {"spark.hadoop.fs.azure.account.key.lake": "from-a-key", "spark.app.x": "seen"},
        "config": {"password": {"deep": ["in-a-list"]}, "token": "env:NOT_ASKED", "secret": "abc"},
        "options": {"url": "jdbc:postgresql://db/etl?password=in-a-url", "query": "SELECT 'from-the-place'"},
    }
    secrets.know(
        held, {"DB_PASSWORD": "from-the-place", "HOME": "seen", "OTHER_TOKEN": "not in the file", "T_TOKEN": "a"}
    )
    said = "from-a-key, seen, in-a-list, env:NOT_ASKED, abc, in-a-url, from-the-place, not in the file"
    assert secrets.clean(said) == "***, seen, ***, env:NOT_ASKED, abc, ***, ***, not in the file"
    assert (secrets.holds("SELECT 'from-the-place'"), secrets.holds("SELECT 'abc'")) == (True, False)


def test_only_variables_that_the_file_takes_are_known(files: Files) -> None:
    """A password of another that is a common word is not cut out of what is told."""
    text = """
        name = x
        steps = [
          { name = a, read { format = jdbc, options { url = "jdbc:postgresql://db/etl", dbtable = t } } }
          { name = b, write { format = csv, path = "/data/"${DB_PASSWORD} } }
        ]"""
    environment = {"POSTGRES_PASSWORD": "postgres", "DB_PASSWORD": "sesame-1"}
    prepared = prepare(files.write(text), (), str(files.folder / "runs"), None, "console", environment)
    try:
        assert prepared.secrets.clean("jdbc:postgresql://db sesame-1") == "jdbc:postgresql://db ***"
        assert prepared.report.step("b").target == "csv /data/***"
    finally:
        prepared.claim.release()


def test_a_dry_run_shows_no_credential_of_the_environment(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "sesame-1")
    write = 'write { format = csv, path = "/data/"${DB_PASSWORD} }'
    shown = shown_plan(files.write(f"name = x\nsteps = [ {{ name = b, sql = S }}, {{ name = c, {write} }} ]"))
    assert ("sesame-1" in shown, "/data/***" in shown) == (False, True)


def test_a_name_that_speaks_of_a_credential_holds_none() -> None:
    """Where a token is got, in which column it stands, what a secret is called: messages need those words."""
    secrets = PipelineSecrets({})
    held = {
        "auth": {"tokenUrl": "https://login.example.com/token"},
        "config": {"token_column": "user_token", "secretName": "customers", "password_profile": "hunter2"},
        "conf": {"spark.hadoop.fs.s3a.aws.credentials.provider": "com.example.Provider"},
        "options": {"secretHeaders": {"X-Url": "in-a-header"}, "url": "https://me:p@ss-word@host"},
        "written": "https://idp.example.com",
    }
    secrets.know(held, {"TOKEN_URL": "https://idp.example.com"})
    said = "auth.token: https://login.example.com/token has no user_token of customers, com.example.Provider, idp"
    assert secrets.clean(said) == said
    assert secrets.clean("hunter2, in-a-header and p@ss-word") == "***, *** and ***"


@pytest.mark.parametrize(
    ("sql", "held"),
    [
        ("SELECT user_password FROM users", False),
        ("SELECT user_password, 'it''s' FROM users WHERE user_password > ''", False),
        ("SELECT 'user_password' FROM users", True),
        ('SELECT aes_decrypt(x, "my user_password")', True),
        ("SELECT 1 -- not-a-name", True),
    ],
)
def test_the_name_of_a_column_is_no_credential_outside_of_quotes(sql: str, held: bool) -> None:
    secrets = PipelineSecrets({})
    secrets.know({"password": "user_password", "token": "not-a-name"})
    assert secrets.holds(sql) is held


def test_of_a_url_that_is_secret_what_others_quote_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://me:hunter2@hooks.example.com/T0/B1?key=1&token=abcdef")
    secrets = PipelineSecrets({})
    secrets.resolved({"webhook": "env:HOOK"}, "notify[0]")
    said = "hooks.example.com refused /T0/B1?key=1&token=abcdef for hunter2, and abcdef"
    assert secrets.clean(said) == "hooks.example.com refused /*** for ***, and ***"


def test_spark_is_told_which_settings_to_hide() -> None:
    """Those that hold a secret under a name that it does not hide by itself; Hadoop's also without Spark's prefix."""
    given = {
        "spark.hadoop.fs.s3a.secret.key": "x",
        "spark.hadoop.fs.azure.account.key.lake": "literal",
        "spark.lake.where": "env:WHERE",
        "spark.url": "https://me:hunter2@host",
        "spark.app.x": "seen",
    }
    conf = hidden(given, given | {"spark.lake.where": Secret("there")})
    hides = (
        r"(?i)secret|password|token|access[.]?key|fs[.]azure[.]account[.]key[.]lake|spark[.]lake[.]where|spark[.]url"
    )
    assert conf == given | {"spark.lake.where": "there", "spark.redaction.regex": hides}
    assert hidden({"spark.app.x": "seen"}, {"spark.app.x": "seen"}) == {"spark.app.x": "seen"}
    own = {"spark.redaction.regex": "mine", "spark.lake.where": "env:WHERE"}
    assert (
        hidden(own, own | {"spark.lake.where": Secret("there")})["spark.redaction.regex"] == "mine|spark[.]lake[.]where"
    )


def test_spark_is_told_which_options_to_hide() -> None:
    options = {"path": "/x", "password": "env:A", "url": "env:B", "lake": {"place": "env:C"}, "pem_private_key": "x"}
    found = hiding([options, {"lake.place": "enc:x"}], {})
    assert found == {"spark.sql.redaction.options.regex": "(?i)url|lake[.]place|pem_private_key"}
    own = {"spark.sql.redaction.options.regex": "mine"}
    assert hiding([options], own)["spark.sql.redaction.options.regex"] == "mine|lake[.]place|pem_private_key"
    assert hiding([{"path": "/x", "header": "true"}], {}) == {}


def test_our_own_formats_get_references_and_no_secrets() -> None:
    held = {"auth": {"token": "secret:api", "password": "enc:x"}, "names": ["secret:nope", "x"], "password": "env:P"}
    assert referred(held, {"api": "vault:secret/a#b", "encryption_key": "env:K"}) == {
        "auth": {"token": "vault:secret/a#b", "password": "enc:x#env:K"},
        "names": ["secret:nope", "x"],
        "password": "env:P",
    }


def test_a_secret_is_looked_up_once(tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text("first")
    secrets = PipelineSecrets({"api": f"file:{kept}"})
    first = secrets.resolved({"a": "secret:api"}, "x")
    kept.write_text("second")
    assert secrets.resolved({"b": "secret:api"}, "y")["b"] == first["a"] == Secret("first")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("secret:nope", "steps.a.token: secrets has no nope"),
        (
            "secret:api",
            f"secrets.api: {NOT_SET}",
        ),
        (
            "env:NO_SUCH_NAME",
            f"steps.a.token: {NOT_SET}",
        ),
        ("enc:x#env:NO_SUCH_NAME", f"steps.a.token: its key: {NOT_SET}"),
        ("enc:hunter2", "steps.a.token: cannot be decrypted: another key encrypted it, or it is cut short"),
        (
            "enc:" + Fernet(Fernet.generate_key()).encrypt(b"x").decode(),
            "steps.a.token: cannot be decrypted: another key encrypted it, or it is cut short",
        ),
    ],
)
def test_what_cannot_be_looked_up_is_told_by_its_path(value: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_KEY", KEY)
    monkeypatch.delenv("NO_SUCH_NAME", raising=False)
    secrets = PipelineSecrets({"api": "env:NO_SUCH_NAME", "encryption_key": "env:PIPELINE_KEY"})
    with pytest.raises(OptionError) as caught:
        secrets.resolved({"token": value}, "steps.a")
    assert str(caught.value) == told


def test_a_key_that_is_none_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_KEY", "hunter2")
    secrets = PipelineSecrets({"encryption_key": "env:PIPELINE_KEY"})
    with pytest.raises(OptionError) as caught:
        secrets.resolved({"a": "enc:x"}, "s")
    assert str(caught.value) == "s.a: env:PIPELINE_KEY is no key of Fernet's: 32 bytes in URL-safe Base64"


def test_without_cryptography_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(OptionError, match=r"s\.a: enc: needs cryptography: pip install 'trunkline\[vault\]'"):
        PipelineSecrets({"encryption_key": "env:K"}).resolved({"a": "enc:x"}, "s")
