"""Credentials in clear are told once, with what to give instead, and without being shown."""

from __future__ import annotations

import json
import logging

import pytest
from pyspark.sql.types import LongType, StructType

from trunkline import literals
from trunkline.rest.writer import RestBatchWriter

SCHEMA = StructType().add("id", LongType())
LOGIN = {"url": "https://api.example.com/", "auth.type": "bearer"}


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(literals, "_told", set())


def test_a_literal_credential_is_told_once_per_process(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "trunkline"):
        for _ in range(2):
            headers = json.dumps({"X-Key": "hunter3"})
            RestBatchWriter({**LOGIN, "auth.token": "hunter2", "secretHeaders": headers}, SCHEMA)
    [told] = [record.getMessage() for record in caplog.records]
    names, _, advice = told.partition(": a credential is given in clear.")
    assert set(names.split(", ")) == {"auth.token", "secretHeaders"}
    assert "env:NAME, file:/path or databricks:scope/key" in advice
    assert "hunter" not in told


def test_a_reference_is_not_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "hunter2")
    with caplog.at_level(logging.WARNING, "trunkline"):
        RestBatchWriter({**LOGIN, "auth.token": "env:API_TOKEN"}, SCHEMA)
    assert caplog.records == []
