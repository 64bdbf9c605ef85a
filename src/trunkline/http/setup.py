"""From the options of a call to a client that keeps them.

client = open_client(options, static_headers={"Content-Type": "application/json"})
...
client.close()
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from trunkline import __version__
from trunkline.coordination.channel import place_of
from trunkline.coordination.link import Link
from trunkline.coordination.links import link_to
from trunkline.errors import OptionError
from trunkline.http.auth import Auth
from trunkline.http.cleaner import Cleaner
from trunkline.http.client import Client
from trunkline.http.concurrency import Concurrency
from trunkline.http.message import origin
from trunkline.http.oauth2 import Masked
from trunkline.http.pacing import Rate, RateLimit
from trunkline.http.schedule import Schedule
from trunkline.http.transport import Settings, check_choice, open_transport
from trunkline.http.verdict import Rules
from trunkline.loading import named
from trunkline.options import Options

_RATES: dict[tuple[str, object, int], RateLimit] = {}


def settings_of(options: Options) -> Settings:
    """What a connection needs of the options."""
    return Settings(
        connect=options["timeout.connect"],
        read=options["timeout.read"],
        total=options["timeout.total"],
        max_bytes=options["maxResponseBytes"],
        ca=options["tls.ca"],
        cert=options["tls.cert"],
        key_file=options["tls.keyFile"],
        key_password=options["tls.keyPassword"],
        verify=options["tls.verify"],
        min_tls=options["tls.minVersion"],
        proxy=options["proxy.url"],
    )


def rules_of(options: Options, *, renewable: bool, reading: bool = False) -> Rules:
    """How answers are judged by the options."""
    return Rules(
        success=frozenset(options["successCodes"]),
        retry=frozenset(options["retry.codes"]),
        at_most_once=options["delivery"] == "atMostOnce",
        max_wait=min(options["retry.maxRetryAfter"], options["deadline"]),
        door=load_door(options, "judge"),
        renewable=renewable,
        reading=reading,
    )


def schedule_of(options: Options, rate: Rate | None) -> Schedule:
    """One task's plan by the options, with its share of the rate."""
    concurrency = options["concurrency"]
    return Schedule(
        Concurrency(concurrency if isinstance(concurrency, int) else None),
        rate=rate,
        max_attempts=options["retry.maxAttempts"],
        max_delay=options["retry.maxDelay"],
        deadline=options["deadline"],
        random=random.Random(),  # noqa: S311 - jitter, not a secret
    )


def open_client(
    options: Options,
    auth: Auth,
    static_headers: Mapping[str, str],
    *,
    reading: bool = False,
    tasks: int = 1,
    no_page: bool = False,
) -> Client:
    """A client for one task.

    Args:
        options: Resolved.
        auth: Made of the same options; see `Auth.from_options`.
        static_headers: Sent with every request, besides those of the options and the credential.
        reading: Nothing is changed by these requests, whatever their method: each may be repeated.
        tasks: How many tasks share the rate limit, where `rateLimitTasks` does not say.
        no_page: Whether a page of HTML is no success; see `Rules`.
    """
    rules = replace(rules_of(options, renewable=auth.renewable, reading=reading), no_page=no_page)
    groups: list[Mapping[str, str]] = [
        {"User-Agent": f"trunkline/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"},
        static_headers,
        {name: value for name, value in (options["headers"] or {}).items() if "{" not in value},
        Masked({name: secret.reveal() for name, secret in (options["secretHeaders"] or {}).items()}),
    ]
    # By lower-case name, so that a header of the user's takes the place of ours instead of standing beside it.
    headers = Masked({name.lower(): (name, value) for group in groups for name, value in group.items()})
    return Client(
        open_transport(settings_of(options), options["transport"]),
        schedule_of(options, _rate_of(options, tasks, counted_on=reading)),
        rules,
        auth,
        headers=Masked(dict(headers.values())),
        idempotency_header=options.get("idempotency.header"),
        clean=Cleaner(options, auth).clean,
    )


def link_of(options: Options) -> Link | None:
    """The link to the coordinator that the options name, None where they name none."""
    place = place_of(options)
    return None if place is None else link_to(place)


def _rate_of(options: Options, tasks: int, *, counted_on: bool) -> Rate | None:
    """A task's share of the rate.

    Args:
        options: Of the call; `rateLimitTasks` goes before `tasks`.
        tasks: Among how many tasks it is shared.
        counted_on: Take the one that this process has counted by so far: a stream opens a client for each poll.
    """
    windows = options["rateLimit"]
    link = link_of(options)
    if link is not None:
        # A rate of the options is one of the query too: a bucket of its own, for all tasks that name the same.
        name = f"{origin(options['url'])} {windows}" if windows else ""
        return link.rate(windows, name=name, deadline=options["deadline"])
    if not windows:
        return None
    tasks = options["rateLimitTasks"] or tasks
    rate = RateLimit(windows, 1 / tasks)
    return _RATES.setdefault((origin(options["url"]), windows, tasks), rate) if counted_on else rate


def check_files_and_doors(options: Options) -> None:
    """Load what workers will load, so that what cannot be loaded fails once, on the driver.

    Raises:
        OptionError: A door or a certificate cannot be loaded; the coordinator cannot be reached, or logs in where the
            options do too.
        MissingExtraError: The transport asked for cannot be had.
    """
    link = link_of(options)
    if link is not None:
        keeps = link.check()
        if keeps != "none" and options["auth.type"] != "none":
            raise OptionError(
                f"{options.format}: auth.* is given, and the coordinator logs in too (auth.type={keeps}): "
                "leave auth.* out"
            )
    check_choice(options["transport"])
    for door in ("prepare", "judge"):
        load_door(options, door)
    if options["tls.ca"] or options["tls.cert"]:
        settings_of(options).ssl_context()


def load_door(options: Options, name: str) -> Callable[..., Any] | None:
    """The user's function behind an option `package.module:function`, None where it is not set.

    Raises:
        OptionError: It cannot be imported, or is no function.
    """
    spelled = options[name]
    if not spelled:
        return None
    try:
        found = named(spelled)
    except (ImportError, AttributeError) as error:
        hint = "it must be importable on the driver and on every worker"
        raise OptionError(f"{name}={spelled} cannot be loaded: {error}; {hint}") from None
    if not callable(found):
        raise OptionError(f"{name}={spelled} is not a function")
    return found  # type: ignore[no-any-return]
