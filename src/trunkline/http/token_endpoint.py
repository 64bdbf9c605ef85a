"""Asks a token endpoint for a token: one small POST, tried again when the endpoint is not well.

token = fetch(credential, Settings(), credential.refresh_token)
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

import requests
import urllib3.exceptions as pool
from requests.adapters import HTTPAdapter

from trunkline.credentials import Redactor, Secret
from trunkline.errors import AuthError, ResponseError, UnavailableError
from trunkline.http.body import BodyError, decoded
from trunkline.http.message import Exchange, Fault, Request
from trunkline.http.oauth2 import Credential, Token, read_token
from trunkline.http.pacing import backoff, wait_at_least
from trunkline.http.retry_headers import retry_after
from trunkline.http.transport import Settings

TRIES = 3
# A token answer is one small object; signed tokens with many claims reach some ten kilobytes.
MAX_BYTES = 64 * 1024
# Everybody waits while one process asks: longer than this it must not sleep between tries, whatever it is told.
MAX_WAIT = 30.0


def fetch(
    credential: Credential,
    settings: Settings,
    refresh_token: Secret,
    *,
    sleep: Callable[[float], None] = time.sleep,
    random: Random | None = None,
) -> Token:
    """A new token. Blocks, with its waits, for at most `longest(settings)` seconds.

    Transport faults, 429 and 5xx are tried again, `TRIES` times in all. A try whose answer was lost is repeated with
    the same refresh token: the endpoint may have rotated it already and refuse then; nothing better can be known.

    Args:
        credential: To ask with.
        settings: Time-outs, TLS and proxy. One try takes at most connect + read seconds as a whole.
        refresh_token: The latest one, for the grant of that name.
        sleep: Waits between tries.
        random: Spreads the waits.

    Raises:
        AuthError: The endpoint refused the credential.
        ResponseError: It answered a success without a token, or more than `MAX_BYTES`.
        UnavailableError: It could not be reached or was not well in every try, or asks to come back much later.
        OptionError: A `tls.*` file cannot be loaded.
    """
    random = random or Random()  # noqa: S311 - jitter
    redactor = Redactor([*credential.secrets, refresh_token])
    request = credential.request(refresh_token)
    context = settings.ssl_context() if request.url.startswith("https:") else None
    for tries in range(1, TRIES + 1):
        exchange = _bounded(request, settings, context)
        status = exchange.status
        if exchange.fault is Fault.TOO_LARGE:
            raise ResponseError(
                f"the token endpoint {credential.where} answered more than {MAX_BYTES} bytes, which is no token: "
                "check auth.tokenUrl"
            )
        if exchange.fault is None and status != 429 and status < 500:
            return _read(exchange, credential, redactor, tries)
        trouble = f"status {status}" if exchange.fault is None else f"{exchange.fault.value} {exchange.detail}".strip()
        failed = f"the token endpoint {credential.where} gave no token: {redactor.clean(trouble)}"
        told = retry_after(exchange.headers)
        if told is not None and told > MAX_WAIT:
            until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + told))
            raise UnavailableError(
                f"{failed}, and asks to wait {told:.0f} s (until {until}): run again then",
                status=status,
                attempts=tries,
            )
        if tries == TRIES or (exchange.fault is not None and exchange.fault.lasting):
            break
        delay = backoff(random, tries - 1, throttled=status == 429, cap=MAX_WAIT)
        sleep(delay if told is None else wait_at_least(random, told, delay))
    often = f" (tried {tries} times)" if tries > 1 else ""
    raise UnavailableError(failed + often, status=status or None, attempts=tries)


def longest(settings: Settings) -> float:
    """The most seconds that `fetch` takes."""
    return TRIES * _one_try(settings) + (TRIES - 1) * (MAX_WAIT + 1.0)


def _one_try(settings: Settings) -> float:
    return min(settings.total, settings.connect + settings.read)


def _read(exchange: Exchange, credential: Credential, redactor: Redactor, tries: int) -> Token:
    try:
        return read_token(exchange, credential, redactor)
    except AuthError as error:
        error.__dict__["attempts"] = tries
        raise


def _bounded(request: Request, settings: Settings, context: ssl.SSLContext | None) -> Exchange:
    """One try, bounded as a whole: a server that sends a byte now and then never meets a socket's time-out.

    The thread that is given up ends by itself when the connection does.
    """
    done: list[Exchange] = []
    thread = threading.Thread(
        target=lambda: done.append(_post(request, settings, context)), name="trunkline-token-request", daemon=True
    )
    thread.start()
    thread.join(_one_try(settings))
    return done[0] if done else Exchange(request, fault=Fault.TIMEOUT)


def _post(request: Request, settings: Settings, context: ssl.SSLContext | None) -> Exchange:
    """One exchange. Never raises: a traceback of the HTTP library would carry the request's body and headers along."""
    exchange = Exchange(request)
    try:
        with requests.Session() as session:
            # The environment's .netrc would replace our Authorization, and its proxies are looked up by `settings`.
            session.trust_env = False
            session.verify = settings.verify
            if context is not None:
                session.mount("https://", _TlsAdapter(context))
            proxy = settings.proxy_for(request.url)
            response = session.post(
                request.url,
                data=request.body,
                headers=request.headers,
                timeout=(settings.connect, settings.read),
                allow_redirects=False,
                stream=True,
                proxies={} if proxy is None else {"http": proxy, "https": proxy},
            )
            raw = b""
            while piece := response.raw.read(MAX_BYTES + 1 - len(raw), decode_content=False):
                raw += piece
            if len(raw) > MAX_BYTES:
                raise BodyError(Fault.TOO_LARGE, "")
            exchange.body = decoded(raw, response.headers.get("Content-Encoding", ""), MAX_BYTES)
            exchange.status, exchange.headers = response.status_code, response.headers
    except BodyError as error:
        exchange.fault, exchange.detail = error.fault, error.detail
    except Exception as error:  # noqa: BLE001 - see above
        exchange.fault, exchange.detail = _fault(error)
    return exchange


