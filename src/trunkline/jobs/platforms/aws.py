"""What Glue, EMR and EMR Serverless share: clients, an assumed role, errors, and starts that are sent once.

    with calling("glue", options["glue.region"], options) as glue:
        glue.get_job_run(JobName="nightly", RunId="jr_1")

Credentials and region are those of AWS's own chain, in which `aws.role` is then assumed, and renewed before it ends.
What only reads or bears a token is repeated by boto, in its adaptive mode. A start without one must not be: whoever
repeats a `StartJobRun` of Glue after a lost answer has two runs. `send_once` says how that goes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from functools import lru_cache, partial
from typing import Any

from trunkline.errors import AuthError, MissingExtraError, OptionError, UnavailableError
from trunkline.jobs.platforms.aws_errors import throttled, translated, undecided
from trunkline.jobs.run import Run, RunFilter
from trunkline.options import Options

try:
    import boto3
    import botocore.session
    from botocore.config import Config
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionClosedError,
        ConnectTimeoutError,
        EndpointConnectionError,
        HTTPClientError,
        NoCredentialsError,
        ReadTimeoutError,
    )
except ImportError:
    raise MissingExtraError('this platform needs boto3: pip install "trunkline[aws]"') from None

# Seconds to connect and to wait for an answer; AWS answers these calls within a few.
TIMEOUTS = {"connect_timeout": 10, "read_timeout": 60}
# How often boto sends what may be sent again.
ATTEMPTS = 8
# Where AWS tells of one run in one request, so many are asked for at a time; boto keeps ten connections.
AT_ONCE = 8
# Seconds between the sendings of a throttled start, which is refused before it starts anything.
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)

# Where a list of runs is, and for whom: see `place_of`.
Place = tuple[str, ...]

_known: dict[Place, dict[str, str | None]] = {}
_known_lock = threading.Lock()


@contextmanager
def calling(service: str, region: str | None, options: Options, *, once: bool = False) -> Iterator[Any]:
    """The client of a service; what it raises inside gets the names of `trunkline.errors`.

    Args:
        service: As boto3 calls it; also the name of our platform.
        region: None for that of AWS's own chain.
        options: Those of the format.
        once: Nothing is sent a second time.
    """
    try:
        yield _client(service, region, options["aws.endpoint"], options["aws.role"], once)
    except (ClientError, BotoCoreError) as error:
        found = translated(service, error)
        if isinstance(found, AuthError):
            _client.cache_clear()  # credentials that were renewed in the environment are looked for again
        raise found from None


def send_once(send: Callable[[], str], look_up: Callable[[], str | None]) -> str:
    """Send a start that bears no token: again only after what surely started nothing.

    When the answer is lost, the run is looked for by its key.

    Raises:
        UnavailableError: The answer was lost and the run is not to be seen, not yet or not at all. A start later looks
            for it first.
    """
    for wait in (*WAITS, None):
        try:
            return send()
        except ClientError as error:
            if throttled(error) and wait is not None:
                time.sleep(wait)
                continue
            if throttled(error) or not undecided(error):
                raise
        except (EndpointConnectionError, ConnectTimeoutError):
            raise
        except (ConnectionClosedError, ReadTimeoutError, HTTPClientError):
            pass
        break
    found = look_up()
    if found is None:
        raise UnavailableError(
            "no answer came to a start, and its run is not to be seen: start it again, which looks first"
        )
    return found


def place_of(client: Any, options: Options, name: str) -> Place:
    """What is remembered of a list of runs belongs to: another account may have a job or cluster of the same name.

    Args:
        client: Of the service.
        options: Those of the format.
        name: Of the job, cluster or application.
    """
    who = options["aws.role"]
    if not who:
        credentials = client._request_signer._credentials  # noqa: SLF001 - a client does not tell them otherwise
        who = credentials.get_frozen_credentials().access_key if credentials else ""
    return (client.meta.service_model.service_name, client.meta.endpoint_url, who, name)


def known_run(place: Place, run_key: str, pages: Iterable[list[tuple[str, str | None]]]) -> str | None:
    """The id of the newest run with a key, among runs that are listed newest first.

    What was read once is kept for the life of this process: the next look reads on from the newest run it knows.

    Args:
        place: What the list is of.
        run_key: That of the request.
        pages: Ids and keys, newest first; only as many pages are asked for as are new.
    """
    fresh: dict[str, str | None] = {}
    for page in pages:
        fresh.update(page)
        if any(run_id in _known.get(place, {}) for run_id, _ in page):
            break
    with _known_lock:
        _known[place] = {
            **fresh,
            **{run_id: key for run_id, key in _known.get(place, {}).items() if run_id not in fresh},
        }
        return next((run_id for run_id, key in _known[place].items() if key == run_key), None)


def is_wanted(wanted: RunFilter, run: Run, name: str | None = None) -> bool:
    """Whether a run is among those asked for, by its module or its platform's name for it."""
    named = not wanted.jobs or run.job in wanted.jobs or name in wanted.jobs
    return named and replace(wanted, jobs=()).takes(run)


def given_in(words: Iterable[str]) -> tuple[str | None, str | None]:
    """Module and key in the words of a command line, None for each that is not there."""
    given = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "=" in word)
    return given.get("module_name"), given.get("run_key")


def needed(options: Options, name: str, why: str) -> str:
    """The value of an option.

    Raises:
        OptionError: It is missing; names it.
    """
    if not options[name]:
        raise OptionError(f"{name} is missing: {why}")
    value: str = options[name]
    return value


def console(region: str) -> str:
    """Where a region's console is (AWS's partitions: China and GovCloud have their own)."""
    if region.startswith("cn-"):
        return "https://console.amazonaws.cn"
    return "https://console.amazonaws-us-gov.com" if region.startswith("us-gov-") else "https://console.aws.amazon.com"


def utc(at: datetime | None) -> datetime | None:
    """The same moment in UTC; boto gives the zone of the machine."""
    return at.astimezone(timezone.utc) if at else None


@lru_cache(maxsize=32)
def _client(service: str, region: str | None, endpoint: str | None, role: str | None, once: bool) -> Any:
    session = botocore.session.get_session()
    if role:
        source = session.get_credentials()
        if source is None:
            raise NoCredentialsError
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=partial(session.create_client, region_name=region, endpoint_url=endpoint),
            source_credentials=source,
            role_arn=role,
            extra_args={"RoleSessionName": "trunkline"},
        )
        session = botocore.session.get_session()
        # The way in that botocore's own provider of assumed roles takes, which reads them from profiles only.
        session._credentials = DeferredRefreshableCredentials(  # noqa: SLF001
            method="assume-role", refresh_using=fetcher.fetch_credentials
        )
    retries = (
        {"mode": "standard", "total_max_attempts": 1} if once else {"mode": "adaptive", "total_max_attempts": ATTEMPTS}
    )
    config = Config(retries=retries, user_agent_extra="trunkline", **TIMEOUTS)
    made = boto3.Session(botocore_session=session)
    return made.client(service, region_name=region, endpoint_url=endpoint, config=config)
