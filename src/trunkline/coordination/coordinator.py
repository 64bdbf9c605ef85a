"""What users start: one coordinator for a query, or for all queries to one API.

with trunkline.coordinator(spark, auth={"type": "oauth2", ...}, rateLimit="200/s") as c:
    df.write.format("rest").mode("append").options(**c.options).save("https://api.example.com/users")
    print(c.progress())
"""

from __future__ import annotations

import atexit
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from trunkline.coordination.hub import Hub, Login
from trunkline.coordination.progress import Snapshot
from trunkline.credentials import Secret, resolve
from trunkline.errors import OptionError, TrunklineError
from trunkline.http.auth import Auth
from trunkline.http.oauth2 import Masked
from trunkline.http.option_rules import auth_rule, tls_rule
from trunkline.http.options import AUTH, ENGINE
from trunkline.options import Options, parse

if TYPE_CHECKING:
    from typing_extensions import Self

_TOKEN_BYTES = 32
# How often the token is looked after, seconds; after a failure, how long it rests.
_LOOK_AFTER, _REST = 0.2, 2.0
_BAR_EVERY = 0.5
# How long the end waits for the bar to show the last totals, and for a call to the token endpoint, whose answer nobody
# uses any more.
_BAR_PATIENCE, _TOKEN_PATIENCE = 5.0, 1.0
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - refused
_ENGINE_NAMES = ("rateLimit", "maxResponseBytes")
TABLE = (
    *AUTH,
    *(o for o in ENGINE if o.name in _ENGINE_NAMES or o.name.startswith(("timeout.", "tls.", "proxy."))),
)  # fmt: skip

log = logging.getLogger("trunkline.coordinator")


