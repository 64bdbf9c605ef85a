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
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from trunkline.credentials import (
    CREDENTIAL_NAME,
    SHORTEST_SECRET,
    Redactor,
    Secret,
    credentials_within,
    holds_credential,
    is_reference,
    resolve,
)
from trunkline.errors import OptionError

ENCRYPTION_KEY = "encryption_key"
ENCRYPTED = "enc:"
NAMED = "secret:"

# Narrower than CREDENTIAL_NAME: a file of a key, `tls.keyFile`, is a path.
_HOLDS_CREDENTIAL = re.compile(r"token|password|secret", re.IGNORECASE)
# A password of fewer characters may be a word of a query, such as `user`.
_NO_CHANCE = 8
# What stands in quotes in SQL.
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
# What Spark hides by itself in its UI and its event log: the default of `spark.redaction.regex` (Spark 4.0 to 4.3).
_SPARK_HIDES = r"(?i)secret|password|token|access[.]?key"
_REDACTION = "spark.redaction.regex"
# Of options it hides these too: the default of `spark.sql.redaction.options.regex`.
_SPARK_HIDES_OPTIONS = "(?i)url"
_REDACTED_OPTIONS = "spark.sql.redaction.options.regex"


class PipelineSecrets:
    """The secrets of one run. Each is looked up once, when it is first asked for.

    Args:
        references: `secrets { }` of the file.
    """

    def __init__(self, references: Mapping[str, str]) -> None:
        self._references = dict(references)
        self._found: dict[str, Secret] = {}
        self._known: set[str] = set()
        self._redactor = Redactor(())

    def resolved(self, held: Any, path: str) -> Any:
        """A copy in which each secret is a resolved `Secret`.

        Args:
            held: Options or a `config`: nested dicts and lists.
            path: Where it stands in the file, for errors.

        Raises:
            OptionError: A reference points to nothing, or a value cannot be decrypted. Names path and reference.
        """
        if isinstance(held, Mapping):
            return {key: self._value(value, f"{path}.{key}", str(key)) for key, value in held.items()}
        return self._value(held, path, path)

    def know(self, held: Any, environment: Mapping[str, str] | None = None) -> None:
        """Learn the credentials that stand in the file itself.

        Those are values under a name such as `password` or `account.key`, logins and passwords within URLs, and what
        came into a text from an environment variable of such a name.

        Args:
            held: All of the file.
            environment: Of this process.
        """
        self._know(held, "")
        texts = "\n".join(_texts(held))
        for name, value in (environment or {}).items():
            if holds_credential(name) and value in texts:
                self._learn(value)

    @property
    def redactor(self) -> Redactor:
        """Of the secrets that are known so far."""
        return self._redactor

    def clean(self, text: str) -> str:
        """`text` with `***` wherever a secret stood that was looked up so far."""
        return self._redactor.clean(text)

    def holds(self, sql: str) -> bool:
        """Whether a credential that is known stands in SQL, and is long enough not to stand there by chance.

        One that might be the name of a column or of a table counts only in quotes.
        """
        quoted = " ".join(_QUOTED.findall(sql))
        return any(
            len(value) >= _NO_CHANCE and value in (quoted if value.isidentifier() else sql) for value in self._known
        )

    def _know(self, held: Any, key: str) -> None:
        if isinstance(held, Mapping):
            for name, value in held.items():
                self._know(value, key if holds_credential(key) else str(name))
        elif isinstance(held, (list, tuple)):
            for item in held:
                self._know(item, key)
        elif isinstance(held, str) and not is_secret(held, key):
            if holds_credential(key):
                self._learn(held)
            for value in credentials_within(held):
                self._learn(value)

    def _learn(self, value: str) -> None:
        if value not in self._known and len(value) >= SHORTEST_SECRET:
            # Whoever is sent a URL may quote a part of it.
            _, _, after = value.partition("://")
            path = after.partition("/")[2]
            self._known |= {value, *credentials_within(value), *([path] if len(path) >= SHORTEST_SECRET else [])}
            self._redactor = Redactor(self._known)

    def _value(self, held: Any, path: str, key: str) -> Any:
        if isinstance(held, (list, tuple)):
            return [self._value(item, f"{path}[{at}]", key) for at, item in enumerate(held)]
        if not isinstance(held, str):
            return self.resolved(held, path) if isinstance(held, Mapping) else held
        if not is_secret(held, key):
            return held
        if held not in self._found:
            self._found[held] = self._looked_up(held, path)
            self._learn(self._found[held].reveal())
        return self._found[held]

    def _looked_up(self, text: str, path: str) -> Secret:
        if text.startswith(ENCRYPTED):
            return resolve(with_key(text, self._references), path)
        if not text.startswith(NAMED):
            return resolve(text, path)
        name = text.removeprefix(NAMED)
        if name not in self._references:
            raise OptionError(f"{path}: secrets has no {name}")
        return resolve(self._references[name], f"secrets.{name}")


