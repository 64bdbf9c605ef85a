"""Looking up credentials where they are kept: Databricks, Vault, AWS, Azure; or where they are used, encrypted.

Each function takes what stands after the scheme of a reference, asks once, and gives the value. Where to ask and as
whom is what each store's own tools read: `VAULT_ADDR` and `VAULT_TOKEN`, AWS's credential chain, Azure's, Databricks'.

    from_vault("secret/api#token")

    GET /v1/secret/data/api
    X-Vault-Token: ...

    {"data": {"data": {"token": "t0ken"}, "metadata": {"version": 3}}}

Every failure is a `ValueError` with a sentence that names the reference. Of what a store or its library says only the
kind of error is told: the text may hold a value, or the request as it was signed.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from typing import Any

from trunkline.credentials import resolve

# Seconds for one answer: a driver that waits for a credential does nothing else.
_TIMEOUT = 30
# The version of Key Vault's REST API (learn.microsoft.com/rest/api/keyvault/secrets).
_KEY_VAULT_VERSION = "7.4"
# Where Key Vaults are, by cloud (learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates). The
# token that Azure gives out is sent to no other host.
_KEY_VAULT_CLOUDS = ("vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net")


def from_databricks(path: str) -> str:
    """`scope/key`, by the Databricks SDK and its login.

    Raises:
        ValueError: It cannot be read.
    """
    scope, _, key = path.partition("/")
    try:
        from databricks.sdk import WorkspaceClient  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        message = f"databricks:{path} needs Databricks, or `pip install databricks-sdk` and its login"
        raise ValueError(message) from None
    try:
        client = WorkspaceClient()
    except ValueError:
        message = f"databricks:{path}: the Databricks SDK finds no login; set DATABRICKS_HOST and DATABRICKS_TOKEN"
        raise ValueError(message) from None
    try:
        encoded = client.secrets.get_secret(scope=scope, key=key).value
    except Exception as error:  # noqa: BLE001 - the SDK's own text may hold a value: only the type is told
        message = f"databricks:{path} cannot be read: {type(error).__name__}"
        raise ValueError(message) from None
    return base64.b64decode(encoded or "").decode("utf-8")


def from_vault(reference: str) -> str:
    """`mount/path#field` of a key-value engine, version 2; the newest version of the secret.

    Raises:
        ValueError: It cannot be read, or has no such field.
    """
    where, _, field = reference.partition("#")
    mount, _, path = where.partition("/")
    try:
        import hvac
    except ImportError:
        message = f"vault:{reference} needs hvac: pip install 'trunkline[vault]'"
        raise ValueError(message) from None
    if not os.environ.get("VAULT_ADDR"):
        message = f"vault:{reference}: set VAULT_ADDR, where Vault is, and VAULT_TOKEN"
        raise ValueError(message)
    try:
        # The address and the token are hvac's own to find: VAULT_ADDR, VAULT_TOKEN or ~/.vault-token, VAULT_CACERT.
        # Without redirects: the token would go along to whichever host they name.
        namespace = os.environ.get("VAULT_NAMESPACE")
        client = hvac.Client(namespace=namespace, timeout=_TIMEOUT, allow_redirects=False)
        try:
            answer = client.secrets.kv.v2.read_secret_version(path, mount_point=mount, raise_on_deleted_version=True)
            held = dict(answer["data"]["data"])
        finally:
            client.adapter.close()
    except hvac.exceptions.InvalidPath:
        message = f"vault:{reference}: there is no {path} in the key-value engine (version 2) {mount}"
        raise ValueError(message) from None
    except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
        message = f"vault:{reference}: Vault refuses the token (VAULT_TOKEN), or it may not read this"
        raise ValueError(message) from None
    except Exception as error:  # noqa: BLE001 - only the type is told
        message = f"vault:{reference} cannot be read: {type(error).__name__}"
        raise ValueError(message) from None
    return _field(held, field, f"vault:{reference}")


def from_aws(reference: str) -> str:
    """`id` or `id#field`: the text of a secret by name or ARN, or one field of the JSON object in it.

    Raises:
        ValueError: It cannot be read, or has no such field.
    """
    name, _, field = reference.partition("#")
    told = f"aws-secretsmanager:{reference}"
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError
    except ImportError:
        message = f"{told} needs boto3: pip install 'trunkline[aws]'"
        raise ValueError(message) from None
    # An ARN says its region: arn:aws:secretsmanager:eu-central-1:123456789012:secret:api-AbCdEf
    region = name.split(":")[3] if name.startswith("arn:") and name.count(":") >= 6 else None
    try:
        config = Config(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT)
        client = boto3.session.Session().client("secretsmanager", region_name=region, config=config)
        try:
            answer = client.get_secret_value(SecretId=name)
        finally:
            client.close()
    except NoCredentialsError:
        message = f"{told}: AWS's credential chain finds no credentials"
        raise ValueError(message) from None
    except NoRegionError:
        message = f"{told}: which region? Set AWS_DEFAULT_REGION, or give the secret's ARN"
        raise ValueError(message) from None
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "ClientError")
        message = f"{told}: there is no such secret" if code == "ResourceNotFoundException" else f"{told}: {code}"
        raise ValueError(message) from None
    except Exception as error:  # noqa: BLE001 - only the type is told
        message = f"{told} cannot be read: {type(error).__name__}"
        raise ValueError(message) from None
    if "SecretString" not in answer:
        message = f"{told} is binary, not text"
        raise ValueError(message)
    text = str(answer["SecretString"])
    if not field:
        return text
    try:
        held = json.loads(text)
    except ValueError:
        held = None
    if not isinstance(held, dict):
        message = f"{told}: the secret holds no JSON object, so it has no fields"
        raise ValueError(message)
    return _field(held, field, told)


def from_azure(reference: str) -> str:
    """`vault/name` or `vault/name/version`; the vault by its name, or by its host in another cloud.

    Raises:
        ValueError: It cannot be read.
    """
    vault, _, name = reference.partition("/")
    told = f"azure-keyvault:{reference}"
    host = vault.lower() if "." in vault else f"{vault.lower()}.{_KEY_VAULT_CLOUDS[0]}"
    cloud = host.partition(".")[2]
    if cloud not in _KEY_VAULT_CLOUDS:
        message = f"{told}: {host} is no host of Azure Key Vault: it would be sent a token that is not for it"
        raise ValueError(message)
    try:
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import DefaultAzureCredential
    except ImportError:
        message = f"{told} needs azure-identity: pip install 'trunkline[azure]'"
        raise ValueError(message) from None
    import requests

    try:
        with DefaultAzureCredential() as credential:
            token = credential.get_token(f"https://{cloud}/.default").token
        answer = requests.get(
            f"https://{host}/secrets/{name}",
            params={"api-version": _KEY_VAULT_VERSION},
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT,
            allow_redirects=False,
        )
    except ClientAuthenticationError:
        message = f"{told}: Azure's credential chain finds no login; set AZURE_CLIENT_ID, AZURE_TENANT_ID and a secret"
        raise ValueError(message) from None
    except Exception as error:  # noqa: BLE001 - only the type is told
        message = f"{told} cannot be read: {type(error).__name__}"
        raise ValueError(message) from None
    if answer.status_code != 200:
        reason = {401: "Key Vault refuses the login", 403: "the login may not read it", 404: "there is no such secret"}
        message = f"{told}: {reason.get(answer.status_code, f'Key Vault answers {answer.status_code}')}"
        raise ValueError(message)
    try:
        return str(answer.json()["value"])
    except (ValueError, KeyError, TypeError):
        message = f"{told}: Key Vault's answer holds no value"
        raise ValueError(message) from None


def from_fernet(reference: str) -> str:
    """`text#key`: text that Fernet encrypted, and the reference to its key.

    Raises:
        ValueError: The key is not there or is none, or another encrypted the text.
    """
    text, _, key = reference.partition("#")
    try:
        from cryptography.fernet import Fernet, InvalidToken
    except ImportError:
        message = "enc: needs cryptography: pip install 'trunkline[vault]'"
        raise ValueError(message) from None
    held = resolve(key, "its key").reveal()
    try:
        fernet = Fernet(held)
    except ValueError:
        message = f"{key} is no key of Fernet's: 32 bytes in URL-safe Base64"
        raise ValueError(message) from None
    try:
        return fernet.decrypt(text.encode()).decode()
    except InvalidToken:
        message = "cannot be decrypted: another key encrypted it, or it is cut short"
        raise ValueError(message) from None


LOOK_UP: dict[str, Callable[[str], str]] = {
    "databricks": from_databricks,
    "vault": from_vault,
    "aws-secretsmanager": from_aws,
    "azure-keyvault": from_azure,
    "enc": from_fernet,
}


def _field(held: dict[str, Any], field: str, told: str) -> str:
    if field not in held:
        message = f"{told}: the secret has no field {field}; it has {', '.join(sorted(held)) or 'none'}"
        raise ValueError(message)
    value = held[field]
    return value if isinstance(value, str) else json.dumps(value)