class Coordinator:
    """Keeps one rate, one login and one view for all tasks that are given its `options`.

    Args:
        spark: The session, for the address of its driver; not needed with `host`.
        auth: What to log in with, as the options `auth.*` without their prefix; references are resolved here.
        rateLimit: For all tasks together: `200/s`, `10/s,5000/h`.
        host: The address to listen on, which workers can reach. Default: `spark.driver.host`.
        port: Default: any that is free.
        token: The key, to start one again that workers know already, at the same host and port. Default: a new one.
        progress: Whether to show a progress bar; none is shown where there is neither a terminal nor a notebook.
        options: More: `timeout.*`, `tls.*` and `proxy.url`, for the token endpoint.

    Raises:
        OptionError: The options are wrong, or nobody could reach it.
        MissingExtraError: `cryptography` or, for the bar, `tqdm` is not installed.
    """

    def __init__(
        self,
        spark: Any = None,
        *,
        auth: Mapping[str, Any] | None = None,
        rateLimit: str | None = None,  # noqa: N803 - the option's name
        host: str | None = None,
        port: int = 0,
        token: str | Secret | None = None,
        progress: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        from trunkline.coordination.certificate import make_certificate
        from trunkline.coordination.server import Server

        given: tuple[object, ...] = (auth, options)
        if not all(one is None or isinstance(one, Mapping) for one in given):
            raise OptionError('coordinator: auth and options are dicts, as in auth={"type": "basic", ...}')
        # Written in full or not, as everywhere else.
        login = Masked({name.removeprefix("auth."): value for name, value in (auth or {}).items()})
        raw = Masked({"auth": login, "rateLimit": rateLimit, **(options or {})})
        raw = Masked({name: value for name, value in raw.items() if value not in (None, {})})
        self._options: Options = parse(TABLE, raw, format="coordinator", rules=(auth_rule, tls_rule)).resolved()
        self._token = resolve(token, "token") if token else Secret(secrets.token_hex(_TOKEN_BYTES))
        if len(self._token.reveal()) < _TOKEN_BYTES:
            raise OptionError(f"token: a key of a coordinator has at least {_TOKEN_BYTES} characters")
        self._auth = Auth.from_options(self._options)
        self._hub = Hub(self._options["rateLimit"] or (), self._options["auth.type"], self._refused)
        self._certificate = make_certificate(self._token)
        host = host or _driver_host(spark)
        if host in _EVERY_ADDRESS:
            raise OptionError(f"host={host} is every address of this machine: name the one that workers call")
        self._server = Server(self._hub, self._certificate, self._token, host=host, port=port)
        # Never the same twice: one that comes back must not pass an old token for a new one.
        self._number = secrets.randbelow(2**40)
        self._ending = threading.Event()
        self._renew = threading.Event()
        self._changing = threading.Lock()
        self._threads: list[tuple[threading.Thread, float]] = []
        self._bar = progress
        self._started = False

    @property
    def options(self) -> dict[str, str]:
        """The options that make tasks use it: for `.options(**c.options)`. Its key prints as any credential in them.

        Raises:
            OptionError: It listens nowhere yet, so that nobody knows its port.
        """
        if self._server.url.endswith(":0"):
            raise OptionError("the coordinator has no address before it starts: with trunkline.coordinator(...) as c")
        return Masked(
            {
                "coordinator.url": self._server.url,
                "coordinator.token": self._token.reveal(),
                "coordinator.fingerprint": self._certificate.fingerprint,
            }
        )

    def progress(self) -> Snapshot:
        """What all tasks have done so far."""
        return self._hub.progress.snapshot(time.monotonic())

    def start(self) -> Self:
        """Log in and listen, unless it does already; what the credential's endpoint refuses is told here.

        Raises:
            AuthError, ResponseError, UnavailableError: The login fails.
            OptionError: The address cannot be listened on.
        """
        if self._started:
            return self
        if self._ending.is_set():
            raise OptionError("this coordinator was closed: make another, with its host, port and token")
        bar = _new_bar() if self._bar else None
        if self._options["auth.type"] != "none":
            self._log_in()
        self._server.start()
        self._started = True
        if self._options["auth.type"] != "none":
            self._thread("trunkline-coordinator-token", self._keep_login, _TOKEN_PATIENCE)
        atexit.register(self.close)
        if bar is not None:
            self._thread("trunkline-coordinator-bar", lambda: self._show(bar), _BAR_PATIENCE)
        return self

    def close(self) -> None:
        """Serve no more; asking again does nothing. Tasks that still run go on with what they were told last."""
        if not self._started:
            return
        self._started = False
        atexit.unregister(self.close)
        try:
            # First: the bar shows at the end whatever was taken in.
            self._server.stop()
        finally:
            # Also when Ctrl-C cuts that short: nobody would tell the threads another time.
            self._ending.set()
            self._renew.set()
        for thread, patience in self._threads:
            thread.join(patience)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<coordinator {self._server.url}>"

    def __reduce__(self) -> str:
        raise TypeError("a coordinator stays on the driver: give tasks its options")

    def _thread(self, name: str, target: Any, patience: float) -> None:
        """Run something until the end, which waits so long for it."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append((thread, patience))
        thread.start()

    def _log_in(self) -> None:
        """Make what the workers are told what the credential gives now."""
        before = self._hub.login
        headers, query = self._auth.headers(), self._auth.query
        renew_at, ends_at = self._auth.until()
        with self._changing:
            # Refused meanwhile, these may be the ones that were refused: the next look brings others.
            if self._hub.login is before and headers is not before.headers:
                self._number += 1
                self._hub.login = Login(self._number, headers, query, ends_at, renew_at)

    def _keep_login(self) -> None:
        while not self._ending.is_set():
            rest = _LOOK_AFTER
            try:
                self._log_in()
            except Exception as error:  # noqa: BLE001 - without this thread no token would ever follow
                said = str(error) if isinstance(error, TrunklineError) else type(error).__name__
                log.warning("the coordinator has no access token: %s", said)
                self._hub.login = Login(self._number, failure=(type(error).__name__, said))
                rest = _REST
            self._renew.wait(rest)
            self._renew.clear()

    def _refused(self, number: int) -> None:
        """A worker's request with this token was answered 401: a new one is fetched, once for all who say so."""
        with self._changing:
            login = self._hub.login
            if number == login.number and (login.headers or login.query):
                self._auth.expired(login.headers)
                self._hub.login = Login(number)
                self._renew.set()

    def _show(self, bar: Any) -> None:
        while True:
            over = self._ending.wait(_BAR_EVERY)
            told = self.progress()
            bar.n = told.accepted
            failed = told.malformed + told.rejected + told.ambiguous + told.exhausted
            bar.set_postfix_str(
                f"{told.requests_per_second:,.0f} requests/s, {failed:,} failed, p99 {told.p99 * 1000:,.0f} ms, "
                f"{told.tasks_active} tasks"
            )
            if over:
                bar.close()
                return


def coordinator(spark: Any = None, **arguments: Any) -> Coordinator:
    """One rate, one login, one view for a whole query; see `Coordinator` for the arguments.

    with trunkline.coordinator(spark, rateLimit="200/s", progress=True) as c:
        df.write.format("rest").mode("append").options(**c.options).save(url)
    """
    return Coordinator(spark, **arguments)


def _driver_host(spark: Any) -> str:
    cure = "name an address of this machine that Spark's workers can reach in host, or run `trunkline coordinator`"
    if spark is None:
        raise OptionError(f"the coordinator needs the session or a host: {cure}")
    if type(spark).__module__.startswith("pyspark.sql.connect"):
        raise OptionError(f"with Spark Connect no executor can be expected to reach this process: {cure} beside them")
    return str(spark.conf.get("spark.driver.host", "127.0.0.1"))


def _new_bar() -> Any:
    """A progress bar of the terminal or the notebook; it shows nothing where there is neither."""
    import sys

    try:
        from tqdm.auto import tqdm
    except ImportError:
        from trunkline.errors import MissingExtraError

        raise MissingExtraError("a progress bar needs one more package: pip install 'trunkline[coordinator]'") from None
    quiet = "ipykernel" not in sys.modules and not sys.stderr.isatty()
    return tqdm(unit=" rows", disable=quiet)
