"""Credentials: references to where they are kept, a type that does not print, and a redactor for messages.

    token = resolve("env:API_TOKEN", option="auth.token")
    token              # Secret(***)
    token.reveal()     # the value, for the one line that sends it

A reference says where a credential is kept, so that SQL views, pipeline files and query plans hold none:

    env:NAME                     an environment variable of the driver
    file:/path                   a file of the driver; one newline at its end is not part of it
    databricks:scope/key         a Databricks secret
    vault:mount/path#field       a field of a secret of HashiCorp Vault, key-value engine version 2
    aws-secretsmanager:id#field  a secret of AWS Secrets Manager, by name or ARN; without a field, all of its text
    azure-keyvault:vault/name    a secret of Azure Key Vault
    enc:text#reference           text that Fernet encrypted, and where its key is kept

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
from urllib.parse import quote, quote_plus, unquote

from trunkline.errors import OptionError

MASK = "***"
# What stands after each scheme, and how a reference of it is written.
_WRITTEN = {
    "env": (r"[A-Za-z_][A-Za-z0-9_]*", "an env: reference is written env:NAME, the name of an environment variable"),
    "file": (r"/.*", "a file: reference needs an absolute path: file:/path"),
    "databricks": (r"[^/\s]+/[^/\s]+", "a databricks: reference is written databricks:scope/key"),
    "vault": (r"[^/\s#]+(/[^/\s#]+)+#[^#]+", "a vault: reference is written vault:mount/path#field"),
    "aws-secretsmanager": (
        r"[^\s#]+(#[^#]+)?",
        "an aws-secretsmanager: reference is written aws-secretsmanager:name, or aws-secretsmanager:name#field",
    ),
    "azure-keyvault": (
        r"[A-Za-z0-9.-]+/[A-Za-z0-9-]+(/[A-Za-z0-9]+)?",
        "an azure-keyvault: reference is written azure-keyvault:vault/name, the vault by its name or its host",
    ),
    "enc": (
        r"[^\s#]+#(?!enc:).+",
        "an enc: value is written enc:TEXT#KEY, with KEY the reference to its key: env:NAME",
    ),
}
_REFERENCE = re.compile(rf"({'|'.join(_WRITTEN)}):")
# A secret that is shorter stands in every other word: to cut it out would spoil messages, and tell it.
SHORTEST_SECRET = 4
# Names under which credentials are kept. `run_key` and `partition_key` are none.
CREDENTIAL_NAME = re.compile(
    r"token|passw(or)?d|secret|credential"
    r"|(api|access|account|auth|private|shared|signing|storage|subscription|encryption|sas)[-_.]?key",
    re.IGNORECASE,
)
# Names that speak of a credential and hold none: `tokenUrl`, `token_column`, `secret_name`, `credentials.provider`.
_ABOUT_CREDENTIAL = re.compile(
    r"[-_.](?i:url|uri|endpoint|column|field|param|name|path|file|type|provider)$"
    r"|[a-z](Url|Uri|Endpoint|Column|Field|Param|Name|Path|File|Type|Provider)$"
)
# A login in a URL, `https://user:password@host`, and Oracle's, `jdbc:oracle:thin:user/password@host`. A password that
# has an @ in it goes on to the last.
_LOGIN = re.compile(r"://[^/\s:@]*:([^/\s]+)@|:thin:[^/\s]*/([^@\s]+)@")
# `?api_key=x`, `;password=x` in a URL, `password="x"` in a line of JAAS.
_PAIR = re.compile(r"(?<![\w.-])([\w.-]+)=(?:\"([^\"]*)\"|'([^']*)'|([^\s&;,#'\"]+))")
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
        ValueError: The reference is misspelt.
    """
    if not is_reference(text):
        return Secret(text)
    scheme, _, rest = text.partition(":")
    pattern, written = _WRITTEN[scheme]
    if not re.fullmatch(pattern, rest, re.DOTALL):
        raise ValueError(written)
    return Secret("", reference=text)


def resolve(credential: str | Secret, option: str = "credential") -> Secret:
    """Look up what a reference points to. A literal, or a secret that is resolved already, comes back as it is.

        resolve("file:/run/secrets/api", option="auth.token")

    Args:
        credential: A literal or a reference, as text or as `unresolved` made it.
        option: The option it was given in, for the error.

    Raises:
        OptionError: The reference is misspelt, what it points to is missing or empty, or the package that asks for it
            is not installed. Names the option and the reference, never a value.
    """
    try:
        secret = credential if isinstance(credential, Secret) else unresolved(credential)
        if secret.resolved:
            return secret
        scheme, _, rest = secret.reference.partition(":")
        value = _look_up(scheme, rest)
        if not value:
            message = f"{secret.reference} is empty"
            raise ValueError(message)
        return Secret(value, reference=secret.reference)
    except ValueError as error:
        raise OptionError(f"{option}: {error}") from None


def holds_credential(name: str) -> bool:
    """Whether what stands under a name is a credential, and not where it is got or in which column it stands."""
    return CREDENTIAL_NAME.search(name) is not None and _ABOUT_CREDENTIAL.search(name) is None


def credentials_within(text: str) -> list[str]:
    """The credentials in a URL, a JDBC URL or a line of JAAS: of its login, and under names that say so.

    credentials_within("jdbc:postgresql://db/etl?user=me&password=hunter2")     # ["hunter2"]
    """
    if "://" not in text and not text.startswith("jdbc:") and " required" not in text:
        return []
    found = [login for match in _LOGIN.finditer(text) for login in match.groups() if login]
    for name, *values in _PAIR.findall(text):
        if CREDENTIAL_NAME.search(name):
            found += [value for value in values if value]
    return list(dict.fromkeys([*found, *map(unquote, found)]))


class Redactor:
    """Cuts known secrets out of any text: as they are and percent-encoded, JSON-, Python- or HTML-escaped or in Base64.

        Redactor([Secret("hunter2")]).clean("login with hunter2 failed")   # "login with *** failed"

    Base64 is found at any position, so `Basic <base64 of user:password>` goes, whatever the user name: the whole run
    of Base64 characters is cut. Clean a text before it is shortened: half a secret is not recognised.

    Args:
        secrets: What must not appear. Unresolved references are skipped: nobody knows their value; and so are those
            of fewer than `SHORTEST_SECRET` characters.
    """

    def __init__(self, secrets: Iterable[Secret | str]) -> None:
        plain: set[str] = set()
        runs: set[str] = set()
        for secret in secrets:
            if isinstance(secret, Secret) and not secret.resolved:
                continue
            value = secret.reveal() if isinstance(secret, Secret) else secret
            if len(value) < SHORTEST_SECRET:
                continue
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


def _look_up(scheme: str, rest: str) -> str:
    if scheme in {"env", "file"}:
        return _from_environment(rest) if scheme == "env" else _from_file(rest)
    # Loaded when one is looked up: nobody else needs it.
    from trunkline import secret_stores

    return secret_stores.LOOK_UP[scheme](rest)


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        starts = "an environment variable has to be there before the program, or the Spark session, starts"
        message = f"env:{name} is not set: {starts}"
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