def revealed(held: Any) -> Any:
    """A copy in clear, for whoever sends the values."""
    if isinstance(held, Mapping):
        return {key: revealed(value) for key, value in held.items()}
    if isinstance(held, (list, tuple)):
        return [revealed(item) for item in held]
    return held.reveal() if isinstance(held, Secret) else held


def referred(held: Any, references: Mapping[str, str]) -> Any:
    """A copy in which each secret is a reference that needs no pipeline: for `rest` and `jobs`, which look them up.

    So what Spark keeps of the options holds no secret. Names that are not in `references` stay.

        secret:api      vault:secret/crm#token
        enc:gAAAA       enc:gAAAA#env:PIPELINE_KEY

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
    return with_key(held, references) if isinstance(held, str) and held.startswith(ENCRYPTED) else held


def with_key(text: str, references: Mapping[str, str]) -> str:
    """What is encrypted, with the reference to its key, which `secrets { }` holds for all."""
    return text if "#" in text or ENCRYPTION_KEY not in references else f"{text}#{references[ENCRYPTION_KEY]}"


def hidden(given: Mapping[str, str], resolved: Mapping[str, Any]) -> dict[str, str]:
    """Spark's configuration in clear, of which Spark shows no secret in its UI and its event log.

    Spark goes by the name of a setting. One that holds a secret under another name, such as
    `spark.hadoop.fs.azure.account.key.lake.dfs.core.windows.net`, is added to the names that it hides.

    Args:
        given: `spark.conf` of the file.
        resolved: The same, each secret looked up.
    """
    conf: dict[str, str] = revealed(resolved)
    names = [
        name
        for name in given
        if (isinstance(resolved[name], Secret) or CREDENTIAL_NAME.search(name) or credentials_within(conf[name]))
        and not re.search(_SPARK_HIDES, name)
    ]
    if names:
        hides = conf.get(_REDACTION, _SPARK_HIDES)
        # Under Hadoop's properties it stands again, without Spark's prefix.
        own = [name.removeprefix("spark.hadoop.").replace(".", "[.]") for name in names]
        conf[_REDACTION] = "|".join([hides, *own])
    return conf


def hiding(options: Iterable[Mapping[str, Any]], conf: Mapping[str, str]) -> dict[str, str]:
    """The setting by which Spark's plans show no option that holds a secret under a name that Spark does not hide.

    Args:
        options: Those of reads and writes of formats that are given values.
        conf: `spark.conf` of the file.
    """
    hides = conf.get(_REDACTED_OPTIONS, _SPARK_HIDES_OPTIONS)
    names = [
        name.replace(".", "[.]")
        for one in options
        for name, text in _named(one)
        if (is_secret(text, name) or CREDENTIAL_NAME.search(name) or credentials_within(text))
        and not re.search(f"{_SPARK_HIDES}|url", name)
    ]
    return {_REDACTED_OPTIONS: "|".join(dict.fromkeys([hides, *names]))} if names else {}


def is_secret(text: str, key: str) -> bool:
    """Whether a value is one to be looked up.

    Args:
        text: The value.
        key: The name it stands under.
    """
    if text.startswith("file:"):
        return _HOLDS_CREDENTIAL.search(key) is not None
    return text.startswith((NAMED, ENCRYPTED)) or is_reference(text)


def _named(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Options by their whole names."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _named(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            yield f"{prefix}{name}", value


def _texts(held: Any) -> list[str]:
    if isinstance(held, Mapping):
        return [text for value in held.values() for text in _texts(value)]
    if isinstance(held, (list, tuple)):
        return [text for item in held for text in _texts(item)]
    return [held] if isinstance(held, str) else []