class _TlsAdapter(HTTPAdapter):
    """Uses exactly the engine's TLS configuration, direct and through a proxy."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context says whom to trust; the library would add authorities of its own."""


def _fault(error: Exception) -> tuple[Fault, str]:
    """The fault an exception of requests or urllib3 stands for, and what the system said. No URL, header or body."""
    cause: BaseException = error
    while (inner := _inner(cause)) is not None:
        cause = inner
    for kinds, fault in _FAULTS:
        if isinstance(error, kinds) or isinstance(cause, kinds):
            return fault, _said(cause) if fault in (Fault.TLS, Fault.PROXY, Fault.REFUSED) else ""
    return Fault.MALFORMED, f"({type(cause).__name__})"


def _inner(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    return error.args[0] if error.args and isinstance(error.args[0], BaseException) else None


def _said(cause: BaseException) -> str:
    """What the system said, without the address that urllib3 puts before it."""
    said = getattr(cause, "verify_message", "") or getattr(cause, "strerror", None) or str(cause)
    return f"({' '.join(str(said).rpartition('connection: ')[2].split())[:200]})"


# In this order: a subclass before its base.
_FAULTS: tuple[tuple[tuple[Any, ...], Fault], ...] = (
    ((requests.exceptions.ProxyError, pool.ProxyError), Fault.PROXY),
    ((requests.exceptions.SSLError, ssl.SSLError, pool.SSLError), Fault.TLS),
    ((getattr(pool, "NameResolutionError", ()),), Fault.DNS),  # urllib3 1.26 has none: there it counts as refused
    ((pool.NewConnectionError, ConnectionRefusedError), Fault.REFUSED),
    ((requests.exceptions.ConnectTimeout, pool.ConnectTimeoutError), Fault.CONNECT_TIMEOUT),
    ((requests.exceptions.Timeout, pool.TimeoutError, TimeoutError), Fault.TIMEOUT),
    ((requests.exceptions.ConnectionError, pool.ProtocolError, OSError), Fault.RESET),
)
