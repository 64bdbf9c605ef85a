"""What a pipeline file may say of those who are told of a run: hooks, notifications, metrics, the audit trail.

    metrics { prometheus { pushgateway = "gateway:9091" }, labels { team = core } }
    notify = [ { webhook = "env:HOOK_URL", on = failed } ]

Nothing has been looked up: an address may be a reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from trunkline.pipelines.fields import Address, Function, Options, Plain, Section, Text, one_or_many, written

Event = Literal["before_pipeline", "after_pipeline", "before_step", "after_step", "on_failure", "on_retry"]
Outcome = Literal["success", "failed", "degraded", "pending_approval"]


class Hook(Section):
    """A function or class of yours that is told of events."""

    known_as: ClassVar[Mapping[str, str]] = {
        "event": "on", "events": "on", "class": "call", "type": "call",
    }  # fmt: skip

    call: Function
    """`package.module:name`."""
    on: Annotated[tuple[Event, ...], BeforeValidator(one_or_many)] = ()
    """Of which events. Default: those it has a method for."""
    config: Plain = Field(default={})
    """Its configuration."""


class Notify(Section):
    """Who is told of the end: one of `webhook`, `sns`, `log`, `call`."""

    known_as: ClassVar[Mapping[str, str]] = {
        "url": "webhook", "slack": "webhook", "topic": "sns", "logger": "log", "events": "on",
    }  # fmt: skip

    on: Annotated[tuple[Outcome, ...], BeforeValidator(one_or_many)] = ("failed", "degraded", "pending_approval")
    """Of which ends."""
    webhook: Text | None = Field(None, repr=False)
    """A URL that is sent JSON, or a reference to it: `env:HOOK_URL`."""
    sns: Text | None = None
    """The ARN of an SNS topic."""
    log: Text | None = None
    """A logger of Python's."""
    call: Function | None = None
    """`package.module:name`, with a method `notify(subject, message)`."""
    options: Options = Field(default={})
    """With `webhook`: options of the format `rest`, such as `auth.token`."""
    config: Plain = Field(default={})
    """With `call`: its configuration."""


class Prometheus(Section):
    """Metrics for Prometheus."""

    port: int | None = Field(None, ge=1, le=65535)
    """Serve them here while the pipeline runs."""
    pushgateway: Address | None = Field(None, repr=False)
    """Push them here at the end: `http://gateway:9091`, which may be written `gateway:9091`."""


class OpenTelemetry(Section):
    """Metrics for OpenTelemetry."""

    endpoint: Text | None = Field(None, repr=False)
    """An OTLP collector. Default: the meter provider of the process."""


class Metrics(Section):
    """Where numbers about the run go."""

    prometheus: Prometheus | None = None
    """Prometheus."""
    opentelemetry: OpenTelemetry | None = None
    """OpenTelemetry."""
    labels: Annotated[dict[str, str], BeforeValidator(written)] = Field(default={})
    """Added to every number."""


class Audit(Section):
    """A trail of what was done, without secrets."""

    path: Text | None = None
    """A folder or URI, which gets a file for each run. Default: beside the report of the run."""
