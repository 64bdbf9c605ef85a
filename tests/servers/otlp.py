"""An OTLP/HTTP receiver that reads what it is sent with OpenTelemetry's own messages (PyPI: opentelemetry-proto).

Shows: what the SDK's exporter really sends: resource, names, units, kinds, temporality, values, headers; what a sender
makes of an answer that is not 200.

Cannot show: what a collector does with it after (processors, other formats), OTLP over gRPC.

    receiver = start_otlp()          # also makes the exporter importable
    receiver.url                     # http://127.0.0.1:43210
    receiver.requests[-1].resource   # {"service.name": "daily", ...}
"""

from __future__ import annotations

import gzip
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any

from tests.servers.install import install_python


@dataclass(frozen=True)
class Export:
    """One request that was understood.

    Attributes:
        headers: By their names in lower case.
        resource: The attributes of the resource.
        numbers: By name: unit, kind (`sum`, `gauge`), whether it is monotonic, temporality, and the value by labels.
    """

    headers: dict[str, str]
    resource: dict[str, str]
    numbers: dict[str, dict[str, Any]]


@dataclass
class Otlp:
    """A running receiver.

    Attributes:
        url: Of the collector, without a path.
        status: What it answers.
        requests: What was understood, in order.
        paths: What was asked for.
    """

    url: str
    server: ThreadingHTTPServer
    status: int = 200
    requests: list[Export] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def stop(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()


def start_otlp() -> Otlp:
    """Install the exporter of the SDK's version unless it is there, and start a receiver."""
    exporter = f"opentelemetry-exporter-otlp-proto-http=={version('opentelemetry-sdk')}"
    folder = install_python("otlp", (exporter, f"protobuf=={version('protobuf')}"))
    for found in folder.glob("lib/python*/site-packages"):
        if str(found) not in sys.path:
            sys.path.append(str(found))  # after ours: only what we lack comes from there
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # type: ignore[import-not-found, unused-ignore]
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
    )

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.paths.append(self.path)
            status = receiver.status if self.path.partition("?")[0] == "/v1/metrics" else 404
            if status == 200:
                asked = ExportMetricsServiceRequest.FromString(body)
                receiver.requests.append(_export({name.lower(): text for name, text in self.headers.items()}, asked))
            answer = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Otlp(f"http://127.0.0.1:{server.server_port}", server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return receiver


def _export(headers: dict[str, str], asked: Any) -> Export:
    (one,) = asked.resource_metrics
    numbers = {}
    for scope in one.scope_metrics:
        for metric in scope.metrics:
            kind = metric.WhichOneof("data")
            data = getattr(metric, kind)
            numbers[metric.name] = {
                "unit": metric.unit,
                "told": metric.description,
                "kind": kind,
                "temporality": data.aggregation_temporality if kind == "sum" else None,
                "monotonic": data.is_monotonic if kind == "sum" else None,
                "values": {
                    tuple(sorted(_attributes(point.attributes).items())): point.as_double or float(point.as_int)
                    for point in data.data_points
                },
            }
    return Export(headers, _attributes(one.resource.attributes), numbers)


def _attributes(given: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in given}
