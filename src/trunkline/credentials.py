"""Credentials: references to where they are kept, a type that does not print, and a redactor for messages.

    token = resolve("env:API_TOKEN", option="auth.token")
    token              # Secret(***)
    token.reveal()     # the value, for the one line that sends it

A reference says where a credential is kept, so that SQL views, pipeline files and query plans hold none:

    env:NAME                     an environment variable of the driver
    file:/path                   a file of the driver; one newline at its end is not part of it
    databricks:scope/key         a Databricks secret

References are resolved on the driver; what travels to the tasks is the resolved `Secret`.
"""

from __future__ import annotations

import base64
import hmac
import html
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, quote_plus

from trunkline.errors import OptionError

MASK = "***"
# Schemes that are promised, not there yet. Known, so that none of them is ever sent as if it were the credential.
_LATER = ("vault", "aws-secretsmanager", "azure-keyvault")
_REFERENCE = re.compile(rf"(env|file|databricks|{'|'.join(_LATER)}):")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DATABRICKS_PATH = re.compile(r"[^/\s]+/[^/\s]+")
# Of a secret inside Base64 only whole characters can be looked for; fewer than these would match ordinary words.
_SHORTEST_BASE64 = 4
_BASE64_RUN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")


class Secret:
    """A credential that does not print: `repr`, `str` and formatting give `***`.

        Secret("hunter2").reveal()
        Secret("", reference="env:API_TOKEN")   # not resolved yet: reveal() refuses

    Pickling carries the value: a writer takes its credential along to the tasks.

    Args:
        value: The credential itself; empty while `reference` waits to be resolved.
        reference: Where it is kept. May be shown: it is no secret.
    """

    __slots__ = ("_value", "reference")

    def __init__(self, value: str, reference: str = "") -> None:
        self._value = value
        self.reference = reference

    @property
    def resolved(self) -> bool:
        """Whether the value is known."""
        return bool(self._value) or not self.reference

    def reveal(self) -> str:
        """The credential in clear. Hand it straight to what sends it; keep it in no variable."""
        if not self.resolved:
            message = f"{self.reference} was not resolved before it was used: call resolve() or Options.resolved()"
            raise RuntimeError(message)
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        same = hmac.compare_digest(self._value.encode(), other._value.encode())
        return same and (bool(self._value) or self.reference == other.reference)

    def __hash__(self) -> int:
        return hash((Secret, self._value or self.reference))

    def __repr__(self) -> str:
        return f"Secret({MASK})" if self.resolved else f"Secret({self.reference})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK


def is_reference(text: str) -> bool:
    """Whether `text` says where a credential is kept, instead of being one."""
    return _REFERENCE.match(text) is not None


def unresolved(text: str) -> Secret:
    """The `Secret` for what a user wrote: a literal, or a reference to be resolved later.

    Raises:
        ValueError: The reference is misspelt, or its kind is not in this release.
    """
    if not is_reference(text):
        return Secret(text)
    scheme, _, rest = text.partition(":")
    if scheme in _LATER:
        message = f"{scheme}: references are not in this release; use env:NAME, file:/path or databricks:scope/key"
        raise ValueError(message)
    if scheme == "env" and not _NAME.fullmatch(rest):
        message = "an env: reference is written env:NAME, the name of an environment variable"
        raise ValueError(message)
    if scheme == "file" and not rest.startswith("/"):
        message = "a file: reference needs an absolute path: file:/path"
        raise ValueError(message)
    if scheme == "databricks" and not _DATABRICKS_PATH.fullmatch(rest):
        message = "a databricks: reference is written databricks:scope/key"
        raise ValueError(message)
    return Secret("", reference=text)


