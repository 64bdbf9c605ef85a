"""Where credentials are kept: Vault, AWS Secrets Manager, Azure Key Vault, Databricks; as they answer and as they fail.

Vault is a double of its HTTP API, asked by hvac; Secrets Manager is moto's, asked by boto3; Key Vault is a double
behind TLS, asked with a token that azure-identity gets from a double of App Service's managed identity; Databricks' SDK
is stood in for. No message may hold a value.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.servers.process import Server

from trunkline.credentials import is_reference, resolve
from trunkline.errors import OptionError
from trunkline.testing.loopback import Loopback, self_signed
from trunkline.testing.platform_api import Answer, ApiServer, Asked

OPTION = "auth.token"


def found(reference: str) -> str:
    """The value, or the error without the name of the option."""
    try:
        return resolve(reference, OPTION).reveal()
    except OptionError as error:
        return str(error).removeprefix(f"{OPTION}: ")


@pytest.mark.parametrize(
    ("modules", "reference", "told"),
    [
        (["hvac"], "vault:secret/api#token", "vault:secret/api#token needs hvac: pip install 'trunkline[vault]'"),
        (["boto3"], "aws-secretsmanager:api", "aws-secretsmanager:api needs boto3: pip install 'trunkline[aws]'"),
        (
            ["azure.identity"],
            "azure-keyvault:v/api",
            "azure-keyvault:v/api needs azure-identity: pip install 'trunkline[azure]'",
        ),
    ],
)
def test_without_its_package_the_cure_is_told(
    modules: list[str], reference: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)
    assert is_reference(reference)
    assert found(reference) == told


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ApiServer]:
    """A key-value engine, version 2, at `secret`."""
    kept = {"/v1/secret/data/api": {"token": "hunter2", "port": 5432}, "/v1/secret/data/team/db": {"token": "nested"}}

    def answer(path: str, asked: Asked) -> Answer:
        if asked.headers.get("x-vault-token") != "root-token":
            return Answer(403, {"errors": ["permission denied"]})
        if path not in kept:
            return Answer(404, {"errors": []})
        return Answer(200, {"data": {"data": kept[path], "metadata": {"version": 3}}})

    with ApiServer(lambda asked: asked.path, answer) as server:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("VAULT_ADDR", server.url)
        monkeypatch.setenv("VAULT_TOKEN", "root-token")
        monkeypatch.delenv("VAULT_NAMESPACE", raising=False)
        yield server


def test_a_field_is_read_from_vault(vault: ApiServer) -> None:
    """Text as it is, anything else as JSON; the token and the namespace go along, once per secret."""
    assert [found("vault:secret/api#token"), found("vault:secret/team/db#token"), found("vault:secret/api#port")] == [
        "hunter2", "nested", "5432",
    ]  # fmt: skip
    assert [(one.method, one.path) for one in vault.asked] == [
        ("GET", "/v1/secret/data/api"), ("GET", "/v1/secret/data/team/db"), ("GET", "/v1/secret/data/api"),
    ]  # fmt: skip


def test_the_namespace_of_vault_goes_along(vault: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_NAMESPACE", "team-a")
    assert found("vault:secret/api#token") == "hunter2"
    assert vault.asked[0].headers["x-vault-namespace"] == "team-a"


def test_what_vault_refuses_is_told(vault: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "vault:secret/api#token"
    assert found("vault:secret/api#nope") == "vault:secret/api#nope: the secret has no field nope; it has port, token"
    assert found("vault:secret/nope#a") == (
        "vault:secret/nope#a: there is no nope in the key-value engine (version 2) secret"
    )
    vault.fail("/v1/secret/data/api", Answer(500, {"errors": ["hunter2"]}))
    assert found(told) == f"{told} cannot be read: InternalServerError"
    vault.fail("/v1/secret/data/api", Answer(200, {"data": {"value": "hunter2"}}))
    assert found(told) == f"{told} cannot be read: KeyError"
    monkeypatch.setenv("VAULT_TOKEN", "another")
    assert found(told) == f"{told}: Vault refuses the token (VAULT_TOKEN), or it may not read this"
    monkeypatch.delenv("VAULT_ADDR")
    assert found(told) == f"{told}: set VAULT_ADDR, where Vault is, and VAULT_TOKEN"


def test_a_token_of_vault_follows_no_redirect(vault: ApiServer) -> None:
    with ApiServer(lambda asked: asked.path, lambda _path, _asked: Answer(200)) as elsewhere:
        vault.fail("/v1/secret/data/api", Answer(307, {}, {"Location": f"{elsewhere.url}/v1/secret/data/api"}))
        assert "cannot be read" in found("vault:secret/api#token")
        assert elsewhere.asked == []


@pytest.fixture
def secrets_manager(moto: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": moto.url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("secretsmanager", region_name="us-east-1")
    yield client
    for one in client.list_secrets()["SecretList"]:
        client.delete_secret(SecretId=one["Name"], ForceDeleteWithoutRecovery=True)
    client.close()


def test_a_secret_is_read_from_secrets_manager(secrets_manager: Any) -> None:
    """By name or ARN, which says its region; whole, or one field of the JSON in it."""
    secrets_manager.create_secret(Name="etl/api", SecretString=json.dumps({"token": "hunter2", "port": 5432}))
    plain = secrets_manager.create_secret(Name="plain", SecretString="no json")["ARN"]
    assert [found(f"aws-secretsmanager:{one}") for one in ("etl/api#token", "etl/api#port", "plain", plain)] == [
        "hunter2", "5432", "no json", "no json",
    ]  # fmt: skip
    assert json.loads(found("aws-secretsmanager:etl/api")) == {"token": "hunter2", "port": 5432}


def test_what_secrets_manager_refuses_is_told(secrets_manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets_manager.create_secret(Name="list", SecretString="[1]")
    secrets_manager.create_secret(Name="bytes", SecretBinary=b"hunter2")
    secrets_manager.create_secret(Name="one", SecretString='{"a": "hunter2"}')
    told = {
        "nope": "there is no such secret",
        "list#a": "the secret holds no JSON object, so it has no fields",
        "one#b": "the secret has no field b; it has a",
    }
    assert {name: found(f"aws-secretsmanager:{name}") for name in told} == {
        name: f"aws-secretsmanager:{name}: {sentence}" for name, sentence in told.items()
    }
    assert found("aws-secretsmanager:bytes") == "aws-secretsmanager:bytes is binary, not text"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert found("aws-secretsmanager:one") == (
        "aws-secretsmanager:one: which region? Set AWS_DEFAULT_REGION, or give the secret's ARN"
    )
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert found("aws-secretsmanager:one") == ("aws-secretsmanager:one: AWS's credential chain finds no credentials")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert found("aws-secretsmanager:one") == "aws-secretsmanager:one cannot be read: EndpointConnectionError"


class KeyVault:
    """Key Vault at `myvault.vault.azure.net`, behind a proxy that leads every host to it.

    Attributes:
        answers: What each path answers: status and body.
        heads: The requests it got.
    """

    def __init__(self, tls: Loopback) -> None:
        self.answers: dict[str, tuple[int, str]] = {}
        self._tls = tls

    @property
    def heads(self) -> list[str]:
        return [head.decode() for head in self._tls.heads]


@pytest.fixture
def key_vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KeyVault]:
    import ssl

    certificate, key = self_signed(tmp_path, "myvault.vault.azure.net")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(server: Loopback, peer: socket.socket) -> None:
        while head := server.head(peer):
            path = head.decode().split(" ", 2)[1].partition("?")[0]
            status, body = vault.answers.get(path, (404, "{}"))
            data = body.encode()
            peer.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)

    def lead(server: Loopback, peer: socket.socket) -> None:
        if not server.head(peer).startswith(b"CONNECT "):
            return
        with socket.create_connection(("127.0.0.1", tls.port)) as beyond:
            peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(beyond, peer), daemon=True)
            back.start()
            _pump(peer, beyond)
            # Whoever asked has gone; the server keeps its side open until the test is over.
            with contextlib.suppress(OSError):
                beyond.shutdown(socket.SHUT_RDWR)
            back.join(5)

    def identity(_path: str, asked: Asked) -> Answer:
        if asked.headers.get("x-identity-header") != "identity":
            return Answer(401)
        token = {"access_token": f"token-for-{asked.query['resource'][0]}", "expires_on": "4102444800",
                 "resource": asked.query["resource"][0], "token_type": "Bearer"}  # fmt: skip
        return Answer(200, token)

    with Loopback(serve, context) as tls, Loopback(lead) as proxy, ApiServer(lambda asked: asked.path, identity) as app:
        vault = KeyVault(tls)
        for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "no_proxy", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{app.url}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "identity")
        yield vault


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_secret_is_read_from_key_vault(key_vault: KeyVault) -> None:
    """By its name or that and a version; the vault by its name or its host."""
    key_vault.answers = {
        "/secrets/api": (200, '{"value": "hunter2", "id": "x"}'), "/secrets/api/v1": (200, '{"value": "older"}'),
    }  # fmt: skip
    references = ("myvault/api", "MyVault.vault.azure.net/api", "myvault/api/v1")
    assert [found(f"azure-keyvault:{one}") for one in references] == ["hunter2", "hunter2", "older"]
    first = key_vault.heads[0]
    assert first.startswith("GET /secrets/api?api-version=7.4 HTTP/1.1\r\nHost: myvault.vault.azure.net\r\n")
    assert "Authorization: Bearer token-for-https://vault.azure.net\r\n" in first


def test_what_key_vault_refuses_is_told(key_vault: KeyVault) -> None:
    key_vault.answers = {
        "/secrets/a": (401, '{"error": "hunter2"}'), "/secrets/b": (403, "{}"), "/secrets/d": (500, "hunter2"),
        "/secrets/e": (200, "hunter2"), "/secrets/f": (302, "{}"),
    }  # fmt: skip
    told = {
        "a": "Key Vault refuses the login", "b": "the login may not read it", "c": "there is no such secret",
        "d": "Key Vault answers 500", "e": "Key Vault's answer holds no value", "f": "Key Vault answers 302",
    }  # fmt: skip
    assert {name: found(f"azure-keyvault:myvault/{name}") for name in told} == {
        name: f"azure-keyvault:myvault/{name}: {sentence}" for name, sentence in told.items()
    }


def test_a_token_of_azure_goes_to_no_other_host(key_vault: KeyVault) -> None:
    assert found("azure-keyvault:vault.example.com/api") == (
        "azure-keyvault:vault.example.com/api: vault.example.com is no host of Azure Key Vault: it would be sent a "
        "token "
        "that is not for it"
    )
    assert found("azure-keyvault:other/api") == "azure-keyvault:other/api cannot be read: SSLError"
    assert key_vault.heads == []


def test_databricks_says_what_it_needs_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from Databricks, without its SDK, the error names the cure."""
    monkeypatch.setitem(sys.modules, "databricks", None)
    monkeypatch.setitem(sys.modules, "databricks.sdk", None)
    with pytest.raises(OptionError, match="databricks:scope/key needs Databricks, or `pip install databricks-sdk`"):
        resolve("databricks:scope/key", option="auth.token")


