"""Telling people, or other systems, what became of a job.

    class Load(AbstractJob):
        def __init__(self, notifications):
            self.notifications = notifications

        def on_failure(self, error_message):
            self.notifications.notify("load failed", error_message)

    Load(WebhookNotification("env:HOOK_URL"))

Each has the one method `notify(subject, message)`. It tells whether the message was taken, and never raises: what goes
wrong is a notice in the result of the run and in the log, without secrets.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from trunkline.credentials import Redactor, Secret, resolve
from trunkline.errors import MissingExtraError, TrunklineError
from trunkline.http.option_rules import RULES
from trunkline.http.options import AUTH, COORDINATOR, ENGINE, REQUEST
from trunkline.jobs.notes import clean, notice, redactor
from trunkline.jobs.result import jsonable
from trunkline.options import Options, parse

# The options of `rest` that a webhook takes.
WEBHOOK = (*REQUEST, *AUTH, *ENGINE, *COORDINATOR)
# SNS refuses a longer subject, and one with line breaks (SNS API reference, Publish).
_LONGEST_SUBJECT = 100
# A notification is worth some patience, not the ten minutes that rows are worth.
_PATIENCE = {"timeout.total": "10s", "deadline": "30s", "retry.maxAttempts": "3", "retry.maxDelay": "5s"}

Message = str | Mapping[str, Any]


class LogNotification:
    """Writes to a log.

    Args:
        logger: Its name.
        level: Of `logging`.
    """

    def __init__(self, logger: str = "trunkline.jobs", level: int = logging.INFO) -> None:
        self._log = logging.getLogger(logger)
        self._level = level

    def notify(self, subject: str, message: Message) -> bool:
        """Log it."""
        self._log.log(self._level, "%s: %s", clean(subject), clean(_text(message)))
        return True


class WebhookNotification:
    """Posts JSON to a URL, through the engine that sends rows: its timeouts, retries, proxies and certificates.

        WebhookNotification("https://hooks.example.com/T0/B1", {"auth.type": "bearer", "auth.token": "env:HOOK_TOKEN"})

        POST /T0/B1                 {"subject": "load failed", "message": "Load failed: ValueError: no rows"}

    A receiver that wants another form gets it by `body`: for Slack `lambda subject, message: {"text": subject}`.

    Args:
        url: Where to; may be a reference such as `env:HOOK_URL`, and is never shown but for its host.
        options: Of the format `rest`, those of the request, of authentication and of the engine. By default three tries
            in half a minute.
        body: Makes what is sent as JSON.

    Raises:
        OptionError: The options are wrong, or a reference points to nothing.
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any] | None = None,
        body: Callable[[str, Message], Any] | None = None,
    ) -> None:
        self._url = resolve(url, "url")
        self._options = webhook_options(self._url.reveal(), options or {}).resolved()
        self._body = body or (lambda subject, message: {"subject": subject, "message": message})

    def notify(self, subject: str, message: Message) -> bool:
        """Post it, and wait for the answer."""
        own = Redactor([*_parts_of(self._url), *self._options.secrets()])
        try:
            said = self._body(clean(subject), jsonable(message, redactor()))
            problem = _post(self._options, json.dumps(said, default=str).encode())
        except Exception as error:  # noqa: BLE001 - a notification never changes the run
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            notice(own.clean(f"the webhook at {_host(self._url)} was not notified: {problem}"))
        return problem is None

    def __repr__(self) -> str:
        return f"<WebhookNotification {_host(self._url)}>"


class SnsNotification:
    """Publishes to a topic of Amazon SNS. Needs the extra `aws`; credentials are those of AWS's own chain.

    Args:
        topic: Its ARN.
        region: Default: that of the ARN.
        endpoint: Another endpoint than AWS's own.
    """

    def __init__(self, topic: str, region: str | None = None, endpoint: str | None = None) -> None:
        self._topic = topic
        self._region = region or (topic.split(":")[3] if topic.count(":") > 3 else None)
        self._endpoint = endpoint

    def notify(self, subject: str, message: Message) -> bool:
        """Publish it; a mapping as JSON."""
        shown = " ".join(clean(subject).split())[:_LONGEST_SUBJECT] or "job"
        # SNS takes printable ASCII for a subject; the message says it in full.
        shown = shown.encode("ascii", "replace").decode()
        try:
            client = _boto3().client("sns", region_name=self._region, endpoint_url=self._endpoint)
            client.publish(TopicArn=self._topic, Subject=shown, Message=clean(_text(message)))
        except Exception as error:  # noqa: BLE001 - a notification never changes the run
            notice(f"the topic {self._topic} was not notified: {type(error).__name__}: {error}")
            return False
        return True


def webhook_options(url: str, given: Mapping[str, Any]) -> Options:
    """The options of a webhook, checked; nothing is looked up.

    Raises:
        OptionError: With every problem.
    """
    return parse(WEBHOOK, {**_PATIENCE, **given, "url": url}, format="webhook", use="write", rules=RULES)


def _post(options: Options, body: bytes) -> str | None:
    """Send it; why it was not taken, None if it was."""
    try:
        from trunkline.http.auth import Auth
        from trunkline.http.message import Request
        from trunkline.http.setup import open_client
    except ImportError as error:
        raise MissingExtraError(f"webhooks need {error.name}: pip install trunkline") from None
    client = open_client(options, Auth.from_options(options), {"Content-Type": "application/json"})
    try:
        for outcome in client.send(iter([Request("POST", options["url"], body=body)])):
            if outcome is not None and outcome.kind == "accepted":
                return None
            if outcome is not None:
                return f"{outcome.kind}: {outcome.reason}"
        raise TrunklineError(str(client.failure or client.stopped))
    finally:
        client.close()


def _boto3() -> Any:
    try:
        import boto3
    except ImportError:
        raise MissingExtraError("SNS needs boto3: pip install 'trunkline[aws]'") from None
    return boto3


def _text(message: Message) -> str:
    return message if isinstance(message, str) else json.dumps(dict(message), default=str)


def _host(url: Secret) -> str:
    from trunkline.http.message import origin

    return origin(url.reveal())


def _parts_of(url: Secret) -> list[Secret]:
    """The URL and what follows its host: whoever knows that may post."""
    whole = url.reveal()
    path = whole.split("://", 1)[-1].partition("/")[2]
    return [url, *([Secret(path)] if len(path) > 3 else [])]
