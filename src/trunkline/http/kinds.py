"""Kinds of option values that speak HTTP: statuses, URLs, hosts, query parameters and headers.

    CodeSet.parse("2XX,!204")              # a frozenset of the statuses
    PARAMS.parse('{"tag": ["a", "b"]}')    # (("tag", "a"), ("tag", "b"))

They are shown without what may be a credential: values whose name sounds like one are masked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit, urlunsplit

from trunkline.credentials import MASK, Secret, unresolved
from trunkline.kinds import LINE_BREAKS, Kind, json_object, names, of_text, quoted, text_of

# Names whose values are masked wherever they stand: a mask too many hurts nobody.
SENSITIVE = re.compile(r"token|passw|secret|credential|key|auth|cookie|session|sig", re.IGNORECASE)
# `{column}` in a URL, a parameter or a header: any name without braces.
COLUMN = re.compile(r"\{([^{}]+)\}")
_CODE = re.compile(r"(!?)([1-5])([0-9]{2}|XX)")
_CLASS_SIZE = 100
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?)(:[0-9]{1,5})?")


class CodeSet(frozenset[int]):
    """Statuses, written as codes, classes and exclusions: `2XX,404,!203`. An exclusion wins wherever it stands.

        404 in CodeSet.parse("4XX,!404")   # False

    It is a frozenset of the statuses, and `str` writes it as short as it can be.
    """

    @classmethod
    def parse(cls, text: str) -> CodeSet:
        """Read `2XX,404,!203`.

        Raises:
            ValueError: A part is neither a code from 100 to 599 nor a class, or nothing is left.
        """
        take: set[int] = set()
        drop: set[int] = set()
        for part in text.upper().split(","):
            match = _CODE.fullmatch(part.strip())
            if match is None:
                message = f"{quoted(part.strip())} is no status: write codes 404, classes 2XX, exclusions !203"
                raise ValueError(message)
            first = int(match[2]) * _CLASS_SIZE
            codes = range(first, first + _CLASS_SIZE) if match[3] == "XX" else (first + int(match[3]),)
            (drop if match[1] else take).update(codes)
        if not take - drop:
            message = f"{quoted(text)} leaves no status"
            raise ValueError(message)
        return cls(take - drop)

    def __str__(self) -> str:
        """The shortest way to write it: `parse(str(codes)) == codes`."""
        parts = []
        for first in range(_CLASS_SIZE, 6 * _CLASS_SIZE, _CLASS_SIZE):
            every = range(first, first + _CLASS_SIZE)
            inside = [code for code in every if code in self]
            outside = [code for code in every if code not in self]
            if len(inside) > len(outside):
                parts += [f"{first // _CLASS_SIZE}XX", *(f"!{code}" for code in outside)]
            else:
                parts += map(str, inside)
        return ",".join(parts)

    def __repr__(self) -> str:
        return f"CodeSet({self})"


def url(text: str, cure: str = "use auth.*") -> str:
    """An absolute http or https URL without credentials, a fragment or spaces. Its host is literal.

    Args:
        text: The URL; `{column}` may stand in its path and query.
        cure: What to do with a user name or password that was found in it.
    """
    text = text.strip()
    # A column may have any name: only what stands around it must be a URL.
    literal = COLUMN.sub("{}", text)
    if "@" in re.split(r"[/?#]", literal.partition("://")[2], maxsplit=1)[0]:
        # Said first and without the text: what stands before the @ may be a password.
        message = f"a URL must not hold a user name or password: remove what stands before the @ and {cure}"
        raise ValueError(message)
    try:
        parts = urlsplit(literal)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not host:
        message = "not an absolute URL: write https://host/path"
        raise ValueError(message)
    if "{" in parts.netloc:
        message = "a column cannot fill the host of a URL, only its path and query"
        raise ValueError(message)
    if (
        _HOST.fullmatch(parts.netloc.lower()) is None
        or " " in literal
        or not (literal.isascii() and literal.isprintable())
    ):
        message = "the URL holds characters that no URL has; percent-encode them, and write the host in ASCII"
        raise ValueError(message)
    if parts.fragment:
        message = "a URL's part after # is never sent: remove it"
        raise ValueError(message)
    return text


def proxy(text: str) -> str:
    """As `url`. A proxy's password has no option: the environment of the workers may hold it."""
    return url(text, cure="set HTTPS_PROXY in the environment of the workers instead of proxy.url")


