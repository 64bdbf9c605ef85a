"""One call of a JSON API over the engine: its retries, its judgement and its errors, for what needs no more than that.

    status, headers, answer = call("POST", "http://host:6066/v1/submissions/create", body={"action": "..."})
    call("GET", url, token=options["spark.token"], credential="spark.token", **{"timeout.total": "30s"})

The body goes out with `Content-Type: application/json`. A connection is made for each call: pollers call rarely.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from trunkline.credentials import Secret
from trunkline.errors import AuthError, RejectedError, ResponseError, TrunklineError, UnavailableError
from trunkline.http.auth import Auth
from trunkline.http.cleaner import Cleaner
from trunkline.http.client import Client
from trunkline.http.message import Outcome, Request, head_of, without_query
from trunkline.http.option_rules import RULES
from trunkline.http.options import AUTH, COORDINATOR, ENGINE, REQUEST
from trunkline.http.setup import open_client
from trunkline.http.verdict import CREDENTIAL_REFUSED
from trunkline.options import parse

# What changes nothing may be sent again whatever became of it.
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def call(
    method: str,
    url: str,
    *,
    body: object = None,
    token: Secret | str | None = None,
    credential: str = "auth.token",
    **options: object,
) -> tuple[int, Mapping[str, str], Any]:
    """Send one request and wait for its answer.

    Args:
        method: Upper case.
        url: Absolute.
        body: Sent as JSON; None for none.
        token: Sent as `Authorization: Bearer`.
        credential: The option to check when the server refuses the credential.
        options: Of the engine, by their names: `timeout.total`, `retry.maxAttempts`, `secretHeaders`, ... With
            `delivery="atMostOnce"` what the server may have acted on is not sent again, unless it is a read.

    Returns:
        The status, the headers, and the parsed body: None where there is none.

    Raises:
        OptionError: The URL or an option is wrong; nothing was sent.
        AuthError: The server refuses the credential.
        RejectedError: It refuses the request; with the outcome `ambiguous` nobody knows whether it acted on it.
        UnavailableError: It could not be reached or kept failing; with `atMostOnce` it has not acted on it.
        ResponseError: It took it, and its answer is not JSON.
    """
    given = {"url": url, **options} | ({"auth.type": "bearer", "auth.token": token} if token is not None else {})
    parsed = parse((*REQUEST, *AUTH, *ENGINE, *COORDINATOR), given, format="call", use="write", rules=RULES).resolved()
    auth = Auth.from_options(parsed)
    clean = Cleaner(parsed, auth).clean
    headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body is not None else {})
    data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
    with closing(open_client(parsed, auth, headers, reading=method in _READS)) as client:
        outcome = _outcome(client, Request(method, parsed["url"], body=data))
        exchange = outcome.exchange
        if outcome.kind != "accepted" or exchange is None:
            failure = client.failure
            raise _error(outcome, credential, clean) if failure is None else type(failure)(clean(str(failure)))
    try:
        return exchange.status, exchange.headers, json.loads(exchange.body) if exchange.body.strip() else None
    except ValueError:
        shown = clean(f"{method} {without_query(url)}: status {exchange.status}, no JSON: {head_of(exchange.body)}")
        raise ResponseError(shown) from None


def _outcome(client: Client, request: Request) -> Outcome:
    # To its end, and not only to the outcome: the schedule is told then that the request is over.
    outcomes = [outcome for outcome in client.send(iter((request,))) if outcome is not None]
    return outcomes[0] if outcomes else Outcome(request, "unsent", client.stopped or "nothing was sent")


def _error(outcome: Outcome, credential: str, clean: Any) -> TrunklineError:
    status = outcome.status
    head = head_of(outcome.exchange.body) if outcome.exchange is not None else ""
    tries = f"{outcome.attempts} {'try' if outcome.attempts == 1 else 'tries'}"
    said = f"{outcome.request.method} {without_query(outcome.request.url)} after {tries}: {outcome.reason}"
    text = clean(f"{said}: {head}" if head else said)
    if status in CREDENTIAL_REFUSED and outcome.kind in {"rejected", "unsent"}:
        return AuthError(f"{text}. Check {credential}.", status=status)
    if outcome.kind in {"rejected", "ambiguous"}:
        return RejectedError(text, status=status or None, outcome=outcome.kind)
    return UnavailableError(f"{text}. Run it again later.", status=status or None)
