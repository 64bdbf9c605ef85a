"""Whoever receives numbers: a Prometheus that scrapes, its push gateway, a collector of OpenTelemetry's.

closing = serve(9108, families)                       # GET /metrics
push("http://gateway:9091", "daily", {"team": "core"}, families())

PUT /metrics/job/daily/team/core
"""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from trunkline.errors import MissingExtraError, OptionError
from trunkline.http.message import origin

# Of its own group in a push gateway: a run that fails leaves it as it was.
LASTING = "last_success_timestamp_seconds"
_PUSH_TIMEOUT = 10
# Preferred temporalities of OTLP's exporter by which sums are told as what was added since the export before.
_DELTAS = {"DELTA", "LOWMEMORY"}


def serve(port: int, families: Callable[[], Iterable[Any]]) -> list[Callable[[], object]]:
    """Answer scrapes on all addresses of this host.

    Args:
        port: To listen on.
        families: Gives the numbers as they are, for each scrape.

    Returns:
        What ends it, in order.

    Raises:
        OptionError: The port is taken.
    """
    import prometheus_client

    try:
        server, thread = prometheus_client.start_http_server(port, registry=_registry(families))
    except OSError as error:
        raise OptionError(f"metrics.prometheus.port {port}: {error.strerror}") from None
    return [server.shutdown, server.server_close, thread.join]


def push(gateway: str, pipeline: str, labels: Mapping[str, str], families: Sequence[Any]) -> None:
    """Replace the group of a pipeline; when a run last succeeded stands in a group beside it.

    Args:
        gateway: Its address; may hold a login.
        pipeline: The job of the group.
        labels: Of the group.
        families: The numbers.
    """
    import prometheus_client
    from prometheus_client.exposition import basic_auth_handler, default_handler

    address, user, password = _without_login(gateway)

    def handler(**asked: Any) -> Any:
        return basic_auth_handler(**asked, username=user, password=password) if user else default_handler(**asked)

    for lasting, beside in ((False, {}), (True, {"outcome": "success"})):
        found = [one for one in families if (one.name == f"trunkline_{LASTING}") is lasting]
        if found:
            registry, group = _registry(partial(iter, found)), {**labels, **beside}
            prometheus_client.push_to_gateway(
                address, pipeline, registry, group, timeout=_PUSH_TIMEOUT, handler=handler
            )


def exporting(endpoint: str, service: str, clean: Callable[[str], str]) -> tuple[Any, Callable[[], None]]:
    """A meter provider that sends every minute, and what sends once more and ends it.

    Args:
        endpoint: Of a collector; may hold a login and a path.
        service: Its name, unless the environment gives another.
        clean: Cuts out secrets.

    Raises:
        MissingExtraError: The exporter is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # type: ignore[import-not-found, unused-ignore]
            OTLPMetricExporter,
        )
        from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    except ImportError:
        install = "pip install opentelemetry-exporter-otlp-proto-http"
        raise MissingExtraError(f"metrics.opentelemetry.endpoint needs the exporter: {install}") from None
    address, user, password = _without_login(endpoint)
    if not urlsplit(address).path.strip("/"):
        # The exporter takes what it is given for the whole URL; people give a collector's, as everywhere else.
        address = address.rstrip("/") + "/v1/metrics"
    headers = {"authorization": _basic(user, password)} if user else None
    # Where each export tells only what is new, one that did not arrive is lost whatever comes after it.
    deltas = os.environ.get(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, "").strip().upper() in _DELTAS
    arrived = [True]
    said: list[str] = []

    class Watched(OTLPMetricExporter):  # type: ignore[misc, unused-ignore]
        """Remembers whether all that was told arrived: the SDK only logs that."""

        def export(self, *sent: Any, **more: Any) -> Any:
            result = super().export(*sent, **more)
            arrived[0] = result is MetricExportResult.SUCCESS and (arrived[0] or not deltas)
            return result

    def listen(record: logging.LogRecord) -> bool:
        """Of what the SDK logs, keep the last, and cut secrets out of all: it may quote the URL."""
        record.msg, record.args = clean(record.getMessage()), ()
        said[:] = [record.msg]
        return True

    def shut() -> None:
        provider.shutdown()
        log.removeFilter(listen)
        if not arrived[0]:
            took = "did not take all numbers, and none is sent again" if deltas else "did not take the numbers"
            message = f"{origin(address)} {took}: {' '.join(said) or 'unknown'}"
            raise ConnectionError(message)

    log = logging.getLogger(OTLPMetricExporter.__module__)
    log.addFilter(listen)
    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes after.
    resource = Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
    reader = PeriodicExportingMetricReader(Watched(endpoint=address, headers=headers))
    provider = MeterProvider([reader], resource)
    return provider, shut


def flush(provider: Any) -> None:
    """Let the meter provider of the process send what it has.

    Raises:
        LookupError: There is none but that of OpenTelemetry's API, which keeps nothing.
    """
    if hasattr(provider, "force_flush"):
        provider.force_flush()
    elif type(provider).__name__ == "_ProxyMeterProvider":
        raise LookupError("opentelemetry has no endpoint and the process no meter provider: the numbers went nowhere")


def _registry(families: Callable[[], Iterable[Any]]) -> Any:
    from prometheus_client import CollectorRegistry

    class Collected:
        """What a registry asks when it is scraped."""

        collect = staticmethod(families)

    registry = CollectorRegistry()
    registry.register(Collected())  # type: ignore[arg-type, unused-ignore]
    return registry


def _without_login(url: str) -> tuple[str, str, str]:
    """A URL, and the user and password that stood in it."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    return urlunsplit(parts._replace(netloc=host)), unquote(user), unquote(password)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
