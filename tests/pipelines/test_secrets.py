"""Secrets of a pipeline: what counts as one, looked up late and once, and cut out of what is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from trunkline.credentials import Secret
from trunkline.errors import MissingExtraError, OptionError
from trunkline.pipelines.secrets import PipelineSecrets, referred

KEY = Fernet.generate_key().decode()


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


def test_our_own_formats_get_references_and_no_secrets() -> None:
    held = {"auth": {"token": "secret:api"}, "names": ["secret:nope", "x"], "password": "env:P", "n": 5}
    assert referred(held, {"api": "vault:secret/a#b"}) == {
        "auth": {"token": "vault:secret/a#b"},
        "names": ["secret:nope", "x"],
        "password": "env:P",
        "n": 5,
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
            (
                "secrets.api: env:NO_SUCH_NAME is not in the environment that Spark was started with: set it before "
                "the session starts"
            ),
        ),
        (
            "env:NO_SUCH_NAME",
            (
                "steps.a.token: env:NO_SUCH_NAME is not in the environment that Spark was started with: set it "
                "before the session starts"
            ),
        ),
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
    assert str(caught.value) == "secrets.encryption_key is no key of Fernet's: 32 bytes in URL-safe Base64"


def test_without_cryptography_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(MissingExtraError, match=r"s\.a: enc: needs cryptography: pip install 'trunkline\[vault\]'"):
        PipelineSecrets({}).resolved({"a": "enc:x"}, "s")
