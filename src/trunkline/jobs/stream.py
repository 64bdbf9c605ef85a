"""`spark.readStream.format("jobs")`: each change of a run's state that was observed, once.

A platform tells how a run is, not how it was, so what was observed is written down: an offset holds the changes of its
micro-batch and the runs that are still followed.

    {"v": 1, "known": {"glue/jr_1": ["glue", "my.etl", "jr_1", ...]}, "changes": [["glue", "my.etl", "jr_1", ...]]}

A replayed micro-batch has the rows of the first time, whatever has become of the runs. A state that came and went
between two looks is not seen: `pollInterval` says how often they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType

from trunkline.errors import OptionError
from trunkline.jobs.options import filter_of, stream_options
from trunkline.jobs.platforms import platform_of
from trunkline.jobs.reader import JobsReader, batches
from trunkline.jobs.run import Run
from trunkline.polling import AvailableNow, NextOffset, Offset, Polling

_VERSION = 1
# A run that has ended is kept in mind so long after the newest one has started: lists of platforms come late, and one
# that is listed again must not be taken for a new one.
_MEMORY = timedelta(hours=1)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class ChangesPartition(InputPartition):
    """The changes of a micro-batch, as they stand in its offset."""

    def __init__(self, changes: list[list[Any]]) -> None:
        super().__init__(None)
        self.changes = changes


class JobsStreamReader(JobsReader, DataSourceStreamReader, AvailableNow):  # type: ignore[misc]
    """`spark.readStream.format("jobs")`.

    Args:
        options: As Spark hands them over.
        schema: What Spark wants.
    """

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(stream_options(options), schema)
        self._polling = Polling(self._options["pollInterval"], self._options["maxRecordsPerTrigger"])

    def initialOffset(self) -> Offset:  # noqa: N802 - Spark's name
        """Before every run."""
        return {"v": _VERSION, "known": {}, "changes": []}

    def latestOffset(self, start: Offset | None = None, limit: Any = None) -> Offset:  # noqa: N802 - Spark's name
        """The offset with the next changes; `start` when there are none."""
        return self._polling.latest(start or self._polling.last or self.initialOffset(), limit, self._observe)

    def getDefaultReadLimit(self) -> Any:  # noqa: N802 - Spark's name
        """`maxRecordsPerTrigger`, for Spark 4.2 and later."""
        return self._polling.read_limit()

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        """End when the changes that are there now have been read."""
        self._polling.end_at_next_end()

    def partitions(self, start: Offset, end: Offset) -> list[InputPartition]:
        """The changes that the end was written down with."""
        self._polling.learn(end)
        return [ChangesPartition(end["changes"])] if start != end else []

    def read(self, partition: ChangesPartition) -> Iterator[pa.RecordBatch]:  # type: ignore[override]
        """The rows of a micro-batch."""
        return batches(map(_from_json, partition.changes), self._schema)

    def _observe(self, start: Offset, most: int | None) -> NextOffset | None:
        if start.get("v") != _VERSION or "known" not in start:
            raise OptionError(f"jobs: the checkpoint belongs to another kind of stream: {sorted(start)}")
        known = {name: _from_json(values) for name, values in start["known"].items()}
        changes = [run for run in self._now(known) if _differs(run, known.get(_name(run)))]
        changes.sort(key=lambda run: (run.ended_at or run.started_at or _LONG_AGO, _name(run)))
        taken = changes if most is None else changes[:most]
        if not taken:
            return None
        known.update({_name(run): _bare(run) for run in taken})
        since = _horizon(known)
        kept = {name: run for name, run in known.items() if not run.ended or since is None or _began(run) >= since}
        end: Offset = {
            "v": _VERSION,
            "known": {name: _to_json(kept[name]) for name in sorted(kept)},
            "changes": [_to_json(run) for run in taken],
        }
        return NextOffset(end, more=len(taken) < len(changes))

    def _now(self, known: dict[str, Run]) -> Iterator[Run]:
        """The runs as they are: those that are listed, and of the others those that were still going."""
        wanted = filter_of(self._options)
        wanted = replace(wanted, since=max(filter(None, [wanted.since, _horizon(known)]), default=None))
        listed = set()
        for name in self._options["platform"]:
            platform = platform_of(name)
            for run in platform.list_runs(wanted, self._options):
                listed.add(_name(run))
                yield run
            going = [run for key, run in known.items() if run.platform == name and not run.ended and key not in listed]
            if going:
                yield from platform.poll(going, self._options)


def _horizon(known: dict[str, Run]) -> datetime | None:
    """Since when runs are listed: what had ended long before the newest one began is not looked at again."""
    newest = max(map(_began, known.values()), default=None)
    return None if newest is None or newest == _LONG_AGO else newest - _MEMORY


def _began(run: Run) -> datetime:
    return run.started_at or _LONG_AGO


def _differs(run: Run, before: Run | None) -> bool:
    return before is None or (run.state, run.attempt) != (before.state, before.attempt)


def _name(run: Run) -> str:
    return f"{run.platform}/{run.run_id}"


def _bare(run: Run) -> Run:
    """What is kept in mind of a run: enough to ask for it again."""
    return Run(run.platform, run.job, run.run_id, run.run_key, run.state, None, run.started_at, None, run.attempt)


def _to_json(run: Run) -> list[Any]:
    return [value.isoformat() if isinstance(value, datetime) else value for value in astuple(run)]


def _from_json(values: list[Any]) -> Run:
    run = Run(*values)
    return replace(run, started_at=_moment(run.started_at), ended_at=_moment(run.ended_at))


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