def resolve(credential: str | Secret, option: str = "credential") -> Secret:
    """Look up what a reference points to. A literal, or a secret that is resolved already, comes back as it is.

        resolve("file:/run/secrets/api", option="auth.token")

    Args:
        credential: A literal or a reference, as text or as `unresolved` made it.
        option: The option it was given in, for the error.

    Raises:
        OptionError: The reference is misspelt or what it points to is missing or empty. Names the option and the
            reference, never a value.
    """
    try:
        secret = credential if isinstance(credential, Secret) else unresolved(credential)
        if secret.resolved:
            return secret
        scheme, _, rest = secret.reference.partition(":")
        look_up = {"env": _from_environment, "file": _from_file, "databricks": _from_databricks}[scheme]
        value = look_up(rest)
        if not value:
            message = f"{secret.reference} is empty"
            raise ValueError(message)
        return Secret(value, reference=secret.reference)
    except ValueError as error:
        raise OptionError(f"{option}: {error}") from None


class Redactor:
    """Cuts known secrets out of any text: as they are and percent-encoded, JSON-, Python- or HTML-escaped or in Base64.

        Redactor([Secret("hunter2")]).clean("login with hunter2 failed")   # "login with *** failed"

    Base64 is found at any position, so `Basic <base64 of user:password>` goes, whatever the user name: the whole run
    of Base64 characters is cut. Clean a text before it is shortened: half a secret is not recognised.

    Args:
        secrets: What must not appear. Unresolved references are skipped: nobody knows their value.
    """

    def __init__(self, secrets: Iterable[Secret | str]) -> None:
        plain: set[str] = set()
        runs: set[str] = set()
        for secret in secrets:
            if isinstance(secret, Secret) and not secret.resolved:
                continue
            value = secret.reveal() if isinstance(secret, Secret) else secret
            plain |= _spellings(value)
            runs |= _base64_cores(value)
        # Longest first: a secret that contains another is cut whole.
        self._plain = tuple(sorted(plain, key=len, reverse=True))
        self._runs = tuple(runs)

    def clean(self, text: str) -> str:
        """`text` with `***` wherever a secret stood."""
        for core in self._runs:
            if core in text:
                text = _cut_runs(text, core)
        for spelling in self._plain:
            if spelling in text:
                text = text.replace(spelling, MASK)
        return text

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._plain)} spellings>"


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        message = f"env:{name} is not in the environment that Spark was started with: set it before the session starts"
        raise ValueError(message)
    return value


def _from_file(path: str) -> str:
    try:
        text = Path("/" + path.lstrip("/")).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        message = f"file:{path} is not UTF-8 text"
        raise ValueError(message) from None
    except OSError as error:
        message = f"file:{path} cannot be read on the driver: {error.strerror}"
        raise ValueError(message) from None
    return text.removesuffix("\n").removesuffix("\r")


def _from_databricks(path: str) -> str:
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


def _spellings(value: str) -> set[str]:
    """Every way a message may spell a secret, but for Base64."""
    percent = {quote(value, safe=""), quote(value), quote_plus(value)}
    lower = {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text) for text in percent}
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
    return ({value, html.escape(value)} | percent | lower | escaped) - {""}


def _base64_cores(value: str) -> set[str]:
    """What Base64 of any text around `value` must contain: one core for each of the three ways bytes can line up."""
    data = value.encode()
    cores = set()
    for ahead in range(3):
        text = base64.b64encode(bytes(ahead) + data).decode()
        # Six bits a character: those that also hold bits of the bytes before or after are left out.
        first = -(-ahead * 8 // 6)
        last = (ahead + len(data)) * 8 // 6
        core = text[first:last]
        if len(core) >= _SHORTEST_BASE64:
            cores |= {core, core.replace("+", "-").replace("/", "_")}
    return cores


def _cut_runs(text: str, core: str) -> str:
    """Replace each run of Base64 characters that holds `core`."""
    pieces = []
    done = 0
    while (start := text.find(core, done)) >= 0:
        end = start + len(core)
        while start > done and text[start - 1] in _BASE64_RUN:
            start -= 1
        while end < len(text) and text[end] in _BASE64_RUN:
            end += 1
        pieces += [text[done:start], MASK]
        done = end
    return "".join(pieces) + text[done:]
