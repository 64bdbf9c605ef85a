r"""What libcurl brings back, in the engine's terms: the head of an answer, and what a failure means.

headers = AnswerHeaders(b"HTTP/1.1 201 Created\r\nLocation: /rows/1\r\n\r\n")
headers["location"]                            # "/rows/1"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import pycurl

from trunkline.http.body import BodyError
from trunkline.http.message import Fault

if TYPE_CHECKING:
    from multidict import CIMultiDict

    from trunkline.http.transport import Settings

# What the transport on aiohttp takes of a server: bytes of one header, and headers.
_MAX_HEADER_BYTES, _MAX_HEADERS = 32_768, 128
# The status line and the empty line stand beside the headers.
_MAX_LINES = _MAX_HEADERS + 2
# Below are those that only announce the answer.
_LEAST_STATUS = 200
# What a server says of our certificate after the handshake, when the first request is on its way already (TLS 1.3).
# It has not read the request then.
_CERTIFICATE_ALERT = re.compile(r"alert.*(certificate|unknown ca|access denied|handshake failure)", re.IGNORECASE)
# The TLS library has found something; a connection that broke during the handshake comes with the same code.
_TLS_FINDING = re.compile(r"routines:(?!.*unexpected eof)")
_TLS = frozenset({
    pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CERTPROBLEM, pycurl.E_SSL_CIPHER, pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_ISSUER_ERROR, pycurl.E_SSL_CRL_BADFILE, pycurl.E_SSL_INVALIDCERTSTATUS,
})  # fmt: skip
_CLOSED = frozenset({pycurl.E_GOT_NOTHING, pycurl.E_ABORTED_BY_CALLBACK, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR})
# These speak of HTTP in words that quote nothing.
_SPEAKING = frozenset({pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_FTP_WEIRD_SERVER_REPLY, pycurl.E_URL_MALFORMAT})
_LONGEST_DETAIL = 200


class Towards(Protocol):
    """Where a request went."""

    host: str
    proxy: str


class AnswerHeaders(Mapping[str, str]):
    """The headers of an answer, looked up without regard to case in the bytes that came: few are ever asked for.

    Args:
        lines: All that came before the body, and trailers after it.
        whole: The empty line must have come.

    Attributes:
        status: The status of the answer.
        lower: All of its head, in lower case.

    Raises:
        BodyError: No answer has come, or not the whole head of one, or too much of a head.
    """

    __slots__ = ("_all", "_raw", "lower", "status")

    def __init__(self, lines: list[bytes], *, whole: bool = True) -> None:
        raw = b"".join(lines)
        if len(raw) > _MAX_HEADER_BYTES or len(lines) > _MAX_LINES:
            _check_size(lines)
        # 1xx answers come before the answer, each with an empty line of its own.
        begin = raw.rfind(b"\nHTTP/") + 1
        end = raw.find(b"\n\r\n", begin)
        if end < 0:
            end = raw.find(b"\n\n", begin)
        # "HTTP/1.1 200 OK": libcurl takes no other form.
        status = raw[begin + 9 : begin + 12]
        self.status = int(status) if status.isdigit() else 0
        if self.status < _LEAST_STATUS or (whole and end < 0):
            raise BodyError(Fault.RESET, "the server closed the connection")
        self._raw = raw[begin : end + 1] if end >= 0 else raw[begin:]
        self.lower = self._raw.lower()
        self._all: CIMultiDict[str] | None = None

    @property
    def head(self) -> bytes:
        """All of its head, as it came: where that is the same, so are the headers."""
        return self._raw

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header; the first of several."""
        at = self.lower.find(_key(name))
        if at < 0:
            return default
        line, _, _ = self._raw[at + 1 :].partition(b"\n")
        return _text(line.partition(b":")[2])

    def joined(self, name: str) -> str | None:
        """The values of all headers with this name, joined with commas; None without any."""
        return None if _key(name) not in self.lower else ",".join(self._parsed().getall(name))

    def __getitem__(self, name: str) -> str:
        value: str | None = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _key(name) in self.lower

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def items(self) -> Any:
        """Names and values, each as often as it came."""
        return self._parsed().items()

    def _parsed(self) -> CIMultiDict[str]:
        if self._all is None:
            from multidict import CIMultiDict

            parts = [line.partition(b":") for line in self._raw.split(b"\n")[1:]]
            self._all = CIMultiDict([(_text(name), _text(value)) for name, colon, value in parts if colon])
        return self._all


def fault_of(code: int, words: str, origin: Towards, settings: Settings, *, sent: bool) -> tuple[Fault, str]:
    """The fault that a failure of libcurl stands for, and words without any of the bytes that travelled.

    Args:
        code: A CURLcode other than 0.
        words: What libcurl says of it.
        origin: Where the request was to go.
        settings: Of the connection.
        sent: Whether the request had begun to leave.
    """
    said = " ".join(words.split())[:_LONGEST_DETAIL] or f"libcurl's error {code}"
    if code in _TLS or (code == pycurl.E_SSL_CONNECT_ERROR and _TLS_FINDING.search(said)):
        return Fault.TLS, said
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return (
            (Fault.TIMEOUT, f"not complete after {settings.total:g} s")
            if sent
            else (Fault.CONNECT_TIMEOUT, origin.host)
        )
    if not sent:
        return _unsent(code, said, origin)
    if code == pycurl.E_FILESIZE_EXCEEDED:
        return Fault.TOO_LARGE, f"more than {settings.max_bytes} bytes"
    if code in (pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR) and _CERTIFICATE_ALERT.search(said):
        return Fault.TLS, said
    if code in _CLOSED:
        return Fault.RESET, "the server closed the connection"
    if code == pycurl.E_PARTIAL_FILE:
        return Fault.RESET, "the body of the answer ends early"
    if code == pycurl.E_WRITE_ERROR:
        # An interrupt, which `perform` raises, breaks off what was just coming in.
        return Fault.RESET, "interrupted"
    return Fault.MALFORMED, said if code in _SPEAKING else f"libcurl's error {code}"


def _unsent(code: int, said: str, origin: Towards) -> tuple[Fault, str]:
    if code == pycurl.E_URL_MALFORMAT:
        return Fault.MALFORMED, "not sent: the URL is malformed"
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return Fault.DNS, said
    return (Fault.PROXY if origin.proxy else Fault.REFUSED), said


def _check_size(lines: list[bytes]) -> None:
    if len(lines) > _MAX_LINES:
        raise BodyError(Fault.MALFORMED, f"more than {_MAX_HEADERS} headers")
    if len(max(lines, key=len)) > _MAX_HEADER_BYTES:
        raise BodyError(Fault.MALFORMED, f"a header of more than {_MAX_HEADER_BYTES} bytes")


@lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    """Cached: the same few names are looked for in every answer."""
    return b"\n%b:" % name.lower().encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.strip().decode("utf-8", "surrogateescape")
