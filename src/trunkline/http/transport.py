"""Moves bytes, nothing else: no retry, no waiting, no login, no judging.

A transport is three calls; `start` returns at once and `poll` hands over what has finished meanwhile:

    transport = open_transport(Settings(), "auto")
    transport.start(request, request.url, {"Content-Type": "application/json"})
    exchanges = transport.poll(wait=1.0)          # [] when a second passed and nothing finished
    transport.close()

There are two, which keep the same contract (`trunkline.testing.transport_contract`) and work in the caller's thread:
one on libcurl, the faster by far, and one on aiohttp, which is always installed.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from trunkline.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from trunkline.credentials import Secret
    from trunkline.http.client import Transport

_TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True)
class Settings:
    """What a connection needs to know; equal settings can share a transport.

    Attributes:
        connect: Seconds to connect: name, proxy and TLS included.
        read: Seconds between two arrivals of bytes.
        total: Seconds for the whole exchange.
        max_bytes: The largest answer, on the wire and decoded.
        ca: Path of a PEM file of certificate authorities, instead of the system's.
        cert: Path of the client's certificate, PEM; may hold the key too.
        key_file: Path of the client's private key.
        key_password: Of the key.
        verify: False accepts any server certificate.
        min_tls: "1.2" or "1.3".
        proxy: URL of a proxy; None takes the environment's, which NO_PROXY limits.
    """

    connect: float = 10.0
    read: float = 60.0
    total: float = 300.0
    max_bytes: int = 64 * 1024 * 1024
    ca: str | None = None
    cert: str | None = None
    key_file: str | None = None
    key_password: Secret | None = None
    verify: bool = True
    min_tls: str = "1.2"
    proxy: str | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS configuration.

        Raises:
            OptionError: A file is missing or unreadable, or the key does not fit.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            words = ssl_words(error) if isinstance(error, ssl.SSLError) else error.strerror
            raise OptionError(f"tls.ca: cannot load {self.ca}: {words}") from None
        context.minimum_version = _TLS_VERSIONS[self.min_tls]
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert:
            password = self.key_password.reveal if self.key_password is not None else _no_password
            try:
                context.load_cert_chain(self.cert, self.key_file, password)
            except ssl.SSLError as error:
                # OpenSSL says the same of a wrong password and of a broken file, and says it badly.
                causes = "is it PEM, does the key belong to the certificate, is tls.keyPassword right?"
                files = self.cert if self.key_file is None else f"{self.cert} with {self.key_file}"
                raise OptionError(f"tls.cert: cannot load {files}: {causes} ({ssl_words(error)})") from None
            except OSError as error:
                raise OptionError(f"tls.cert: cannot read {error.filename or self.cert}: {error.strerror}") from None
        return context

    def proxy_for(self, url: str) -> str | None:
        """The proxy for this URL: the one set here, else the environment's unless NO_PROXY names the host."""
        if self.proxy is not None:
            return self.proxy
        parts = urlsplit(url)
        if not parts.hostname or proxy_bypass(parts.netloc):
            return None
        return getproxies().get(parts.scheme)


def open_transport(settings: Settings, choice: str) -> Transport:
    """The transport that the option `transport` asks for.

    Args:
        settings: Of its connections.
        choice: `libcurl`, `aiohttp`, or `auto`: libcurl where it can be had.

    Raises:
        MissingExtraError: libcurl was asked for and cannot be had.
    """
    check_choice(choice)
    if choice != "aiohttp" and libcurl_problem() is None:
        from trunkline.http.libcurl import LibcurlTransport

        return LibcurlTransport(settings)
    from trunkline.http.aiohttp_transport import AiohttpTransport

    return AiohttpTransport(settings)


def check_choice(choice: str) -> None:
    """Refuse what cannot be opened, before there is anything to send.

    Raises:
        MissingExtraError: libcurl was asked for and cannot be had.
    """
    problem = libcurl_problem() if choice == "libcurl" else None
    if problem is not None:
        raise MissingExtraError(f"transport=libcurl: {problem}: pip install -U 'trunkline[fast]'")


def libcurl_problem() -> str | None:
    """Why there is no transport on libcurl here, None when there is."""
    try:
        from trunkline.http.libcurl import lacking
    except ImportError as error:
        # pycurl refuses to be imported beside a libcurl older than its own, too.
        return f"pycurl cannot be imported ({error})"
    return lacking()


def ssl_words(error: ssl.SSLError) -> str:
    """What OpenSSL found, for people: `certificate verify failed: self-signed certificate`."""
    words = (error.reason or "no TLS").replace("_", " ").lower()
    verdict = getattr(error, "verify_message", "")
    return f"{words}: {verdict.rstrip('.')}" if verdict else words


def _no_password() -> str:
    """Keeps OpenSSL from asking for the password of an encrypted key on a terminal nobody watches."""
    return ""
