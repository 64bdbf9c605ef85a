"""Test tools for whoever builds on Trunkline: a server that misbehaves on purpose, and what it saw.

    from trunkline.testing import FaultServer

    with FaultServer() as server:
        server.route("POST /rows", [{"status": 503, "times": 2}, {"status": 201}], store=True)
        ...                                     # send rows to server.url_for("/rows")
        assert server.count("POST /rows") == 3
        assert server.stored("/rows") == [{"id": 1}]

`WriterContract`, `ReaderContract` and `StreamReaderContract` are test classes for any Python data source to inherit;
each says in its module how. The `Spark...` ones hold the same tests and those that need a session.

`NoopSource`, `NoopSink` and `NoopNotification` stand for what a job reads from, writes to and tells.

In pytest: `pytest_plugins = ["trunkline.testing.plugin"]` gives the fixture `fault_server`. The server is a command
too, for clients in other languages: `python -m trunkline.testing routes.json`.
Names load on first use, so importing this package costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.testing.aws import AwsApi as AwsApi
    from trunkline.testing.databricks import DatabricksApi as DatabricksApi
    from trunkline.testing.ledger import Exchange as Exchange
    from trunkline.testing.noop import NoopNotification as NoopNotification
    from trunkline.testing.noop import NoopSink as NoopSink
    from trunkline.testing.noop import NoopSource as NoopSource
    from trunkline.testing.reader_contract import ReaderContract as ReaderContract
    from trunkline.testing.server import FaultServer as FaultServer
    from trunkline.testing.spark_reader_contract import SparkReaderContract as SparkReaderContract
    from trunkline.testing.spark_reader_contract import SparkStreamReaderContract as SparkStreamReaderContract
    from trunkline.testing.spark_writer_contract import SparkWriterContract as SparkWriterContract
    from trunkline.testing.stream_reader_contract import StreamReaderContract as StreamReaderContract
    from trunkline.testing.writer_contract import WriterContract as WriterContract

_HOMES = {
    "AwsApi": "trunkline.testing.aws",
    "DatabricksApi": "trunkline.testing.databricks",
    "Exchange": "trunkline.testing.ledger",
    "FaultServer": "trunkline.testing.server",
    "NoopNotification": "trunkline.testing.noop",
    "NoopSink": "trunkline.testing.noop",
    "NoopSource": "trunkline.testing.noop",
    "ReaderContract": "trunkline.testing.reader_contract",
    "SparkReaderContract": "trunkline.testing.spark_reader_contract",
    "SparkStreamReaderContract": "trunkline.testing.spark_reader_contract",
    "SparkWriterContract": "trunkline.testing.spark_writer_contract",
    "StreamReaderContract": "trunkline.testing.stream_reader_contract",
    "WriterContract": "trunkline.testing.writer_contract",
}

__all__ = [
    "AwsApi",
    "DatabricksApi",
    "Exchange",
    "FaultServer",
    "NoopNotification",
    "NoopSink",
    "NoopSource",
    "ReaderContract",
    "SparkReaderContract",
    "SparkStreamReaderContract",
    "SparkWriterContract",
    "StreamReaderContract",
    "WriterContract",
]

# Their assertions show values, as those of test files do. pytest must be told before they are imported, and this module
# always comes first; where pytest runs it is loaded, and elsewhere it is not needed.
if "pytest" in sys.modules:
    sys.modules["pytest"].register_assert_rewrite(
        *(
            f"{__name__}.{module}"
            for module in (
                "reader_contract",
                "reader_subject",
                "source_contract",
                "spark_reader_contract",
                "spark_writer_contract",
                "stream_reader_contract",
                "stream_subject",
                "transport_contract",
                "writer_contract",
                "writer_subject",
            )
        )
    )


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
