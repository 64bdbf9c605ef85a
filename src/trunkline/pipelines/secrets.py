"""Secrets in a pipeline file, looked up late: when a step is about to use them.

    secrets = PipelineSecrets(pipeline.secrets)
    secrets.resolved(step.read.options, "steps.load.read.options")   # {"dbtable": "users", "password": Secret(***)}
    secrets.clean("login with hunter2 failed")                       # "login with *** failed"

What counts as one, as a whole value: `secret:NAME` (which `${secrets.NAME}` becomes), a reference such as
`vault:secret/api#token`, and `enc:` with text that Fernet encrypted by the key in `secrets.encryption_key`. Because
`file:/data` is also how people write a path, `file:` counts only in `secrets` and under a key whose name has `token`,
`password` or `secret` in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trunkline.credentials import Redactor, Secret, is_reference, resolve
from trunkline.errors import MissingExtraError, OptionError

ENCRYPTION_KEY = "encryption_key"
ENCRYPTED = "enc:"
NAMED = "secret:"

# What is shorter stands in every other message.
_SHORTEST = 4
_HOLDS_CREDENTIAL = re.compile(r"token|password|secret", re.IGNORECASE)


class PipelineSecrets:
    """The secrets of one run. Each is looked up once, when it is first asked for.

    Args:
        references: `secrets { }` of the file.
    """

    def __init__(self, references: Mapping[str, str]) -> None:
        self._references = dict(references)
        self._found: dict[str, Secret] = {}
        self._redactor = Redactor(())

    def resolved(self, held: Any, path: str) -> Any:
        """A copy in which each secret is a resolved `Secret`.

        Args:
            held: Options or a `config`: nested dicts and lists.
            path: Where it stands in the file, for errors.

        Raises:
            OptionError: A reference points to nothing, or a value cannot be decrypted. Names path and reference.
            MissingExtraError: `enc:` needs cryptography.
        """
        if isinstance(held, Mapping):
            return {key: self._value(value, f"{path}.{key}", str(key)) for key, value in held.items()}
        return self._value(held, path, path)

    def encrypted(self, held: Any, path: str) -> Any:
        """A copy in which only what is encrypted is a resolved `Secret`; references stay as they are."""
        if isinstance(held, Mapping):
            return {key: self.encrypted(value, f"{path}.{key}") for key, value in held.items()}
        return self.resolved(held, path) if isinstance(held, str) and held.startswith(ENCRYPTED) else held

    def know(self, held: Any, key: str = "") -> None:
        """Learn credentials that stand in the file itself, under a name with `token`, `password` or `secret` in it."""
        if isinstance(held, Mapping):
            for name, value in held.items():
                inner = f"{key}.{name}" if _HOLDS_CREDENTIAL.search(key) else str(name)
                self.know(value, inner)
        elif isinstance(held, (list, tuple)):
            for item in held:
                self.know(item, key)
        elif isinstance(held, str) and len(held) >= _SHORTEST and _is_credential(held, key):
            self._found[held] = Secret(held)
            self._redactor = Redactor(self._found.values())

    @property
    def redactor(self) -> Redactor:
        """Of the secrets that are known so far."""
        return self._redactor

    def clean(self, text: str) -> str:
        """`text` with `***` wherever a secret stood that was looked up so far."""
        return self._redactor.clean(text)

    def _value(self, held: Any, path: str, key: str) -> Any:
        if isinstance(held, (list, tuple)):
            return [self._value(item, f"{path}[{at}]", key) for at, item in enumerate(held)]
        if not isinstance(held, str):
            return self.resolved(held, path) if isinstance(held, Mapping) else held
        if not is_secret(held, key):
            return held
        if held not in self._found:
            self._found[held] = self._looked_up(held, path)
            self._redactor = Redactor(self._found.values())
        return self._found[held]

    def _looked_up(self, text: str, path: str) -> Secret:
        if text.startswith(ENCRYPTED):
            return self._decrypted(text.removeprefix(ENCRYPTED), path)
        if not text.startswith(NAMED):
            return resolve(text, path)
        return self._named(text.removeprefix(NAMED), path)

    def _named(self, name: str, path: str) -> Secret:
        if name not in self._references:
            raise OptionError(f"{path}: secrets has no {name}")
        return resolve(self._references[name], f"secrets.{name}")

    def _decrypted(self, token: str, path: str) -> Secret:
        try:
            from cryptography.fernet import Fernet, InvalidToken
        except ImportError:
            raise MissingExtraError(f"{path}: enc: needs cryptography: pip install 'trunkline[vault]'") from None
        key = self._named(ENCRYPTION_KEY, path)
        try:
            return Secret(Fernet(key.reveal()).decrypt(token.encode()).decode())
        except InvalidToken:
            raise OptionError(f"{path}: cannot be decrypted: another key encrypted it, or it is cut short") from None
        except ValueError:
            told = f"secrets.{ENCRYPTION_KEY} is no key of Fernet's: 32 bytes in URL-safe Base64"
            raise OptionError(told) from None


def _is_credential(text: str, key: str) -> bool:
    return _HOLDS_CREDENTIAL.search(key) is not None and not is_secret(text, key)


def revealed(held: Any) -> Any:
    """A copy in clear, for whoever sends the values."""
    if isinstance(held, Mapping):
        return {key: revealed(value) for key, value in held.items()}
    if isinstance(held, (list, tuple)):
        return [revealed(item) for item in held]
    return held.reveal() if isinstance(held, Secret) else held


def referred(held: Any, references: Mapping[str, str]) -> Any:
    """A copy in which `secret:NAME` is the reference of that name: for `rest` and `jobs`, which look references up.

    So what Spark keeps of the options holds no secret. Names that are not in `references` stay.

    Args:
        held: Options.
        references: `secrets { }` of the file.
    """
    if isinstance(held, Mapping):
        return {key: referred(value, references) for key, value in held.items()}
    if isinstance(held, (list, tuple)):
        return [referred(item, references) for item in held]
    if isinstance(held, str) and held.startswith(NAMED):
        return references.get(held.removeprefix(NAMED), held)
    return held


def is_secret(text: str, key: str) -> bool:
    """Whether a value is one to be looked up.

    Args:
        text: The value.
        key: The name it stands under.
    """
    if text.startswith("file:"):
        return _HOLDS_CREDENTIAL.search(key) is not None
    return text.startswith((NAMED, ENCRYPTED)) or is_reference(text)