def hosts(given: object) -> tuple[str, ...]:
    """Hosts with an optional port, lower case: `cdn.example.com,10.0.0.7:8443,[fe80::1]:8443`."""
    if isinstance(given, str) and not given.lstrip("[ ").startswith('"'):
        # An IPv6 address begins as a JSON array does.
        given = [part.strip() for part in given.split(",")]
    found = tuple(host.lower() for host in names(given))
    for host in found:
        if _HOST.fullmatch(host) is None:
            message = f"{quoted(host)} is no host: write cdn.example.com or 10.0.0.7:8443, without https://"
            raise ValueError(message)
    return found


def header_name(text: str) -> str:
    """The name of a header, as RFC 9110 allows it."""
    text = text.strip()
    if _TOKEN.fullmatch(text) is None:
        message = f"{quoted(text)} is no header name: letters, digits and hyphens"
        raise ValueError(message)
    return text


def params(given: object) -> tuple[tuple[str, str], ...]:
    """Query parameters of a JSON object, in order: a list repeats its name, `{"id": [1, 2]}` is `id=1&id=2`."""
    pairs: list[tuple[str, str]] = []
    for name, value in json_object(given).items():
        pairs += [(name, _scalar(name, item)) for item in (value if isinstance(value, (list, tuple)) else [value])]
    return tuple(pairs)


def headers(given: object) -> dict[str, str]:
    """Headers of a JSON object. No name twice in whatever case, no line break in a value."""
    values = json_object(given)
    found = {header_name(name): _scalar(name, value) for name, value in values.items()}
    if len({name.lower() for name in found}) < len(values):
        message = "a header is named twice"
        raise ValueError(message)
    for name, value in found.items():
        if LINE_BREAKS.search(value):
            message = f"the value of {name} holds a line break"
            raise ValueError(message)
    return found


def secret_headers(given: object) -> dict[str, Secret]:
    """As `headers`; each value is a credential or a reference to one."""
    values = json_object(given)
    # A Secret of the caller's own goes through unopened; the checks of a header see a stand-in.
    texts = headers({name: MASK if isinstance(value, Secret) else value for name, value in values.items()})
    own = {name.strip(): value for name, value in values.items() if isinstance(value, Secret)}
    found = {}
    for name, text in texts.items():
        try:
            found[name] = own.get(name) or unresolved(text)
        except ValueError as error:
            message = f"{name}: {error}"
            raise ValueError(message) from None
    return found


def shown_url(text: str) -> str:
    """A URL with the values of its sensitive parameters masked."""
    parts = urlsplit(text)
    if not parts.query:
        return text
    pairs = (pair.partition("=") for pair in parts.query.split("&"))
    query = (name + equals + (MASK if SENSITIVE.search(name) else value) for name, equals, value in pairs)
    return urlunsplit(parts._replace(query="&".join(query)))


def shown_pairs(value: Mapping[str, object] | Iterable[tuple[str, object]]) -> str:
    """Headers or parameters, with the values of sensitive names masked."""
    pairs = value.items() if isinstance(value, Mapping) else value
    shown = [f"{name}: {MASK if SENSITIVE.search(name) else text}" for name, text in pairs]
    return f"{{{', '.join(shown)}}}"


def _shown_secrets(value: Mapping[str, Secret]) -> str:
    return f"{{{', '.join(f'{name}: {secret.reference or MASK}' for name, secret in value.items())}}}"


def _scalar(name: str, value: object) -> str:
    if value is None or isinstance(value, (Mapping, list, tuple)):
        message = f"the value of {name} must be text, a number, true or false"
        raise ValueError(message)
    return text_of(value)


CODES = Kind("statuses", of_text(CodeSet.parse), {"type": ["string", "integer", "array"]})
URL = Kind("URL", of_text(url), {"type": "string", "pattern": "^https?://"}, show=shown_url)
PROXY = Kind("URL", of_text(proxy), {"type": "string", "pattern": "^https?://"}, show=shown_url)
HOSTS = Kind("hosts", hosts, {"type": ["string", "array"], "items": {"type": "string"}})
HEADER = Kind("header name", of_text(header_name), {"type": "string", "pattern": f"^{_TOKEN.pattern}$"})
PARAMS = Kind("JSON object", params, {"type": ["object", "string"]}, show=shown_pairs)
HEADERS = Kind("JSON object", headers, {"type": ["object", "string"]}, show=shown_pairs)
SECRET_HEADERS = Kind("JSON object", secret_headers, {"type": ["object", "string"]}, show=_shown_secrets, secret=True)
