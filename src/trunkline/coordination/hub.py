"""What a call of a worker means: leases, token, stop flags and progress behind one function. No I/O, no clock.

    POST /v1/sync
    {"worker": "w1", "rates": {"": {"used": 120, "back": 0, "stock": 1, "want": null}}, "watch": ["b7..."], "token": 1}

    {"rates": {"": {"windows": [[200, 1.0]], "lease": {"permits": 4, "next_in": 0.1, "soonest": 0.1, "workers": 8}}},
     "stopped": [], "token": null}

`token` is the number of the access token the worker has, in the call, and the newer one with its number in the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trunkline.coordination.leases import LONGEST, Ask, Leases
from trunkline.coordination.progress import Progress
from trunkline.http.oauth2 import Masked

Windows = tuple[tuple[float, float], ...]

# More than a query has, and little enough that a worker gone wrong cannot fill the driver's memory.
_MOST_RATES, _MOST_STOPS = 100, 10_000


@dataclass
class Login:
    """What requests carry now.

    Attributes:
        number: Of the token: each new one has a higher.
        headers, query: To be added to a request.
        ends_at: When they end, on the coordinator's clock; None for never.
        renew_at: When a new one is fetched.
        failure: Kind and text of the error, when there is none to be had.
    """

    number: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    ends_at: float | None = None
    renew_at: float | None = None
    failure: tuple[str, str] | None = None


class Hub:
    """All that a coordinator knows.

    Args:
        windows: The rate of the query; empty for none.
        kind: The `auth.type` that the coordinator keeps; `none` leaves logging in to the options.
        refused: Told the number of a token with which a request was answered 401.
    """

    def __init__(self, windows: Windows, kind: str, refused: Callable[[int], None]) -> None:
        self.progress = Progress()
        self.login = Login()
        self.kind = kind
        self._refused = refused
        self._own = tuple((float(permits), float(seconds)) for permits, seconds in windows)
        self._leases: dict[str, Leases] = {}
        self._stopped: dict[str, None] = {}

    def sync(self, call: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Take in what a worker says, and tell it what it must know.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, ArithmeticError: It is no call of a worker of ours.
        """
        worker = str(call["worker"])
        for name, told in call.get("tasks", {}).items():
            latencies = {int(bucket): int(count) for bucket, count in told.get("latencies", {}).items()}
            counts = {field: int(count) for field, count in told["counts"].items()}
            self.progress.take(str(name), counts, latencies, now, done=bool(told.get("done")))
        for nonce in call.get("stop", ()):
            if len(self._stopped) >= _MOST_STOPS:
                del self._stopped[next(iter(self._stopped))]
            self._stopped[str(nonce)] = None
        rates = {
            name: self._rate(worker, str(name), told, now, leaves=bool(call.get("bye")))
            for name, told in call.get("rates", {}).items()
        }
        refused = call.get("refused")
        if refused is not None:
            self._refused(int(refused))
        return {
            "rates": rates,
            "stopped": [nonce for nonce in call.get("watch", ()) if nonce in self._stopped],
            "kind": self.kind,
            **self._login(int(call.get("token", 0)), now),
        }

    def _rate(self, worker: str, name: str, told: Mapping[str, Any], now: float, *, leaves: bool) -> dict[str, Any]:
        windows = tuple((float(permits), float(seconds)) for permits, seconds in told.get("windows") or self._own)
        idle = {"permits": 0, "next_in": LONGEST, "soonest": LONGEST, "workers": 0, "spent": ()}
        if not windows:
            return {"windows": None, "lease": idle}
        leases = self._leases.get(name)
        if leases is None or leases.windows != tuple(sorted(windows, key=lambda window: window[1])):
            if len(self._leases) >= _MOST_RATES:
                # A coordinator may run for months: the rate of a query that is over makes room for the next.
                over = [other for other, one in self._leases.items() if one.idle(now)]
                if not over:
                    raise ValueError("too many rates")
                del self._leases[over[0]]
            leases = self._leases[name] = Leases(windows)
        want = told.get("want")
        ask = Ask(
            int(told["used"]),
            int(told["back"]),
            int(told["stock"]),
            None if want is None else int(want),
            bool(told.get("idle")),
            int(told.get("workers", 0)),
            tuple(map(float, told.get("spent", ()))),
        )
        if leaves:
            leases.leave(worker, ask, now)
            return {"windows": windows, "lease": idle}
        return {"windows": windows, "lease": asdict(leases.ask(worker, ask, now))}

    def _login(self, known: int, now: float) -> dict[str, Any]:
        login = self.login
        if login.number == known or self.kind == "none":
            return {"token": None, "failure": login.failure if self.kind != "none" else None}
        if not login.headers and not login.query:
            return {"token": None, "failure": login.failure}
        return {
            "token": Masked(
                number=login.number,
                headers=dict(login.headers),
                query=dict(login.query),
                ends_in=None if login.ends_at is None else login.ends_at - now,
                renews_in=None if login.renew_at is None else login.renew_at - now,
            ),
            "failure": None,
        }
