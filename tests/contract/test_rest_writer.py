"""The format `rest` keeps the contract of every writer: as it comes, and with what makes repeated rows arrive once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from trunkline.rest.source import RestDataSource
from trunkline.testing import FaultServer
from trunkline.testing.spark_writer_contract import SparkWriterContract
from trunkline.testing.writer_contract import WriterContract
from trunkline.testing.writer_process import Workers

TOKEN = "s3cr3t-of-the-writer"


class RestTarget(WriterContract):
    """A server that checks a bearer token and keeps rows."""

    source = RestDataSource
    secrets = ("auth.token",)

    @pytest.fixture(autouse=True)
    def _target(self, fault_server: FaultServer, tmp_path: Path) -> None:
        self.server = fault_server
        self.folder = tmp_path / "responses"
        self.server.route("POST /rows", [{"bearer": [TOKEN]}, {"status": 201}], store=self.storing())

    def storing(self) -> bool | dict[str, Any]:
        """How the server keeps rows."""
        return True

    def options(self) -> dict[str, str]:
        """The server's address and its token."""
        return {"url": self.server.url_for("/rows"), "auth.type": "bearer", "auth.token": TOKEN}

    def arrived(self) -> list[dict[str, Any]]:
        """What the server kept."""
        return list(self.server.stored("/rows"))

    def refuse_all(self) -> None:
        """422, with the credential in the answer: servers do repeat what they were sent."""
        self.server.route("POST /rows", [{"status": 422, "body": f"no, although you are {TOKEN}"}])

    def dead_letter_options(self) -> dict[str, str]:
        """Refused rows go to the response log."""
        return {"onError": "deadLetter", "responses": str(self.folder)}

    def dead_letters(self) -> list[dict[str, Any]]:
        """The rows of the response log."""
        table = ds.dataset(self.folder, format="parquet", exclude_invalid_files=True).to_table(columns=["row"])
        return [json.loads(row) for row in table["row"].to_pylist()]


class TestRestWriter(RestTarget, SparkWriterContract):
    """One POST per row."""


class TestRestWriterInBatches(RestTarget):
    """Seven rows per POST, gzipped; refused rows are found by halving."""

    def options(self) -> dict[str, str]:
        """As before, in batches."""
        return {**super().options(), "batch.rows": "7", "compression": "gzip"}


class TestRestWriterWithIdempotencyKeys(RestTarget):
    """A server that keeps its promise about idempotency keys holds each row once."""

    deduplicates = True

    def storing(self) -> bool | dict[str, Any]:
        """Keys are demanded and remembered."""
        return {"dedupe": True, "require": True}

    def options(self) -> dict[str, str]:
        """As before, with a key in each request."""
        return {**super().options(), "idempotency.header": "Idempotency-Key"}


class TestRestWriterWithResponseLog(RestTarget):
    """A repeated task reads in the log what was accepted, and sends the rest."""

    deduplicates = True

    def options(self) -> dict[str, str]:
        """As before, with a log."""
        return {**super().options(), "responses": str(self.folder)}

    def test_two_attempts_at_the_same_time_lose_nothing(self, workers: Workers, kind: str) -> None:
        """They cannot read each other's log: only idempotency keys keep their rows from arriving twice."""
        self.deduplicates = False
        super().test_two_attempts_at_the_same_time_lose_nothing(workers, kind)
