"""The wire between a worker and its coordinator: HTTPS to the one certificate that has the fingerprint.

    channel = Channel(Place("https://10.0.0.5:41873", Secret("..."), "ab12..."))
    answer = channel.exchange({"worker": "w1", ...})     # the answer, or a sentence that says what is wrong
    channel.close()                                      # lets the connection go; the next exchange opens another

No proxy of the environment stands between, and no redirect is followed: the key goes to that certificate alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3

from trunkline.credentials import Secret
from trunkline.http.oauth2 import Masked

if TYPE_CHECKING:
    from trunkline.options import Options

# A call that takes longer is lost; the next one says the same again. The driver of a query may stand still for seconds,
# also where TLS is agreed on, which counts as connecting.
_PATIENCE = urllib3.Timeout(connect=5.0, read=5.0)
# For the call that decides whether the coordinator is lost. Once it is, patience is as long as before: one that comes
# back meets all of its workers at once.
_BRIEF = urllib3.Timeout(connect=1.0, read=5.0)
_WRONG_KEY = 401


@dataclass(frozen=True)
class Place:
    """Where the coordinator is. Prints without its key.

    Attributes:
        url: Its address.
        token: The key that it wants to see.
        fingerprint: SHA-256 of its certificate, hexadecimal.
    """

    url: str
    token: Secret
    fingerprint: str


class Channel:
    """Exchanges messages with the coordinator at a place, from any thread."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pool = _pool_to(place)

    def exchange(self, call: Mapping[str, Any], *, brief: bool = False) -> Mapping[str, Any] | str:
        """Its answer, or what went wrong: the kind of error, which holds no secret.

        Args:
            call: What is told and asked.
            brief: Whether to wait only a second for a connection.
        """
        url = self._place.url
        headers = Masked({"Authorization": f"Bearer {self._place.token.reveal()}", "Content-Type": "application/json"})
        body = json.dumps(call).encode()
        patience = _BRIEF if brief else _PATIENCE
        try:
            response = self._pool.request(
                "POST", "/v1/sync", body=body, headers=headers, redirect=False, timeout=patience
            )
            if response.status == _WRONG_KEY:
                return f"{url} refuses coordinator.token: it was started with another key"
            if response.status != 200:
                return f"{url} answers {response.status}: is it of the same version?"
            answer = json.loads(response.data)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return f"{url} does not answer ({_words(error)})"
        return Masked(answer) if isinstance(answer, dict) else f"{url} is no coordinator"

    def close(self) -> None:
        """Drop the connection."""
        # A pool that was closed opens no connection any more.
        old, self._pool = self._pool, _pool_to(self._place)
        old.close()


def place_of(options: Options) -> Place | None:
    """Where the options say that the coordinator is, None where they name none."""
    url = options.get("coordinator.url")
    if not url:
        return None
    return Place(url.rstrip("/"), options["coordinator.token"], options["coordinator.fingerprint"])


def _pool_to(place: Place) -> urllib3.HTTPSConnectionPool:
    parts = urlsplit(place.url)
    return urllib3.HTTPSConnectionPool(
        parts.hostname or "",
        parts.port,
        maxsize=1,
        retries=False,
        cert_reqs="CERT_NONE",
        # The one certificate, checked before anything is sent.
        assert_fingerprint=place.fingerprint,
    )


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    if "Fingerprints did not match" in str(reason):
        return "another certificate than coordinator.fingerprint"
    return type(reason).__name__
