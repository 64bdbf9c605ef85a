"""Changes of runs: each that was observed, once; told by the offsets alone, against the double of Databricks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from trunkline.errors import OptionError, UnavailableError
from trunkline.jobs.platforms import databricks
from trunkline.jobs.reader import SCHEMA
from trunkline.jobs.stream import JobsStreamReader
from trunkline.polling import Offset
from trunkline.testing.databricks import DatabricksApi

HOUR = 3_600_000


@pytest.fixture
def api() -> Iterator[DatabricksApi]:
    with DatabricksApi() as double:
        yield double
    databricks._client.cache_clear()


def reader(api: DatabricksApi, **given: str) -> JobsStreamReader:
    """As a query has it that was started now."""
    options = {"platform": "databricks", "databricks.host": api.url, "databricks.token": api.token}
    return JobsStreamReader({**options, "pollInterval": "50ms", **given}, SCHEMA)


class Query:
    """A query with a checkpoint: `batch` is what one micro-batch holds."""

    def __init__(self, api: DatabricksApi, **given: str) -> None:
        self._api, self._given = api, given
        self.restart()
        self.position = self._reader.initialOffset()

    def restart(self) -> None:
        self._reader = reader(self._api, **self._given)

    def batch(self) -> list[tuple[str, str]]:
        self._reader._polling._polled_at = float("-inf")
        end = json.loads(json.dumps(self._reader.latestOffset(self.position)))
        rows = states(self._reader, self.position, end)
        self.position = end
        return rows


def states(reader: JobsStreamReader, start: Offset, end: Offset) -> list[tuple[str, str]]:
    rows: list[dict[str, Any]] = []
    for part in reader.partitions(start, end):
        for batch in reader.read(part):  # type: ignore[arg-type]
            rows += batch.to_pylist()
    return [(row["run_id"], row["state"]) for row in rows]


def ago(**parts: int) -> int:
    return int((datetime.now(timezone.utc) - timedelta(**parts)).timestamp() * 1000)


def ended(api: DatabricksApi, *, started: int, after: int, result: str = "SUCCESS") -> str:
    run_id = api.add_run(started=started)
    api.finish(run_id, result)
    api.runs[run_id]["end_time"] = started + after
    return str(run_id)


def test_each_change_comes_once(api: DatabricksApi) -> None:
    query = Query(api)
    run = api.add_run()
    assert query.batch() == [(str(run), "PENDING")]
    assert query.batch() == []
    api.set_state(run, "RUNNING")
    assert query.batch() == [(str(run), "RUNNING")]
    api.finish(run)
    assert query.batch() == [(str(run), "SUCCEEDED")]
    query.restart()
    assert query.batch() == []


def test_without_news_the_offset_stays(api: DatabricksApi) -> None:
    query = Query(api)
    api.add_run()
    query.batch()
    before = query.position
    assert (query.batch(), query.position) == ([], before)


def test_a_replayed_batch_has_the_rows_of_the_first_time(api: DatabricksApi) -> None:
    run = api.add_run()
    first = reader(api)
    start = first.initialOffset()
    end = first.latestOffset(start)
    api.finish(run)
    assert states(reader(api), start, end) == [(str(run), "PENDING")]


def test_a_limit_leaves_nothing_behind(api: DatabricksApi) -> None:
    """A run that began hours before the newest and ended after it is not forgotten between two batches."""
    short = ended(api, started=ago(minutes=10), after=60_000)
    long = ended(api, started=ago(hours=5), after=5 * HOUR - 60_000)
    query = Query(api, maxRecordsPerTrigger="1")
    assert [query.batch(), query.batch(), query.batch()] == [[(short, "SUCCEEDED")], [(long, "SUCCEEDED")], []]


def test_an_age_counts_from_the_first_start_of_the_query(api: DatabricksApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarted after a night, `since=1h` leaves out nothing of the night."""
    query = Query(api, since="6h")
    began = ended(api, started=ago(hours=5), after=60_000)
    assert query.batch() == [(began, "SUCCEEDED")]
    in_the_night = ended(api, started=ago(hours=3), after=60_000, result="FAILED")
    query._given["since"] = "1h"
    query.restart()
    assert query.batch() == [(in_the_night, "FAILED")]


def test_a_run_that_ends_long_after_newer_ones_is_still_seen(api: DatabricksApi) -> None:
    query = Query(api)
    old = api.add_run(started=ago(hours=30))
    api.set_state(old, "RUNNING")
    new = ended(api, started=ago(minutes=1), after=1000)
    assert sorted(query.batch()) == [(str(old), "RUNNING"), (new, "SUCCEEDED")]
    api.finish(old)
    assert query.batch() == [(str(old), "SUCCEEDED")]
    assert query.batch() == []


def test_a_run_that_ended_before_it_began_comes_once(api: DatabricksApi) -> None:
    query = Query(api)
    never = api.add_run(started=0)
    api.finish(never, "CANCELED")
    api.runs[never]["end_time"] = ago(minutes=5)
    other = api.add_run(started=ago(minutes=1))
    assert sorted(query.batch()) == [(str(never), "CANCELLED"), (str(other), "PENDING")]
    api.finish(other)
    assert query.batch() == [(str(other), "SUCCEEDED")]
    assert query.batch() == []


def test_a_run_that_is_gone_is_told_and_the_stream_goes_on(api: DatabricksApi) -> None:
    query = Query(api)
    gone, other = api.add_run(), api.add_run()
    query.batch()
    del api.runs[gone]
    api.finish(other)
    assert sorted(query.batch()) == [(str(gone), "FAILED"), (str(other), "SUCCEEDED")]
    assert query.batch() == []


def test_a_platform_that_is_away_for_a_while_ends_no_stream(
    api: DatabricksApi, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Query(api)
    run = api.add_run()

    def away(*_: object) -> Any:
        raise UnavailableError("databricks: not reached")

    with monkeypatch.context() as patch:
        patch.setattr(databricks, "list_runs", away)
        assert query.batch() == []
    assert "the runs on databricks cannot be listed now: databricks: not reached" in caplog.text
    assert query.batch() == [(str(run), "PENDING")]


def test_available_now_ends_when_all_batches_are_read(api: DatabricksApi) -> None:
    runs = [str(api.add_run()) for _ in range(3)]
    one = reader(api, maxRecordsPerTrigger="2")
    one.prepareForTriggerAvailableNow()
    position, seen = one.initialOffset(), []
    while (end := one.latestOffset(position)) != position:
        seen += states(one, position, end)
        position = end
        api.add_run(started=ago(minutes=30))  # comes too late, but for the batch that was not full yet
    assert [run for run, _ in seen][:2] == runs[:2]
    assert set(runs) <= {run for run, _ in seen}
    assert len(seen) == len(set(seen))


def test_a_checkpoint_of_another_stream_is_refused(api: DatabricksApi) -> None:
    with pytest.raises(OptionError, match="the checkpoint belongs to another kind of stream"):
        reader(api).latestOffset({"v": 1, "until": "2026-01-01"})


def test_an_idle_stream_leaves_the_platform_in_peace(api: DatabricksApi) -> None:
    idle = reader(api, pollInterval="1h")
    start = idle.initialOffset()
    for _ in range(50):
        idle.latestOffset(start)
    assert api.count("runs/list") == 1