# Stands in for the Databricks SDK, so that no workspace is needed: the calls we make, and what it answers them with.
DATABRICKS_SDK = """
import base64, types

class WorkspaceClient:
    def __init__(self):
        if LOGIN is None:
            raise ValueError("default auth: cannot configure default credentials, hunter2")
        self.secrets = self

    def get_secret(self, scope, key):
        if (scope, key) != ("scope", "key"):
            raise LookupError("hunter2")
        return types.SimpleNamespace(value=base64.b64encode("p\u00e4ss\\n".encode()).decode())
"""


@pytest.mark.parametrize(
    ("login", "reference", "expected"),
    [
        ("me", "databricks:scope/key", "p\u00e4ss\n"),
        ("me", "databricks:scope/other", "auth.token: databricks:scope/other cannot be read: LookupError"),
        (
            None,
            "databricks:scope/key",
            (
                "auth.token: databricks:scope/key: the Databricks SDK finds no login; "
                "set DATABRICKS_HOST and DATABRICKS_TOKEN"
            ),
        ),
    ],
)
def test_a_databricks_secret_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: str | None, reference: str, expected: str
) -> None:
    """The value as it was stored, or an error without anything the SDK said."""
    folder = tmp_path / "databricks" / "sdk"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").write_text(f"LOGIN = {login!r}\n{DATABRICKS_SDK}", encoding="utf-8")
    for name in ("databricks", "databricks.sdk"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        found = resolve(reference, option="auth.token").reveal()
    except OptionError as error:
        found = str(error)
    for name in ("databricks", "databricks.sdk"):
        sys.modules.pop(name)
    assert found == expected
